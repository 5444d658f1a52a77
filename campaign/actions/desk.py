"""What the connections of one worker share: letters in hand, made a few at a time.

It never talks to a relay, and letters in hand belong to none: whichever lane has its turn takes the next. Letters are
made one after the other, because what is done again at once is done in half the time: the processor still has it at
hand.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final, NamedTuple

from campaign.actions.backlog import Backlog
from campaign.actions.breaking import Breakers
from campaign.actions.committing import Committer
from campaign.actions.filling import Filled, Filling
from campaign.actions.hanging import Hanging
from campaign.actions.kit import Kit
from campaign.actions.lanes import Lane
from campaign.actions.signing import Signing
from campaign.mail.dkim import Draft, Octets
from campaign.store.claims import Claimed

_AT_ONCE: Final = 16
_AHEAD: Final = 8 * _AT_ONCE
"""So many letters are kept in hand where signatures take long, so that one is signed when its turn comes."""


class Made(NamedTuple):
    """A letter in hand; `filled` is None where it is yet to be made."""

    letter: Claimed
    filled: Filled | None


class Unsigned(NamedTuple):
    """A letter in hand whose signature is being made."""

    letter: Claimed
    filled: Filled
    draft: Draft
    promise: asyncio.Future[Octets | None]

    @property
    def made(self) -> Made:
        """The letter, once it is signed; as one yet to be made where it could not be."""
        octets = self.promise.result()
        if octets is None:
            return Made(self.letter, None)
        return Made(self.letter, self.filled._replace(body=self.draft.with_octets(octets)))


class Desk:
    """One worker's letters and outcomes during one drain."""

    def __init__(self, kit: Kit, committer: Committer, filling: Filling, backlog: Backlog, breakers: Breakers) -> None:
        """Take letters from `backlog`, make them with `filling`; `committer` and `breakers` hear how they end."""
        self.kit, self.committer, self.filling, self.backlog = kit, committer, filling, backlog
        self.breakers, self.hanging = breakers, Hanging(backlog, kit.clock.monotonic)
        self._pile: deque[Made | Unsigned] = deque()
        self._low = _AHEAD if filling.signing else 0

    async def next(self, lane: Lane) -> Made | None:
        """Hand out the next letter as soon as it is this lane's turn; None when there will be no more for it."""
        while not lane.closed:
            if not lane.ready():
                if self.backlog.closed and not self.held:
                    return None
                await lane.glance()
            elif (made := self.next_at_once(lane) or self._bold(lane)) is not None:
                return made
            elif self._pile and not lane.choosy:
                return await self._signed(lane)
            elif self.held:  # to domains that may take nothing this way now; by another they may
                self.backlog.wake()
                await lane.glance()
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
        made = self._chosen(lane) if lane.choosy else self._top()
        if made is not None:
            lane.took(made.letter)
        return made

    def _chosen(self, lane: Lane) -> Made | None:
        """Take the next letter to a domain that may take one now; none is made ahead, which might have to wait."""
        if lane.stuck:
            return None
        for number, piled in enumerate(self._pile):
            if lane.allows(piled.letter.domain):
                del self._pile[number]
                return piled if isinstance(piled, Made) else Made(piled.letter, None)
        hanging = self.hanging
        both = (lambda domain: lane.allows(domain) and hanging.allows(domain)) if hanging.wary else lane.allows
        letter = self._letter(both)
        if letter is None:
            lane.stick(starving=bool(self.held))
            return None
        return self._at_once(letter)

    def _bold(self, lane: Lane) -> Made | None:
        """Take a letter for a connection that has none, although nothing is known of its domain yet."""
        if self._pile or lane.choosy or not self.hanging.wary or (letter := self._letter(self.hanging.allows)) is None:
            return None
        lane.took(letter)
        return self._at_once(letter)

    def _letter(self, allows: Callable[[str], bool] | None) -> Claimed | None:
        """Take the next letter that is allowed; where domains hang, note whether there is one to another."""
        if not self.hanging.wary:
            return self.backlog.take(allows)
        self.hanging.count()
        letter = self.backlog.take(allows)
        self.hanging.chose(letter and letter.domain)
        return letter

    def _at_once(self, letter: Claimed) -> Made:
        """Make a letter by itself if that needs no waiting."""
        quick = self.filling.signing is None and letter.valid_until > self.kit.clock.now()
        return Made(letter, self._made(letter) if quick else None)

    def give_back(self, letter: Claimed) -> None:
        """Take back a letter that a lane took and could not carry: it is any other's."""
        self.backlog.give_back(letter)

    def let_go(self) -> None:
        """Hand what is still in hand back to the ledger, uncharged."""
        self.leave({*self.backlog.names, *(made.letter.domain for made in self._pile)})

    def leave(self, domains: Iterable[str]) -> None:
        """Hand back what is in hand to these domains."""
        for domain in domains:
            for letter in self.backlog.leave(domain):
                self.committer.let_go(letter.id, letter.claim_no)
            for made in [made for made in self._pile if made.letter.domain == domain]:
                self._pile.remove(made)
                self.committer.let_go(made.letter.id, made.letter.claim_no)
                self.backlog.landed(made.letter)

    def step_back(self, domains: Container[str]) -> None:
        """Lay letters to these domains that are made ahead back among those that wait."""
        for made in [made for made in self._pile if made.letter.domain in domains][::-1]:
            self._pile.remove(made)
            self.backlog.give_back(made.letter)
            self.backlog.landed(made.letter)

    @property
    def held(self) -> int:
        """How many letters no lane has taken yet."""
        return len(self._pile) + len(self.backlog)

    def _top(self) -> Made | None:
        """Take the top letter of the pile, unless it is being signed, and see to it that the pile does not run out."""
        while len(self._pile) <= self._low and (some := self._some()):
            self._pile.extend(some)
        if not self._pile or (isinstance(top := self._pile[0], Unsigned) and not top.promise.done()):
            return None
        top = self._pile.popleft()
        return top.made if isinstance(top, Unsigned) else top

    async def _signed(self, lane: Lane) -> Made:
        """Take the top letter of the pile, which is being signed, as soon as that is done."""
        top = self._pile.popleft()
        lane.took(top.letter)
        if isinstance(top, Unsigned):
            await top.promise
            return top.made
        return top

    def _some(self) -> Sequence[Made | Unsigned]:
        """Take a few letters, made where that needs no waiting; those whose signatures take long are being signed."""
        some: list[Made] = []
        now = self.kit.clock.now()
        allows = self.hanging.allows_ahead if self.hanging.wary else None
        while len(some) < _AT_ONCE and (letter := self._letter(allows)) is not None:
            some.append(Made(letter, self._made(letter) if letter.valid_until > now else None))
        return some if self.filling.signing is None else self._being_signed(self.filling.signing, some)

    def _being_signed(self, signing: Signing, some: Sequence[Made]) -> Sequence[Made | Unsigned]:
        """Have letters signed that are made; where that fails, they are made anew in their own turn."""
        drafts = [made.filled and self.filling.draft(made.filled) for made in some]
        promises = iter(signing.pile([draft for draft in drafts if draft is not None]))
        return [
            Unsigned(made.letter, made.filled, draft, next(promises))
            if made.filled and draft
            else Made(made.letter, None)
            for made, draft in zip(some, drafts, strict=True)
        ]

    def _made(self, letter: Claimed) -> Filled | None:
        """Make a letter if that needs no waiting."""
        try:
            return self.filling.at_once(letter) if self.filling.signing is None else self.filling.unsigned(letter)
        except Exception:  # noqa: BLE001 -- it is tried again in its own turn, and settled there
            return None
