"""Commands about a letter before it goes out: preview, test, approve. They never send to the audience."""

from __future__ import annotations

import email.policy
from datetime import date
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign.cli.campaigns import describe
from campaign.cli.output import confirm, hint, one_line, record, say, table, warn
from campaign.cli.phrases import day_words, in_words, people, step_words, when_utc
from campaign.cli.running import with_kit
from campaign.domain.editions import key_of
from campaign.domain.errors import CampaignError

if TYPE_CHECKING:
    from campaign.actions.campaigning import Approved
    from campaign.actions.inspecting import Inspection, Wording
    from campaign.actions.kit import Kit
    from campaign.actions.previewing import Preview
    from campaign.domain.digest import Choice
    from campaign.store.editions import Edition

letters_app = typer.Typer()

_LETTER: Final = ("sender", "base_url", "postal_address")
_RELAY: Final = (*_LETTER, "smtp_url")
_RULE: Final = "-" * 72
_SHOWN: Final = 12

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The campaign's short name.")]
Step = Annotated[
    str | None, typer.Option(metavar="NAME", help="One step: 30d-before, on-the-day, 3d-after. Default: the next one.")
]
Output = Annotated[Path | None, typer.Option(metavar="FILE")]


@letters_app.callback()
def _letters() -> None:
    """Commands that stand at the top."""


@letters_app.command("preview")
def preview(
    slug: Slug,
    *,
    step: Step = None,
    subscriber: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="As this subscriber gets it. Default: a sample reader.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the HTML part, to look at in a browser.")
    ] = None,
    text: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the text part.")] = None,
    eml: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole letter, for a mail program.")
    ] = None,
) -> None:
    """Show the next letter of a campaign: subject, sender, text, which articles are in it, and why others are not."""
    from campaign.actions import previewing

    found = with_kit(lambda kit: previewing.preview(kit, slug, step, subscriber), *_LETTER)
    headers = message_from_bytes(found.eml, policy=email.policy.default)
    record(
        [
            ("Letter", f"{step_words(found.step)} ({found.occurrence}), in {found.language}"),
            ("From", headers["From"]),
            ("To", f"{headers['To']}{'' if subscriber else ' (a sample reader)'}"),
            ("Subject", found.reading.subject),
        ]
    )
    say(f"{_RULE}\n{found.reading.text.rstrip()}\n{_RULE}")
    _say_choice(found.choice)
    if found.note:
        warn(f"Each letter is rendered by itself, which is slower: {found.note}")
    _write(found, html, text, eml)


def _say_choice(choice: Choice) -> None:
    """Name the articles that are in, and why each other is not."""
    chosen = ", ".join(card.slug for card in choice.chosen)
    say(f"Articles in it: {chosen or 'none'}")
    if choice.left_out:
        say("Left out:")
        rows = [(left.article.slug, left.article.language, left.reason.value) for left in choice.left_out]
        table(("article", "language", "because"), rows)


def _write(found: Preview, html: Path | None, text: Path | None, eml: Path | None) -> None:
    """Write the parts that were asked for."""
    parts = ((html, found.reading.html.encode()), (text, found.reading.text.encode()), (eml, found.eml))
    for path, content in parts:
        if path is None:
            continue
        try:
            path.write_bytes(content)
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}."
            raise CampaignError(msg, remedy="Name another file.") from error
        say(f"Wrote {path}")


@letters_app.command("test")
def send_test(
    slug: Slug,
    *,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Your own address. Nobody else gets it.")],
    step: Step = None,
) -> None:
    """Send the next letter to one address of your own, marked as a test. It needs no approval."""
    from campaign.actions import previewing

    delivery = with_kit(lambda kit: previewing.send_test(kit, slug, to, step), *_RELAY)
    say(f"The test letter is in the ledger as number {delivery}. A running daemon sends it within seconds.")
    hint("No daemon? This sends what is due, and ends: campaign run --until-idle --no-web")


@letters_app.command("approve")
def approve(
    target: Annotated[str, typer.Argument(metavar="SLUG|EDITION", help="A campaign, or an edition by id or name.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Look a campaign over, and let it send. Any later change of what you approved revokes it.

    A campaign made with --each-edition also asks for the approval of every edition, by id or name.
    """
    from campaign.actions import inspecting

    if isinstance(key_of(target), int) or "/" in target:
        found = with_kit(lambda kit: inspecting.inspect_edition(kit, target), *_RELAY)
        _say_inspection(found)
        confirm(f"Approve {target}?", yes=yes)
        _approve_edition(target, found)
        return
    found = with_kit(lambda kit: inspecting.inspect(kit, target), *_RELAY)
    _say_inspection(found)
    confirm(f"Approve {target}?", yes=yes)
    _approve_campaign(target, found)


def _approve_campaign(slug: str, found: Inspection) -> None:
    from campaign.actions import campaigning

    async def act(kit: Kit) -> tuple[Approved, str]:
        done = await campaigning.approve(kit, slug, found.look.digest)
        first = found.coming[0].plan.starts_at if found.coming else None
        return done, f"The first goes out {in_words(first - kit.clock.now())}." if first else ""

    done, first = with_kit(act)
    say(f"Approved {slug} for {people(done.approval.people)}. {first}".rstrip())
    if done.campaign.definition.each_edition:
        hint("Each edition waits for its own approval: campaign editions list, then campaign approve ID")
    hint("Letters go out while the daemon runs: campaign run")


def _approve_edition(target: str, found: Inspection) -> None:
    from campaign.actions import campaigning

    async def act(kit: Kit) -> Edition:
        return await campaigning.approve_edition(kit, target, found.look.digest)

    edition = with_kit(act)
    say(f"Approved {edition.name}.")


def _say_inspection(found: Inspection) -> None:
    """Show what will be approved: the campaign, its editions to come, the next letter by language, and the warnings."""
    describe(found.look)
    if found.coming:
        say()
        rows = [
            (
                step_words(one.plan.step),
                day_words(date.fromisoformat(one.plan.day)),
                when_utc(one.plan.starts_at),
                one.people,
            )
            for one in found.coming[:_SHOWN]
        ]
        table(("step", "local day", "earliest", "people"), rows)
        if len(found.coming) > _SHOWN:
            hint(f"and {len(found.coming) - _SHOWN} more within a year")
    say("\nThe next letter:")
    table(
        ("language", "for readers of", "people", "subject", "articles"), [_wording_row(one) for one in found.wordings]
    )
    if found.warnings:
        say()
    for warning in found.warnings:
        warn(warning)
    say()


def _wording_row(one: Wording) -> tuple[str, str, int, str, str]:
    chosen = [card.slug for card in one.choice.chosen]
    articles = f"{len(chosen)}: {', '.join(chosen)}" if chosen else "none, a reminder alone"
    return one.language, ", ".join(one.readers), one.people, one_line(one.subject), articles
