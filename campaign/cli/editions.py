"""Commands about editions and their letters: list, show, send, skip, pause, resume, cancel. `actions` decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from campaign.cli.output import as_json, confirm, hint, record, say, table, warn
from campaign.cli.phrases import count, excluded_words, people, step_words, when_utc
from campaign.cli.running import with_kit
from campaign.domain.delivery import LIVE
from campaign.domain.editions import FINISHED, EditionState, key_of
from campaign.domain.errors import BadInput

if TYPE_CHECKING:
    from campaign.actions.kit import Kit
    from campaign.actions.reporting import Count
    from campaign.store.editions import Edition

S = TypeVar("S", bound=StrEnum)

sending_app = typer.Typer()
editions_app = typer.Typer(help="List editions; send or skip a missed one.", no_args_is_help=True)

NEEDED: Final = ("sender", "smtp_url", "base_url", "postal_address")

Target = Annotated[str, typer.Argument(metavar="SLUG|EDITION", help="A campaign, or an edition by id or name.")]
Key = Annotated[str, typer.Argument(metavar="EDITION", help="An edition, by id or name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]


@sending_app.callback()
def _sending() -> None:
    """Commands that stand at the top."""


@sending_app.command("send")
def send(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The campaign's short name.")],
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Yes, now: to everybody at once, outside the campaign's dates.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(metavar="WORD", help="A word of your own: with the same one, twice sends once.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Send an extra edition of an approved campaign now, to everybody at once, outside its dates."""
    from campaign.actions import inspecting, planning

    if not now:
        msg = "An extra edition goes out at once, so say so."
        raise BadInput(msg, remedy=f"campaign send {slug} --now. When the others go out: campaign plan {slug}")
    if not yes:
        found = with_kit(lambda kit: inspecting.look(kit, slug))
        confirm(f"Send an extra edition of {slug} to {people(found.people)} now?", yes=yes)
    edition = with_kit(lambda kit: planning.send_now(kit, slug, key), *NEEDED)
    _say_on_its_way(edition)


def _say_on_its_way(edition: Edition) -> None:
    if edition.state is EditionState.SENT:
        say(f"{edition.name} was sent before (edition {edition.id}).")
        return
    say(f"{edition.name} is edition {edition.id}. A running daemon prepares and sends it within seconds.")
    hint(f"Watch it: campaign status {edition.id} --watch")
    hint("No daemon? This sends what is due, and ends: campaign run --until-idle")


@sending_app.command("pause")
def pause(target: Target) -> None:
    """Hold a campaign or an edition: from this moment on no letter of it leaves."""
    from campaign.actions import campaigning

    done = _each(lambda kit: campaigning.pause(kit, edition_key(target)))
    say(f"Paused {', '.join(done)}.")
    hint(f"To go on: campaign resume {target}")


@sending_app.command("resume")
def resume(target: Target) -> None:
    """Let a paused campaign or edition go on."""
    from campaign.actions import campaigning

    say(f"{', '.join(_each(lambda kit: campaigning.resume(kit, edition_key(target))))}: going on.")


@sending_app.command("cancel")
def cancel(target: Target, *, yes: Yes = False) -> None:
    """End an edition for good; or end a campaign, with every edition of it that is not sent."""
    from campaign.actions import campaigning, reporting

    counts = with_kit(lambda kit: reporting.counts(kit, target))
    waiting = sum(one.live for one in counts)
    ends = sum(one.edition.state not in FINISHED for one in counts)
    question = (
        f"Cancel {target} for good? It has {count(ends, 'unfinished edition')} and {count(waiting, 'waiting letter')}."
    )
    confirm(question, yes=yes)
    say(f"Cancelled {', '.join(_each(lambda kit: campaigning.cancel(kit, edition_key(target))))}.")


def _each(verb: Callable[[Kit], Awaitable[list[str]]]) -> list[str]:
    return with_kit(verb)


