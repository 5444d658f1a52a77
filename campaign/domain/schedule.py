"""From a definition to editions and waves: which local days, which instants, how late, how long valid.

It never stores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from campaign.domain.calendar import (
    EVERY,
    EXTRA,
    ONCE,
    KeyDate,
    Recurrence,
    Step,
    first_instant,
    instant_at,
    last_call,
    last_instant,
    parse_zone,
)
from campaign.domain.campaigns import Definition
from campaign.domain.delivery import VALID_FOR
from campaign.domain.editions import LATEST_START
from campaign.domain.localtime import zone_name

EVERYBODY: Final = "*"
"""The time zone of the single wave of an edition that goes to everybody at one instant."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An edition before it has a row.

    The step of a campaign for one occurrence, with its first and last instants (UTC).
    """

    step: str
    occurrence: str
    day: str
    starts_at: datetime
    ends_at: datetime
    latest_start: datetime
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Wave:
    """The letters of one edition with one instant: due, latest start and end of validity, all UTC."""

    timezone: str
    due_at: datetime
    latest_start: datetime
    valid_until: datetime


def plans(definition: Definition, key_date: KeyDate | None, first: date, last: date) -> list[Plan]:
    """Return the editions of a definition whose local day lies between two days, both included, in order."""
    found = [
        _plan(definition, step, occurrence, day) for step, occurrence, day in _days(definition, key_date, first, last)
    ]
    return sorted(found, key=lambda plan: (plan.starts_at, plan.step))


def _days(
    definition: Definition, key_date: KeyDate | None, first: date, last: date
) -> Iterator[tuple[Step, date, date]]:
    if key_date is not None:
        steps = [Step.of(offset) for offset in definition.offsets]
        reach = timedelta(days=max((abs(offset) for offset in definition.offsets), default=0) + 31)
        for occurrence in key_date.occurrences(first - reach, last + reach):
            for step in steps:
                if first <= (day := step.day(occurrence)) <= last:
                    yield step, occurrence.start, day
    elif definition.every:
        for day in Recurrence.parse(definition.every).days(first, last):
            yield EVERY, day, day
    elif (once := definition.once_at) and first <= once.date() <= last:
        yield ONCE, once.date(), once.date()


def _plan(definition: Definition, step: Step, occurrence: date, day: date) -> Plan:
    at = definition.wall_time
    if definition.local:
        starts, ends = first_instant(day, at), last_instant(day, at)
        latest = last_instant(day, time.max) if step.offset_days == 0 and definition.key_date else ends + LATEST_START
    else:
        starts = ends = instant_at(day, at, parse_zone(definition.zone))
        latest = _latest_start(step, day, at, parse_zone(definition.zone), in_place=bool(definition.key_date))
    return Plan(step.name, occurrence.isoformat(), day.isoformat(), starts, ends, latest)


def extra_plan(key: str | None, now: datetime) -> Plan:
    """Return the plan of an edition that a person sends now, outside its dates.

    Its name carries the instant, or `key`.
    """
    occurrence = key or now.strftime("%Y%m%dT%H%M%S.%fZ")
    return Plan(EXTRA.name, occurrence, now.date().isoformat(), now, now, now + LATEST_START, at_once=True)


def waves(definition: Definition, plan: Plan, zones: Iterable[str], fallback: str) -> list[Wave]:
    """Return the waves of an edition: one per local time zone of its people, or a single one for everybody.

    `fallback` is the zone of people who declared none, or one that this installation does not know (its list of zones
    may be older than the one they chose from); it always has a wave.
    """
    if plan.at_once:
        return [everybody_at(plan.starts_at)]
    if not definition.local:
        return [_wave(definition, plan, EVERYBODY, parse_zone(definition.zone))]
    return [_wave(definition, plan, name, parse_zone(name)) for name in sorted({*filter(zone_name, zones), fallback})]


def everybody_at(instant: datetime) -> Wave:
    """Return the single wave of an edition that goes out by hand."""
    return Wave(EVERYBODY, instant, instant + LATEST_START, instant + VALID_FOR)


def _wave(definition: Definition, plan: Plan, name: str, zone: ZoneInfo) -> Wave:
    step, day, at = Step.parse(plan.step), date.fromisoformat(plan.day), definition.wall_time
    due = instant_at(day, at, zone)
    latest = _latest_start(step, day, at, zone, in_place=bool(definition.key_date))
    return Wave(name, due, latest, _valid_until(step, plan, due, latest, zone))


def _latest_start(step: Step, day: date, at: time, zone: ZoneInfo, *, in_place: bool) -> datetime:
    """A letter on the day may start until that local day is over; any other for six hours."""
    if in_place and step.offset_days == 0:
        return last_call(day, at, zone)
    return instant_at(day, at, zone) + LATEST_START


def _valid_until(step: Step, plan: Plan, due: datetime, latest: datetime, zone: ZoneInfo) -> datetime:
    """On the day: until it is over. A reminder: until the day itself begins. Anything else: 48 hours."""
    if step.offset_days < 0:
        return instant_at(date.fromisoformat(plan.occurrence), time.min, zone)
    if step.offset_days == 0 and step not in {EVERY, ONCE, EXTRA}:
        return latest
    return due + VALID_FOR


def zone_error(definition: Definition, day: date, zones: Iterable[tuple[str, int]]) -> int:
    """Return how many people would get a one-zone letter on another local day than its own (the plan says so)."""
    if definition.local:
        return 0
    instant = instant_at(day, definition.wall_time, parse_zone(definition.zone))
    known = [(parse_zone(name), people) for name, people in zones if zone_name(name)]
    return sum(people for zone, people in known if instant.astimezone(zone).date() != day)


def zone_of(declared: str | None, fallback: str) -> str:
    """Return the zone by which one person's letters are timed: their own where it is known here."""
    return declared if declared and zone_name(declared) else fallback
