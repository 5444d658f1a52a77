"""The command that shows everything once: a throw-away home, a mail catcher for a relay, and the real daemon.

It touches no home but its own, and no letter leaves this machine.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import tempfile
from contextlib import AsyncExitStack, closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign.assets import asset
from campaign.cli import operations, story
from campaign.cli.daemon import run_loop
from campaign.cli.running import home_asked, operator, settings_here, use_home
from campaign.domain.errors import BadInput

if TYPE_CHECKING:
    from campaign.actions.kit import Kit
    from campaign.clock import TravelClock
    from campaign.runtime.catcher import Catcher
    from campaign.runtime.daemon import Bell
    from campaign.store.editions import Edition

demo_app = typer.Typer()

_LOG: Final = "daemon.log"
_LETTERS: Final = "letters"
_FIRST_STEP: Final = timedelta(days=32)
"""Thirty days before, and two days to look at the plan."""

_ROOM: Final = timedelta(days=2)
_TWO_YEARS: Final = timedelta(days=800)
_REVIEWED: Final = timedelta(days=60)


@demo_app.callback()
def _demo() -> None:
    """Commands that stand at the top."""


@dataclass(slots=True)
class Stage:
    """Where the demo plays, and what stays of it."""

    home: Path
    keep: bool
    serve: bool
    done: bool = False
    """Whether the story came to its end."""

    @property
    def letters(self) -> Path:
        """The folder with the caught letters, which stays."""
        return self.home / _LETTERS


@demo_app.command("demo")
def demo(
    *,
    serve: Annotated[bool, typer.Option("--serve", help="Then keep daemon, pages and letters until Ctrl-C.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the home, to look around in it.")] = False,
) -> None:
    """Show everything once: a campaign goes out from an empty folder to a mail catcher on this machine.

    The home is thrown away at the end and the letters stay, unless you name a folder with --home, or say --keep.
    """
    _forget_settings()
    stage = _stage(keep=keep, serve=serve)
    use_home(stage.home)
    try:
        story.open_with(stage.home)
        _make_home()
        run_loop(lambda stopping: _play(stage, stopping))
    except Exception:
        story.say_where(stage.home, stage.home / _LOG)
        raise
    except KeyboardInterrupt:
        _throw_away(stage)
        raise
    _throw_away(stage)
    if not stage.done:
        raise KeyboardInterrupt
    story.say_what_stays(None if stage.keep else stage.letters, stage.home)
    if not serve:
        story.close_with_next()


def _forget_settings() -> None:
    """Forget the settings of the reader's own installation: the demo must not meet its database or its relay."""
    for name in [name for name in os.environ if name.startswith("CAMPAIGN_") and name != "CAMPAIGN_DEBUG"]:
        del os.environ[name]


def _stage(*, keep: bool, serve: bool) -> Stage:
    asked = home_asked()
    if asked is None:
        return Stage(Path(tempfile.mkdtemp(prefix="campaign-demo-")), keep, serve)
    home = asked.expanduser().absolute()
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        msg = f"{home} is not an empty folder."
        raise BadInput(msg, remedy="The demo makes a home of its own: name an empty or a new folder, or none.")
    return Stage(home, keep=True, serve=serve)


