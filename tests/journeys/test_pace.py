"""Two senders in processes of their own share one limit. The whole of it is `python -m benchmarks.pace`."""

from __future__ import annotations

from benchmarks import pace
from benchmarks.audit import Score
from benchmarks.installation import installation
from campaign.domain.pace import Span


def test_two_processes_never_exceed_a_limit_together() -> None:
    limits, score = {Span.SECOND: 40, Span.DAY: 90}, Score()
    with installation() as place:
        used = pace.use_at_once(place, limits, senders=2, seconds=2)
    pace.judge_limits(score, {Span.SECOND: 40}, used, seconds=1)  # what other tests leave of the processor is not ours
    assert score.end() == 0
    assert all(used), "both had their part"
    assert sum(map(len, used)) <= 90
