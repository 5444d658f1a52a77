"""One mail transaction after the other on an open SMTP connection. It reports the answers and judges nothing.

The dot is the moment a server becomes responsible (RFC 5321 s. 4.1.1.4), so it is ours alone: the body goes out without
it, the caller is asked, and only a yes lets it follow.
"""

from __future__ import annotations

import asyncio
from typing import Final

from campaign.domain.replies import WITHHELD, Answer, Phase
from campaign.mail.admission import Vetted, misfit
from campaign.mail.dialogue import CLOSING, GARBLED, TIMEOUT, Dialogue, WireFault
from campaign.mail.terms import DATA, Extensions, PhaseTimeouts, Proposal, Security
from campaign.mail.transport import BeforeDot, Envelope, Upcoming

_BLOCK: Final = 64 * 1024
_RSET: Final = b"RSET\r\n"
_PROPOSING: Final = (Phase.MAIL, Phase.RCPT, Phase.DATA)
_YES: Final = {phase: 3 if phase is Phase.DATA else 2 for phase in Phase}
"""The first digit of a reply that says yes."""
_YES_TO_ALL: Final = [_YES[phase] for phase in _PROPOSING]
_HEARD: Final = (*_PROPOSING, Phase.BODY, Phase.DOT, Phase.QUIT)


