"""Sends what is due: claim, make the letter, talk to the relay, token before the dot, settle.

No transaction is open meanwhile.
It never sends twice by itself: a letter whose reply was not read stays in doubt for policy or a person to decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from campaign.actions import breaking
from campaign.actions.committing import Committer, Outcome
from campaign.actions.filling import Filled, Filling
from campaign.actions.kit import Kit
from campaign.actions.outcomes import failed, outcome_of, refused, undotted
from campaign.domain.delivery import Event
from campaign.domain.message import LetterRefused
from campaign.domain.replies import Answer, Phase, Scope, Verdict, judge
from campaign.logs import get_log, masked
from campaign.mail.transport import Conversation, Envelope, TransportFault
from campaign.store import ledger, relays, waves
from campaign.store.ledger import Claim, Claimed
from campaign.store.moves import Cause
from campaign.store.relays import MAIN_RELAY
from campaign.store.tokens import Token

_log = get_log()
BATCH: Final = 200
_LETTERS_PER_CONNECTION: Final = 1_000
_SECONDS_PER_CONNECTION: Final = 300.0
_LAST_WORDS: Final = 5
"""Seconds that writing down the last outcomes may take at the end, even without any grace."""
_LOOK: Final = 0.5
"""Seconds between two looks for letters that fell due while the last replies are awaited."""


@dataclass(slots=True)
class _Lane:
    """One drain of the relay's queue: what the connections share."""

    letters: asyncio.Queue[Claimed | None]
    stopping: asyncio.Event
    taken: int = 0
    flying: int = 0
    """Letters that were handed out and have not come to their end."""
    broken: bool = False
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    """Rung when the last flying letter has come to its end."""
    unwritten: set[asyncio.Future[None]] = field(default_factory=set)
    """Outcomes on their way to disk: at most one for each connection, because the next token waits for it there."""


