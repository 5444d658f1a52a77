"""Files of people become subscribers: the same counts on SQLite and PostgreSQL, whatever is in them and whenever it stops."""

from __future__ import annotations

import asyncio
import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from campaign.actions import confirming, finding, importing, joining, listing, subscribing, suppressing
from campaign.actions.importing import Order, Report
from campaign.actions.joining import Joined, Request
from campaign.actions.kit import Kit
from campaign.actions.rejecting import Refused, Rejects
from campaign.actions.unpacking import FileRefused
from campaign.domain.addresses import parse_address
from campaign.domain.consent import Reason
from campaign.domain.delivery import Kind, State
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.domain.lists import Terms
from campaign.domain.people import Person, PersonRow
from campaign.domain.rows import ColumnsRefused
from campaign.domain.tokens import Link, Purpose
from campaign.store.engine import Store
from campaign.store.imports import Tally
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import consents, imports, subscribers, subscriptions
from tests.builders import a_kit
from tests.cli.programs import ROOT, Started
from tests.clocks import FrozenClock

WORDING = "I want your letters. Form of the fair, 2027-01-11"


@pytest.fixture
async def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    made = a_kit(store, clock, home)
    await listing.add(made, "supporters", Terms("Supporters"))
    return made


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "CHUNK", 3)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(*lines: str, name: str = "people.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes("\n".join(lines).encode(encoding))
        return path

    return to_file


async def run(kit: Kit, path: Path, wording: str = WORDING, **more: Any) -> Report:
    return await importing.run(kit, Order(path, "supporters", wording, **more))


async def rows(kit: Kit) -> list[PersonRow]:
    return [row async for row in finding.rows(kit)]


async def states(kit: Kit) -> dict[str, str]:
    return {row.address.partition("@")[0]: row.state for row in await rows(kit)}


async def count(kit: Kit, table: Any) -> int:
    async with kit.store.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())


def rejects(report: Report) -> list[list[str]]:
    assert report.rejects is not None
    with report.rejects.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def readers(*numbers: int) -> list[str]:
    return [f"reader-{n:02}@example.org" for n in numbers]


# What a file may hold


@pytest.mark.usefixtures("small_chunks")
async def test_a_file_of_people_becomes_subscribers(kit: Kit, write: Write) -> None:
    path = write(
        "E-Mail;Nombre;País;Idioma;Zona horaria;Notes",
        'reader-01@example.org;"Ünïcode',
        'Näme";us;EN;europe/berlin;x',
        "reader-02@example.org;اسم;GB;;;",
        "",
        ";;;;;",
        "READER-01@Example.org;again;DE;;;",
        "reader-03@bücher.example;;;;;",
        "nobody;x;;;;",
        "reader-04@example.org;x;UK;;;",
        "reader-04@example.org;x;GB;;;",
        encoding="utf-8-sig",
    )
    report = await run(kit, path)
    assert report.tally == Tally(7, added=4, refused=2)
    assert report.tally.duplicates == 1
    assert report.ignored == ()
    assert (await rows(kit))[:3] == [
        PersonRow("reader-01@example.org", "Ünïcode Näme", "supporters", "active", "US", "en", "Europe/Berlin"),
        PersonRow("reader-02@example.org", "اسم", "supporters", "active", "GB", None, None),
        PersonRow("reader-03@xn--bcher-kva.example", "", "supporters", "active", None, None, None),
    ]
    assert [one.line for one in report.shown] == [9, 10]
    found = rejects(report)
    assert found[0] == ["line", "reason", "E-Mail", "Nombre", "País", "Idioma", "Zona horaria", "Notes"]
    assert [(row[0], row[2]) for row in found[1:]] == [("9", "nobody"), ("10", "reader-04@example.org")]
    assert "Write GB." in found[2][1]
    assert report.rejects is not None
    assert report.rejects.stat().st_mode & 0o077 == 0, "only its owner reads addresses in the clear"
    page = await finding.show(kit, "reader-01@example.org")
    (consent,) = page.consents
    assert (consent.wording, consent.source, consent.recorded_by) == (WORDING, "import", "local:test")


