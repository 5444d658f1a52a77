"""The service words: none missing in any language, every plural there, a home's own laid over the shipped ones."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from babel import Locale

from campaign.domain.alerts import Trouble
from campaign.mail import context
from campaign.mail.renderer.environment import BORROWED_FILTERS
from campaign.mail.renderer.filters import FILTERS
from campaign.mail.words import WordsBroken, direction, read_words
from tests.house.source import ROOT
from tests.mail.samples import LANGUAGES, SHIPPED

WORDS = tomllib.loads((SHIPPED / "email/_base/words.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_and_no_gap_is_missing(language: str) -> None:
    words = WORDS[language]
    assert words.keys() == WORDS["en"].keys()
    for key, text in words.items():
        for form, sentence in _forms(text):
            allowed = set().union(*(_gaps(english) for _, english in _forms(WORDS["en"][key])))
            assert _gaps(sentence) <= allowed, (key, form)
            assert form != "other" or _gaps(sentence) == allowed, (key, form)


@pytest.mark.parametrize("language", LANGUAGES)
def test_plurals_have_the_forms_that_counting_needs(language: str) -> None:
    needed = {Locale.parse(language).plural_form(number) for number in range(366)}
    for key, text in WORDS[language].items():
        if isinstance(text, Mapping) and "other" in text:
            assert needed <= text.keys(), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_trouble_has_its_words_and_names_what_it_is_about(language: str) -> None:
    for key in ("alert_title", "alert_done", "alert_do"):
        said, english = WORDS[language][key], WORDS["en"][key]
        assert said.keys() == {trouble.value for trouble in Trouble}
        assert all(_gaps(said[trouble]) == _gaps(english[trouble]) for trouble in english)


def _forms(text: str | Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from text.items() if isinstance(text, Mapping) else [("other", text)]


def _gaps(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_every_word_is_used() -> None:
    in_composer = {"greeting", "greeting_named", "test"}
    templates = "".join(path.read_text(encoding="utf-8") for path in (SHIPPED / "email").glob("*/*.j2"))
    assert WORDS["en"].keys() - set(re.findall(r"words\.(\w+)", templates)) == in_composer


def test_a_home_overlays_single_words_and_adds_languages(tmp_path: Path) -> None:
    path = tmp_path / "email/_base/words.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        '[en]\nunsubscribe = "Leave us"\n[pt-BR]\nunsubscribe = "Sair"\n[sw]\ngreeting = "Habari,"\n', "utf-8"
    )
    catalogue = read_words([tmp_path, SHIPPED])
    assert catalogue.words("en")["unsubscribe"] == "Leave us"
    assert catalogue.words("en")["greeting"] == "Hello,"
    assert catalogue.words("pt_BR")["unsubscribe"] == "Sair"
    assert catalogue.words("pt-br")["greeting"] == "Olá,"
    assert catalogue.words("sw")["greeting"] == "Habari,"
    assert catalogue.words("sw")["unsubscribe"] == "Leave us"
    assert {"en", "pt-br", "sw"} <= set(catalogue.languages)
    for text, words in (("[en", "words.toml"), ('unsubscribe = "x"', "outside a language")):
        path.write_text(text, "utf-8")
        with pytest.raises(WordsBroken, match=words):
            read_words([tmp_path, SHIPPED])


def test_scripts_from_right_to_left_are_known() -> None:
    assert [direction(tag) for tag in ("ar", "ar-EG", "fa_IR", "HE", "en", "pt-BR")] == ["rtl"] * 4 + ["ltr"] * 2


def test_the_handbook_names_what_templates_know_and_can_do() -> None:
    """docs/templates.md is the contract: each field with a default is in it, each filter, and nothing that is not there."""
    handbook = (ROOT / "docs/templates.md").read_text(encoding="utf-8")
    for record, fields in {**context.RECORDS, "key_date": context.KEY_DATE}.items():
        assert _documented(handbook, record) == fields.keys(), record
    for rows, fields in context.ROWS.items():
        assert _documented(handbook, rows.removesuffix("s")) == fields.keys(), rows
    assert _documented(handbook, "person") == {name.partition(".")[2] for name in context.PERSON}
    assert all(f"| `{name}`" in handbook for name in context.TOP)
    ours = set(re.findall(r"\\\|(\w+)", handbook))
    assert ours == FILTERS.keys()
    assert all(f"`{name}`" in handbook for name in BORROWED_FILTERS)


def _documented(handbook: str, record: str) -> set[str]:
    """The fields that table rows give for a record: `record.name`, `.url`."""
    rows = [line.split("|")[1] for line in handbook.splitlines() if line.startswith(f"| `{record}.")]
    return {name for row in rows for name in re.findall(r"\.(\w+)`", row)}
