"""Commands about attributes. They word questions and answers; `actions.describing` does the work."""

from __future__ import annotations

from typing import Annotated

import typer

from campaign.cli.output import as_json, confirm, say, table
from campaign.cli.running import with_kit
from campaign.domain.attributes import AttributeKind

attributes_app = typer.Typer(help="Declare what else is known about people, each of one kind.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Name = Annotated[str, typer.Argument(help="Small letters, digits, - and _.", metavar="NAME")]
Choices = Annotated[list[str] | None, typer.Option("--choice", help="A value that a choice may have. Repeat for more.")]
Description = Annotated[str | None, typer.Option(help="One line that says what it is, and why you keep it.")]


@attributes_app.command("add")
def add(
    name: Name,
    *,
    kind: Annotated[AttributeKind, typer.Option(help="Free text is sealed; segments can ask for all others.")],
    choice: Choices = None,
    description: Description = None,
) -> None:
    """Declare an attribute. A column of that name in an import is read as this kind."""
    from campaign.actions import describing
    from campaign.domain.attributes import Attribute

    attribute = Attribute(name, kind, tuple(choice or ()), " ".join((description or "").split()))
    made = with_kit(lambda kit: describing.add(kit, attribute))
    say(f"Declared {name} ({kind})." if made else f"{name} is declared already, just so.")


@attributes_app.command("list")
def list_(*, json: Json = False) -> None:
    """List the declared attributes, and of how many people each is known."""
    from campaign.actions import describing

    rows = [
        {
            "attribute": one.attribute.name,
            "kind": one.attribute.kind,
            "choices": list(one.attribute.choices),
            "description": one.attribute.description,
            "people": one.people,
        }
        for one in with_kit(describing.every)
    ]
    if json:
        as_json(rows)
        return
    names = ("attribute", "kind", "people", "choices", "description")
    cells = [["sealed" if row[name] is None else row[name] for name in names] for row in rows]
    table(names, cells, empty="None declared. Make one: campaign attributes add NAME --kind number")


@attributes_app.command("edit")
def edit(name: Name, *, choice: Choices = None, description: Description = None) -> None:
    """Change the description, or add choices."""
    from campaign.actions import describing

    changed = with_kit(lambda kit: describing.edit(kit, name, description, choice))
    say(f"Changed {name}." if changed else f"Nothing changed in {name}.")


@attributes_app.command("remove")
def remove(name: Name, *, yes: Yes = False) -> None:
    """Take an attribute away, with its values from everybody."""
    from campaign.actions import describing

    confirm(f"Remove {name}, and its value from everybody who has one?", yes=yes)
    cleared = with_kit(lambda kit: describing.remove(kit, name))
    say(f"Removed {name}; {cleared:,} people had a value.")
