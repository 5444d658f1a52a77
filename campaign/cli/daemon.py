"""The command that runs the daemon. It only joins what there is: ticks, pages, signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.output import hint, warn
from campaign.cli.running import settings_here

if TYPE_CHECKING:
    from campaign.runtime.daemon import Service
    from campaign.settings import Settings

daemon_app = typer.Typer()

NEEDED: Final = ("secret_keys", "suppression_key", "seal_keys", "sender", "smtp_url", "base_url", "postal_address")
"""What nobody can send without."""


@daemon_app.callback()
def _daemon() -> None:
    """Commands that stand at the top."""


@daemon_app.command("run")
def run(
    *,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when nothing is being sent and nothing is due within a minute.")
    ] = False,
    no_web: Annotated[bool, typer.Option("--no-web", help="Send only: serve no pages. Another daemon must.")] = False,
) -> None:
    """Run the daemon in the foreground: it plans, sends what is due, and serves the pages on CAMPAIGN_LISTEN.

    It logs to standard error. Ctrl-C (or SIGTERM) lets it finish what is on the wire; a second one ends it at once, and
    letters whose answer is awaited then stay in doubt. Several daemons may share one database.
    """
    settings = settings_here()
    settings.require(*NEEDED)
    for warning in settings.warnings:
        warn(warning)

    from campaign.logs import set_up_logs

    set_up_logs(settings.log_format, settings.log_level)
    with ExitStack() as stack:
        door = None
        if not no_web:
            from campaign.runtime.serving import listen

            door = stack.enter_context(closing(listen(settings.listen.host, settings.listen.port)))
        run_loop(lambda stopping: _work(settings, stopping, door, until_idle=until_idle))


async def _work(settings: Settings, stopping: asyncio.Event, door: Any, *, until_idle: bool) -> None:
    """Open the kit, look whether it may work on this database, and work."""
    from campaign import bootstrap
    from campaign.actions import guarding, journaling
    from campaign.runtime.daemon import Bell, Daemon

    bell = Bell()
    async with bootstrap.kit(settings, operator="daemon", parts=bootstrap.Parts(doorbell=bell)) as kit:
        await guarding.check_keys(kit)
        await journaling.replay(kit)
        services: list[Service] = []
        if door is not None:
            from campaign.runtime.serving import pages
            from campaign.web.app import create_app

            services.append(pages(create_app(kit), door))
        await Daemon(kit, bell, stopping, services).run(until_idle=until_idle)


def run_loop(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `work` on the fastest event loop there is, with an event that the first Ctrl-C or SIGTERM sets."""

    async def watched() -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        task = asyncio.current_task()

        def told() -> None:
            if stopping.is_set() and task is not None:
                task.cancel()
                return
            hint("Stopping when what is on the wire is done. Once more to stop at once.")
            stopping.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told)
        await work(stopping)

    with asyncio.Runner(loop_factory=_fastest()) as runner:
        try:
            runner.run(watched())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _fastest() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's maker of loops where it is installed; None is Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
