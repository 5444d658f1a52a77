"""Sends letters through every fault of the wire that we know, and compares the end of each with what is promised.

`python -m benchmarks.wire_faults [--database sqlite|postgresql] [--only WORDS]`

What sends is a worker as the daemon has one, on a real database, over real sockets; only its patience is shorter than
the minutes of RFC 5321. Each fault is met by letters of its own. Afterwards the relay is well again, and what may still
be sent is: each letter is taken once then. The tables stand in `wire_cases`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import delete, select

from benchmarks.audit import Score
from benchmarks.installation import DATABASES, fill_list, installation, reader
from benchmarks.letters import DIGEST
from benchmarks.lives import let_waits_end
from benchmarks.sink import sink
from benchmarks.wire_cases import FAULTS, SINKS, Case, End
from campaign.actions import campaigning, freezing, planning, reporting
from campaign.actions.kit import Kit, Relay
from campaign.actions.sending import sender
from campaign.domain.addresses import Address
from campaign.domain.editions import EditionState
from campaign.domain.replies import Answer
from campaign.logs import set_up_logs
from campaign.mail.smtp import SmtpOptions, SmtpTransport
from campaign.mail.terms import PhaseTimeouts
from campaign.mail.transport import BeforeDot, Conversation, Envelope, Transport, Upcoming
from campaign.store import relays
from campaign.store.presence import presence
from campaign.store.schema.ledger import deliveries, message_articles
from campaign.store.schema.people import suppressions
from tests.mail.fault_server import FaultServer

RELAY: Final = "main"
_PATIENT: Final = PhaseTimeouts(greeting=30, ehlo=30, mail=30, rcpt=30, data=30, body=30, dot=30, quit=2)
_IMPATIENT: Final = PhaseTimeouts(greeting=0.3, ehlo=0.3, mail=0.3, rcpt=0.3, data=0.3, body=0.3, dot=0.3, quit=0.2)

_DRAINS: Final = 5
"""Ticks of the daemon, at most, until it finds nothing that is due."""

_ODD: Final = ("Reader.07+Tag", "o'reader{07}|x", "READER-07", "reader=07/x")
AUDIENCES: Final = {
    "one": (reader(1),),
    "two": (reader(2), reader(3)),
    "wide": (Address("läser-07", "example.org"), reader(4)),
    "odd": tuple(Address(local, "example.org") for local in _ODD),
}
"""Whom letters go to, by the name of their list."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a case: each letter's end, what the relay's row says, and what the relay was given and took."""

    ends: tuple[End, ...]
    rests: bool
    because: str
    asked: tuple[bytes, ...] = ()
    held: int = 0


class Bench:
    """One installation whose relay changes from case to case."""

    def __init__(self, kit: Kit) -> None:
        """Work with a kit that has an audience."""
        self._kit = kit

    async def begin(self) -> None:
        """Make the audiences and a campaign for each."""
        for name, people in AUDIENCES.items():
            await fill_list(self._kit, len(people), name, address=lambda n, people=people: people[n - 1])  # type: ignore[misc]  # a default argument in a lambda
            await campaigning.create(self._kit, name, replace(DIGEST, lists=(name,)))
            await campaigning.approve(self._kit, name)

    async def meet(self, case: Case, number: int) -> tuple[Found, Found]:
        """Send one edition through a fault, then what is left of it to a relay that is well; return both ends."""
        edition = (await planning.send_now(self._kit, case.audience, f"case-{number}")).id
        await freezing.freeze_due(self._kit)
        await freezing.start_due(self._kit)
        timeouts = _IMPATIENT if case.impatient else _PATIENT
        async with _relay_of(case) as (url, server):
            for round_ in range(case.rounds):
                if round_:
                    await let_waits_end(self._kit)
                await self._drain(_transport(url, timeouts, case))
            first = await self._found(edition, server)
        await let_waits_end(self._kit)
        async with FaultServer() as well:
            await self._drain(_transport(f"smtp://127.0.0.1:{well.port}?tls=none", _PATIENT))
            second = await self._found(edition, well)
        await self._forget()
        return first, second

    async def is_sent(self, number: int, case: Case) -> bool:
        """Say whether the edition of a case has come to its end."""
        [count] = await reporting.counts(self._kit, f"{case.audience}/extra/case-{number}")
        return count.edition.state is EditionState.SENT and not count.live and count.reconciled

    async def _drain(self, transport: Transport) -> None:
        kit = replace(self._kit, relays=(Relay(transport),))
        owner = kit.clock.token(12)
        async with presence(kit.store, owner), sender(kit, owner) as post:
            for _ in range(_DRAINS):
                if not await post.drain(asyncio.Event()):
                    break
        await freezing.start_due(kit)

    async def _found(self, edition: int, server: FaultServer | None) -> Found:
        d = deliveries.c
        async with self._kit.store.read() as tx:
            found = await tx.execute(
                select(d.state, d.reason, d.attempts).where(d.edition_id == edition).order_by(d.id)
            )
            ends = tuple(End(state.value, reason or "", attempts) for state, reason, attempts in found)
            rows = [one for one in await relays.every(tx) if one.name == RELAY]
        resting = [one for one in rows if one.paused_until and one.paused_until > self._kit.clock.now()]
        asked = tuple(line for line in server.commands if line.upper().startswith(b"RCPT")) if server else ()
        taken = sum(map(bool, server.held)) if server else 0
        return Found(ends, bool(resting), "".join(one.reason for one in resting), asked, taken)

    async def _forget(self) -> None:
        """Begin anew: nobody is suppressed, the relay is well, and what was said may be said again."""
        async with self._kit.store.begin() as tx:
            await tx.execute(delete(message_articles))
            await tx.execute(delete(suppressions))
            await relays.well(tx, RELAY)


