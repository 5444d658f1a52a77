"""The shipped letters: complete in every language, readable for everybody, the same in text and HTML, small and quiet."""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, async_playwright

from campaign.domain.delivery import Kind
from campaign.mail.composer import Reading, compile_letter, fill, read_letter
from campaign.mail.renderer import Renderer
from tests.mail.samples import ARTICLE, CONTEXT, KEY_DATE, KIND_OF, LANGUAGES, READER, SHIPPED, spec
from tests.programs import program

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGEST_HTML = 40_000
WORDS = tomllib.loads((SHIPPED / "email/_base/words.toml").read_text(encoding="utf-8"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    async with Renderer([SHIPPED]) as renderer:
        yield renderer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = program("chromium", "chromium-browser", "google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(path), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        await browser.close()


async def _letter(renderer: Renderer, template: str = "digest", language: str = "en", **changes: Any) -> Reading:
    links = ("preferences",) if KIND_OF[template] is Kind.EDITION else ()
    compiled = await compile_letter(renderer, spec(template, language, links=links, **changes))
    assert not compiled.per_person, compiled.note
    return read_letter(fill(compiled, READER))


class _Outline(HTMLParser):
    """The headings, links and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.headings: list[int] = []
        self.links: list[str] = []
        self.root: dict[str, str | None] = {}
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.root = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", KIND_OF)
async def test_each_letter_is_whole_in_each_language(renderer: Renderer, template: str, language: str) -> None:
    reading = await _letter(renderer, template, language)
    page, words = _Outline(reading.html), WORDS[language]
    assert page.root["lang"] == language
    assert page.root["dir"] == ("rtl" if language == "ar" else "ltr")
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(following - heading <= 1 for heading, following in zip(page.headings, page.headings[1:], strict=False))
    assert words["privacy"] in page.words
    assert reading.subject
    if KIND_OF[template] in {Kind.EDITION, Kind.WELCOME}:
        for part in (page.words, " ".join(reading.text.split())):
            assert words["why_list"].replace("{list}", "World Day letters") in part
            assert "1 Example Street" in part
            assert words["greeting_named"].replace("{name}", "Ünïcode Näme") in part
        assert READER.links["unsubscribe"] in page.links
        assert words["unsubscribe"] in page.words
        assert READER.links["unsubscribe"] in reading.text


async def test_text_and_html_say_the_same(renderer: Renderer) -> None:
    reading = await _letter(renderer)
    html, text = " ".join(_Outline(reading.html).words.split()), " ".join(reading.text.split())
    links = _Outline(reading.html).links
    helpline = CONTEXT["helplines"][0]
    for said in (
        *(ARTICLE[key] for key in ("title", "summary", "source_name")),
        *(KEY_DATE[key] for key in ("name", "proclaimed_by")),
        *(helpline[key] for key in ("name", "phone", "text", "hours")),
        *("Friday, 30 July 2027", "In 30 days", "Published on 12 September 2022", "Number checked on 1 November 2026"),
        *("Mentions violence", "Their papers are taken away.", "What the reports count"),
    ):
        assert said in html
        assert said in text
    for url in (
        ARTICLE["url"],
        ARTICLE["source_url"],
        KEY_DATE["source"],
        helpline["url"],
        READER.links["preferences"],
    ):
        assert url in links
        assert url in text
    assert "tel:18883737888" in links


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_text_fits_72_columns(renderer: Renderer, language: str) -> None:
    for template in KIND_OF:
        for line in (await _letter(renderer, template, language)).text.split("\n"):
            assert len(line) <= 72 or "://" in line, line


async def test_six_articles_are_under_40_kb_and_fetch_nothing(renderer: Renderer) -> None:
    reading = await _letter(renderer, context={**CONTEXT, "articles": [ARTICLE] * 6})
    assert len(reading.html.encode()) < LARGEST_HTML
    assert not re.search(r"<img|<script|<link|@import|url\(|<iframe|\bsrc=", reading.html)
    assert "prefers-color-scheme: dark" in reading.html


async def test_a_confirmation_is_neutral(renderer: Renderer) -> None:
    """It may reach somebody who never asked, or whose letters others read: no organiser's word, no cause."""
    reading = await _letter(renderer, "confirm")
    for word in ("Example Campaign", "Reach every victim", "World Day", "traffick", "slavery", "Ünïcode"):
        assert word.lower() not in (reading.subject + reading.text + reading.html).lower()
    assert READER.links["confirm"] in reading.text
    assert _Outline(reading.html).links == [READER.links["confirm"]] * 2


async def test_a_reminder_works_without_articles_and_counts_the_days(renderer: Renderer) -> None:
    said = {
        30: ("World Day Against Trafficking in Persons is in 30 days", "is in 30 days, on 30 July 2027."),
        1: ("World Day Against Trafficking in Persons is tomorrow", "is tomorrow, 30 July 2027."),
        0: ("Today is World Day Against Trafficking in Persons", "is today, 30 July 2027."),
        -3: ("After World Day Against Trafficking in Persons", "was on 30 July 2027."),
    }
    for days, (subject, sentence) in said.items():
        context = {**CONTEXT, "articles": [], "campaign": None, "key_date": {**KEY_DATE, "days_until": days}}
        reading = await _letter(renderer, "reminder", context=context)
        assert reading.subject == subject
        assert sentence in " ".join(reading.text.split())
        assert sentence in _Outline(reading.html).words


@pytest.mark.parametrize(
    ("days", "words"),
    [(1, "بعد يوم واحد"), (2, "بعد يومين"), (3, "بعد 3 أيام"), (11, "بعد 11 يومًا"), (100, "بعد 100 يوم")],
)
async def test_arabic_counts_in_its_own_six_ways(renderer: Renderer, days: int, words: str) -> None:
    context = {**CONTEXT, "key_date": {**KEY_DATE, "days_until": days}}
    assert words in (await _letter(renderer, "digest", "ar", context=context)).text


async def test_little_is_needed_and_more_is_shown(renderer: Renderer) -> None:
    bare = await _letter(renderer, context={"articles": [{"title": "Only a title"}]})
    assert bare.subject == "Only a title"
    assert "Only a title" in bare.text
    month = {**KEY_DATE, "date": "2027-01-01", "end": "2027-01-31", "theme": "A theme"}
    rich = await _letter(renderer, context={**CONTEXT, "key_date": month, "why": "You asked us.", "subject": "Our own"})
    assert rich.subject == "Our own"
    for said in ("1 January 2027 – 31 January 2027", "Theme this year: A theme", "You asked us."):
        assert said in rich.text
        assert said in _Outline(rich.html).words
    assert "because you subscribed" not in rich.text


async def test_an_article_in_another_language_says_so(renderer: Renderer) -> None:
    reading = await _letter(renderer, context={**CONTEXT, "articles": [{**ARTICLE, "language": "ar"}]})
    assert re.search(r'<div (lang="ar" dir="auto"|dir="auto" lang="ar")>', reading.html)


SEEN = [
    *[("digest", "en"), ("digest", "ar"), ("reminder", "de"), ("confirm", "en"), ("welcome", "fr"), ("goodbye", "es")],
    *[("alert", "en"), ("alert", "ar")],
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("template", "language"), SEEN)
async def test_anybody_can_read_it_in_a_browser(
    renderer: Renderer, browser: Browser, template: str, language: str, scheme: Any
) -> None:
    """Axe finds nothing (contrast included), nothing is wider than a telephone, nothing is asked of the network."""
    reading = await _letter(
        renderer, template, language, context={**CONTEXT, "key_date": {**KEY_DATE, "theme": "A theme"}}
    )
    page = await browser.new_page(color_scheme=scheme, viewport={"width": 360, "height": 700})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.set_content(reading.html)
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = await page.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.innerText && e.className != 'preheader')"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 16
    assert not asked
    await page.close()
