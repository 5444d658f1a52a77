"""The errors Campaign can raise, in plain words. It never knows about HTTP statuses or exit codes."""

from __future__ import annotations

from typing import ClassVar


class CampaignError(Exception):
    """Campaign could not do what it was asked to do."""

    code: ClassVar[str] = "failed"

    def __init__(self, message: str = "", *, remedy: str = "") -> None:
        """Take what went wrong (default: the class's docstring) and what the reader can do about it."""
        self.message = message or (self.__doc__ or self.code).strip()
        self.remedy = remedy
        super().__init__(self.message)

    def __str__(self) -> str:
        """Give message and remedy in one text, for places that show only one."""
        return f"{self.message} {self.remedy}".strip()


class BadInput(CampaignError):
    """What was given cannot be understood."""

    code = "bad_input"


class SettingsMissing(BadInput):
    """Settings that this command needs are missing."""

    code = "settings_missing"


class NotFound(CampaignError):
    """There is nothing of that name."""

    code = "not_found"


class Conflict(CampaignError):
    """Something else stands in the way."""

    code = "conflict"


class NotReady(CampaignError):
    """This cannot be done yet."""

    code = "not_ready"


class IllegalMove(CampaignError):
    """A state may not change in that way."""

    code = "illegal_move"
