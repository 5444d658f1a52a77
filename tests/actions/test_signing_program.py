"""The program that signs: in order, beside the loop, and nobody is left waiting where it ends or never began."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from campaign.actions.signing import Signing
from campaign.beside.program import Line
from campaign.mail.dkim import Draft, NamedKey, Signer
from campaign.settings.signing import Algorithm, SigningKey

SIGNER = Signer("example.org", [NamedKey(one.value, SigningKey.fresh(one)) for one in Algorithm])


def a_draft(number: int) -> Draft:
    return Draft(b"", [b"", b""], [b"%d for rsa" % number, b"%d for ed25519" % number])


@pytest.fixture
async def signing() -> AsyncIterator[Signing]:
    signing = Signing(SIGNER)
    yield signing
    await signing.program.close()


async def just_starting(signing: Signing) -> tuple[asyncio.Task[Line | None], subprocess.Popen[bytes]]:
    """Begin to start the program; return who waits for that, and the program."""
    starting = asyncio.create_task(signing.program.line())
    while signing.program.pid is None:  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0)
    assert signing.program._child is not None
    return starting, signing.program._child


async def test_letters_are_signed_in_their_order_beside_the_loop(signing: Signing) -> None:
    drafts = [a_draft(number) for number in range(17)]
    first, second, *others = signing.pile(drafts)
    second.cancel()  # whoever waited for it has gone
    assert not first.done()
    signed = [await promise for promise in (first, *others)]
    assert signed == [SIGNER.octets(draft) for draft in (drafts[0], *drafts[2:])]
    assert signing.program.pid is not None


async def test_nothing_to_sign_starts_no_program(signing: Signing) -> None:
    assert signing.pile([]) == []
    await asyncio.sleep(0.01)
    assert signing.program.pid is None


async def test_where_the_program_dies_every_letter_is_promised_all_the_same(signing: Signing) -> None:
    [promise] = signing.pile([a_draft(1)])
    assert await promise is not None
    pid = signing.program.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    promises = signing.pile([a_draft(2), a_draft(3)])
    await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    assert await asyncio.wait_for(asyncio.gather(*promises), 5) == [None, None]
    [promise] = signing.pile([a_draft(4)])
    assert await promise == SIGNER.octets(a_draft(4)), "another one signs"


async def test_what_cannot_be_signed_takes_nothing_along(signing: Signing) -> None:
    broken = a_draft(1)._replace(signed=[b"one piece for two keys"])
    assert await asyncio.gather(*signing.pile([broken, a_draft(2)])) == [None, None]
    [promise] = signing.pile([a_draft(3)])
    assert await promise == SIGNER.octets(a_draft(3))


async def test_where_it_does_not_start_a_thread_signs(signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    promises = signing.pile([a_draft(1), a_draft(2)])
    assert await asyncio.gather(*promises) == [SIGNER.octets(a_draft(1)), SIGNER.octets(a_draft(2))]
    assert signing.program.pid is None


async def test_no_key_is_shown_to_whoever_lists_programs(signing: Signing) -> None:
    [promise] = signing.pile([a_draft(1)])
    await promise
    listed = b""
    for what in ("cmdline", "environ"):
        with open(f"/proc/{signing.program.pid}/{what}", "rb") as file:  # noqa: ASYNC230, PTH123 -- the kernel's own words
            listed += file.read()
    assert b"campaign.mail.signatures" in listed
    for key in SIGNER.keys:
        assert key.key.pem.splitlines()[1] not in listed


async def test_a_program_that_stands_still_is_given_up(signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.actions.signing._PATIENCE", 0.3)
    monkeypatch.setattr("campaign.beside.program._LAST_WORDS", 0.1)
    [promise] = signing.pile([a_draft(1)])
    await promise
    stopped = signing.program.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    promises = signing.pile([a_draft(2)]) + signing.pile([a_draft(3)])
    assert await asyncio.wait_for(asyncio.gather(*promises), 5) == [None, None]
    monkeypatch.undo()
    [promise] = signing.pile([a_draft(4)])
    assert await promise == SIGNER.octets(a_draft(4)), "another one signs"
    with pytest.raises(ProcessLookupError):
        os.kill(stopped, 0)


async def test_a_program_that_hangs_as_it_starts_is_given_up(
    signing: Signing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hanging = tmp_path / "python"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(hanging))
    monkeypatch.setattr("campaign.beside.program._START_SECONDS", 0.3)
    monkeypatch.setattr("campaign.beside.program._LAST_WORDS", 0.1)
    [promise] = signing.pile([a_draft(1)])
    assert await asyncio.wait_for(promise, 5) == SIGNER.octets(a_draft(1)), "a thread signs"
    assert signing.program.pid is None


async def test_whoever_is_cancelled_as_it_starts_leaves_nothing_behind(signing: Signing) -> None:
    starting, child = await just_starting(signing)
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert child.returncode is not None
    [promise] = signing.pile([a_draft(1)])
    assert await promise == SIGNER.octets(a_draft(1))


async def test_what_is_asked_for_when_all_is_over_starts_no_other_one(signing: Signing) -> None:
    [promise] = signing.pile([a_draft(1)])
    await signing.program.close()  # before it was even asked
    assert await promise == SIGNER.octets(a_draft(1)), "a thread signs"
    assert signing.program.pid is None


async def test_one_that_is_just_starting_ends_with_the_rest(signing: Signing) -> None:
    """Nobody waits until it would have been given up, and it does not outlive what ended it."""
    starting, child = await just_starting(signing)
    while signing.program._line is None:  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0)
    with capture_logs() as logs:
        await signing.program.close()
    assert child.returncode is not None
    assert await starting is None
    assert logs == []


async def test_one_that_is_just_starting_heeds_a_close_that_nobody_waits_for(signing: Signing) -> None:
    starting, child = await just_starting(signing)
    closing = asyncio.create_task(signing.program.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await starting is None
    assert child.returncode is not None
    assert await signing.program.line() is None


async def test_whoever_no_longer_waits_for_its_end_leaves_none_behind(signing: Signing) -> None:
    [promise] = signing.pile([a_draft(1)])
    await promise
    child = signing.program._child
    assert child is not None
    child.send_signal(signal.SIGSTOP)
    closing = asyncio.create_task(signing.program.close())
    await asyncio.sleep(0.05)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert child.returncode == -signal.SIGKILL
