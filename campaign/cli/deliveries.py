"""Commands about single letters: list them, write them down, settle those in doubt. `actions` decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campaign.cli.editions import Json, Key, Target, Yes, edition_key, one_of
from campaign.cli.output import as_json, confirm, hint, say
from campaign.cli.phrases import count
from campaign.cli.running import with_kit
from campaign.cli.streams import write_json, write_table
from campaign.domain.delivery import State

if TYPE_CHECKING:
    from campaign.actions.kit import Kit

deliveries_app = typer.Typer(help="List letters and what became of each; settle those in doubt.", no_args_is_help=True)

OfState = Annotated[str | None, typer.Option("--state", metavar="STATE", help=f"Only these: {', '.join(State)}.")]


@deliveries_app.command("list")
def list_deliveries(target: Target, *, state: OfState = None, json: Json = False) -> None:
    """List the letters of a campaign or an edition: to whom, in which state, after how many attempts."""
    from campaign.actions import reporting

    wanted = one_of(state, State)

    async def write(kit: Kit) -> None:
        rows = reporting.deliveries(kit, target, wanted)
        if json:
            await write_json(rows)
        else:
            columns = ("id", "address", "state", "relay", "attempts", "code", "reason", "edition")
            await write_table(columns, rows, empty="No letters.")

    with_kit(write)


@deliveries_app.command("export")
def export(
    target: Target,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to: letters.csv, or letters.jsonl.")],
    *,
    state: OfState = None,
) -> None:
    """Write the letters of a campaign or an edition into a file: CSV, or JSON lines where it ends in .jsonl.

    It holds addresses, so only you can read it; keep it so.
    """
    from campaign.actions import accounting

    wanted = one_of(state, State)
    written = with_kit(lambda kit: accounting.export(kit, target, file, wanted))
    say(f"Wrote {count(written, 'letter')} to {file}.")


@deliveries_app.command("resolve")
def resolve(
    key: Key,
    *,
    decision: Annotated[
        str, typer.Option("--as", metavar="DECISION", help="accepted (leave it), resend (may arrive twice), expire.")
    ],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Settle an edition's letters in doubt: nobody knows whether their relay took them, so you decide.

    Look at the relay's log for their Message-IDs first: campaign deliveries export EDITION doubts.csv --state in_doubt
    """
    from campaign.actions import resolving

    wanted = one_of(decision, resolving.As)
    if wanted is None:
        return
    doubts = with_kit(lambda kit: resolving.in_doubt(kit, edition_key(key)))
    if doubts:
        confirm(f"Settle {count(doubts, 'letter')} in doubt as {wanted.value}?", yes=yes)
    done = with_kit(lambda kit: resolving.resolve(kit, edition_key(key), wanted))
    if json:
        as_json({"edition": done.edition.name, "as": wanted.value, "settled": done.settled, "in_doubt": done.left})
        return
    say(f"Settled {count(done.settled, 'letter')} of {done.edition.name}." if done.settled else "Nothing was in doubt.")
    if done.left:
        hint(
            f"{count(done.left, 'letter')} cannot be sent again: their time is over, or they had all their attempts. "
            "Settle them --as accepted or --as expire."
        )
