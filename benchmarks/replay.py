"""Replays the events of letters through the table of moves, and says where the rows tell another story.

It reads what is written down; it never mends it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select

from campaign.actions.kit import Kit
from campaign.domain.delivery import FREE_DROPS, MOVES, State
from campaign.domain.replies import Reason
from campaign.store.schema.ledger import deliveries, delivery_events

_EDGES: Final = frozenset((before, after) for (before, _), after in MOVES.items())
_FREE: Final = frozenset(
    {None, "worker died", "lease over", "no token", Reason.RELAY_DOWN, Reason.SIGN_IN, Reason.SENDER_REFUSED}
)
"""Why a letter goes back to the queue uncharged: nothing of it was tried, or the relay or our settings are to blame."""
_CHARGED: Final = frozenset({"fault", "policy", "operator", *Reason}) - _FREE - {Reason.THROTTLED}
"""Why it goes back with its attempt charged. Who is throttled may be the sender or the domain: no event says which."""


@dataclass(slots=True)
class Story:
    """What the events say of one letter: where it stands, its claims, its attempts, and how often it was in doubt."""

    state: State = State.QUEUED
    claim_no: int = 0
    least: int = 0
    most: int = 0
    doubts: int = 0
    resent: int = 0
    _drops: int = 0
    wrong: list[str] = field(default_factory=list)

    def tell(self, event: Any) -> None:
        """Add one event."""
        before, after = State(event.from_state), State(event.to_state)
        if before is not self.state:
            self.wrong.append(f"was {self.state} and moved from {before}")
        if (before, after) not in _EDGES:
            self.wrong.append(f"moved from {before} to {after}")
        if event.claim_no != self.claim_no + (after is State.CLAIMED):
            self.wrong.append(f"moved to {after} under claim {event.claim_no} after claim {self.claim_no}")
        self.state, self.claim_no = after, event.claim_no
        self.doubts += after is State.IN_DOUBT
        self.resent += before is State.IN_DOUBT and after is State.QUEUED
        self._count(before, after, event.reason)

    def _count(self, before: State, after: State, reason: str | None) -> None:
        """Count attempts: each claim is one, and some ways back to the queue are free.

        Out of doubt a letter is sent again at its own charge, unless it became known late that no dot was written.
        """
        if after is State.CLAIMED:
            self.least, self.most = self.least + 1, self.most + 1
        if after is not State.QUEUED or (before is State.IN_DOUBT and reason not in _FREE):
            return
        if reason == Reason.BROKEN_OFF:
            self._drops += 1
            free = known = self._drops <= FREE_DROPS
            known = True
        else:
            free, known = reason in _FREE, reason in _FREE or reason in _CHARGED
        self.least -= free or not known
        self.most -= free

    def compare(self, row: Any) -> list[str]:
        """Say where a row differs from its events."""
        wrong = list(self.wrong)
        if (row.state, row.claim_no) != (self.state, self.claim_no):
            wrong.append(f"is {row.state} by claim {row.claim_no}, the events say {self.state} by {self.claim_no}")
        if not self.least <= row.attempts <= self.most:
            wrong.append(f"has {row.attempts} attempts, the events say {self.least} to {self.most}")
        return wrong


def stories(events: Iterable[Any]) -> Mapping[int, Story]:
    """Tell the story of each letter from its events, given in order."""
    found: defaultdict[int, Story] = defaultdict(Story)
    for event in events:
        found[event.delivery_id].tell(event)
    return found


def differences(rows: Iterable[Any], told: Mapping[int, Story]) -> list[str]:
    """Say which rows tell another story than their events (invariant I8); none is good."""
    return [f"letter {row.id} {what}" for row in rows for what in told.get(row.id, Story()).compare(row)]


@dataclass(frozen=True, slots=True)
class Told:
    """What the events tell of each letter by its id, and where rows differ from it."""

    stories: Mapping[int, Story]
    differences: list[str]


async def read(kit: Kit) -> Told:
    """Read every letter's row and its events, in one consistent look."""
    d, e = deliveries.c, delivery_events.c
    columns = (e.delivery_id, e.from_state, e.to_state, e.claim_no, e.reason)
    async with kit.store.read() as tx:
        rows = (await tx.execute(select(d.id, d.state, d.claim_no, d.attempts).order_by(d.id))).all()
        told = stories(await tx.execute(select(*columns).order_by(e.id)))
    return Told(told, differences(rows, told))
