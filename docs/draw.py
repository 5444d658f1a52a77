"""Draws docs/lifecycle.md from the transition tables, so that the document cannot disagree with the code.

Run it after a change of a table: `python docs/draw.py`. A test compares the file with what this would write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from campaign.domain.consent import SUBSCRIPTION_MOVES, SubscriptionState
from campaign.domain.delivery import LIVE, MEANING, MOVES, State
from campaign.domain.editions import CAMPAIGN_MOVES, EDITION_MOVES, CampaignState, EditionState

PAGE: Final = Path(__file__).with_name("lifecycle.md")

_INTRO: Final = """# The lives of letters, editions, campaigns and subscriptions

This page is drawn from the tables in `campaign/domain` by `docs/draw.py`: the same tables that make the WHERE of every
UPDATE and that drive the property tests. Do not edit it by hand.

## A letter

Every letter is one row of the ledger, and is in exactly one state at every commit. `queued`, `claimed` and `offered`
are live: the letter will still move by itself. Before the final dot of SMTP is written, a *token* is committed
(`claimed` to `offered`); so after any crash we know which letters may have been taken without our reading the reply.
Those are `in_doubt`, they are listed, and a policy or a named person decides about them: never a silent guess.
"""


def page() -> str:
    """Return the whole document."""
    parts = [
        _INTRO,
        _diagram(MOVES, State.QUEUED),
        _letter_table(),
        "## An edition\n\nOne step of one campaign for one occurrence: frozen, sent and reported as a whole.\n",
        _diagram(EDITION_MOVES, EditionState.PLANNED),
        "## A campaign\n\nOnly an active one sends. Any change of what was approved makes it a draft again.\n",
        _diagram(CAMPAIGN_MOVES, CampaignState.DRAFT),
        "## A subscription\n\nNobody who left becomes active again except through their own confirmation.\n",
        _diagram(SUBSCRIPTION_MOVES, SubscriptionState.PENDING),
    ]
    return "\n".join(parts)


def _diagram(moves: Mapping[tuple[Any, Any], StrEnum], first: StrEnum) -> str:
    together: dict[tuple[str, str], list[str]] = {}
    for (state, event), target in moves.items():
        together.setdefault((state.value, target.value), []).append(event.value)
    lines = [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in together.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}", *lines, "```", ""])


def _letter_table() -> str:
    rows = [(state.value, event.value, target.value, MEANING[event]) for (state, event), target in MOVES.items()]
    live = ", ".join(f"`{state.value}`" for state in State if state in LIVE)
    return f"{_table(('from', 'event', 'to', 'when'), rows)}\nLive states: {live}.\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(head)
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
