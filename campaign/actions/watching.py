"""Watches editions go out: how fast, by which relay, to which domain, how long yet, and what the rest waits for.

It remembers from look to look only what makes the next one cheap. It never changes a row.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from campaign.actions import reporting, steering
from campaign.actions.kit import Kit
from campaign.actions.reporting import Count
from campaign.domain.delivery import LIVE, State
from campaign.domain.editions import EditionState
from campaign.store import brakes, paces, progress
from campaign.store.engine import Transaction
from campaign.store.paces import Pace
from campaign.store.presence import living
from campaign.store.progress import Moves

WINDOW: Final = timedelta(seconds=10)
"""Over so long a time the rate is taken."""
_AFRESH: Final = timedelta(seconds=30)
"""How long the letters of each domain are kept account of by their moves before they are counted again."""
_REASONS: Final = 3
"""Of so many reasons for another try, the relay's own words are looked up."""


class Why(StrEnum):
    """Why letters wait, or what keeps them all."""

    NO_DAEMON = "no daemon is running"
    BRAKED = "the brake is on"
    RELAY_PAUSED = "the relay is paused"
    RESTING = "the relay rests"
    USED_UP = "the relay's limits are used up"
    DOMAIN_PAUSED = "the domain is paused"
    SLOWED = "the domain asked for less"
    PAUSED = "the edition is paused"
    NOT_DUE = "not due yet"
    LATER = "tried again later"
    IN_HAND = "in hand"
    NEXT = "next in turn"
    IN_DOUBT = "in doubt"


@dataclass(frozen=True, slots=True)
class Wait:
    """One reason why something waits: how many letters (None: all that would go that way), who it is about, until when.

    `words` say more: a relay's own, or who paused it.
    """

    why: Why
    letters: int | None = None
    who: str = ""
    until: datetime | None = None
    words: str = ""

    def row(self) -> dict[str, Any]:
        """Return it as a JSON row."""
        return {
            "why": self.why.value,
            "letters": self.letters,
            "who": self.who or None,
            "until": self.until,
            "words": self.words or None,
        }


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes to one domain or by one relay: letters accepted a second, and (of a domain) how many still wait."""

    name: str
    rate: float
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """One consistent look at some editions: how they stand, how fast letters go, and what the rest waits for."""

    now: datetime
    counts: tuple[Count, ...]
    rate: float
    by_relay: tuple[Flow, ...]
    by_domain: tuple[Flow, ...]
    waits: tuple[Wait, ...]

    @property
    def left(self) -> timedelta | None:
        """How long it takes until those that could go now are gone, at this rate; None when nothing moves or waits."""
        ready = sum(one.letters or 0 for one in self.waits if one.why in {Why.NEXT, Why.IN_HAND})
        return timedelta(seconds=ready / self.rate) if self.rate and ready else None

    def row(self) -> dict[str, Any]:
        """Return the look as a JSON row."""
        return {
            "at": self.now,
            "editions": [one.row() for one in self.counts],
            "accepted_a_second": round(self.rate, 1),
            "seconds_left": None if self.left is None else round(self.left.total_seconds()),
            "relays": [{"relay": one.name, "accepted_a_second": round(one.rate, 1)} for one in self.by_relay],
            "domains": [
                {"domain": one.name, "waiting": one.waiting, "accepted_a_second": round(one.rate, 1)}
                for one in self.by_domain
            ],
            "waits": [one.row() for one in self.waits],
        }


@dataclass(slots=True)
class _Seen:
    """What the looks so far have seen of some editions: the newest event, recent acceptances, letters by domain."""

    editions: frozenset[int]
    letters: int
    event: int
    recent: deque[tuple[datetime, Counter[tuple[str, str]]]]
    live: dict[str, int]
    counted_at: datetime

    def note(self, moves: Iterable[Moves], now: datetime) -> None:
        """Take account of what moved since the last look."""
        accepted: Counter[tuple[str, str]] = Counter()
        for one in moves:
            if one.target is State.ACCEPTED and one.origin in LIVE:
                accepted[one.relay, one.domain] += one.letters
            change = (one.target in LIVE) - (one.origin in LIVE)
            if change:
                self.live[one.domain] = self.live.get(one.domain, 0) + change * one.letters
        self.recent.append((now, accepted))
        while len(self.recent) > 1 and self.recent[1][0] <= now - WINDOW:
            self.recent.popleft()

    def rates(self, now: datetime) -> Counter[tuple[str, str]]:
        """Return letters accepted within the window, by relay and domain."""
        found: Counter[tuple[str, str]] = Counter()
        for at, accepted in self.recent:
            if at > now - WINDOW:
                found.update(accepted)
        return found


@dataclass(slots=True)
class Watch:
    """Looks at editions again and again. `target` is a campaign or an edition; None means all."""

    kit: Kit
    target: str | None = None
    _seen: _Seen | None = field(default=None, init=False)

    async def look(self) -> Look:
        """Look once; the first look reads every letter that waits, the others read what moved since."""
        kit = self.kit
        attended = await living(kit.store, kit.clock.now()) > 0
        async with kit.store.read() as tx:
            now = kit.clock.now()
            counts = await reporting.count_in(tx, self.target)
            unfinished = [one for one in counts if one.edition.state in _UNFINISHED]
            seen = self._seen = await self._see(tx, unfinished, now)
            waits = [*await _keeping(kit, tx, attended=attended), *await _waits(tx, counts, unfinished, now)]
        return _look(now, counts, seen, waits)

    async def _see(self, tx: Transaction, unfinished: Sequence[Count], now: datetime) -> _Seen:
        """Take account of what moved since the last look.

        On PostgreSQL a move may come to sight after others with higher numbers, and is missed here: so the letters of
        each domain are counted anew now and then.
        """
        ids = frozenset(one.edition.id for one in unfinished)
        letters, seen = sum(one.total for one in unfinished), self._seen
        mine = sorted(ids | seen.editions) if seen else sorted(ids)  # the last letters of one that has just ended count
        event = seen.event if seen else await progress.event_before(tx, now - WINDOW)
        moves = await progress.moves_since(tx, event, mine)
        newest = await progress.last_event(tx)
        if seen is None or (seen.editions, seen.letters) != (ids, letters) or now - seen.counted_at > _AFRESH:
            recent = seen.recent if seen else deque[tuple[datetime, Counter[tuple[str, str]]]]()
            seen = _Seen(ids, letters, event, recent, {}, now)
            seen.note(moves, now)
            seen.live = await progress.live_by_domain(tx, sorted(ids))
        else:
            seen.note(moves, now)
        seen.event = newest
        return seen


_UNFINISHED: Final = frozenset({EditionState.READY, EditionState.SENDING, EditionState.PAUSED})


def _look(now: datetime, counts: Sequence[Count], seen: _Seen, waits: Sequence[Wait]) -> Look:
    """Put together what was seen; the domains for which most letters wait come first."""
    accepted, span = seen.rates(now), _span(counts, now)
    by_relay: Counter[str] = Counter()
    by_domain: Counter[str] = Counter()
    for (relay, domain), letters in accepted.items():
        by_relay[relay] += letters
        by_domain[domain] += letters
    domains = {domain: letters for domain, letters in seen.live.items() if letters > 0} | dict.fromkeys(
        by_domain.keys() - seen.live.keys(), 0
    )
    flows = [Flow(domain, by_domain[domain] / span, waiting) for domain, waiting in domains.items()]
    return Look(
        now,
        tuple(counts),
        accepted.total() / span,
        tuple(Flow(relay, letters / span) for relay, letters in sorted(by_relay.items())),
        tuple(sorted(flows, key=lambda one: (-one.waiting, -one.rate, one.name))),
        tuple(waits),
    )


def _span(counts: Iterable[Count], now: datetime) -> float:
    """Return over how many seconds the rate is taken: less than the window right after the first edition's start."""
    starts = [one.edition.started_at for one in counts if one.edition.state is EditionState.SENDING]
    since = min((start for start in starts if start is not None), default=now - WINDOW)
    return min(max((now - since).total_seconds(), 1.0), WINDOW.total_seconds())


