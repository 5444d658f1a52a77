"""The command that holds everything, and lets it go on. `actions` decides what that means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from campaign.cli.output import as_json, hint, one_line, say, warn
from campaign.cli.phrases import when_utc
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.store.brakes import Brake

brake_app = typer.Typer(help="Hold everything now, service letters too; let it go on.", no_args_is_help=True)


@brake_app.command("on")
def pull(
    *, because: Annotated[str, typer.Option(metavar="WHY", help="Why, in a short line; status shows it.")] = ""
) -> None:
    """Hold every letter from this moment on: of editions, confirmations, alerts. None is lost, and none is charged."""
    from campaign.actions import braking

    brake, pulled = with_kit(lambda kit: braking.pull(kit, because))
    say("The brake is on: no letter leaves." if pulled else f"It was on before: {brake_words(brake)}")
    hint("To go on: campaign brake off")


@brake_app.command("off")
def release() -> None:
    """Let everything go on where it stood."""
    from campaign.actions import braking

    found = with_kit(braking.release)
    say("The brake is off: letters leave again." if found else "The brake was off.")


@brake_app.command("show")
def show(*, json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """Say whether the brake is on, since when, who pulled it and why."""
    from campaign.actions import braking

    found = with_kit(braking.look)
    if json:
        as_json({"on": found is not None, **brake_row(found)})
    elif found is None:
        say("The brake is off.")
    else:
        warn_of_brake(found)


def brake_words(brake: Brake) -> str:
    """Say in one line since when it is on, who pulled it and why."""
    why = f": {one_line(brake.because)}" if brake.because else "."
    return f"since {when_utc(brake.pulled_at)}, by {one_line(brake.pulled_by)}{why}"


def brake_row(brake: Brake | None) -> dict[str, object]:
    """Give the brake as a JSON row; nothing when it is off."""
    if brake is None:
        return {}
    return {"since": brake.pulled_at, "by": brake.pulled_by, "because": brake.because}


def warn_of_brake(brake: Brake | None) -> None:
    """Warn of a brake that is on, wherever somebody asks how far things are."""
    if brake is not None:
        warn(f"The brake is on, and no letter leaves, {brake_words(brake)}")
        hint("To go on: campaign brake off")