def _make_home() -> None:
    """Do what `campaign init` does, without its words; then add what only this demo knows."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        operations.init()


def _throw_away(stage: Stage) -> None:
    """Delete the home, but not the letters."""
    if stage.keep:
        return
    for path in stage.home.iterdir():
        if path == stage.letters and stage.done:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not stage.done:
        stage.home.rmdir()


async def _play(stage: Stage, stopping: asyncio.Event) -> None:
    """Open everything that the story needs, play it, and close everything again, whatever happens."""
    from campaign import bootstrap
    from campaign.clock import TravelClock
    from campaign.logs import set_up_logs
    from campaign.runtime.catcher import Catcher
    from campaign.runtime.daemon import Bell

    catcher, bell, clock = Catcher(stage.letters), Bell(), TravelClock()
    async with AsyncExitStack() as stack:
        log = stack.enter_context((stage.home / _LOG).open("w", encoding="utf-8"))
        set_up_logs("console", "info", log)
        stack.callback(set_up_logs)
        await catcher.start()
        stack.push_async_callback(catcher.stop)
        door = stack.enter_context(closing(_door())) if stage.serve else None
        _add_settings(stage, catcher, door)
        parts = bootstrap.Parts(clock=clock, doorbell=bell)
        kit = await stack.enter_async_context(bootstrap.kit(settings_here(), operator=operator(), parts=parts))
        day = await _choose_day(kit, clock)
        await _review(kit, day)
        await story.show_home(kit)
        await story.bring_people(kit)
        slug = await story.plan_campaign(kit, day)
        edition = await story.approve(kit, slug)
        await _send(stage, _Tools(kit, clock, bell, catcher, door), edition, stopping)


async def _choose_day(kit: Kit, clock: TravelClock) -> date:
    """Choose the World Day that is campaigned for.

    Where its first step is over already, the clock goes on to the days after it, and the year after that is chosen.
    """
    from campaign.actions import publishing

    today = clock.now().date()
    key_date = await publishing.key_date(kit, story.KEY_DATE)
    day, following, *_ = [one.start for one in key_date.occurrences(today, today + _TWO_YEARS)]
    if day - _FIRST_STEP > today:
        return day
    clock.travel_to(clock.now() + (day + _ROOM - today))
    return following


async def _review(kit: Kit, day: date) -> None:
    """Count articles and helplines as reviewed: a demo of shipped facts must not fail because they got old."""
    from campaign.actions import publishing, reading
    from campaign.store.content import Filter

    good = (day + _REVIEWED).isoformat()
    for one in await publishing.articles(kit, Filter()):
        if one.review_on is not None and one.review_on.isoformat() < good:
            fields = {"review_on": good}
            await publishing.edit_article(kit, one.slug, one.language, partial(reading.rewritten, fields=fields))
    shipped = asset("config/helplines.toml").read_text(encoding="utf-8")
    own = kit.settings.home / "config" / "helplines.toml"
    own.parent.mkdir(exist_ok=True)
    own.write_text(re.sub(r"(?m)^review_on = .*$", f"review_on = {good}", shipped), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Tools:
    """What the chapter needs in which the daemon runs."""

    kit: Kit
    clock: TravelClock
    bell: Bell
    catcher: Catcher
    door: socket | None


async def _send(stage: Stage, tools: _Tools, edition: Edition, stopping: asyncio.Event) -> None:
    """Run the daemon, let its clock travel until the edition is sent, tell what became of it; stay when asked to."""
    from campaign.runtime.daemon import Daemon, Service
    from campaign.runtime.travel import Journey

    journey = Journey(tools.kit, tools.clock, edition.id, await story.watch_the_clock(tools.kit, edition))

    async def travel(stopped: asyncio.Event) -> None:
        sent = await journey.run(stopped)
        if sent is not None:
            await story.show_ledger(tools.kit, sent, tools.catcher)
            leave = story.show_letter(tools.catcher.letters, stage.letters)
            stage.done = True
            if stage.serve:
                story.close_with_pages(sent.campaign, stage.home, tools.catcher.index, leave)
            else:
                stopped.set()

    services: list[Service] = [travel]
    if tools.door is not None:
        from campaign.runtime.serving import pages
        from campaign.web.app import create_app

        services.append(pages(create_app(tools.kit), tools.door))
    await Daemon(tools.kit, tools.bell, stopping, services).run()


def _door() -> socket:
    from campaign.runtime.serving import listen

    return listen("127.0.0.1", 0)


def _add_settings(stage: Stage, catcher: Catcher, door: socket | None) -> None:
    """Add to `.env` what sending needs: the mail catcher is the relay, and the pages have a port of their own."""
    port = door.getsockname()[1] if door is not None else 8000
    lines = {
        "SENDER": "Example Campaign <letters@example.org>",
        "ORGANISATION": "Example Campaign",
        "POSTAL_ADDRESS": "Example Campaign, 1 Example Street, 12345 Example Town",
        "BASE_URL": f"http://127.0.0.1:{port}",
        "LISTEN": f"127.0.0.1:{port}",
        "SMTP_URL": catcher.url,
        "GRACE_SECONDS": "5",
    }
    with (stage.home / ".env").open("a", encoding="utf-8") as env:
        env.write("\n# The demo's own\n")
        env.writelines(f'CAMPAIGN_{name}="{value}"\n' for name, value in lines.items())
