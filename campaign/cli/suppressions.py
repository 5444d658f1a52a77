"""Commands about suppressions. They word questions and answers; `actions.blocking` does the work."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from campaign.cli.output import as_json, confirm, hint, progress, say
from campaign.cli.running import with_kit
from campaign.cli.streams import write_json, write_table
from campaign.domain.consent import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from campaign.actions.kit import Kit

suppressions_app = typer.Typer(help="Say who must never be mailed: addresses and whole domains.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Targets = Annotated[list[str], typer.Argument(help="Addresses, or @example.org for a domain.", metavar="ADDRESS...")]


@suppressions_app.command("add")
def add(
    targets: Targets,
    *,
    reason: Annotated[Reason, typer.Option(help="Why. A domain is always blocked.")] = Reason.BLOCKED,
    yes: Yes = False,
) -> None:
    """Never mail these again, whatever list they are on or come to. @example.org means exactly that domain."""
    from campaign.actions import blocking
    from campaign.domain.suppressing import parse_target

    found = [parse_target(text) for text in targets]
    confirm(f"Never mail {', '.join(map(str, found))} again?", yes=yes)

    async def each(kit: Kit) -> list[bool]:
        return [await blocking.add(kit, target, reason) for target in found]

    for target, made in zip(found, with_kit(each), strict=True):
        say(f"{target} will never be mailed." if made else f"{target} was suppressed before.")


@suppressions_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or text: another system's export, or one address a line.")],
    *,
    reason: Annotated[Reason, typer.Option(help="For rows that name no reason.")] = Reason.LEFT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and write nothing.")] = False,
    json: Json = False,
) -> None:
    """Bring in who must not be mailed, best before the first send. The same file again changes nothing.

    The columns of the usual systems are recognised: the address, and why (bounce, complaint, unsubscribe, block).
    """
    from campaign.actions import blocking

    with progress("Suppressing") as tell:
        done = with_kit(lambda kit: blocking.bring_in(kit, file, reason, dry_run=dry_run, progress=tell))
    row: dict[str, Any] = {"rows": done.rows, "added": done.added, "unchanged": done.unchanged}
    row |= {"refused": done.refused, "reasons": done.reasons}
    if json:
        as_json(row)
        return
    for one in done.shown:
        say(f"line {one.line}: {one.reason}")
    if done.refused > len(done.shown):
        say("…")
    why = ", ".join(f"{count:,} {name}" for name, count in done.reasons.items())
    said = "Nothing was written." if dry_run else f"{done.added:,} suppressed, {done.unchanged:,} were so before."
    say(f"{done.rows:,} rows ({why or 'no address'}), {done.refused:,} refused. {said}")


@suppressions_app.command("list")
def list_(*, json: Json = False) -> None:
    """List suppressions. Of a mailbox only a keyed hash is kept, whose beginning is shown: see `check`."""
    columns = ("kind", "what", "reason", "since", "recorded_by")
    if json:
        with_kit(lambda kit: write_json(_rows(kit)))
        return
    with_kit(lambda kit: write_table(columns, _rows(kit), empty="Nobody is suppressed."))


async def _rows(kit: Kit) -> AsyncGenerator[Mapping[str, Any], None]:
    from campaign.actions import blocking

    async for entry in blocking.every(kit):
        yield asdict(entry)


@suppressions_app.command("check")
def check(addresses: Targets, *, json: Json = False) -> None:
    """Say whether these addresses are suppressed, and why. The exit status is 1 when one of them is."""
    from campaign.actions import blocking

    found = with_kit(lambda kit: blocking.check(kit, addresses))
    rows = [{"address": who, "suppressed": one is not None, **(asdict(one) if one else {})} for who, one in found]
    if json:
        as_json(rows)
    for who, one in [] if json else found:
        if one is None:
            say(f"{who} may be mailed.")
            continue
        scope = f" with all of @{one.domain}" if one.domain else ""
        say(f"{who} is suppressed{scope}: {one.reason.value}, since {one.since:%Y-%m-%d}, by {one.recorded_by}.")
    if any(one is not None for _, one in found):
        raise typer.Exit(1)


@suppressions_app.command("remove")
def remove(
    target: Annotated[str, typer.Argument(help="An address, or @example.org.", metavar="ADDRESS")],
    *,
    because: Annotated[str, typer.Option(help="Who asked for it, when and how: needed after a complaint.")] = "",
    yes: Yes = False,
) -> None:
    """Take a suppression away. Nobody is put on a list by it, and who left a list has left it."""
    from campaign.actions import blocking

    confirm(f"Let {target} be mailed again where it is on a list?", yes=yes)
    was = with_kit(lambda kit: blocking.remove(kit, target, because))
    say(f"{target} is no longer suppressed (it was {was.value}).")
    hint("It is in the audit log.")
