"""The power goes, the wire breaks, a daemon stands still: nothing is lost, nothing doubled, and every doubt is listed.

Small runs of what `make proof` does with ten thousand letters; see benchmarks/kills.py, wire_faults.py and stops.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import import_kills, kills, stops, wire_faults
from benchmarks.audit import Score
from benchmarks.wire_cases import QUICK
from tests.postgres import PostgresUnavailableError
from tests.programs import missing

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


DATABASES = pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])


@contextmanager
def nothing_failed() -> Iterator[Score]:
    """A score that must have no failures; where PostgreSQL cannot run, the test is given up, loudly."""
    score = Score()
    try:
        yield score
    except PostgresUnavailableError as error:
        missing(f"PostgreSQL cannot run here: {error}")
    assert score.failed == []


@pytest.mark.parametrize(
    ("policy", "daemons", "faults"), [("hold", 1, 0.0), ("resend", 2, 0.05)], ids=["one daemon", "two, and faults"]
)
@DATABASES
def test_a_daemon_that_is_killed_loses_and_doubles_nothing(
    database: str, policy: str, daemons: int, faults: float
) -> None:
    plan = kills.Plan(database, policy, 200, 3, daemons, faults, slow=0.4 * daemons, longest=0.3, seed=11)
    with nothing_failed() as score:
        kills.prove(plan, score)


@DATABASES
def test_a_daemon_that_stood_still_writes_no_dot_for_a_letter_that_others_have(database: str) -> None:
    plan = stops.Plan(database, letters=240, slow=0.1, patient=False, seed=3)
    with nothing_failed() as score:
        stops.prove(plan, score)


@pytest.mark.postgresql
def test_daemons_whose_sessions_are_cut_lose_and_double_nothing() -> None:
    plan = stops.Plan("postgresql", letters=300, cuts=2, seed=4)
    with nothing_failed() as score:
        stops.prove_cut(plan, score)


@DATABASES
def test_faults_of_the_wire_end_as_promised(database: str) -> None:
    with nothing_failed() as score:
        wire_faults.prove(score, database, QUICK)
    assert score.passed == len(QUICK) >= 22


@DATABASES
def test_an_import_and_an_undo_that_are_killed_end_as_if_nobody_had(database: str) -> None:
    plan = import_kills.Plan(database=database, rows=6_000, kills=3, longest=1.1, seed=5)
    with nothing_failed() as score:
        import_kills.prove(plan, score)
