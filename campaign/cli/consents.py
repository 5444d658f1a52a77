"""Commands about consents. They word questions and answers; `actions.proving` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from campaign.cli.output import as_json, confirm, say
from campaign.cli.running import with_kit

consents_app = typer.Typer(help="Show how somebody came to be mailed, with the exact words.", no_args_is_help=True)


@consents_app.callback()
def _front() -> None:
    """Commands about consents."""


@consents_app.command("proof")
def proof(
    address: Annotated[str, typer.Argument(help="A whole address.", metavar="ADDRESS")],
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Write the document into this file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace that file without asking.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Write down every consent of one person: wording, language, source, time, who recorded it, from which file."""
    from campaign.actions import proving

    found = with_kit(lambda kit: proving.prove(kit, address))
    if json:
        as_json(found.row())
        return
    if out is None:
        say(found.text)
        return
    if out.exists():
        confirm(f"Replace {out}?", yes=yes)
    out.touch(mode=0o600)
    out.write_text(found.text, encoding="utf-8")
    say(f"Wrote {out}")
