"""Follows editions while they go out: in place on a terminal, a line for each change in a pipe, or JSON lines.

It counts nothing itself, and what relays said reaches the terminal on one harmless line.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import typer

from campaign.actions import alerting
from campaign.actions.watching import Flow, Look, Wait, Watch, Why
from campaign.cli.alerts import warn_of
from campaign.cli.editions import say_counts
from campaign.cli.output import console, hint, json_text, one_line, say, warn
from campaign.cli.phrases import count, in_words, when_utc
from campaign.cli.progress import TO_COME
from campaign.domain.editions import EditionState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from campaign.actions.kit import Kit
    from campaign.actions.reporting import Count

_EVERY: Final = 0.5
"""Seconds between two looks."""

_SHARE: Final = 9
"""A look that takes long is followed by so many times as long a rest: watching must not cost what it watches."""

_LONGEST: Final = 5.0
"""The longest rest: two looks must fall into the ten seconds over which the rate is taken."""

_SOON: Final = 60.0
"""What starts within so many seconds is waited for, too."""

_EDITIONS: Final = 8
_DOMAINS: Final = 10
_REASONS: Final = 10
_BELOW: Final = 3
"""Lines that stand beneath everything else on a screen: the last one, the cursor's, and one to spare."""
_KEEPING: Final = frozenset(
    {Why.NO_DAEMON, Why.BRAKED, Why.RELAY_PAUSED, Why.RESTING, Why.USED_UP, Why.DOMAIN_PAUSED, Why.SLOWED, Why.PAUSED}
)
"""What somebody may have to do something about."""


async def watch(kit: Kit, target: str | None, *, json: bool) -> None:
    """Show the editions at work until none is."""
    watched = Watch(kit, target)
    first = await watched.look()
    looks = _looks(watched, first)
    if json:
        await _write(looks)
        return
    if not _at_work(first):
        _say_idle(first)
        return
    followed = {one.edition.id for one in _at_work(first)}
    last = await (_live if console().is_terminal else _follow)(first, looks, followed)
    say_counts([one for one in last.counts if one.edition.id in followed], empty="")
    for wait in last.waits:
        if wait.why in {Why.RELAY_PAUSED, Why.RESTING, Why.USED_UP}:
            warn(f"{wait_words(wait)}.")
    warn_of(await alerting.told(kit))


async def _looks(watched: Watch, first: Look) -> AsyncIterator[Look]:
    """Look again and again, until nothing is at work: that is the last look."""
    found, took, clock = first, 0.0, watched.kit.clock
    yield found
    while _at_work(found):
        await asyncio.sleep(min(max(_EVERY, _SHARE * took), _LONGEST))
        began = clock.monotonic()
        found = await watched.look()
        took = clock.monotonic() - began
        yield found


def _at_work(found: Look) -> list[Count]:
    """Return the editions that are being prepared or sent, or are about to be."""
    return [one for one in found.counts if _is_at_work(one, found)]


def _is_at_work(one: Count, found: Look) -> bool:
    edition, now = one.edition, found.now
    soon = (edition.starts_at - now).total_seconds() <= _SOON and now <= edition.latest_start
    waits = edition.state is EditionState.PLANNED and soon and not edition.note
    ready = edition.state is EditionState.READY and soon
    return waits or ready or edition.state in {EditionState.FREEZING, EditionState.SENDING}


def _say_idle(found: Look) -> None:
    coming = [one.edition for one in found.counts if one.edition.state in TO_COME and one.edition.starts_at > found.now]
    say("Nothing is being sent.")
    if coming:
        first = min(coming, key=lambda edition: edition.starts_at)
        hint(f"Next: {first.name}, {in_words(first.starts_at - found.now)} ({when_utc(first.starts_at)}).")


async def _write(looks: AsyncIterator[Look]) -> None:
    """Write a line of JSON for each look that shows something else than the one before."""
    told: dict[str, Any] = {}
    async for found in looks:
        row = found.row()
        if {**row, "at": None} != told:
            typer.echo(json_text(row))
            sys.stdout.flush()
            told = {**row, "at": None}


async def _follow(first: Look, looks: AsyncIterator[Look], followed: set[int]) -> Look:
    """Say what changes, a line each: how far an edition is, and what keeps it."""
    told: dict[object, str] = {}
    last = first
    async for last in looks:
        for key, line in _lines(last, followed):
            if told.get(key) != line:
                told[key] = line
                say(line)
    return last


def _lines(found: Look, followed: set[int]) -> Iterator[tuple[object, str]]:
    speed = speed_words(found)
    for one in found.counts:
        if one.edition.id in followed:
            moving = one.edition.state is EditionState.SENDING and one.live
            yield one.edition.id, _line(one) + (f"; {speed}" if moving and speed else "")
    for wait in found.waits:
        if wait.why in _KEEPING | {Why.LATER, Why.NOT_DUE, Why.IN_DOUBT}:
            yield (wait.why, wait.who), wait_words(wait)


def _line(one: Count) -> str:
    done = one.total - one.live
    return f"{one.edition.name}: {one.edition.state.value}, {done:,} of {count(one.total, 'letter')} done"


