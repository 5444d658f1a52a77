"""The database goes away while letters fly, and comes back: no dot without a token, nothing lost, nothing doubled.

A small run of what `make proof` does in every way a database can go; see benchmarks/database_faults.py.
"""

from __future__ import annotations

import pytest

from benchmarks import database_faults
from benchmarks.audit import Score
from tests.postgres import PostgresUnavailableError
from tests.programs import missing

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("database", "fault"), [("sqlite", "full"), pytest.param("postgresql", "terminated", marks=pytest.mark.postgresql)]
)
def test_letters_wait_for_a_database_that_is_away(database: str, fault: str) -> None:
    score = Score()
    plan = database_faults.Plan(database=database, letters=200, seconds=1.0, times=1, only=fault, seed=3)
    try:
        database_faults.prove(plan, score)
    except PostgresUnavailableError as error:
        missing(f"PostgreSQL cannot run here: {error}")
    assert score.failed == []
    assert score.passed > 10
