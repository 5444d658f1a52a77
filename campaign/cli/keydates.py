"""Commands about key dates. They only show; a home's `config/key_dates.toml` adds to the shipped ones."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.output import as_json, one_line, record, say, table
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.domain.calendar import KeyDate

keydates_app = typer.Typer(help="See the key dates that campaigns stand around.", no_args_is_help=True)

_DAYS_AHEAD: Final = 366
_NAMED: Final = 3
"""Up to so many countries are named in a list."""

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Topic = Annotated[str | None, typer.Option(help="Only key dates with this topic.")]


@keydates_app.command("list")
def list_key_dates(*, topic: Topic = None, json: Json = False) -> None:
    """List every key date that is known here, by its short name."""
    from campaign.actions import publishing

    found = [one for one in with_kit(publishing.key_dates) if topic is None or topic in one.topics]
    if json:
        as_json([one.mapping() for one in found])
        return
    rows = [(one.slug, str(one.rule), str(one.length), _where(one), one.name()) for one in found]
    table(("key date", "when", "length", "countries", "name"), rows, empty="No key dates.")


@keydates_app.command("show")
def show_key_date(
    slug: Annotated[str, typer.Argument(help="The key date's short name.")], *, json: Json = False
) -> None:
    """Show one key date: who proclaimed it, its source, its themes, and when it comes next."""
    from campaign.actions import publishing
    from campaign.actions.kit import Kit

    async def look(kit: Kit) -> tuple[KeyDate, date]:
        return await publishing.key_date(kit, slug), kit.clock.now().astimezone(kit.settings.timezone).date()

    one, today = with_kit(look)
    next_one = one.next_after(today)
    if json:
        as_json({**one.mapping(), "next": {"start": next_one.start, "end": next_one.end} if next_one else None})
        return
    facts = {name: value for name, value in one.mapping().items() if name not in {"names", "themes"}}
    record(
        [
            *facts.items(),
            ("next", next_one and next_one.key),
            *((f"name ({tag})", name) for tag, name in one.names.items()),
        ]
    )
    for year, theme in sorted(one.themes.items()):
        say(f"theme {year}: {one_line(theme)}")


@keydates_app.command("upcoming")
def upcoming(
    *,
    until: Annotated[
        str | None, typer.Option(help="The last day to look at: 2027-12-31. Default: a year ahead.")
    ] = None,
    topic: Topic = None,
    json: Json = False,
) -> None:
    """List what comes next, in the order of the calendar."""
    from datetime import timedelta

    from campaign.actions import publishing
    from campaign.actions.kit import Kit
    from campaign.domain.calendar import parse_day

    last = parse_day(until) if until else None

    async def look(kit: Kit) -> tuple[list[KeyDate], date]:
        return await publishing.key_dates(kit), kit.clock.now().astimezone(kit.settings.timezone).date()

    known, today = with_kit(look)
    coming = [
        (occurrence, one)
        for one in known
        if topic is None or topic in one.topics
        for occurrence in one.occurrences(today, last or today + timedelta(days=_DAYS_AHEAD))
    ]
    coming.sort(key=lambda pair: (pair[0].start, pair[0].key_date))
    if json:
        as_json([_occurrence(occurrence, one) for occurrence, one in coming])
        return
    rows = [
        (o.start, o.end if o.end != o.start else "", (o.start - today).days, one.slug, one.name()) for o, one in coming
    ]
    table(("starts", "ends", "in days", "key date", "name"), rows, empty="Nothing in that time.")


def _where(one: KeyDate) -> str:
    if len(one.countries) > _NAMED:
        return f"{len(one.countries)} countries"
    return ", ".join(one.countries) or "everywhere"


def _occurrence(occurrence: Any, one: KeyDate) -> dict[str, Any]:
    theme = one.theme(occurrence.start.year)
    return {"key_date": one.slug, "start": occurrence.start, "end": occurrence.end, "name": one.name(), "theme": theme}
