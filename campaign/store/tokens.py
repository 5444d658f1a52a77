"""What tokens write down: the first one, what the letter says to this person for good; each, by which relay it went.

It never decides whether one is granted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import FromClause, case

from campaign.store.dialects import Own
from campaign.store.schema.ledger import deliveries

NO_RELAY: Final = ""
"""What stands in a letter's row until a relay has taken it up."""

_D: Final = deliveries.c
OWN: Final[Own] = tuple((name, _D[name].type) for name in ("variant", "message_id", "date", "relay"))
"""What each letter's row takes from its token."""


class Token(NamedTuple):
    """The last question before the dot, and what is written down with it: the same at every attempt, but the relay."""

    id: int
    claim_no: int
    variant: str | None
    message_id: str
    date: datetime
    relay: str
    edition_id: int | None


def noted(told: FromClause) -> dict[str, Any]:
    """Return the columns that change with a token, for a table of what the tokens tell."""
    first = {name: case((_D.message_id.is_(None), told.c[name]), else_=_D[name]) for name, _ in OWN[:-1]}
    return {**first, "relay": told.c.relay}
