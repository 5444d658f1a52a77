"""Says what happened: counts that add up, letters one by one, and when an edition will be done.

It never changes a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from campaign.actions.kit import Kit
from campaign.domain.delivery import LIVE, State
from campaign.domain.editions import NOWHERE, key_of
from campaign.domain.errors import NotFound
from campaign.store import campaigns, editions, letters, progress, reports
from campaign.store.campaigns import Approval, Campaign
from campaign.store.editions import Edition
from campaign.store.engine import Transaction

COLUMNS: Final = (
    "id",
    "edition",
    "address",
    "domain",
    "state",
    "relay",
    "attempts",
    "code",
    "enhanced",
    "reason",
    "message_id",
    "due_at",
    "moved_at",
)
"""What is told of each letter, in the order in which an export has it."""
_FINAL: Final = (
    State.ACCEPTED,
    State.REFUSED,
    State.BOUNCED,
    State.SUPPRESSED,
    State.EXPIRED,
    State.CANCELLED,
    State.IN_DOUBT,
)


@dataclass(frozen=True, slots=True)
class Count:
    """How the letters of one edition stand: planned = accepted + refused + … + in doubt + live, at every commit."""

    edition: Edition
    by_state: Mapping[str, int]

    @property
    def live(self) -> int:
        """Letters that still move by themselves."""
        return sum(self.by_state.get(state.value, 0) for state in LIVE)

    @property
    def total(self) -> int:
        """All letters there are."""
        return sum(self.by_state.values())

    @property
    def reconciled(self) -> bool:
        """Whether the sums add up: every planned letter is in exactly one state."""
        return self.total == self.edition.planned

    def row(self) -> dict[str, Any]:
        """Return the count as a JSON row."""
        edition = self.edition
        return {
            "id": edition.id,
            "edition": edition.name,
            "campaign": edition.campaign,
            "state": edition.state.value,
            "starts_at": edition.starts_at,
            "planned": edition.planned,
            **{state.value: self.by_state.get(state.value, 0) for state in _FINAL},
            "live": self.live,
            "excluded": dict(edition.excluded),
            "reconciled": self.reconciled,
            "note": edition.note,
        }


async def counts(kit: Kit, target: str | None = None) -> list[Count]:
    """Count the letters of all editions, of one campaign's, or of one edition, in one consistent look."""
    async with kit.store.read() as tx:
        return await count_in(tx, target)


async def count_in(tx: Transaction, target: str | None) -> list[Count]:
    """Do the same within a look that is open already."""
    found = await _editions(tx, target)
    tally = await editions.tally(tx, [edition.id for edition in found])
    return [Count(edition, tally[edition.id]) for edition in found]


@dataclass(frozen=True, slots=True)
class Spread:
    """How the letters of some editions that went by one relay, or to one domain, stand."""

    name: str
    by_state: Mapping[str, int]

    @property
    def total(self) -> int:
        """All letters there are."""
        return sum(self.by_state.values())


async def spread(kit: Kit, target: str) -> tuple[list[Spread], list[Spread]]:
    """Count the letters of a campaign or an edition by relay, and by domain, the most letters first.

    Letters that no relay took up yet stand under no name. Domains of few people are shown: docs/decisions/0024.
    """
    async with kit.store.read() as tx:
        found = await _editions(tx, target)
        rows = await progress.by_relay_and_domain(tx, [edition.id for edition in found])
    tallies: tuple[dict[str, Counter[str]], dict[str, Counter[str]]] = ({}, {})
    for relay, domain, state, number in rows:
        for tally, name in zip(tallies, (relay, domain), strict=True):
            tally.setdefault(name, Counter())[state.value] += number
    by_relay, by_domain = ([Spread(name, states) for name, states in tally.items()] for tally in tallies)
    return _most_first(by_relay), _most_first(by_domain)


def _most_first(found: list[Spread]) -> list[Spread]:
    return sorted(found, key=lambda one: (-one.total, one.name))


async def _editions(tx: Transaction, target: str | None) -> list[Edition]:
    if target is None:
        return [e for c in await campaigns.every(tx) for e in await editions.of_campaign(tx, c.id)]
    edition = await editions.find(tx, key_of(target))
    if edition is not None:
        return [edition]
    campaign = await campaigns.find(tx, target)
    if campaign is None:
        msg = f"There is no campaign and no edition {target!r}."
        raise NotFound(msg, remedy="campaign status shows all campaigns, campaign editions list all editions.")
    return await editions.of_campaign(tx, campaign.id)


async def find_edition(kit: Kit, key: str | int) -> Edition:
    """Return an edition by its id or name; raise NotFound."""
    async with kit.store.read() as tx:
        found = await editions.find(tx, key_of(key) if isinstance(key, str) else key)
    if found is None:
        msg = f"There is no edition {key!r}."
        raise NotFound(msg, remedy="campaign editions list shows them all.")
    return found


@dataclass(frozen=True, slots=True)
class Said:
    """What the letters of one language say in an edition, to readers of which languages and helpline countries."""

    language: str
    subject: str
    readers: tuple[str, ...]
    countries: tuple[str, ...]
    note: str


async def one_edition(kit: Kit, key: str | int) -> tuple[Count, int, list[Said]]:
    """Return one edition with its counts, how many letters an operator called accepted, and what each variant says."""
    edition = await find_edition(kit, key)
    async with kit.store.read() as tx:
        tally = await editions.tally(tx, [edition.id])
        messages = await letters.of_edition(tx, edition.id)
        by_word = await reports.accepted_by_word(tx, edition.id)
    return Count(edition, tally[edition.id]), by_word, _gathered(messages)


def _gathered(messages: Sequence[tuple[str, str, str, str]]) -> list[Said]:
    """Tell variants (`7:pt:BR`) with the same words together."""
    found: dict[tuple[str, str], Said] = {}
    for variant, language, subject, note in messages:
        _, reader, country = variant.rsplit(":", 2)
        said = found.get((language, subject), Said(language, subject, (), (), note))
        readers = tuple(dict.fromkeys((*said.readers, reader)))
        countries = tuple(sorted({*said.countries, *([country] if country != NOWHERE else [])}))
        found[language, subject] = replace(said, readers=readers, countries=countries)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Overview:
    """One campaign at a glance."""

    campaign: Campaign
    counts: tuple[Count, ...]
    approval: Approval | None


async def overview(kit: Kit) -> list[Overview]:
    """Return every campaign with its editions' counts."""
    found = []
    async with kit.store.read() as tx:
        for campaign in await campaigns.every(tx):
            mine = await editions.of_campaign(tx, campaign.id)
            tally = await editions.tally(tx, [edition.id for edition in mine])
            approval = await campaigns.last_approval(tx, campaign.id)
            counted = tuple(Count(edition, tally[edition.id]) for edition in mine)
            found.append(Overview(campaign, counted, approval))
    return found


async def deliveries(kit: Kit, target: str, state: State | None = None) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the letters of a campaign or edition as JSON rows, whole and unpaged; erased addresses are null."""
    async with kit.store.read() as tx:
        found = await _editions(tx, target)
        async for one in reports.letters(tx, [edition.id for edition in found], state):
            yield {
                "id": one.id,
                "address": kit.keys.open(one.address_sealed, purpose="address") if one.address_sealed else None,
                "state": one.state.value,
                "relay": one.relay,
                "attempts": one.attempts,
                "message_id": one.message_id,
                "code": one.code,
                "edition": one.edition,
                "reason": one.reason,
                "due_at": one.due_at,
                "moved_at": one.moved_at,
                "enhanced": one.enhanced,
                "domain": one.domain,
            }
