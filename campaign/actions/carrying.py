"""Carries letters over one connection: make it, propose it, ask for the token, write the dot, hear the answer, settle.

While one letter's token is on its way to disk the next one is made, and it is proposed in one breath with the dot. No
transaction is open meanwhile, and nothing is sent twice by itself: a letter whose answer was not heard stays in doubt.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, NamedTuple

from campaign.actions import breaking
from campaign.actions.backlog import Backlog
from campaign.actions.committing import Committer, Outcome
from campaign.actions.filling import Filled, Filling
from campaign.actions.kit import Kit
from campaign.actions.lanes import Lane
from campaign.actions.outcomes import failed, outcome_of, refused, undotted
from campaign.domain.delivery import Event
from campaign.domain.message import LetterRefused
from campaign.domain.replies import Answer, Phase, Scope, Verdict, judge
from campaign.logs import get_log
from campaign.mail.transport import Conversation, Envelope, TransportFault
from campaign.store.ledger import Claimed
from campaign.store.moves import Cause
from campaign.store.tokens import Token

_log = get_log()
_LETTERS_PER_CONNECTION: Final = 1_000
_SECONDS_PER_CONNECTION: Final = 300.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What the connections of one worker share."""

    kit: Kit
    committer: Committer
    filling: Filling
    backlog: Backlog
    unwritten: set[asyncio.Future[None]]
    """Outcomes on their way to disk: a few for each connection, because the next token waits for them there."""

    def settle(self, outcome: Outcome) -> asyncio.Future[None]:
        """Hand an outcome to the committer, and know of it until it is on disk."""
        written = self.committer.settle(outcome)
        if not written.done():
            self.unwritten.add(written)
            written.add_done_callback(self.unwritten.discard)
        return written


class _Ready(NamedTuple):
    """A letter that is made, for this connection."""

    letter: Claimed
    filled: Filled
    envelope: Envelope


