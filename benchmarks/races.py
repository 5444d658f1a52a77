"""Fires leaves, erasures, blocks, pauses, the brake and a cancel at random microseconds while letters fly.

No token commits after any of them. A witness inside the database says in which order all of it committed, and the relay
what it took. `python -m benchmarks.races [--database D] [--letters N] [--connections N] [--seed N] [--broken WHAT]`
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

from sqlalchemy import func, select

from benchmarks.audit import Score, relay_log
from benchmarks.installation import DATABASES, Installation, installation
from benchmarks.letters import prepare
from benchmarks.stage import Scene, scene, slow_relay
from benchmarks.witness import PostgresWitness, SqliteWitness, Verdict, Witness, judge
from campaign.actions import blocking, braking, campaigning, freezing, planning, reporting, subscribing, suppressing
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address
from campaign.domain.delivery import LIVE, State
from campaign.domain.editions import EditionState
from campaign.domain.errors import Conflict, NotReady
from campaign.domain.suppressing import parse_target
from campaign.logs import set_up_logs
from campaign.store import ledger
from campaign.store.schema.ledger import deliveries
from tests.postgres import Postgres

_D: Final = deliveries.c
_MAY_BE_TAKEN: Final = frozenset({State.OFFERED, State.ACCEPTED, State.IN_DOUBT, State.REFUSED})
_ARMS: Final = 4
"""So many acts are fired at once, each over a connection of its own."""
_GLANCES: Final = 5
"""So often is looked for a letter in a worker's hands: during a pause there are none."""
_GLANCE: Final = 0.03
"""Seconds between two such looks."""
_DOMAINS: Final = 3
"""Of twenty domains, so many are blocked on the way."""
_BROKEN: Final = {
    "fence": """
from sqlalchemy import true
from campaign.__main__ import run
from campaign.store import ledger
ledger.may_receive = ledger.edition_is_open = ledger.brake_is_off = true
run()
""",
    "gate": """
from campaign.__main__ import run
from campaign.store import ledger
async def gate(*_, **__): pass
ledger.gate = gate
run()
""",
}
"""Daemons that are broken: the tokens of the first ask nobody, those of the second wait for nobody (on PostgreSQL)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many letters fly, half of them of an edition that is cancelled, and how many acts are fired at them."""

    database: str = "sqlite"
    letters: int = 5_000
    connections: int = 10
    slow: float = 0.05
    """Seconds that a letter takes at the relay at most: with less, all are sent before the acts have met them."""
    seed: int = 1
    acts: int = 600
    commands: int = 2
    """How often the command line pulls the brake and pauses, too, as another program."""
    broken: str | None = None
    """What is broken on purpose: the `fence` (tokens ask nobody), or the `gate` (acts and tokens do not wait)."""

    def __str__(self) -> str:
        """Say it in a line that can be repeated."""
        without = f", without its {self.broken}" if self.broken else ""
        return f"{self.letters:,} letters, {self.acts} acts, {self.database}, seed {self.seed}{without}"


@dataclass(slots=True)
class Tally:
    """What was fired, and what the relay took although an act had come back before its token."""

    fired: Counter[str] = field(default_factory=Counter)
    hot: int = 0
    gone: set[int] = field(default_factory=set)
    """Letters that had no token when the act that stopped them came back."""
    taken_while_held: int = 0


