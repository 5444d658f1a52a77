"""Commands about operators, and the audit log. They word questions and answers; the verbs do the work."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from campaign.cli.options import MOST
from campaign.cli.output import as_json, confirm, say, table
from campaign.cli.running import with_kit
from campaign.cli.streams import write_json, write_table
from campaign.domain.operators import Role

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from campaign.actions.kit import Kit
    from campaign.store.audit import Asked

operators_app = typer.Typer(help="Say who may do what at this command line.", no_args_is_help=True)
audit_app = typer.Typer(help="Show who did what.")

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Name = Annotated[str, typer.Argument(help="The name by which they sign in on this machine.", metavar="NAME")]
Title = Annotated[str | None, typer.Option(help="What they do, in a few words.")]


@operators_app.command("add")
def add(name: Name, *, role: Annotated[Role, typer.Option(help="What they may do.")], title: Title = None) -> None:
    """Make somebody an operator: admin (all), organiser (campaigns, people), author (articles), viewer (looks).

    Until there is one, whoever has this command line may do everything. It guards against slips: whoever can read the
    database and its keys can do everything anyhow.
    """
    from campaign.actions import staffing

    made = with_kit(lambda kit: staffing.add(kit, name, role, title or ""))
    say(f"{name} is {role} now." if made else f"{name} was {role} before.")


@operators_app.command("list")
def list_(
    *, all_: Annotated[bool, typer.Option("--all", help="Retired ones, too.")] = False, json: Json = False
) -> None:
    """List the operators."""
    from campaign.actions import staffing

    rows = [asdict(one) for one in with_kit(lambda kit: staffing.every(kit, retired=all_))]
    if json:
        as_json(rows)
        return
    names = ("name", "role", "title", "created_at", "retired_at")
    cells = [[row[name] for name in names] for row in rows]
    table(names, cells, empty="Nobody: whoever has this command line may do everything.")


@operators_app.command("edit")
def edit(
    name: Name, *, role: Annotated[Role | None, typer.Option(help="What they may do.")] = None, title: Title = None
) -> None:
    """Change what somebody may do."""
    from campaign.actions import staffing

    changed = with_kit(lambda kit: staffing.edit(kit, name, role, title))
    say(f"Changed {name}." if changed else f"Nothing changed about {name}.")


@operators_app.command("retire")
def retire(name: Name, *, yes: Yes = False) -> None:
    """Let an operator go. What they did stays in the audit log under their name."""
    from campaign.actions import staffing

    confirm(f"Retire {name}?", yes=yes)
    with_kit(lambda kit: staffing.retire(kit, name))
    say(f"Retired {name}.")


@audit_app.command("audit")
def audit(
    *,
    operator: Annotated[str | None, typer.Option(help="Only what this operator did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this: import.undo, or list for all about lists.")] = None,
    about: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Only about this person.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="Only since this day (UTC).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=MOST, help="The newest so many.")] = None,
    json: Json = False,
) -> None:
    """Show who did what, newest first, with what was before and after. Addresses are masked."""
    wanted = {"operator": operator, "action": action, "about": about, "since": _day(since)}
    if json:
        with_kit(lambda kit: write_json(_entries(kit, wanted, limit)))
        return
    columns = ("at", "operator", "action", "subject", "before", "after")
    with_kit(lambda kit: write_table(columns, _entries(kit, wanted, limit), empty="Nothing yet."))


@audit_app.callback()
def _front() -> None:
    """Commands that stand at the top."""


async def _entries(kit: Kit, wanted: dict[str, Any], limit: int | None) -> AsyncGenerator[Mapping[str, Any], None]:
    from campaign.actions import auditing

    async for id_, entry in auditing.entries(kit, _asked(kit, wanted), limit):
        row = asdict(entry)
        del row["subject_key"]
        yield {"id": id_, **row}


def _asked(kit: Kit, wanted: dict[str, Any]) -> Asked:
    from campaign.domain.addresses import parse_address
    from campaign.store.audit import Asked

    key = kit.keys.address_key(parse_address(wanted["about"])) if wanted["about"] else None
    return Asked(wanted["operator"], wanted["action"], key, wanted["since"])


def _day(text: str | None) -> datetime | None:
    from campaign.domain.errors import BadInput

    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadInput(f"{text} is not a day.", remedy="Write --since 2026-11-24.") from error
