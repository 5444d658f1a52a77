"""Markdown as safe HTML for a letter, and as well laid-out plain text that says the same. It never fetches anything."""

from __future__ import annotations

import re
import textwrap
from functools import lru_cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False})
_HEADINGS: Final = {"h1": "h3", "h2": "h3", "h3": "h4", "h4": "h4", "h5": "h4", "h6": "h4"}
_TAGS: Final = {"p", "br", "hr", "strong", "em", "a", "ul", "ol", "li", "blockquote", "code", "pre", "h3", "h4"}
_CLEANER: Final = nh3.Cleaner(
    tags=_TAGS,
    attributes={"a": {"href"}, "ol": {"start"}},
    url_schemes={"http", "https", "mailto", "tel"},
    url_relative="deny",
    link_rel=None,
)
_SHOWN_LINK: Final = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)
_NARROWEST: Final = 24
_REMEMBERED: Final = 64
"""Bodies kept ready: a letter that is rendered for each person asks for the same few each time."""
_RULE: Final = "* * *"
_UNDER_HEADING: Final = "~"
"""Below the letter's own headings stand = and -."""


@lru_cache(_REMEMBERED)
def to_html(markdown: str) -> str:
    """Return Markdown as sanitised HTML: headings from h3 on (h1, h2 are the letter's own), pictures as their text."""
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        token.tag = _HEADINGS.get(token.tag, token.tag)
        token.children = [_without_picture(child) for child in token.children or []] or token.children
    return _CLEANER.clean(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})).strip()


@lru_cache(_REMEMBERED)
def to_text(markdown: str, *, width: int = 72, indent: str = "") -> str:
    """Return Markdown as plain text in lines of at most `width` columns (links stay whole), each after `indent`."""
    blocks = _blocks(SyntaxTreeNode(_MARKDOWN.parse(markdown)).children, max(width, _NARROWEST))
    return "\n".join(f"{indent}{line}".rstrip() for line in "\n\n".join(blocks).split("\n"))


def filled(text: str, *, width: int, first: str = "", indent: str = "") -> str:
    """Return one paragraph wrapped between words only; its own line breaks are kept."""
    lines: list[str] = []
    for line in text.split("\n"):
        before = indent if lines else first
        wrapped = textwrap.wrap(
            line, width, initial_indent=before, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines += wrapped or [before.rstrip()]
    return "\n".join(lines)


def _without_picture(token: Token) -> Token:
    return Token("text", "", 0, content=token.content) if token.type == "image" else token


def _blocks(nodes: list[SyntaxTreeNode], width: int) -> list[str]:
    return [text for text in (_block(node, width) for node in nodes) if text]


def _block(node: SyntaxTreeNode, width: int) -> str:
    match node.type:
        case "heading":
            text = filled(_inline(node), width=width)
            return f"{text}\n{_UNDER_HEADING * max(map(len, text.split(chr(10))))}"
        case "bullet_list" | "ordered_list":
            return _list(node, width)
        case "blockquote":
            quoted = "\n\n".join(_blocks(node.children, max(width - 2, _NARROWEST)))
            return "\n".join(f"> {line}".rstrip() for line in quoted.split("\n"))
        case "fence" | "code_block":
            return textwrap.indent(node.content.rstrip("\n"), "    ")
        case "hr":
            return _RULE.center(width).rstrip()
        case _:
            return filled(_inline(node), width=width)


def _list(node: SyntaxTreeNode, width: int) -> str:
    items = []
    number = int(str(node.attrs.get("start", 1)))
    tight = all(child.hidden for item in node.children for child in item.children if child.type == "paragraph")
    for place, item in enumerate(node.children):
        mark = f"{number + place}. " if node.type == "ordered_list" else "- "
        body = ("\n" if tight else "\n\n").join(_blocks(item.children, max(width - len(mark), _NARROWEST)))
        items.append(mark + textwrap.indent(body, " " * len(mark)).lstrip(" "))
    return ("\n" if tight else "\n\n").join(items)


def _inline(node: SyntaxTreeNode) -> str:
    """Return the text of a paragraph or heading; a link shows where it leads unless its text says so already."""
    match node.type:
        case "text" | "code_inline" | "html_inline" | "image":
            return node.content
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "link":
            text = "".join(map(_inline, node.children))
            url = str(node.attrs.get("href", ""))
            if not _SHOWN_LINK.match(url) or url in {text, f"mailto:{text}", f"tel:{text}"}:
                return text
            return f"{text} ({url})" if text else url
        case _:
            return "".join(map(_inline, node.children))