async def test_refused_rows_can_be_corrected_and_imported(kit: Kit, write: Write) -> None:
    report = await run(kit, write("address,name", 'wrong,"a ""quoted"" name"', "reader-01@example.org,x"))
    assert report.rejects is not None
    text = report.rejects.read_text("utf-8").replace("wrong,", "reader-02@example.org,")
    corrected = write(text, name="corrected.csv")
    again = await run(kit, corrected)
    assert again.tally == Tally(1, added=1)
    assert again.ignored == ("line", "reason")
    assert [row.name for row in await rows(kit)] == ["x", 'a "quoted" name']


@pytest.mark.usefixtures("small_chunks")
async def test_the_same_file_again_changes_nothing(kit: Kit, write: Write, clock: FrozenClock) -> None:
    path = write("address,name,country", *(f"{one},Reader,US" for one in readers(*range(10), 3)))
    first = await run(kit, path)
    assert (first.tally, first.rejects) == (Tally(11, added=10), None)
    before = await rows(kit)
    clock.advance(joining.ASK_AGAIN_AFTER)
    again = await run(kit, path)
    assert again.tally == Tally(11, unchanged=10)
    assert again.resumed == 0, "a finished import is no unfinished one"
    assert await rows(kit) == before
    assert await count(kit, consents) == 10
    assert await count(kit, imports) == 2


async def test_what_changed_is_changed_and_what_is_not_said_stays(kit: Kit, write: Write) -> None:
    await run(kit, write("address,name,country,language", "reader-01@example.org,Reader,US,en", *readers(2)))
    report = await run(kit, write("address,name,country,language", "reader-01@example.org,Reader,GB,", *readers(2)))
    assert report.tally == Tally(2, changed=1, unchanged=1)
    report = await run(kit, write("address,name", "reader-01@example.org,Renamed", "reader-02@example.org,"))
    assert report.tally == Tally(2, changed=1, unchanged=1)
    assert (await rows(kit))[0] == PersonRow(
        "reader-01@example.org", "Renamed", "supporters", "active", "GB", "en", None
    )


async def test_another_wording_is_another_consent(kit: Kit, write: Write) -> None:
    path = write("address", *readers(1, 2))
    await run(kit, path)
    assert (await run(kit, path, "Yes, again. Letter of 2027-02-01")).tally == Tally(2, changed=2)
    assert (await run(kit, path, "Yes, again.  Letter of 2027-02-01 ")).tally == Tally(2, unchanged=2)
    assert await count(kit, consents) == 4


async def test_somebody_known_from_another_list_is_added_to_this_one(kit: Kit, write: Write) -> None:
    await listing.add(kit, "press", Terms("Press"))
    await importing.run(kit, Order(write("address,country", "reader-01@example.org,US"), "press", WORDING))
    report = await run(kit, write("address,country", "reader-01@example.org,GB", *readers(2)))
    assert report.tally == Tally(2, added=2)
    assert await count(kit, subscribers) == 2
    assert [(row.list, row.country) for row in await rows(kit)][:2] == [("supporters", "GB"), ("press", "GB")]


# Who may not be brought back


async def test_who_left_complained_bounced_or_was_erased_is_refused(kit: Kit, write: Write) -> None:
    path = write("address", *readers(1, 2, 3, 4, 5, 6))
    await run(kit, path)
    await subscribing.leave(kit, parse_address("reader-01@example.org"))
    await suppressing.erase(kit, parse_address("reader-02@example.org"))
    for n, reason in ((3, Reason.COMPLAINED), (4, Reason.BOUNCED), (5, Reason.BLOCKED)):
        await suppressing.suppress(kit, parse_address(f"reader-{n:02}@example.org"), reason)
    for confirm in (False, True):
        report = await run(kit, path, confirm=confirm)
        assert report.tally == Tally(6, unchanged=1, refused=5)
        assert [(row[0], row[1].partition(" ")[2]) for row in rejects(report)[1:]] == [
            ("2", "person left the list on 2027-06-01."),
            ("3", "person asked to be erased."),
            ("4", "person complained about a letter."),
            ("5", "mailbox does not exist, a relay said."),
            ("6", "address is blocked by an operator."),
        ]
    assert await states(kit) == {
        "reader-01": "left",
        "reader-03": "suppressed",
        "reader-04": "suppressed",
        "reader-05": "suppressed",
        "reader-06": "active",
    }
    assert await count(kit, deliveries) == 0
    erased = await suppressing.erase(kit, parse_address("reader-05@example.org"))
    assert [path.name for path in erased.files] == ["2-people.rejects.csv", "3-people.rejects.csv"]


