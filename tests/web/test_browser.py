"""The pages in a real browser: with and without JavaScript, by keyboard, in every width, for readers who may be watched."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from campaign.domain.consent import SubscriptionState
from campaign.domain.tokens import Purpose
from tests.programs import program
from tests.web.conftest import Served

pytestmark = pytest.mark.browser

WIDTHS = (320, 360, 768, 1280, 1920)
SHOTS = os.environ.get("CAMPAIGN_TEST_SHOTS", "")
"""A folder for pictures to look at; none by default."""


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """One database is enough here: browsers cannot tell them apart."""
    path = shutil.copyfile(migrated_sqlite, tmp_path / "campaign.db")
    return f"sqlite:///{path}"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = program("chromium", "chromium-browser", "google-chrome")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield opened
        await opened.close()


class Visit:
    """One visitor; keeps what their browser asked for elsewhere, and what it complained about."""

    def __init__(self, context: BrowserContext, page: Page, served: Served) -> None:
        self.context, self.page, self.served = context, page, served
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []

    @classmethod
    async def begin(cls, browser: Browser, served: Served, **options: object) -> Visit:
        context = await browser.new_context(**options)  # type: ignore[arg-type] -- a handful of Playwright's options
        visit = cls(context, await context.new_page(), served)
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        await context.route(lambda url: not url.startswith(served.url), visit._stand_in)
        return visit

    async def _stand_in(self, route: Route) -> None:
        self.elsewhere.append(route.request.url)
        assert "referer" not in route.request.headers
        await route.fulfill(status=200, content_type="text/html", body="<title>Elsewhere</title>")

    async def accessible(self) -> None:
        found = await Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    async def fits(self) -> None:
        for width in WIDTHS:
            await self.page.set_viewport_size({"width": width, "height": 740})
            wide = await self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} at {width}"

    async def shot(self, name: str) -> None:
        if SHOTS:
            for width in (360, 1280):
                await self.page.set_viewport_size({"width": width, "height": 740})
                await self.page.screenshot(path=str(Path(SHOTS) / f"{name}-{width}.png"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ar", "de"])
async def test_somebody_leaves(served: Served, browser: Browser, scheme: str, language: str) -> None:
    visit = await Visit.begin(browser, served, color_scheme=scheme, locale=language)
    page = visit.page
    await page.goto(served.link(Purpose.LEAVE))
    await expect(page).to_have_title({"en": "Letters", "ar": "رسائل", "de": "Briefe"}[language])
    await visit.accessible()
    await visit.fits()
    await visit.shot(f"leave-{language}-{scheme}")
    assert await served.state() is SubscriptionState.ACTIVE

    await page.locator("button").click()
    await expect(page.locator("form")).to_have_count(0)
    assert await served.state() is SubscriptionState.LEFT
    await visit.accessible()
    await visit.fits()
    await visit.shot(f"left-{language}-{scheme}")
    await page.go_back()
    await expect(page).to_have_url(f"{served.url}/")
    await expect(page.locator("form")).to_have_count(0)
    await visit.accessible()

    await page.goto(f"{served.url}/u/broken")
    await visit.accessible()
    await visit.shot(f"broken-{language}-{scheme}")
    assert visit.elsewhere == []
    assert [text for text in visit.complaints if "404" not in text] == []
    assert await visit.context.cookies() == []


async def test_somebody_leaves_without_javascript_and_without_a_mouse(served: Served, browser: Browser) -> None:
    visit = await Visit.begin(browser, served, java_script_enabled=False)
    page = visit.page
    await page.goto(served.link(Purpose.LEAVE))
    await expect(page.locator("#exit-hint")).to_be_hidden()
    await page.keyboard.press("Tab")
    await expect(page.locator("#exit")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.locator("button")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("form")).to_have_count(0)
    assert await served.state() is SubscriptionState.LEFT
    await page.locator("#exit").click()
    await expect(page).to_have_title("Elsewhere")


async def test_the_quick_exit_leaves_nothing_to_go_back_to(served: Served, browser: Browser) -> None:
    for way in ("button", "keys"):
        visit = await Visit.begin(browser, served)
        page = visit.page
        await page.goto("https://example.org/before")
        await page.goto(served.link(Purpose.LEAVE))
        await expect(page.locator("#exit-hint")).to_be_visible()
        if way == "button":
            await page.locator("#exit").click()
        else:
            await page.keyboard.press("Escape")
            await expect(page).to_have_title("Letters")
            await page.keyboard.press("Escape")
        await expect(page).to_have_title("Elsewhere")
        assert page.url.startswith("https://www.wikipedia.org")
        await page.go_back()
        await expect(page).to_have_url("https://example.org/before")
        await visit.context.close()


async def test_escape_once_or_slowly_or_between_other_keys_stays(served: Served, browser: Browser) -> None:
    visit = await Visit.begin(browser, served)
    page = visit.page
    await page.goto(served.link(Purpose.LEAVE))
    await expect(page.locator("#exit-hint")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("a")
    await page.keyboard.press("Escape")
    await page.wait_for_timeout(1700)
    await page.keyboard.press("Escape")
    await expect(page).to_have_title("Letters")
    assert visit.elsewhere == []


async def test_the_confirmation_page_is_accessible(served: Served, browser: Browser) -> None:
    visit = await Visit.begin(browser, served, color_scheme="dark", forced_colors="active")
    await visit.page.goto(served.link(Purpose.CONFIRM))
    await visit.accessible()
    await visit.shot("confirm-forced-colours")
