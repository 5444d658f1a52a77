"""Carries letters over one connection: make it, propose it, ask for the token, write the dot, hear the answer, settle.

While one letter's token is on its way to disk the next one is made, and it is proposed in one breath with the dot. No
transaction is open meanwhile, and nothing is sent twice by itself: a letter whose answer was not heard stays in doubt.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from campaign.actions import braking
from campaign.actions.committing import Outcome
from campaign.actions.desk import Desk, Made
from campaign.actions.filling import Filled
from campaign.actions.hanging import NOT_YET, Line
from campaign.actions.lanes import Lane
from campaign.actions.outcomes import failed, outcome_of, refused, undotted
from campaign.domain.delivery import TOKEN_LIFE, Event
from campaign.domain.message import LetterRefused
from campaign.domain.replies import Answer, Phase, Reason, Scope, Verdict, judge
from campaign.domain.replies import Outcome as Judged
from campaign.logs import get_log
from campaign.mail.transport import Conversation, Envelope, TransportFault
from campaign.store.claims import Claimed
from campaign.store.engine import DatabaseAway
from campaign.store.moves import Cause
from campaign.store.tokens import Token

_log = get_log()
_LETTERS_PER_CONNECTION: Final = 1_000
_SECONDS_PER_CONNECTION: Final = 300.0
_ABOUT_RELAY: Final = frozenset({Scope.RELAY, Scope.CONFIGURATION})
_AT_RECIPIENT: Final = frozenset({Phase.RCPT, Phase.DATA, Phase.BODY})


class TokenTooOld(Exception):
    """The token came, but this process or its machine stood still: by now the letter may be another worker's."""

    def __str__(self) -> str:
        """Say so."""
        return "the token is too old, no dot is written"


