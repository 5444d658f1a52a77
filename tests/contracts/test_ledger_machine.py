"""Plays stories that nobody thought of against the ledger, and looks for one that breaks a promise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import true

from campaign.domain.delivery import Policy
from campaign.store import ledger
from campaign.store.schema.ledger import deliveries
from tests.contracts.ledger_machine import BEFORE_THE_DOT, LedgerMachine
from tests.programs import CI

STORIES = 25 if CI else 8
STEPS = 30


def test_no_story_breaks_a_promise(database_url: str, home: Path) -> None:
    stories = settings(
        max_examples=STORIES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(lambda: LedgerMachine(database_url, home), settings=stories)


# --- The net can catch: three stories that we did think of, told of a sound ledger and of one that was broken for them ---


def somebody_leaves(machine: LedgerMachine) -> None:
    machine.claim(0, limit=8, service=False)
    machine.somebody(0, "leaves unnoticed")
    machine.ask_for_tokens(0, count=8)


def the_edition_is_paused(machine: LedgerMachine) -> None:
    machine.claim(0, limit=8, service=False)
    machine.an_operator_acts("pause", sure=True)
    machine.ask_for_tokens(0, count=8)


def a_worker_sleeps_too_long(machine: LedgerMachine) -> None:
    """The other one takes its letters over; then it wakes up and hears that it was refused."""
    machine.claim(0, limit=8, service=False)
    machine.time_passes(49, long=False)
    machine.recover()
    machine.claim(1, limit=8, service=False)
    machine.relay_refuses(0, BEFORE_THE_DOT[3])


def by_id_alone(held: list[tuple[int, int]]) -> Any:
    return deliveries.c.id.in_([id_ for id_, _ in held])


STORIES_AND_FAULTS = [
    pytest.param(somebody_leaves, "may_receive", true, id="a token for somebody who left"),
    pytest.param(the_edition_is_paused, "edition_is_open", true, id="a token in an edition that is paused"),
    pytest.param(a_worker_sleeps_too_long, "_claims", by_id_alone, id="an answer to a claim that was lost"),
]


@pytest.mark.parametrize(("story", "what", "broken"), STORIES_AND_FAULTS)
def test_a_broken_ledger_is_caught(
    story: Callable[[LedgerMachine], None],
    what: str,
    broken: Callable[..., Any],
    database_url: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = LedgerMachine(database_url, home)
    machine.begin(Policy.HOLD, attempts=2, early=False)
    story(machine)
    machine.holds()
    machine.teardown()

    machine = LedgerMachine(database_url, home)
    machine.begin(Policy.HOLD, attempts=2, early=False)
    monkeypatch.setattr(ledger, what, broken)
    with pytest.raises(AssertionError):
        story(machine)
    monkeypatch.undo()
    machine.teardown()
