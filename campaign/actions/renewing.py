"""People of a list are asked by letter whether they still want it; those who do not answer in time leave.

Consents grow old: the law of some countries, and good sense, want them given anew. Only a letter that arrived counts:
nobody leaves because we could not ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from campaign.actions import auditing, journaling, listing
from campaign.actions.auditing import Deed
from campaign.actions.confirming import Confirmed
from campaign.actions.joining import ASK_AGAIN_AFTER
from campaign.actions.kit import Kit
from campaign.domain.addresses import printable
from campaign.domain.consent import Source, SubscriptionState
from campaign.domain.delivery import Kind, purpose_key
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.journal import Line, What
from campaign.domain.localtime import MIDNIGHT, instant_at
from campaign.domain.shapes import is_line
from campaign.domain.tokens import Purpose
from campaign.store import consents, ledger, people, renewals, staging, suppressions
from campaign.store.consents import Given
from campaign.store.engine import Transaction, repeated
from campaign.store.ledger import Letter
from campaign.store.people import Asked
from campaign.store.renewals import Answers, Renewal

SHORTEST: Final = timedelta(days=7)
"""People get a week at least to answer."""

_A_MINUTE: Final = 1_000
"""Letters that fall due in a minute, so that confirmations and the like find their way between them."""

_MAX_WORDING: Final = 2_000

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to ask: the active people of a list who have not consented since `before`; what to; how long to wait."""

    list: str
    wording: str
    before: datetime
    wait: timedelta


async def forecast(kit: Kit, order: Order) -> int:
    """Count the people who would be asked."""
    _check(order)
    async with kit.store.read() as tx:
        return await renewals.count(tx, (await listing.require(tx, order.list)).id, order.before)


def moment_of(kit: Kit, day: str | None) -> datetime:
    """Read the day before which consents are old: its first moment here; now where none is given."""
    if day is None:
        return kit.clock.now()
    try:
        return instant_at(date.fromisoformat(day.strip()), MIDNIGHT, kit.settings.timezone)
    except ValueError as error:
        raise BadInput(f"{printable(day)} is not a day.", remedy="Write --before 2025-12-31.") from error


def _check(order: Order) -> str:
    wording = " ".join(order.wording.split())
    if not wording or not is_line(wording, _MAX_WORDING):
        raise BadInput(
            "People need words to say yes to.", remedy='Write --wording "I want to get your letters about …".'
        )
    if order.wait < SHORTEST:
        raise BadInput("That is too short a time to answer.", remedy=f"Write --days {SHORTEST.days}, or more.")
    return wording


async def run(kit: Kit, order: Order, progress: Progress = lambda _asked: None) -> Renewal:
    """Ask them. The same order again goes on where it was interrupted, and asks nobody twice until it is closed."""
    wording = _check(order)
    kit.settings.require("sender", "base_url", "postal_address")
    one = await _begin(kit, order, wording)
    while one.finished_at is None:
        async with kit.store.begin() as tx:
            asked, last = await renewals.to_ask(tx, one)
            if last is None:
                await renewals.finish(tx, one.id, kit.clock.now())
                break
            if not await renewals.advance(tx, one, last, one.asked + len(asked)):
                raise Conflict("These people are being asked elsewhere at this moment.")
            letters = [_letter(kit, one, who, one.asked + number) for number, who in enumerate(asked)]
            await staging.enqueue(tx, letters, kit.clock.now())
        one = await find(kit, one.id)
        kit.doorbell.ring()
        progress(one.asked)
        await kit.store.give_way()
    return await find(kit, one.id)


async def _begin(kit: Kit, order: Order, wording: str) -> Renewal:
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        wanted = await listing.require(tx, order.list)
        words = await consents.wording(tx, wording, wanted.language or kit.settings.language)
        values = {"list_id": wanted.id, "wording_id": words, "before": order.before, "answer_by": now + order.wait}
        made = await renewals.begin(tx, {**values, "recorded_by": kit.operator, "started_at": now})
        one = await renewals.open_for(tx, wanted.id, words)
        if one is None:
            raise Conflict("This renewal was closed just now.")
        if made:
            after = {"renewal": one.id, "wording": wording, "before": order.before, "answer_by": one.answer_by}
            await auditing.note(kit, tx, Deed("consent.renew", order.list, after=after))
    return one