class Carrier:
    """One connection after the other to one relay, for as long as there are letters and the lane is open."""

    def __init__(self, desk: Desk, lane: Lane) -> None:
        """Carry what is on the desk down `lane`."""
        self._desk, self._lane = desk, lane
        self._kit, self._committer, self._backlog = desk.kit, desk.committer, desk.backlog
        self._conversation: Conversation | None = None
        self._taken: Claimed | None = None
        self._ahead: _Ready | None = None

    async def run(self) -> None:
        """Carry letters until there are no more, or the lane closes; what is in hand then goes back."""
        try:
            while (letter := await self._next()) is not None:
                try:
                    if (ready := await self._made(letter)) is not None:
                        await self._hand_over(ready)
                except Exception as error:  # noqa: BLE001 -- one letter must not take the others at the dot with it
                    _log.exception("letter_failed", delivery=letter.id, error=str(error))
                    await self._desk.settle(failed(self._kit, letter))
                self._backlog.landed(letter)
        finally:
            if self._conversation is not None:
                await self._conversation.close()

    async def _next(self) -> Claimed | None:
        if self._ahead is not None:
            return self._ahead.letter
        letter, self._taken = self._taken, None
        return letter if letter is not None else await self._backlog.next()

    async def _made(self, letter: Claimed) -> _Ready | None:
        """Make the bytes of a letter, unless that is done; hand it back where the lane has closed meanwhile."""
        ready, self._ahead = self._ahead, None
        if self._lane.closed:
            self._committer.let_go(letter.id, letter.claim_no)
            return None
        if ready is not None:
            return ready
        if self._too_late(letter):
            return None
        try:
            return self._ready(letter, await self._desk.filling.fill(letter))
        except LetterRefused as error:
            await self._refuse(letter, error)
            return None

    def _look_ahead(self) -> None:
        """Take the next letter and make it, if that can be done at once."""
        if self._ahead is not None or self._taken is not None or self._lane.closed:
            return
        letter = self._backlog.take()
        if letter is None:
            return
        self._taken = letter
        if letter.valid_until <= self._kit.clock.now():
            return
        try:
            filled = self._desk.filling.at_once(letter)
        except Exception:  # noqa: BLE001 -- it is tried again in its own turn, where it is settled
            return
        if filled is not None:
            self._taken, self._ahead = None, self._ready(letter, filled)

    def _upcoming(self) -> tuple[Envelope, bytes] | None:
        ahead = self._ahead
        return (ahead.envelope, ahead.filled.body) if ahead is not None and not self._lane.closed else None

    @staticmethod
    def _ready(letter: Claimed, filled: Filled) -> _Ready:
        return _Ready(letter, filled, Envelope(filled.return_path, filled.personal.to))

    def _too_late(self, letter: Claimed) -> bool:
        now = self._kit.clock.now()
        if letter.valid_until > now:
            return False
        self._desk.settle(Outcome(Event.EXPIRE, letter.id, letter.claim_no, Cause(now, reason="too late")))
        return True

    async def _refuse(self, letter: Claimed, error: LetterRefused) -> None:
        _log.warning("letter_refused", delivery=letter.id, edition=letter.edition_id, error=str(error))
        await self._desk.settle(refused(letter, self._kit.clock.now(), "render", str(error)))

    async def _connected(self) -> Conversation | None:
        """Return a connection that can carry another letter, or None when the relay cannot be reached."""
        if (conversation := self._conversation) is not None:
            age = asyncio.get_running_loop().time() - conversation.opened_at
            fresh = conversation.delivered < _LETTERS_PER_CONNECTION and age < _SECONDS_PER_CONNECTION
            if conversation.usable and (fresh or conversation.engaged):
                return conversation
            self._conversation = None
            await conversation.close()
        try:
            self._conversation = await self._lane.transport.open()
        except TransportFault as error:
            await self._lane.fault(error.answer)
        return self._conversation

    async def _hand_over(self, ready: _Ready) -> None:
        """Hand one letter over and write down how it ended."""
        letter = ready.letter
        conversation = await self._connected()
        if conversation is None:
            self._committer.let_go(letter.id, letter.claim_no)
            return
        tokenless = False

        async def before_dot() -> bool:
            nonlocal tokenless
            asked = self._committer.token(_token(ready, self._lane.name))
            self._look_ahead()
            try:
                return await asked
            except Exception:
                tokenless = True
                raise

        try:
            answer = await conversation.deliver(ready.envelope, ready.filled.body, before_dot, self._upcoming)
        except Exception as error:  # noqa: BLE001 -- nothing was settled: what is offered stays so, and becomes a doubt
            _log.error("token_failed", delivery=letter.id, error=str(error))
            if tokenless:
                self._desk.settle(undotted(self._kit, letter))
            else:
                self._committer.let_go(letter.id, letter.claim_no)
            return
        await self._settle(letter, answer)

    async def _settle(self, letter: Claimed, answer: Answer) -> None:
        """Hand the outcome to the committer before anything else can fail: what was accepted is never tried again."""
        verdict = judge(answer, first_attempt=letter.attempts == 1)
        outcome = outcome_of(self._kit, letter, answer, verdict)
        if outcome is None:
            self._committer.let_go(letter.id, letter.claim_no)
        else:
            written = self._desk.settle(outcome)
            if answer.phase is not Phase.DOT:
                await written
        await self._judge_relay(letter, verdict, answer)

    async def _judge_relay(self, letter: Claimed, verdict: Verdict, answer: Answer) -> None:
        """Count what the answer says about the relay; a database that is away must not touch the letter's outcome."""
        try:
            if verdict.scope in {Scope.RELAY, Scope.CONFIGURATION} and answer.phase is not Phase.DOT:
                await self._lane.fault(answer)
            elif self._lane.faulty and answer.reply is not None:
                await self._lane.well()
            if verdict.hard and await breaking.look(self._kit, letter.edition_id):
                self._lane.close()  # what is claimed already goes back; the next drain leaves the paused edition alone
        except Exception as error:  # noqa: BLE001 -- see above
            _log.error("relay_not_judged", error=str(error))


def _token(ready: _Ready, relay: str) -> Token:
    letter, filled = ready.letter, ready.filled
    personal = filled.personal
    return Token(
        letter.id,
        letter.claim_no,
        letter.edition_id,
        filled.variant,
        personal.message_id,
        personal.date,
        filled.name_sealed,
        relay,
    )
