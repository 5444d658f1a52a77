"""Rows become people: columns by their names, and every field that cannot be read is refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.addresses import Address
from campaign.domain.attributes import Attribute, AttributeKind
from campaign.domain.duplicates import Seen
from campaign.domain.errors import BadInput
from campaign.domain.people import Person, clean_name, folded, parse_person
from campaign.domain.rows import ColumnsRefused, find_columns, guarded

ALL = find_columns(["address", "name", "country", "language", "timezone"])


@pytest.mark.parametrize(
    "header",
    [
        ["E-Mail", "Name", "Country", "Language", "Time Zone"],
        ["EMAIL ADDRESS", "Full name", "country_code", "lang", "tz"],
        ["Correo electrónico", "Nombre completo", "País", "Idioma", "Zona horaria"],
        ["Adresse e-mail", "Nom", "Pays", "Langue", "Fuseau horaire"],
        ["E-Mail-Adresse", "Vollername", "Land", "Sprache", "Zeitzone"],
        ["E-mail", "Nome completo", "País", "Idioma", "Fuso horário"],
        ["mail", "name", "country", "language", "timezone"],
    ],
)
def test_columns_are_recognised_in_five_languages(header: list[str]) -> None:
    row = ["Reader-01@Example.org", "Ünïcode  Näme", "us", "PT_br", "europe/berlin"]
    assert find_columns(header).read(row) == Person(
        Address("Reader-01", "example.org"), "Ünïcode Näme", "US", "pt-BR", "Europe/Berlin"
    )


def test_columns_may_stand_anywhere_and_unknown_ones_are_told() -> None:
    columns = find_columns(["Shoe size", "name", "", "e-mail", "!?"])
    assert columns.ignored == ("!?",)
    assert columns.undeclared == ("shoe-size",)
    assert columns.read(["43", "اسم", "?", "reader-01@example.org", "x"]) == Person(
        Address("reader-01", "example.org"), "اسم", notes={"shoe-size": "43"}
    )


KINDS = {"gift": Attribute("gift", AttributeKind.NUMBER), "since": Attribute("since", AttributeKind.DAY)}


def test_a_mapping_says_what_columns_are() -> None:
    header = ["Kontakt", "Spende", "Dabei seit", "Notiz", "Themen", "Intern"]
    mapping = {"kontakt": "address", "Spende": "gift", "Dabei seit": "since", "Intern": "-"}
    columns = find_columns(header, KINDS, mapping)
    row = ["reader-01@example.org", "12,5", "2026-01-31", "'=met at the fair", "Policy; art", "secret"]
    assert columns.read(row) == Person(
        Address("reader-01", "example.org"),
        facts={"gift": 12.5, "since": "2026-01-31"},
        notes={"notiz": "=met at the fair"},
        topics=("policy", "art"),
    )
    assert columns.ignored == ("Intern",)
    with pytest.raises(BadInput, match="number"):
        columns.read(["reader-01@example.org", "much", "", "", "", ""])
    assert columns.read(["reader-01@example.org", "", "", "", "", ""]) == Person(Address("reader-01", "example.org"))


@pytest.mark.parametrize(
    ("header", "mapping", "words"),
    [
        (["email", "gift", "Gift "], {}, "both called"),
        (["email", "mail"], {}, "both mean the address"),
        (["email"], {"mail": "address"}, "no column is called"),
        (["email", "x", "X"], {"x": "name"}, "several columns"),
        (["email", "x"], {"x": "not a name"}, "neither a field"),
        (["x", "y"], {"x": "-"}, "--map"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(header: list[str], mapping: dict[str, str], words: str) -> None:
    with pytest.raises(ColumnsRefused, match=words):
        find_columns(header, KINDS, mapping)


@pytest.mark.parametrize(("name", "words"), [("=1+1", "formula"), ("@SUM(A1)", "formula"), ("12.05.1980", "date")])
def test_what_is_no_name_is_refused(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        find_columns(["email", "name"]).read(["reader-01@example.org", name])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "plain", "'quoted", ""])
def test_a_guarded_cell_reads_as_it_was(text: str) -> None:
    columns = find_columns(["email", "note"])
    assert guarded(text)[:1] not in set("=+-@")
    assert columns.read(["reader-01@example.org", guarded(text)]).notes == ({"note": text} if text else {})


def test_a_street_is_no_mailbox_where_there_is_a_better_column() -> None:
    columns = find_columns(["Address", "Email"])
    assert columns.ignored == ("Address",)
    assert columns.read(["1 Example Street", "reader-01@example.org"]).address.local == "reader-01"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ([], "No column"),
        (["reader-01@example.org", "Reader"], "No column"),
        (["email", "mail"], "both mean the address"),
        (["email", "name", "nombre"], "both mean the name"),
        (["email", "\x1b[31mname", "Name", "NAME"], "both mean the name"),
    ],
)
def test_headers_that_say_too_little_or_too_much(header: list[str], words: str) -> None:
    with pytest.raises(ColumnsRefused, match=words) as refused:
        find_columns(header)
    assert "\x1b" not in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["", "x"], "no address"),
        (["   "], "no address"),
        (["reader-01", "x"], "not an e-mail address"),
        (["reader\x00@example.org"], "not an e-mail address"),
        (["Reader <reader-01@example.org>"], "not an e-mail address"),
        (["reader-01@example.org\nBcc: reader-02@example.org"], "not an e-mail address"),
        (["reader-01@example.org", "x\x00y"], "control"),
        (["reader-01@example.org", "x\x1b[31m"], "control"),
        (["reader-01@example.org", "gpj.\u202eexe"], "control"),
        (["reader-01@example.org", "x" * 201], "too long"),
        (["reader-01@example.org", "", "UK"], "Write GB"),
        (["reader-01@example.org", "", "USA"], "two letters"),
        (["reader-01@example.org", "", "XX"], "country code"),
        (["reader-01@example.org", "", "", "English"], "language tag"),
        (["reader-01@example.org", "", "", "", "Berlin"], "time zone"),
        (["reader-01@example.org", "", "", "", "UTC+2"], "time zone"),
        (["reader-01@example.org", "Doe", " Jane", "", "", "more"], "6 cells under 5"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(cells: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        ALL.read(cells)
    assert str(refused.value).isprintable()


def test_missing_cells_are_empty_and_empty_ones_too_many_are_nothing() -> None:
    assert ALL.read(["reader-01@example.org"]) == Person(Address("reader-01", "example.org"))
    assert ALL.read(["reader-01@example.org", "", "", "", "", "", ""]) == Person(Address("reader-01", "example.org"))


_ADDRESSES = st.sampled_from(
    ["reader-01@example.org", "r\u00e9ader@example.org", "reader@b\u00fccher.example"]
) | st.text(max_size=30)
_CODES = st.sampled_from(["", "US", "xk", "en", "pt-br", "UTC", "africa/cairo"]) | st.text(max_size=10)


@given(_ADDRESSES, st.text(max_size=30), st.lists(_CODES, max_size=6))
def test_any_row_is_a_person_or_refused(address: str, name: str, codes: list[str]) -> None:
    try:
        person = ALL.read([address, name, *codes])
    except BadInput:
        return
    assert person.address.domain.isascii()
    again = parse_person(person.address.wire, person.name or "", **{"country": "", **person.attributes})
    assert again == person


@given(st.text(max_size=60))
def test_names_come_out_on_one_line_and_stay_as_they_are_then(text: str) -> None:
    try:
        name = clean_name(text)
    except BadInput:
        return
    assert name is None or (name == " ".join(name.split()) and clean_name(name) == name)


@given(st.lists(st.integers(1, 300), max_size=400), st.integers(0, 10))
def test_repeated_hashes_are_told_like_a_set_does(numbers: list[int], expected: int) -> None:
    seen, known = Seen(expected), set[int]()
    for number in numbers:
        assert seen.add(number.to_bytes(8) + b"rest") == (number not in known)
        known.add(number)
    assert len(seen) == len(known)


def test_a_set_of_hashes_grows_beyond_what_was_expected() -> None:
    seen = Seen(10)
    keys = [(n * 2**40 + n).to_bytes(8) for n in range(1, 5_000)]
    assert all(seen.add(key) for key in keys)
    assert not any(seen.add(key) for key in keys)


def test_people_typed_by_hand() -> None:
    assert parse_person("reader-01@example.org", " ", "gb", "EN", "utc").attributes == {
        "country": "GB",
        "language": "en",
        "timezone": "UTC",
    }
    with pytest.raises(BadInput, match="Europe/Berlin"):
        parse_person("reader-01@example.org", timezone="Berlin")


def test_searches_see_past_capitals_and_accents() -> None:
    assert folded("Ünïcode") == folded("UNICODE") == "unicode"
