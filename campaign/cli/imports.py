"""Commands about imports that were made. They word questions and answers; the verbs do the work."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.options import MOST, pairs_of
from campaign.cli.output import as_json, confirm, hint, json_text, progress, record, say, table
from campaign.cli.running import with_kit

if TYPE_CHECKING:
    from collections.abc import Callable

    from campaign.actions.importing import Order, Report
    from campaign.actions.reviewing import Reviewed
    from campaign.store.imports import Import

imports_app = typer.Typer(help="See what was imported; go on with it, or take it back.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Id = Annotated[int, typer.Argument(help="The import's number.", metavar="ID", min=1, max=MOST)]

_SHOWN_ROWS: Final = 1_000
_SIGNS: Final = {"added": "+", "changed": "~", "refused": "!"}
_COLUMNS: Final = ("id", "file", "list", "started_at", "added", "changed", "refused", "state")


def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file whose first line names its columns, or a file of vCards.")],
    *,
    list_: Annotated[str, typer.Option("--list", help="The list to put them on.")],
    consent: Annotated[str, typer.Option(help="How these people consented: the wording, where and when.")],
    ask: Annotated[
        bool, typer.Option("--confirm", help="Ask each new person by letter, instead of taking the consent as given.")
    ] = False,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="What a column is: a field, an attribute, or - for none."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would happen, and write nothing.")] = False,
    review: Annotated[
        bool, typer.Option("--review", help="Show each row that adds, changes or is refused, field by field, first.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Bring in people from a file of any size. Who left, was suppressed or erased is refused, never resubscribed.

    Columns are recognised by name: email or address; name, country, language, timezone, topics. Others become
    attributes, free text sealed at rest. Ctrl-C and a crash lose nothing: the same command goes on where it stopped.
    """
    from campaign.actions.importing import Order

    order = Order(file, list_, consent, confirm=ask, dry_run=dry_run, mapping=pairs_of(map_ or []))
    if dry_run and review and json:
        _review_as_json(order)
        return
    looked = None
    if review or dry_run or not yes:
        looked = _review(order) if review and not json else _look_over(order)
        if not dry_run and not yes:
            _ask(looked, order)
    done = looked if looked is not None and dry_run else _import(order)
    if json:
        as_json(_report_row(done))
        return
    _say_imported(done, dry_run=dry_run)


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
    if json:
        as_json(_report_row(done))
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


def _ask(looked: Report, order: Order) -> None:
    hint(f"{order.path.name}, looked over: {_counts(looked)}.")
    _say_odd(looked)
    confirm(f"Import it into {order.list}?", yes=False)


def _import(order: Order) -> Report:
    try:
        return _run(order, "Importing")
    except KeyboardInterrupt:
        hint("Stopped. What was imported stays; the same command again goes on from there.")
        raise


def _look_over(order: Order, review: Callable[[Reviewed], None] | None = None) -> Report:
    return _run(replace(order, dry_run=True, review=review), "Looking over")


def _run(order: Order, label: str) -> Report:
    from campaign.actions import importing

    with progress(label) as show_done:
        return with_kit(lambda kit: importing.run(kit, order, lambda rows, _rate: show_done(rows)))


def _report_row(done: Report) -> dict[str, Any]:
    return {**asdict(done.tally), "duplicates": done.tally.duplicates, "resumed": done.resumed, "rejects": done.rejects}


def _counts(done: Report) -> str:
    tally = done.tally
    counts = {"added": tally.added, "changed": tally.changed, "unchanged": tally.unchanged, "refused": tally.refused}
    if tally.duplicates:
        counts["repeated in the file"] = tally.duplicates
    return ", ".join(f"{count:,} {word}" for word, count in counts.items())


def _say_imported(done: Report, *, dry_run: bool) -> None:
    if done.resumed:
        say(f"Went on after the {done.resumed:,} rows that were done before.")
    if done.encoding == "cp1252":
        hint("This file is no UTF-8; it was read as Western text (Windows-1252).")
    if done.sealed:
        hint(f"Kept as free text, sealed: {', '.join(done.sealed)}. To ask for one in a segment, declare it first.")
    if done.ignored:
        hint(f"Columns that were not read: {', '.join(done.ignored)}.")
    _say_odd(done)
    for one in done.shown:
        say(f"line {one.line}: {one.reason}")
    if done.tally.refused > len(done.shown):
        say("…")
    say(f"{done.tally.rows_done:,} rows: {_counts(done)}.{' Nothing was written.' if dry_run else ''}")
    if done.rejects is not None:
        say(f"Refused rows, to be corrected and imported again: {done.rejects}")


def _say_odd(done: Report) -> None:
    if done.odd:
        counts = ", ".join(f"{count:,} {why}" for why, count in sorted(done.odd.items()))
        hint(f"New mailboxes worth a second look: {counts}. --review shows every row.")


def _review(order: Order) -> Report:
    """Write what would become of the first thousand rows that change something."""
    count = 0

    def write(one: Reviewed) -> None:
        nonlocal count
        count += 1
        if count <= _SHOWN_ROWS:
            told = "; ".join(_field(name, *values) for name, values in one.fields.items()) or one.reason
            say(f"{_SIGNS[one.what]} line {one.line}: {one.address}{': ' if told else ''}{told}")

    looked = _look_over(order, write)
    if count > _SHOWN_ROWS:
        hint(f"These are the first {_SHOWN_ROWS:,} of {count:,}; --review --dry-run --json writes all.")
    return looked


def _review_as_json(order: Order) -> None:
    """Write what would become of every row that changes something, while they come."""
    before = "[\n"

    def write(one: Reviewed) -> None:
        nonlocal before
        typer.echo(f"{before}  {json_text(asdict(one))}", nl=False)
        before = ",\n"

    _look_over(order, write)
    typer.echo("[]" if before == "[\n" else "\n]")


def _field(name: str, before: object, after: object) -> str:
    return f"{name} {after}" if before is None else f"{name} {before} → {after}"