@asynccontextmanager
async def _relay_of(case: Case) -> AsyncIterator[tuple[str, FaultServer | None]]:
    if case.sink:
        with sink(*case.sink, keep=False) as running:
            yield running.url, None
        return
    async with FaultServer(case.offers, **case.script) as server:
        yield f"smtp://{case.user}127.0.0.1:{server.port}?tls=none", server


def _transport(url: str, timeouts: PhaseTimeouts, case: Case | None = None) -> Transport:
    transport = SmtpTransport(SmtpOptions.from_url(url, name=RELAY, timeouts=timeouts))
    return _Spoiler(transport, case.spoiled) if case and case.spoiled else transport


@dataclass(frozen=True, slots=True)
class _Spoiler:
    """A way to the relay on which other bytes are handed over than were made; all else is as ever."""

    inner: SmtpTransport
    body: bytes
    name: str = RELAY

    async def open(self) -> Conversation:
        conversation = await self.inner.open()
        usual = conversation.deliver

        async def deliver(envelope: Envelope, _: bytes, before_dot: BeforeDot, __: Upcoming | None = None) -> Answer:
            return await usual(envelope, self.body, before_dot)

        conversation.deliver = deliver  # type: ignore[method-assign]  # which is the point of it
        return conversation


def prove(score: Score, database: str = "sqlite", cases: Sequence[Case] = (*FAULTS, *SINKS)) -> None:
    """Go through the cases on one database and add a check for each."""
    print(f"\n{len(cases)} faults of the wire, {database}", flush=True)
    with installation(database, {"connections": 1}) as place:

        async def all_of_them() -> None:
            async with place.kit() as kit:
                bench = Bench(kit)
                await bench.begin()
                for number, case in enumerate(cases):
                    first, second = await bench.meet(case, number)
                    _judge(score, case, first, second, sent=await bench.is_sent(number, case))

        asyncio.run(all_of_them())


def _judge(score: Score, case: Case, first: Found, second: Found, *, sent: bool) -> None:
    """Check the end, and that afterwards each letter that may be sent is, once, and no other."""
    wanted = case.ends if len(case.ends) > 1 or first.ends[0] not in case.or_else else first.ends
    told = first.because.startswith(case.because) if case.rests else not first.rests
    again = Counter(end.state for end in first.ends)["queued"]
    ends = tuple(end.state if end.state != "queued" else "accepted" for end in first.ends)
    addresses = [f"RCPT TO:<{a.wire}>\r\n".encode() for a in AUDIENCES[case.audience]]
    faults = [
        "" if first.ends == wanted else f"wanted {' '.join(map(str, wanted))}",
        ""
        if first.rests == case.rests and told
        else f"the relay {'rests' if first.rests else 'works'} {first.because}",
        "" if set(first.asked) <= set(addresses) else f"RCPT was {first.asked}",
        "" if tuple(end.state for end in second.ends) == ends else f"then {second.ends}",
        "" if second.held == again else f"then {second.held} were taken, not {again}",
        "" if sent else "then the edition did not end",
    ]
    words = "; ".join(fault for fault in faults if fault)
    score.check(case.name, f"{_said(first.ends)}{' -- ' if words else ''}{words}", _said(wanted))


def _said(ends: Sequence[End]) -> str:
    return " | ".join(f"{end.state} ({', '.join(filter(None, (end.reason, str(end.attempts))))})" for end in ends)


def main() -> int:
    """Read the options and try."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--database", choices=DATABASES)
    options.add_argument("--only", default="", help="only faults whose name has these words")
    given = options.parse_args()
    set_up_logs(level="critical")
    score = Score()
    for database in (given.database,) if given.database else DATABASES:
        prove(score, database, [case for case in (*FAULTS, *SINKS) if given.only in case.name])
    return score.end()


if __name__ == "__main__":
    sys.exit(main())
