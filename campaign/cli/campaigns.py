"""Commands that make, show and change campaigns. They read wishes and word answers; `actions.campaigning` decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.options import (
    After,
    At,
    Each,
    Every,
    InDoubt,
    InSegment,
    Intro,
    KeyDate,
    Language,
    Lists,
    Local,
    Most,
    Once,
    OnTheDay,
    Pin,
    Remind,
    Slug,
    Subject,
    Title,
    Topics,
    Where,
    Zone,
)
from campaign.cli.output import as_json, hint, record, say, table, warn
from campaign.cli.phrases import (
    calendar_words,
    clock_words,
    definition_row,
    instant_words,
    people,
    step_words,
    when_utc,
)
from campaign.cli.running import settings_here, with_kit
from campaign.domain.errors import BadInput

if TYPE_CHECKING:
    from campaign.actions.forecasting import Forecast
    from campaign.actions.inspecting import Look
    from campaign.actions.kit import Kit
    from campaign.domain.wishes import Wish

campaigns_app = typer.Typer()

_SHOWN: Final = 5
"""So many editions to come are listed with a campaign; `campaign plan` lists all."""

Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@campaigns_app.callback()
def _campaigns() -> None:
    """Commands that stand at the top."""


@campaigns_app.command("new")
def new(
    slug: Slug,
    *,
    key_date: KeyDate = None,
    every: Every = None,
    once: Once = None,
    remind: Remind = None,
    on_the_day: OnTheDay = None,
    after: After = None,
    lists: Lists = None,
    where: Where = None,
    segment: InSegment = None,
    at: At = None,
    local_time: Local = False,
    timezone: Zone = None,
    topics: Topics = None,
    pin: Pin = None,
    most: Most = None,
    language: Language = None,
    title: Title = None,
    subject: Subject = None,
    intro: Intro = None,
    in_doubt: InDoubt = None,
    each_edition: Each = None,
    json: Json = False,
) -> None:
    """Make a campaign: a draft that sends nothing until you approve it.

    campaign new world-day --key-date world-day-against-trafficking --list supporters --remind 7d --on-the-day
    """
    wish = _wish(locals())
    from campaign.actions import campaigning
    from campaign.domain.wishes import definition_of

    definition = definition_of(wish, settings_here().timezone.key)
    with_kit(lambda kit: campaigning.create(kit, slug, definition))
    if not json:
        say(f"Made {slug}, a draft.")
    _show(slug, json=json)
    hint(f"\nNext:\n  campaign preview {slug}\n  campaign approve {slug}")


@campaigns_app.command("edit")
def edit(
    slug: Slug,
    *,
    key_date: KeyDate = None,
    every: Every = None,
    once: Once = None,
    remind: Remind = None,
    on_the_day: OnTheDay = None,
    after: After = None,
    lists: Lists = None,
    where: Where = None,
    segment: InSegment = None,
    at: At = None,
    local_time: Local = False,
    timezone: Zone = None,
    topics: Topics = None,
    pin: Pin = None,
    most: Most = None,
    language: Language = None,
    title: Title = None,
    subject: Subject = None,
    intro: Intro = None,
    in_doubt: InDoubt = None,
    each_edition: Each = None,
    json: Json = False,
) -> None:
    """Change what options name; the rest stays. Naming one step names them all, and "" takes a part away.

    A change revokes the approval, so an approved campaign waits until you approve it again.
    """
    wish = _wish(locals())
    from campaign.actions import campaigning
    from campaign.domain.wishes import changes_of

    changes = changes_of(wish)
    if not changes:
        raise BadInput("Nothing to change was named.", remedy="campaign edit --help lists what can be changed.")
    _, revoked = with_kit(lambda kit: campaigning.edit(kit, slug, changes))
    _show(slug, json=json)
    if revoked:
        warn(f"This revoked the approval: nothing goes out until you run campaign approve {slug}")


@campaigns_app.command("show")
def show(slug: Slug, *, json: Json = False) -> None:
    """Show a campaign: its dates, audience, content, approval, and what is to come."""
    _show(slug, json=json)


def _wish(options: dict[str, Any]) -> Wish:
    """Gather the options of `new` and `edit`, by the names that a wish has for them."""
    from campaign.domain.wishes import Wish

    names = Wish.__dataclass_fields__.keys()
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    wanted: dict[str, Any] = {name: value for name, value in given.items() if name in names and value is not None}
    return Wish(**wanted)


def _show(slug: str, *, json: bool) -> None:
    from campaign.actions import forecasting, inspecting

    async def gather(kit: Kit) -> tuple[Look, list[Forecast]]:
        return await inspecting.look(kit, slug), await forecasting.forecast(kit, slug)

    found, coming = with_kit(gather)
    if json:
        as_json({**campaign_row(found), "coming": [one.row() for one in coming]})
        return
    describe(found)
    if coming:
        say()
        rows = [(step_words(f.plan.step), f.plan.day, when_utc(f.plan.starts_at), f.state) for f in coming[:_SHOWN]]
        table(("step", "local day", "earliest", "state"), rows)
    if len(coming) > _SHOWN:
        hint(f"and {len(coming) - _SHOWN} more: campaign plan {slug}")


def describe(found: Look) -> None:
    """Write a campaign as `name: value` lines."""
    definition = found.campaign.definition
    left_out = f" ({found.suppressed} more are suppressed)" if found.suppressed else ""
    content = [f"topics {', '.join(definition.topics)}" if definition.topics else "any topic"]
    content += [f"first {', '.join(definition.pinned)}"] if definition.pinned else []
    rule = f", only {definition.narrowing}" if definition.narrowing else ""
    record(
        [
            ("Campaign", found.campaign.slug),
            ("State", _state(found)),
            ("When", calendar_words(definition)),
            ("Time", clock_words(definition)),
            ("Audience", f"{', '.join(definition.lists)}{rule}: {people(found.people)} now{left_out}"),
            ("Articles", f"{', '.join(content)}, at most {definition.most}"),
            ("Language", definition.language),
            ("Title", definition.title),
            ("Subject", definition.subject),
            ("Intro", definition.intro),
            ("In doubt", definition.policy.value),
            ("Approval", "for each edition anew" if definition.each_edition else None),
        ]
    )


def _state(found: Look) -> str:
    """Give the state, and who approved what stands."""
    state = found.campaign.state.value
    if found.approval is None:
        return f"{state}, not approved yet" if state == "draft" else state
    by = f"by {found.approval.approved_by} on {instant_words(found.approval.approved_at)} UTC"
    if found.stands:
        return f"{state}, approved {by}"
    return f"{state}; what was approved {by} has changed since"


def campaign_row(found: Look) -> dict[str, Any]:
    """Give a campaign as a JSON row."""
    campaign, approval = found.campaign, found.approval
    return {
        "slug": campaign.slug,
        "state": campaign.state.value,
        **definition_row(campaign.definition),
        "people": found.people,
        "suppressed": found.suppressed,
        "approved_by": approval and approval.approved_by,
        "approved_at": approval and approval.approved_at,
        "approval_stands": found.stands,
        "created_at": campaign.created_at,
        "changed_at": campaign.changed_at,
    }
