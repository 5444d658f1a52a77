"""Commands about consents. They word questions and answers; the verbs do the work."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.options import MOST
from campaign.cli.output import as_json, confirm, hint, progress, say, table
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.actions.renewing import Counted

consents_app = typer.Typer(
    help="Show how somebody came to be mailed, with the exact words; ask people anew.", no_args_is_help=True
)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
_DAYS: Final = 3_660
"""Ten years to answer are enough."""
_RENEWAL: Final = ("id", "list", "started_at", "answer_by", "asked", "yes", "silent", "lapsed", "state")


@consents_app.callback()
def _front() -> None:
    """Commands about consents."""


@consents_app.command("list")
def list_(
    *,
    slug: Annotated[str | None, typer.Option("--list", help="Only this list.")] = None,
    json: Json = False,
) -> None:
    """List every wording that people consented to: for which list, in which way, how many, from when to when."""
    from campaign.actions import proving

    rows = [asdict(one) for one in with_kit(lambda kit: proving.overview(kit, slug))]
    if json:
        as_json(rows)
        return
    columns = ("list", "wording", "source", "count", "confirmed", "first", "last")
    table(columns, ([row[name] for name in columns] for row in rows), empty="No consents yet.")


@consents_app.command("proof")
def proof(
    address: Annotated[str, typer.Argument(help="A whole address.", metavar="ADDRESS")],
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Write the document into this file.")] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Write down every consent of one person: wording, language, source, time, who recorded it, from which file."""
    from campaign.actions import filing, proving

    found = with_kit(lambda kit: proving.prove(kit, address))
    if json:
        as_json(found.row())
        return
    if out is None:
        say(found.text)
        return
    if out.exists():
        confirm(f"Replace {out}?", yes=yes)
    with filing.private_file(out) as file:
        file.write(found.text)
    say(f"Wrote {out}")


@consents_app.command("renew")
def renew(
    *,
    slug: Annotated[str, typer.Option("--list", help="Whose people are asked.")],
    wording: Annotated[str, typer.Option(help="The exact words they say yes to. The letter shows them.")],
    before: Annotated[
        str | None, typer.Option(metavar="DAY", help="Only who has not consented since: 2024-12-31. Default: all.")
    ] = None,
    days: Annotated[int, typer.Option(help="How many days they have to answer.", max=_DAYS)] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and write nothing.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Ask the active people of a list by letter whether they still want it. Nobody leaves by this: see `lapse`.

    Ctrl-C and a crash lose nothing: the same command goes on, and asks nobody twice.
    """
    from datetime import timedelta

    from campaign.actions import renewing

    async def count(kit: Any) -> tuple[renewing.Order, int]:
        order = renewing.Order(slug, wording, renewing.moment_of(kit, before), timedelta(days=days))
        return order, await renewing.forecast(kit, order)

    order, asked = with_kit(count)
    if dry_run:
        as_json({"list": slug, "people": asked}) if json else say(f"{asked:,} people would get a letter.")
        return
    if not yes:
        hint(f"{asked:,} people on {slug} get a letter with these words, and {days} days to answer.")
    confirm("Ask them?", yes=yes)
    with progress("Asking", asked) as tell:
        one = with_kit(lambda kit: renewing.run(kit, order, tell))
    if json:
        as_json({"id": one.id, "list": one.list, "asked": one.asked, "answer_by": one.answer_by})
        return
    say(f"Renewal {one.id}: {one.asked:,} people are asked; they may answer until {one.answer_by:%Y-%m-%d}.")
    hint(f"To see how they answer: campaign consents renewals. After that day: campaign consents lapse {one.id}")


@consents_app.command("renewals")
def renewals(*, json: Json = False) -> None:
    """List how people answered when they were asked anew, newest first."""
    from campaign.actions import renewing

    rows = [_renewal(one) for one in with_kit(renewing.every)]
    if json:
        as_json(rows)
        return
    cells = [[row[name] for name in _RENEWAL] for row in rows]
    table(_RENEWAL, cells, empty="Nobody was asked yet: campaign consents renew --list LIST --wording WORDS")


@consents_app.command("lapse")
def lapse(
    renewal_id: Annotated[int, typer.Argument(help="The renewal's number.", metavar="ID", min=1, max=MOST)],
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Let those leave who were asked and did not answer in time. Whom no letter reached stays."""
    from campaign.actions import renewing

    silent = with_kit(lambda kit: renewing.count_silent(kit, renewal_id))
    confirm(f"{silent:,} people did not answer. Take them off the list?", yes=yes)
    with progress("Taking off", silent) as tell:
        one = with_kit(lambda kit: renewing.lapse(kit, renewal_id, tell))
    if json:
        as_json({"id": one.id, "list": one.list, "lapsed": one.lapsed})
        return
    say(f"{one.lapsed:,} people left {one.list}: they were asked, and did not answer.")


def _renewal(counted: Counted) -> dict[str, Any]:
    one = counted.renewal
    state = "closed" if one.closed_at else "asking" if one.finished_at is None else "waiting"
    names = ("id", "list", "wording", "before", "started_at", "answer_by", "asked", "lapsed", "recorded_by")
    return {name: getattr(one, name) for name in names} | asdict(counted.answers) | {"state": state}
