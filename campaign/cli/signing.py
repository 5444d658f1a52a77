"""The command about the keys that letters are signed with. It words; `actions.keymaking` does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from campaign.cli.output import as_json, hint, say, warn
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.actions.keymaking import Published


def dkim(
    *,
    algorithm: Annotated[str, typer.Option(help="rsa, which every receiver reads, or ed25519.")] = "rsa",
    selector: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The key's name in the DNS. Default: campaign, year and month."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Make none; show the record of the key in use.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Make a key to sign letters with (DKIM): a file in the home, two lines for .env, and a record for your DNS.

    Nothing is signed before the two lines are in .env. A key file that is there stays as it is.
    """
    from campaign.actions import keymaking

    if show:
        found = with_kit(keymaking.in_use, "sender")
        if json:
            as_json([one.row() for one in found])
        else:
            for one in found:
                _say_record(one)
        return
    made = with_kit(lambda kit: keymaking.make(kit, algorithm, selector), "sender")
    if json:
        as_json(made.row())
        return
    say(f"Made {made.file}. Keep a copy of it, as of the other keys.\n")
    say("For .env:")
    say("".join(f"  {line}\n" for line in made.lines))
    _say_record(made)
    hint("First publish the record. When it is there, add the two lines and start the daemon again. What you send")
    hint("yourself then (campaign test SLUG --to ADDRESS) says dkim=pass in its Authentication-Results.")


def _say_record(one: Published) -> None:
    row = one.row()
    say(f"For your DNS ({row['algorithm']}, {row['bits']} bits), as a TXT record:")
    say(f"  name   {row['record']['name']}")
    say(f"  value  {row['record']['text']}\n")
    say("The same in a zone file:")
    for line in row["record"]["zone"].splitlines():
        say(f"  {line}")
    if row["algorithm"] != "rsa":
        warn("Several large receivers cannot read ed25519 signatures: let an rsa key sign beside it (docs/dkim.md).")
