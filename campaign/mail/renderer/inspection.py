"""What the finished HTML of a letter may contain, and where its slots stand. It never changes the HTML.

A letter reports nothing back and fetches nothing: no scripts, frames, forms, remote images, fonts or styles
(docs/templates.md). Readers may be watched, and mail programs would show a broken picture anyway.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_SLOT: Final = re.compile(r"\x02([a-z_]+\.[a-z_]+)\x03")
_FORBIDDEN: Final = frozenset(
    {"script", "iframe", "frame", "object", "embed", "applet", "form", "link", "base", "video", "audio", "svg", "math"}
)
_RAW: Final = frozenset({"style", "textarea", "noscript", "xmp", "plaintext", "noembed", "noframes"})
_LINKING: Final = frozenset({"href", "cite"})
_FETCHING: Final = frozenset(
    {"src", "srcset", "background", "poster", "data", "action", "formaction", "ping", "manifest"}
)
_SAFE_LINK: Final = re.compile(r"(?:https?://[^/]|mailto:|tel:|sms:|#|\x02links\.)", re.IGNORECASE)
_SAFE_SOURCE: Final = re.compile(r"cid:|data:image/(?:png|jpeg|gif);base64,", re.IGNORECASE)
_FETCHING_STYLE: Final = re.compile(r"@import|@font-face|url\s*\(|expression\s*\(|image-set\s*\(", re.IGNORECASE)
_SHEET_ELSEWHERE: Final = re.compile(r"<link|@import", re.IGNORECASE)
_PLACES: Final = "Print personal fields in running text, links in href, and nothing of them in styles or comments."
_NO_FETCHING: Final = "A letter may not fetch anything: readers could be watched by it. Leave it out."


class Objectionable(Exception):
    """Something that a letter may not contain: what, and what to do."""


def inspect_sheets(html: str) -> None:
    """Raise Objectionable for style sheets outside the letter, before anything could look for them."""
    if found := _SHEET_ELSEWHERE.search(html):
        raise Objectionable(f"{found[0]} would fetch a style sheet", _NO_FETCHING)


def inspect_html(html: str) -> list[str]:
    """Return for each slot in order where it stands, `html` or `attribute`; raise Objectionable for what may not be."""
    inspector = _Inspector()
    inspector.feed(html)
    inspector.close()
    if [name for name, _ in inspector.found] != _SLOT.findall(html):
        raise Objectionable("a personal field stands inside a tag, a comment or a declaration", _PLACES)
    return [place for _, place in inspector.found]


class _Inspector(HTMLParser):
    """Walks through HTML once."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Judge the element and its attributes."""
        if tag in _FORBIDDEN or (tag == "meta" and any(name == "http-equiv" for name, _ in attrs)):
            raise Objectionable(f"a letter may not contain <{tag}>", _NO_FETCHING)
        for name, value in attrs:
            _judge_attribute(tag, name, value or "")
            self.found += [(slot, "attribute") for slot in _SLOT.findall(value or "")]
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 -- the parser's own signature
        """Leave the element."""
        self._inside = ""

    def handle_data(self, data: str) -> None:
        """Note the slots in running text."""
        slots = _SLOT.findall(data)
        if slots and self._inside in _RAW:
            raise Objectionable(f"{slots[0]} stands inside <{self._inside}>", _PLACES)
        if self._inside == "style" and _FETCHING_STYLE.search(data):
            raise Objectionable("a style sheet would fetch something", _NO_FETCHING)
        self.found += [(slot, "html") for slot in slots]


def _judge_attribute(tag: str, name: str, value: str) -> None:
    link = value.strip()
    if name.startswith("on"):
        raise Objectionable(f"<{tag}> has a script in {name}", _NO_FETCHING)
    if name in _LINKING and link and not _SAFE_LINK.match(link):
        raise Objectionable(
            f"the link {link[:60]!r} is not a web, mail or telephone link", "Write it with https:// in front."
        )
    if name in _FETCHING and not _SAFE_SOURCE.match(link):
        raise Objectionable(f"<{tag}> would fetch {link[:60]!r}", _NO_FETCHING)
    if name == "style" and _FETCHING_STYLE.search(value):
        raise Objectionable(f"the style of <{tag}> would fetch something", _NO_FETCHING)
    for slot in _SLOT.findall(value):
        if name == "style" or (name in _LINKING) != slot.startswith("links."):
            raise Objectionable(f"{slot} stands in the attribute {name} of <{tag}>", _PLACES)
