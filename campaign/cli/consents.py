"""Commands about consents. They word questions and answers; `actions.proving` does the work."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from campaign.cli.output import as_json, confirm, say, table
from campaign.cli.running import with_kit

consents_app = typer.Typer(help="Show how somebody came to be mailed, with the exact words.", no_args_is_help=True)


@consents_app.callback()
def _front() -> None:
    """Commands about consents."""


@consents_app.command("list")
def list_(
    *,
    slug: Annotated[str | None, typer.Option("--list", help="Only this list.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """List every wording that people consented to: for which list, in which way, how many, from when to when."""
    from campaign.actions import proving

    rows = [asdict(one) for one in with_kit(lambda kit: proving.overview(kit, slug))]
    if json:
        as_json(rows)
        return
    columns = ("list", "wording", "source", "count", "confirmed", "first", "last")
    table(columns, ([row[name] for name in columns] for row in rows), empty="No consents yet.")


@consents_app.command("proof")
def proof(
    address: Annotated[str, typer.Argument(help="A whole address.", metavar="ADDRESS")],
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Write the document into this file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace that file without asking.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Write down every consent of one person: wording, language, source, time, who recorded it, from which file."""
    from campaign.actions import exporting, proving

    found = with_kit(lambda kit: proving.prove(kit, address))
    if json:
        as_json(found.row())
        return
    if out is None:
        say(found.text)
        return
    if out.exists():
        confirm(f"Replace {out}?", yes=yes)
    with exporting.private_file(out) as file:
        file.write(found.text)
    say(f"Wrote {out}")
