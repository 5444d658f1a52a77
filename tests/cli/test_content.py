"""Articles and key dates on the command line, as a person and as a script use them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.programs import campaign

ARTICLE = """---
title: Work that nobody may leave
topics: labour, signs
source_name: A source
source_url: https://example.org/report
review_on: 2099-12-31
---

Passports are kept, wages are held back, doors are locked.
"""


@pytest.fixture
def article(made: Path) -> Path:
    path = made / "work.md"
    path.write_text(ARTICLE)
    return path


def rows(*words: str, home: Path) -> Any:
    done = campaign(*words, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_article_comes_in_is_found_changed_and_retired(made: Path, article: Path) -> None:
    done = campaign("articles", "import", str(article), home=made)
    assert done.returncode == 0, done.stderr
    assert "1 added, 0 changed, 0 unchanged, 0 refused." in done.stdout
    assert "1 unchanged" in campaign("articles", "import", str(article), home=made).stdout

    (row,) = [row for row in rows("articles", "list", home=made) if row["slug"] == "work-that-nobody-may-leave"]
    assert (row["language"], row["status"], row["topics"], row["review_on"]) == (
        "en",
        "ready",
        ["labour", "signs"],
        "2099-12-31",
    )

    (hit,) = rows("articles", "search", "passports", "doors", home=made)
    assert hit["slug"] == "work-that-nobody-may-leave"
    assert "**Passports**" in hit["snippet"]

    done = campaign("articles", "edit", row["slug"], "--title", 'A "better" title', "--topics", "labour", home=made)
    assert done.returncode == 0, done.stderr
    shown = rows("articles", "show", row["slug"], home=made)
    assert (shown["title"], shown["topics"], shown["summary"]) == ('A "better" title', ["labour"], row["summary"])
    assert shown["body"].startswith("Passports")

    assert campaign("articles", "retire", row["slug"], "--yes", home=made).stdout == f"Retired {row['slug']}/en.\n"
    assert row["slug"] not in {one["slug"] for one in rows("articles", "list", home=made)}
    assert row["slug"] in {one["slug"] for one in rows("articles", "list", "--status", "retired", home=made)}
    assert row["slug"] in {one["slug"] for one in rows("articles", "list", "--all", home=made)}


def test_drafts_wait(made: Path, article: Path) -> None:
    campaign("articles", "import", str(article), "--draft", home=made)
    assert [one["slug"] for one in rows("articles", "list", "--status", "draft", home=made)] == [
        "work-that-nobody-may-leave"
    ]


def test_the_editor_gets_the_whole_article(made: Path, article: Path) -> None:
    campaign("articles", "import", str(article), home=made)
    script = made / "editor.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\npath = Path(sys.argv[-1])\ntext = path.read_text()\n"
        "assert 'title: \"Work that nobody may leave\"' in text\n"
        "path.write_text(text.replace('locked', 'watched'))\n"
    )
    editor = shlex.join([sys.executable, str(script)])
    done = campaign("articles", "edit", "work-that-nobody-may-leave", home=made, EDITOR=editor, VISUAL="")
    assert done.stdout == "Changed work-that-nobody-may-leave (en).\n", done.stderr
    assert "doors are watched" in rows("articles", "show", "work-that-nobody-may-leave", home=made)["body"]
    done = campaign("articles", "edit", "work-that-nobody-may-leave", home=made, EDITOR="true", VISUAL="")
    assert "Nothing changed" in done.stdout


@pytest.mark.parametrize(
    ("editor", "why"), [("", "EDITOR"), ("no-such-editor", "no-such-editor"), ("false", "nothing was changed")]
)
def test_an_editor_that_fails_changes_nothing(made: Path, article: Path, editor: str, why: str) -> None:
    campaign("articles", "import", str(article), home=made)
    before = rows("articles", "show", "work-that-nobody-may-leave", home=made)
    done = campaign("articles", "edit", "work-that-nobody-may-leave", home=made, EDITOR=editor, VISUAL="")
    assert done.returncode in {1, 2}
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert rows("articles", "show", "work-that-nobody-may-leave", home=made) == before


def test_refused_files_are_named_and_the_others_come_in(made: Path, article: Path) -> None:
    (made / "bad.txt").write_bytes("Caf\xe9\n\nNothing.\n".encode("latin-1"))
    done = campaign("articles", "import", str(article), str(made / "bad.txt"), home=made)
    assert done.returncode == 2
    assert "1 added" in done.stdout
    assert "bad.txt:1" in done.stderr
    assert "iconv" in done.stderr
    as_json = campaign("articles", "import", str(made / "bad.txt"), "--json", home=made)
    assert as_json.returncode == 2
    assert "bad.txt" in json.loads(as_json.stdout)["refused"][0]["file"]


@pytest.mark.parametrize(
    "words",
    [
        ["articles", "import", "nowhere.md"],
        ["articles", "show", "nothing"],
        ["articles", "retire", "nothing", "--yes"],
        ["articles", "edit", "nothing", "--title", "x"],
        ["keydates", "show", "nothing"],
    ],
)
def test_what_is_not_there_is_said_so(made: Path, words: list[str]) -> None:
    done = campaign(*words, home=made)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is no ")


@pytest.mark.parametrize(
    "words",
    [
        ["articles", "list", "--status", "reddy"],
        ["articles", "search", "***"],
        ["articles", "edit", "why-30-july", "--language", "en", "--review-on", "soon"],
        ["keydates", "upcoming", "--until", "someday"],
    ],
)
def test_what_cannot_be_understood_ends_with_2(made: Path, words: list[str]) -> None:
    done = campaign(*words, home=made)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("Error: ")


def test_key_dates_are_listed_shown_and_ordered(made: Path) -> None:
    listed = rows("keydates", "list", home=made)
    assert len(listed) == 16
    assert {"slug", "names", "rule", "source", "proclaimed_by", "topics", "themes"} <= listed[0].keys()
    shown = rows("keydates", "show", "world-day-against-trafficking", home=made)
    assert shown["rule"] == "30 July"
    assert shown["next"]["start"].endswith("-07-30")
    coming = rows("keydates", "upcoming", home=made)
    assert [one["start"] for one in coming] == sorted(one["start"] for one in coming)
    assert {one["key_date"] for one in coming} == {one["slug"] for one in listed}
    assert (
        "World Day Against Trafficking in Persons"
        in campaign("keydates", "show", "world-day-against-trafficking", home=made).stdout
    )
    assert rows("keydates", "list", "--topic", "no-such-topic", home=made) == []


def test_a_home_adds_its_own_key_dates(made: Path) -> None:
    (made / "config").mkdir()
    (made / "config" / "key_dates.toml").write_text(
        '[[key_date]]\nslug = "our-day"\nrule = "first monday of may"\nnames.en = "Our day"\n'
    )
    done = campaign("keydates", "list", home=made)
    assert done.returncode == 0, done.stderr
    assert "our-day" in done.stdout
