"""Commands about imports that were made. They word questions and answers; the verbs do the work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from campaign.cli.output import as_json, confirm, hint, progress, record, say, table
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from campaign.store.imports import Import

imports_app = typer.Typer(help="See what was imported; go on with it, or take it back.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Id = Annotated[int, typer.Argument(help="The import's number.", metavar="ID")]

_COLUMNS = ("id", "file", "list", "started_at", "added", "changed", "refused", "state")


@imports_app.command("list")
def list_(*, json: Json = False) -> None:
    """List the imports, newest first."""
    from campaign.actions import undoing

    rows = [_row(one) for one in with_kit(undoing.every)]
    if json:
        as_json([{name: row[name] for name in _COLUMNS} for row in rows])
        return
    cells = [[row[name] for name in _COLUMNS] for row in rows]
    table(_COLUMNS, cells, empty="No imports yet: campaign subscribers import FILE --list LIST")


@imports_app.command("show")
def show(import_id: Id, *, json: Json = False) -> None:
    """Show one import: its file, its wording, its counts."""
    from campaign.actions import undoing

    row = _row(with_kit(lambda kit: undoing.find(kit, import_id)))
    if json:
        as_json(row)
        return
    record((name.replace("_", " "), value) for name, value in row.items())


@imports_app.command("undo")
def undo(import_id: Id, *, yes: Yes = False, json: Json = False) -> None:
    """Take an import back: people it added go, values it changed are as before. Who left since stays left.

    People who consented otherwise since stay. Ctrl-C loses nothing: the same command again goes on.
    """
    from campaign.actions import undoing

    found = with_kit(lambda kit: undoing.find(kit, import_id))
    if not yes:
        hint(f"{found.file} onto {found.list}: {found.tally.added:,} added, {found.tally.changed:,} changed.")
    confirm(f"Undo import {import_id}?", yes=yes)
    try:
        with progress("Undoing", found.tally.added) as tell:
            done = with_kit(lambda kit: undoing.undo(kit, import_id, tell))
    except KeyboardInterrupt:
        hint(f"Stopped half-way. To go on: campaign imports undo {import_id}")
        raise
    if json:
        as_json(asdict(done))
        return
    kept = f", {done.kept:,} stay because of what happened since" if done.kept else ""
    say(f"{done.taken:,} taken away{kept}, {done.restored:,} restored as they were.")


@imports_app.command("resume")
def resume(import_id: Id, *, json: Json = False) -> None:
    """Go on with an import that was interrupted. Its file must lie where it lay, unchanged."""
    from campaign.actions import undoing

    with progress("Importing") as tell:
        done = with_kit(lambda kit: undoing.resume(kit, import_id, lambda rows, _rate: tell(rows)))
    row = {**asdict(done.tally), "resumed": done.resumed, "rejects": done.rejects}
    if json:
        as_json(row)
        return
    say(f"{done.tally.rows_done:,} rows: {done.tally.added:,} added, {done.tally.refused:,} refused.")


def _row(one: Import) -> dict[str, Any]:
    return {
        "id": one.id,
        "file": one.file,
        "list": one.list,
        "state": one.state.value,
        "started_at": one.started_at,
        "finished_at": one.finished_at,
        "undone_at": one.undone_at,
        **asdict(one.tally),
        "duplicates": one.tally.duplicates,
        "undone": one.undone,
        "path": one.path,
        "sha256": one.digest,
        "wording": one.wording,
        "mapping": dict(one.reading),
        "recorded_by": one.recorded_by,
    }
