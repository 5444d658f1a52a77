"""The life of a letter, and the schedule by which it is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.delivery import LIVE, MEANING, MOVES, Event, Kind, State, advance, back_off, origins, purpose_key
from campaign.domain.errors import IllegalMove

NOW = datetime(2027, 7, 30, 9, tzinfo=UTC)


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_whatever_happens_a_letter_follows_the_table_and_ends_stay_ends(events: list[Event]) -> None:
    state = State.QUEUED
    for event in events:
        if (state, event) in MOVES:
            state = advance(state, event)
            continue
        with pytest.raises(IllegalMove):
            advance(state, event)
    assert state in State


def test_only_a_token_leads_to_the_dot_and_only_the_dot_to_acceptance() -> None:
    assert origins(Event.OFFER) == (State.CLAIMED,)
    assert {origin for (origin, event), to in MOVES.items() if to is State.ACCEPTED} == {State.OFFERED, State.IN_DOUBT}
    assert {event for (_, event), to in MOVES.items() if to is State.OFFERED} == {Event.OFFER}


def test_nothing_leads_from_the_dot_back_to_a_claim_without_the_queue() -> None:
    assert not {event for (state, event), to in MOVES.items() if state is State.OFFERED and to is State.CLAIMED}


def test_final_states_have_no_way_out_but_a_late_bounce() -> None:
    final = set(State) - LIVE - {State.IN_DOUBT}
    assert {(state, event) for state, event in MOVES if state in final} == {(State.ACCEPTED, Event.BOUNCE)}


def test_every_event_is_used_and_explained() -> None:
    assert {event for _, event in MOVES} == set(Event) == set(MEANING)


@given(st.integers(1, 60), st.floats(0, 1))
def test_waits_follow_the_schedule_within_a_fifth(attempt: int, chance: float) -> None:
    minutes = [5, 15, 30, 60, 120, 240][min(attempt, 6) - 1]
    waited = back_off(attempt, NOW, chance=chance) - NOW
    assert timedelta(minutes=minutes * 0.8) <= waited <= timedelta(minutes=minutes * 1.2)


def test_a_wait_of_the_reply_s_own_comes_before_the_schedule() -> None:
    assert back_off(3, NOW, chance=0.5, wait=timedelta(minutes=6)) == NOW + timedelta(minutes=6)


def test_purpose_keys_name_what_a_letter_is_for() -> None:
    assert purpose_key(Kind.CONFIRM, 31, 1) == "confirm:31:1"
