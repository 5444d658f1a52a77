"""The command that travels in time without sending: every edition to come, at whose clock, for how many people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from campaign.cli.output import as_json, hint, say, table, warn
from campaign.cli.phrases import day_words, instant_words, people, step_words
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.actions.forecasting import Forecast

plans_app = typer.Typer()


@plans_app.callback()
def _plans() -> None:
    """Commands that stand at the top."""


@plans_app.command("plan")
def plan(
    slug: Annotated[str | None, typer.Argument(metavar="[SLUG]", help="One campaign. Default: all of them.")] = None,
    *,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="The last day. Default: a year from now.")] = None,
    subscriber: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="For one person: when, and why they are out.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")] = False,
) -> None:
    """Show every edition to come: its day and time, whose clock decides, how many people get it. Nothing is sent."""
    from campaign.actions import forecasting
    from campaign.domain.calendar import parse_day

    last = parse_day(until) if until else None
    found = with_kit(lambda kit: forecasting.forecast(kit, slug, last, subscriber))
    if json:
        as_json([one.row() for one in found])
        return
    if not found:
        say("Nothing is to come in that time.")
        hint("A campaign begins with: campaign new --help")
        return
    say_plan(found, person=subscriber is not None)


def say_plan(found: Sequence[Forecast], *, person: bool = False, drafts: bool = True) -> None:
    """Write a forecast as a table, and below it what somebody should know."""
    several = len({one.campaign.slug for one in found}) > 1
    if person:
        _say_for_person(found)
    else:
        lead: tuple[str, ...] = ("campaign",) if several else ()
        columns = (*lead, "step", "local time", "whose clock", "people", "in UTC", "state")
        table(columns, [(one.campaign.slug, *_row(one)) if several else _row(one) for one in found])
    for one in found:
        if one.wrong_day:
            warn(
                f"{people(one.wrong_day)} of {one.people} would get {one.row()['edition']} on another day "
                f"than {day_words(date.fromisoformat(one.plan.day))}; --local-time avoids that."
            )
    waiting = sorted({one.campaign.slug for one in found if one.campaign.state.value == "draft"})
    if waiting and drafts:
        hint(f"Not approved, so nothing of it goes out: {', '.join(waiting)}. Next: campaign approve {waiting[0]}")


def _row(one: Forecast) -> tuple[object, ...]:
    plan = one.plan
    first, last = f"{plan.starts_at:%m-%d %H:%M}", f"{plan.ends_at:%m-%d %H:%M}"
    return (
        step_words(plan.step),
        f"{day_words(date.fromisoformat(plan.day))} {one.campaign.definition.at}",
        "each reader's" if one.campaign.definition.local else one.zone,
        one.people,
        first if first == last else f"{first} to {last}",
        one.state,
    )


def _say_for_person(found: Sequence[Forecast]) -> None:
    """Say for one person when they get each edition, or why they do not."""
    rows = [
        (
            instant_words(one.due_at, ZoneInfo(one.person_zone)) if one.due_at and one.person_zone else "",
            one.person_zone,
            one.campaign.slug,
            step_words(one.plan.step),
            f"out: {'; '.join(one.reasons)}" if one.reasons else "in",
        )
        for one in found
    ]
    table(("their time", "their zone", "campaign", "step", "in or out"), rows)
