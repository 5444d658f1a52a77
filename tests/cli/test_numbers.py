"""Numbers that are none of ours, typed by hand: each is refused by its name, and nothing is looked up."""

from __future__ import annotations

import pytest

from tests.cli.homes import Typist

TOO_LARGE = "9" * 23


@pytest.mark.parametrize(
    "words",
    [
        ("imports", "show", TOO_LARGE),
        ("imports", "undo", TOO_LARGE, "--yes"),
        ("imports", "resume", TOO_LARGE),
        ("consents", "lapse", TOO_LARGE, "--yes"),
        ("consents", "renew", "--list", "news", "--wording", "Yes", "--days", TOO_LARGE),
    ],
    ids=" ".join,
)
def test_a_number_that_no_database_holds_is_out_of_range(type_: Typist, words: tuple[str, ...]) -> None:
    assert type_(*words) == 2
    assert "less than or equal to" in " ".join(type_.aside.replace("│", " ").split())
    assert "fault of its own" not in type_.aside