def prove(plan: Plan, score: Score) -> None:
    """Race once, and judge by what the witness and the relay saw."""
    print(f"\n{plan}", flush=True)
    tally, verdict, counts, taken = race(plan)
    acts = ", ".join(f"{number} {what}" for what, number in sorted(tally.fired.items()))
    print(f"       fired: {acts}", flush=True)
    print(f"       committed: {verdict.tokens:,} tokens, {dict(sorted(verdict.acts.items()))}", flush=True)
    score.at_least("acts that met a letter in a worker's hands", tally.hot, plan.acts // 4)
    for what in ("left", "never", "domain", "edition", "brake"):
        score.check(f"tokens that committed after what forbade them ({what})", verdict.late[what])
    score.check("letters taken that had no token when their act came back", len(tally.gone & taken.keys()))
    score.check("letters taken during a pause or the brake without a token from before", tally.taken_while_held)
    score.check("letters taken more than once", sum(times > 1 for times in taken.values()))
    accepted = {row["id"] for count in counts for row in count if row["state"] == "accepted"}
    score.check("letters taken, and not accepted; accepted, and not taken", len(accepted ^ taken.keys()))
    score.check("tokens", verdict.tokens >= len(accepted), wanted=True)
    score.check("letters in the ledger", sum(map(len, counts)), plan.letters)


Rows = list[dict[str, Any]]


def race(plan: Plan) -> tuple[Tally, Verdict, list[Rows], Counter[int]]:
    """Run to the end; return what was fired, what the witness says, all letters, and how often each was taken."""
    with _installed(plan) as (place, witness_of), ExitStack() as stack:
        log = place.home / "relay.log"
        there = place.with_settings(smtp_url=stack.enter_context(slow_relay(log, plan.slow, plan.seed)))
        first = prepare(there, plan.letters // 2)
        second = asyncio.run(_another(there))
        witness = witness_of()
        if plan.broken == "fence":
            stack.enter_context(_fenceless())
        seen = stack.enter_context(scene(there, log, code=_BROKEN[plan.broken] if plan.broken else None))
        tally = asyncio.run(_Racer(plan, seen, (int(first), second)).run())
        seen.daemon.send_signal(signal.SIGTERM)
        assert seen.until_over() == 0, seen.log.read_text()[-4000:]
        editions = [there.rows("deliveries", "list", str(edition)) for edition in (first, second)]
        names = {row["message_id"]: row["id"] for rows in editions for row in rows if row["message_id"]}
        taken: Counter[int] = Counter()
        for (message_id, _), times in relay_log(log).items():
            taken[names[message_id]] += times
        return tally, judge(witness.seen(), witness.letters()), editions, taken


@contextmanager
def _installed(plan: Plan) -> Iterator[tuple[Installation, Callable[[], Witness]]]:
    settings: dict[str, object] = {"connections": plan.connections, "grace_seconds": 5}
    with ExitStack() as stack:
        if plan.database == "postgresql":
            server = Postgres.start(durable=True, options=PostgresWitness.OPTIONS)
            stack.callback(server.stop)
            url = server.url(server.create())
            place = stack.enter_context(installation(settings={**settings, "database_url": url}))
            yield place, lambda: PostgresWitness(url)
        else:
            place = stack.enter_context(installation(settings=settings))
            yield place, lambda: SqliteWitness(str(place.home / "campaign.db"))


@contextmanager
def _fenceless() -> Iterator[None]:
    """Let acts of this process leave the rows alone, on which they and the tokens meet."""

    async def nobody(*_: object, **__: object) -> int:
        return 0

    with mock.patch.multiple(ledger, suppress_person=nobody, suppress_domain=nobody):
        yield


async def _another(place: Installation) -> int:
    """Plan a second edition; return its id. Both are frozen, so that acts meet the letters of both from the start."""
    async with place.kit() as kit:
        second = await planning.send_now(kit, "digest", "second")
        await freezing.freeze_due(kit)
        return second.id


class _Racer:
    """Fires acts until enough were fired or no letter is left, then lets everything go on and waits for the end."""

    def __init__(self, plan: Plan, seen: Scene, editions: tuple[int, int]) -> None:
        self._plan, self._scene, self._editions = plan, seen, editions
        self._dice = random.Random(plan.seed)
        self._tally = Tally()
        self._holding = asyncio.Lock()
        self._deck = self._shuffled()
        self._domains = [f"mail{number:02}.example.org" for number in self._dice.sample(range(20), _DOMAINS)]

    async def run(self) -> Tally:
        """Race; return what was fired."""
        async with self._scene.place.kit() as kit:
            await self._until(kit, lambda _, taken: taken >= self._plan.letters // 20)
            arms = [self._fire(kit) for _ in range(_ARMS)]
            await asyncio.gather(*arms, self._command_line(), self._cancel(kit))
            await braking.release(kit)
            await self._resume(kit)
            await self._until(kit, lambda live, _: not live)
        return self._tally

    async def _fire(self, kit: Kit) -> None:
        """One arm: a random moment, an act from the deck, another moment."""
        while await self._live(kit) and self._deck:
            act = self._deck.pop()
            await asyncio.sleep(self._dice.uniform(0, 0.04))
            await act(kit)

    def _shuffled(self) -> list[Callable[[Kit], Awaitable[None]]]:
        """Make a deck of acts: mostly of single people, some that hold an edition or everything, a few domains."""
        acts = self._plan.acts
        holds = max(2, acts // 30)
        deck = [self._leave] * (acts // 2) + [self._erase] * (acts // 4) + [self._block] * (acts // 4)
        deck += [self._pause] * holds + [self._brake] * holds + [self._block_domain] * _DOMAINS
        self._dice.shuffle(deck)
        return deck

    async def _victim(self, kit: Kit) -> Address | None:
        """Choose somebody whose letter a worker has in hand; where it has none for a moment, one that waits."""
        for state in (*[State.CLAIMED] * _GLANCES, State.QUEUED):
            async with kit.store.read() as tx:
                mine = select(_D.address_sealed).where(_D.state == state, _D.address_sealed.is_not(None))
                found = (await tx.execute(mine.order_by(func.random()).limit(1))).scalar_one_or_none()
            if found is not None:
                self._tally.hot += state is State.CLAIMED
                return kit.keys.open_address(found)
            await asyncio.sleep(_GLANCE)
        return None

    async def _to(self, kit: Kit, what: str, act: Callable[[Address], Awaitable[object]]) -> None:
        """Do something to somebody, and note which of their letters have no token when it comes back."""
        address = await self._victim(kit)
        if address is None:
            return
        await act(address)
        async with kit.store.read() as tx:
            rows = await tx.execute(select(_D.id, _D.state).where(_D.address_key == kit.keys.address_key(address)))
            self._tally.gone |= {row[0] for row in rows if row[1] not in _MAY_BE_TAKEN}
        self._tally.fired[what] += 1

    async def _leave(self, kit: Kit) -> None:
        await self._to(kit, "leaves", lambda address: subscribing.leave(kit, address))

    async def _erase(self, kit: Kit) -> None:
        await self._to(kit, "erasures", lambda address: suppressing.erase(kit, address))

    async def _block(self, kit: Kit) -> None:
        await self._to(kit, "blocks", lambda address: suppressing.suppress(kit, address))

    async def _block_domain(self, kit: Kit) -> None:
        await blocking.add(kit, parse_target(f"@{self._domains.pop()}"))
        self._tally.fired["blocks of domains"] += 1

    async def _pause(self, kit: Kit) -> None:
        """Pause one edition for a moment; the others go on."""
        async with self._holding:
            edition = self._dice.choice(self._editions)
            if not await self._still_sends(campaigning.pause(kit, edition)):
                return
            await self._hold(kit, "pauses", edition)
            await self._resume(kit)

    async def _brake(self, kit: Kit) -> None:
        async with self._holding:
            await braking.pull(kit)
            await self._hold(kit, "brakes", None)
            await braking.release(kit)

    async def _hold(self, kit: Kit, what: str, edition: int | None) -> None:
        """See that in a held edition, or in all, the relay takes only what had its token when the act came back."""
        mine = select(_D.message_id).where(_D.message_id.is_not(None))
        mine = mine if edition is None else mine.where(_D.edition_id == edition)
        async with kit.store.read() as tx:
            offered = {*(await tx.execute(mine.where(_D.state.in_(_MAY_BE_TAKEN)))).scalars()}
            others = {*(await tx.execute(mine.where(_D.state.not_in(_MAY_BE_TAKEN)))).scalars()} - offered
        await asyncio.sleep(self._dice.uniform(0, 0.2))
        taken = {message_id for message_id, _ in relay_log(self._scene.relay)}
        async with kit.store.read() as tx:
            known = {*(await tx.execute(mine)).scalars()}
        self._tally.taken_while_held += len(taken & others) + len((taken & known) - offered - others)
        self._tally.fired[what] += 1

    async def _resume(self, kit: Kit) -> None:
        for edition in self._editions:
            if (await reporting.find_edition(kit, edition)).state is EditionState.PAUSED:
                await campaigning.resume(kit, edition)

    async def _command_line(self) -> None:
        """Pull the brake and pause from another program, as an operator does."""
        for _ in range(self._plan.commands):
            async with self._holding:
                for words in (["brake", "on"], ["brake", "off"]):
                    await asyncio.to_thread(self._scene.place.command, *words)
                self._tally.fired["brakes by the command line"] += 1
            await asyncio.sleep(self._dice.uniform(0, 0.5))

    async def _cancel(self, kit: Kit) -> None:
        """Cancel the second edition when half of the letters are done."""
        await self._until(kit, lambda live, _: live <= self._plan.letters // 2)
        async with self._holding:
            if await self._still_sends(campaigning.cancel(kit, self._editions[1])):
                self._tally.fired["cancels"] += 1

    async def _still_sends(self, act: Awaitable[object]) -> bool:
        """Do something to an edition; False when its last letter was faster, or another arm has cancelled it."""
        try:
            await act
        except (Conflict, NotReady):
            return False
        return True

    async def _live(self, kit: Kit) -> int:
        async with kit.store.read() as tx:
            live = select(func.count()).where(_D.state.in_(LIVE))
            return int((await tx.execute(live)).scalar_one())

    async def _until(self, kit: Kit, condition: Callable[[int, int], bool]) -> None:
        """Wait for a condition on how many letters live and how many the relay has taken."""
        async with asyncio.timeout(300):
            while not condition(await self._live(kit), self._scene.taken()):  # noqa: ASYNC110 -- another program does it
                await asyncio.sleep(0.05)


def main() -> int:
    """Read the options and race."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--database", choices=DATABASES, default="sqlite")
    options.add_argument("--broken", choices=list(_BROKEN), help="break it on purpose: the checks must fail")
    for name, default in (("letters", 5_000), ("connections", 10), ("acts", 600), ("seed", 1)):
        options.add_argument(f"--{name}", type=int, default=default)
    set_up_logs(level="warning")
    score = Score()
    prove(Plan(**vars(options.parse_args())), score)
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
