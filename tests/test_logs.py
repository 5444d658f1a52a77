"""Logs: each record has an action, and no address, password or personal link gets out, wherever it hides."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.logs import get_log, masked, set_up_logs

READER = "reader-07@example.org"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def written(style: Literal["console", "json"] = "json", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    set_up_logs(style, level, stream)
    return stream


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_has_action_level_time_and_what_was_bound() -> None:
    stream = written()
    get_log(lane="main").info("edition_frozen", edition=42)
    (record,) = records(stream)
    assert record.pop("timestamp").endswith("Z")
    assert record == {"action": "edition_frozen", "level": "info", "lane": "main", "edition": 42}


def test_what_libraries_say_has_an_action_and_is_masked() -> None:
    stream = written()
    logging.getLogger("some.library").warning("cannot write to %s", READER)
    (record,) = records(stream)
    assert record["action"] == "some.library"
    assert record["message"] == "cannot write to r…@example.org"


def test_chatty_libraries_only_warn_and_the_level_counts() -> None:
    stream = written(level="info")
    logging.getLogger("apscheduler.executors.default").info("job ran")
    get_log().debug("not_asked_for")
    assert stream.getvalue() == ""
    logging.getLogger("apscheduler.executors.default").warning("job missed")
    assert len(records(stream)) == 1


@dataclass
class Person:
    address: str


@pytest.mark.parametrize("style", ["console", "json"])
def test_addresses_are_masked_at_every_depth(style: Literal["console", "json"]) -> None:
    stream = written(style)
    get_log().info(
        "told",
        plain=READER,
        inside=f"to=<{READER}>, 'x'",
        deep=[{"a": (READER, {READER})}, {READER: 1}],
        thing=Person(READER),
        data=READER.encode(),
        very=[[[[[[[[READER]]]]]]]],
    )
    assert "reader-07" not in stream.getvalue()
    assert "r…@example.org" in stream.getvalue()


@pytest.mark.parametrize("style", ["console", "json"])
def test_tracebacks_keep_their_lines_and_lose_their_addresses(style: Literal["console", "json"]) -> None:
    stream = written(style)
    try:
        raise ValueError(READER)
    except ValueError:
        get_log().exception("broken")
    text = stream.getvalue()
    assert "Traceback" in text
    assert "reader-07" not in text
    assert "r…@example.org" in text
    if style == "console":
        assert text.count("\n") > 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp://user:pa@ss@mail.example.org:25", "smtp://***@mail.example.org:25"),
        ("https://user@example.org/x", "https://***@example.org/x"),
        ("postgresql://u:p@/campaign", "postgresql://***@/campaign"),
        ("GET /u/AbCdEfGhIjKlMnOpQrStUv.wx HTTP/1.1", "GET /u/… HTTP/1.1"),
        ("GET /static/app.css", "GET /static/app.css"),
        ("q=reader-07%40example.org&x=1", "q…@example.org&x=1"),
        ('"odd reader"@example.org', '"…@example.org'),
        ("o'brien+tag@example.org", "o…@example.org"),
        ("bounces+reader=example.com@example.org", "b…@example.org"),
        ("اسم@مثال.example.org", "ا…@مثال.example.org"),
        ("reader-07@[192.0.2.1]", "r…@[192.0.2.1]"),
        ("at 09:00 we @ home", "at 09:00 we @ home"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202egnp.exe", "\\x202egnp.exe"),
    ],
)
def test_masking(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_one_record_cannot_pretend_to_be_two() -> None:
    stream = written("console")
    get_log().info("subject_refused", subject="x\n2027-01-01 [info] all_is_well")
    logging.getLogger("library").warning("a\nb")
    assert len(stream.getvalue().splitlines()) == 2


LOCAL = st.text(st.sampled_from("abcXYZ019!#$%&'*+/=?^_`{|}~.-äß"), min_size=2, max_size=64)


@given(
    LOCAL, st.sampled_from(["{}", "<{}>", "to={}", '"{}"', "mailto:{}", "({})", "a {} b", "https://x.example/?to={}"])
)
def test_no_local_part_is_ever_shown_whole(local: str, around: str) -> None:
    shown = masked(around.format(f"{local}@example.org"))
    assert f"{local}@" not in shown
    assert "@example.org" in shown


@given(st.text(max_size=300))
def test_masking_takes_any_text_and_leaves_nothing_that_moves_a_cursor(text: str) -> None:
    assert not any(c in masked(text) for c in "\x00\x07\x08\x0d\x1b\x7f\x9b\u202e")


def test_masking_long_text_is_quick() -> None:
    masked("a/" * 1_000_000 + "@")
    masked("://" * 100_000)
