"""What the connections of one worker share: letters in hand, made a few at a time.

It never talks to a relay, and letters in hand belong to none: whichever lane has its turn takes the next. Letters are
made one after the other, because what is done again at once is done in half the time: the processor still has it at
hand.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from campaign.actions.backlog import Backlog
from campaign.actions.committing import Committer
from campaign.actions.filling import Filled, Filling
from campaign.actions.kit import Kit
from campaign.actions.lanes import Lane
from campaign.mail.transport import Envelope
from campaign.store.ledger import Claimed

_AT_ONCE: Final = 16


class Made(NamedTuple):
    """A letter in hand; `filled` is None where it is yet to be made."""

    letter: Claimed
    filled: Filled | None
    envelope: Envelope | None

    @classmethod
    def of(cls, letter: Claimed, filled: Filled) -> Made:
        """Address a letter that is made."""
        return cls(letter, filled, Envelope(filled.return_path, filled.personal.to))


class Desk:
    """One worker's letters and outcomes during one drain."""

    def __init__(self, kit: Kit, committer: Committer, filling: Filling, backlog: Backlog) -> None:
        """Take letters from `backlog`, make them with `filling`; `committer` writes down what becomes of them."""
        self.kit, self.committer, self.filling, self.backlog = kit, committer, filling, backlog
        self._pile: deque[Made] = deque()

    async def next(self, lane: Lane) -> Made | None:
        """Hand out the next letter as soon as it is this lane's turn; None when there will be no more for it."""
        while not lane.closed:
            if not lane.ready():
                if self.backlog.closed and not self._any():
                    return None
                await lane.share.glance()
            elif (made := self.next_at_once(lane)) is not None:
                return made
            elif self.backlog.closed:
                return None
            else:
                await self._arrival(lane)
        return None

    async def _arrival(self, lane: Lane) -> None:
        """Wait for a letter; one that cannot be this lane's now is left to another connection that waits."""
        lane.share.idle += 1
        try:
            await self.backlog.arrival()
        finally:
            lane.share.idle -= 1
        if lane.closed or not lane.ready():
            self.backlog.wake()

    def next_at_once(self, lane: Lane) -> Made | None:
        """Hand out the next letter if there is one, made if that needs no waiting; make a few more beside it."""
        if not lane.ready():
            return None
        if not self._pile:
            now = self.kit.clock.now()
            while len(self._pile) < _AT_ONCE and (letter := self.backlog.take()) is not None:
                filled = self._made(letter) if letter.valid_until > now else None
                self._pile.append(Made(letter, None, None) if filled is None else Made.of(letter, filled))
        if not self._pile:
            return None
        lane.took()
        return self._pile.popleft()

    def give_back(self, letter: Claimed) -> None:
        """Take back a letter that a lane took and could not carry: it is any other's."""
        self.backlog.give_back(letter)

    def let_go(self) -> None:
        """Hand what is still in hand back to the ledger, uncharged."""
        letters = [made.letter for made in self._pile]
        self._pile.clear()
        while (letter := self.backlog.take()) is not None:
            letters.append(letter)
        for letter in letters:
            self.committer.let_go(letter.id, letter.claim_no)
            self.backlog.landed(letter)

    def _any(self) -> bool:
        return bool(self._pile or len(self.backlog))

    def _made(self, letter: Claimed) -> Filled | None:
        try:
            return self.filling.at_once(letter)
        except Exception:  # noqa: BLE001 -- it is tried again in its own turn, and settled there
            return None
