"""How plain text becomes Markdown that means the same: paragraphs, lists, sources. It knows no article's fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from campaign.domain.shapes import is_link

MAX_TITLE: Final = 150

_ITEM: Final = re.compile(r"(?:[-*\u2022\u2023\u2013]|(?P<number>[0-9]{1,3})[.)])[ \t]+(?P<text>\S.*)")
_SOURCES: Final = re.compile(r"(?:sources?|references?|quellen?|fuentes?|fontes?)\s*:\s*(?P<rest>.*)", re.IGNORECASE)
_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>&~|#])")
_LEADING: Final = re.compile(r"^([-+=]|[0-9]+(?=[.)]))")
_SENTENCE: Final = re.compile(r"(?<=[.!?…])\s")


@dataclass(frozen=True, slots=True)
class PlainText:
    """What was found in a plain text: a title, the body as Markdown, and the sources named at its end."""

    title: str
    body: str
    sources: tuple[str, ...] = ()
    source_url: str = ""
    remarks: tuple[str, ...] = ()


def read_plain_text(text: str) -> PlainText:
    """Take the first line as the title and the rest as the body, and lose nothing.

    A first line too long for a title stays in the body, and its beginning serves as the title until somebody writes
    a better one. Where no blank line stands between paragraphs, each line is one.
    """
    lines = [line.rstrip() for line in text.strip().splitlines()]
    lines, sources = _without_sources(lines)
    remarks: tuple[str, ...] = ()
    title, rest = (lines[0].strip(), lines[1:]) if lines else ("", [])
    if len(title) > MAX_TITLE or not any(line.strip() for line in rest):
        title, rest = shortened(title, MAX_TITLE // 2), lines
        remarks = ("the first line is a paragraph, not a title; its beginning serves as one until you write a better",)
    links = [link.rstrip(".,;)") for source in sources for link in _LINK.findall(source)]
    body = "\n\n".join(_blocks(rest))
    return PlainText(
        title, body, sources, next((link for link in links if is_link(link, "http", "https")), ""), remarks
    )


def shortened(text: str, most: int) -> str:
    """Give as many whole sentences from a text's beginning as fit, or a part of the first, cut at a word."""
    sentences = _SENTENCE.split(" ".join(text.split()))
    taken = sentences[0]
    for sentence in sentences[1:]:
        if len(taken) + 1 + len(sentence) > most:
            break
        taken = f"{taken} {sentence}"
    if len(taken) <= most:
        return taken
    return f"{taken[: most - 1].rpartition(' ')[0] or taken[: most - 1]}…"


def _without_sources(lines: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Split off a list under `Sources:` that ends the text; a longer text after it shows that it is none."""
    for number, line in enumerate(lines):
        found = _SOURCES.fullmatch(line.strip())
        if found is None:
            continue
        after = [entry.strip() for entry in lines[number + 1 :] if entry.strip()]
        items = [_ITEM.fullmatch(entry) for entry in after]
        if all(items) and (after or found["rest"]):
            named = [found["rest"], *(item["text"] for item in items if item)]
            return lines[:number], tuple(name.strip() for name in named if name.strip())
    return lines, ()


def _blocks(lines: list[str]) -> Iterator[str]:
    """Give each paragraph and each list as one block of Markdown."""
    for chunk in _chunks(lines):
        items = [_ITEM.fullmatch(line) for line in chunk]
        if all(items):
            marks = [f"{item['number']}." if item["number"] else "-" for item in items if item]
            yield "\n".join(f"{mark} {_escaped(item['text'])}" for mark, item in zip(marks, items, strict=True) if item)
        else:
            yield _escaped(" ".join(chunk))


def _chunks(lines: list[str]) -> Iterator[list[str]]:
    """Group the lines: by blank lines where there are any, else each line alone; items of a list stay together."""
    apart = not any(not line.strip() for line in lines)
    chunk: list[str] = []
    for line in (line.strip() for line in lines):
        listed = bool(_ITEM.fullmatch(line))
        goes_on = bool(chunk) and bool(_ITEM.fullmatch(chunk[-1])) is listed and (listed or not apart)
        if chunk and not (line and goes_on):
            yield chunk
            chunk = []
        if line:
            chunk.append(line)
    if chunk:
        yield chunk


def _escaped(text: str) -> str:
    """Keep Markdown from reading meaning into signs that have none."""
    return _LEADING.sub(lambda found: _lead(found[1]), _SPECIAL.sub(r"\\\1", text))


def _lead(sign: str) -> str:
    """Escape a sign at the start of a block; after a number it is the point that must go."""
    return f"{sign}\\" if sign.isdigit() else f"\\{sign}"
