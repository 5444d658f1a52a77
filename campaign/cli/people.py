"""Commands about subscribers. They word questions and answers; the verbs do the work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from campaign.cli import corrections, imports
from campaign.cli.output import as_json, confirm, hint, json_text, record, say, table, warn
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.actions.finding import Page
    from campaign.actions.kit import Kit
    from campaign.domain.addresses import Address
    from campaign.domain.people import PersonRow

subscribers_app = typer.Typer(help="Import, find, suppress and erase subscribers.", no_args_is_help=True)

_SHOWN_ROWS: Final = 1_000
_JOINED: Final = {
    "active": "is on {list} now.",
    "already": "was on {list} before.",
    "asked": "gets a letter that asks to confirm {list}.",
    "asked_before": "was asked to confirm {list} within the last day; no second letter goes out.",
    "refused": "was not put on {list}. {reason}",
}
_COLUMNS: Final = ("address", "name", "list", "state", "country", "language", "timezone")

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Who = Annotated[str, typer.Argument(help="A whole address.", metavar="ADDRESS")]
OnList = Annotated[str, typer.Option("--list", help="The list to put them on.")]
OneList = Annotated[str | None, typer.Option("--list", help="Only this list.")]


subscribers_app.command("import")(imports.import_)


@subscribers_app.command("add")
def add(
    address: Who,
    *,
    list_: OnList,
    name: Annotated[str, typer.Option(help="Their name.")] = "",
    country: Annotated[str, typer.Option(help="Two letters of ISO 3166, such as US.")] = "",
    language: Annotated[str, typer.Option(help="A language tag, such as en or pt-BR.")] = "",
    timezone: Annotated[str, typer.Option(help="A time zone, such as Europe/Berlin.")] = "",
    consent: Annotated[str, typer.Option(help="How they consented: the wording, where and when.")] = "",
) -> None:
    """Put one person on a list: at once with --consent or on a single opt-in list, else when they confirm by letter."""
    from campaign.actions import joining
    from campaign.domain.people import parse_person

    person = parse_person(address, name, country, language, timezone)
    request = joining.Request(person, list_, consent, vouched=bool(consent.strip()))
    answer = with_kit(lambda kit: joining.add(kit, request))
    say(f"{person.address} {_JOINED[answer.joined.value].format(list=list_, reason=answer.reason)}")
    if answer.changed:
        say("What is known about them was changed.")
    if answer.joined is joining.Joined.REFUSED:
        raise typer.Exit(1)


@subscribers_app.command("list")
def list_(
    *,
    list_: OneList = None,
    state: Annotated[str | None, typer.Option(help="Only active, pending, left or suppressed ones.")] = None,
    json: Json = False,
) -> None:
    """List subscribers, one row for each person and list. `suppressed` means that they are never mailed."""
    from campaign.actions import finding

    _show_rows(lambda kit: finding.rows(kit, list_, state), json=json, empty="Nobody yet.")


@subscribers_app.command("find")
def find(
    text: Annotated[str, typer.Argument(help="A whole address, or a part of an address or a name.")] = "",
    *,
    where: Annotated[str | None, typer.Option(metavar="RULE", help="A rule as segments have: gift >= 20")] = None,
    state: Annotated[str | None, typer.Option(help="Only active, pending, left or suppressed ones.")] = None,
    json: Json = False,
) -> None:
    """Find subscribers: a whole address at once; a part of one, or of a name, by opening every sealed row in turn."""
    from campaign.actions import finding, segmenting

    if where is None and text.strip() and not finding.is_exact(text):
        hint("Addresses and names are sealed: looking at every row. A whole address is found at once.")
    search = segmenting.Search(text, where, state)
    _show_rows(lambda kit: segmenting.find(kit, search), json=json, empty="Nobody found.")


@subscribers_app.command("show")
def show(address: Who, *, json: Json = False) -> None:
    """Show all that is known about one person: subscriptions, consents with their exact wording, letters."""
    from campaign.actions import finding

    page = with_kit(lambda kit: finding.show(kit, address))
    if json:
        as_json(page.row())
        return
    _say_page(page)


subscribers_app.command("edit")(corrections.edit)
subscribers_app.command("address")(corrections.address)
subscribers_app.command("merge")(corrections.merge)
subscribers_app.command("export")(corrections.export)


@subscribers_app.command("leave")
def leave(address: Who, *, list_: OneList = None, yes: Yes = False) -> None:
    """Let a person leave one list, or every list. Letters that wait for them are taken out."""
    from campaign.actions import subscribing

    who = _address(address)
    confirm(f"Let {who} leave {list_ or 'every list'}?", yes=yes)
    left = with_kit(lambda kit: subscribing.leave(kit, who, list_))
    say(f"{who} left {', '.join(left.lists)}." if left.lists else f"{who} was not on {list_ or 'any list'}.")


@subscribers_app.command("suppress")
def suppress(address: Who, *, yes: Yes = False) -> None:
    """Never mail this address again, whatever list it is on or comes to. Letters that wait for it are taken out."""
    from campaign.actions import suppressing

    who = _address(address)
    confirm(f"Never mail {who} again?", yes=yes)
    done = with_kit(lambda kit: suppressing.suppress(kit, who))
    say(f"{who} will never be mailed." if done else f"{who} was suppressed before.")


@subscribers_app.command("erase")
def erase(address: Who, *, yes: Yes = False) -> None:
    """Delete all that is known about a person. A keyed hash stays, so that no import brings them back."""
    from campaign.actions import suppressing

    who = _address(address)
    confirm(f"Erase {who}? This cannot be undone.", yes=yes)
    done = with_kit(lambda kit: suppressing.erase(kit, who))
    say(f"Receipt: {done.receipt}")
    say(f"Erased {who}." if done.person else f"Nobody has the address {who}. It is kept from imports all the same.")
    if done.files:
        warn(f"Files of refused rows still hold the address; delete them: {', '.join(map(str, done.files))}")


def _address(text: str) -> Address:
    from campaign.domain.addresses import parse_address

    return parse_address(text)


def _show_rows(rows: Callable[[Kit], AsyncIterator[PersonRow]], *, json: bool, empty: str) -> None:
    """Write people as they are found: JSON whole; a table with the first thousand."""
    if json:
        with_kit(lambda kit: _write_json(rows(kit)))
        return
    found, more = with_kit(lambda kit: _first(rows(kit)))
    table(_COLUMNS, ([getattr(row, name) for name in _COLUMNS] for row in found), empty=empty)
    if more:
        hint(f"These are the first {_SHOWN_ROWS:,}; --json writes all.")


async def _write_json(rows: AsyncIterator[PersonRow]) -> None:
    before = "[\n"
    async for row in rows:
        typer.echo(f"{before}  {json_text(row)}", nl=False)
        before = ",\n"
    typer.echo("[]" if before == "[\n" else "\n]")


async def _first(rows: AsyncIterator[PersonRow]) -> tuple[list[PersonRow], bool]:
    found: list[PersonRow] = []
    async for row in rows:
        if len(found) == _SHOWN_ROWS:
            return found, True
        found.append(row)
    return found, False


def _say_page(page: Page) -> None:
    who = page.standing
    record(
        [
            ("address", who.address),
            ("name", who.name),
            ("country", who.country),
            ("language", who.language),
            ("time zone", who.timezone),
            *page.attributes.items(),
            ("topics", page.topics),
            ("known since", page.since),
            ("suppressed", who.suppressed and f"{who.suppressed.reason.value}, since {who.suppressed.since:%Y-%m-%d}"),
        ]
    )
    say()
    lists = [(one.list, one.state, one.joined_at, one.confirmed_at, one.left_at) for one in who.subscriptions]
    table(("list", "state", "joined", "confirmed", "left"), lists, empty="On no list.")
    for one in page.consents:
        say()
        record(
            [
                ("consent for", one.list),
                ("wording", one.wording),
                ("given", one.given_at),
                ("confirmed", one.confirmed_at),
                ("recorded", f"{one.source.value}, by {one.recorded_by}"),
                ("import", one.file and f"{one.import_id}, from {one.file}"),
            ]
        )
    say()
    letters = [(one.id, one.kind, one.edition, one.state, one.due_at, one.moved_at) for one in page.letters]
    table(("letter", "kind", "edition", "state", "due", "moved"), letters, empty="No letters yet.")
    if page.deeds:
        say()
        table(("done", "by", "what"), ((one.at, one.operator, one.action) for one in page.deeds), empty="")
