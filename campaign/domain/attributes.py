"""What else may be known about people: attributes by name, each of one kind. It never stores one."""

from __future__ import annotations

from enum import StrEnum


class AttributeKind(StrEnum):
    """What the values of an attribute are. Free text is sealed at rest, and no segment can ask for it."""

    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    DAY = "day"
    YES_NO = "yes-no"
