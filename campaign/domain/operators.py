"""Who may do what: the roles of operators, and what each is trusted with. It never asks who somebody is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from campaign.domain.errors import BadInput
from campaign.domain.shapes import is_line

LOCAL: Final = "local:"
"""How somebody at the command line is called: `local:` and the system user."""


class Role(StrEnum):
    """What an operator is trusted with, from the most to the least."""

    ADMIN = "admin"
    ORGANISER = "organiser"
    AUTHOR = "author"
    VIEWER = "viewer"


class Right(StrEnum):
    """What a command needs."""

    LOOK = "look"
    WRITE = "write articles"
    ORGANISE = "organise"
    ADMINISTER = "administer"


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Right),
        Role.ORGANISER: frozenset({Right.LOOK, Right.WRITE, Right.ORGANISE}),
        Role.AUTHOR: frozenset({Right.LOOK, Right.WRITE}),
        Role.VIEWER: frozenset({Right.LOOK}),
    }
)

_LOOKING: Final = frozenset(
    (
        "list",
        "show",
        "status",
        "plan",
        "preview",
        "find",
        "search",
        "count",
        "people",
        "check",
        "audit",
        "proof",
        "doctor",
    )
)
_WRITING: Final = frozenset(("articles", "keydates"))
_ADMINISTERING: Final = frozenset(("operators", "keys", "db", "init"))
_GRAVE: Final = frozenset(
    (
        ("subscribers", "erase"),
        ("imports", "undo"),
        ("suppressions", "remove"),
        ("consents", "lapse"),
        ("relays", "dkim"),
    )
)


def right_for(group: str, command: str = "") -> Right:
    """Return what a command needs: `articles import` is writing, `subscribers erase` administering."""
    if group in _ADMINISTERING and command != "list":
        return Right.ADMINISTER
    if (group, command) in _GRAVE:
        return Right.ADMINISTER
    if (command or group) in _LOOKING or (group, command) == ("consents", "renewals"):
        return Right.LOOK
    return Right.WRITE if group in _WRITING else Right.ORGANISE


def least_role(right: Right) -> Role:
    """Return the least role that has a right."""
    return next(role for role in reversed(Role) if right in RIGHTS[role])


def checked_name(text: str) -> str:
    """Return the name of an operator, a system user's or one given by CAMPAIGN_OPERATOR; raise BadInput for no name."""
    name = text.strip().removeprefix(LOCAL)
    if not name or not is_line(name, 80) or any(c.isspace() for c in name):
        raise BadInput("An operator is named by one word.", remedy="Write the name by which they sign in here: id -un.")
    return name
