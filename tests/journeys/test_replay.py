"""The checker that replays events finds what it is there to find: without this, a green crash table would say nothing."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from benchmarks.replay import differences, stories
from campaign.domain.delivery import State
from campaign.domain.replies import Reason


class Row(NamedTuple):
    state: State
    claim_no: int
    attempts: int
    id: int = 1


class Moved(NamedTuple):
    from_state: State
    to_state: State
    claim_no: int = 1
    reason: str | None = None
    delivery_id: int = 1


queued, claimed, offered, accepted = State.QUEUED, State.CLAIMED, State.OFFERED, State.ACCEPTED
doubted = State.IN_DOUBT
SENT = [Moved(queued, claimed), Moved(claimed, offered), Moved(offered, accepted)]
DIED = [Moved(queued, claimed), Moved(claimed, queued, 1, "worker died"), *[one._replace(claim_no=2) for one in SENT]]
DROPS = [one for n in (1, 2, 3) for one in (Moved(queued, claimed, n), Moved(claimed, queued, n, Reason.BROKEN_OFF))]


@pytest.mark.parametrize(
    ("row", "events"),
    [
        (Row(queued, 0, 0), []),
        (Row(accepted, 1, 1), SENT),
        (Row(accepted, 2, 1), DIED),
        (Row(queued, 3, 1), DROPS),
        (Row(queued, 1, 1), [Moved(queued, claimed), Moved(claimed, queued, 1, Reason.GREYLISTED)]),
        (Row(doubted, 1, 1), [*SENT[:2], Moved(offered, doubted)]),
    ],
)
def test_rows_that_their_events_lead_to(row: Row, events: list[Moved]) -> None:
    assert differences([row], stories(events)) == []


@pytest.mark.parametrize(
    ("row", "events", "what"),
    [
        (Row(accepted, 0, 0), [], "is accepted"),
        (Row(queued, 1, 1), SENT, "is queued"),
        (Row(accepted, 2, 1), SENT, "by claim 2"),
        (Row(accepted, 1, 2), SENT, "has 2 attempts"),
        (Row(accepted, 2, 2), DIED, "has 2 attempts"),
        (Row(queued, 3, 0), DROPS, "has 0 attempts"),
        (Row(accepted, 1, 1), [SENT[0], SENT[2]], "was claimed and moved from offered"),
        (Row(accepted, 1, 1), [Moved(queued, claimed), Moved(claimed, accepted)], "moved from claimed to accepted"),
        (Row(accepted, 1, 1), [Moved(queued, claimed, 2), *SENT[1:]], "under claim 2 after claim 0"),
    ],
)
def test_rows_that_tell_another_story(row: Row, events: list[Moved], what: str) -> None:
    assert what in "; ".join(differences([row], stories(events)))
