"""What an answer of the relay means for one row of the ledger. It never writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from campaign.actions.committing import Outcome
from campaign.actions.kit import Kit
from campaign.domain.delivery import FREE_DROPS, Event, back_off, throttle_wait
from campaign.domain.replies import Answer, Reason, Scope, Verdict
from campaign.domain.replies import Outcome as Judged
from campaign.logs import masked
from campaign.store.claims import Claimed
from campaign.store.moves import Cause

_LONGEST: Final = 1000


def outcome_of(kit: Kit, letter: Claimed, answer: Answer, verdict: Verdict) -> Outcome | None:
    """Return what to write down, or None when the letter goes back uncharged because its token was withheld."""
    if verdict.outcome is Judged.ACCEPTED and answer.reply is not None:
        cause = Cause(kit.clock.now(), answer.reply.code, answer.reply.enhanced)
        return Outcome(Event.ACCEPT, letter.id, letter.claim_no, cause)
    if verdict.outcome is Judged.WITHHELD:
        return None
    cause = _cause(kit, answer, verdict)
    if verdict.outcome is Judged.AGAIN:
        return _again(kit, letter, answer, verdict)
    event = Event.REFUSE if verdict.outcome is Judged.REFUSED else Event.DOUBT
    bounced = _address_key(kit, letter) if verdict.hard else None
    return Outcome(event, letter.id, letter.claim_no, cause, bounced)


def refused(letter: Claimed, now: datetime, reason: str, words: str) -> Outcome:
    """Return the outcome of a letter that never reached the wire."""
    return Outcome(Event.REFUSE, letter.id, letter.claim_no, Cause(now, reason=reason, words=_said(words)))


def failed(kit: Kit, letter: Claimed) -> Outcome:
    """Return the outcome of a letter that could not be tried because something here is broken.

    Later, and not for ever.
    """
    now = kit.clock.now()
    if letter.attempts >= kit.settings.max_attempts:
        return refused(letter, now, "exhausted", "")
    due = back_off(letter.attempts, now, chance=kit.clock.uniform(0, 1))
    return Outcome(Event.DEFER, letter.id, letter.claim_no, Cause(now, reason="fault", values={"due_at": due}))


def undotted(kit: Kit, letter: Claimed) -> Outcome:
    """Return the outcome of a letter whose token could not be asked for: free, because no dot was written.

    Whether that token is on disk all the same (the line to the database broke while it committed) makes no difference.
    """
    return Outcome(Event.DEFER, letter.id, letter.claim_no, Cause(kit.clock.now(), reason="no token", refund=True))


def _again(kit: Kit, letter: Claimed, answer: Answer, verdict: Verdict) -> Outcome:
    """Try again: free where the relay is to blame, and no more than the row's attempts allow.

    A connection that breaks off before the dot is the relay's fault twice for one row, the row's afterwards:
    a poison letter must end.
    """
    dropped = verdict.reason is Reason.BROKEN_OFF
    free = (not verdict.charged and not dropped) or (dropped and letter.drops < FREE_DROPS)
    if not free and letter.attempts >= kit.settings.max_attempts:
        return Outcome(Event.REFUSE, letter.id, letter.claim_no, _cause(kit, answer, verdict, reason="exhausted"))
    chance = kit.clock.uniform(0, 1)
    wait = throttle_wait(letter.attempts) if verdict.scope is Scope.DOMAIN else verdict.retry_after
    due = back_off(letter.attempts, kit.clock.now(), chance=chance, wait=wait)
    values = {"due_at": due, **({"drops": letter.drops + 1} if dropped else {})}
    cause = _cause(kit, answer, verdict, values=values)._replace(refund=free)
    return Outcome(Event.DEFER, letter.id, letter.claim_no, cause)


def _cause(
    kit: Kit,
    answer: Answer,
    verdict: Verdict,
    *,
    reason: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> Cause:
    reply = answer.reply
    return Cause(
        kit.clock.now(),
        code=reply.code if reply else None,
        enhanced=reply.enhanced if reply else None,
        reason=reason or verdict.reason.value,
        words=_said(reply.text if reply else answer.fault or ""),
        values=values or {},
    )


def _said(words: str) -> str:
    """Return a relay's words as they may be kept: servers quote addresses, and those are nowhere at rest in plain.

    What no database takes (a NUL, half a surrogate pair) goes too: one such text would hold up every other outcome.
    """
    return masked(words[:_LONGEST]).encode(errors="replace").decode()


def _address_key(kit: Kit, letter: Claimed) -> bytes | None:
    if letter.address_sealed is None:
        return None
    return kit.keys.address_key(kit.keys.open_address(letter.address_sealed))
