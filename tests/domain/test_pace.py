"""Limits hold in every window, whoever asks when and how often; nearly all of them can be used."""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.pace import AHEAD, MICRO, Bound, Limits, Span, WarmUp, first, grant, room, supply

LENGTH = {Span.SECOND: 1, Span.MINUTE: 60, Span.HOUR: 3_600, Span.DAY: 86_400}
NOW = 1_800_000_000 * MICRO


def most_in_a_window(instants: list[int], length: int) -> int:
    """The most instants in any half-open window of that length."""
    instants = sorted(instants)
    return max((bisect_left(instants, at + length) - number for number, at in enumerate(instants)), default=0)


@given(
    limits=st.dictionaries(st.sampled_from(list(Span)), st.integers(1, 300), min_size=1),
    asks=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 60)), max_size=40),
)
def test_no_window_has_more_than_the_limit(limits: dict[Span, int], asks: list[tuple[float, int]]) -> None:
    bounds = [Bound(span, limit) for span, limit in limits.items()]
    longest = max(LENGTH[span] for span in limits)
    now, given_out = NOW, []
    for pause, wanted in asks:
        now += int(pause * longest / 5 * MICRO)
        got = grant(bounds, now, wanted)
        assert all(now <= at <= now + AHEAD for at in got)
        assert got == sorted(got)
        assert len(got) <= wanted
        given_out += got
    for span, limit in limits.items():
        assert most_in_a_window(given_out, LENGTH[span] * MICRO) <= limit + (span in {Span.SECOND, Span.MINUTE})


@pytest.mark.parametrize(("span", "limit"), [(Span.SECOND, 50), (Span.MINUTE, 90), (Span.HOUR, 500), (Span.DAY, 1_000)])
def test_nearly_all_of_a_limit_can_be_used(span: Span, limit: int) -> None:
    bound, now, used = Bound(span, limit), NOW, 0
    windows = 10
    step = LENGTH[span] * MICRO // 200
    while now < NOW + windows * LENGTH[span] * MICRO:
        used += len(grant([bound], now, limit, ahead=min(AHEAD, step)))
        now += step
    assert used >= 0.95 * limit * windows


def test_an_hour_s_quota_may_go_at_once_and_is_free_again_an_hour_later() -> None:
    bound = Bound(Span.HOUR, 100)
    assert len(grant([bound], NOW, 1_000)) == 100
    assert grant([bound], NOW + 1_800 * MICRO, 1) == []
    assert NOW + 3_600 * MICRO <= bound.free_at <= NOW + 3_700 * MICRO
    assert first([bound], NOW) == bound.free_at
    assert len(grant([bound], bound.free_at, 1_000)) == 100


@given(st.sampled_from(list(Span)), st.integers(1, 1_000), st.integers(1, 10**6))
def test_a_clock_that_was_set_back_blocks_no_longer_than_a_used_up_limit_does(
    span: Span, limit: int, seconds: int
) -> None:
    bound = Bound(span, limit)
    grant([bound], NOW, limit)
    back = NOW - seconds * MICRO
    bound.settle(back)
    wait = first([bound], back) - back
    longest = max(bound.gap, 1) if bound.spaced else LENGTH[span] * MICRO * 51 // 50
    assert wait <= longest + AHEAD + 6 * MICRO
    if seconds > 10 + LENGTH[span]:
        assert wait <= longest


def test_room_is_what_could_be_granted_and_takes_nothing() -> None:
    bounds = [Bound(Span.SECOND, 10), Bound(Span.DAY, 25)]
    assert room(bounds, NOW, 500, 2 * MICRO) == 21
    assert room(bounds, NOW, 500, 60 * MICRO) == 25
    assert room(bounds, NOW, 5, 60 * MICRO) == 5
    assert bounds == [Bound(Span.SECOND, 10), Bound(Span.DAY, 25)]


def test_few_are_fetched_at_once_and_what_is_not_used_of_a_day_is_given_back() -> None:
    second, day = Bound(Span.SECOND, 50), Bound(Span.DAY, 100)
    assert supply([second], 100) == 10
    assert supply([second, day], 100) == 1
    assert supply([Bound(Span.HOUR, 1_000_000)], 100) == 100
    given_out = grant([day], NOW, 100)
    for at in given_out[:3]:
        day.give_back(at)
    second.give_back(NOW)
    assert len(grant([day], NOW, 100)) == 3
    assert len(grant([second], NOW, 5)) == 5


@given(st.integers(1, 10**6), st.integers(1, 9))
def test_what_was_granted_before_a_clock_was_set_back_can_be_given_back_after_it(seconds: int, later: int) -> None:
    day = Bound(Span.DAY, 100)
    given_out = grant([day], NOW, 9)
    back = NOW - seconds * MICRO
    again = grant([day], back, later)
    for at in given_out:
        day.give_back(at)
    assert sum(day.pieces.values()) == len(again) == later


def test_a_warm_up_grows_by_the_day_until_it_matters_no_more() -> None:
    curve = WarmUp(date(2027, 1, 4), 500, 1.5)
    days = [curve.limit_on(date(2027, 1, 4) + timedelta(n)) for n in (-1, 0, 1, 2, 3)]
    assert days == [500, 500, 750, 1125, 1687]
    assert curve.limit_on(date(2027, 2, 4)) is None
    assert WarmUp(date(2027, 1, 4), 1, 10.0).limit_on(date(2099, 1, 1)) is None
    limits = Limits(per_day=1_000, warm_up=curve)
    assert limits.on(date(2027, 1, 4)) == {Span.DAY: 500}
    assert limits.on(date(2027, 3, 1)) == {Span.DAY: 1_000}
    assert not Limits()
    assert Limits(per_second=3).on(date(2027, 1, 4)) == {Span.SECOND: 3}