async def _keeping(kit: Kit, tx: Transaction, *, attended: bool) -> list[Wait]:
    """Name what keeps everything, or all that would go one way that there still is."""
    now = kit.clock.now()
    found = [] if attended else [Wait(Why.NO_DAEMON)]
    if (brake := await brakes.find(tx)) is not None:
        found.append(Wait(Why.BRAKED, who=brake.pulled_by, words=brake.because))
    for relay in await steering.closed(kit, tx):
        if relay.paused_by:
            found.append(Wait(Why.RELAY_PAUSED, who=relay.name, words=relay.paused_by))
        else:
            found.append(Wait(Why.RESTING, who=relay.name, until=relay.paused_until, words=relay.reason))
    used_up = await steering.used_up(kit, tx)
    found += [Wait(Why.USED_UP, who=name, until=until) for name, until in used_up.items()]
    for pace in await paces.every(tx):
        if pace.relay not in kit.ways:
            continue
        who = f"{pace.domain} by {pace.relay}"
        if not pace.is_open(now):
            until = None if pace.paused_by else pace.paused_until
            found.append(Wait(Why.DOMAIN_PAUSED, who=who, until=until, words=pace.reason or pace.paused_by or ""))
        elif pace.rate is not None or pace.parallel is not None:
            found.append(Wait(Why.SLOWED, who=who, words=_pace(pace)))
    return found


def _pace(pace: Pace) -> str:
    """Say at most how fast letters go to a domain."""
    rate = f"{pace.rate:.3g} a second" if pace.rate is not None else ""
    parallel = f"{pace.parallel} at once" if pace.parallel is not None else ""
    return ", ".join(part for part in (rate, parallel) if part)


async def _waits(tx: Transaction, counts: Sequence[Count], unfinished: Sequence[Count], now: datetime) -> list[Wait]:
    """Name what the letters themselves wait for; their numbers add up to those that are live or in doubt."""
    held_up = [one for one in unfinished if one.edition.state is EditionState.PAUSED]
    going = [one for one in unfinished if one not in held_up]
    found = [Wait(Why.PAUSED, one.live, who=one.edition.name) for one in held_up if one.live]
    ids = [one.edition.id for one in going]
    coming, due = await progress.not_due(tx, ids, now)
    later = await progress.again_later(tx, ids, now)
    found += [Wait(Why.NOT_DUE, coming, until=due)] if coming else []
    for number, some in enumerate(later):
        words = await progress.last_words(tx, some.example) if number < _REASONS else ""
        said = " ".join(part for part in (str(some.code or ""), words) if part)
        found.append(Wait(Why.LATER, some.letters, some.reason.replace("_", " "), some.first, said))
    queued = _in(going, State.QUEUED) - coming - sum(some.letters for some in later)
    held = _in(going, State.CLAIMED) + _in(going, State.OFFERED)
    doubted = _in(counts, State.IN_DOUBT)
    for why, letters in ((Why.NEXT, queued), (Why.IN_HAND, held), (Why.IN_DOUBT, doubted)):
        found += [Wait(why, letters)] if letters > 0 else []
    return found


def _in(counts: Iterable[Count], state: State) -> int:
    return sum(one.by_state.get(state.value, 0) for one in counts)
