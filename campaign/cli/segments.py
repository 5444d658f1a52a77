"""Commands about segments. They word questions and answers; `actions.segmenting` does the work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from campaign.cli.output import as_json, confirm, hint, record, say, table
from campaign.cli.running import with_kit
from campaign.cli.streams import write_json, write_table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from campaign.actions.kit import Kit

segments_app = typer.Typer(
    help='Save rules about people, such as country = "US" and topic "policy", as live audiences.', no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Slug = Annotated[str, typer.Argument(help="The segment's short name.", metavar="SEGMENT")]
Maybe = Annotated[str | None, typer.Argument(help="The segment's short name.", metavar="[SEGMENT]")]
RuleText = Annotated[str, typer.Argument(help="The rule, in single quotes for the shell.", metavar="RULE")]
Try = Annotated[str | None, typer.Option("--rule", help="Try a rule without saving it.")]
Description = Annotated[str | None, typer.Option(help="One line that says who is meant.")]

_COLUMNS = ("address", "name", "list", "state", "country", "language", "timezone")


@segments_app.command("add")
def add(slug: Slug, rule: RuleText, *, description: Description = None) -> None:
    """Save a rule. Fields: country, language, timezone, domain, joined, and attributes that are no free text.

    campaign segments add policy-us 'country = "US" and language in ("en", "es") and not list "press"'

    Terms: = != < <= > >= before after, in (…), not in (…), is known, is unknown, topic "…", list "…".
    Join them with and, or, not, ( ).
    """
    from campaign.actions import segmenting

    made = with_kit(lambda kit: segmenting.add(kit, slug, rule, description or ""))
    say(f"Saved the segment {slug}." if made else f"The segment {slug} is there already, just so.")
    hint(f"Next: campaign segments count {slug}, or campaign new SLUG --list LIST --segment {slug}")


@segments_app.command("list")
def list_(
    *, all_: Annotated[bool, typer.Option("--all", help="Retired segments, too.")] = False, json: Json = False
) -> None:
    """List the segments with their rules."""
    from campaign.actions import segmenting

    rows = [asdict(one) for one in with_kit(lambda kit: segmenting.every(kit, retired=all_))]
    if json:
        as_json([{"segment": row.pop("slug"), **row} for row in rows])
        return
    cells = [(row["slug"], row["rule"], row["description"]) for row in rows]
    table(("segment", "rule", "description"), cells, empty="No segments. Make one: campaign segments add SLUG RULE")


@segments_app.command("show")
def show(slug: Slug, *, json: Json = False) -> None:
    """Show one segment, and the campaigns that it narrows."""
    from campaign.actions import segmenting

    found, campaigns = with_kit(lambda kit: segmenting.show(kit, slug))
    row: dict[str, Any] = {"segment": found.slug, **asdict(found), "campaigns": campaigns}
    del row["slug"]
    if json:
        as_json(row)
        return
    record((name.replace("_", " "), value) for name, value in row.items() if name != "id")


@segments_app.command("edit")
def edit(
    slug: Slug,
    *,
    rule: Annotated[str | None, typer.Option("--rule", help="The new rule.")] = None,
    description: Description = None,
) -> None:
    """Change a segment. Campaigns that it narrows must be approved again."""
    from campaign.actions import segmenting

    changed = with_kit(lambda kit: segmenting.edit(kit, slug, rule, description))
    say(f"Changed {slug}." if changed else f"Nothing changed in {slug}.")
    _, campaigns = with_kit(lambda kit: segmenting.show(kit, slug))
    if changed and rule is not None and campaigns:
        hint(f"Approve again: {', '.join(f'campaign approve {name}' for name in campaigns)}")


@segments_app.command("retire")
def retire(slug: Slug, *, yes: Yes = False) -> None:
    """Close a segment. Its name stays taken."""
    from campaign.actions import segmenting

    confirm(f"Retire the segment {slug}?", yes=yes)
    with_kit(lambda kit: segmenting.retire(kit, slug))
    say(f"Retired {slug}.")


@segments_app.command("count")
def count(
    slug: Maybe = None,
    *,
    rule: Try = None,
    list_: Annotated[str | None, typer.Option("--list", help="Only the active people of this list.")] = None,
    json: Json = False,
) -> None:
    """Count who fits now."""
    from campaign.actions import segmenting

    found = with_kit(lambda kit: segmenting.count(kit, slug, rule, list_))
    if json:
        as_json({"segment": slug, "people": found.people, "suppressed": found.suppressed})
        return
    left_out = f", of whom {found.suppressed:,} are suppressed and get nothing" if found.suppressed else ""
    say(f"{found.people:,} people{left_out}.")


@segments_app.command("people")
def people(slug: Maybe = None, *, rule: Try = None, json: Json = False) -> None:
    """List who fits now, one row for each person and list."""
    if json:
        with_kit(lambda kit: write_json(_rows(kit, slug, rule)))
        return
    with_kit(lambda kit: write_table(_COLUMNS, _rows(kit, slug, rule), empty="Nobody fits."))


async def _rows(kit: Kit, slug: str | None, rule: str | None) -> AsyncGenerator[Mapping[str, Any], None]:
    from campaign.actions import segmenting

    async for row in segmenting.people(kit, slug, rule):
        yield asdict(row)
