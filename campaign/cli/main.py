"""The front door of the command line: where each command lives, and how errors end. It never does the work itself.

Commands are loaded when they are called, so that `campaign --help` and a mistyped word answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from campaign import __version__
from campaign.cli.output import one_line, show_error
from campaign.cli.running import use_command, use_home
from campaign.domain.errors import BadInput, CampaignError

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_SETTING_UP: Final = "Set up and run"
_CONTENT: Final = "Content"
_PEOPLE: Final = "People"
_CAMPAIGNS: Final = "Campaigns"
_SENDING: Final = "Sending"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command lives: a module of this floor, a Typer app in it, and its one line in the overview.

    An app that is called like its module's noun is a group (`articles list`); an app in `bare` lends single commands.
    """

    module: str
    app: str
    panel: str
    help: str
    bare: bool = False


def _bare(module: str, app: str, panel: str, help_line: str) -> Place:
    return Place(module, app, panel, help_line, bare=True)


PLACES: Final[dict[str, Place]] = {
    "init": _bare(
        "operations", "operations_app", _SETTING_UP, "Make this folder a home: settings, keys, database, articles."
    ),
    "demo": _bare("demo", "demo_app", _SETTING_UP, "Show everything once, with a throw-away home and no real mail."),
    "db": Place("operations", "db_app", _SETTING_UP, "Upgrade and check the database."),
    "doctor": _bare(
        "doctor", "doctor_app", _SETTING_UP, "Look at settings, keys, database, relay and DNS; say what to mend."
    ),
    "operators": Place("operators", "operators_app", _SETTING_UP, "Say who may do what at this command line."),
    "keys": Place("keys", "keys_app", _SETTING_UP, "Check what is sealed, and put it under a fresh key."),
    "audit": _bare("operators", "audit_app", _SETTING_UP, "Show who did what, before and after."),
    "run": _bare("daemon", "daemon_app", _SETTING_UP, "Run the daemon: plans, sends, and serves the pages."),
    "articles": Place("content", "articles_app", _CONTENT, "Import, find and edit articles."),
    "keydates": Place("keydates", "keydates_app", _CONTENT, "See the key dates that campaigns stand around."),
    "lists": Place("lists", "lists_app", _PEOPLE, "Make and edit lists."),
    "attributes": Place("attributes", "attributes_app", _PEOPLE, "Declare what else is known about people."),
    "consents": Place("consents", "consents_app", _PEOPLE, "Show how somebody came to be mailed."),
    "segments": Place("segments", "segments_app", _PEOPLE, "Save rules about people as live audiences."),
    "imports": Place("imports", "imports_app", _PEOPLE, "See imports; go on with one, or take it back."),
    "suppressions": Place("suppressions", "suppressions_app", _PEOPLE, "Say who must never be mailed."),
    "subscribers": Place("people", "subscribers_app", _PEOPLE, "Import, find, suppress and erase subscribers."),
    "new": _bare(
        "campaigns", "campaigns_app", _CAMPAIGNS, "Make a campaign around a key date, a recurrence or a date."
    ),
    "show": _bare("campaigns", "campaigns_app", _CAMPAIGNS, "Show a campaign."),
    "edit": _bare("campaigns", "campaigns_app", _CAMPAIGNS, "Change a campaign."),
    "plan": _bare("plans", "plans_app", _CAMPAIGNS, "Show every edition to come, with local times."),
    "preview": _bare("letters", "letters_app", _CAMPAIGNS, "Show the letter as a subscriber would get it."),
    "test": _bare("letters", "letters_app", _CAMPAIGNS, "Send the letter to your own address."),
    "approve": _bare("letters", "letters_app", _CAMPAIGNS, "Check a campaign and let it send."),
    "status": _bare("progress", "progress_app", _SENDING, "Show how far campaigns and editions are."),
    "alerts": Place("alerts", "alerts_app", _SENDING, "See what needs you, and say that it is mended."),
    "send": _bare("editions", "sending_app", _SENDING, "Send an extra edition now."),
    "pause": _bare("editions", "sending_app", _SENDING, "Hold a campaign or an edition."),
    "resume": _bare("editions", "sending_app", _SENDING, "Let it go on."),
    "brake": Place("brakes", "brake_app", _SENDING, "Hold everything now, service letters too; let it go on."),
    "cancel": _bare("editions", "sending_app", _SENDING, "End a campaign or an edition for good."),
    "editions": Place("editions", "editions_app", _SENDING, "List editions; send or skip a missed one."),
    "relays": Place("relays", "relays_app", _SENDING, "See the relays, hold one, try one; make keys to sign with."),
    "deliveries": Place("deliveries", "deliveries_app", _SENDING, "List letters; settle those in doubt."),
}
"""Every command, in the order of the overview."""


class FrontDoor(TyperGroup):
    """A group that lists its commands without loading them."""

    def __init__(self, **attributes: Any) -> None:
        """Put a signpost where each command will be."""
        super().__init__(**attributes)
        for name, place in PLACES.items():
            self.commands[name] = TyperCommand(name, help=place.help, rich_help_panel=place.panel)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--home DIR` wherever it stands, as in `campaign lists list --home DIR`."""
        return super().parse_args(ctx, _home_first(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Load the command that is called."""
        if args and args[0] in PLACES:
            self.commands[args[0]] = _load(args[0])
            use_command(args[0], "" if PLACES[args[0]].bare or len(args) == 1 else args[1])
        return super().resolve_command(ctx, args)


def _load(name: str) -> Any:
    """Give the real command."""
    place = PLACES[name]
    app = getattr(import_module(f"campaign.cli.{place.module}"), place.app)
    group = typer.main.get_group(app)
    command = group.commands[name] if place.bare else group
    command.name = name
    return command


def _home_first(args: Sequence[str]) -> list[str]:
    """Move `--home DIR` and `--home=DIR` to the front; what follows `--` is left alone."""
    end = args.index("--") if "--" in args else len(args)
    found: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word == "--home":
            found += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith("--home="):
            found.append(word)
        else:
            rest.append(word)
    return [*found, *rest, *args[end:]]


app = typer.Typer(
    cls=FrontDoor,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"campaign {__version__}")
        raise typer.Exit


@app.callback()
def front(
    home: Annotated[
        Path | None,
        typer.Option(help="The folder with .env and the database. Default: CAMPAIGN_HOME, else the current folder."),
    ] = None,
    version: Annotated[  # noqa: ARG001 -- its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Plan, render and send awareness campaigns around key dates, and prove who got which letter.

    Start with: campaign demo, or campaign init in an empty folder.
    """
    use_home(home)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status: 0 done, 1 failed, 2 not understood, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a name must not end a command
    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="campaign")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _nobody_reads()
    except CampaignError as error:
        show_error(error)
        return USAGE if isinstance(error, BadInput) else FAILED
    except Exception as error:  # noqa: BLE001 -- the last line before the terminal
        return _fault(error)
    return 0


def _nobody_reads() -> int:
    """End quietly when the reader of our output ended first, as `head` does; Python must not write to it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _fault(error: Exception) -> int:
    """Tell what nobody foresaw, without a traceback, which could hold somebody's address."""
    if os.environ.get("CAMPAIGN_DEBUG") == "1":
        raise error
    from campaign.logs import masked

    words = one_line(masked(str(error).partition("\n")[0]))
    known = isinstance(error, OSError)
    show_error(
        CampaignError(
            words if known else f"Campaign met a fault of its own. {type(error).__name__}: {words}",
            remedy="" if known else "Run it again with CAMPAIGN_DEBUG=1 to see where, and please report it.",
        )
    )
    return FAILED
