"""Commands about lists. They word questions and answers; `actions.listing` does the work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from campaign.cli.output import as_json, confirm, hint, progress, record, say, table
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.actions.kit import Kit
    from campaign.actions.listing import Counted

lists_app = typer.Typer(help="Make and edit lists.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Slug = Annotated[str, typer.Argument(help="The list's short name.", metavar="LIST")]
Name = Annotated[str | None, typer.Option(help="The name that letters show.")]
Description = Annotated[str | None, typer.Option(help="One line that says what the list is for.")]
Double = Annotated[
    bool | None, typer.Option("--double-opt-in/--single-opt-in", help="Ask by letter before somebody is on it, or not.")
]
Private = Annotated[bool | None, typer.Option("--private/--public", help="Keep it off public pages, or show it there.")]
Language = Annotated[str | None, typer.Option(help="A language tag, such as en or pt-BR.")]
Ends = Annotated[
    str | None, typer.Option("--ends", metavar="DAY", help='The last day of a temporary list; "": no end.')
]
Target = Annotated[str, typer.Argument(help="The other list's short name.", metavar="OTHER")]
OfSegment = Annotated[str | None, typer.Option("--segment", help="Only people who fit this segment.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")]
Timezone = Annotated[str | None, typer.Option(help="A time zone, such as Europe/Berlin.")]


@lists_app.command("add")
def add_list(
    slug: Slug,
    *,
    name: Name = None,
    description: Description = None,
    double: Double = True,
    private: Private = True,
    language: Language = None,
    timezone: Timezone = None,
    ends: Ends = None,
) -> None:
    """Make a list: double opt-in and private unless you say otherwise. The same again changes nothing."""
    from campaign.actions import listing
    from campaign.domain.lists import Terms

    plain = Terms(name or slug.replace("-", " ").capitalize())
    terms = plain.changed(_terms(None, description, double, private, language, timezone))

    async def make(kit: Kit) -> bool:
        ends_at = listing.end_of(kit, ends or "", terms.timezone)
        return await listing.add(kit, slug, terms.changed({"ends_at": ends_at}))

    made = with_kit(make)
    say(f"Made the list {slug}." if made else f"The list {slug} is there already, just so.")
    hint(f'Next: campaign subscribers import FILE --list {slug} --consent "wording, where, when"')


@lists_app.command("list")
def list_lists(
    *, all_: Annotated[bool, typer.Option("--all", help="Retired lists, too.")] = False, json: Json = False
) -> None:
    """List the lists, with how many people each has."""
    from campaign.actions import listing

    found = with_kit(lambda kit: listing.every(kit, retired=all_))
    if json:
        as_json([_list_row(one) for one in found])
        return
    names = ("list", "name", "active", "pending", "left", "opt_in", "visibility", "language", "timezone")
    rows = [[_list_row(one)[name] for name in names] for one in found]
    table([name.replace("_", "-") for name in names], rows, empty="No lists. Make one: campaign lists add SLUG")


@lists_app.command("show")
def show_list(slug: Slug, *, json: Json = False) -> None:
    """Show one list."""
    from campaign.actions import listing

    row = _list_row(with_kit(lambda kit: listing.show(kit, slug)))
    if json:
        as_json(row)
        return
    record((name.replace("_", " "), value) for name, value in row.items())


@lists_app.command("edit")
def edit_list(
    slug: Slug,
    *,
    name: Name = None,
    description: Description = None,
    double: Double = None,
    private: Private = None,
    language: Language = None,
    timezone: Timezone = None,
    ends: Ends = None,
) -> None:
    """Change a list: the parts that options name. An empty value ("") takes a part away."""
    from campaign.actions import listing

    changes = _terms(name, description, double, private, language, timezone)

    async def change(kit: Kit) -> bool:
        if ends is not None:
            zone = changes.get("timezone") or (await listing.show(kit, slug)).list.timezone
            changes["ends_at"] = listing.end_of(kit, ends, zone)
        return await listing.edit(kit, slug, changes)

    changed = with_kit(change)
    say(f"Changed {slug}." if changed else f"Nothing changed in {slug}.")


@lists_app.command("retire")
def retire_list(slug: Slug, *, yes: Yes = False) -> None:
    """Close a list for good: nobody can join it any more. Its people and their consents stay on record."""
    from campaign.actions import listing

    confirm(f"Retire the list {slug} for good?", yes=yes)
    done = with_kit(lambda kit: listing.retire(kit, slug))
    say(f"Retired {slug}." if done else f"{slug} was retired before.")


@lists_app.command("copy")
def copy_list(
    source: Slug,
    target: Target,
    *,
    segment: OfSegment = None,
    dry_run: Dry = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put the active people of a list on another one, too, with their consents. Who left that one stays out."""
    _regroup("copy", (source, target, segment), dry_run=dry_run, yes=yes, json=json)


@lists_app.command("move")
def move_list(
    source: Slug,
    target: Target,
    *,
    segment: OfSegment = None,
    dry_run: Dry = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Bring the people of a list to another one, with their consents. Who left either of them stays out."""
    _regroup("move", (source, target, segment), dry_run=dry_run, yes=yes, json=json)


@lists_app.command("merge")
def merge_lists(source: Slug, target: Target, *, dry_run: Dry = False, yes: Yes = False, json: Json = False) -> None:
    """Bring everybody from a list to another one, and retire the first."""
    _regroup("merge", (source, target, None), dry_run=dry_run, yes=yes, json=json)


def _regroup(how: str, lists: tuple[str, str, str | None], *, dry_run: bool, yes: bool, json: bool) -> None:
    """Count, ask, do."""
    from campaign.actions import regrouping

    source, target, segment = lists
    order = regrouping.Order(regrouping.Regroup(how), source, target, segment)
    counts = with_kit(lambda kit: regrouping.forecast(kit, order))
    told = (
        f"{counts.coming:,} come to {target}; {counts.there:,} are on it already, "
        f"{counts.left_before:,} left it before, {counts.not_active:,} are not active on {source}."
    )
    if not dry_run:
        if not yes:
            hint(told)
        confirm(f"{how.capitalize()} {source} to {target}?", yes=yes)
        with progress(how.capitalize()) as tell:
            came = with_kit(lambda kit: regrouping.run(kit, order, tell))
        told = f"{came:,} people came to {target}."
    if json:
        as_json({"done": not dry_run, **regrouping.row_of(counts)})
        return
    say(told)


def _terms(*given: Any) -> dict[str, Any]:
    """Give the terms of a list that options name."""
    from campaign.domain.consent import OptIn, Visibility

    name, description, double, private, language, timezone = given
    options = {
        "name": name,
        "description": description,
        "opt_in": None if double is None else (OptIn.DOUBLE if double else OptIn.SINGLE),
        "visibility": None if private is None else (Visibility.PRIVATE if private else Visibility.PUBLIC),
        "language": language,
        "timezone": timezone,
    }
    return {field: value for field, value in options.items() if value is not None}


def _list_row(one: Counted) -> dict[str, Any]:
    people = {state: one.people.get(state, 0) for state in ("active", "pending", "left")} | dict(one.people)
    terms = {**asdict(one.list.terms), "retired_at": one.list.retired_at, "ended": one.list.ended}
    return {"list": one.list.slug, **people, **terms}
