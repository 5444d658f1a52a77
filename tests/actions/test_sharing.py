"""Turns among lanes: weights are kept by those that keep up, and nobody waits for one that does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from campaign.actions.sharing import Share, Shares


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lanes(*weights: int, seconds: float = 0.01) -> tuple[Time, Shares, list[Share]]:
    time, shares = Time(), Shares()
    made = [Share(weight, 10, time) for weight in weights]
    for share in made:
        share.spent(seconds)
        shares.join(share)
    return time, shares, made


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5), st.data())
def test_whoever_asks_first_the_shares_follow_the_weights(weights: list[int], data: st.DataObject) -> None:
    time, shares, made = lanes(*weights)
    for share in made:
        share.idle = 1
    taken = [0] * len(made)
    chance = data.draw(st.randoms(use_true_random=False))
    for _ in range(400):
        time.now += 0.0001
        able = [number for number, share in enumerate(made) if shares.may_take(share)]
        assert able, "somebody may always take"
        number = chance.choice(able)
        shares.took(made[number])
        taken[number] += 1
    for weight, count in zip(weights, taken, strict=True):
        assert abs(count - 400 * weight / sum(weights)) <= 6 * (1 + max(weights) / min(weights))


def test_a_lane_that_is_full_and_much_slower_holds_no_other_back() -> None:
    time, shares, (slow, quick) = lanes(9, 1)
    for _ in range(40):
        slow.spent(1.0)
    shares.took(slow)
    for _ in range(1_000):
        assert shares.may_take(quick)
        shares.took(quick)
        time.now += 0.001
    assert shares.may_take(slow)
    assert slow.passed > quick.passed - 1, "what it fell behind is forgotten"


def test_one_that_took_nothing_lately_is_limited_or_gone_holds_no_other_back() -> None:
    time, shares, (one, other) = lanes(5, 1)
    shares.took(one)
    for _ in range(10):
        shares.took(other)
    assert not shares.may_take(other), "the first took a letter just now"
    one.limited = True
    assert shares.may_take(other)
    one.limited = False
    assert not shares.may_take(other)
    time.now += 2
    assert shares.may_take(other)
    one.idle = 1
    assert not shares.may_take(other), "it waits for a letter"
    shares.leave(one)
    assert shares.may_take(other)
    assert not shares.several


def test_a_lane_that_joins_late_begins_level_with_the_others() -> None:
    time, shares, (one, _) = lanes(1, 1)
    for _ in range(100):
        shares.took(one)
    late = Share(1, 10, time)
    shares.join(late)
    assert late.passed == one.passed == 100
