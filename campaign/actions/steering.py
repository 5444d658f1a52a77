"""Pauses relays and recipient domains, lets them go on, tries a relay. It never hands over anybody's letter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaign.actions import alerting
from campaign.actions.auditing import Deed, note
from campaign.actions.kit import Kit, Relay
from campaign.domain.addresses import parse_address, printable
from campaign.domain.errors import BadInput, CampaignError
from campaign.domain.replies import Outcome, judge
from campaign.logs import masked
from campaign.mail.probe import probe
from campaign.mail.transport import Envelope, Welcome
from campaign.store import paces, permits, relays
from campaign.store.engine import Transaction
from campaign.store.paces import Pace
from campaign.store.permits import Ask


@dataclass(frozen=True, slots=True)
class Standing:
    """One relay as it is set, and as it stands: `open`, `resting` after faults, `paused` by hand, or `used up`.

    Used up are its limits, `used_up_until` then.
    """

    relay: Relay
    connections: int
    known: relays.Relay
    state: str
    domains: tuple[Pace, ...] = ()
    used_up_until: datetime | None = None

    def row(self) -> dict[str, Any]:
        """Return it as plain data, without any credential."""
        limits = self.relay.limits
        warm = limits.warm_up
        return {
            "name": self.relay.name,
            "state": self.state,
            "weight": self.relay.weight,
            "connections": self.connections,
            "per_second": limits.per_second,
            "per_minute": limits.per_minute,
            "per_hour": limits.per_hour,
            "per_day": limits.per_day,
            "warm_up": warm and {"from": warm.start, "first_day": warm.first_day, "growth": warm.growth},
            "paused_by": self.known.paused_by,
            "resting_until": self.known.paused_until if self.state == "resting" else None,
            "used_up_until": self.used_up_until,
            "faults": self.known.faults,
            "reason": self.known.reason,
            "domains": list(self.domains),
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """How a relay answered: what it offers, and what it said to a test letter, if one was sent."""

    name: str
    welcome: Welcome
    said: str | None = None


async def standings(kit: Kit, name: str | None = None) -> list[Standing]:
    """Return how all relays stand, or one of them."""
    wanted = kit.require_relays() if name is None else (kit.relay(name),)
    now = kit.clock.now()
    async with kit.store.read() as tx:
        known = {one.name: one for one in await relays.every(tx)}
        slowed = await paces.every(tx)
        full = await used_up(kit, tx)
    found = []
    for relay in wanted:
        row = known.get(relay.name, relays.Relay(relay.name))
        until = full.get(relay.name)
        state = "paused" if row.paused_by else "resting" if not row.is_open(now) else "used up" if until else "open"
        mine = tuple(one for one in slowed if one.relay == relay.name)
        found.append(Standing(relay, relay.connections or kit.settings.connections, row, state, mine, until))
    return found


async def held_up(kit: Kit) -> list[Standing]:
    """Return how those relays stand that may be handed nothing at this moment."""
    return [one for one in await standings(kit) if one.state != "open"] if kit.relays else []


async def used_up(kit: Kit, tx: Transaction) -> dict[str, datetime]:
    """Return the relays that have used up a limit, and until when."""
    now, found = kit.clock.now(), dict[str, datetime]()
    for relay in kit.relays:
        if limits := relay.limits.on(now.date()):
            until = await permits.used_up_until(tx, Ask(relay.name, "", limits, 0), now)
            found |= {relay.name: until} if until else {}
    return found


async def closed(kit: Kit, tx: Transaction) -> list[relays.Relay]:
    """Return the relays that rest or are paused; one that is set no more is none."""
    now = kit.clock.now()
    return [one for one in await relays.every(tx) if one.name in kit.ways and not one.is_open(now)]


async def pause(kit: Kit, name: str, domain: str | None = None) -> bool:
    """Let nothing more go to a relay, or by it to one domain, until it is resumed; False when it was paused already.

    A running daemon notices within two seconds: it finishes the letters that it is handing over, begins no other, and
    leaves those in hand to the other relays.
    """
    relay, now = kit.relay(name), kit.clock.now()
    where = None if domain is None else _domain(domain)
    async with kit.store.begin() as tx:
        if where is None:
            done = await relays.pause(tx, relay.name, kit.operator)
        else:
            done = await paces.pause(tx, Pace(relay.name, where, paused_by=kit.operator), now)
        if done:
            await note(kit, tx, Deed("relay.pause", relay.name, after={"domain": where} if where else None))
    return done


async def resume(kit: Kit, name: str, domain: str | None = None) -> bool:
    """Let letters go there again, and forget faults and slowness; False when nothing stood in the way.

    What was raised about that domain is settled by it; about a relay, it is when the relay takes letters.
    """
    relay, now = kit.relay(name), kit.clock.now()
    where = None if domain is None else _domain(domain)
    async with kit.store.begin() as tx:
        if where is None:
            known = await relays.resume(tx, relay.name)
            changed = known is not None and (known.faults > 0 or not known.is_open(now))
        else:
            held = await paces.resume(tx, relay.name, where, now)
            changed = await alerting.domain_goes_on(kit, tx, relay.name, where) or held is not None
        if changed:
            await note(kit, tx, Deed("relay.resume", relay.name, after={"domain": where} if where else None))
    if changed:
        kit.doorbell.ring()
    return changed


async def attempt(kit: Kit, name: str, address: str | None = None) -> Trial:
    """Connect and sign in as sending would; with an address, send one test letter through just this relay.

    That letter is no row of the ledger: it is tried once, here and now. Raises TransportFault where the relay cannot be
    reached or does not let us in, and CampaignError with its words where it does not take the letter.
    """
    relay = kit.relay(name)
    recipient = None if address is None else parse_address(address)
    conversation = await relay.transport.open()
    try:
        welcome = conversation.welcome
        if recipient is None:
            return Trial(relay.name, welcome)
        sender = kit.settings.sender
        if sender is None:
            raise BadInput("A letter needs a sender.", remedy="Set CAMPAIGN_SENDER in .env.")
        message_id, now = f"<t.{kit.clock.token(12)}@{sender.address.domain}>", kit.clock.now()
        body = probe((sender.name, sender.address), recipient, relay=relay.name, message_id=message_id, date=now)
        body = body if kit.signer is None else kit.signer.sign(body, now)
        answer = await conversation.deliver(Envelope(sender.address.wire, recipient), body, _yes)
    finally:
        await conversation.close()
    async with kit.store.begin() as tx:
        await note(kit, tx, Deed("relay.test", relay.name, after={"to": recipient.wire}))
    said = masked(str(answer.reply) if answer.reply else answer.fault or "")
    if judge(answer, first_attempt=True).outcome is not Outcome.ACCEPTED:
        msg = f"The relay {relay.name} did not take the letter. At {answer.phase} it said: {said}"
        raise CampaignError(msg, remedy="Its log says more about why.")
    return Trial(relay.name, welcome, said)


async def _yes() -> bool:
    return True


def _domain(text: str) -> str:
    """Return a domain as the ledger writes it; raise BadInput for anything else."""
    try:
        return parse_address(f"reader@{text.strip().removeprefix('@')}").domain
    except BadInput as error:
        msg = f"{printable(text)} is not a domain."
        raise BadInput(msg, remedy="Write it like example.org.") from error
