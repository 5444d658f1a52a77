"""The filters that letters have beyond Jinja2's own: dates, plurals, sentences with gaps, Markdown, laid-out text.

They take and give plain values and never read anything.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from jinja2 import pass_context, pass_eval_context
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from markupsafe import Markup, escape

from campaign.mail.renderer import prose

TEXT_WIDTH: Final = 72
_GAP: Final = re.compile(r"\{([a-z_]+)\}")
_WIDEST: Final = 200
_DATE_FORMS: Final = frozenset(
    {"full", "long", "medium", "short", "d", "MMMM", "MMM", "EEEE", "y", "d MMMM", "MMMM d", "MMMM y"}
)
_LINK: Final = re.compile(r"(?:https?://[^\s<>\"]+|mailto:[^\s<>\"]+)", re.IGNORECASE)
_NOT_DIALLED: Final = re.compile(r"[^0-9+]")


@pass_context
def in_words(context: Context, value: str | None, form: str = "long") -> str:
    """`{{ key_date.date|date }}`: a day (`2027-07-30`) as the letter's language writes it; nothing for nothing."""
    if not value:
        return ""
    if form not in _DATE_FORMS:
        raise ValueError(f"date has no form {form!r}; there is: {', '.join(sorted(_DATE_FORMS))}")
    day = datetime.fromisoformat(value).date() if len(value) > len("2027-07-30") else date.fromisoformat(value)
    return str(format_date(day, form, _locale(context)))


@pass_context
def plural(context: Context, forms: Mapping[str, str], number: int) -> str:
    """`{{ words.in_days|plural(n) }}`: the form for this number by the rules of the language, its `{n}` filled in."""
    form = forms.get(_locale(context).plural_form(number)) or forms["other"]
    return form.replace("{n}", str(number))


@pass_eval_context
def fill(context: EvalContext, pattern: str, **values: object) -> str:
    """`{{ words.theme|fill(theme=key_date.theme) }}`: a sentence with its `{gaps}` filled in; in HTML, escaped."""
    if context.autoescape:
        safe = {name: str(escape(value)) for name, value in values.items()}
        return Markup(_GAP.sub(lambda gap: safe.get(gap[1], gap[0]), str(escape(pattern))))  # noqa: S704 -- both escaped above
    return _GAP.sub(lambda gap: str(values.get(gap[1], gap[0])), pattern)


def markdown(text: str | None) -> Markup:
    """`{{ article.body|markdown }}`: Markdown as sanitised HTML."""
    return Markup(prose.to_html(text or ""))  # noqa: S704 -- sanitised by nh3


def plain(text: str | None, width: int = TEXT_WIDTH, indent: str = "") -> str:
    """`{{ article.body|plain }}`: Markdown as laid-out plain text."""
    return prose.to_text(text or "", width=min(width, _WIDEST) - len(indent), indent=indent[:_WIDEST])


def wrap(text: str | None, width: int = TEXT_WIDTH, indent: str = "", first: str | None = None) -> str:
    """`{{ why|wrap }}`: a paragraph in lines of at most `width` columns, after `indent`, the first after `first`."""
    return prose.filled(text or "", width=min(width, _WIDEST), first=indent if first is None else first, indent=indent)


def underline(text: str, mark: str = "=") -> str:
    """`{{ title|underline }}`: a heading in plain text, wrapped, with a line below as long as its longest line."""
    lines = textwrap.wrap(" ".join(text.split()), TEXT_WIDTH) or [""]
    return "\n".join([*lines, mark[:1] * max(map(len, lines))])


def link(url: str | None) -> str:
    """`href="{{ article.url|link }}"`: the address if it is a web or mail link, and nothing otherwise."""
    return url if url and _LINK.fullmatch(url) else ""


def tel(number: str) -> str:
    """`href="{{ helpline.phone|tel }}"`: a telephone number as a link."""
    return f"tel:{_NOT_DIALLED.sub('', number)}"


def _locale(context: Context) -> Locale:
    """Take the letter's language; English is the international one (30 July 2027, not July 30, 2027)."""
    language = str(context.get("language") or "en").replace("-", "_")
    for candidate in (language if language != "en" else "en_001", language.partition("_")[0], "en_001"):
        try:
            return Locale.parse(candidate)
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "date": in_words,
    "fill": fill,
    "link": link,
    "markdown": markdown,
    "plain": plain,
    "plural": plural,
    "tel": tel,
    "underline": underline,
    "wrap": wrap,
}
