"""How an article is written down: front matter and Markdown, or plain text. It reads text that others fetched."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput
from campaign.domain.localtime import parse_day
from campaign.domain.plaintext import MAX_TITLE, read_plain_text, shortened
from campaign.domain.shapes import MAX_LINE, is_language, is_line, is_link, is_slug

MAX_BODY: Final = 200_000
_MAX_SUMMARY: Final = 300
_MAX_MADE_SLUG: Final = 60
_FENCE: Final = "---"
_PAIR: Final = re.compile(r"(?P<key>[A-Za-z][A-Za-z_-]*)[ \t]*:(?:[ \t]+(?P<value>.*))?")
_HEADING: Final = re.compile(r"#[ \t]+(?P<title>.+?)[ \t]*#*")
_MARKS: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[*_`#>]+|\\(?=[^\w\s])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]")
_OTHER_NAMES: Final = {
    "lang": "language",
    "date": "published",
    "published_on": "published",
    "tags": "topics",
    "description": "summary",
}


class ArticleRefused(BadInput):
    """That is not an article that can be stored."""

    code = "article_refused"


class Sensitivity(StrEnum):
    """What a reader may want to know before reading on."""

    NONE = "none"
    MENTIONS_VIOLENCE = "mentions violence"
    SURVIVOR_STORY = "survivor story"


class ArticleStatus(StrEnum):
    """Whether digests may choose it: a draft waits for somebody, a retired one has had its time."""

    DRAFT = "draft"
    READY = "ready"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class ArticleDraft:
    """An article as it was written; body is Markdown. `remarks` say what somebody should look at before it goes out.

    The versions of one article in several languages share its slug. Facts are good up to and on `review_on`.
    """

    slug: str
    title: str
    summary: str
    body: str
    language: str
    topics: tuple[str, ...] = ()
    source_name: str = ""
    source_url: str = ""
    published_on: date | None = None
    review_on: date | None = None
    sensitivity: Sensitivity = Sensitivity.NONE
    status: ArticleStatus = ArticleStatus.DRAFT
    remarks: tuple[str, ...] = ()

    def digest(self) -> bytes:
        """Give 32 bytes that change with anything a reader would see; status and remarks are not among it."""
        seen = {name: value for name, value in asdict(self).items() if name not in {"status", "remarks"}}
        return hashlib.sha256(json.dumps(seen, sort_keys=True, default=str).encode()).digest()


def parse_article(text: str, origin: str, *, language: str = "en") -> ArticleDraft:
    """Read Markdown with front matter between `---` lines, or without; raise ArticleRefused naming every mistake.

    `origin` is the file's name for messages, and the slug where the title gives none. `language` is for articles that
    do not name theirs.
    """
    lines = _lines(text)
    fields, body_from, mistakes = _front_matter(lines)
    body = lines[body_from:]
    while body and not body[0].strip():
        body, body_from = body[1:], body_from + 1
    heading, length = _heading(body, bare=not fields)
    if heading and fields.get("title", (0, heading))[1] == heading:
        fields.setdefault("title", (body_from + 1, heading))
        body = body[length:]
    return _draft(fields, "\n".join(body).strip(), origin, language, (mistakes, ()))


def parse_plain_article(text: str, origin: str, *, language: str = "en") -> ArticleDraft:
    """Read plain text: the first line is the title, the rest the body; raise ArticleRefused naming every mistake."""
    found = read_plain_text("\n".join(_lines(text)))
    names = "; ".join(found.sources)
    fields = {"title": (1, found.title), "source_url": (1, found.source_url)}
    fields["source_name"] = (1, names if len(names) <= MAX_LINE else f"{names[: MAX_LINE - 1]}…")
    return _draft(fields, found.body, origin, language, ((), found.remarks))


def _heading(body: Sequence[str], *, bare: bool) -> tuple[str, int]:
    """Find the title at the head of a text and the number of lines it takes: `# Title`, `Title` over `===`.

    In a text without front matter (`bare`) a short first line of its own is a title, too.
    """
    first, second = ([line.strip() for line in body[:2]] + ["", ""])[:2]
    if found := _HEADING.fullmatch(first):
        return found["title"], 1
    if first and re.fullmatch("=+", second):
        return first, 2
    alone = bare and not second and len(first) <= MAX_TITLE and first[:1].isalnum()
    return (first, 1) if alone else ("", 0)


def slug_for(title: str, origin: str = "") -> str:
    """Make a slug of a title, or of a file's name where the title has no Latin letters; nothing where neither has."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,8}$", "", re.split(r"[/\\]", origin)[-1])
    for text in (title, stem):
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
        words = re.findall("[a-z0-9]+", plain)
        while len("-".join(words)) > _MAX_MADE_SLUG and len(words) > 1:
            words.pop()
        if words:
            return "-".join(words)[:_MAX_MADE_SLUG]
    return ""


def _lines(text: str) -> list[str]:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


_Fields = dict[str, tuple[int, str]]


def _front_matter(lines: list[str]) -> tuple[_Fields, int, list[str]]:
    """Read the pairs between the fences, with their line numbers, and give the line at which the body begins."""
    if lines[0].rstrip() != _FENCE:
        toml = lines[0].rstrip() == "+++"
        return {}, 0, ["1: front matter in TOML is not read; write key: value between lines of ---"] if toml else []
    ends = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if ends is None:
        return {}, len(lines), ["1: the front matter is not closed; add a line of --- before the text"]
    fields: _Fields = {}
    mistakes: list[str] = []
    for number, line in enumerate(lines[1:ends], 2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _PAIR.fullmatch(line.rstrip())
        if found is None:
            mistakes.append(f"{number}: {printable(line.strip())} is not key: value on one line")
            continue
        key = found["key"].lower().replace("-", "_")
        key = _OTHER_NAMES.get(key, key)
        if key in fields:
            mistakes.append(f"{number}: {key} is there twice")
        fields[key] = (number, _unquoted((found["value"] or "").strip()))
    return fields, ends + 1, mistakes


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1].strip() if quoted else value


