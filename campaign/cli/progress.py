"""The command that shows how far everything is. It counts nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.alerts import warn_of
from campaign.cli.brakes import brake_row, warn_of_brake
from campaign.cli.editions import became, say_counts
from campaign.cli.output import as_json, one_line, say, table, warn
from campaign.cli.phrases import count, in_words, step_words, when_utc
from campaign.cli.running import with_kit
from campaign.domain.editions import AT_WORK, EditionState
from campaign.domain.errors import BadInput

if TYPE_CHECKING:
    from campaign.actions.alerting import Told
    from campaign.actions.kit import Kit
    from campaign.actions.reporting import Count, Overview, Spread
    from campaign.actions.steering import Standing
    from campaign.store.brakes import Brake

    Spreads = tuple[list[Spread], list[Spread]]
    Needs = tuple[list[Told], Brake | None]

progress_app = typer.Typer()

TO_COME: Final = frozenset({EditionState.PLANNED, *AT_WORK})


@progress_app.callback()
def _progress() -> None:
    """Commands that stand at the top."""


@progress_app.command("status")
def status(
    target: Annotated[
        str | None, typer.Argument(metavar="[SLUG|EDITION]", help="A campaign, or an edition by id or name.")
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow until everything that is under way is sent.")] = False,
    domains: Annotated[bool, typer.Option("--domains", help="Also count by relay and by recipient domain.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write JSON, whole; with --watch a line for each look.")] = False,
) -> None:
    """Show how far campaigns and editions are, and which relays take nothing now and why. Alone: all campaigns."""
    if watch:
        from campaign.cli.watching import watch as follow

        with suppress(KeyboardInterrupt):  # watching ends; what is watched goes on
            with_kit(lambda kit: follow(kit, target, json=json))
        return
    if target is None:
        if domains:
            raise BadInput("Letters are counted by domain for one campaign or edition.", remedy=_WHICH)
        _say_everything(json=json)
        return
    _say_one(target, domains=domains, json=json)


_WHICH: Final = "Name it: campaign status SLUG --domains."


def _say_one(target: str, *, domains: bool, json: bool) -> None:
    """Show one campaign or edition, with its relays and domains where that was asked for."""
    from campaign.actions import alerting, braking, reporting, steering

    async def gather(kit: Kit) -> tuple[list[Count], list[Standing], Needs, Spreads | None]:
        spread = await reporting.spread(kit, target) if domains else None
        counts, held_up = await reporting.counts(kit, target), await steering.held_up(kit)
        return counts, held_up, (await alerting.told(kit), await braking.look(kit)), spread

    counts, held_up, (alerts, brake), spread = with_kit(gather)
    if json:
        found: dict[str, Any] = {"editions": [one.row() for one in counts], "relays": _relay_rows(held_up)}
        found |= {"alerts": [one.row() for one in alerts], "brake": brake_row(brake) or None}
        by = zip(("by_relay", "by_domain"), spread or (), strict=False)
        as_json(found | {name: [{"name": one.name, **one.by_state} for one in rows] for name, rows in by})
        return
    say_counts(counts, empty="No editions yet. They are planned when the campaign is approved.")
    for name, rows in zip(("relay", "recipient domain"), spread or (), strict=False):
        say()
        words = [(one.name or "none yet", f"{one.total:,}", became(one.by_state)) for one in rows]
        table((name, "letters", "of these"), words)
    say_relays(held_up)
    warn_of(alerts)
    warn_of_brake(brake)


def say_relays(held_up: Sequence[Standing]) -> None:
    """Warn of relays that may be handed nothing now, and say why and until when."""
    for one in held_up:
        name, known = one.relay.name, one.known
        if one.state == "paused":
            who = one_line(known.paused_by or "")
            warn(f"The relay {name} is paused by {who}. To go on: campaign relays resume {name}")
        elif one.used_up_until and one.state == "used up":
            warn(f"The relay {name} has used up its limits until {when_utc(one.used_up_until)}.")
        else:
            until = when_utc(known.paused_until) if known.paused_until else "?"
            faults = count(known.faults, "fault")
            warn(f"The relay {name} rests until {until}, after {faults}: {one_line(known.reason)}")


def _relay_rows(held_up: Sequence[Standing]) -> list[dict[str, Any]]:
    return [
        {
            "relay": one.relay.name,
            "state": one.state,
            "resting_until": one.known.paused_until if one.state == "resting" else None,
            "used_up_until": one.used_up_until,
            "paused_by": one.known.paused_by,
            "faults": one.known.faults,
            "why": one.known.reason,
        }
        for one in held_up
    ]


def _say_everything(*, json: bool) -> None:
    """Show every campaign in a line: what is under way, what was sent, what comes next."""
    from campaign.actions import alerting, braking, reporting, steering

    async def gather(kit: Kit) -> tuple[datetime, list[Overview], list[Standing], Needs]:
        overview, held_up = await reporting.overview(kit), await steering.held_up(kit)
        return kit.clock.now(), overview, held_up, (await alerting.told(kit), await braking.look(kit))

    now, found, held_up, (alerts, brake) = with_kit(gather)
    if json:
        whole: dict[str, Any] = {"campaigns": [_overview_row(one) for one in found], "relays": _relay_rows(held_up)}
        as_json(whole | {"alerts": [one.row() for one in alerts], "brake": brake_row(brake) or None})
        return
    rows = [(one.campaign.slug, one.campaign.state.value, *_figures(one, now)) for one in found]
    columns = ("campaign", "state", "editions sent", "letters accepted", "waiting", "next")
    table(columns, rows, empty="No campaigns yet. Make one: campaign new --help")
    for count_ in (count_ for one in found for count_ in one.counts):
        if count_.edition.note and count_.edition.state not in {EditionState.SENT, EditionState.SKIPPED}:
            warn(f"{count_.edition.name}: {count_.edition.note}")
    say_relays(held_up)
    warn_of(alerts)
    warn_of_brake(brake)


def _figures(one: Overview, now: datetime) -> tuple[object, ...]:
    sent = sum(c.edition.state is EditionState.SENT for c in one.counts)
    accepted = sum(c.by_state.get("accepted", 0) for c in one.counts)
    live = sum(c.live for c in one.counts)
    coming = [c.edition for c in one.counts if c.edition.state in TO_COME and c.edition.latest_start >= now]
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
