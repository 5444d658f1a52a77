"""Tells operators what needs a person: once while it lasts, by letter to CAMPAIGN_ALERTS, in the log and by `status`.

It never names a reader, and never decides what becomes of relays, domains and editions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from campaign.actions import auditing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address, printable
from campaign.domain.alerts import (
    FADES,
    PATIENCE,
    REMIND_AFTER,
    Alert,
    Trouble,
    about_domain,
    about_relay,
    edition_in,
    quoted,
    relay_topics,
)
from campaign.domain.delivery import Kind, purpose_key
from campaign.domain.editions import EditionState
from campaign.domain.errors import NotFound
from campaign.domain.replies import Reason
from campaign.logs import get_log, masked
from campaign.mail.words import FALLBACK, read_words
from campaign.store import alerts, editions, ledger, paces
from campaign.store.alerts import Standing
from campaign.store.engine import Transaction
from campaign.store.ledger import Letter

_log = get_log()
_NO_TIME: Final = timedelta(0)
_BY_ITSELF: Final = "daemon"
_GAP: Final = re.compile(r"\{([a-z_]+)\}")
_TROUBLES: Final[Mapping[Reason, Trouble]] = {
    Reason.SIGN_IN: Trouble.SIGN_IN,
    Reason.SENDER_REFUSED: Trouble.SENDER_REFUSED,
}
_STANDS: Final[Mapping[Trouble, frozenset[EditionState]]] = {
    Trouble.EDITION_STOPPED: frozenset({EditionState.PAUSED}),
    Trouble.EDITION_MISSED: frozenset({EditionState.MISSED}),
    Trouble.EDITION_WAITS: frozenset({EditionState.PLANNED, EditionState.FREEZING}),
}
"""An alert about an edition is over as soon as the edition stands elsewhere: somebody decided."""


async def raise_alert(kit: Kit, alert: Alert, unsaid: Sequence[str] = ()) -> Standing:
    """Write a trouble down and tell operators of it, unless they were told while it lasts; return how it stands.

    What a relay said is masked; `unsaid` are names that it may quote and that must not be in it, either.
    """
    async with kit.store.begin() as tx:
        return await raise_within(kit, tx, alert, unsaid)


async def raise_within(kit: Kit, tx: Transaction, alert: Alert, unsaid: Sequence[str] = ()) -> Standing:
    """Do the same in the transaction of what is told, so that neither is written down without the other."""
    said = quoted(masked(alert.said), unsaid)
    found = await alerts.raised(tx, replace(alert, said=said), kit.clock.now())
    await _tell(kit, tx, found, said)
    return found


async def relay_rests(kit: Kit, relay: str, reason: Reason, said: str) -> None:
    """Say that a relay rests after faults: of our settings at once, of its own when that lasts."""
    await raise_alert(kit, about_relay(_TROUBLES.get(reason, Trouble.RELAY_DOWN), relay, said))


async def _tell(kit: Kit, tx: Transaction, found: Standing, said: str) -> None:
    """Enqueue a letter to each operator, if it is time for one."""
    now = kit.clock.now()
    patience = PATIENCE.get(found.trouble, _NO_TIME)
    number = await alerts.notice(tx, found, said, now, patience)
    if number is None:
        return
    for address in kit.settings.alerts:
        letter = Letter(
            kind=Kind.ALERT,
            purpose_key=_purpose(kit, found.id, number, address),
            subscriber_id=None,
            subscription_id=None,
            address_key=kit.keys.address_key(address),
            address_sealed=kit.keys.seal(address.wire, purpose="address"),
            domain=address.domain,
            due_at=now,
            valid_until=now + REMIND_AFTER,  # then the next one takes its place
            variant=f"{Kind.ALERT.value}:{found.id}:{number}:{kit.settings.language}",
        )
        await ledger.enqueue(tx, letter, now)
    _log.error("alert_raised", topic=found.topic, trouble=found.trouble.value, letters=len(kit.settings.alerts))
    kit.doorbell.ring()


def _purpose(kit: Kit, alert_id: int, number: int, address: Address) -> str:
    return purpose_key(Kind.ALERT, alert_id, number, kit.keys.address_key(address).hex())


async def resolve(kit: Kit, topic: str) -> Standing:
    """Close a topic because an operator says so; raise NotFound where none is open under that name."""
    async with kit.store.begin() as tx:
        closed = await _close(kit, tx, topic.rstrip(":"), kit.operator)
        for one in closed:
            await auditing.note(kit, tx, Deed("alert.resolve", one.topic))
    if not closed:
        raise NotFound(
            f"No alert is open about {printable(topic)}.", remedy="campaign alerts list shows those that are."
        )
    return closed[0]


async def relay_well(kit: Kit, tx: Transaction, relay: str) -> None:
    """Close every topic about a relay, because it takes letters again."""
    await _close(kit, tx, relay_topics(relay), _BY_ITSELF)


async def domain_goes_on(kit: Kit, tx: Transaction, relay: str, domain: str) -> bool:
    """Close the topic about a domain at a relay, because an operator resumes it there; False where none is open."""
    return bool(await _close(kit, tx, about_domain(relay, domain, "").topic, kit.operator))


async def _close(kit: Kit, tx: Transaction, topics: str, by: str) -> list[Standing]:
    """Close topics; letters about them that still wait would say what is no longer so, and are not sent."""
    now = kit.clock.now()
    closed = await alerts.resolve(tx, topics, by, now)
    for one in closed:
        _log.info("alert_resolved", topic=one.topic, by=by)
        if one.trouble is Trouble.DOMAIN_PAUSED:
            await paces.end_pause(tx, one.facts["relay"], one.facts["domain"], now)
        keys = [_purpose(kit, one.id, one.notices, address) for address in kit.settings.alerts]
        if one.notices and keys:
            await alerts.withdraw(tx, keys, now)
    return closed


async def look(kit: Kit) -> None:
    """Close what is over by itself, and remind operators of editions that wait for them. Safe to repeat."""
    async with kit.store.read() as tx:
        found = [(one, await _is_over(kit, tx, one)) for one in await alerts.every(tx)]
    for one, over in found:
        if not over and not _may_be_due(kit, one):
            continue
        async with kit.store.begin() as tx:
            if await _is_over(kit, tx, one):
                await _close(kit, tx, one.topic, _BY_ITSELF)
            else:
                await _tell(kit, tx, one, one.said)


def _may_be_due(kit: Kit, one: Standing) -> bool:
    """An edition waits without a word; of a relay or a domain that still has trouble, somebody hears anyhow."""
    due = one.noticed_at is None or one.noticed_at <= kit.clock.now() - REMIND_AFTER
    return due and one.trouble in _STANDS


async def _is_over(kit: Kit, tx: Transaction, one: Standing) -> bool:
    if one.trouble is Trouble.DOMAIN_PAUSED:
        return one.last_at <= kit.clock.now() - FADES
    edition_id = edition_in(one.topic)
    if edition_id is None:
        return False
    edition = await editions.find(tx, edition_id)
    return edition is None or edition.state not in _STANDS[one.trouble]


@dataclass(frozen=True, slots=True)
class Told:
    """An alert in words: what happened, what Campaign did by itself, what a person can do."""

    standing: Standing
    title: str
    done: str
    advice: str

    def row(self) -> dict[str, Any]:
        """Return the alert as a JSON row."""
        one = self.standing
        return {
            "topic": one.topic,
            "what": self.title,
            "said": one.said,
            "since": one.first_at,
            "last": one.last_at,
            "count": one.count,
            "letters": one.notices,
            "done": self.done,
            "advice": self.advice,
            "commands": list(one.commands),
            "resolved_at": one.resolved_at,
            "resolved_by": one.resolved_by or None,
        }


async def told(kit: Kit, *, resolved: bool = False) -> list[Told]:
    """Return the open alerts in words, the newest first, and on demand those that are over.

    What may pass by itself is no alert before it has lasted.
    """
    now = kit.clock.now()
    async with kit.store.read() as tx:
        found = await alerts.every(tx, resolved=resolved)
    lasted = [one for one in found if (one.resolved_at or now) - one.first_at >= PATIENCE.get(one.trouble, _NO_TIME)]
    words = read_words(kit.renderer.folders[-1:]).words(FALLBACK) if lasted else {}
    names = ("alert_title", "alert_done", "alert_do")
    return [Told(one, *(_filled(words[name][one.trouble], one.facts) for name in names)) for one in lasted]


def _filled(sentence: str, facts: Mapping[str, str]) -> str:
    return _GAP.sub(lambda gap: facts.get(gap[1], gap[0]), sentence)