def speed_words(found: Look) -> str:
    """Give how fast letters are accepted, and how long the rest takes at that rate."""
    if not found.rate:
        return ""
    left = f", {_about(found.left)} left" if found.left else ""
    return f"{_rate(found.rate)} letters a second{left}"


def wait_words(wait: Wait) -> str:
    """Give one reason for which letters wait, in words; a relay's are made harmless."""
    who, words = one_line(wait.who), one_line(wait.words)
    return _SENTENCES[wait.why].format(
        letters=f"{wait.letters or 0:,}",
        who=who,
        reason=f" ({who})" if who else "",
        until=when_utc(wait.until) if wait.until else "it is resumed",
        words=words,
        said=f": {words}" if words else "",
    )


_SENTENCES: Final[Mapping[Why, str]] = {
    Why.NO_DAEMON: "No daemon is running, so nothing is sent. Start one: campaign run",
    Why.BRAKED: "{who} pulled the brake{said}. To go on: campaign brake off",
    Why.RELAY_PAUSED: "The relay {who} is paused by {words}. To go on: campaign relays resume {who}",
    Why.RESTING: "The relay {who} rests until {until}{said}",
    Why.USED_UP: "The relay {who} has used up its limits until {until}",
    Why.DOMAIN_PAUSED: "Nothing goes to {who} until {until}{said}",
    Why.SLOWED: "No more goes to {who} than {words}",
    Why.PAUSED: "{who} is paused with {letters} waiting",
    Why.NOT_DUE: "{letters} not due yet, the next at {until}",
    Why.LATER: "{letters} to be tried again{reason}, the first at {until}{said}",
    Why.NEXT: "{letters} next in turn",
    Why.IN_HAND: "{letters} in hand",
    Why.IN_DOUBT: "{letters} in doubt",
}


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"  # noqa: PLR2004 -- ten


def _about(left: timedelta) -> str:
    seconds = round(left.total_seconds())
    if seconds < 90:  # noqa: PLR2004 -- a minute and a half
        return count(max(seconds, 1), "second")
    minutes = round(seconds / 60)
    return count(minutes, "minute") if minutes < 120 else f"{count(round(minutes / 60), 'hour')}"  # noqa: PLR2004 -- two hours


async def _live(first: Look, looks: AsyncIterator[Look], followed: set[int]) -> Look:
    from rich.live import Live

    last, screen = first, console()
    with Live(console=screen, refresh_per_second=4, transient=True) as live:
        async for last in looks:
            followed.update(one.edition.id for one in _at_work(last))
            live.update(picture(last, followed, screen))
    return last


def picture(found: Look, followed: set[int], screen: Console) -> RenderableType:
    """Draw a bar for each edition with the states of its letters, the speed, the domains, and what waits and why."""
    from rich.console import Group
    from rich.text import Text

    shown = [one for one in found.counts if one.edition.id in followed][:_EDITIONS]
    waits = [Text(wait_words(one), style="yellow" if one.why in _KEEPING else "") for one in found.waits[:_REASONS]]
    waits += (
        [Text(f"and {count(more, 'more reason')}", style="dim")] if (more := len(found.waits) - _REASONS) > 0 else []
    )
    speed = [Text(one) for one in (speed_words(found), _relays(found.by_relay)) if one]
    room = screen.height - 2 * len(shown) - len(waits) - len(speed) - _BELOW
    parts = [_bars(shown), *speed, *_domains(found.by_domain, min(room - 2, _DOMAINS)), *waits]
    return Group(*parts, Text("Ctrl-C stops watching; the daemon goes on.", style="dim"))


def _bars(shown: Sequence[Count]) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for one in shown:
        done = one.total - one.live
        states = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in sorted(one.by_state.items()))
        bar = ProgressBar(total=max(one.total, 1), completed=done, width=30)
        grid.add_row(Text(one.edition.name), Text(one.edition.state.value), bar, Text(states))
    return grid


def _relays(flows: Sequence[Flow]) -> str:
    """Name the relays that letters go by, where there are several."""
    several = [f"{one_line(one.name)} {_rate(one.rate)}/s" for one in flows]
    return f"by {', '.join(several)}" if len(several) > 1 else ""


def _domains(flows: Sequence[Flow], most: int) -> list[RenderableType]:
    """Draw the domains for which most letters wait, as many as there is room for."""
    from rich.table import Table
    from rich.text import Text

    if most < 1 or not flows:
        return []
    grid = Table.grid(padding=(0, 2))
    for name in ("domain", "waiting", "a second"):
        grid.add_column(justify="left" if name == "domain" else "right")
    grid.add_row(*(Text(name, style="dim") for name in ("domain", "waiting", "a second")))
    for one in flows[:most]:
        grid.add_row(Text(one_line(one.name)), Text(f"{one.waiting:,}"), Text(_rate(one.rate)))
    more = [Text(f"and {count(len(flows) - most, 'more domain')}", style="dim")] if len(flows) > most else []
    return [grid, *more]
