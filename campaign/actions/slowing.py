"""What one lane keeps to towards recipient domains: how many letters at once and per second, and which are paused.

A domain that says "too many" is slowed down, and gets its pace back as it takes letters. It never judges a reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from campaign.actions.kit import Kit
from campaign.actions.pacing import Pacer, Pool
from campaign.domain.pace import Span
from campaign.logs import get_log
from campaign.store import paces
from campaign.store.paces import Pace, Slowing

_log = get_log()
_EACH: Final = 100
"""So many letters that a slowed domain takes make it faster again."""


class Manners:
    """One relay's paces towards domains, as this worker knows them."""

    def __init__(self, kit: Kit, relay: str, pacer: Pacer) -> None:
        """Begin with what is configured; `learn` brings what else is known."""
        self._kit, self._relay, self._pacer = kit, relay, pacer
        self._configured = kit.settings.domains
        self._paces: dict[str, Pace] = {}
        self._changed_at: dict[str, float] = {}
        """When this worker itself last changed them."""
        self.needed = bool(self._configured)
        """Whether any domain is to be treated in another way than all."""
        self._pools: dict[str, Pool] = {}
        self._flying: dict[str, int] = {}
        self._good: dict[str, int] = {}
        self.changed = asyncio.Event()
        """Set when a domain that could take no letter may take one now."""

    @property
    def paused(self) -> frozenset[str]:
        """The domains to which nothing goes by this relay."""
        now = self._kit.clock.now()
        return frozenset(domain for domain, pace in self._paces.items() if not pace.is_open(now))

    def learn(self, known: Iterable[Pace], asked_at: float) -> None:
        """Take over what the database said of this relay's domains, but for what changed here since it was asked."""
        self._changed_at = newer = {domain: at for domain, at in self._changed_at.items() if at >= asked_at}
        told = {pace.domain: pace for pace in known if pace.relay == self._relay and pace.domain not in newer}
        self._paces = told | {domain: pace for domain, pace in self._paces.items() if domain in newer}
        self.needed = bool(self._configured) or bool(self._paces)
        if not self.needed:  # nobody counts now what lands
            self._flying.clear()

    def allows(self, domain: str) -> bool:
        """Say whether a letter to this domain may go now."""
        limits, pace = self._configured.of(domain), self._paces.get(domain)
        parallel, rate = limits.parallel, float(limits.per_second or 0)
        if pace is not None:
            if not pace.is_open(self._kit.clock.now()):
                return False
            parallel, rate = pace.parallel or parallel, pace.rate or rate
        if parallel is not None and self._flying.get(domain, 0) >= parallel:
            return False
        return not rate or self._pool(domain).at_hand()

    def took(self, domain: str) -> None:
        """Count a letter that goes there."""
        self._flying[domain] = self._flying.get(domain, 0) + 1
        if (pool := self._pools.get(domain)) is not None:
            pool.take()

    def landed(self, domain: str) -> None:
        """Count a letter that came to its end; one that left before anybody counted is left out."""
        if flying := self._flying.pop(domain, 0) - 1:
            self._flying[domain] = max(flying, 0)

    def hold(self, pace: Pace) -> None:
        """Let nothing more go to a domain, because it was paused this moment; `learn` says when that is over."""
        known = self._paces.get(pace.domain, pace)
        self._change(pace.domain, replace(known, paused_until=pace.paused_until, reason=pace.reason))

    def _change(self, domain: str, pace: Pace | None) -> None:
        """Note what was written just now, None where it is as others: a look that began before does not know it."""
        self._changed_at[domain] = self._kit.clock.monotonic()
        if pace is None:
            self._paces.pop(domain, None)
        else:
            self._paces[domain], self.needed = pace, True

    def holds(self, domain: str) -> bool:
        """Say whether a letter that is in hand already may not go to this domain any more."""
        pace = self._paces.get(domain)
        return pace is not None and not pace.is_open(self._kit.clock.now())

    def is_slow(self, domain: str) -> bool:
        """Say whether this domain was slowed down."""
        pace = self._paces.get(domain)
        return pace is not None and pace.rate is not None

    async def slow_down(self, domain: str, seen: tuple[float, int]) -> None:
        """Halve the pace of a domain that asked for it; `seen` is how fast letters went there, and how many at once."""
        limits = self._configured.of(domain)
        usual = Slowing(float(limits.per_second or seen[0]), limits.parallel or max(seen[1], 1))
        async with self._kit.store.begin() as tx:
            pace = await paces.slow_down(tx, Pace(self._relay, domain), usual, self._kit.clock.now())
        self._good.pop(domain, None)
        self._change(domain, pace)
        _log.warning("domain_slowed", relay=self._relay, domain=domain, rate=pace.rate, parallel=pace.parallel)

    async def good(self, domain: str) -> None:
        """Count a letter that a slowed domain took; each hundred of them make it a tenth faster."""
        count = self._good.get(domain, 0) + 1
        self._good[domain] = count % _EACH
        if count < _EACH:
            return
        async with self._kit.store.begin() as tx:
            pace = await paces.speed_up(tx, Pace(self._relay, domain), self._kit.clock.now())
        self._change(domain, pace)

    def _pool(self, domain: str) -> Pool:
        pool = self._pools.get(domain)
        if pool is None:
            pool = self._pools[domain] = Pool(self._pacer, (self._relay, domain), lambda: self._rate(domain))
            pool.heard = lambda _: self.changed.set()
        return pool

    def _rate(self, domain: str) -> Mapping[Span, int]:
        pace = self._paces.get(domain)
        rate = (pace and pace.rate) or self._configured.of(domain).per_second or 1
        return {Span.SECOND: max(int(rate), 1)}
