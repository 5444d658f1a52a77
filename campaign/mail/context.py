"""What every template may rely on: each name of the contract in docs/templates.md, with a default. It never renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from campaign.domain.delivery import Kind
from campaign.domain.errors import BadInput
from campaign.domain.message import LetterSpec
from campaign.mail.words import Words, direction

PERSON: Final = ("person.name", "person.greeting", "person.address")
"""The personal fields besides links."""

TOP: Final[Mapping[str, Any]] = {"subject": "", "why": "", "preheader": "", "wording": ""}
RECORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "organisation": {"name": "", "url": "", "postal_address": ""},
    "campaign": {"title": "", "intro": ""},
    "step": {"name": ""},
    "list": {"name": ""},
    "alert": {
        "trouble": "",
        "relay": "",
        "domain": "",
        "edition": "",
        "since": "",
        "said": "",
        "commands": (),
        "again": False,
    },
}
KEY_DATE: Final[Mapping[str, Any]] = {
    "name": "",
    "date": "",
    "end": "",
    "days_until": 0,
    "proclaimed_by": "",
    "source": "",
    "theme": "",
}
ROWS: Final[Mapping[str, Mapping[str, Any]]] = {
    "articles": {
        "title": "",
        "summary": "",
        "body": "",
        "url": "",
        "source_name": "",
        "source_url": "",
        "published_on": "",
        "sensitivity": "",
        "language": "",
    },
    "helplines": {
        "name": "",
        "country": "",
        "phone": "",
        "text": "",
        "url": "",
        "hours": "",
        "note": "",
        "reviewed_on": "",
    },
}
_OURS: Final = frozenset({"person", "links", "words", "language", "dir", "kind"})


def slots_of(spec: LetterSpec) -> tuple[str, ...]:
    """Return the names of all personal fields that this letter's template may print."""
    return (*PERSON, *(f"links.{name}" for name in spec.all_links))


def complete(spec: LetterSpec, words: Words) -> dict[str, Any]:
    """Return the whole context of a letter: what was given, a default for what was not, and the service words.

    Raises BadInput when the given context names something that only this module may set.
    """
    taken = _OURS & spec.context.keys()
    if taken:
        raise BadInput(f"A letter's context may not contain {', '.join(sorted(taken))}.")
    given = spec.context
    key_date = given.get("key_date")
    return {
        **TOP,
        **given,
        **{name: {**default, **(given.get(name) or {})} for name, default in RECORDS.items()},
        **{name: _rows(default, given.get(name) or ()) for name, default in ROWS.items()},
        "key_date": {**KEY_DATE, **key_date} if key_date else None,
        "words": dict(words),
        "language": spec.language,
        "dir": direction(spec.language),
        "kind": spec.kind.value,
        "is_test": spec.kind is Kind.TEST,
    }


def _rows(default: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**default, **row} for row in rows]
