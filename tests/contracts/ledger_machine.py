"""Plays workers, people, operators and a relay against the ledger, and reads its invariants off the tables each time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, func, select, update

from benchmarks import replay
from campaign.actions import (
    blocking,
    braking,
    campaigning,
    freezing,
    planning,
    recovering,
    resolving,
    subscribing,
    suppressing,
)
from campaign.actions.committing import Committer, Outcome
from campaign.actions.outcomes import outcome_of, undotted
from campaign.actions.resolving import As
from campaign.domain.campaigns import Definition, Where
from campaign.domain.consent import SubscriptionState
from campaign.domain.delivery import DOT_PATIENCE, LIVE, Event, Kind, Policy, State, purpose_key
from campaign.domain.editions import CampaignEvent, CampaignState, EditionEvent, EditionState
from campaign.domain.replies import Answer, Phase, Reply, judge
from campaign.domain.schedule import EVERYBODY, Plan, Wave
from campaign.domain.suppressing import parse_target
from campaign.store import campaigns, claims, editions, ledger, waves
from campaign.store.audiences import Audience
from campaign.store.claims import Claim, Claimed
from campaign.store.engine import Store
from campaign.store.ledger import Letter, Token
from campaign.store.moves import Cause, move
from campaign.store.presence import presence
from campaign.store.recovery import RESOLVED
from campaign.store.schema import METADATA
from campaign.store.schema.ledger import deliveries, delivery_events
from campaign.store.schema.people import subscribers, subscriptions
from campaign.store.waves import Freeze
from tests.builders import Reader, a_kit, some_readers
from tests.clocks import FrozenClock

PEOPLE: Final = 8
STEPS: Final = 30

_T = TypeVar("_T")
_FINISHED: Final = {EditionState.SENT, EditionState.CANCELLED, EditionState.SKIPPED}

_people = st.integers(0, PEOPLE - 1)
_workers = st.integers(0, 1)
_picks = st.integers(0, 99)
_seldom = st.integers(0, 4).map(lambda dice: dice == 4)
"""Little happens after some events, so a story should not be full of them."""

BEFORE_THE_DOT: Final = (
    Answer(Phase.MAIL, Reply(451, "4.3.0", "later"), None),
    Answer(Phase.RCPT, Reply(450, "4.2.0", "greylisted, try again later"), None),
    Answer(Phase.RCPT, Reply(550, "5.1.1", "no such mailbox"), None),
    Answer(Phase.RCPT, Reply(550, "5.7.1", "blocked"), None),
    Answer(Phase.DATA, None, "drop"),
    Answer(Phase.BODY, None, "drop"),
)
AT_THE_DOT: Final = (
    Answer(Phase.DOT, Reply(250, "2.0.0", "ok"), None),
    Answer(Phase.DOT, Reply(251, None, "will forward"), None),
    Answer(Phase.DOT, Reply(451, "4.3.0", "later"), None),
    Answer(Phase.DOT, Reply(550, "5.1.1", "no such mailbox after all"), None),
    Answer(Phase.DOT, Reply(554, "5.6.0", "not liked"), None),
    Answer(Phase.DOT, None, "drop"),
    Answer(Phase.DOT, None, "timeout"),
)
MINUTES: Final = (1, 7, 12, 31, 49)
"""Past a greylisting, a back-off, the patience at the dot, the lease; as hours, past the latest start and the end."""


@dataclass
class Person:
    """One reader as the model knows them; the key is how the ledger knows them."""

    reader: Reader
    key: bytes
    active: bool = True
    never: bool = False
    erased: bool = False

    @property
    def may_receive(self) -> bool:
        return self.active and not self.never


@dataclass
class Worker:
    """One process: what it claimed, and of that, what it may write a dot for."""

    name: str
    committer: Committer
    running: asyncio.Task[None]
    alive: AsyncExitStack
    claimed: dict[int, Claimed] = field(default_factory=dict)
    granted: dict[int, Claimed] = field(default_factory=dict)


class LedgerMachine(RuleBasedStateMachine):
    """A campaign with one edition and eight readers, alarms beside it, and two workers that live and die."""

    def __init__(self, url: str, home: Path) -> None:
        """Play on the database at `url`; what is in it goes."""
        super().__init__()
        self.clock = FrozenClock()
        self.runner = asyncio.Runner()
        self.store = Store(url)
        self.home = home
        self.workers: list[Worker] = []
        self.lives = self.alarms = 0
        self.taken: Counter[int] = Counter()
        self.said: dict[int, tuple[Any, ...]] = {}
        self.braked = False
        self.at_dot: dict[int, datetime] = {}
        self.may_doubt: Counter[int] = Counter()
        """How often each letter had a reason to be doubted: no answer, a death at its dot, a wait beyond patience."""

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(coroutine)

    # --- The scene -------------------------------------------------------------------------------------------------

    @initialize(policy=st.sampled_from(Policy), attempts=st.integers(1, 2), early=_seldom)
    def begin(self, policy: Policy, attempts: int, early: bool) -> None:
        """Most stories begin with an edition that sends; some see it planned and frozen. Attempts soon run out."""
        self.attempts = attempts
        self.kit = a_kit(self.store, self.clock, self.home, max_attempts=attempts)
        self.run(self._begin(policy))
        self.workers = [self.run(self._born()) for _ in range(2)]
        if not early:
            while self.state() is not EditionState.SENDING:
                self.run(self._freeze())
                self.run(freezing.start_due(self.kit))

    async def _begin(self, policy: Policy) -> None:
        async with self.store.begin() as tx:
            for table in reversed(METADATA.sorted_tables):
                await tx.execute(delete(table))
        await some_readers(self.kit, PEOPLE)
        readers = [Reader(number) for number in range(1, PEOPLE + 1)]
        self.people = [Person(reader, self.kit.keys.address_key(reader.address)) for reader in readers]
        now = self.clock.now()
        async with self.store.begin() as tx:
            list_id = (await tx.execute(select(subscriptions.c.list_id).limit(1))).scalar_one()
            definition = Definition(every="monday", lists=("supporters",), zone="UTC", policy=policy)
            await campaigns.add(tx, "news", definition, [list_id], now)
            campaign = await campaigns.find(tx, "news")
            assert campaign is not None
            await campaigns.advance(tx, campaign, CampaignEvent.APPROVE, now)
            self.campaign_id, self.list_id = campaign.id, list_id
            self.plan = Plan("every", "2027-06-01", "2027-06-01", now, now, now + timedelta(hours=6))
            [self.edition_id] = await editions.plan(tx, (campaign.id, "news"), [self.plan], now)

    async def _born(self) -> Worker:
        self.lives += 1
        name = f"worker-{self.lives}"
        alive = AsyncExitStack()
        await alive.enter_async_context(presence(self.store, name))
        committer = Committer(self.kit, name)
        return Worker(name, committer, asyncio.create_task(committer.run()), alive)

    async def _edition(self) -> editions.Edition:
        async with self.store.read() as tx:
            found = await editions.find(tx, self.edition_id)
        assert found is not None
        return found

    def state(self) -> EditionState:
        return self.run(self._edition()).state

    # --- Operators and the daemon's ticks --------------------------------------------------------------------------

    @precondition(lambda self: self.state() in {EditionState.PLANNED, EditionState.FREEZING})
    @rule()
    def freeze_a_chunk(self) -> None:
        self.run(self._freeze())

    async def _freeze(self) -> None:
        now = self.clock.now()
        async with self.store.begin() as tx:
            if await editions.advance(tx, self.edition_id, EditionEvent.FREEZE, now, cutoff=now):
                wave = Wave(EVERYBODY, now, now + timedelta(hours=6), now + timedelta(hours=48))
                await waves.set_waves(tx, self.edition_id, [wave])
        edition = await self._edition()
        async with self.store.begin() as tx:
            chunk = await waves.freeze_chunk(
                tx, Freeze(edition, Audience(edition.campaign_id, Where()), EVERYBODY, edition.cutoff or now), now
            )
            if chunk is None:
                await editions.advance(tx, self.edition_id, EditionEvent.READY, now)

    @rule()
    def start_and_finish(self) -> None:
        self.run(freezing.start_due(self.kit))

    @rule()
    def recover(self) -> None:
        self.run(self._recover())

    async def _recover(self) -> None:
        """I4: what stood at the dot is in doubt first, whatever a policy makes of the doubt."""
        e = delivery_events.c
        async with self.store.read() as tx:
            before = (await tx.execute(select(func.max(e.id)))).scalar_one() or 0
        late = self.clock.now() - DOT_PATIENCE
        self.may_doubt.update(id_ for worker in self.workers for id_ in worker.granted if self.at_dot[id_] < late)
        await recovering.recover(self.kit)
        dots = select(e.to_state).where(e.id > before, e.from_state == State.OFFERED).distinct()
        async with self.store.read() as tx:
            assert {*(await tx.execute(dots)).scalars()} <= {State.IN_DOUBT}

    @rule(on=st.booleans(), by_claim=st.booleans())
    def somebody_pulls_the_brake_or_takes_it_off(self, on: bool, by_claim: bool) -> None:
        """Whoever does it twice changes nothing; while it is on, whoever claims gets nothing."""
        changed = self.run(braking.pull(self.kit))[1] if on else self.run(braking.release(self.kit)) is not None
        assert changed is (on is not self.braked)
        self.braked = on
        if by_claim:
            self.claim(0, limit=2, service=False)
            self.claim(1, limit=2, service=True)

    @rule(decision=st.sampled_from(As))
    def an_operator_decides_about_doubts(self, decision: As) -> None:
        if decision is As.RESEND and self.state() is EditionState.CANCELLED:
            return
        doubted = self.run(resolving.in_doubt(self.kit, self.edition_id))
        resolved = self.run(resolving.resolve(self.kit, self.edition_id, decision))
        assert resolved.settled + resolved.left == doubted
        assert decision is As.RESEND or not resolved.left

    @rule(policy=st.sampled_from(Policy))
    def the_policy_changes(self, policy: Policy) -> None:
        self.run(self._redefine(policy))

    async def _redefine(self, policy: Policy) -> None:
        async with self.store.begin() as tx:
            campaign = await campaigns.find(tx, "news")
            assert campaign is not None
            changed = campaign.definition.changed({"policy": policy.value})
            await campaigns.redefine(tx, campaign, changed, [self.list_id], self.clock.now())

    async def _campaign(self) -> CampaignState:
        async with self.store.read() as tx:
            found = await campaigns.find(tx, "news")
        assert found is not None
        return found.state

    @rule(what=st.sampled_from(["pause", "resume"]))
    def an_operator_holds_the_whole_campaign(self, what: str) -> None:
        state = self.run(self._campaign())
        if what == "pause" and state is CampaignState.ACTIVE:
            self.run(campaigning.pause(self.kit, "news"))
        elif what == "resume" and state is CampaignState.PAUSED:
            self.run(campaigning.resume(self.kit, "news"))

    @rule(what=st.sampled_from(["plan", "pause", "resume", "cancel", "sweep", "alarm"]), sure=_seldom)
    def an_operator_acts(self, what: str, sure: bool) -> None:
        state = self.state()
        if what == "resume" and self.run(self._campaign()) is not CampaignState.ACTIVE:
            return
        if what == "plan":
            assert not self.run(self._plan()), "I7: one edition, however often planned"
        elif what == "pause" and state in {EditionState.READY, EditionState.SENDING}:
            self.run(campaigning.pause(self.kit, self.edition_id))
        elif what == "resume" and state is EditionState.PAUSED:
            self.run(campaigning.resume(self.kit, self.edition_id))
        elif what == "cancel" and sure and state not in {EditionState.PLANNED, *_FINISHED}:
            self.run(campaigning.cancel(self.kit, self.edition_id))
        elif what == "alarm":
            self.run(self._alarm())
        else:
            self.run(campaigning.sweep(self.kit))

    async def _plan(self) -> list[int]:
        async with self.store.begin() as tx:
            return await editions.plan(tx, (self.campaign_id, "news"), [self.plan], self.clock.now())

    @rule(by=st.sampled_from(MINUTES), long=_seldom)
    def time_passes(self, by: int, long: bool) -> None:
        self.clock.advance(timedelta(minutes=by * 60 if long else by))

    async def _alarm(self) -> None:
        now, address = self.clock.now(), Reader(99).address
        self.alarms += 1
        letter = Letter(
            Kind.ALERT,
            purpose_key(Kind.ALERT, self.alarms),
            None,
            None,
            self.kit.keys.address_key(address),
            self.kit.keys.seal(address.wire, purpose="address"),
            address.domain,
            now,
            now + timedelta(hours=48),
        )
        async with self.store.begin() as tx:
            assert await ledger.enqueue(tx, letter, now) is not None
            assert await ledger.enqueue(tx, letter, now) is None

    # --- People ----------------------------------------------------------------------------------------------------

    @rule(number=_people, what=st.sampled_from(["leaves", "leaves unnoticed", "comes back", "is blocked", "is erased"]))
    def somebody(self, number: int, what: str) -> None:
        person = self.people[number]
        if what == "leaves":
            self.run(subscribing.leave(self.kit, person.reader.address))
            person.active = False
        elif what == "leaves unnoticed":  # nobody told the ledger: the token must see it all the same
            self.run(self._leave_unnoticed(person))
            person.active = False
        elif what == "is blocked":
            self.run(suppressing.suppress(self.kit, person.reader.address))
            person.never = True
        elif what == "is erased":
            self.run(suppressing.erase(self.kit, person.reader.address))
            person.active, person.never, person.erased = False, True, True
        elif not person.never:
            self.run(self._join(person))
            person.active = True

    @rule(sure=st.integers(0, 19).map(lambda dice: dice == 19))
    def a_domain_is_blocked(self, sure: bool) -> None:
        if sure:
            self.run(blocking.add(self.kit, parse_target("@example.org")))
            for person in self.people:
                person.never = True

    async def _leave_unnoticed(self, person: Person) -> None:
        who = select(subscribers.c.id).where(subscribers.c.address_key == person.key).scalar_subquery()
        gone = {"state": SubscriptionState.LEFT, "left_at": self.clock.now()}
        async with self.store.begin() as tx:
            await tx.execute(update(subscriptions).where(subscriptions.c.subscriber_id == who).values(**gone))

    async def _join(self, person: Person) -> None:
        now = self.clock.now()
        who = select(subscribers.c.id).where(subscribers.c.address_key == person.key).scalar_subquery()
        joined = {"state": SubscriptionState.ACTIVE, "joined_at": now, "confirmed_at": now, "left_at": None}
        async with self.store.begin() as tx:
            await tx.execute(update(subscriptions).where(subscriptions.c.subscriber_id == who).values(**joined))

    # --- Workers and the relay -------------------------------------------------------------------------------------

    @rule(number=_workers, limit=st.integers(1, PEOPLE), service=_seldom)
    def claim(self, number: int, limit: int, service: bool) -> None:
        self.run(self._claim(self.workers[number], limit, service=service))

    async def _claim(self, worker: Worker, limit: int, *, service: bool) -> int:
        now = self.clock.now()
        if not service and (await self._edition()).state is not EditionState.SENDING:
            return 0
        async with self.store.begin() as tx:
            await waves.open_due(tx, now)
            wanted = Claim(worker.name, None if service else self.edition_id, limit)
            letters, _ = await claims.claim(tx, wanted, now)
        assert not (letters and self.braked), "I5: while the brake is on nothing is claimed"
        for letter in letters:
            if letter.valid_until <= now:
                await worker.committer.settle(Outcome(Event.EXPIRE, letter.id, letter.claim_no, Cause(now)))
            else:
                worker.claimed[letter.id] = letter
                worker.granted.pop(letter.id, None)
        return len(letters)

    @rule(number=_workers, answers=st.lists(st.tuples(st.sampled_from((*AT_THE_DOT, None)), st.booleans()), max_size=4))
    def carry(self, number: int, answers: list[tuple[Answer | None, bool]]) -> None:
        """What a worker does most of the time: claim, ask, write the dots, hear the answers; some it still awaits."""
        worker = self.workers[number]
        self.run(self._claim(worker, len(answers) + 1, service=False))
        self.run(self._tokens(worker, list(worker.claimed.values())))
        for (answer, unheard), letter in zip(answers, list(worker.granted.values()), strict=False):
            self._hear(worker, letter, answer, unheard=unheard)

    @precondition(lambda self: any(worker.claimed for worker in self.workers))
    @rule(which=_picks, count=st.integers(1, PEOPLE))
    def ask_for_tokens(self, which: int, count: int) -> None:
        worker, _ = self._one_of("claimed", which)
        self.run(self._tokens(worker, list(worker.claimed.values())[:count]))

    async def _tokens(self, worker: Worker, letters: list[Claimed]) -> None:
        """I5, both ways: who may not get it gets no token, and nobody else is refused one."""
        wanted = {letter.id for letter in letters if await self._may_go(worker, letter)}
        answers = await asyncio.gather(*(worker.committer.token(self._token(letter)) for letter in letters))
        granted = {letter.id for letter, yes in zip(letters, answers, strict=True) if yes}
        assert granted == wanted
        for letter in letters:
            del worker.claimed[letter.id]
            if letter.id in granted:
                worker.granted[letter.id] = letter
                self.at_dot[letter.id] = self.clock.now()
            else:
                worker.committer.let_go(letter.id, letter.claim_no)
        await self._written(worker)
        for letter in letters:
            row = await self._row(letter.id)
            if letter.id not in granted and row.claim_no == letter.claim_no and row.state in LIVE:
                back = (State.QUEUED, letter.attempts - 1)
                assert (row.state, row.attempts) == back, "what got no token goes back, and is not charged"

    async def _row(self, id_: int) -> Any:
        async with self.store.read() as tx:
            return (await tx.execute(select(deliveries).where(deliveries.c.id == id_))).one()

    async def _may_go(self, worker: Worker, letter: Claimed) -> bool:
        row, edition = await self._row(letter.id), await self._edition()
        mine = row.state is State.CLAIMED and (row.owner, row.claim_no) == (worker.name, letter.claim_no)
        mine = mine and not self.braked
        if letter.kind is not Kind.EDITION:
            return mine
        [person] = [person for person in self.people if person.key == row.address_key]
        return mine and edition.state is EditionState.SENDING and person.may_receive

    def _token(self, letter: Claimed) -> Token:
        said = f"<d.{letter.id}.{self.clock.token(6)}@example.org>"
        return Token(letter.id, letter.claim_no, "en", said, self.clock.now(), "main", letter.edition_id)

    async def _written(self, worker: Worker) -> None:
        """Wait until what was handed back is on disk: an outcome of nothing travels in the same group."""
        await worker.committer.settle(Outcome(Event.RELEASE, 0, 0, Cause(self.clock.now())))

    def _one_of(self, what: str, which: int) -> tuple[Worker, Claimed]:
        """Choose among all letters that workers claimed, or were granted a token for."""
        held = [(worker, letter) for worker in self.workers for letter in getattr(worker, what).values()]
        return held[which % len(held)]

    @precondition(lambda self: any(worker.claimed for worker in self.workers))
    @rule(which=_picks, answer=st.sampled_from(BEFORE_THE_DOT))
    def relay_refuses(self, which: int, answer: Answer) -> None:
        worker, letter = self._one_of("claimed", which)
        del worker.claimed[letter.id]
        self.run(self._answered(worker, letter, answer))

    @precondition(lambda self: any(worker.granted for worker in self.workers))
    @rule(which=_picks, answer=st.sampled_from((*AT_THE_DOT, None)), unheard=st.booleans())
    def relay_answers_the_dot(self, which: int, answer: Answer | None, unheard: bool) -> None:
        worker, letter = self._one_of("granted", which)
        self._hear(worker, letter, answer, unheard=unheard)

    def _hear(self, worker: Worker, letter: Claimed, answer: Answer | None, *, unheard: bool) -> None:
        """None: the database broke off while it committed the token, nobody was told, and no dot was written."""
        del worker.granted[letter.id]
        if answer is None:
            self.run(_settle(worker.committer, undotted(self.kit, letter)))
            return
        self.may_doubt[letter.id] += answer.reply is None
        self.taken[letter.id] += unheard if answer.reply is None else answer.reply.code // 100 == 2
        self.run(self._answered(worker, letter, answer))

    async def _answered(self, worker: Worker, letter: Claimed, answer: Answer) -> None:
        outcome = outcome_of(self.kit, letter, answer, judge(answer, first_attempt=letter.attempts == 1))
        assert outcome is not None
        before = await self._row(letter.id)
        await worker.committer.settle(outcome)
        if before.claim_no != letter.claim_no:
            after = await self._row(letter.id)
            assert after == before or outcome.bounced, "an answer counts for its own claim, and for no other"
        for person in self.people:
            person.never = person.never or person.key == outcome.bounced

    @rule(which=_picks, bounced=st.booleans())
    def evidence_comes_late(self, which: int, bounced: bool) -> None:
        """A delivery status notification says what the relay knows: of a doubt, or that no mailbox took it after all."""
        self.run(self._evidence(which, bounced=bounced))

    async def _evidence(self, which: int, *, bounced: bool) -> None:
        state = State.ACCEPTED if bounced else State.IN_DOUBT
        async with self.store.begin() as tx:
            found = await tx.execute(select(deliveries.c.id).where(deliveries.c.state == state).order_by("id"))
            letters = list(found.scalars())
            if not letters:
                return
            id_ = letters[which % len(letters)]
            cause = Cause(self.clock.now(), reason="notification")
            event = Event.BOUNCE if bounced else (Event.ACCEPT if self.taken[id_] else Event.REFUSE)
            assert await move(tx, event, state, deliveries.c.id == id_, cause) == [id_]

    @rule(number=_workers, unheard=st.integers(0, 2**8 - 1), noticed=st.booleans())
    def worker_dies(self, number: int, unheard: int, noticed: bool) -> None:
        """It dies at the dot of all it has a token for; some of them the relay took, and nobody was told."""
        worker = self.workers[number]
        for bit, id_ in enumerate(worker.granted):
            self.taken[id_] += unheard >> bit & 1
        self.may_doubt.update([*worker.granted])
        self.run(_die(worker))
        self.workers[number] = self.run(self._born())
        if noticed:
            self.recover()

    # --- What always holds -----------------------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        if self.workers:
            self.run(self._holds())

    async def _holds(self) -> None:
        e = delivery_events.c
        async with self.store.read() as tx:
            rows = {row.id: row for row in await tx.execute(select(deliveries))}
            events = (await tx.execute(select(delivery_events).order_by(e.id))).all()
            tally = (await editions.tally(tx, [self.edition_id]))[self.edition_id]
            edition = await editions.find(tx, self.edition_id)
        assert edition is not None
        assert sum(tally.values()) == edition.planned, "I1: the sums reconcile"
        live = sum(tally.get(state, 0) for state in LIVE)
        assert not (edition.state is EditionState.SENT and live), "I6: sent means that nothing is live"
        assert replay.differences(rows.values(), replay.stories(events)) == [], "I8: the events lead to the rows"
        resent = Counter(
            one.delivery_id for one in events if one.from_state is State.IN_DOUBT and one.to_state is State.QUEUED
        )
        doubts = Counter(one.delivery_id for one in events if one.to_state is State.IN_DOUBT)
        erased = {person.key for person in self.people if person.erased}
        for id_, row in rows.items():
            assert doubts[id_] <= self.may_doubt[id_], "I4: no doubt without a fault"
            assert row.address_key not in erased or row.address_sealed is row.name_sealed is None, "erased is erased"
            assert self.taken[id_] <= 1 + resent[id_], "I3: at most once, and once more for each doubt resolved so"
            sure = self.taken[id_] or row.reason == RESOLVED
            assert row.state is not State.ACCEPTED or sure, "I2: accepted is what was taken, or a named person's word"
            assert 0 <= row.attempts <= self.attempts, "I10: attempts are counted, and end"
            said = (row.message_id, row.date, row.variant)
            assert row.message_id is None or self.said.setdefault(id_, said) == said, "one Message-ID for all attempts"

    # --- The end ---------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if self.workers:
                self.run(self._everything_ends())
        finally:
            self.close()

    def close(self) -> None:
        """Leave the database as it is."""
        for worker in self.workers:
            self.run(_die(worker))
        self.run(self.store.close())
        self.runner.close()

    async def _everything_ends(self) -> None:
        """I6 and I10: whatever happened, days later every letter has its final state, or a doubt that is held."""
        for number, worker in enumerate(self.workers):
            self.may_doubt.update([*worker.granted])
            await _die(worker)
            self.workers[number] = await self._born()
        while (await self._edition()).state in {EditionState.PLANNED, EditionState.FREEZING}:
            await self._freeze()
        await braking.release(self.kit)
        self.braked = False
        if await self._campaign() is CampaignState.PAUSED:
            await campaigning.resume(self.kit, "news")
        if (await self._edition()).state is EditionState.PAUSED:
            await campaigning.resume(self.kit, self.edition_id)
        self.clock.advance(timedelta(hours=60))
        await recovering.recover(self.kit)
        await freezing.start_due(self.kit)
        if (await self._edition()).state is EditionState.MISSED:
            await planning.skip(self.kit, self.edition_id)
        await campaigning.sweep(self.kit)
        while any([await self._claim(self.workers[0], 3, service=service) for service in (False, True)]):
            pass
        await freezing.start_due(self.kit)
        async with self.store.read() as tx:
            left = (
                await tx.execute(select(deliveries.c.id, deliveries.c.state).where(deliveries.c.state.in_(LIVE)))
            ).all()
        assert not left
        assert (await self._edition()).state in _FINISHED
        await self._holds()


async def _settle(committer: Committer, outcome: Outcome) -> None:
    await committer.settle(outcome)


async def _die(worker: Worker) -> None:
    worker.running.cancel()
    await asyncio.gather(worker.running, return_exceptions=True)
    await worker.alive.aclose()


def tell_stories(url: str, home: Path, count: int, number: int | None = None) -> int:
    """Play so many stories on the database at `url`; raise the shortest that breaks a promise, else say how many ended.

    The same `number` tells the same stories.
    """
    told = 0

    class Counted(LedgerMachine):
        def teardown(self) -> None:
            nonlocal told
            super().teardown()
            told += 1

    def story() -> Counted:
        return Counted(url, home)

    quiet = list(HealthCheck)
    chosen = settings(max_examples=count, stateful_step_count=STEPS, deadline=None, suppress_health_check=quiet)
    if number is not None:
        chosen = settings(chosen, database=None)
        story = seed(number)(story)
    run_state_machine_as_test(story, settings=chosen)
    return told
