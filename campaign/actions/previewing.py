"""Shows a letter before it goes out, and sends a test of it to one named address. It never reaches the audience."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from campaign.actions import campaigning, publishing, subscribing, wording
from campaign.actions.filling import Filling
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address, parse_address
from campaign.domain.calendar import Step
from campaign.domain.delivery import Kind, purpose_key
from campaign.domain.digest import Choice
from campaign.domain.editions import NOWHERE
from campaign.domain.errors import BadInput, Conflict
from campaign.domain.schedule import plans
from campaign.mail.composer import Reading, compile_letter, compose, read_letter
from campaign.store import ledger, letters, suppressions
from campaign.store.campaigns import Campaign
from campaign.store.ledger import Letter
from campaign.store.letters import Message

_TEST_VALID: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Preview:
    """One letter as one person would get it, and why each article is in or out."""

    step: str
    occurrence: str
    language: str
    eml: bytes
    reading: Reading
    choice: Choice
    note: str


async def preview(kit: Kit, slug: str, step: str | None = None, person: str | None = None) -> Preview:
    """Make the letter of the campaign's next edition, or of one step, as a person (or a sample reader) would get it."""
    campaign = await campaigning.find(kit, slug)
    someone = await subscribing.standing(kit, person) if person else None
    named, occurrence = await _when(kit, campaign, step)
    found = await wording.sources(kit, campaign, named, occurrence)
    definition = campaign.definition
    language = (
        (someone.language if someone else None) or definition.language or found.list_language or kit.settings.language
    )
    country = (someone.country if someone else None) or NOWHERE
    draft = wording.draft(kit, found, language, country, "preview")
    compiled = await compile_letter(kit.renderer, draft.spec)
    to = someone.address if someone else Address("reader", "example.org")
    personal = Filling(kit).personal_for(Kind.EDITION, to, someone.name if someone else "")
    eml = await compose(kit.renderer, compiled, personal)
    if kit.signer is not None:
        eml = kit.signer.sign(eml, personal.date)
    return Preview(named, occurrence, draft.spec.language, eml, read_letter(eml), draft.choice, compiled.note)


async def _when(kit: Kit, campaign: Campaign, step: str | None) -> tuple[str, str]:
    """Return the step and occurrence to show: the next of that step, or the next of all."""
    now, definition = kit.clock.now(), campaign.definition
    key_date = await publishing.key_date(kit, definition.key_date) if definition.key_date else None
    wanted = Step.parse(step).name if step else None
    coming = plans(definition, key_date, now.date() - timedelta(days=1), now.date() + timedelta(days=800))
    for one in coming:
        if one.latest_start > now and wanted in {None, one.step}:
            return one.step, one.occurrence
    if wanted is not None and coming:
        steps = ", ".join(dict.fromkeys(one.step for one in coming))
        msg = f"{campaign.slug} has no step {wanted!r} to come."
        raise BadInput(msg, remedy=f"Its steps are: {steps}.")
    return "extra", now.date().isoformat()


async def send_test(kit: Kit, slug: str, to: str, step: str | None = None) -> int:
    """Put a test of the next letter into the ledger for one named address; return its delivery id.

    Raises Conflict for a mailbox that must never be mailed: no operator may override that by typing it.
    """
    kit.settings.require("sender", "smtp_url", "base_url", "postal_address")
    address = parse_address(to)
    campaign = await campaigning.find(kit, slug)
    named, occurrence = await _when(kit, campaign, step)
    found = await wording.sources(kit, campaign, named, occurrence)
    language = campaign.definition.language or found.list_language or kit.settings.language
    draft = wording.draft(kit, found, language, NOWHERE, f"test:{kit.clock.token(9)}")
    compiled = await compile_letter(kit.renderer, draft.spec.as_test())
    now, key = kit.clock.now(), kit.keys.address_key(address)
    sealed = kit.keys.seal(address.wire, purpose="address")
    purpose = purpose_key(Kind.TEST, campaign.id, draft.variant)
    letter = Letter(
        kind=Kind.TEST,
        purpose_key=purpose,
        subscriber_id=None,
        subscription_id=None,
        address_key=key,
        address_sealed=sealed,
        domain=address.domain,
        due_at=now,
        valid_until=now + _TEST_VALID,
        variant=draft.variant,
    )
    async with kit.store.begin() as tx:
        suppressed = await suppressions.find(tx, key)
        if suppressed is not None:
            msg = f"{address} must not be mailed: {suppressed.reason} since {suppressed.since:%Y-%m-%d}."
            raise Conflict(msg, remedy="Send the test to another mailbox.")
        stored = Message(None, draft.variant, draft.spec.language, compiled.subject, compiled.dumps(), compiled.note)
        await letters.add(tx, stored)
        delivery = await ledger.enqueue(tx, letter, now)
    kit.doorbell.ring()
    return delivery or 0
