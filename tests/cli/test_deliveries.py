"""Letters at the command line: names that are none, and files that must not, or cannot, be written."""

from __future__ import annotations

import os
import pty
import stat
import sys
from pathlib import Path

import pytest

from campaign.actions.filing import whole_file
from campaign.cli import main
from campaign.domain.errors import BadInput
from tests.cli.homes import Typist

LONG = "9" * 23
"""More digits than the id of any row has."""


@pytest.fixture
def campaigner(type_: Typist) -> Typist:
    """Somebody who has a campaign, and no letter of it yet."""
    assert type_("new", "news", "--once", "2099-01-12T09:00", "--list", "supporters") == 0
    return type_


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["deliveries", "list"],
        ["deliveries", "resolve", "--as", "accepted", "--yes"],
        ["editions", "show"],
        ["pause"],
        ["approve", "--yes"],
        ["status"],
    ],
)
def test_what_looks_like_a_number_and_is_none_is_not_found(campaigner: Typist, words: list[str]) -> None:
    for number in ("²", "٣", LONG, "9" * 5_000):
        assert campaigner(*words, number) == 1
        assert "There is no " in campaigner.aside
        assert "fault of its own" not in campaigner.aside


def test_an_error_is_not_preceded_by_half_a_list(campaigner: Typist) -> None:
    assert campaigner("deliveries", "list", "nothing", "--json") == 1
    assert campaigner.said == ""
    assert campaigner.read("deliveries", "list", "news") == []


def test_a_decision_that_is_none_is_not_called_a_state(campaigner: Typist) -> None:
    assert campaigner("deliveries", "resolve", "1", "--as", "lost", "--yes") == 2
    assert "state" not in campaigner.aside
    assert "accepted, resend, expire" in campaigner.aside


def test_an_export_replaces_files_and_nothing_else(campaigner: Typist, shelf: Path) -> None:
    pipe, folder, circle = shelf / "pipe", shelf / "folder", shelf / "circle"
    os.mkfifo(pipe)
    folder.mkdir()
    circle.symlink_to(circle)
    for path in (pipe, folder, circle, "", "/", str(shelf / ("x" * 300))):
        assert campaigner("deliveries", "export", "news", str(path)) == 2, path
        assert "file" in campaigner.aside
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert sorted(shelf.iterdir()) == [circle, folder, pipe]
    assert campaigner("consents", "proof", "reader-01@example.org", "--out", str(pipe), "--yes") == 2
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_an_export_says_where_it_cannot_write_and_leaves_nothing_behind(campaigner: Typist, shelf: Path) -> None:
    assert campaigner("deliveries", "export", "news", str(shelf / "nowhere" / "letters.csv")) == 2
    assert "nowhere/letters.csv' cannot be written: No such file or directory." in campaigner.aside
    assert campaigner("deliveries", "export", "nothing", str(shelf / "letters.csv")) == 1
    assert list(shelf.iterdir()) == []


def test_an_export_writes_through_a_link_and_not_through_one_that_lies_in_wait(campaigner: Typist, shelf: Path) -> None:
    real, link, other = shelf / "real.csv", shelf / "link.csv", shelf / "other"
    real.write_text("old")
    other.write_text("not yours")
    link.symlink_to(real)
    (shelf / "real.csv.part").symlink_to(other)
    assert campaigner("deliveries", "export", "news", str(link)) == 0
    assert link.is_symlink()
    assert real.read_text("utf-8").startswith("\ufeffid,edition")
    assert real.stat().st_mode & 0o777 == 0o600
    assert other.read_text() == "not yours"
    assert sorted(path.name for path in shelf.iterdir()) == ["link.csv", "other", "real.csv"]


def test_two_exports_do_not_write_the_same_file(campaigner: Typist, shelf: Path) -> None:
    sheet, left = shelf / "letters.csv", shelf / "letters.csv.part"
    left.write_text("of an export that was killed")
    with whole_file(sheet) as first:
        first.write("the first")
        assert campaigner("deliveries", "export", "news", str(sheet)) == 2
        assert "Another export is writing" in campaigner.aside
        assert "Wait until it has ended" in campaigner.aside
    assert sheet.read_text() == "the first"
    with pytest.raises(BadInput, match="Another export"), whole_file(sheet):
        left.rename(shelf / "the first's")  # as where both begin at the same moment
    assert [path.name for path in shelf.iterdir() if path != sheet] == ["the first's"], "it touches nothing but its own"
    assert sheet.read_text() == "the first"


@pytest.mark.parametrize(("wish", "coloured"), [("1", False), ("", True)])
def test_an_error_on_a_terminal_has_a_colour_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, shelf: Path, wish: str, coloured: bool
) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("NO_COLOR", wish)
    with open(theirs, "w", encoding="utf-8") as terminal:  # noqa: PTH123 -- by handle
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main.run(["--home", str(shelf), "deliveries", "list", "news"]) == 2
        terminal.flush()
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "Not set: CAMPAIGN_SECRET_KEY" in shown
    assert ("\x1b[" in shown) is coloured