def _letter(kit: Kit, one: Renewal, who: Asked, number: int) -> Letter:
    """Return the letter that asks one person, `number` of all; not on the day of another one like it."""
    due = one.started_at + timedelta(minutes=number // _A_MINUTE)
    due = due if who.before is None else max(due, who.before + ASK_AGAIN_AFTER)
    language = who.language or kit.settings.language
    return Letter(
        kind=Kind.RENEW,
        purpose_key=purpose_key(Kind.RENEW, one.id, who.subscription_id),
        subscriber_id=who.subscriber_id,
        subscription_id=who.subscription_id,
        address_key=who.address_key,
        address_sealed=who.address_sealed,
        domain=who.domain,
        due_at=due,
        valid_until=max(one.answer_by, due + SHORTEST),
        variant=f"{Kind.RENEW.value}:{one.id}:{language}",
    )


@repeated
async def renew_by_link(kit: Kit, token: str) -> Confirmed:
    """Record that somebody still wants the letters, by the link of the letter that asked. Twice is fine.

    As long as they are on the list it is never too late.
    """
    link, now = kit.keys.read_link(Purpose.RENEW, token), kit.clock.now()
    async with kit.store.begin() as tx:
        standing = await people.subscription_by_id(tx, link.subscription)
        person = await people.by_id(tx, standing.subscriber_id) if standing else None
        letter, one = await people.carrier(tx, link.delivery), await renewals.of_letter(tx, link.delivery)
        if standing is None or person is None or letter is None or one is None:
            return Confirmed.GONE
        if letter.subscription_id != standing.id or standing.state is not SubscriptionState.ACTIVE:
            return Confirmed.GONE
        if await suppressions.find(tx, person.address_key, person.domain) is not None:
            return Confirmed.GONE
        given = Given(one.wording_id, Source.LETTER, now, kit.operator)
        if not await consents.record(tx, [standing.id], given, since=one.started_at):
            return Confirmed.ALREADY
        await consents.confirm(tx, standing.id, now, wording_id=one.wording_id)
    return Confirmed.ACTIVE


@dataclass(frozen=True, slots=True)
class Counted:
    """One renewal, and how those of its people answered who are on the list now."""

    renewal: Renewal
    answers: Answers


async def every(kit: Kit) -> list[Counted]:
    """Return all renewals, newest first."""
    async with kit.store.read() as tx:
        return [Counted(one, await renewals.answers(tx, one)) for one in await renewals.every(tx)]


async def find(kit: Kit, renewal_id: int) -> Renewal:
    """Return one renewal; raise NotFound."""
    async with kit.store.read() as tx:
        one = await renewals.find(tx, renewal_id)
    if one is None:
        raise NotFound(f"There is no renewal {renewal_id}.", remedy="campaign consents renewals shows them.")
    return one


async def count_silent(kit: Kit, renewal_id: int) -> int:
    """Count who would leave; raise Conflict before the day by which they may answer."""
    one = await find(kit, renewal_id)
    if kit.clock.now() < one.answer_by:
        raise Conflict(f"They may answer until {one.answer_by:%Y-%m-%d %H:%M} UTC.", remedy="Wait until then.")
    if one.finished_at is None:
        again = f"Go on with it first: campaign consents renew --list {one.list}"
        raise Conflict("Not everybody was asked: it was interrupted.", remedy=again)
    async with kit.store.read() as tx:
        return (await renewals.answers(tx, one)).silent


async def lapse(kit: Kit, renewal_id: int, progress: Progress = lambda _left: None) -> Renewal:
    """Let those leave whose letter arrived and who did not say yes. After an interruption, do it again."""
    await count_silent(kit, renewal_id)
    one, after = await find(kit, renewal_id), 0
    while True:
        async with kit.store.begin() as tx:
            last = await _lapse_some(kit, tx, one, after)
            if last is None:
                break
        after = last
        progress((await find(kit, one.id)).lapsed)
        await kit.store.give_way()
    return await find(kit, one.id)


async def _lapse_some(kit: Kit, tx: Transaction, one: Renewal, after: int) -> int | None:
    now = kit.clock.now()
    last, keys = await renewals.lapse(tx, one, after, now)
    if last is None:
        if one.closed_at is None:
            await renewals.close(tx, one.id, now)
            await auditing.note(kit, tx, Deed("consent.lapse", one.list, after={"renewal": one.id}))
        return None
    await ledger.suppress_people(tx, keys, now=now, reason="left")
    await journaling.write(kit, [Line(now, What.LEFT, key, (one.list,)) for key in keys])
    return last
