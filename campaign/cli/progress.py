"""The command that shows how far everything is, once or until it is done. It counts nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.editions import say_counts
from campaign.cli.output import as_json, console, hint, one_line, say, table, warn
from campaign.cli.phrases import count, in_words, step_words, when_utc
from campaign.cli.running import with_kit
from campaign.domain.editions import AT_WORK, EditionState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from campaign.actions.kit import Kit
    from campaign.actions.reporting import Count, Overview
    from campaign.store.relays import Relay

progress_app = typer.Typer()

_EVERY: Final = 0.5
"""Seconds between two looks of `--watch`."""

_SOON: Final = 60.0
"""`--watch` also waits for what starts within so many seconds."""

_SHOWN: Final = 8
_TO_COME: Final = frozenset({EditionState.PLANNED, *AT_WORK})


@progress_app.callback()
def _progress() -> None:
    """Commands that stand at the top."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent look at editions and relays."""

    now: datetime
    counts: tuple[Count, ...]
    resting: tuple[Relay, ...]

    @property
    def at_work(self) -> tuple[Count, ...]:
        """The editions that are being prepared or sent, or are about to be."""
        return tuple(one for one in self.counts if self._is_at_work(one))

    def _is_at_work(self, one: Count) -> bool:
        edition = one.edition
        soon = (edition.starts_at - self.now).total_seconds() <= _SOON and self.now <= edition.latest_start
        waits = edition.state is EditionState.PLANNED and soon and not edition.note
        ready = edition.state is EditionState.READY and soon
        return waits or ready or edition.state in {EditionState.FREEZING, EditionState.SENDING}


