"""Articles as they are written: front matter, Markdown, plain text, and every mistake with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from campaign.domain.articles import (
    ArticleDraft,
    ArticleRefused,
    ArticleStatus,
    Sensitivity,
    parse_article,
    parse_plain_article,
    slug_for,
    summary_of,
)
from campaign.domain.plaintext import read_plain_text, shortened

SHIPPED = sorted((Path(__file__).parents[2] / "config" / "articles").glob("*.md"))
FULL = """---
# a comment
title: "Seven questions: what to ask"
slug: seven-questions
summary: What a buyer can ask.
language: en-GB
topics: [Supply Chains, forced_labour, "supply chains"]
source_name: ILO, Indicators of Forced Labour
source_url: https://www.ilo.org/

published: 2026-05-04
review_on: 2028-05-04
sensitivity: mentions violence
status: ready
---

First paragraph, with **weight**.

Second.
"""


def words_shown(markdown: str) -> list[str]:
    """What a reader sees of some Markdown, word by word, list marks aside."""
    html = MarkdownIt("commonmark", {"html": False}).render(markdown)
    assert not re.search(r"<(?!/?(?:p|ul|ol|li)\b)", html), html
    text = re.sub(r"<[^>]+>", " ", html)
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        text = text.replace(entity, sign)
    return text.split()


def test_everything_in_the_front_matter_is_read() -> None:
    assert parse_article(FULL, "a.md") == ArticleDraft(
        slug="seven-questions",
        title="Seven questions: what to ask",
        summary="What a buyer can ask.",
        body="First paragraph, with **weight**.\n\nSecond.",
        language="en-GB",
        topics=("supply-chains", "forced-labour"),
        source_name="ILO, Indicators of Forced Labour",
        source_url="https://www.ilo.org/",
        published_on=date(2026, 5, 4),
        review_on=date(2028, 5, 4),
        sensitivity=Sensitivity.MENTIONS_VIOLENCE,
        status=ArticleStatus.READY,
    )


def test_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    for other in ("\ufeff" + FULL, FULL.replace("\n", "\r\n"), FULL.replace("\n", "\r")):
        assert parse_article(other, "a.md") == parse_article(FULL, "a.md")


def test_the_names_that_other_programs_use_are_understood() -> None:
    draft = parse_article("---\nTitle: T\nlang: fr\ndate: 2026-01-02\ntags: a, b\ndescription: D\n---\nText.", "a.md")
    assert (draft.language, draft.published_on, draft.topics, draft.summary) == (
        "fr",
        date(2026, 1, 2),
        ("a", "b"),
        "D",
    )


def test_what_is_missing_gets_a_careful_default() -> None:
    draft = parse_article("# A day in July\n\nIt is kept *each* year. And more.\n", "notes/file.md", language="es")
    assert (draft.title, draft.slug, draft.language) == ("A day in July", "a-day-in-july", "es")
    assert draft.summary == "It is kept each year. And more."
    assert (draft.status, draft.sensitivity) == (ArticleStatus.DRAFT, Sensitivity.NONE)
    assert (draft.published_on, draft.review_on, draft.topics) == (None, None, ())
    assert len(draft.remarks) == 2


@pytest.mark.parametrize(
    ("text", "title", "body"),
    [
        ("# Title\nText", "Title", "Text"),
        ("\n\n# Title #\n\nText", "Title", "Text"),
        ("Title\n=====\nText", "Title", "Text"),
        ("Title\n\nText", "Title", "Text"),
        ("---\ntitle: Other\n---\n# Title\n\nText", "Other", "# Title\n\nText"),
        ("---\ntitle: Title\n---\n# Title\n\nText", "Title", "Text"),
        ("---\nstatus: draft\n---\n# Title\n\nText", "Title", "Text"),
    ],
)
def test_the_title_may_stand_in_the_text(text: str, title: str, body: str) -> None:
    draft = parse_article(text, "a.md")
    assert (draft.title, draft.body) == (title, body)


def test_every_mistake_is_named_with_its_line() -> None:
    text = (
        "---\ntitle: T\ntitel: U\ntitle: T\nlanguage: english\npublished: 30/07/2027\nsensitivity: gory\n"
        "status: published\nslug: No Slug\nsource_url: javascript:alert(1)\nnonsense\ntopics: a, ?\n---\n\n"
    )
    with pytest.raises(ArticleRefused) as caught:
        parse_article(text, "bad.md")
    told = caught.value.message.splitlines()
    assert [line.split(":")[1] for line in told] == ["1", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]
    for line, expected in zip(
        told,
        ["no text", "did you mean title?", "there twice", "language tag", "2027-07-30", "none, mentions violence",
         "draft, ready, retired", "slug", "link", "key: value", "topics"],
        strict=True,
    ):  # fmt: skip
        assert line.startswith("bad.md:")
        assert expected in line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no title"),
        ("---\ntitle: T\nText without an end", "not closed"),
        ("+++\ntitle = 'T'\n+++\nText", "TOML is not read"),
        ("---\ntitle: T\n---\n \n", "no text"),
        ("---\ntitle: اسم\n---\nText", "gives a slug"),
        ("---\ntitle: T\n---\nText\x00", r"U\+0000"),
        ("---\ntitle: T\n---\nText \u202e txet", r"U\+202E"),
        ("---\ntitle: T\u202e\n---\nText", "one line"),
        (f"---\ntitle: {'T' * 151}\n---\nText", "150 characters"),
        (f"---\ntitle: T\n---\n{'x' * 200_001}", "200000 are the most"),
        (f"---\n{'x' * 5000}: T\n---\nText", "not a field"),
    ],
)
def test_what_cannot_be_stored_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ArticleRefused, match=reason) as caught:
        parse_article(text, "")
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("title", "origin", "slug"),
    [
        ("What is trafficking? Five facts", "", "what-is-trafficking-five-facts"),
        ("Día Mundial contra la Trata", "", "dia-mundial-contra-la-trata"),
        ("اسم", "folder/world-day.ar.md", "world-day-ar"),
        ("اسم", "C:\\texts\\World Day.txt", "world-day"),
        ("اسم", "", ""),
        ("word " * 40, "", "-".join(["word"] * 12)),
        ("x" * 90, "", "x" * 60),
    ],
)
def test_slugs(title: str, origin: str, slug: str) -> None:
    assert slug_for(title, origin) == slug


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ("One. Two.\n\nThree.", "One. Two."),
        ("# Head\n\nA [link](https://example.org) and `code` here. More.", "A link and code here. More."),
        ("![A picture](x.png)\n\nText *strong*.", "Text strong."),
        ("word " * 100, "word " * 58 + "word…"),
        ("Short. " + "word " * 100, "Short."),
    ],
)
def test_summaries(body: str, summary: str) -> None:
    assert summary_of(body) == summary


@given(st.text(max_size=400), st.integers(10, 80))
def test_a_shortened_text_is_short_and_its_beginning(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    assert " ".join(text.split()).startswith(short.removesuffix("…"))


def test_the_digest_follows_what_readers_see() -> None:
    draft = parse_article(FULL, "a.md")
    assert len(draft.digest()) == 32
    assert parse_article(FULL, "elsewhere.md").digest() == draft.digest()
    assert parse_article(FULL.replace("status: ready", "status: draft"), "a.md").digest() == draft.digest()
    for before, after in (("Second.", "Third."), ("2028-05-04", "2029-05-04"), ("en-GB", "en"), ("forced_", "")):
        assert parse_article(FULL.replace(before, after), "a.md").digest() != draft.digest()


PLAIN = """A day in July

