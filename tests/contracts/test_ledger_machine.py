"""Plays stories that nobody thought of against the ledger, and looks for one that breaks a promise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import select, true

from campaign.actions import recovering
from campaign.actions.resolving import As
from campaign.domain.delivery import Event, Policy
from campaign.store import claims, ledger, moves, recovery
from campaign.store.engine import Transaction
from campaign.store.moves import Cause, Held, Only, Step, move, move_held
from campaign.store.schema.ledger import deliveries
from tests.contracts.ledger_machine import AT_THE_DOT, BEFORE_THE_DOT, LedgerMachine, tell_stories
from tests.programs import CI

STORIES = 25 if CI else 8
LONGER = 3
"""A story takes so many times as long on PostgreSQL."""


@pytest.mark.timeout(400)  # what its alarm interrupts would be told again and again as a story that fails
def test_no_story_breaks_a_promise(database_url: str, home: Path) -> None:
    tell_stories(database_url, home, STORIES if database_url.startswith("sqlite") else STORIES // LONGER)


# --- The net can catch: stories that we did think of, told of a sound ledger and of one that was broken for them ---


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


def a_worker_dies_at_the_dot(machine: LedgerMachine) -> None:
    """The relay took all its letters, and nobody was told."""
    machine.claim(0, limit=8, service=False)
    machine.ask_for_tokens(0, count=8)
    machine.worker_dies(0, unheard=0b1111_1111, noticed=False)


def and_its_letters_go_on(machine: LedgerMachine) -> None:
    a_worker_dies_at_the_dot(machine)
    machine.run(recovering.recover(machine.kit))
    machine.carry(1, [(AT_THE_DOT[0], False)] * 4)


def and_its_death_is_noticed(machine: LedgerMachine) -> None:
    a_worker_dies_at_the_dot(machine)
    machine.recover()


def the_brake_is_pulled(machine: LedgerMachine) -> None:
    machine.claim(0, limit=8, service=False)
    machine.somebody_pulls_the_brake_or_takes_it_off(on=True, by_claim=False)
    machine.ask_for_tokens(0, count=8)


def somebody_claims_under_the_brake(machine: LedgerMachine) -> None:
    machine.an_operator_acts("alarm", sure=True)
    machine.somebody_pulls_the_brake_or_takes_it_off(on=True, by_claim=True)


def letters_fly_and_nothing_is_wrong(machine: LedgerMachine) -> None:
    machine.claim(0, limit=8, service=False)
    machine.ask_for_tokens(0, count=8)
    machine.recover()


def a_named_person_decides(machine: LedgerMachine) -> None:
    """Nobody took the letters, as it happens, but somebody says so and stands for it."""
    machine.claim(0, limit=8, service=False)
    machine.ask_for_tokens(0, count=8)
    machine.worker_dies(0, unheard=0, noticed=True)
    machine.an_operator_decides_about_doubts(As.ACCEPTED)


def somebody_who_got_a_letter_is_erased(machine: LedgerMachine) -> None:
    machine.carry(0, [(AT_THE_DOT[0], False)] * 4)
    machine.somebody(0, "is erased")


async def nothing(*_: object, **__: object) -> None:
    """Forget to do it."""


async def back_to_the_queue(tx: Transaction, event: Event, *rest: Any) -> Any:
    return await move(tx, Event.DEFER if event is Event.DOUBT else event, *rest)


async def whatever_the_claim(tx: Transaction, step: Step, held: Held, cause: Cause, *only: Only) -> Any:
    found = select(deliveries.c.id, deliveries.c.claim_no).where(deliveries.c.id.in_([one[0] for one in held]))
    now = {row[0]: row[1] for row in await tx.execute(found)}
    return await move_held(tx, step, [(one[0], now[one[0]], *one[2:]) for one in held], cause, *only)


STORIES_AND_FAULTS = [
    pytest.param(somebody_leaves, ledger, "may_receive", true, id="a token for somebody who left"),
    pytest.param(the_edition_is_paused, ledger, "edition_is_open", true, id="a token in an edition that is paused"),
    pytest.param(
        a_worker_sleeps_too_long, ledger, "move_held", whatever_the_claim, id="an answer to a claim that was lost"
    ),
    pytest.param(and_its_letters_go_on, recovery, "move", back_to_the_queue, id="a letter taken, and sent once more"),
    pytest.param(and_its_death_is_noticed, recovery, "move", back_to_the_queue, id="a dot that nobody doubts"),
    pytest.param(the_brake_is_pulled, ledger, "brake_is_off", true, id="a token under the brake"),
    pytest.param(somebody_claims_under_the_brake, claims, "brake_is_off", true, id="a claim under the brake"),
    pytest.param(the_brake_is_pulled, ledger, "let_go", nothing, id="a letter that nobody hands back"),
    pytest.param(
        letters_fly_and_nothing_is_wrong, recovering, "DOT_PATIENCE", timedelta(-1), id="a doubt without a fault"
    ),
    pytest.param(a_named_person_decides, recovery, "RESOLVED", "policy", id="accepted, and nobody stands for it"),
    pytest.param(
        somebody_who_got_a_letter_is_erased, ledger, "forget_person", nothing, id="an erased person in the ledger"
    ),
]


@pytest.mark.parametrize(("story", "module", "what", "broken"), STORIES_AND_FAULTS)
def test_a_broken_ledger_is_caught(
    story: Callable[[LedgerMachine], None],
    module: ModuleType,
    what: str,
    broken: object,
    database_url: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tell() -> None:
        story(machine)
        machine.holds()

    machine = LedgerMachine(database_url, home)
    machine.begin(Policy.HOLD, attempts=2, early=False)
    tell()
    machine.teardown()

    machine = LedgerMachine(database_url, home)
    machine.begin(Policy.HOLD, attempts=2, early=False)
    monkeypatch.setattr(module, what, broken)
    forget_statements()
    with pytest.raises(AssertionError):
        tell()
    monkeypatch.undo()
    forget_statements()
    machine.close()


def forget_statements() -> None:
    """Statements are built once, from whatever the rules are then."""
    for built in (moves.append, moves._name_held, moves._update_held, claims._due, claims._claim, claims._taken):
        built.cache_clear()