@editions_app.command("list")
def list_editions(
    slug: Annotated[str | None, typer.Argument(metavar="[SLUG]", help="One campaign. Default: all of them.")] = None,
    *,
    state: Annotated[str | None, typer.Option(metavar="STATE", help=f"Only these: {', '.join(EditionState)}.")] = None,
    json: Json = False,
) -> None:
    """List editions, earliest first, with what became of their letters."""
    from campaign.actions import reporting

    wanted = one_of(state, EditionState)
    found = [one for one in with_kit(lambda kit: reporting.counts(kit, slug)) if wanted in {None, one.edition.state}]
    found.sort(key=lambda one: (one.edition.starts_at, one.edition.id))
    if json:
        as_json([one.row() for one in found])
        return
    say_counts(found, empty="No editions. They are planned when a campaign is approved: campaign approve SLUG")


def say_counts(found: list[Count], *, empty: str) -> None:
    """Write editions as a table, and the notes beside them below it."""
    rows = [
        (e.id, e.name, e.state.value, when_utc(e.starts_at), one.total or "", became(one.by_state))
        for one in found
        for e in [one.edition]
    ]
    table(("id", "edition", "state", "starts", "letters", "of these"), rows, empty=empty)
    for one in found:
        if one.edition.note:
            (hint if one.edition.state in FINISHED else warn)(f"{one.edition.name}: {one.edition.note}")
        if not one.reconciled:
            warn(f"{one.edition.name}: {one.total} letters, but {one.edition.planned} were planned.")


def became(by_state: Mapping[str, int]) -> str:
    """Give what became of letters, those that still move as one number."""
    final = {name: number for name, number in by_state.items() if name not in LIVE}
    live = sum(by_state.values()) - sum(final.values())
    words = [f"{number:,} {name.replace('_', ' ')}" for name, number in sorted(final.items())]
    return ", ".join([*words, *([f"{live:,} waiting"] if live else [])])


@editions_app.command("show")
def show(key: Key, *, json: Json = False) -> None:
    """Show one edition: its instants, its letters by state, and what each language says."""
    from campaign.actions import reporting

    one, by_word, messages = with_kit(lambda kit: reporting.one_edition(kit, edition_key(key)))
    if json:
        as_json({**one.row(), "accepted_by_word": by_word, "messages": messages})
        return
    edition = one.edition
    record(
        [
            ("Edition", f"{edition.name} ({edition.id})"),
            ("State", edition.state.value),
            ("Step", step_words(edition.step)),
            ("Local day", edition.day),
            ("Earliest", when_utc(edition.starts_at)),
            ("Latest", when_utc(edition.ends_at) if edition.ends_at != edition.starts_at else None),
            ("Letters", count(one.total, "letter") if one.total else "none yet: it is frozen 15 minutes before"),
            *((f"  {name.replace('_', ' ')}", str(number)) for name, number in sorted(one.by_state.items())),
            ("  of these accepted because an operator said so", str(by_word) if by_word else None),
            ("Left out", excluded_words(edition.excluded)),
            ("Note", edition.note),
        ]
    )
    if messages:
        say()
        columns = ("language", "for readers of", "helplines of", "subject")
        table(columns, [(said.language, said.readers, said.countries, said.subject) for said in messages])


@editions_app.command("send")
def send_missed(key: Key, *, yes: Yes = False) -> None:
    """Send an edition that was missed, to everybody at once, now."""
    from campaign.actions import planning

    confirm(f"Send edition {key} now, although its time is over?", yes=yes)
    _say_on_its_way(with_kit(lambda kit: planning.send_missed(kit, edition_key(key)), *NEEDED))


@editions_app.command("skip")
def skip(key: Key, *, yes: Yes = False) -> None:
    """Leave an edition out that has not started."""
    from campaign.actions import planning

    confirm(f"Skip edition {key}?", yes=yes)
    say(f"Skipped {with_kit(lambda kit: planning.skip(kit, edition_key(key))).name}.")


def one_of(word: str | None, vocabulary: type[S]) -> S | None:
    """Read a state, if one was asked for."""
    if word is None:
        return None
    try:
        return vocabulary(word.strip().lower().replace(" ", "_"))
    except ValueError:
        raise BadInput(
            f"{word!r} is none of the words for it.", remedy=f"Write one of: {', '.join(vocabulary)}."
        ) from None


def edition_key(target: str) -> str | int:
    """Give an edition's id as a number; names stay as they are."""
    return key_of(target)
