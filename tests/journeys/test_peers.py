"""What we measure ourselves against really does what it is said to do: a line that is long, and other people's mailers."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path

import pytest

from benchmarks import mailers
from benchmarks.audit import Rates, Score
from benchmarks.delay_proxy import line
from benchmarks.installation import reader
from benchmarks.mailers import PER_PERSON, PREBUILT, Job
from campaign.actions import campaigning, previewing
from campaign.clock import SystemClock
from campaign.domain.campaigns import Definition
from campaign.mail.composer import read_letter
from campaign.runtime.catcher import Catcher
from campaign.store.engine import Store
from tests.builders import a_kit, fresh_articles, some_readers

_AWAY = 0.05
_MUCH = bytes(range(256)) * 40_000


def _echo(server: socket.socket) -> None:
    """Send back to one visitor whatever came, until they have said all."""
    visitor, _ = server.accept()
    with visitor:
        while piece := visitor.recv(65536):
            visitor.sendall(piece)


def test_a_long_line_holds_every_byte_back_in_order_and_limits_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        # The proxy is looked for by connecting to it once; that visitor says nothing, and is answered nothing.
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        with line(server.getsockname()[1], _AWAY) as far, socket.create_connection(("127.0.0.1", far.port)) as ours:
            took = []
            for _ in range(5):
                began = time.monotonic()
                ours.sendall(b"ping")
                assert ours.recv(100) == b"ping"
                took.append(time.monotonic() - began)
            assert min(took) >= _AWAY, took
            assert min(took) < 1.5 * _AWAY, took
            threading.Thread(target=lambda: (ours.sendall(_MUCH), ours.shutdown(socket.SHUT_WR)), daemon=True).start()
            heard = b""
            while piece := ours.recv(1 << 20):
                heard += piece
            assert heard == _MUCH


async def test_the_mailers_send_the_same_letter_as_we_do_to_as_many(store: Store, home: Path, tmp_path: Path) -> None:
    kit, catcher = a_kit(store, SystemClock(), home), Catcher(tmp_path / "caught")
    await some_readers(kit, 1)
    await fresh_articles(kit)
    await campaigning.create(kit, "news", Definition(every="monday", lists=("supporters",), zone="UTC", most=1))
    shown = await previewing.preview(kit, "news")
    ours, parts = tmp_path / "ours.eml", tmp_path / "letter.json"
    ours.write_bytes(shown.eml)
    await mailers.write_letter(kit, "news", parts)
    await kit.renderer.aclose()
    await catcher.start()
    for way, letter in ((PREBUILT, ours), (PER_PERSON, parts)):
        assert min(await mailers.send(Job(way, letter, catcher.port, letters=7, connections=3))) > 0
    await catcher.stop()
    assert len(catcher.letters) == 14
    theirs = read_letter(mailers.per_person(parts)(7))
    assert theirs.subject == shown.reading.subject
    size = len(mailers.per_person(parts)(7)) / len(shown.eml)
    assert 0.95 < size < 1.05, "a smaller letter would be an unfair race"
    headings, others = (re.findall(r"<h\d.*?</h\d>", one.html, re.DOTALL) for one in (shown.reading, theirs))
    assert headings
    assert others == headings
    to = {reader(number).wire for number in range(1, 8)}
    assert {one.recipient for one in catcher.letters} == to


def test_the_table_names_each_figure_its_promise_and_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    score = Score(script="benchmarks.some")
    score.at_most("seconds to wake", 0.5, 1.0)
    score.outruns("a peer", 2.5, Rates(5_000, 2_000), 3.0)
    capsys.readouterr()
    score.show()
    head, first, second = capsys.readouterr().out.split("\n")[1:4]
    assert head.split() == ["figure", "ours", "peer", "ratio", "promise", "script"]
    assert first.split() == ["seconds", "to", "wake", "0.5", "<=", "1", "benchmarks.some"]
    assert second.split() == ["a", "peer", "5,000/s", "2,000/s", "2.5", ">=", "3", "benchmarks.some", "FAIL"]
    assert score.end() == 1
