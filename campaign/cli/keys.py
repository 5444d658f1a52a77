"""Commands about keys. They word questions and answers; `actions.resealing` and `settings.rotating` do the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from campaign.cli.output import as_json, confirm, hint, progress, say, table
from campaign.cli.running import settings_here, with_kit

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from campaign.actions.kit import Kit

T = TypeVar("T")

keys_app = typer.Typer(help="Check what is sealed, and put it under a fresh key.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@keys_app.command("check")
def check(*, json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """Open every seal, and say how many lie under which key. The exit status is 1 when one cannot be opened."""
    from campaign.actions import resealing

    with progress("Opening seals") as tell:
        ring, found = with_kit(lambda kit: _with_ring(kit, resealing.check(kit, tell)))
    rows = [{"column": one.name, "keys": one.keys, "broken": one.broken} for one in found]
    if json:
        as_json({"newest": ring[0], "keys": ring, "columns": rows})
    else:
        say(f"Newest key: {ring[0]}" + (f"; older: {', '.join(ring[1:])}" if ring[1:] else ""))
        cells = [
            (one.name, ", ".join(f"{count:,} under {key}" for key, count in one.keys.items()), one.broken)
            for one in found
        ]
        table(("sealed", "values", "cannot be opened"), cells)
    if any(one.broken for one in found):
        raise typer.Exit(1)


@keys_app.command("rotate")
def rotate(
    *,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Take the old keys out of .env, when nothing lies under them.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Make a fresh seal key, and put everything that is sealed under it. Ctrl-C loses nothing: run it again.

    A daemon that runs knows the old key only, so stop it first. The old key stays in .env until --drop-old; backups
    made before still need it. The keys of links and of suppressions are others, and stay.
    """
    from campaign.actions import resealing
    from campaign.settings import rotating

    env = settings_here().home / ".env"
    if drop_old:
        _drop_old(yes=yes)
        return
    confirm("Is the daemon stopped, and is there a copy of .env?", yes=yes)
    ring, moved = with_kit(lambda kit: _with_ring(kit, _unfinished(kit)))
    if moved:
        hint("Going on with the key that was made before.")
    else:
        rotating.add_seal_key(env, _fresh())
        say(f"Wrote a fresh key into {env}. Keep a copy of it, as of the others.")
    with progress("Sealing anew") as tell:
        ring, done = with_kit(lambda kit: _with_ring(kit, resealing.reseal(kit, tell)))
    say(f"{done:,} seals are under the key {ring[0]} now.")
    hint("Start the daemon again. When no backup needs the old key: campaign keys rotate --drop-old")


def _drop_old(*, yes: bool) -> None:
    from campaign.actions import resealing
    from campaign.domain.errors import Conflict
    from campaign.settings import rotating

    with progress("Opening seals") as tell:
        ring, found = with_kit(lambda kit: _with_ring(kit, resealing.check(kit, tell)))
    if any(key != ring[0] for one in found for key in one.keys):
        raise Conflict("Something still lies under an old key.", remedy="Run: campaign keys rotate")
    if len(ring) == 1:
        say("There is no old key.")
        return
    confirm("Take the old keys out of .env? Backups made before the rotation cannot be opened without them.", yes=yes)
    say(f"Took {rotating.keep_newest_seal_key(settings_here().home / '.env')} out.")


async def _with_ring(kit: Kit, work: Awaitable[T]) -> tuple[tuple[str, ...], T]:
    """Return the ids of the keys at hand beside what some work gives."""
    return kit.keys.ids, await work


async def _unfinished(kit: Kit) -> bool:
    """Whether a fresh key was made before, and something still lies under an older one."""
    from campaign.actions import resealing

    older = set(kit.keys.ids[1:])
    return bool(older) and any(older & one.keys.keys() for one in await resealing.check(kit))


def _fresh() -> str:
    from campaign.clock import SystemClock
    from campaign.keys import fresh_key

    return fresh_key(SystemClock())