class Carrier:
    """One connection after the other to one relay, for as long as there are letters and the lane is open."""

    def __init__(self, desk: Desk, lane: Lane) -> None:
        """Carry what is on the desk down `lane`."""
        self._desk, self._lane = desk, lane
        self._kit, self._committer, self._backlog = desk.kit, desk.committer, desk.backlog
        self._loop = asyncio.get_running_loop()
        self._conversation: Conversation | None = None
        self._ahead: Made | None = None
        self._line = Line(lane.share)

    async def run(self) -> None:
        """Carry letters until there are no more, or the lane closes; what is in hand then is the other lanes'."""
        clock, hanging, line = self._kit.clock, self._desk.hanging, self._line
        hanging.join(line)
        try:
            while (made := self._taken() or await self._desk.next(self._lane)) is not None:
                letter, began = made.letter, clock.monotonic()
                line.domain, line.since = letter.domain, began
                try:
                    await self._carry(made)
                except Exception as error:  # noqa: BLE001 -- one letter must not take the others at the dot with it
                    _log.exception("letter_failed", delivery=letter.id, error=str(error))
                    line.domain = None  # our own fault says nothing of the domain
                    await self._committer.settle(failed(self._kit, letter))
                hanging.arrived(line, clock.monotonic() - began)
                self._backlog.landed(letter)
                self._lane.landed(letter)
        finally:
            hanging.leave(line)
            await self._hang_up()

    async def _hang_up(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            await conversation.close()

    def _taken(self) -> Made | None:
        """Hand out the letter that was taken ahead, if there is one."""
        made, self._ahead = self._ahead, None
        return made

    async def _carry(self, made: Made) -> None:
        """Make a letter unless that is done, and hand it over; give it back where the lane has closed meanwhile."""
        letter, filled = made
        if self._lane.closed or self._lane.manners.holds(letter.domain):
            if self._engaged:  # the server waits for this one, and must not be sent another
                await self._hang_up()
            self._give_back(letter)
        elif not self._engaged and self._too_late(letter):
            return  # it may have been made, and have waited, for long; one that is proposed was so a moment ago
        elif filled is not None:
            await self._hand_over(letter, filled)
        else:
            try:
                fresh = Made(letter, await self._desk.filling.fill(letter))
            except LetterRefused as error:
                await self._refuse(letter, error)
            else:
                await self._carry(fresh)

    def _give_back(self, letter: Claimed) -> None:
        self._unsent(letter)
        self._desk.give_back(letter)

    def _unsent(self, letter: Claimed) -> None:
        """Note that a letter did not set out: nothing was learned of its domain, and its permit was not used."""
        self._line.domain = None
        self._lane.unsent(letter)

    @property
    def _engaged(self) -> bool:
        """Whether the letter in hand is proposed already."""
        return self._conversation is not None and self._conversation.engaged and self._conversation.usable

    def _look_ahead(self) -> None:
        """Take the next letter, which may go to the relay with this one's dot; none waits behind one that hangs."""
        if self._ahead is None and not self._lane.closed and not self._desk.hanging.hangs(self._line.domain):
            self._ahead = self._desk.next_at_once(self._lane)

    def _upcoming(self) -> tuple[Envelope, bytes] | None:
        """Return the next letter if it can be proposed: it is made, the lane open, and the connection good for it."""
        if self._ahead is None or (filled := self._ahead.filled) is None:
            return None
        if self._lane.closed or self._conversation is None or not self._is_fresh(self._conversation, letters=1):
            return None
        return filled.envelope, filled.body

    def _too_late(self, letter: Claimed) -> bool:
        now = self._kit.clock.now()
        if letter.valid_until > now:
            return False
        self._unsent(letter)
        self._committer.note(Outcome(Event.EXPIRE, letter.id, letter.claim_no, Cause(now, reason="too late")))
        return True

    async def _refuse(self, letter: Claimed, error: LetterRefused) -> None:
        self._unsent(letter)
        _log.warning("letter_refused", delivery=letter.id, edition=letter.edition_id, error=str(error))
        await self._committer.settle(refused(letter, self._kit.clock.now(), "render", str(error)))

    async def _connected(self) -> Conversation | None:
        """Return a connection that can carry another letter, or None when the relay cannot be reached."""
        if (conversation := self._conversation) is not None:
            if conversation.usable and self._is_fresh(conversation):
                return conversation
            await self._hang_up()
        self._line.since = NOT_YET  # a relay that is slow to let us in says nothing of the domain
        try:
            self._conversation = await self._lane.transport.open()
        except TransportFault as error:
            await self._lane.fault(error.answer)
        finally:
            self._line.since = self._kit.clock.monotonic()
        return self._conversation

    def _is_fresh(self, conversation: Conversation, letters: int = 0) -> bool:
        """Whether a connection is good for one more letter when it has handed over `letters` more: relays count."""
        age = self._loop.time() - conversation.opened_at
        return conversation.delivered + letters < _LETTERS_PER_CONNECTION and age < _SECONDS_PER_CONNECTION

    async def _hand_over(self, letter: Claimed, filled: Filled) -> None:
        """Hand one letter over and write down how it ended."""
        conversation = self._conversation if self._engaged else await self._connected()
        if conversation is None:
            self._give_back(letter)
            return
        tokenless = False

        async def before_dot() -> bool:
            nonlocal tokenless
            token, since = _token(letter, filled, self._lane.name), self._kit.clock.now()
            try:
                granted = await self._committer.token(token, self._look_ahead)
                if granted:
                    self._check_age(since)
            except Exception:
                tokenless = True
                raise
            return granted

        try:
            answer = await conversation.deliver(filled.envelope, filled.body, before_dot, self._upcoming)
        except Exception as error:  # noqa: BLE001 -- nothing was settled: what is offered stays so, and becomes a doubt
            told = _log.info if isinstance(error, DatabaseAway) else _log.error
            told("token_failed", delivery=letter.id, error=str(error))
            if tokenless:
                self._lane.end_drain()  # what is in hand goes back, instead of meeting the same fault letter by letter
                self._committer.note(undotted(self._kit, letter))
            else:
                self._committer.let_go(letter.id, letter.claim_no)
            return
        await self._settle(letter, answer)

    def _check_age(self, since: datetime) -> None:
        """Raise TokenTooOld when it is too late for the dot of a token that was asked for then."""
        if self._kit.clock.now() - since > TOKEN_LIFE:
            raise TokenTooOld

    async def _settle(self, letter: Claimed, answer: Answer) -> None:
        """Hand the outcome to the committer before anything else can fail: what was accepted is never tried again."""
        verdict = judge(answer, first_attempt=letter.attempts == 1)
        outcome = outcome_of(self._kit, letter, answer, verdict)
        if outcome is None:
            self._committer.let_go(letter.id, letter.claim_no)
        elif answer.phase is Phase.DOT and not verdict.hard:  # the breaker counts what is written down
            self._committer.note(outcome)
        else:
            await self._committer.settle(outcome)
        await self._judge_relay(letter, verdict, answer)

    async def _judge_relay(self, letter: Claimed, verdict: Verdict, answer: Answer) -> None:
        """Count what the answer says about the relay; a database that is away must not touch the letter's outcome."""
        try:
            if verdict.scope in _ABOUT_RELAY and answer.phase is not Phase.DOT:
                await self._lane.fault(answer, self._suspect(letter.domain, verdict, answer))
            elif self._lane.faulty and answer.reply is not None:
                await self._lane.well()
            if verdict.scope is Scope.DOMAIN or self._lane.choosy:
                await self._judge_domain(letter.domain, verdict)
            if self._desk.breakers.heard(self._lane.name, letter.domain, verdict):
                self._lane.manners.hold(await self._desk.breakers.pause(self._lane.name, letter, answer))
            if verdict.outcome is Judged.WITHHELD and await braking.look(self._kit) is not None:
                self._lane.end_drain()  # no other letter in hand would be let through either: they all go back at once
            if verdict.hard and await self._desk.breakers.look(letter.edition_id):
                self._lane.end_drain()  # what is claimed goes back; the next drain leaves the paused edition alone
        except Exception as error:  # noqa: BLE001 -- its outcome is written, and stands
            _log.error("relay_not_judged", error=str(error))

    def _suspect(self, domain: str, verdict: Verdict, answer: Answer) -> str | None:
        """Return the domain that a line which broke off at one of its recipients may be the fault of, if it may.

        A smarthost that asks the domain's own servers hangs up when they are dead. Where letters to others are in hand,
        which will tell, that is hardly the relay's fault: a dead domain must not rest the relay.
        """
        broke_off = verdict.scope is Scope.RELAY and answer.phase in _AT_RECIPIENT
        return domain if broke_off and self._backlog.has_others(domain) else None

    async def _judge_domain(self, domain: str, verdict: Verdict) -> None:
        """Slow down a domain that asks for it, and let one that was slowed down get faster as it takes letters."""
        manners = self._lane.manners
        if verdict.scope is Scope.DOMAIN:
            flying = self._backlog.flying(domain)
            await manners.slow_down(domain, (flying * self._lane.share.each_second, flying))
        elif verdict.reason is Reason.ACCEPTED and manners.is_slow(domain):
            await manners.good(domain)


def _token(letter: Claimed, filled: Filled, relay: str) -> Token:
    personal = filled.personal
    return Token(
        letter.id,
        letter.claim_no,
        filled.variant,
        personal.message_id,
        personal.date,
        relay,
        letter.edition_id,
    )
