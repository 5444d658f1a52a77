"""Letters in hand that wait for a connection, by the domain they go to. It never claims, sends or writes one.

The next letter is one to the domain with the fewest letters in the air, in turn among equals: a domain that is slow or
dead holds as many connections as are left over by the others, and never theirs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, KeysView
from typing import Final

from campaign.store.claims import Claimed

_FULL: Final = 64
"""So many letters to one domain in hand are enough, when others wait in the ledger."""


class Backlog:
    """What one worker has claimed and not yet handed out."""

    def __init__(self, low: int = 0) -> None:
        """Begin with nothing in hand; fewer letters than `low` are too few."""
        self._low = low
        self._waiting: dict[str, deque[Claimed]] = {}
        self._flying: dict[str, int] = {}
        self._turns: list[OrderedDict[str, None]] = []
        """The domains that wait, in turn: those without a letter in the air, those with one, with two and so on."""
        self._size = 0
        self.aloft = 0
        """Letters that were handed out and have not come to their end."""
        self.closed = False
        self._wanted: deque[asyncio.Future[None]] = deque()
        self._feeder: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many letters wait here."""
        return self._size

    @property
    def domains(self) -> int:
        """To how many domains the letters that wait here go."""
        return len(self._waiting)

    @property
    def names(self) -> KeysView[str]:
        """The domains to which letters wait here."""
        return self._waiting.keys()

    @property
    def crowded(self) -> frozenset[str]:
        """The domains of which enough letters are in hand."""
        return frozenset(domain for domain, letters in self._waiting.items() if len(letters) >= _FULL)

    def flying(self, domain: str) -> int:
        """How many letters to a domain are in the air."""
        return self._flying.get(domain, 0)

    def has_others(self, domain: str) -> bool:
        """Whether letters to other domains are in hand: in the air, or waiting for their turn."""
        return self.aloft > self.flying(domain) or self.domains > (domain in self._waiting)

    def put(self, letters: Iterable[Claimed]) -> None:
        """Take letters in hand, and wake as many connections."""
        for letter in letters:
            queue = self._waiting.get(letter.domain)
            if queue is None:
                self._waiting[letter.domain] = deque((letter,))
                self._queue_up(letter.domain, self.flying(letter.domain))
            else:
                queue.append(letter)
            self._size += 1
            self.wake()

    def close(self) -> None:
        """Say that no more letters will come: who waits is told so."""
        self.closed = True
        while self._wanted:
            self.wake()

    def take(self, allows: Callable[[str], bool] | None = None) -> Claimed | None:
        """Hand out the next letter, if there is one; only to a domain that `allows` says yes to, where it is given."""
        for domains in filter(None, self._turns):
            for domain in domains:
                if allows is None or allows(domain):
                    return self._first_to(domain)
        return None

    def _first_to(self, domain: str) -> Claimed:
        """Hand out the next letter to a domain that waits for its turn."""
        queue, flying = self._waiting[domain], self._flying.get(domain, 0)
        letter = queue.popleft()
        del self._turns[flying][domain]
        self._flying[domain] = flying + 1
        self._size -= 1
        self.aloft += 1
        if queue:
            self._queue_up(domain, flying + 1)
        else:
            del self._waiting[domain]
        if not queue or self._size < self._low:
            self._tell_feeder()
        return letter

    def leave(self, domain: str) -> list[Claimed]:
        """Hand out all letters to a domain, to be let go: they are not in the air."""
        letters = list(self._waiting.pop(domain, ()))
        if letters:
            del self._turns[self.flying(domain)][domain]
        self._size -= len(letters)
        return letters

    async def arrival(self) -> None:
        """Wait until there is a letter for whoever waits, or there will be none."""
        if self.closed:
            return
        wanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted.append(wanted)
        await wanted

    def give_back(self, letter: Claimed) -> None:
        """Take back a letter that was handed out and has not landed yet: it is the next to its domain."""
        queue = self._waiting.get(letter.domain)
        if queue is None:
            self._waiting[letter.domain] = deque((letter,))
            self._queue_up(letter.domain, self.flying(letter.domain))
        else:
            queue.appendleft(letter)
        self._size += 1
        self.wake()

    def landed(self, letter: Claimed) -> None:
        """Note that a letter came to its end, whichever."""
        domain = letter.domain
        flying = self._flying[domain] - 1
        if flying:
            self._flying[domain] = flying
        else:
            del self._flying[domain]
        if domain in self._waiting:
            del self._turns[flying + 1][domain]
            self._queue_up(domain, flying)
        self.aloft -= 1
        if not self.aloft:
            self._tell_feeder()

    async def moved(self, seconds: float) -> None:
        """Wait until few letters are left, or none to some domain, or none in the air; so long at most."""
        self._feeder = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._feeder}, timeout=seconds)

    def _tell_feeder(self) -> None:
        if self._feeder is not None and not self._feeder.done():
            self._feeder.set_result(None)

    def _queue_up(self, domain: str, flying: int) -> None:
        """Let a domain wait for its turn behind the others that have as many letters in the air."""
        while len(self._turns) <= flying:
            self._turns.append(OrderedDict())
        self._turns[flying][domain] = None

    def wake(self) -> None:
        """Wake one connection that waits for a letter; who was woken and cannot take it must wake another."""
        while self._wanted:
            wanted = self._wanted.popleft()
            if not wanted.done():
                wanted.set_result(None)
                return
