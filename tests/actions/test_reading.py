"""Article files: encodings, web pages, and texts that go through an editor unharmed."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from campaign.actions import reading
from campaign.actions.extracting import markdown_of
from campaign.domain.articles import ArticleDraft, ArticleRefused, Sensitivity, parse_article
from campaign.domain.errors import BadInput, NotFound
from campaign.store.content import Article

LINE = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=100).map(lambda text: text.strip())
NAMED = LINE.filter(bool)
BODY = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Co", "Cn"], include_characters="\n"), min_size=1, max_size=400
)


def read(tmp_path: Path, name: str, raw: bytes) -> ArticleDraft:
    path = tmp_path / name
    path.write_bytes(raw)
    return reading.read_article(path, language="en").draft


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_with_and_without_a_mark_is_read(tmp_path: Path, encoding: str) -> None:
    draft = read(tmp_path, "a.txt", "Überschrift مقال\n\nText.\n".encode(encoding))
    assert draft.title == "Überschrift مقال"


def test_another_encoding_names_file_line_and_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, "a.txt", "Title\n\nA caf\xe9.\n".encode("latin-1"))
    assert "a.txt:3" in caught.value.message
    assert "iconv" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [
        ("big.txt", b"x" * (reading.LARGEST_FILE + 1), "larger than 5 MB"),
        ("zero.txt", b"Title\n\nA\x00B\n", "not a text"),
        ("picture.png", b"\x89PNG", "articles are read from"),
        ("empty.txt", b"", "empty.txt"),
        ("wide.html", b"<p>No title</p>", "neither <title> nor <h1>"),
    ],
)
def test_what_cannot_be_an_article_is_refused_by_name(tmp_path: Path, name: str, raw: bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        read(tmp_path, name, raw)
    assert name in caught.value.message
    assert caught.value.remedy


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(BadInput, match="not a file"):
        reading.read_article(tmp_path / "pipe.txt", language="en")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        reading.read_articles([tmp_path / "nowhere"], language="en")


def test_a_folder_that_contains_itself_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Title\n\nText.\n")
    (tmp_path / "again.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = reading.read_articles([tmp_path, tmp_path / "a.txt"], language="en")
    assert len(found.readings) == 1


def test_a_web_page_becomes_plain_markdown(tmp_path: Path) -> None:
    page = """<!doctype html><html lang="ES-mx"><head><title>Señales | A site</title>
        <meta name="description" content="What to look for."><style>p{color:red}</style></head>
        <body><nav><a href="/">Home</a></nav><h1>Señales</h1>
        <p onclick="evil()">Somebody <b>keeps</b> the <a href="https://example.org/x?a=1&amp;b=2" onmouseover="evil()">passport</a>.</p>
        <p><a href="javascript:evil()">Click</a> <a href="data:text/html,x">here</a><img src="https://example.org/pixel.gif"></p>
        <script>document.write("<p>evil</p>")</script><ul><li>One</li><li>Two</li></ul>
        <form action="https://example.org"><button>Send</button></form><footer>Imprint</footer></body></html>"""
    draft = read(tmp_path, "page.HTML", page.encode())
    assert (draft.title, draft.language, draft.summary) == ("Señales", "es-mx", "What to look for.")
    assert "**keeps**" in draft.body
    assert "[passport](https://example.org/x?a=1&b=2)" in draft.body
    assert "- One\n- Two" in draft.body
    for gone in ("evil", "javascript", "data:", "pixel", "color:red", "Home", "Imprint", "Send", "Señales", "<"):
        assert gone not in draft.body, gone


@pytest.mark.parametrize(
    "page",
    [
        "<title>T</title>" + "<blockquote>" * 20_000 + "x",
        "<title>T</title>" + "<b>" * 50_000 + "x",
        "<title>T</title>" + "<ul><li>" * 5_000 + "x",
    ],
)
def test_a_page_nested_without_end_is_refused_or_read_but_never_crashes(page: str) -> None:
    with suppress(ArticleRefused):
        assert "x" in markdown_of(page, "page.html")


@given(st.text(max_size=300))
def test_no_page_crashes_the_reader(text: str) -> None:
    markdown = markdown_of(f"<title>T</title>{text}", "page.html")
    assert "<script" not in markdown.lower()


@given(
    title=NAMED.filter(lambda text: text.isprintable()),
    summary=NAMED,
    source=LINE,
    body=BODY.filter(lambda text: bool(text.strip())),
    topics=st.lists(st.from_regex(r"[a-z]{1,8}(-[a-z0-9]{1,4})?", fullmatch=True), unique=True, max_size=4),
    sensitivity=st.sampled_from(list(Sensitivity)),
)
def test_an_article_goes_through_the_editor_unharmed(
    title: str, summary: str, source: str, body: str, topics: list[str], sensitivity: Sensitivity
) -> None:
    draft = ArticleDraft(
        "a-slug", title, summary, body.strip(), "en", tuple(sorted(topics)), source, sensitivity=sensitivity
    )
    assume_it_can_be_stored(draft)
    stored = as_stored(draft)
    again = parse_article(reading.as_text(stored), "a-slug", language="en")
    assert again.digest() == draft.digest()


def assume_it_can_be_stored(draft: ArticleDraft) -> None:
    """An article in the database came through the parser: its body does not repeat its title, and so on."""
    heading = draft.body.splitlines()[0].strip() if draft.body else ""
    assume(heading.lstrip("#").strip(" \t#") != draft.title)


def as_stored(draft: ArticleDraft) -> Article:
    now = datetime(2027, 6, 1, tzinfo=UTC)
    values = {name: value for name, value in asdict(draft).items() if name != "remarks"}
    return Article(id=1, digest=draft.digest(), created_at=now, changed_at=now, **values)


def test_fields_are_rewritten_one_by_one() -> None:
    draft = parse_article("# A title\n\nText.\n", "a.md")
    text = reading.rewritten(
        reading.as_text(as_stored(draft)), {"title": ' "Quoted" \n words ', "topics": ""}, "Other."
    )
    again = parse_article(text, "a.md")
    assert (again.title, again.body) == ('"Quoted" words', "Other.")