class Sender:
    """One worker of the ledger: a committer, a number of connections, and an owner name that dies with the process."""

    def __init__(self, kit: Kit, owner: str, committer: Committer) -> None:
        """Send as `owner`; `committer` must be running."""
        self._kit, self._owner, self._committer = kit, owner, committer
        self._filling = Filling(kit)
        self._faulty = True

    async def drain(self, stopping: asyncio.Event) -> int:
        """Send until nothing is due, the relay rests, or `stopping` is set; return how many letters were taken."""
        async with self._kit.store.read() as tx:
            resting = await relays.paused_until(tx, MAIN_RELAY)
        if resting is not None and resting > self._kit.clock.now():
            return 0
        lane = _Lane(asyncio.Queue(maxsize=BATCH), stopping)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._kit.settings.connections):
                group.create_task(self._connection(lane))
            await self._feed(lane)
        await asyncio.gather(*lane.unwritten)
        return lane.taken

    async def _feed(self, lane: _Lane) -> None:
        """Claim in turn from the service mail and from each sending edition, until nothing is due and nothing flies.

        What falls due while the last replies are awaited is claimed, too: a relay may take ten minutes for one.
        A database that is away ends the feeding, never the letters that fly: the next tick goes on.
        """
        positions: dict[int | None, tuple[datetime, int] | None] = {}
        try:
            while not (lane.stopping.is_set() or lane.broken):
                again_from_start = any(positions.values())
                async with self._kit.store.read() as tx:
                    sources = [None, *await ledger.sending_editions(tx)]
                found = [await self._claim(lane, source, positions) for source in sources]
                if any(found) or again_from_start:
                    continue
                if not lane.flying:
                    return
                lane.landed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(lane.landed.wait(), _LOOK)
        except Exception as error:  # noqa: BLE001 -- see above
            _log.exception("claim_failed", error=str(error))
        finally:
            for _ in range(self._kit.settings.connections):
                await lane.letters.put(None)

    async def _claim(
        self, lane: _Lane, source: int | None, positions: dict[int | None, tuple[datetime, int] | None]
    ) -> bool:
        """Claim the next batch of one source, opening its waves first; say whether there may be more to claim.

        A batch is handed out before the next is claimed.
        """
        async with self._kit.store.begin() as tx:
            now = self._kit.clock.now()
            if source is not None and not await waves.open_due(tx, now):
                return True
            wanted = Claim(self._owner, source, BATCH, positions.get(source))
            letters, positions[source] = await ledger.claim(tx, wanted, now)
        lane.taken += len(letters)
        lane.flying += len(letters)
        for letter in letters:
            await lane.letters.put(letter)
        return bool(letters)

    async def _connection(self, lane: _Lane) -> None:
        """Carry letters over one connection after the other until the lane is done."""
        conversation: Conversation | None = None
        try:
            while (letter := await lane.letters.get()) is not None:
                try:
                    conversation = await self._one(lane, conversation, letter)
                except Exception as error:  # noqa: BLE001 -- one letter must not take the others at the dot with it
                    _log.exception("letter_failed", delivery=letter.id, error=str(error))
                    await self._committer.settle(failed(self._kit, letter))
                lane.flying -= 1
                if not lane.flying:
                    lane.landed.set()
        finally:
            if conversation is not None:
                await conversation.close()

    async def _one(self, lane: _Lane, conversation: Conversation | None, letter: Claimed) -> Conversation | None:
        """Carry one letter, or hand it back; return the connection for the next."""
        filled = None if lane.stopping.is_set() or lane.broken else await self._fill(letter)
        if filled is None:
            self._committer.let_go(letter.id, letter.claim_no)
            return conversation
        conversation = await self._open(lane, conversation)
        if conversation is None:
            self._committer.let_go(letter.id, letter.claim_no)
        else:
            await self._carry(lane, conversation, letter, filled)
        return conversation

    async def _fill(self, letter: Claimed) -> Filled | None:
        """Make the bytes of one letter; a letter that cannot be made, or whose time is over, is settled here."""
        now = self._kit.clock.now()
        if letter.valid_until <= now:
            await self._committer.settle(
                Outcome(Event.EXPIRE, letter.id, letter.claim_no, Cause(now, reason="too late"))
            )
            return None
        try:
            return await self._filling.fill(letter)
        except LetterRefused as error:
            _log.warning("letter_refused", delivery=letter.id, edition=letter.edition_id, error=str(error))
            await self._committer.settle(refused(letter, now, "render", str(error)))
            return None

    async def _open(self, lane: _Lane, conversation: Conversation | None) -> Conversation | None:
        """Return a connection that can carry another letter, or None when the relay cannot be reached."""
        if conversation is not None:
            age = asyncio.get_running_loop().time() - conversation.opened_at
            fresh = conversation.delivered < _LETTERS_PER_CONNECTION and age < _SECONDS_PER_CONNECTION
            if conversation.usable and fresh:
                return conversation
            await conversation.close()
        try:
            return await self._kit.relay().open()
        except TransportFault as error:
            await self._fault(lane, error.answer)
            return None

    async def _carry(self, lane: _Lane, conversation: Conversation, letter: Claimed, filled: Filled) -> None:
        """Hand one letter over and write down how it ended."""
        tokenless = False

        async def before_dot() -> bool:
            nonlocal tokenless
            try:
                return await self._committer.token(_token(letter, filled))
            except Exception:
                tokenless = True
                raise

        envelope = Envelope(filled.return_path, filled.personal.to)
        try:
            answer = await conversation.deliver(envelope, filled.body, before_dot)
        except Exception as error:  # noqa: BLE001 -- nothing was settled: what is offered stays so, and becomes a doubt
            _log.error("token_failed", delivery=letter.id, error=str(error))
            if tokenless:
                self._committer.settle(undotted(self._kit, letter))
            else:
                self._committer.let_go(letter.id, letter.claim_no)
            return
        await self._settle(lane, letter, answer)

    async def _settle(self, lane: _Lane, letter: Claimed, answer: Answer) -> None:
        """Hand the outcome to the committer before anything else can fail: what was accepted is never tried again."""
        verdict = judge(answer, first_attempt=letter.attempts == 1)
        outcome = outcome_of(self._kit, letter, answer, verdict)
        if outcome is None:
            self._committer.let_go(letter.id, letter.claim_no)
        else:
            written = self._committer.settle(outcome)
            if not written.done():
                lane.unwritten.add(written)
                written.add_done_callback(lane.unwritten.discard)
            if answer.phase is not Phase.DOT:
                await written
        await self._judge_relay(lane, letter, verdict, answer)

    async def _judge_relay(self, lane: _Lane, letter: Claimed, verdict: Verdict, answer: Answer) -> None:
        """Count what the answer says about the relay; a database that is away must not touch the letter's outcome."""
        try:
            if verdict.scope in {Scope.RELAY, Scope.CONFIGURATION} and answer.phase is not Phase.DOT:
                await self._fault(lane, answer)
            elif self._faulty and answer.reply is not None:
                async with self._kit.store.begin() as tx:
                    await relays.well(tx, MAIN_RELAY)
                self._faulty = False
            if verdict.hard and await breaking.look(self._kit, letter.edition_id):
                lane.broken = True  # what is claimed already goes back; the next drain leaves the paused edition alone
        except Exception as error:  # noqa: BLE001 -- see above
            _log.error("relay_not_judged", error=str(error))

    async def _fault(self, lane: _Lane, answer: Answer) -> None:
        """Count a fault of the relay; from the third in a row, or for wrong settings at once, the lane rests."""
        verdict = judge(answer, first_attempt=True)
        said = masked(str(answer.reply) if answer.reply else answer.fault or "")
        self._faulty = True
        async with self._kit.store.begin() as tx:
            stop = verdict.scope is Scope.CONFIGURATION
            until = await relays.fault(tx, MAIN_RELAY, f"{answer.phase}: {said}", self._kit.clock.now(), stop=stop)
        _log.warning("relay_fault", phase=answer.phase, said=said, resting_until=until and until.isoformat())
        lane.broken = lane.broken or until is not None


def _token(letter: Claimed, filled: Filled) -> Token:
    personal = filled.personal
    return Token(
        letter.id,
        letter.claim_no,
        letter.edition_id,
        filled.variant,
        personal.message_id,
        personal.date,
        filled.slots_sealed,
        MAIN_RELAY,
    )


@asynccontextmanager
async def sender(kit: Kit, owner: str) -> AsyncIterator[Sender]:
    """Run a sender's committer for the length of the block, and give it time to write down the last outcomes."""
    committer = Committer(kit, owner)
    running = asyncio.create_task(committer.run())
    try:
        yield Sender(kit, owner, committer)
    finally:
        committer.close()
        await asyncio.wait_for(running, timeout=max(kit.settings.grace_seconds, _LAST_WORDS))
