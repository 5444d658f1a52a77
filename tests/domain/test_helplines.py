"""Helplines: the shipped ones, who gets which, and that a number nobody has checked is not given out."""

from __future__ import annotations

import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from campaign.domain.helplines import Helplines, HelplinesRefused, Number, helplines_from

SHIPPED = Path(__file__).parents[2] / "config" / "helplines.toml"
TODAY = date(2027, 1, 11)


def shipped() -> Helplines:
    return helplines_from(tomllib.loads(SHIPPED.read_text("utf-8")))


def an_entry(**changes: Any) -> dict[str, Any]:
    return {
        "slug": "a-line",
        "countries": ["NZ"],
        "name": "A line",
        "numbers": [{"call": "0800 000 000"}],
        "source": "https://example.org/",
        "review_on": date(2027, 6, 30),
    } | changes


@pytest.mark.parametrize(
    ("country", "numbers"),
    [
        ("US", ["1-888-373-7888", "233733"]),
        ("us", ["1-888-373-7888", "233733"]),
        ("GB", ["08000 121 700"]),
        ("DE", ["116 006"]),
        ("FR", ["116 006"]),
        ("BE", []),
        ("NZ", []),
        ("", []),
        (None, []),
    ],
)
def test_each_country_gets_its_own_numbers(country: str | None, numbers: list[str]) -> None:
    block = shipped().for_country(country, TODAY)
    assert [number.value for line in block.shown for number in line.numbers] == numbers
    assert block.stale == ()


def test_a_line_is_shown_on_its_review_day_and_left_out_the_day_after() -> None:
    (line,) = shipped().for_country("GB", TODAY).shown
    assert shipped().for_country("GB", line.review_on).shown == (line,)
    after = shipped().for_country("GB", line.review_on + timedelta(days=1))
    assert (after.shown, after.stale) == ((), (line,))
    assert line in shipped().stale(line.review_on + timedelta(days=1))


def test_a_review_brings_them_back() -> None:
    late = date(2040, 1, 1)
    assert len(shipped().stale(late)) == len(shipped().entries)
    assert shipped().reviewed(until=late).stale(late) == ()
    assert shipped().reviewed(until=late).for_country("US", late).shown[0].name == "National Human Trafficking Hotline"


def test_every_shipped_line_can_be_called_and_names_its_source() -> None:
    for line in shipped().entries:
        assert line.source.startswith("https://")
        assert line.note("en")
        assert all(number.link.partition(":")[0] in {"tel", "sms", "https"} for number in line.numbers)
        assert line.review_on <= date(2028, 12, 31)


@pytest.mark.parametrize(
    ("number", "link"),
    [
        (Number("call", "+1 (888) 373-7888"), "tel:+18883737888"),
        (Number("call", "116 006"), "tel:116006"),
        (Number("text", "233733"), "sms:233733"),
        (Number("chat", "https://example.org/a-b"), "https://example.org/a-b"),
    ],
)
def test_links(number: Number, link: str) -> None:
    assert number.link == link


def test_a_letter_gets_plain_values() -> None:
    (line,) = shipped().for_country("US", TODAY).shown
    assert line.plain("US", "es-MX") == {
        "name": "National Human Trafficking Hotline",
        "country": "US",
        "phone": "1-888-373-7888",
        "text": "233733",
        "url": "",
        "note": "Gratuita y confidencial, las 24 horas.",
    }


def test_notes_come_in_the_readers_language_or_in_english() -> None:
    (line,) = shipped().for_country("DE", TODAY).shown
    assert line.note("de-AT").startswith("Kostenlos")
    assert line.note("pl") == line.note("en") == line.note()
    assert helplines_from({"helpline": [an_entry()]}).entries[0].note("de") == ""


def test_a_homes_own_lines_replace_and_add() -> None:
    own = helplines_from({"helpline": [an_entry(slug="us-trafficking-hotline", countries=["US"]), an_entry()]})
    both = shipped().overlaid(own)
    assert [line.name for line in both.for_country("US", TODAY).shown] == ["A line"]
    assert [line.slug for line in both.for_country("NZ", TODAY).shown] == ["a-line"]
    assert len(both.entries) == len(shipped().entries) + 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"slug": "A Line"}, "slug must"),
        ({"countries": ["usa"]}, "countries must"),
        ({"countries": []}, "countries must"),
        ({"name": "A\r\nBcc: x"}, "name must"),
        ({"name": " "}, "name must"),
        ({"numbers": []}, "numbers must"),
        ({"numbers": ["116 006"]}, "numbers must"),
        ({"numbers": [{"call": "javascript:1"}]}, "numbers must"),
        ({"numbers": [{"chat": "http://example.org"}]}, "numbers must"),
        ({"numbers": [{"fax": "1234"}]}, "numbers must"),
        ({"source": "example.org"}, "source must"),
        ({"source": "https://user:password@example.org/"}, "source must"),
        ({"source": "https://[::1"}, "source must"),
        ({"review_on": "2027-06-30"}, "review_on must"),
        ({"languages": ["English"]}, "languages must"),
        ({"notes": {"en": "a\nb"}}, "notes must"),
        ({"number": "1"}, "'number' is not a field"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(HelplinesRefused, match=told):
        helplines_from({"helpline": [an_entry(**changes)]})


def test_all_mistakes_are_named_at_once_with_file_and_entry() -> None:
    parsed = {"helpline": [an_entry(name=""), 3, an_entry(), an_entry()], "helplines": []}
    with pytest.raises(HelplinesRefused) as caught:
        helplines_from(parsed, "own.toml")
    assert caught.value.message.splitlines() == [
        "own.toml: unknown table 'helplines'",
        "own.toml: helpline 1 (a-line): name must be one line of text",
        "own.toml: helpline 2 (no slug): it is not a table",
        "own.toml: helpline 4 (a-line): this slug is there twice",
    ]
    with pytest.raises(HelplinesRefused, match="list of tables"):
        helplines_from({"helpline": {}})