async def test_pending_people_become_active_unless_they_had_left(kit: Kit, write: Write) -> None:
    for n in (1, 2):
        await joining.add(kit, Request(Person(parse_address(f"reader-{n:02}@example.org")), "supporters"))
    await subscribing.leave(kit, parse_address("reader-02@example.org"))
    await joining.add(kit, Request(Person(parse_address("reader-02@example.org")), "supporters"))
    assert await states(kit) == {"reader-01": "pending", "reader-02": "pending"}
    path = write("address", *readers(1, 2))
    assert (await run(kit, path, confirm=True)).tally == Tally(2, unchanged=1, refused=1)
    assert (await run(kit, path)).tally == Tally(2, changed=1, refused=1)
    assert await states(kit) == {"reader-01": "active", "reader-02": "pending"}
    assert (await run(kit, path)).tally == Tally(2, unchanged=1, refused=1)


async def test_with_confirm_each_new_person_is_asked_by_letter_once(kit: Kit, write: Write, clock: FrozenClock) -> None:
    path = write("address", *readers(*range(7)))
    report = await run(kit, path, confirm=True)
    assert report.tally == Tally(7, added=7)
    assert set((await states(kit)).values()) == {"pending"}
    clock.advance(2 * joining.ASK_AGAIN_AFTER)
    assert (await run(kit, path, confirm=True)).tally == Tally(7, unchanged=7)
    async with kit.store.read() as tx:
        letters = (await tx.execute(select(deliveries))).all()
    assert len(letters) == 7
    assert {(one.kind, one.state) for one in letters} == {(Kind.CONFIRM, State.QUEUED)}
    assert (await joining.add(kit, Request(Person(parse_address(readers(1)[0])), "supporters"))).joined is Joined.ASKED
    async with kit.store.read() as tx:
        again = (await tx.execute(select(deliveries).order_by(deliveries.c.id.desc()).limit(1))).one()
    assert again.purpose_key == f"confirm:{again.subscription_id}:2", "the import's letter was the first"
    token = kit.keys.sign_link(Link(Purpose.CONFIRM, letters[0].subscription_id, letters[0].id))
    clock.travel_to(letters[0].due_at)
    assert await confirming.confirm_by_link(kit, token) is confirming.Confirmed.ACTIVE
    assert sorted((await states(kit)).values()) == ["active"] + ["pending"] * 6


# Looking first


async def test_a_dry_run_counts_the_same_and_writes_nothing(kit: Kit, write: Write, home: Path) -> None:
    await run(kit, write("address,name", "reader-01@example.org,A", "reader-02@example.org,B", name="before.csv"))
    await subscribing.leave(kit, parse_address("reader-02@example.org"))
    path = write("address,name", "reader-01@example.org,C", *readers(2, 3, 3), "wrong")
    before = (await rows(kit), await count(kit, imports), await count(kit, consents))
    report = await run(kit, path, "Another wording", dry_run=True)
    assert (await rows(kit), await count(kit, imports), await count(kit, consents)) == before
    assert not (home / "imports").exists()
    assert (report.rejects, [one.line for one in report.shown]) == (None, [3, 6])
    done = await run(kit, path, "Another wording")
    assert done.tally == report.tally == Tally(5, added=1, changed=1, refused=2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("address,name\na@example.org,Näme\n".encode() + "b@example.org,Näme\n".encode("latin-1"), "line 3 is not"),
        ("address,name\na@example.org,Näme\n".encode("latin-1") + "b@example.org,Näme\n".encode(), "line 2 is not"),
        (b"address\n" + b"reader-01@example.org\n" * 100_000 + b"\x81", "line 100002"),
        ("address,name\na@example.org,Näme\nb@example.org,N".encode() + b"\xc3", "line 3 is not"),
        ("address\nreader-01@example.org\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04rest", "a spreadsheet"),
    ],
)
async def test_files_that_are_no_utf_8_are_refused_before_anything_is_written(
    kit: Kit, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=words) as refused:
        await run(kit, path)
    assert "CSV UTF-8" in refused.value.remedy
    assert (await count(kit, imports), await count(kit, subscribers)) == (0, 0)


