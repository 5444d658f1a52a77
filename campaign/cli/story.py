"""The story that the demo tells, chapter by chapter: each does one thing with the verbs of the house and shows it.

It explains the product to somebody who has never seen it, on one or two screens.
"""

from __future__ import annotations

import csv
import email.policy
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from datetime import date, datetime
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import typer

from campaign.assets import asset
from campaign.cli.output import colour, harmless, one_line, table
from campaign.cli.phrases import count, day_words, instant_words, people
from campaign.cli.plans import say_plan
from campaign.domain.errors import CampaignError

if TYPE_CHECKING:
    from campaign.actions.inspecting import Inspection
    from campaign.actions.kit import Kit
    from campaign.actions.reporting import Count
    from campaign.runtime.catcher import Catcher
    from campaign.runtime.caught import Caught
    from campaign.store.editions import Edition

KEY_DATE: Final = "world-day-against-trafficking"
LIST: Final = "supporters"
CONSENT: Final = "I want to hear about your work by e-mail. Sign-up sheet, spring fair, May 2026"

_SAMPLE: Final = "reader-12@example.org"
"""Whose letter is shown: somebody in London, so it has a helpline in it."""

_NARROWEST: Final = 60
_WIDEST: Final = 100
_LINK: Final = re.compile(r"<(https?://[^>]+)>")


def chapter(title: str) -> None:
    """Begin a chapter."""
    typer.secho(f"\n{title}", bold=True, color=colour())


def typed(command: str) -> None:
    """Show what a person would type; a long command goes on in the next line at one of its options."""
    first, *options = command.split(" --")
    lines = [first]
    for option in options:
        if len(lines[-1]) + len(option) + len("  $  -- \\") > _width():
            lines[-1] += " \\"
            lines.append(f"     --{option}")
        else:
            lines[-1] += f" --{option}"
    for number, line in enumerate(lines):
        typer.secho(f"  {line}" if number else f"  $ {line}", fg="cyan", color=colour())


def tell(text: str) -> None:
    """Say something in as many lines as it needs."""
    for line in textwrap.wrap(harmless(text), _width() - len("  "), break_long_words=False, break_on_hyphens=False):
        typer.echo(f"  {line}")


def lay(text: str) -> None:
    """Write a line as it stands."""
    typer.echo(f"  {harmless(text)}")


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)


def open_with(home: Path) -> None:
    """Say what this is."""
    typer.secho("Campaign: from an empty folder to letters in mailboxes", bold=True, color=colour())
    typer.echo("All of it is real, except for the relay: a mail catcher on this machine.")
    chapter("1. A home: settings with fresh keys, a database, key dates, articles")
    typed(f"campaign init --home {home}")


async def show_home(kit: Kit) -> None:
    """Say what a home brings along."""
    from campaign.actions import publishing
    from campaign.store.content import Filter

    dates = await publishing.key_dates(kit)
    articles = await publishing.articles(kit, Filter())
    languages = {one.language for one in articles}
    tell(
        f"{count(len(dates), 'key date')} with their sources, and {count(len(articles), 'article')} "
        f"in {count(len(languages), 'language')}, each with source and review date."
    )


async def bring_people(kit: Kit) -> None:
    """Make a list and import the sample readers."""
    from campaign.actions import importing, listing
    from campaign.domain.lists import Terms

    path = asset("config/demo/subscribers.csv")
    chapter("2. People: a list, and a file with the words that they agreed to")
    typed(f"campaign lists add {LIST}")
    typed(f'campaign subscribers import {path.name} --list {LIST} --consent "{CONSENT}"')
    await listing.add(kit, LIST, Terms("Supporters"))
    done = await importing.run(kit, importing.Order(path, LIST, CONSENT))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {name: len({row[name] for row in rows}) for name in ("country", "language", "timezone")}
    tell(
        f"{people(done.tally.added)} from {count(kinds['country'], 'country', 'countries')}, "
        f"{count(kinds['language'], 'language')}, {count(kinds['timezone'], 'time zone')}. "
        "Addresses and names are sealed in the database."
    )