The day has been kept since 2014. It is
for everybody.

* one thing
* another_thing

1. first
2. second

# 50 million < 60 & more *really*

Sources:
- UN, A/RES/68/192, https://undocs.org/en/A/RES/68/192.
- ILO 2022
"""


def test_plain_text_becomes_markdown_that_says_the_same() -> None:
    draft = parse_plain_article(PLAIN, "july.txt")
    assert draft.title == "A day in July"
    assert draft.body.split("\n\n") == [
        "The day has been kept since 2014. It is for everybody.",
        "- one thing\n- another\\_thing",
        "1. first\n2. second",
        "\\# 50 million \\< 60 \\& more \\*really\\*",
    ]
    assert draft.source_name == "UN, A/RES/68/192, https://undocs.org/en/A/RES/68/192.; ILO 2022"
    assert draft.source_url == "https://undocs.org/en/A/RES/68/192"
    assert draft.status is ArticleStatus.DRAFT


def test_lines_without_blank_ones_between_them_are_paragraphs() -> None:
    found = read_plain_text("Title\nFirst paragraph.\nSecond paragraph.\n- a\n- b\nThird.")
    assert found.body == "First paragraph.\n\nSecond paragraph.\n\n- a\n- b\n\nThird."


def test_a_first_line_too_long_for_a_title_loses_nothing() -> None:
    long = "ROME - " + "A long opening sentence that nobody would call a title, " * 4 + "ends."
    found = read_plain_text(f"{long}\nMore.")
    assert found.title.startswith("ROME - A long opening")
    assert len(found.title) <= 75
    assert found.body == f"{long}\n\nMore."
    assert "not a title" in found.remarks[0]


def test_sources_that_do_not_end_the_text_stay_where_they_are() -> None:
    text = "Title\nSources: the word.\nA paragraph follows.\nSource: ILO, Geneva"
    found = read_plain_text(text)
    assert found.sources == ("ILO, Geneva",)
    assert "Sources: the word." in found.body


@given(st.lists(st.text(alphabet="ab \t*_#<>&[]()!`~|\\-+=.12:\"'é", max_size=40), max_size=8))
def test_plain_text_never_turns_into_markup(lines: list[str]) -> None:
    source = "A title\n" + "\n".join(lines)
    found = read_plain_text(source)
    kept = words_shown(found.body)
    marks = {"-", "*", "•"} | {f"{n}{end}" for n in range(1000) for end in ".)"}
    asked = [word for word in " ".join(source.splitlines()[1:]).split() if word not in marks]
    assert [word for word in kept if word not in marks] == asked or not any(line.strip() for line in lines)


@given(st.text(max_size=200))
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (parse_article, parse_plain_article):
        for attempt in (text, f"---\n{text}\n---\nText", f"Title\n\n{text}"):
            assert isinstance(draft_or_refusal(read, attempt), ArticleDraft | ArticleRefused)


def draft_or_refusal(read: Callable[[str, str], ArticleDraft], text: str) -> ArticleDraft | ArticleRefused:
    try:
        return read(text, "some.md")
    except ArticleRefused as refusal:
        return refusal


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_shipped_library_is_complete(path: Path) -> None:
    draft = parse_article(path.read_text("utf-8"), path.name)
    assert draft.remarks == ()
    assert draft.status is ArticleStatus.READY
    assert path.name == f"{draft.slug}.{draft.language}.md"
    assert draft.topics
    assert draft.source_url.startswith("https://")
    assert draft.published_on
    assert draft.review_on
    assert date(2027, 6, 1) <= draft.review_on <= date(2028, 12, 31)
    assert 150 <= len(draft.body.split()) <= 360


def test_the_shipped_library_speaks_several_languages() -> None:
    drafts = [parse_article(path.read_text("utf-8"), path.name) for path in SHIPPED]
    count = {language: sum(draft.language == language for draft in drafts) for language in ("en", "es", "fr")}
    assert count["en"] >= 8
    assert count["es"] >= 2
    assert count["fr"] >= 1
    english = {draft.slug for draft in drafts if draft.language == "en"}
    assert {draft.slug for draft in drafts} == english