@progress_app.command("status")
def status(
    target: Annotated[
        str | None, typer.Argument(metavar="[SLUG|EDITION]", help="A campaign, or an edition by id or name.")
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow until everything that is under way is sent.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")] = False,
) -> None:
    """Show how far campaigns and editions are, and which relays rest and why. Alone: all campaigns."""
    if watch:
        with suppress(KeyboardInterrupt):  # watching ends; what is watched goes on
            with_kit(lambda kit: _watch(kit, target))
        return
    if target is None:
        _say_everything(json=json)
        return
    found = with_kit(lambda kit: _snapshot(kit, target))
    if json:
        as_json({"editions": [one.row() for one in found.counts], "relays": _relay_rows(found.resting)})
        return
    say_counts(list(found.counts), empty="No editions yet. They are planned when the campaign is approved.")
    say_relays(found.resting)


async def _snapshot(kit: Kit, target: str | None) -> Snapshot:
    from campaign.actions import reporting

    counts = await reporting.counts(kit, target)
    return Snapshot(kit.clock.now(), tuple(counts), tuple(await reporting.resting_relays(kit)))


def say_relays(resting: Sequence[Relay]) -> None:
    """Warn of relays that rest, and say why and until when."""
    for relay in resting:
        until = when_utc(relay.paused_until) if relay.paused_until else "?"
        faults = count(relay.faults, "fault")
        warn(f"The relay {relay.name} rests until {until}, after {faults}: {one_line(relay.reason)}")


def _relay_rows(resting: Sequence[Relay]) -> list[dict[str, Any]]:
    return [{"relay": r.name, "resting_until": r.paused_until, "faults": r.faults, "why": r.reason} for r in resting]


def _say_everything(*, json: bool) -> None:
    """Show every campaign in a line: what is under way, what was sent, what comes next."""
    from campaign.actions import reporting

    async def gather(kit: Kit) -> tuple[datetime, list[Overview], list[Relay]]:
        return kit.clock.now(), await reporting.overview(kit), await reporting.resting_relays(kit)

    now, found, resting = with_kit(gather)
    if json:
        as_json({"campaigns": [_overview_row(one) for one in found], "relays": _relay_rows(resting)})
        return
    rows = [(one.campaign.slug, one.campaign.state.value, *_figures(one, now)) for one in found]
    columns = ("campaign", "state", "editions sent", "letters accepted", "waiting", "next")
    table(columns, rows, empty="No campaigns yet. Make one: campaign new --help")
    for count_ in (count_ for one in found for count_ in one.counts):
        if count_.edition.note and count_.edition.state not in {EditionState.SENT, EditionState.SKIPPED}:
            warn(f"{count_.edition.name}: {count_.edition.note}")
    say_relays(resting)


def _figures(one: Overview, now: datetime) -> tuple[object, ...]:
    sent = sum(c.edition.state is EditionState.SENT for c in one.counts)
    accepted = sum(c.by_state.get("accepted", 0) for c in one.counts)
    live = sum(c.live for c in one.counts)
    coming = [c.edition for c in one.counts if c.edition.state in _TO_COME and c.edition.latest_start >= now]
    if not coming:
        return sent, accepted, live, ""
    first = coming[0]
    when = "now" if first.starts_at <= now else in_words(first.starts_at - now)
    return sent, accepted, live, f"{step_words(first.step)}, {when}"


def _overview_row(one: Overview) -> dict[str, Any]:
    return {
        "campaign": one.campaign.slug,
        "state": one.campaign.state.value,
        "approved_by": one.approval and one.approval.approved_by,
        "approved_at": one.approval and one.approval.approved_at,
        "editions": [count_.row() for count_ in one.counts],
    }


async def _watch(kit: Kit, target: str | None) -> None:
    """Show the editions at work until none is; on a terminal in place, in a pipe a line for each change."""
    found = await _snapshot(kit, target)
    if not found.at_work:
        _say_idle(found)
        return
    followed = {one.edition.id for one in found.at_work}
    if not console().is_terminal:
        await _follow(kit, target, followed)
    else:
        await _live(kit, target, followed)
    last = await _snapshot(kit, target)
    say_counts([one for one in last.counts if one.edition.id in followed], empty="")
    say_relays(last.resting)


def _say_idle(found: Snapshot) -> None:
    coming = [
        one.edition for one in found.counts if one.edition.state in _TO_COME and one.edition.starts_at > found.now
    ]
    say("Nothing is being sent.")
    if coming:
        first = min(coming, key=lambda edition: edition.starts_at)
        hint(f"Next: {first.name}, {in_words(first.starts_at - found.now)} ({when_utc(first.starts_at)}).")


async def _follow(kit: Kit, target: str | None, followed: set[int]) -> None:
    told: dict[int, str] = {}
    while True:
        found = await _snapshot(kit, target)
        for one in found.counts:
            line = _line(one)
            if one.edition.id in followed and told.get(one.edition.id) != line:
                told[one.edition.id] = line
                say(line)
        if not found.at_work:
            return
        await asyncio.sleep(_EVERY)


def _line(one: Count) -> str:
    done = one.total - one.live
    return f"{one.edition.name}: {one.edition.state.value}, {done:,} of {count(one.total, 'letter')} done"


async def _live(kit: Kit, target: str | None, followed: set[int]) -> None:
    from rich.live import Live

    with Live(console=console(), refresh_per_second=4, transient=True) as live:
        while True:
            found = await _snapshot(kit, target)
            live.update(_picture(found, followed))
            if not found.at_work:
                return
            followed.update(one.edition.id for one in found.at_work)
            await asyncio.sleep(_EVERY)


def _picture(found: Snapshot, followed: set[int]) -> RenderableType:
    """Draw a bar for each edition, and beneath it the states of its letters."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    for one in [one for one in found.counts if one.edition.id in followed][:_SHOWN]:
        done = one.total - one.live
        states = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in sorted(one.by_state.items()))
        bar = ProgressBar(total=max(one.total, 1), completed=done, width=30)
        grid.add_row(Text(one.edition.name), Text(one.edition.state.value), bar, Text(states))
    resting = [Text(f"The relay {one.name} rests: {one_line(one.reason)}", style="yellow") for one in found.resting]
    return Group(grid, *resting, Text("Ctrl-C stops watching; the daemon goes on.", style="dim"))