def _topics(value: str) -> tuple[str, ...]:
    """Read `a, b` or `[a, "b c"]`; spaces and capitals become what slugs have."""
    inner = value[1:-1] if value[:1] == "[" and value[-1:] == "]" else value
    words = [_unquoted(part.strip()).lower().replace(" ", "-").replace("_", "-") for part in inner.split(",")]
    return tuple(dict.fromkeys(word for word in words if word))


def _fitting(fits: Callable[[object], bool], wanted: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not fits(value):
            raise BadInput(f"{printable(value)} is not {wanted}")
        return value

    return read


def _topic_list(value: str) -> tuple[str, ...]:
    topics = _topics(value)
    if not all(is_slug(topic) for topic in topics):
        raise BadInput(f"{printable(value)} is not a list of topics: words of letters and digits, commas between them")
    return topics


def _choice(kind: type[StrEnum], value: str) -> StrEnum:
    wanted = value.lower().replace("-", " ").replace("_", " ")
    if wanted not in list(kind):
        raise BadInput(f"{printable(value)} is not one of {', '.join(kind)}")
    return kind(wanted)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "title": _fitting(
        lambda v: is_line(v, MAX_TITLE), f"a title: it must be one line of at most {MAX_TITLE} characters"
    ),
    "slug": _fitting(is_slug, "a slug: write small letters, digits and hyphens"),
    "summary": _fitting(lambda v: is_line(v, MAX_LINE), f"a summary: it must have at most {MAX_LINE} characters"),
    "language": _fitting(is_language, "a language tag such as en or pt-BR"),
    "topics": _topic_list,
    "source_name": _fitting(is_line, f"a source's name: it must have at most {MAX_LINE} characters"),
    "source_url": _fitting(lambda v: is_link(v, "http", "https"), "a link such as https://example.org/report"),
    "published": parse_day,
    "review_on": parse_day,
    "sensitivity": lambda value: _choice(Sensitivity, value),
    "status": lambda value: _choice(ArticleStatus, value),
}


def _draft(
    fields: _Fields, body: str, origin: str, language: str, found: tuple[Sequence[str], Sequence[str]]
) -> ArticleDraft:
    """Read each field, add what is missing, and give the draft or every mistake; `found` are mistakes and remarks."""
    mistakes, remarks = list(found[0]), list(found[1])
    values: dict[str, Any] = {}
    for key, (number, value) in fields.items():
        try:
            read = _reader(key)
            values |= {key: read(value)} if value else {}
        except BadInput as error:
            mistakes.append(f"{number}: {error}")
    title = values.get("title", "")
    slug = values.get("slug") or slug_for(title, origin)
    mistakes += _whole(title, fields, slug, body)
    if mistakes:
        mistakes.sort(key=lambda mistake: int(mistake.partition(":")[0]))
        raise ArticleRefused("\n".join(f"{origin}:{one}" for one in mistakes), remedy="Mend each and import it again.")
    if "review_on" not in values:
        remarks.append("it has no review_on date, so nobody will be reminded when its figures are old")
    if not values.get("source_name"):
        remarks.append("it names no source")
    return ArticleDraft(
        slug=slug,
        title=title,
        summary=values.get("summary") or summary_of(body),
        body=body,
        language=values.get("language", language),
        topics=values.get("topics", ()),
        source_name=values.get("source_name", ""),
        source_url=values.get("source_url", ""),
        published_on=values.get("published"),
        review_on=values.get("review_on"),
        sensitivity=values.get("sensitivity", Sensitivity.NONE),
        status=values.get("status", ArticleStatus.DRAFT),
        remarks=tuple(remarks),
    )


def _reader(key: str) -> Callable[[str], Any]:
    """Find what reads a field; raise BadInput with the one that was perhaps meant."""
    if key in _READERS:
        return _READERS[key]
    near = difflib.get_close_matches(key[:40], _READERS, n=1)
    known = f"did you mean {near[0]}?" if near else f"known are {', '.join(_READERS)}"
    raise BadInput(f"{printable(key)} is not a field of an article; {known}")


def _whole(title: str, fields: _Fields, slug: str, body: str) -> Iterator[str]:
    """Name what an article cannot do without."""
    if not title and not fields.get("title", (0, ""))[1]:
        yield "1: it has no title; add title: in the front matter, or begin the text with # and the title"
    if title and not slug:
        yield "1: neither title nor file name gives a slug; add slug: in small letters, digits and hyphens"
    if not body.strip():
        yield "1: it has no text"
    if len(body) > MAX_BODY:
        yield f"1: its text has {len(body)} characters; {MAX_BODY} are the most"
    if bad := _CONTROL.search(body):
        yield f"1: its text holds the character U+{ord(bad[0]):04X}, which no letter may carry"


def summary_of(body: str) -> str:
    """Give the beginning of the first paragraph without its Markdown, as long as a summary may be."""
    paragraphs = [part for part in re.split(r"\n\s*\n", body) if not part.lstrip().startswith(("#", "!", "|", "```"))]
    plain = _MARKS.sub(r"\1", paragraphs[0] if paragraphs else body)
    return shortened(plain, _MAX_SUMMARY)
