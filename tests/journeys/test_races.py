"""People leave, are erased and blocked, and operators pause and pull the brake, while letters fly: no token follows.

A small run of what `make proof` does with five thousand letters; see benchmarks/races.py.
"""

from __future__ import annotations

import pytest

from benchmarks import races
from benchmarks.audit import Score
from benchmarks.witness import Letter, Seen, judge
from tests.postgres import PostgresUnavailableError
from tests.programs import missing

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


def raced(plan: races.Plan) -> Score:
    score = Score()
    try:
        races.prove(plan, score)
    except PostgresUnavailableError as error:
        missing(f"PostgreSQL cannot run here: {error}")
    return score


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_no_token_commits_after_what_forbids_it(database: str) -> None:
    assert raced(races.Plan(database=database, letters=240, slow=0.2, acts=40, commands=0, seed=7)).failed == []


def test_a_daemon_without_a_fence_is_found_out() -> None:
    score = raced(races.Plan(letters=240, slow=0.1, acts=40, commands=0, seed=7, broken="fence"))
    told = " ".join(score.failed)
    assert "(left)" in told
    assert "(never)" in told
    assert "no token when their act came back" in told


@pytest.mark.parametrize(
    ("act", "lifted"),
    [
        (Seen("left", "ab"), None),
        (Seen("never", "ab"), None),
        (Seen("domain", "example.org"), None),
        (Seen("edition", "7 paused"), Seen("edition", "7 sending")),
        (Seen("edition", "7 cancelled"), None),
        (Seen("brake", "on"), Seen("brake", "off")),
    ],
)
def test_the_witness_tells_a_token_before_an_act_from_one_after_it(act: Seen, lifted: Seen | None) -> None:
    token, other = Seen("token", "1"), Seen("token", "2")
    letters = {1: Letter("ab", "example.org", 7), 2: Letter("cd", "example.net", 8)}
    assert not judge([token, other, act], letters).late
    found = judge([act, other, token], letters)
    assert found.late[act.what] == (2 if act.what == "brake" else 1)
    assert found.tokens == 2
    if lifted is not None:
        assert not judge([act, lifted, token], letters).late
