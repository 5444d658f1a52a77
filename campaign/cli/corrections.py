"""Commands that correct and export what is known about people, lent to `subscribers`. The verbs do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from campaign.cli.output import confirm, hint, say
from campaign.cli.running import with_kit

Who = Annotated[str, typer.Argument(help="A whole address.", metavar="ADDRESS")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Word = Annotated[str | None, typer.Option(help='"" takes it away.')]


def edit(
    address: Who,
    *,
    name: Word = None,
    country: Word = None,
    language: Word = None,
    timezone: Word = None,
    topics: Annotated[str | None, typer.Option(help='Topics, divided by commas; "" takes them all away.')] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An attribute. Repeat for more.")
    ] = None,
) -> None:
    """Correct what is known about one person: the parts that options name."""
    from campaign.actions import correcting
    from campaign.domain.addresses import parse_address
    from campaign.domain.errors import BadInput
    from campaign.domain.rows import parse_topics

    values = {}
    for word in set_ or ():
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise BadInput(f"--set {word} names no attribute and value.", remedy="Write --set gift=20.")
        values[key.strip()] = value
    chosen = None if topics is None else parse_topics(topics)
    wish = correcting.Edit(name, country, language, timezone, chosen, values)
    who = parse_address(address)
    changed = with_kit(lambda kit: correcting.edit(kit, who, wish))
    say(f"Changed {who}." if changed else f"Nothing changed about {who}.")


def export(
    out: Annotated[Path, typer.Argument(help="The file to write: .csv, or .json.", metavar="FILE")],
    *,
    list_: Annotated[str | None, typer.Option("--list", help="Only this list.")] = None,
    state: Annotated[str | None, typer.Option(help="Only active, pending, left or suppressed ones.")] = None,
    yes: Yes = False,
) -> None:
    """Write people into a file: one row for each person and list, with topics and attributes.

    No spreadsheet runs a cell of it, and an import reads it as it is. It holds addresses in the clear, for your eyes
    only: delete it when it has done its work.
    """
    from campaign.actions import exporting
    from campaign.domain.errors import BadInput

    if out.suffix not in {".csv", ".json"}:
        raise BadInput(f"{out.name} is neither .csv nor .json.", remedy="Write campaign subscribers export people.csv")
    if out.exists():
        confirm(f"Replace {out}?", yes=yes)
    order = exporting.Order(out, list_, state, json=out.suffix == ".json")
    count = with_kit(lambda kit: exporting.export(kit, order))
    say(f"Wrote {count:,} rows into {out}")


def merge(
    address: Who,
    other: Annotated[str, typer.Argument(help="The other mailbox of the same person.", metavar="OTHER")],
    *,
    yes: Yes = False,
) -> None:
    """Make one person of two mailboxes: letters go to ADDRESS from now on, and nothing to OTHER."""
    from campaign.actions import correcting
    from campaign.domain.addresses import parse_address

    kept, gone = parse_address(address), parse_address(other)
    confirm(f"Are {kept} and {gone} one person, who reads {kept}?", yes=yes)
    done = with_kit(lambda kit: correcting.merge(kit, kept, gone))
    say(f"{kept} has what {gone} had: {done.lists:,} more lists.")
    if done.letters:
        hint(f"{done.letters:,} letters that waited for {gone} were taken out.")


def address(
    old: Annotated[str, typer.Argument(help="Where they are written to now.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="Where they want to be written to.", metavar="NEW")],
) -> None:
    """Change somebody's address: a letter asks the new mailbox, and only its link makes the change.

    Until then everything goes to the old one. Afterwards nothing does, and no import brings it back.
    """
    from campaign.actions import changing
    from campaign.domain.addresses import parse_address

    before, after = parse_address(old), parse_address(new)
    if with_kit(lambda kit: changing.ask(kit, before, after)):
        say(f"{after} gets a letter that asks to confirm. Until then everything goes to {before}.")
    else:
        say(f"{after} was asked within the last day; no second letter goes out.")
