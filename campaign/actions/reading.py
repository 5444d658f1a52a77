"""Reads article files: plain text, Markdown with front matter, HTML made safe. It never stores anything."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campaign.domain.articles import ArticleDraft, parse_article, parse_plain_article
from campaign.domain.errors import BadInput, NotFound
from campaign.store.content import Article

LARGEST_FILE: Final = 5 * 1024 * 1024
"""Bytes of one article file."""

_FENCE: Final = "---"
_TEXT: Final = frozenset({".txt", ".text"})
_MARKDOWN: Final = frozenset({".md", ".markdown"})
_HTML: Final = frozenset({".html", ".htm", ".xhtml"})
KINDS: Final = tuple(sorted(_TEXT | _MARKDOWN | _HTML))

_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One file that was read. `names_status`: the file itself says whether it is a draft, ready or retired."""

    path: Path
    draft: ArticleDraft
    names_status: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that could not be read, and why."""

    path: Path
    error: BadInput


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read, and the files that were refused."""

    readings: tuple[Reading, ...]
    refused: tuple[Refusal, ...]


def read_articles(paths: Sequence[Path], *, language: str) -> Readings:
    """Read files, and every article file in folders, in the order of their names; raise NotFound for a wrong path.

    `language` is for articles that do not name theirs.
    """
    found: list[Reading] = []
    refused: list[Refusal] = []
    for path in _files(paths):
        try:
            found.append(read_article(path, language=language))
        except BadInput as error:
            refused.append(Refusal(path, error))
    return Readings(tuple(found), tuple(refused))


def read_article(path: Path, *, language: str) -> Reading:
    """Read one file by its extension; raise BadInput that names the file, the line where it can, and the remedy."""
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        msg = f"{path}: articles are read from {', '.join(KINDS)}."
        raise BadInput(msg, remedy="Save it as text, Markdown or HTML.")
    text = _decoded(path, _bytes(path))
    if suffix in _TEXT:
        return Reading(path, parse_plain_article(text, str(path), language=language), names_status=False)
    if suffix in _HTML:
        from campaign.actions.extracting import markdown_of  # noqa: PLC0415 -- slow to load, and few files are pages

        text = markdown_of(text, str(path))
    return Reading(path, parse_article(text, str(path), language=language), _names_status(text))


def as_text(article: Article) -> str:
    """Write an article down as Markdown with front matter; `parse_article` reads the same article from it."""
    fields = {
        "title": article.title,
        "slug": article.slug,
        "language": article.language,
        "summary": article.summary,
        "topics": ", ".join(article.topics),
        "source_name": article.source_name,
        "source_url": article.source_url,
        "published": article.published_on or "",
        "review_on": article.review_on or "",
        "sensitivity": article.sensitivity,
        "status": article.status,
    }
    front = "\n".join(f'{name}: "{value}"' for name, value in fields.items())
    return f"{_FENCE}\n{front}\n{_FENCE}\n\n{article.body}\n"


def rewritten(text: str, fields: Mapping[str, str], body: str | None = None) -> str:
    """Give what `as_text` wrote with other values in its front matter, and perhaps another body."""
    lines = text.split("\n")
    end = lines.index(_FENCE, 1)
    kept = [line for line in lines[1:end] if line.partition(":")[0] not in fields]
    new = [f'{name}: "{" ".join(value.split())}"' for name, value in fields.items()]
    return "\n".join([_FENCE, *kept, *new, *(lines[end:] if body is None else [_FENCE, "", body])])


def read_words(path: Path) -> str:
    """Read the text of a file as it is; raise BadInput that names the file and the remedy."""
    return _decoded(path, _bytes(path))


def _names_status(text: str) -> bool:
    """Whether the front matter has a line for the status."""
    front = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")[0] if text.startswith(_FENCE) else ""
    return bool(re.search(r"^status[ \t]*:[ \t]*\S", front, re.IGNORECASE | re.MULTILINE))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Name the files, each once; in folders hidden files and other kinds are passed over."""
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise NotFound(f"There is no file or folder {path}.", remedy="Check the path.")
        for found in sorted(_below(path)) if path.is_dir() else [path]:
            if (real := found.resolve()) not in seen:
                seen.add(real)
                yield found


def _below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in KINDS:
                yield Path(where, name)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise BadInput(f"{path} is not a file.", remedy="Name a text, Markdown or HTML file, or a folder of them.")
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}.", remedy="Check that it is a file you may read."
        ) from error
    if len(raw) > LARGEST_FILE:
        msg = f"{path} is larger than {LARGEST_FILE // 1024 // 1024} MB."
        raise BadInput(msg, remedy="Split it into several articles; a letter shows only the beginning of each.")
    return raw


def _decoded(path: Path, raw: bytes) -> str:
    """Read UTF-8, or whatever a byte order mark names."""
    encoding = next((name for mark, name in _BOMS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        msg = f"{path}:{line}: the text is not {encoding.removesuffix('-sig').upper()}."
        raise BadInput(
            msg, remedy=f"Save it as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 '{path}' > new-file"
        ) from error
    if "\x00" in text:
        raise BadInput(f"{path} is not a text.", remedy="Save the article as text, Markdown or HTML.")
    return text
