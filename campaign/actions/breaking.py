"""Stops what would ruin a list or the sender's name: an edition whose addresses look wrong, a domain that refuses us.

It never resumes an edition, and it suppresses nobody.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from campaign.actions import alerting
from campaign.actions.kit import Kit
from campaign.domain.alerts import Trouble, about_domain, about_edition, quoted
from campaign.domain.editions import EditionEvent, EditionState
from campaign.domain.refusals import Spell
from campaign.domain.replies import Answer, Outcome, Scope, Verdict
from campaign.logs import get_log, masked
from campaign.store import editions, paces
from campaign.store.claims import Claimed
from campaign.store.paces import LONGEST_REST, Pace

_log = get_log()
FIRST: Final = 500
MOST: Final = 25
"""Five per cent of the first 500 (design: global breaker)."""
_SURELY: Final = 2_000
"""So many answers are written down only when none of the first 500 can still be on its way to disk."""
NOTE: Final = (
    "Paused by itself: more than 5 % of its first addresses do not exist, or the relay says so of all. "
    "Look at campaign deliveries list; if it is right all the same, campaign resume lets it go on."
)
REST: Final = timedelta(hours=1)
"""A domain rests an hour, and twice as long each time it goes on as before: each try costs ten people their letter."""
_ENDS: Final = frozenset({Outcome.ACCEPTED, Outcome.REFUSED})


class Breakers:
    """The breakers of one worker, for as long as it lives."""

    def __init__(self, kit: Kit) -> None:
        """Begin with nothing heard."""
        self._kit = kit
        self._spells: dict[tuple[str, str], Spell] = {}
        self._passed: set[int] = set()
        """Editions that need not be looked at any more."""

    def heard(self, relay: str, domain: str, verdict: Verdict) -> bool:
        """Count an answer about one letter; say whether its domain is to be paused.

        It asks no database, and keeps nothing of domains that never refused us: it runs for every letter.
        """
        if verdict.scope is Scope.SENDER:
            return self._spells.setdefault((relay, domain), Spell()).refuse()
        if self._spells and verdict.outcome in _ENDS:
            spell = self._spells.get((relay, domain))
            if spell is not None and spell.pass_by():
                del self._spells[relay, domain]
        return False

    async def pause(self, relay: str, letter: Claimed, answer: Answer) -> Pace:
        """Pause the domain of a letter on a relay, and tell operators; what it said must not name the reader."""
        kit, domain = self._kit, letter.domain
        self._spells.pop((relay, domain), None)  # after the pause it is judged anew
        said, unsaid = str(answer.reply or answer.fault), self._names(letter)
        async with kit.store.begin() as tx:
            standing = await alerting.raise_within(kit, tx, about_domain(relay, domain, said), unsaid)
            until = kit.clock.now() + min(REST * 2 ** min(standing.count - 1, 10), LONGEST_REST)
            pace = Pace(relay, domain, paused_until=until, reason=quoted(masked(said), unsaid))
            await paces.pause(tx, pace, kit.clock.now())
        _log.error("domain_paused", relay=relay, domain=domain, until=until.isoformat())
        return pace

    def _names(self, letter: Claimed) -> list[str]:
        """Return what a relay could call the reader of a letter: the address's local part, the name and its parts."""
        keys = self._kit.keys
        local = keys.open_address(letter.address_sealed).local if letter.address_sealed else ""
        name = keys.open(letter.name_sealed, purpose="name") if letter.name_sealed else ""
        return [local, name, *name.split()]

    async def look(self, edition_id: int | None) -> bool:
        """Pause an edition when more than 25 of its first 500 answers met no mailbox; say whether it was.

        Whether it is looked at before the 500th or long after makes no difference: outcomes come in groups. A person
        who resumes it has decided: the same edition is not stopped for this again.
        """
        if edition_id is None or edition_id in self._passed:
            return False
        kit = self._kit
        async with kit.store.read() as tx:
            edition = await editions.find(tx, edition_id)
            early = await editions.early_outcomes(tx, edition_id, (MOST, FIRST), _SURELY)
        if edition is None or edition.note == NOTE or (early.answers >= _SURELY and not early.tripped):
            self._passed.add(edition_id)
            return False
        if not early.tripped:
            return False
        async with kit.store.begin() as tx:
            paused = await editions.advance(tx, edition_id, EditionEvent.PAUSE, kit.clock.now(), note=NOTE)
            if paused:
                await alerting.raise_within(kit, tx, about_edition(Trouble.EDITION_STOPPED, edition_id, edition.name))
        if paused:
            _log.error("breaker_tripped", edition=edition.name)
        return paused

    async def look_at_all(self) -> None:
        """Look at every edition that sends: no answer whose own look failed is forgotten."""
        async with self._kit.store.read() as tx:
            sending = await editions.in_states(tx, EditionState.SENDING)
        for edition in sending:
            await self.look(edition.id)
