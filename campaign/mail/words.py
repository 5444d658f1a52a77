"""The service words of letters (greeting, why, unsubscribe ...) in each language. It never translates anything itself.

They stand in `templates/email/_base/words.toml`, one table per language; a home may overlay words or add languages.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campaign.domain.errors import BadInput

FALLBACK: Final = "en"
_RIGHT_TO_LEFT: Final = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "syr", "ug", "ur", "yi"})

Words = Mapping[str, Any]


class WordsBroken(BadInput):
    """A catalogue of service words cannot be read."""

    code = "words_broken"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All service words, by language tag in lower case."""

    tables: Mapping[str, Words]

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have words, in alphabetical order."""
        return tuple(sorted(self.tables))

    def words(self, language: str) -> Words:
        """Return the words for a language tag: `pt-BR` first, then `pt`, then English for each word that is missing."""
        tag = language.lower().replace("_", "-")
        return {
            **self.tables.get(FALLBACK, {}),
            **self.tables.get(tag.partition("-")[0], {}),
            **self.tables.get(tag, {}),
        }


def direction(language: str) -> str:
    """Return `rtl` for a language that is written from right to left, and `ltr` for any other."""
    return "rtl" if language.lower().replace("_", "-").partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def read_words(folders: Sequence[Path]) -> Catalogue:
    """Read the catalogues of all template folders, the most particular first; raise WordsBroken with file and line."""
    tables: dict[str, dict[str, Any]] = {}
    for folder in reversed(folders):
        path = folder / "email" / "_base" / "words.toml"
        if path.is_file():
            for language, words in _parsed(path).items():
                tables.setdefault(language.lower(), {}).update(words)
    return Catalogue(tables)


def _parsed(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WordsBroken(
            f"{path}: {error}.", remedy="Mend the file, or delete it to get the shipped words back."
        ) from error
    wrong = [name for name, words in tables.items() if not isinstance(words, dict)]
    if wrong:
        raise WordsBroken(
            f"{path}: {', '.join(wrong)} stands outside a language.", remedy="Put it below a line like [en]."
        )
    return tables
