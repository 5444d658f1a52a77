"""Tables as text: what is written comes back, and nothing that is broken costs more than its own line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain import sheets
from campaign.domain.sheets import Record, Sheet

_CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def read(text: str) -> list[Record]:
    return list(Sheet(io.StringIO(text, newline="").readline))


@given(st.lists(st.lists(_CELL, min_size=3, max_size=3).filter(any), max_size=8), st.sampled_from(",;\t"))
def test_what_a_spreadsheet_writes_comes_back(rows: list[list[str]], delimiter: str) -> None:
    text = io.StringIO()
    header = ["e-mail", "name", "note"]
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([header, *rows])
    found = read(text.getvalue())
    assert [record.cells for record in found] == [header, *rows]
    assert not any(record.trouble for record in found)


@given(st.text(st.sampled_from('ab@,;"\t\r\n \x00é'), max_size=200))
def test_any_text_is_read_to_its_end_in_order(text: str) -> None:
    lines = [record.line for record in read(text)]
    assert lines == sorted(set(lines))
    assert all(1 <= line <= len(text) + 1 for line in lines)


@given(st.integers(0, 9), st.sampled_from(['"{}', '{},"b', '"{}" b,c', '{},"b"c', '"{},b\n']))
def test_a_stray_quotation_mark_costs_its_own_line_only(place: int, broken: str) -> None:
    lines = [f"reader-{n}@example.org,Reader {n}" for n in range(10)]
    lines[place] = broken.format("x").rstrip("\n")
    found = read("\n".join(["address,name", *lines]) + "\n")
    good = [record.cells[0] for record in found if not record.trouble][1:]
    assert good == [f"reader-{n}@example.org" for n in range(10) if n != place]
    assert [record.line for record in found if record.trouble] == [place + 2]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_an_editor_counts_them(end: str) -> None:
    text = f'{end}{end}address,name{end}a@example.org,"two{end}lines"{end}{end}b@example.org,x'
    assert [record.line for record in read(text)] == [3, 4, 7]


def test_a_very_long_line_is_refused_and_the_next_one_is_read() -> None:
    asked: list[int] = []
    source = io.StringIO("address\n" + "x" * 10_000_000 + "\nreader-01@example.org\n", newline="")

    def readline(most: int) -> str:
        asked.append(most)
        return source.readline(most)

    found = list(Sheet(readline))
    assert [(record.line, bool(record.trouble)) for record in found] == [(1, False), (2, True), (3, False)]
    assert len(found[1].cells[0]) < 1_000
    assert "1,000,000 characters" in found[1].trouble
    assert max(asked) == sheets.MAX_RECORD, "never more than one record is held"


def test_a_cell_of_ten_million_characters_in_many_lines_is_refused() -> None:
    text = 'address,note\na@example.org,"' + "word\n" * 2_000_000 + '"\nb@example.org,x'
    found = read(text)
    assert found[1].line == 2
    assert "quotation mark" in found[1].trouble
    assert found[-1].cells == ["b@example.org", "x"]


@given(st.lists(st.integers(0, 60), max_size=8), st.booleans())
def test_lengths_round_the_limit(lengths: list[int], last_ends: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheets, "MAX_RECORD", 30)
        lines = [f"{n}" + "x" * length for n, length in enumerate(lengths)]
        found = read("\n".join(["address", *lines]) + ("\n" if last_ends else ""))
    assert [record.line for record in found] == list(range(1, len(lines) + 2))
    for record, line in zip(found[1:], lines, strict=True):
        if len(line) < 29:
            assert record.cells == [line]
        elif len(line) > 30:
            assert record.trouble


@pytest.mark.parametrize(
    ("first", "delimiter"),
    [
        ("address,name", ","),
        ("address;name", ";"),
        ("address\tname", "\t"),
        ("address", ","),
        ('"a;b;c",name', ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_found_in_the_first_line(first: str, delimiter: str) -> None:
    assert Sheet(io.StringIO(first, newline="").readline).delimiter == delimiter


def test_the_words_say_what_to_do() -> None:
    assert "Close it" in read('a,b\nx,"open\n')[1].trouble
    assert 'two ("")' in read('a,b\nx,"shut" and more\n')[1].trouble
    assert "131,072 characters" in read("a,b\nx," + "y" * 200_000)[1].trouble
