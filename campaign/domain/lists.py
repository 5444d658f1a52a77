"""What a list is: its name, how it is joined, who sees it, and what its people get by default. It never stores one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from campaign.domain.consent import OptIn, Visibility
from campaign.domain.errors import BadInput
from campaign.domain.localtime import parse_zone
from campaign.domain.people import parse_language
from campaign.domain.shapes import is_line

_MAX_NAME: Final = 150
_MAX_DESCRIPTION: Final = 500


@dataclass(frozen=True, slots=True)
class Terms:
    """What an organiser decides about a list. Letters show `name`; language and zone serve those who named none."""

    name: str
    description: str = ""
    opt_in: OptIn = OptIn.DOUBLE
    visibility: Visibility = Visibility.PRIVATE
    language: str | None = None
    timezone: str | None = None
    ends_at: datetime | None = None
    """From then on nobody is mailed by it and nobody can join it; None for a list without an end."""

    def changed(self, changes: Mapping[str, Any]) -> Terms:
        """Return these terms with `changes` made and checked; raise BadInput for what a list cannot have."""
        return checked(replace(self, **changes))


def checked(terms: Terms) -> Terms:
    """Return terms in their usual form; raise BadInput for what a list cannot have."""
    name, description = " ".join(terms.name.split()), " ".join(terms.description.split())
    if not name or not is_line(name, _MAX_NAME):
        msg = "A list needs a name of one line."
        raise BadInput(msg, remedy=f"Give --name, with {_MAX_NAME} characters at most.")
    if not is_line(description, _MAX_DESCRIPTION):
        msg = "A description is one line of text."
        raise BadInput(msg, remedy=f"Give --description, with {_MAX_DESCRIPTION} characters at most.")
    return replace(
        terms,
        name=name,
        description=description,
        language=parse_language(terms.language) if terms.language else None,
        timezone=parse_zone(terms.timezone).key if terms.timezone else None,
    )
