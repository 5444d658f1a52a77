"""The power goes while letters fly, again and again: nothing is lost, nothing doubled, and every doubt is listed.

A small run of what `make proof` does with ten thousand letters; see benchmarks/kills.py.
"""

from __future__ import annotations

import pytest

from benchmarks import import_kills, kills
from benchmarks.audit import Score
from tests.postgres import PostgresUnavailableError
from tests.programs import missing

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


@pytest.mark.parametrize("daemons", [1, 2])
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_a_daemon_that_is_killed_loses_and_doubles_nothing(database: str, daemons: int) -> None:
    score = Score()
    plan = kills.Plan(database=database, daemons=daemons, letters=400, kills=3, slow=0.1, longest=0.4, seed=11)
    try:
        kills.prove(plan, score)
    except PostgresUnavailableError as error:
        missing(f"PostgreSQL cannot run here: {error}")
    assert score.failed == []


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_an_import_and_an_undo_that_are_killed_end_as_if_nobody_had(database: str) -> None:
    score = Score()
    plan = import_kills.Plan(database=database, rows=12_000, kills=3, longest=1.6, seed=5)
    try:
        import_kills.prove(plan, score)
    except PostgresUnavailableError as error:
        missing(f"PostgreSQL cannot run here: {error}")
    assert score.failed == []
