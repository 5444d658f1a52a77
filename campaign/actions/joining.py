"""Puts one person on a list: at once, or by a letter that asks. It never brings back by itself somebody who left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from campaign.actions import auditing, listing
from campaign.actions.auditing import Deed
from campaign.actions.describing import SEALED
from campaign.actions.kit import Kit
from campaign.domain.consent import OptIn, Source, SubscriptionState
from campaign.domain.delivery import Kind, purpose_key
from campaign.domain.errors import Conflict
from campaign.domain.joining import Membership, Step, Way, next_step, why_refused
from campaign.domain.people import Person
from campaign.store import consents, ledger, people, suppressions
from campaign.store.consents import Given
from campaign.store.engine import Transaction
from campaign.store.ledger import Letter
from campaign.store.lists import MailingList
from campaign.store.people import Asked, Sealed, Subscriber, Subscription

ASK_AGAIN_AFTER: Final = timedelta(days=1)
"""A person gets one letter a day that asks for confirmation, whoever asks and for however many lists."""

CONFIRM_WITHIN: Final = timedelta(days=7)

_UNSTATED: Final = "Added to a single opt-in list by an operator who stated no consent."
_ASKED: Final = "Asked by letter to confirm, at the request of an operator."


class Joined(StrEnum):
    """What became of a request to put somebody on a list."""

    ACTIVE = "active"
    ALREADY = "already"
    ASKED = "asked"
    ASKED_BEFORE = "asked_before"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended, whether what is known about the person changed, and why it was refused."""

    joined: Joined
    changed: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody who is to be on a list: the wording they consented to, and whether an operator vouches for it."""

    person: Person
    list: str
    wording: str = ""
    vouched: bool = False
    source: Source = Source.COMMAND


async def add(kit: Kit, request: Request) -> Answer:
    """Put one person on a list: active at once with a stated consent or on a single opt-in list, else by a letter.

    Somebody who left, was erased or bounced gets the letter in any case; who complained or was blocked gets none.
    """
    now, key = kit.clock.now(), kit.keys.address_key(request.person.address)
    async with kit.store.begin() as tx:
        wanted = await listing.require(tx, request.list)
        membership = await _membership(tx, key, request.person.address.domain, wanted)
        way = Way.VOUCHED if request.vouched or wanted.opt_in is OptIn.SINGLE else Way.ASKING
        step = next_step(membership, way)
        if step is Step.REFUSE:
            return Answer(Joined.REFUSED, reason=why_refused(membership))
        await people.add(tx, sealed(kit, [(key, request.person)])[0], now)
        found = await people.find(tx, key)
        if found is None:  # deleted between the two statements
            raise Conflict("This person was erased just now.")
        changed = await _update(kit, tx, found, request.person, now)
        if request.source is Source.COMMAND and (changed or step is not Step.STAY):
            after = {"list": request.list, "step": step}
            await auditing.note(kit, tx, Deed("subscriber.add", request.person.address, after=after))
        if step is Step.STAY:
            return Answer(Joined.ALREADY, changed)
        case = _Case(found, wanted, request, now)
        joined = await (_activate if step is Step.ACTIVATE else _ask)(kit, tx, case)
    kit.doorbell.ring()
    return Answer(joined, changed)


@dataclass(frozen=True, slots=True)
class _Case:
    """One person, one list, and what is asked for."""

    person: Subscriber
    list: MailingList
    request: Request
    now: datetime


async def _membership(tx: Transaction, key: bytes, domain: str, wanted: MailingList) -> Membership:
    person, suppressed = await people.find(tx, key), await suppressions.find(tx, key, domain)
    standing = await people.subscription(tx, person.id, wanted.id) if person else None
    reason = suppressed.reason if suppressed else None
    return Membership(standing.state, standing.left_at, reason) if standing else Membership(suppressed=reason)


async def _activate(kit: Kit, tx: Transaction, case: _Case) -> Joined:
    standing = await people.subscribe(tx, case.person.id, case.list.id, SubscriptionState.ACTIVE, case.now)
    await people.confirm(tx, [standing.id], case.now)
    await _record(kit, tx, case, standing, _UNSTATED)
    return Joined.ACTIVE


async def _ask(kit: Kit, tx: Transaction, case: _Case) -> Joined:
    """Make the subscription pending where it is not, and put the letter into the ledger, a day after the last one."""
    standing = await people.subscribe(tx, case.person.id, case.list.id, SubscriptionState.PENDING, case.now)
    if standing.state is not SubscriptionState.PENDING:
        await people.leave(tx, case.person.id, [case.list.id], case.now)
        await people.rejoin(tx, standing.id, case.now)
    await _record(kit, tx, case, standing, _ASKED)
    return Joined.ASKED if await ask_by_letter(kit, tx, case.person, standing) else Joined.ASKED_BEFORE


async def _record(kit: Kit, tx: Transaction, case: _Case, standing: Subscription, default: str) -> None:
    request = case.request
    wording = await consents.wording(tx, request.wording or default, kit.settings.language)
    given = Given(wording, request.source, case.now, kit.operator)
    await consents.record(tx, [standing.id], given)


async def ask_by_letter(kit: Kit, tx: Transaction, person: Subscriber, standing: Subscription) -> bool:
    """Enqueue the letter that asks a pending person to confirm; return False when one about this list went out today.

    A letter about another list that went out today delays this one, so that nobody gets two a day.
    """
    now = kit.clock.now()
    last = await people.last_asked(tx, person.id, standing.id)
    if last is not None and now - last < ASK_AGAIN_AFTER:
        return False
    before = await people.last_asked(tx, person.id)
    count = await people.count_asking(tx, standing.id)
    facts = (person.address_key, person.address_sealed, person.domain, person.language, before)
    letter = confirmation(kit, Asked(person.id, standing.id, *facts), standing.list_language, count)
    return await ledger.enqueue(tx, letter, now) is not None


def confirmation(kit: Kit, who: Asked, list_language: str | None, count: int = 1) -> Letter:
    """Return the letter that asks somebody to confirm, the `count`th about this subscription."""
    now = kit.clock.now()
    due = now if who.before is None else max(now, who.before + ASK_AGAIN_AFTER)
    language = who.language or list_language or kit.settings.language
    return Letter(
        kind=Kind.CONFIRM,
        purpose_key=purpose_key(Kind.CONFIRM, who.subscription_id, count),
        subscriber_id=who.subscriber_id,
        subscription_id=who.subscription_id,
        address_key=who.address_key,
        address_sealed=who.address_sealed,
        domain=who.domain,
        due_at=due,
        valid_until=due + CONFIRM_WITHIN,
        variant=f"{Kind.CONFIRM.value}:{language}",
    )


def sealed(kit: Kit, found: Sequence[tuple[bytes, Person]], import_id: int | None = None) -> list[Sealed]:
    """Return people, each with the keyed hash of their mailbox, as the database keeps them."""
    addresses = kit.keys.seal_all([person.address.wire for _, person in found], purpose="address")
    names = iter(kit.keys.seal_all([person.name for _, person in found if person.name], purpose="name"))
    notes = iter(kit.keys.seal_all([_json(person.notes) for _, person in found if person.notes], purpose=SEALED))
    return [
        Sealed(
            key,
            address,
            person.address.domain,
            next(names) if person.name else None,
            person.country,
            person.language,
            person.timezone,
            _json(person.facts) if person.facts else None,
            next(notes) if person.notes else None,
            _json(person.topics) if person.topics else None,
            import_id,
        )
        for (key, person), address in zip(found, addresses, strict=True)
    ]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


async def _update(kit: Kit, tx: Transaction, found: Subscriber, person: Person, now: datetime) -> bool:
    """Change what is known about a person where the request says something else; what it does not say stays."""
    values: dict[str, str | bytes] = {
        field: value for field, value in person.attributes.items() if getattr(found, field) != value
    }
    known = kit.keys.open(found.name_sealed, purpose="name") if found.name_sealed else None
    if person.name and person.name != known:
        values["name_sealed"] = kit.keys.seal(person.name, purpose="name")
    if values:
        await people.change(tx, found.id, values, now)
    return bool(values)