async def plan_campaign(kit: Kit, day: date) -> str:
    """Make the campaign around its day, and show the plan of the coming year; return its short name."""
    from campaign.actions import campaigning, forecasting, publishing
    from campaign.domain.wishes import Wish, definition_of

    slug = f"world-day-{day.year}"
    name = (await publishing.key_date(kit, KEY_DATE)).name()
    chapter(f"3. A campaign: three letters around the {name}, {day_words(day)}")
    typed(f"campaign new {slug} --key-date {KEY_DATE} --list {LIST} --remind 30d --remind 7d --on-the-day")
    wish = Wish(key_date=KEY_DATE, lists=(LIST,), remind=("30d", "7d"), on_the_day=True)
    await campaigning.create(kit, slug, definition_of(wish, kit.settings.timezone.key))
    typed("campaign plan")
    found = await forecasting.forecast(kit, slug)
    say_plan(found, drafts=False)
    hours = [hour for hour in await forecasting.hours(kit, found[0]) if hour[2]]
    (first, east, _), (last, west, _) = hours[0], hours[-1]
    tell(
        f"09:00 is 09:00 for everybody: in {_city(east)} first, and in {_city(west)} "
        f"{(last - first).total_seconds() / 3600:.0f} hours later."
    )
    return slug


async def approve(kit: Kit, slug: str) -> Edition:
    """Show what would go out, approve it, and return the first edition."""
    from campaign.actions import campaigning, inspecting, reporting

    chapter("4. A look at the letter, and an approval: nothing goes out without one")
    typed(f"campaign approve {slug}")
    found = await inspecting.inspect(kit, slug)
    _show_letters(found)
    done = await campaigning.approve(kit, slug, found.look.digest)
    tell(
        f"Approved by {done.approval.approved_by} for {people(done.approval.people)}. "
        "Any change of it would revoke that."
    )
    return (await reporting.counts(kit, slug))[0].edition


def _show_letters(found: Inspection) -> None:
    rows = [
        (one.language, ", ".join(one.readers), one.people, one_line(one.subject), len(one.choice.chosen))
        for one in found.wordings
    ]
    table(("letter in", "for readers of", "people", "subject", "articles"), rows)


async def watch_the_clock(kit: Kit, edition: Edition) -> Callable[[datetime], None]:
    """Open the chapter in which the daemon runs; return what tells of each instant that the clock is turned to."""
    from campaign.actions import forecasting

    one = next(f for f in await forecasting.forecast(kit, edition.campaign) if f.plan.step == edition.step)
    at: dict[datetime, list[tuple[str, int]]] = {}
    for due, zone, number in await forecasting.hours(kit, one):
        if number:
            at.setdefault(due, []).append((zone, number))
    days = (one.plan.starts_at - kit.clock.now()).days
    chapter(f"5. The first edition goes out: {edition.name}")
    typed("campaign run")
    tell(
        f"The daemon would send it in {count(days, 'day')}. So that you need not wait, the demo turns its clock to "
        "just before that and, whenever nothing is left to do, to just before 09:00 in the next time zone:"
    )

    def arrived(instant: datetime) -> None:
        there = at.get(instant)
        if there is None:
            typer.echo(f"    {instant_words(instant)} UTC  the letters are written")
            return
        places = ", ".join(_city(zone) for zone, _ in there)
        letters = count(sum(number for _, number in there), "letter")
        typer.echo(f"    {instant_words(instant)} UTC  {letters:<10}  {places}")

    return arrived