async def test_western_text_is_read_as_it_was_meant(kit: Kit, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes("E-Mail;Name\nreader-01@example.org;Zoë Größe – „Ö“\n".encode("cp1252"))
    report = await run(kit, path)
    assert (report.encoding, report.tally.added) == ("cp1252", 1)
    [row] = await rows(kit)
    assert row.name == "Zoë Größe – „Ö“"


async def test_cards_of_an_address_book_are_people_too(kit: Kit, write: Write, home: Path) -> None:
    path = write(
        *("BEGIN:VCARD", "VERSION:3.0", "FN:Zoë", "EMAIL:reader-01@example.org", "END:VCARD"),
        *("BEGIN:VCARD", "VERSION:3.0", "FN:=1+1", "EMAIL:reader-02@example.org", "END:VCARD"),
        *("BEGIN:VCARD", "VERSION:3.0", "FN:Nobody", "END:VCARD"),
        name="people.vcf",
    )
    report = await run(kit, path)
    assert [(one.line, one.reason) for one in report.shown][-1] == (11, "This card has no e-mail address.")
    assert (report.tally.added, report.tally.refused) == (1, 2)
    [row] = await rows(kit)
    assert (row.address, row.name) == ("reader-01@example.org", "Zoë")
    assert report.rejects is not None
    assert report.rejects.read_text(encoding="utf-8-sig").startswith("line,reason,email,name,country")
    assert (await run(kit, path)).tally.unchanged == 1


async def test_other_things_that_cannot_be_imported(kit: Kit, write: Write, tmp_path: Path) -> None:
    for path, error, words in [
        (tmp_path / "missing.csv", FileRefused, "No such file"),
        (tmp_path, FileRefused, "directory"),
        (write(name="empty.csv"), ColumnsRefused, "No column"),
        (write("reader-01@example.org", name="bare.csv"), ColumnsRefused, "No column"),
    ]:
        with pytest.raises(error, match=words):
            await run(kit, path)
    good = write("address", *readers(1))
    for wording in ("", "  ", "x" * 3_000, "a\x00b"):
        with pytest.raises(BadInput, match="consented"):
            await run(kit, good, wording)
    with pytest.raises(NotFound):
        await importing.run(kit, Order(good, "nowhere", WORDING))
    assert await count(kit, imports) == 0
    assert (await run(kit, write("address", name="header.csv"))).tally == Tally()


# Stopping and going on


class StoppedError(Exception):
    """The import was stopped on purpose."""


async def _state(kit: Kit) -> tuple[Any, ...]:
    return (
        sorted(await rows(kit), key=lambda row: row.address),
        await count(kit, subscriptions),
        await count(kit, consents),
        await count(kit, deliveries),
    )


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("where", ["between", "after_rejects", "within"])
@pytest.mark.parametrize("chunk", [1, 2, 4])
async def test_what_was_stopped_goes_on_and_repeats_nothing(
    kit: Kit, write: Write, monkeypatch: pytest.MonkeyPatch, where: str, chunk: int
) -> None:
    lines = [*readers(1, 2), "wrong-1", *readers(3, 1), "wrong-2", "wrong-3", *readers(4, 4, 5, 6), "wrong-4"]
    path = write("address", *lines)
    times = 0

    def stop(*_: object) -> None:
        nonlocal times
        times += 1
        if times == chunk:
            raise StoppedError

    with monkeypatch.context() as patch:
        progress = stop if where == "between" else lambda *_: None
        if where == "after_rejects":
            add = Rejects.add
            patch.setattr(Rejects, "add", lambda self, refused: (add(self, refused), stop()))
        if where == "within":
            patch.setattr(importing.staging, "change", _async(stop))
        with pytest.raises(StoppedError):
            await importing.run(kit, Order(path, "supporters", WORDING), progress)
    report = await run(kit, path)
    assert report.resumed == 3 * (chunk if where == "between" else chunk - 1)
    assert report.tally == Tally(12, added=6, refused=4)
    assert [row[0] for row in rejects(report)] == ["line", "4", "7", "8", "13"]
    assert await count(kit, imports) == 1
    assert await count(kit, consents) == await count(kit, subscribers) == 6


def _async(verb: Callable[..., None]) -> Callable[..., Any]:
    async def call(*words: object) -> None:
        verb(*words)

    return call


async def test_letters_that_ask_are_not_repeated_when_an_import_goes_on(
    kit: Kit, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_CHUNK_ASKING", 50)
    path = write("address", *readers(*range(120)))
    order = Order(path, "supporters", WORDING, confirm=True)

    def stop(*_: object) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        await importing.run(kit, order, stop)
    assert await count(kit, deliveries) == 50
    assert (await importing.run(kit, order)).resumed == 50
    assert await count(kit, deliveries) == 120


@pytest.mark.usefixtures("small_chunks")
async def test_another_file_list_or_wording_is_another_import(kit: Kit, write: Write) -> None:
    await listing.add(kit, "press", Terms("Press"))
    path = write("address", *readers(1, 2, 3, 4))

    def stop(*_: object) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        await importing.run(kit, Order(path, "supporters", WORDING), stop)
    assert (await importing.run(kit, Order(path, "press", WORDING))).resumed == 0
    assert (await run(kit, path, "Other words")).resumed == 0
    assert (await run(kit, path, confirm=True)).resumed == 0
    assert (await run(kit, write("address", *readers(1, 2, 3, 5)))).resumed == 0
    assert (await run(kit, write("address", *readers(1, 2, 3, 4), name="renamed.csv"))).resumed == 3


@pytest.mark.usefixtures("small_chunks")
async def test_two_at_once_on_one_file_never_do_a_row_twice(kit: Kit, write: Write) -> None:
    path = write("address", *readers(*range(30)), "wrong")
    found = await asyncio.gather(run(kit, path), run(kit, path), return_exceptions=True)
    assert any(isinstance(one, Conflict) for one in found)
    report = await run(kit, path)
    assert report.tally.refused == 1
    assert [row[0] for row in rejects(report)] == ["line", "32"]
    assert await count(kit, consents) == await count(kit, subscribers) == 30


def test_half_a_file_of_refused_rows_is_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "1-people.rejects.csv"
    whole = Rejects(path, ["address", "note"], 0)
    whole.add([Refused(2, "wrong", ["a", "two\nlines"]), Refused(4, "wrong", ["b", "x"])])
    size = path.stat().st_size
    whole.add([Refused(12, "wrong", ["c", 'an "open'])])
    for cut in range(size, path.stat().st_size):
        half = tmp_path / "half.csv"
        half.write_bytes(path.read_bytes()[:cut])
        again = Rejects(half, ["address", "note"], 5)
        assert again.count == 2
        assert again.close() == half
        assert half.stat().st_size == size
    left = Rejects(path, ["address", "note"], 1)
    assert left.close() is None
    assert not path.exists(), "none of it counts"


def _kill_until_done(program: list[str], most: int) -> int:
    """Start the program again and again, killing it at random moments at first; return how often it was killed."""
    dice, kills = random.Random(7), 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    while True:
        with Started(program, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
            assert process.stdout is not None
            if kills < most and process.stdout.readline():
                for _ in range(dice.randrange(4)):
                    process.stdout.readline()
                time.sleep(dice.uniform(0, 0.03))
                process.kill()
                kills += 1
            said = process.stdout.read()
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL, said


@pytest.mark.timeout(180)
async def test_killed_at_any_moment_and_repeated_it_ends_the_same(
    kit: Kit, database_url: str, home: Path, tmp_path: Path
) -> None:
    people = 4_000
    path = tmp_path / "people.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("address,name\n")
        for n in range(people):
            file.write(f"reader-{n if n % 50 else n // 2}@example{n % 7}.org,Reader\n")
            if n % 40 == 7:
                file.write(f"wrong-{n},x\n")
    program = [sys.executable, "-m", "tests.contracts.importer", database_url, str(home), str(path)]
    kills = await asyncio.to_thread(_kill_until_done, program, 5)
    assert kills >= 3
    async with kit.store.read() as tx:
        (done,) = (await tx.execute(select(imports))).all()
    names = {f"{n if n % 50 else n // 2}/{n % 7}" for n in range(people)}
    assert (done.added, done.refused, done.changed, done.unchanged) == (len(names), 100, 0, 0)
    assert done.finished_at is not None
    assert await count(kit, subscribers) == await count(kit, subscriptions) == await count(kit, consents) == len(names)
    (file_of_rejects,) = (home / "imports").iterdir()
    with file_of_rejects.open(encoding="utf-8-sig", newline="") as text:
        refused = [(int(row["line"]), row["address"]) for row in csv.DictReader(text)]
    lines = path.read_text("utf-8").splitlines()
    assert refused == [(n, line.partition(",")[0]) for n, line in enumerate(lines, 1) if line.startswith("wrong")]
