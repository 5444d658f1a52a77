"""Commands about articles. They word questions and answers; `actions.publishing` does the work."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from campaign.cli.output import as_json, confirm, hint, one_line, record, say, table, warn
from campaign.cli.running import with_kit
from campaign.domain.errors import BadInput, CampaignError

if TYPE_CHECKING:
    from campaign.actions.publishing import Imported
    from campaign.store.content import Article

articles_app = typer.Typer(help="Import, find and edit articles.", no_args_is_help=True)

_SHOWN_REMARKS: Final = 10

Json = Annotated[bool, typer.Option("--json", help="Write JSON, whole and unpaged.")]
Slug = Annotated[str, typer.Argument(help="The article's short name.")]
Language = Annotated[str | None, typer.Option(help="The language version, such as en or pt-BR.")]
Topic = Annotated[str | None, typer.Option(help="Only articles with this topic.")]
Status = Annotated[str | None, typer.Option(help="Only these: draft, ready or retired.")]
All = Annotated[bool, typer.Option("--all", help="Retired articles, too.")]


@articles_app.command("import")
def import_(
    paths: Annotated[
        list[Path], typer.Argument(help="Files or folders: .txt, .md with front matter, .html.", metavar="PATH...")
    ],
    *,
    draft: Annotated[
        bool, typer.Option("--draft", help="Keep new articles out of letters until they are made ready.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring in articles from files and folders.

    New ones are ready to be chosen, unless the file or --draft says otherwise. The same files again change nothing.
    """
    from campaign.actions import publishing
    from campaign.domain.articles import ArticleStatus

    status = ArticleStatus.DRAFT if draft else ArticleStatus.READY
    done = with_kit(lambda kit: publishing.import_articles(kit, paths, status=status))
    if json:
        as_json(_imported(done))
    else:
        _say_imported(done)
    if done.refused:
        raise _Refused(done)


@articles_app.command("list")
def list_(
    *, status: Status = None, language: Language = None, topic: Topic = None, all_: All = False, json: Json = False
) -> None:
    """List articles: short name, language, status, review date and title."""
    from campaign.actions import publishing

    found = with_kit(lambda kit: publishing.articles(kit, _filter(status, language, topic, retired=all_)))
    if json:
        as_json([_row(one) for one in found])
        return
    rows = [(one.slug, one.language, one.status, one.review_on, one.topics, one.title) for one in found]
    table(
        ("article", "language", "status", "review on", "topics", "title"),
        rows,
        empty="No articles. Bring some in: campaign articles import FILE",
    )


@articles_app.command("show")
def show(slug: Slug, *, language: Language = None, json: Json = False) -> None:
    """Show one article as it is stored."""
    from campaign.actions import publishing

    one = with_kit(lambda kit: publishing.article(kit, slug, language))
    if json:
        as_json({**_row(one), "body": one.body})
        return
    record((name.replace("_", " "), value) for name, value in _row(one).items())
    say()
    say(one.body)


@articles_app.command("edit")
def edit(
    slug: Slug,
    *,
    language: Language = None,
    title: Annotated[str | None, typer.Option(help="Another title.")] = None,
    summary: Annotated[str | None, typer.Option(help="Another summary.")] = None,
    topics: Annotated[str | None, typer.Option(help="All topics, with commas between them.")] = None,
    source_name: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where they say it.")] = None,
    published: Annotated[str | None, typer.Option(help="When it was published: 2027-01-31.")] = None,
    review_on: Annotated[str | None, typer.Option(help="The last day on which its facts are good: 2027-12-31.")] = None,
    sensitivity: Annotated[str | None, typer.Option(help="none, mentions violence, or survivor story.")] = None,
    status: Annotated[str | None, typer.Option(help="draft, ready or retired.")] = None,
    body: Annotated[Path | None, typer.Option(help="A file with another text, in Markdown.")] = None,
) -> None:
    """Change an article: the parts that options name, or all of it in your editor ($EDITOR) without options.

    An empty value ("") takes a part away.
    """
    from campaign.actions import publishing, reading

    options = {
        "title": title,
        "summary": summary,
        "topics": topics,
        "source_name": source_name,
        "source_url": source_url,
        "published": published,
        "review_on": review_on,
        "sensitivity": sensitivity,
        "status": status,
    }
    fields = {name: value for name, value in options.items() if value is not None}
    text = reading.read_words(body) if body is not None else None

    def change(before: str) -> str:
        return reading.rewritten(before, fields, text) if fields or text is not None else _in_editor(before)

    one, changed = with_kit(lambda kit: publishing.edit_article(kit, slug, language, change))
    say(f"{'Changed' if changed else 'Nothing changed in'} {one.slug} ({one.language}).")


