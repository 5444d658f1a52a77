"""The service words: none missing in any language, every plural there, a home's own laid over the shipped ones."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from babel import Locale

from campaign.mail.words import WordsBroken, direction, read_words
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


def _forms(text: str | Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from text.items() if isinstance(text, Mapping) else [("other", text)]


def _gaps(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


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
