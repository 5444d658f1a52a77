"""Who may do what: the roles of operators. It never asks who somebody is."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an operator is trusted with, from the most to the least."""

    ADMIN = "admin"
    ORGANISER = "organiser"
    AUTHOR = "author"
    VIEWER = "viewer"
