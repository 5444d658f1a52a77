"""The front door: what is called, how it ends, and that nothing foreign reaches the terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from campaign.cli import main, output
from campaign.domain.errors import BadInput, CampaignError, NotFound
from tests.cli.programs import Started, campaign, command, environment, on_a_terminal


@pytest.mark.parametrize("name", list(main.PLACES))
def test_every_command_of_the_overview_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == 0
    assert "Usage: campaign" in capsys.readouterr().out


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert not [name for name in main.PLACES if f" {name} " not in shown]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert re.fullmatch(r"campaign \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "words", [["newe"], ["articles", "lst"], ["articles", "list", "--nonsense"], ["db", "check", "x"]]
)
def test_a_mistyped_line_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(words) == 2
    assert "Usage" in capsys.readouterr().err


def test_a_near_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["artcles"])
    assert "articles" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("Wrong.", remedy="Mend it."), 2),
        (NotFound("Gone.", remedy="Look."), 1),
        (OSError(28, "No space left"), 1),
    ],
)
def test_errors_end_with_words_and_a_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in(monkeypatch, error)
    assert main.run(["articles", "list"]) == status
    shown = capsys.readouterr().err
    assert "Error: " in shown
    assert "Traceback" not in shown
    if isinstance(error, CampaignError):
        assert error.remedy in shown


def test_a_fault_of_ours_names_no_address_and_tells_how_to_see_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in(monkeypatch, KeyError("reader-07@example.org\n[parameters: ('secret',)]"))
    assert main.run(["articles", "list"]) == 1
    shown = capsys.readouterr().err
    assert "CAMPAIGN_DEBUG=1" in shown
    assert "reader-07@example.org" not in shown
    assert "Traceback" not in shown
    monkeypatch.setenv("CAMPAIGN_DEBUG", "1")
    with pytest.raises(KeyError):
        main.run(["articles", "list"])


def _stand_in(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let a command end in `error`."""
    app = typer.Typer()

    @app.callback()
    def front() -> None: ...

    @app.command("list")
    def fail() -> None:
        raise error

    monkeypatch.setattr("campaign.cli.content.articles_app", app)


def test_home_may_stand_anywhere(made: Path, tmp_path: Path) -> None:
    for words in (
        ["--home", str(made), "db", "check"],
        ["db", "check", "--home", str(made)],
        ["db", f"--home={made}", "check"],
    ):
        assert campaign(*words, home=tmp_path).returncode == 0, words
    assert campaign("db", "check", home=tmp_path, CAMPAIGN_HOME=str(made)).returncode == 0
    assert campaign("db", "check", "--home", home=tmp_path).returncode == 2


