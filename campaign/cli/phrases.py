"""How campaigns, editions and instants read in plain words. It never asks for anything and never prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from campaign.domain.campaigns import Definition

_NO_STEP: Final = {"every": "each time", "once": "once", "extra": "extra, by hand", "on-the-day": "on the day"}


def count(number: int, noun: str, plural: str = "") -> str:
    """Give `1 letter`, `1,200 letters`, `3 people`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def people(number: int) -> str:
    """Give `1 person` or `25 people`."""
    return count(number, "person", "people")


def day_words(day: date) -> str:
    """Give `Fri 30 Jul 2027`."""
    return f"{day:%a} {day.day} {day:%b %Y}"


def instant_words(instant: datetime, zone: tzinfo = UTC) -> str:
    """Give `Fri 30 Jul 2027 09:00` as clocks of that zone show it."""
    local = instant.astimezone(zone)
    return f"{day_words(local.date())} {local:%H:%M}"


def when_utc(instant: datetime) -> str:
    """Give an instant as people write it down, in UTC."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def in_words(distance: timedelta) -> str:
    """Give how far something is away, roughly: `in 3 days`, `in 5 hours`, `within a minute`."""
    minutes = int(distance.total_seconds() // 60)
    if minutes < 1:
        return "within a minute"
    if minutes < 120:  # noqa: PLR2004 -- two hours
        return f"in {count(minutes, 'minute')}"
    if minutes < 48 * 60:
        return f"in {count(minutes // 60, 'hour')}"
    return f"in {count(minutes // (24 * 60), 'day')}"


def step_words(step: str) -> str:
    """Give `30 days before`, `on the day`, `each time`."""
    if step in _NO_STEP:
        return _NO_STEP[step]
    days, _, side = step.partition("d-")
    return f"{days} {'day' if days == '1' else 'days'} {side}"


def steps_words(offsets: tuple[int, ...]) -> str:
    """Give all steps around a key date in one phrase."""
    words = [
        "on the day" if days == 0 else f"{count(abs(days), 'day')} {'before' if days < 0 else 'after'}"
        for days in offsets
    ]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def calendar_words(definition: Definition) -> str:
    """Give what a campaign stands around, or how it comes back."""
    if definition.key_date:
        return f"{steps_words(definition.offsets)}, around {definition.key_date}"
    if definition.every:
        return definition.every if definition.every.startswith("every ") else f"every {definition.every}"
    once = definition.once_at
    return f"once, on {day_words(once.date())}" if once else "-"


def clock_words(definition: Definition) -> str:
    """Give the time of day and whose clock decides."""
    whose = "on each reader's own clock" if definition.local else f"on the clock of {definition.zone}"
    return f"{definition.at}, {whose}"


def definition_row(definition: Definition) -> dict[str, Any]:
    """Give a definition as the fields of a JSON row, named as the options are."""
    return {
        "key_date": definition.key_date,
        "every": definition.every,
        "once": definition.once,
        "steps": [steps_name(days) for days in definition.offsets],
        "at": definition.at,
        "zone": definition.zone,
        "lists": definition.lists,
        "where": {"country": definition.where.country, "language": definition.where.language},
        "segment": definition.segment,
        "topics": definition.topics,
        "pinned": definition.pinned,
        "most": definition.most,
        "language": definition.language,
        "title": definition.title,
        "subject": definition.subject,
        "intro": definition.intro,
        "in_doubt": definition.policy.value,
        "each_edition": definition.each_edition,
    }


def steps_name(days: int) -> str:
    """Give the name that a step has in editions."""
    return "on-the-day" if days == 0 else f"{abs(days)}d-{'before' if days < 0 else 'after'}"


def excluded_words(excluded: Mapping[str, int]) -> str:
    """Give who of the audience was left out, and why."""
    return ", ".join(f"{number:,} {reason}" for reason, number in excluded.items() if number)