class SmtpConversation:
    """An open, signed-in connection; implements `campaign.mail.transport.Conversation`."""

    def __init__(self, dialogue: Dialogue, extensions: Extensions, timeouts: PhaseTimeouts) -> None:
        """Take a connection on which the server waits for MAIL."""
        self._dialogue = dialogue
        self._extensions = extensions
        self._timeouts = timeouts
        self._patience = {phase: timeouts.of(phase) for phase in _HEARD}
        self._needs_reset = False
        self._busy = False
        self._proposed: Proposal | None = None
        self.welcome = extensions.welcome()
        self.delivered = 0
        self.opened_at = asyncio.get_running_loop().time()

    @property
    def size_limit(self) -> int | None:
        """The largest body in bytes that the relay takes, None when it does not say."""
        return self._extensions.size_limit

    @property
    def smtputf8(self) -> bool:
        """Whether letters to non-ASCII mailbox names can go this way."""
        return self._extensions.smtputf8

    @property
    def offers(self) -> Extensions:
        """What the relay says it can do."""
        return self._extensions

    @property
    def security(self) -> Security | None:
        """How the line is secured; None for one that is not."""
        return None if self._dialogue.tls is None else Security.of(self._dialogue.tls)

    @property
    def engaged(self) -> bool:
        """Whether the next letter is proposed already."""
        return self._proposed is not None

    @property
    def usable(self) -> bool:
        """Whether another letter can be tried: the line is open and the server has said nothing unasked."""
        return self._dialogue.fault is None if self.engaged else self._dialogue.in_order()

    async def deliver(
        self, envelope: Envelope, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
    ) -> Answer:
        """Hand over one letter; see `Conversation.deliver`. What cannot be sent is answered here and never starts."""
        if self._busy:
            msg = "A connection carries one letter at a time."
            raise RuntimeError(msg)
        proposed, self._proposed = self._proposed, None
        if proposed is None:
            refusal = misfit(envelope, body) or self._extensions.refusal(envelope, body)
            if refusal is not None:
                return refusal
            if not self._dialogue.in_order():
                return self._drop(self._interruption(Phase.MAIL))
        elif proposed.envelope is not envelope or proposed.body is not body:
            self._dialogue.abort()
            msg = "Another letter was proposed to the server than is delivered now."
            raise RuntimeError(msg)
        self._busy = True
        try:
            refusal = await self._propose(
                proposed or self._extensions.proposal(envelope, body), written=proposed is not None
            )
            return refusal if refusal is not None else await self._hand_over(body, before_dot, upcoming)
        except BaseException:
            self._dialogue.abort()
            raise
        finally:
            self._busy = False

    async def close(self) -> None:
        """Say QUIT if the line is in order, close, and wait a moment for the end; a letter under way is dropped."""
        try:
            if self._proposed is not None:  # it would wait for a body
                self._dialogue.abort()
            elif self._dialogue.in_order() and not self._busy:
                self._dialogue.write(b"QUIT\r\n")
                await self._hear(Phase.QUIT)
            self._dialogue.close()
            await self._dialogue.closed(self._timeouts.quit)
        except BaseException:
            self._dialogue.abort()
            raise

    async def _propose(self, proposal: Proposal, *, written: bool) -> Answer | None:
        """Send MAIL, RCPT and DATA; return the first refusal, or None when the server waits for the body."""
        if self._extensions.pipelining:
            return await self._propose_in_one(proposal, written=written)
        if self._needs_reset and (failed := await self._reset()) is not None:
            return failed
        answers: list[Answer] = []
        for phase, command in ((Phase.MAIL, proposal.mail), (Phase.RCPT, proposal.rcpt), (Phase.DATA, DATA)):
            self._dialogue.write(command)
            answers.append(await self._hear(phase))
            if not _agreed(answers[-1]):
                self._retreat(answers)
                return answers[-1]
        return None

    async def _propose_in_one(self, proposal: Proposal, *, written: bool) -> Answer | None:
        """Send the commands in one group (RFC 2920), unless they went with the last letter's dot; hear every answer."""
        resetting = self._needs_reset
        if not written:
            self._dialogue.write((_RSET if resetting else b"") + proposal.group)
        if resetting and (failed := await self._reset(written=True)) is not None:
            return failed
        answers = await self._hear_group()
        refusal = next((answer for answer in answers if not _agreed(answer)), None)
        if refusal is not None:
            self._retreat(answers)
        return refusal

    async def _reset(self, *, written: bool = False) -> Answer | None:
        """Say RSET, unless it is said; return what stands in the way of another letter here, or None."""
        if not written:
            self._dialogue.write(_RSET)
        answer = await self._hear(Phase.MAIL)
        if _closing(answer):
            return self._drop(answer)
        if not _agreed(answer):
            return self._drop(Answer(Phase.MAIL, None, answer.fault or f"RSET was answered {answer.reply}"))
        self._needs_reset = False
        return None

    def _retreat(self, answers: list[Answer]) -> None:
        """Bring the line into a known state after a refusal: RSET with the next letter, or no next letter.

        A server may ask for a body although it refused the only recipient (RFC 2920 s. 3.1); an empty one ends that.
        Had it refused something else, the empty letter could arrive: then the line is dropped.
        """
        if answers[-1].phase is Phase.DATA and _agreed(answers[-1]):
            if any(answer.phase is Phase.RCPT and _refused(answer) for answer in answers):
                self._dialogue.write(b".\r\n")
                self._dialogue.close()
            else:
                self._dialogue.abort()
        elif all(_agreed(answer) or (_refused(answer) and not _closing(answer)) for answer in answers):
            self._needs_reset = True
        else:
            self._dialogue.abort()

    async def _hand_over(self, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None) -> Answer:
        """Write the body, ask for the dot, write it, and wait for the server to take responsibility."""
        stalled = await self._write_body(body)
        if stalled is not None or not self._dialogue.in_order():
            return self._drop(self._interruption(Phase.BODY, stalled))
        if not await before_dot():
            return self._drop(Answer(Phase.BODY, None, WITHHELD))
        if not self._dialogue.in_order():  # a reply that came before the dot must not be taken for the answer to it
            return self._drop(self._interruption(Phase.BODY))
        self._dialogue.write(b".\r\n" + self._look_ahead(upcoming))
        answer = await self._hear(Phase.DOT)
        if _agreed(answer):
            self.delivered += 1
            return answer
        self._proposed = None
        return self._drop(answer)

    def _look_ahead(self, upcoming: Upcoming | None) -> bytes:
        """Return the commands of the next letter, if there is one that this server can be asked to take."""
        following = upcoming() if upcoming is not None and self._extensions.pipelining else None
        if following is None or misfit(*following) or self._extensions.refusal(*following):
            return b""
        self._proposed = self._extensions.proposal(*following)
        return self._proposed.group

    async def _write_body(self, body: bytes) -> str | None:
        """Write all of it but the dot, doubling dots at line starts (RFC 5321 s. 4.5.2); return a fault if one came."""
        stuffed = memoryview(body if isinstance(body, Vetted) else _stuffed(body))
        for start in range(0, len(stuffed), _BLOCK):
            if start and not self._dialogue.in_order():
                break
            self._dialogue.write(stuffed[start : start + _BLOCK])
            if self._dialogue.drained:
                continue
            try:
                await self._dialogue.drain(self._timeouts.body)
            except WireFault as broken:
                return broken.fault
        return None

    async def _hear(self, phase: Phase) -> Answer:
        try:
            [reply] = await self._dialogue.replies(1, self._patience[phase])
        except WireFault as broken:
            return Answer(phase, None, broken.fault)
        return Answer(phase, reply)

    async def _hear_group(self) -> list[Answer]:
        """Hear the answers to a group of commands, which mostly come together; return none where each says yes."""
        try:
            replies = await self._dialogue.replies(len(_PROPOSING), self._patience[Phase.MAIL])
        except WireFault as broken:
            return await self._hear_fewer(broken.fault)
        if [reply.code // 100 for reply in replies] == _YES_TO_ALL:
            return []
        return list(map(Answer, _PROPOSING, replies))

    async def _hear_fewer(self, fault: str) -> list[Answer]:
        """Hear those answers to a group of commands that came before a fault did, which is the last one."""
        answers: list[Answer] = []
        for phase in _PROPOSING:
            silent = fault == TIMEOUT and not answers and self._dialogue.silent
            answers.append(Answer(phase, None, TIMEOUT) if silent else await self._hear(phase))
            if answers[-1].fault is not None or _closing(answers[-1]):
                break
        return answers

    def _interruption(self, phase: Phase, fault: str | None = None) -> Answer:
        """Say what broke into a phase in which the server had nothing to say."""
        answer = Answer(phase, self._dialogue.next_reply())
        return answer if _refused(answer) else Answer(phase, None, fault or self._dialogue.fault or GARBLED)

    def _drop(self, answer: Answer) -> Answer:
        self._dialogue.abort()
        return answer


def _stuffed(body: bytes) -> bytes:
    return (b"." if body.startswith(b".") else b"") + body.replace(b"\r\n.", b"\r\n..")


def _agreed(answer: Answer) -> bool:
    """Whether the server said yes, by the first digit (RFC 5321 s. 4.2.1)."""
    return answer.reply is not None and answer.reply.code // 100 == _YES[answer.phase]


def _refused(answer: Answer) -> bool:
    """Whether the server said no, for now or for good."""
    return answer.reply is not None and answer.reply.code // 100 in {4, 5}


def _closing(answer: Answer) -> bool:
    """Whether the server said that it hangs up."""
    return answer.reply is not None and answer.reply.code == CLOSING
