"""Commands about what needs a person: see it, and say that it is mended. `actions` decides what is an alert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from campaign.cli.output import as_json, hint, one_line, record, say, warn
from campaign.cli.phrases import when_utc
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.actions.alerting import Told

alerts_app = typer.Typer(help="See what needs you, and say that it is mended.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@alerts_app.command("list")
def list_alerts(
    *, everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False, json: Json = False
) -> None:
    """Show what needs a person, the newest first: what happened, what was done about it, and how to mend it."""
    from campaign.actions import alerting

    found = with_kit(lambda kit: alerting.told(kit, resolved=everything))
    if json:
        as_json([one.row() for one in found])
        return
    if not found:
        say("Nothing needs you.")
    for number, one in enumerate(found):
        if number:
            say()
        _say(one)


@alerts_app.command("resolve")
def resolve(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="As campaign alerts list shows it.")],
    *,
    json: Json = False,
) -> None:
    """Say that something is mended: letters about it end, and a domain that was held back gets its letters again."""
    from campaign.actions import alerting

    done = with_kit(lambda kit: alerting.resolve(kit, topic))
    if json:
        as_json({"topic": done.topic, "resolved_at": done.resolved_at, "resolved_by": done.resolved_by})
        return
    say(f"Resolved {done.topic}.")
    hint("Should it come back, you will hear of it again.")


def warn_of(found: Sequence[Told]) -> None:
    """Warn of what needs a person, a line for each."""
    for one in found:
        since = when_utc(one.standing.first_at)
        warn(f"{one_line(one.title)}, since {since} ({one.standing.topic}). See: campaign alerts list")


def _say(one: Told) -> None:
    standing = one.standing
    times = "" if standing.count == 1 else f", {standing.count:,} times until {when_utc(standing.last_at)}"
    over = "" if standing.resolved_at is None else f"{when_utc(standing.resolved_at)}, by {standing.resolved_by}"
    record(
        [
            ("topic", standing.topic),
            ("what", one.title),
            ("answer", one_line(standing.said)),
            ("since", f"{when_utc(standing.first_at)}{times}"),
            ("over", over),
            ("done", one.done),
            ("do", "" if over else "\n".join([one.advice, *(f"  {command}" for command in standing.commands)])),
        ]
    )
