"""The sender's breaker trips at the tenth of the last two hundred, and at more than 5 % of a spell; never otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.refusals import LAST, MOST, SHARE, Spell


def tripped_at(answers: Sequence[bool]) -> int | None:
    """Tell a spell one answer after the other (True: refused for the sender's sake); give the one at which it trips."""
    spell: Spell | None = None
    for number, refused in enumerate(answers, 1):
        if refused:
            spell = spell or Spell()
            if spell.refuse():
                return number
        elif spell is not None and spell.pass_by():
            spell = None
    return None


def by_the_book(answers: Sequence[bool]) -> int | None:
    """The same from the whole history: slow, and easy to see that it is right."""
    for number in range(1, len(answers) + 1):
        heard = answers[:number]
        if not heard[-1]:
            continue
        start = next(
            (at + LAST for at in range(number - LAST, -1, -1) if not any(heard[at : at + LAST])), 0
        )  # behind the last 200 in a row without any
        spell = heard[start:][heard[start:].index(True) :]
        if sum(heard[-LAST:]) >= MOST or (len(spell) >= LAST and sum(spell) > SHARE * len(spell)):
            return number
    return None


def test_it_trips_at_exactly_the_tenth() -> None:
    assert tripped_at([True] * 9) is None
    assert tripped_at([True] * 9 + [False] * 150) is None
    assert tripped_at([True] * 20) == 10
    assert tripped_at([False] * 5000 + [True] * 20) == 5010


@pytest.mark.parametrize(("apart", "trips"), [(22, 10 + 9 * 21), (23, None)])
def test_ten_count_within_two_hundred_answers_and_no_more(apart: int, trips: int | None) -> None:
    """Tenth and first are 198 answers apart, or 207."""
    every = ([True] + [False] * (apart - 1)) * 10
    assert tripped_at(every) == trips


def test_bursts_that_no_two_hundred_show_are_found_by_their_share() -> None:
    answers = [True] * 9 + [False] * 191 + [True] * 9
    assert max(sum(answers[at : at + LAST]) for at in range(len(answers))) < MOST
    assert tripped_at(answers) == 202, "eleven of 202 are more than 5 %"


def test_a_spell_ends_with_two_hundred_in_a_row_that_are_well() -> None:
    spell = Spell()
    assert not spell.refuse()
    assert [spell.pass_by() for _ in range(LAST)] == [False] * (LAST - 1) + [True]


_RUNS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 230)), max_size=12)


@given(_RUNS)
def test_it_does_as_the_whole_history_says(runs: list[tuple[int, int]]) -> None:
    answers = [one for refused, well in runs for one in [True] * refused + [False] * well]
    assert tripped_at(answers) == by_the_book(answers)