@articles_app.command("search")
def search(
    words: Annotated[list[str], typer.Argument(help="Words that all stand in the article.", metavar="WORDS...")],
    *,
    language: Language = None,
    topic: Topic = None,
    status: Status = None,
    all_: All = False,
    json: Json = False,
) -> None:
    """Find articles by the words in them, the best first."""
    from campaign.actions import publishing

    wanted = _filter(status, language, topic, retired=all_)
    found = with_kit(lambda kit: publishing.search(kit, " ".join(words), wanted))
    if json:
        as_json([{**_row(hit.article), "snippet": hit.snippet} for hit in found])
        return
    if not found:
        say("No article has all of these words.")
    for hit in found:
        say(f"{hit.article.slug} ({hit.article.language}, {hit.article.status}): {one_line(hit.article.title)}")
        say(f"    {one_line(hit.snippet)}")


@articles_app.command("retire")
def retire(
    slug: Slug,
    *,
    language: Language = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take an article out of all letters to come. It stays stored; `edit --status ready` brings it back."""
    from campaign.actions import publishing

    confirm(f"Retire {slug}{f' ({language})' if language else ''}?", yes=yes)
    done = with_kit(lambda kit: publishing.retire(kit, slug, language))
    say(f"Retired {', '.join(done)}." if done else f"{slug} was retired before.")


def _filter(status: str | None, language: str | None, topic: str | None, *, retired: bool) -> Any:
    """Say which articles are meant; retired ones only when somebody asks for them."""
    from campaign.domain.articles import ArticleStatus
    from campaign.store.content import Filter

    if status is not None and status not in list(ArticleStatus):
        raise BadInput(f"{status!r} is not a status.", remedy=f"Write one of: {', '.join(ArticleStatus)}.")
    usual = tuple(one for one in ArticleStatus if retired or one is not ArticleStatus.RETIRED)
    return Filter((status,) if status else usual, language, topic)


def _row(one: Article) -> dict[str, Any]:
    names = ("slug", "language", "status", "title", "summary", "topics", "source_name", "source_url")
    dates = ("published_on", "review_on", "sensitivity", "created_at", "changed_at")
    return {name: getattr(one, name) for name in (*names, *dates)}


def _imported(done: Imported) -> dict[str, Any]:
    return {
        "added": done.added,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "refused": [
            {"file": str(one.path), "why": one.error.message, "remedy": one.error.remedy} for one in done.refused
        ],
        "remarks": [{"article": ref, "remark": remark} for ref, remark in done.remarks],
    }


def _say_imported(done: Imported) -> None:
    for ref in (*done.added, *done.changed):
        say(f"{'Added' if ref in done.added else 'Changed'} {ref}")
    say(
        f"{len(done.added)} added, {len(done.changed)} changed, {len(done.unchanged)} unchanged, "
        f"{len(done.refused)} refused."
    )
    for ref, remark in done.remarks[:_SHOWN_REMARKS]:
        warn(f"{ref}: {remark}.")
    if len(done.remarks) > _SHOWN_REMARKS:
        hint(f"and {len(done.remarks) - _SHOWN_REMARKS} remarks more; --json shows all.")


class _Refused(BadInput):
    """Some files could not be read."""

    def __init__(self, done: Imported) -> None:
        """Name each, with its remedy."""
        lines = [
            line
            for one in done.refused
            for line in (one.error.message, *([f"  {one.error.remedy}"] if one.error.remedy else []))
        ]
        count = "One file was" if len(done.refused) == 1 else f"{len(done.refused)} files were"
        super().__init__("\n".join([f"{count} not imported.", *lines]))


def _in_editor(text: str) -> str:
    """Let the reader change a text in their own editor."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise BadInput(
            "No editor is set.", remedy="Set EDITOR, for example EDITOR=nano, or use options: --title, --status …"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "article.md"
        path.write_text(text, encoding="utf-8")
        status = _edit(editor, path)
        if status != 0:
            raise CampaignError("The editor ended with an error, so nothing was changed.")
        return path.read_text(encoding="utf-8")


def _edit(editor: str, path: Path) -> int:
    """Run the editor; Ctrl-C is its business while it runs, and must not throw away what was typed."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        command = [*shlex.split(editor), str(path)]
        return subprocess.run(command, check=False).returncode  # noqa: S603 -- the reader's own choice
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"The editor {editor!r} cannot be started: {why}.", remedy="Check EDITOR.") from error
    finally:
        signal.signal(signal.SIGINT, before)
