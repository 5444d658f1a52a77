"""Turns a web page into an article's Markdown: plain structure and links, nothing that runs. It fetches nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

import nh3
from markdownify import MarkdownConverter

from campaign.domain.articles import ArticleRefused
from campaign.domain.plaintext import MAX_TITLE, shortened
from campaign.domain.shapes import MAX_LINE

_KEPT_TAGS: Final = frozenset(
    {
        "a",
        "b",
        "blockquote",
        "br",
        "code",
        "dd",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "li",
        "ol",
        "p",
        "pre",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    }
)
_DROPPED_WITH_CONTENT: Final = frozenset(
    {
        "script",
        "style",
        "head",
        "title",
        "noscript",
        "template",
        "iframe",
        "object",
        "embed",
        "svg",
        "math",
        "canvas",
        "audio",
        "video",
        "form",
        "button",
        "select",
        "textarea",
        "nav",
        "footer",
        "aside",
    }
)


def markdown_of(html: str, origin: str) -> str:
    """Turn a page into Markdown with front matter: only plain structure and http(s) links are left."""
    about = _About()
    about.feed(html)
    about.close()
    clean = nh3.clean(
        html,
        tags=set(_KEPT_TAGS),
        clean_content_tags=set(_DROPPED_WITH_CONTENT),
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    try:
        body = MarkdownConverter(
            heading_style="atx",
            bullets="-",
        ).convert(clean)
    except RecursionError as error:
        raise ArticleRefused(
            f"{origin}: the page is nested too deeply.", remedy="Save its text in a .txt file."
        ) from error
    return _with_front_matter(about, body, origin)


def _with_front_matter(about: _About, body: str, origin: str) -> str:
    title = about.best_title()
    if not title:
        raise ArticleRefused(
            f"{origin}: the page has neither <title> nor <h1>.", remedy="Add one with the article's title."
        )
    lines = [line.rstrip() for line in body.strip().splitlines()]
    if lines and title and re.sub(r"\W+", "", lines[0]) == re.sub(r"\W+", "", title):
        lines = lines[1:]  # the heading that has become the title
    front = [("title", title), ("language", about.language), ("summary", about.summary)]
    pairs = [f'{name}: "{value}"' for name, value in front if value]
    return "\n".join(["---", *pairs, "---", "", re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), ""])


def _printable(text: str) -> str:
    """Give text on one line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@dataclass
class _Heard:
    """Text gathered for one element."""

    pieces: list[str] = field(default_factory=list)

    def text(self) -> str:
        return shortened(_printable("".join(self.pieces)), MAX_TITLE)


class _About(HTMLParser):
    """Listens to a page for its title, first heading, language and description."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.language = ""
        self.summary = ""
        self._heard = {"title": _Heard(), "h1": _Heard()}
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in self._heard and not self._heard[tag].pieces:
            self._open = tag
        elif tag == "html" and re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", given.get("lang", "")):
            language, _, rest = given["lang"].partition("-")
            self.language = f"{language.lower()}-{rest}" if rest else language.lower()
        elif tag == "meta" and given.get("name", "").lower() == "description":
            self.summary = shortened(_printable(given.get("content", "")), MAX_LINE)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._heard[self._open].pieces.append(data)

    def best_title(self) -> str:
        """Prefer the heading where the page's title only adds the site's name to it."""
        title, heading = (self._heard[tag].text() for tag in ("title", "h1"))
        return heading if heading and (not title or title.casefold().startswith(heading.casefold())) else title