def test_a_folder_that_is_no_home_stays_untouched(tmp_path: Path) -> None:
    done = campaign("articles", "list", home=tmp_path)
    assert done.returncode == 2
    assert "CAMPAIGN_SECRET_KEY" in done.stderr
    assert "campaign init" in done.stderr
    done = campaign("db", "check", home=tmp_path)
    assert done.returncode == 1
    assert "campaign init" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_with_130_and_no_noise(made: Path) -> None:
    ours, theirs = pty.openpty()
    with Started(
        command("articles", "retire", "x"), cwd=made, env=environment(), stdin=theirs, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stderr.read(9) == "Retire x?"
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
        assert "Traceback" not in running.stderr.read()
    os.close(ours)
    os.close(theirs)


def test_a_pipe_that_closes_is_no_fault(made: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(command('keydates', 'list', '--json'))} | head -1"],
        cwd=made,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[\n"
    assert "Traceback" not in done.stderr


class TestInit:
    def test_makes_a_home_and_says_what_is_next(self, home: Path) -> None:
        (home / "notes.txt").write_text("mine")
        done = campaign("init", home=home)
        assert done.returncode == 0, done.stderr
        assert "3 fresh keys" in done.stdout
        assert "16 key dates" in done.stdout
        assert re.search(r"Added \d+ starter articles", done.stdout)
        assert "Next:" in done.stderr
        assert (home / "notes.txt").read_text() == "mine"
        assert (home / ".env").stat().st_mode & 0o777 == 0o600
        assert (home / "campaign.db").stat().st_mode & 0o077 == 0
        keys = re.findall(r'^CAMPAIGN_(\w+)_KEY="([A-Za-z0-9_=-]{44})"$', (home / ".env").read_text(), re.MULTILINE)
        assert {name for name, _ in keys} == {"SECRET", "SUPPRESSION", "SEAL"}
        assert len({key for _, key in keys}) == 3

    def test_twice_is_as_good_as_once(self, made: Path) -> None:
        before = (made / ".env").read_bytes()
        listed = campaign("articles", "list", "--json", home=made).stdout
        done = campaign("init", home=made)
        assert done.returncode == 0
        assert "Kept" in done.stdout
        assert "Added 0 starter articles" in done.stdout
        assert (made / ".env").read_bytes() == before
        assert campaign("articles", "list", "--json", home=made).stdout == listed

    def test_makes_the_folder_that_is_named(self, tmp_path: Path) -> None:
        assert campaign("init", "--home", "new/place", home=tmp_path).returncode == 0
        assert (tmp_path / "new" / "place" / ".env").exists()
        assert not (tmp_path / ".env").exists()

    def test_adds_keys_to_settings_that_are_there(self, home: Path) -> None:
        (home / ".env").write_text("OTHER=1\nCAMPAIGN_LANGUAGE=es")
        (home / ".env").chmod(0o644)
        done = campaign("init", home=home)
        assert done.returncode == 0, done.stderr
        text = (home / ".env").read_text()
        assert text.startswith("OTHER=1\nCAMPAIGN_LANGUAGE=es\nCAMPAIGN_SECRET_KEY=")
        assert (home / ".env").stat().st_mode & 0o777 == 0o600

    def test_takes_keys_from_the_environment_and_writes_none(self, made: Path, tmp_path: Path) -> None:
        given_keys = dict(re.findall(r'^(CAMPAIGN_\w+_KEY)="(.*)"$', (made / ".env").read_text(), re.MULTILINE))
        other = tmp_path / "other"
        other.mkdir()
        assert campaign("init", home=other, **given_keys).returncode == 0
        assert not re.search(r"^CAMPAIGN_\w+_KEY=", (other / ".env").read_text(), re.MULTILINE)

    def test_never_makes_new_keys_for_a_database_that_has_some(self, made: Path) -> None:
        lines = (made / ".env").read_text().splitlines()
        (made / ".env").write_text("\n".join(line for line in lines if not line.startswith("CAMPAIGN_SEAL_KEY")))
        done = campaign("init", home=made)
        assert done.returncode == 1
        assert "CAMPAIGN_SEAL_KEY" in done.stderr
        assert "backup" in done.stderr
        assert not re.search(r"^CAMPAIGN_SEAL_KEY=", (made / ".env").read_text(), re.MULTILINE)

    def test_names_all_wrong_settings_at_once(self, home: Path) -> None:
        (home / ".env").write_text("CAMPAIGN_SENDER=nobody\nCAMPAIGN_TIMEZONE=Nowhere/Land\nCAMPAIGN_SENDR=x\n")
        done = campaign("init", home=home)
        assert done.returncode == 2
        assert all(word in done.stderr for word in ("CAMPAIGN_SENDER", "CAMPAIGN_TIMEZONE", "CAMPAIGN_SENDR"))

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        done = campaign("init", "--home", "file", home=tmp_path)
        assert done.returncode != 0
        assert "file" in done.stderr
        assert "Traceback" not in done.stderr

    def test_warns_of_settings_that_others_can_read(self, made: Path) -> None:
        (made / ".env").chmod(0o644)
        assert "chmod 600" in campaign("init", home=made).stderr


class TestOutput:
    def test_a_wide_terminal_shows_a_table_and_a_narrow_one_records(self, made: Path) -> None:
        wide = on_a_terminal("keydates", "list", home=made, columns=160)
        assert any("world-day-against-trafficking" in line and "30 July" in line for line in wide.splitlines())
        narrow = on_a_terminal("keydates", "list", home=made, columns=40)
        assert "key date:  world-day-against-trafficking" in narrow.replace("\r", "")

    def test_a_pipe_gets_whole_lines(self, made: Path) -> None:
        shown = campaign("keydates", "list", home=made, COLUMNS="40").stdout.splitlines()
        assert len(shown) == 17
        assert any(
            line.startswith("world-day-against-trafficking") and line.endswith("Trafficking in Persons")
            for line in shown
        )

    def test_questions_want_a_person_or_a_yes(self, made: Path) -> None:
        done = campaign("articles", "retire", "why-30-july", home=made)
        assert done.returncode == 2
        assert "--yes" in done.stderr
        assert campaign("articles", "retire", "why-30-july", "--yes", home=made).returncode == 0

    @given(st.text())
    def test_harmless_text_has_no_control_but_lines_and_tabs(self, text: str) -> None:
        shown = output.harmless(text)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
        shown.encode()

    @given(st.text(st.characters(exclude_categories=["C", "Z"])))
    def test_harmless_text_keeps_letters(self, text: str) -> None:
        assert output.harmless(text) == text

    @pytest.mark.parametrize(
        "hostile",
        [
            "\x1b[31mred\x1b[0m",
            "\x1b]0;title\x07red",
            "\x1b]8;;https://example.org\x1b\\red\x1b]8;;\x1b\\",
            "\x9b31mred",
            "\x1bP1$r\x1b\\red",
            "\x1bcred",
            "\x1b(0red",
        ],
    )
    def test_terminal_sequences_go_whole(self, hostile: str) -> None:
        assert output.harmless(hostile) == "red"

    def test_markup_is_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.table(("name",), [("[red]no[/red] :smile:",)])
        assert "[red]no[/red] :smile:" in capsys.readouterr().out

    @given(st.text())
    def test_json_is_whole_and_harmless(self, text: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            written: list[str] = []
            patch.setattr(typer, "echo", written.append)
            output.as_json([{"text": text}])
        assert json.loads(written[0]) == [{"text": text}]
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", written[0])

    def test_json_writes_times_as_the_internet_does(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.as_json({"at": datetime(2027, 7, 30, 9, tzinfo=UTC), "on": date(2027, 7, 30), "key": b"\x01\xff"})
        assert json.loads(capsys.readouterr().out) == {"at": "2027-07-30T09:00:00Z", "on": "2027-07-30", "key": "01ff"}


def test_help_answers_at_once(tmp_path: Path) -> None:
    """Half a second on an idle machine; the best of three, and twice that, so that a busy one does not fail it."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        assert campaign("--help", home=tmp_path).returncode == 0
        times.append(time.perf_counter() - begun)
    assert min(times) < 1.0
