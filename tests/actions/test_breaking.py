"""A relay that knows none of our readers stops the edition, not the list."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from sqlalchemy import func, select

from campaign.actions import breaking, campaigning, planning, reporting
from campaign.clock import SystemClock
from campaign.domain.campaigns import Definition
from campaign.domain.editions import EditionState
from campaign.mail.smtp import SmtpOptions, SmtpTransport
from campaign.runtime.daemon import Bell, Daemon
from campaign.store.engine import Store
from campaign.store.schema.people import suppressions
from tests.builders import a_kit, fresh_articles, some_readers


async def _refuses_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A relay that says of every mailbox that it does not exist."""
    writer.write(b"220 sink.example.org\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        answer = {b"RCPT": b"550 5.1.1 no such mailbox", b"DATA": b"503 5.5.1 no", b"QUIT": b"221 bye"}.get(
            verb, b"250 ok"
        )
        writer.write(answer + b"\r\n")
        await writer.drain()
        if verb == b"QUIT":
            break
    writer.close()
    await writer.wait_closed()


async def test_more_than_five_per_cent_of_unknown_mailboxes_pause_the_edition_and_a_person_decides(
    store: Store, home: Path
) -> None:
    server = await asyncio.start_server(_refuses_all, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    relay = SmtpTransport(SmtpOptions.from_url(f"smtp://127.0.0.1:{port}?tls=none"))
    kit = a_kit(store, SystemClock(), home, relay, connections=2)
    await some_readers(kit, 80)
    await fresh_articles(kit)
    await campaigning.create(kit, "news", Definition(every="first monday", lists=("supporters",), zone="UTC"))
    await campaigning.approve(kit, "news")
    edition = await planning.send_now(kit, "news")
    bell = Bell()
    await asyncio.wait_for(Daemon(replace(kit, doorbell=bell), bell, asyncio.Event()).run(until_idle=True), 60)
    [count] = await reporting.counts(kit, str(edition.id))
    assert count.edition.state is EditionState.PAUSED
    assert count.edition.note == breaking.NOTE
    assert breaking.MOST < count.by_state["refused"] < 40, "a handful were on their way"
    assert count.reconciled
    async with store.read() as tx:
        assert (await tx.execute(select(func.count()).select_from(suppressions))).scalar_one() == count.by_state[
            "refused"
        ]
    await campaigning.resume(kit, edition.id)
    assert not await breaking.Breakers(kit).look(edition.id), "who resumes it has decided"
    await kit.renderer.aclose()
    server.close()
    await server.wait_closed()