async def show_ledger(kit: Kit, edition: Edition, catcher: Catcher) -> None:
    """Count the letters by state, compare the sums with what the relay took, and say how punctual they were."""
    from campaign.actions import reporting

    await catcher.wait_for(edition.planned, timeout=5)
    (found,) = await reporting.counts(kit, str(edition.id))
    chapter("6. The ledger: every person ends in exactly one state, and the sums add up")
    typed(f"campaign status {edition.id}")
    row = found.row()
    states = [name for name in row if name in {*_FINAL, "live"}]
    sums = " + ".join(f"{row[name]} {_IN_WORDS.get(name, name)}" for name in states)
    tell(f"planned {row['planned']} = {sums}")
    _check(found, catcher)
    late = [one["moved_at"] - one["due_at"] async for one in reporting.deliveries(kit, str(edition.id))]
    slowest = max(late).total_seconds()
    tell(
        f"The relay took {count(catcher.caught, 'letter')}, to {people(len(_recipients(catcher)))}. "
        f"Each left within {slowest:.1f} seconds of 09:00 on its reader's clock."
    )


_IN_WORDS: Final = {"in_doubt": "in doubt", "live": "waiting"}
_FINAL: Final = ("accepted", "refused", "bounced", "suppressed", "expired", "cancelled", "in_doubt")


def _check(found: Count, catcher: Catcher) -> None:
    """Refuse to call it a success when the sums do not add up, here or against the relay."""
    accepted = found.by_state.get("accepted", 0)
    if found.reconciled and accepted == catcher.caught == len(_recipients(catcher)) == found.edition.planned:
        return
    msg = f"The ledger does not add up: {dict(found.by_state)}, and the relay took {catcher.caught}."
    raise CampaignError(msg, remedy="Please report it, with the log.")


def _recipients(catcher: Catcher) -> set[str]:
    return {one.recipient for one in catcher.letters}


def show_letter(letters: Sequence[Caught], folder: Path) -> str | None:
    """Show the headers of one letter and where its parts lie; return its unsubscribe link."""
    one = next((letter for letter in letters if letter.recipient == _SAMPLE), letters[0])
    headers = message_from_bytes((folder / one.eml).read_bytes(), policy=email.policy.default)
    chapter(f"7. One letter: {one.recipient}")
    for name, value in headers.items():
        line = f"{name}: {one_line(value)}"
        lay(line if len(line) < _width() - 2 else f"{line[: _width() - 3]}…")
    typer.echo()
    lay(f"HTML:        {folder / one.html}")
    lay(f"Text:        {folder / one.text}")
    lay(f"All letters: {folder / 'index.html'}")
    link = _LINK.search(str(headers["List-Unsubscribe"]))
    return link[1] if link else None


def say_what_stays(letters: Path | None, home: Path) -> None:
    """Say what stays; `letters` is what stays of a home that was thrown away."""
    typer.echo()
    if letters is None:
        lay(f"The home stays. Look around: campaign --home {home} status")
    else:
        lay(f"The demo's home is thrown away. The letters stay in {letters}")


def close_with_next() -> None:
    """Say how to go on."""
    chapter("Next")
    lay("campaign demo --serve          the same; then daemon, pages and letters stay until Ctrl-C")
    lay("campaign init --home letters   a home of your own; it says what comes next")


def close_with_pages(slug: str, home: Path, index: Path, leave: str | None) -> None:
    """Say what can be opened while the daemon goes on."""
    chapter("The daemon goes on until you press Ctrl-C")
    lay(f"All letters:         {index.as_uri()}")
    lay(f"A reader's way out:  {leave}")
    lay(f"In another terminal: campaign --home {home} status {slug}")
    tell("Leave by that link, and the next edition skips the reader.")


def say_where(home: Path, log: Path) -> None:
    """After an error, say where to look."""
    typer.secho(f"\nThe demo's home is kept, for you to look into: {home}", err=True)
    if log.exists():
        typer.echo(f"What the daemon did: {log}", err=True)


def _city(zone: str) -> str:
    return ZoneInfo(zone).key.rpartition("/")[2].replace("_", " ")
