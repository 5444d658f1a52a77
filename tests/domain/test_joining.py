"""Who comes to a list, and how: nobody who left or was suppressed is brought back by somebody else."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from campaign.domain.consent import Reason, SubscriptionState
from campaign.domain.joining import STRANGER, Membership, Step, Way, next_step, weaker_than, why_refused

_LEFT = datetime(2027, 5, 1, tzinfo=UTC)
EVERY = [
    Membership(state, left_at, reason)
    for state, left_at, reason in product([None, *SubscriptionState], [None, _LEFT], [None, *Reason])
    if not (state is None and left_at) and not (state is SubscriptionState.LEFT and left_at is None)
]


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("found", EVERY, ids=str)
def test_the_rule_for_everybody(found: Membership, way: Way) -> None:
    step = next_step(found, way)
    gone = found.suppressed is not None or (found.left_at is not None and found.state is not SubscriptionState.ACTIVE)
    if step is Step.ACTIVATE:
        assert not gone
        assert way.consented
        assert found.state in {None, SubscriptionState.PENDING}
    if step is Step.ASK:
        assert found.suppressed not in {Reason.COMPLAINED, Reason.BLOCKED}
        assert way.anew or found == STRANGER
    if step is Step.STAY:
        assert found.state in {SubscriptionState.ACTIVE, SubscriptionState.PENDING}
        assert not gone
    if step is Step.REFUSE:
        assert gone
        assert why_refused(found).endswith(".")


def test_pending_people_become_active_by_a_stated_consent_unless_they_had_left() -> None:
    pending = Membership(SubscriptionState.PENDING)
    assert next_step(pending, Way.IMPORT) is Step.ACTIVATE
    assert next_step(pending, Way.IMPORT_ASKING) is Step.STAY
    again = Membership(SubscriptionState.PENDING, _LEFT)
    assert next_step(again, Way.IMPORT) is Step.REFUSE
    assert next_step(again, Way.VOUCHED) is Step.ASK
    assert "2027-05-01" in why_refused(again)
    assert "asked again" in why_refused(again)


def test_stronger_reasons_replace_weaker_ones() -> None:
    assert weaker_than(Reason.BOUNCED) == ()
    assert weaker_than(Reason.ERASED) == (Reason.BOUNCED, Reason.LEFT)
    assert set(weaker_than(Reason.BLOCKED)) == set(Reason) - {Reason.BLOCKED}
