"""Leaving and confirming over HTTP: what changes something, what does not, and what anybody may see."""

from __future__ import annotations

import asyncio
import html
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import update

from campaign.actions import renewing, subscribing
from campaign.assets import asset
from campaign.domain.consent import SubscriptionState
from campaign.domain.delivery import Kind
from campaign.domain.tokens import Link, Purpose
from campaign.store import consents, ledger
from campaign.store.schema.people import subscriptions
from campaign.web.pages import Pages
from campaign.web.security import LARGEST_BODY
from tests.web.conftest import Served

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
LANGUAGES = ("en", "es", "fr", "pt", "de", "ar")
ACTIVE, LEFT, PENDING = SubscriptionState.ACTIVE, SubscriptionState.LEFT, SubscriptionState.PENDING


def title(page: httpx2.Response) -> str:
    found = re.search(r"<title>(.*?)</title>", page.text)
    assert found
    return html.unescape(found[1])


class TestReading:
    @pytest.mark.parametrize("purpose", [Purpose.LEAVE, Purpose.CONFIRM, Purpose.RENEW])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_changes_nothing(
        self, served: Served, client: httpx2.AsyncClient, purpose: Purpose, method: str
    ) -> None:
        for _ in range(3):
            answer = await client.request(method, served.link(purpose))
            assert answer.status_code == 200
        assert await served.state() is ACTIVE

    async def test_shows_nothing_about_anybody(self, served: Served, client: httpx2.AsyncClient) -> None:
        first = await client.get(served.link(Purpose.LEAVE, 1))
        second = await client.get(served.link(Purpose.LEAVE, 2))
        nobody = await client.get(served.link(Purpose.LEAVE, 999))
        assert first.text == second.text == nobody.text
        assert not any(word in first.text for word in ("reader", "example", "upporters", "Campaign"))

    @pytest.mark.parametrize("language", LANGUAGES)
    async def test_speaks_the_readers_language(self, served: Served, client: httpx2.AsyncClient, language: str) -> None:
        page = await client.get(served.link(Purpose.LEAVE), headers={"Accept-Language": f"{language}-XX,en;q=0.5"})
        words = tomllib.loads(asset(f"templates/web/words/{language}.toml").read_text(encoding="utf-8"))
        assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}">' in page.text
        assert words["leave_button"] in html.unescape(page.text)
        assert page.headers["content-language"] == language
        assert "Accept-Language" in page.headers["vary"]
        assert title(page) == words["site"]

    async def test_needs_no_other_site(self, served: Served, client: httpx2.AsyncClient) -> None:
        page = (await client.get(served.link(Purpose.LEAVE))).text
        assert re.findall(r'(?:src|href)="(https?:[^"]*)"', page) == ["https://www.wikipedia.org/"]
        for path in re.findall(r'(?:src|href)="(/[^"]*)"', page):
            asked = await client.get(served.url + path)
            assert asked.status_code == 200
            assert "immutable" in asked.headers["cache-control"]
            assert "http" not in asked.text.replace("http://www.w3.org/2000/svg", "")


class TestLeaving:
    async def test_by_one_click(self, served: Served, client: httpx2.AsyncClient) -> None:
        answer = await client.post(served.link(Purpose.LEAVE), data=ONE_CLICK)
        assert (answer.status_code, answer.is_redirect) == (200, False)
        assert "set-cookie" not in answer.headers
        assert await served.state() is LEFT
        assert await served.state(2) is ACTIVE

    async def test_by_one_click_as_multipart(self, served: Served, client: httpx2.AsyncClient) -> None:
        answer = await client.post(served.link(Purpose.LEAVE), files={"List-Unsubscribe": (None, "One-Click")})
        assert answer.status_code == 200
        assert await served.state() is LEFT

    async def test_by_the_button(self, served: Served, client: httpx2.AsyncClient) -> None:
        page = await client.get(served.link(Purpose.LEAVE))
        found = re.search(r'<button type="submit" name="(\w+)" value="(\w+)">', page.text)
        assert found
        answer = await client.post(served.link(Purpose.LEAVE), data={found[1]: found[2]})
        assert answer.status_code == 200
        assert "No more letters" in answer.text
        assert await served.state() is LEFT

    async def test_twice_and_at_once_is_fine(self, served: Served, client: httpx2.AsyncClient) -> None:
        link = served.link(Purpose.LEAVE)
        answers = await asyncio.gather(*(client.post(link, data=ONE_CLICK) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        assert await served.state() is LEFT

    async def test_of_somebody_who_is_gone_looks_the_same(self, served: Served, client: httpx2.AsyncClient) -> None:
        here = await client.post(served.link(Purpose.LEAVE), data=ONE_CLICK)
        gone = await client.post(served.link(Purpose.LEAVE, 999), data=ONE_CLICK)
        assert (here.status_code, here.text) == (gone.status_code, gone.text)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"data": {"List-Unsubscribe": "No"}},
            {"data": {"answer": "confirm"}},
            {"json": ONE_CLICK},
            {"content": b"List-Unsubscribe=One-Click", "headers": {"Content-Type": "text/plain"}},
            {"content": b"\xff\xfe=%zz&&&", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
            {"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=" + "y" * 5000}},
            {"files": {"List-Unsubscribe": ("file.txt", b"One-Click")}},
            {"data": {f"field{n}": "x" for n in range(100)}},
        ],
    )
    async def test_wants_the_words_of_the_standard_or_of_our_page(
        self, served: Served, client: httpx2.AsyncClient, body: dict[str, object]
    ) -> None:
        answer = await client.post(served.link(Purpose.LEAVE), **body)  # type: ignore[arg-type] -- a table of cases
        assert answer.status_code == 400
        assert "<h1>" in answer.text
        assert await served.state() is ACTIVE

    @pytest.mark.parametrize("announced", [True, False])
    async def test_a_flood_is_cut_off(self, served: Served, client: httpx2.AsyncClient, announced: bool) -> None:
        flood = b"List-Unsubscribe=One-Click&x=" + b"y" * LARGEST_BODY

        async def unannounced() -> object:
            yield flood

        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        for kind in (headers, {"Content-Type": "multipart/form-data; boundary=z"}):
            body = flood if announced else unannounced()
            answer = await client.post(served.link(Purpose.LEAVE), content=body, headers=kind)  # type: ignore[arg-type] -- an async generator is one
            assert answer.status_code in {400, 413}
        assert await served.state() is ACTIVE

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
    async def test_other_methods_are_refused(self, served: Served, client: httpx2.AsyncClient, method: str) -> None:
        answer = await client.request(method, served.link(Purpose.LEAVE))
        assert answer.status_code == 405
        assert await served.state() is ACTIVE


class TestTokens:
    async def test_that_are_not_ours_get_a_kind_page(self, served: Served, client: httpx2.AsyncClient) -> None:
        good = served.link(Purpose.LEAVE)
        token = good.rpartition("/")[2]
        swapped = served.link(Purpose.CONFIRM).rpartition("/")[2]
        turned = ("B" if token[0] == "A" else "A") + token[1:]
        for bad in (
            token[:-1],
            token[:10],
            token + "A",
            turned,
            token.swapcase(),
            swapped,
            "x",
            "%00",
            "%ff%fe",
            "é",
            "A" * 5000,
        ):
            for answer in (
                await client.get(f"{served.url}/u/{bad}"),
                await client.post(f"{served.url}/u/{bad}", data=ONE_CLICK),
                await client.post(f"{served.url}/u/{bad}", data={"answer": "leave"}),
            ):
                assert answer.status_code == 404, bad
                assert "does not work" in answer.text
                assert bad not in answer.text or len(bad) == 1
        assert await served.state() is ACTIVE

    async def test_cannot_be_used_for_another_purpose(self, served: Served, client: httpx2.AsyncClient) -> None:
        token = served.link(Purpose.LEAVE).rpartition("/")[2]
        assert (await client.post(f"{served.url}/c/{token}", data={"answer": "confirm"})).status_code == 404

    @pytest.mark.parametrize(
        "path",
        [
            "/u/",
            "/u",
            "/nothing",
            "/static/",
            "/static/../app.py",
            "/static/%2e%2e%2fsite.css",
            "/docs",
            "/openapi.json",
        ],
    )
    async def test_other_paths_are_not_there(self, served: Served, client: httpx2.AsyncClient, path: str) -> None:
        answer = await client.get(served.url + path)
        assert answer.status_code == 404


class TestConfirming:
    async def letter(self, served: Served, *, hours: int = 48) -> str:
        """Put a confirmation into the ledger, and return its link."""
        kit, now = served.kit, served.kit.clock.now()
        async with kit.store.begin() as tx:
            await tx.execute(update(subscriptions).values(state=PENDING, confirmed_at=None))
            letter = ledger.Letter(
                kind=Kind.CONFIRM,
                purpose_key="confirm:1:1",
                subscriber_id=1,
                subscription_id=1,
                address_key=bytes(32),
                address_sealed=b"",
                domain="example.org",
                due_at=now,
                valid_until=now + timedelta(hours=hours),
            )
            delivery = await ledger.enqueue(tx, letter, now)
        assert delivery is not None
        return served.link(Purpose.CONFIRM, 1, delivery)

    async def test_takes_the_button(self, served: Served, client: httpx2.AsyncClient) -> None:
        link = await self.letter(served)
        assert "<button" in (await client.get(link)).text
        assert (await client.post(link)).status_code == 400
        assert await served.state() is PENDING
        for _ in range(2):
            answer = await client.post(link, data={"answer": "confirm"})
            assert answer.status_code == 200
            assert "Thank you" in answer.text
        assert await served.state() is ACTIVE
        assert await served.state(2) is PENDING

    async def test_asks_whether_letters_are_still_wanted(self, served: Served, client: httpx2.AsyncClient) -> None:
        words = "I still want these letters."
        now = served.kit.clock.now()
        order = renewing.Order("supporters", words, now + timedelta(seconds=1), timedelta(days=30))
        await renewing.run(served.kit, order)
        link = served.link(Purpose.RENEW, 1, 1)
        assert "Do you still want these letters?" in (await client.get(link)).text
        assert (await client.post(link)).status_code == 400
        assert (await client.post(link, data={"answer": "confirm"})).status_code == 400
        for _ in range(2):
            answer = await client.post(link, data={"answer": "renew"})
            assert (answer.status_code, "Thank you" in answer.text) == (200, True)
        (counted,) = await renewing.every(served.kit)
        assert counted.renewal.asked == 2
        async with served.kit.store.read() as tx:
            assert [one.wording for one in await consents.evidence(tx, 1)][-1] == words
        await subscribing.leave_by_link(served.kit, served.kit.keys.sign_link(Link(Purpose.LEAVE, 1, 1)))
        assert (await client.post(link, data={"answer": "renew"})).status_code == 410

    async def test_is_over_after_its_time(self, served: Served, client: httpx2.AsyncClient) -> None:
        link = await self.letter(served, hours=0)
        answer = await client.post(link, data={"answer": "confirm"})
        assert answer.status_code == 410
        assert "ask for them again" in answer.text
        assert await served.state() is PENDING


class TestEveryAnswer:
    async def test_is_secured(self, served: Served, client: httpx2.AsyncClient) -> None:
        for answer in (
            await client.get(served.link(Purpose.LEAVE)),
            await client.post(served.link(Purpose.LEAVE), data=ONE_CLICK),
            await client.get(f"{served.url}/u/x"),
            await client.get(f"{served.url}/nothing"),
            await client.get(f"{served.url}/"),
            await client.get(f"{served.url}/healthz"),
            await client.get(f"{served.url}/static/site.css"),
            await client.delete(f"{served.url}/"),
        ):
            headers = answer.headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["strict-transport-security"] == "max-age=31536000"
            assert headers["x-robots-tag"] == "noindex, nofollow"
            assert "set-cookie" not in headers
            if "/static/" not in str(answer.url):
                assert headers["cache-control"] == "no-store"

    async def test_health_is_the_databases(self, served: Served, client: httpx2.AsyncClient) -> None:
        answer = await client.get(f"{served.url}/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert (await client.head(f"{served.url}/healthz")).status_code == 200

    async def test_that_fails_is_kind_and_silent_about_why(
        self, served: Served, client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with served.kit.store.begin() as tx:
            await tx.exec_driver_sql("ALTER TABLE subscriptions RENAME TO gone")
        answer = await client.post(served.link(Purpose.LEAVE), data=ONE_CLICK)
        assert answer.status_code == 500
        assert "went wrong on our side" in answer.text
        assert "subscriptions" not in answer.text
        assert served.link(Purpose.LEAVE).rpartition("/")[2] not in caplog.text


class TestWords:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_are_whole_in_every_language(self, language: str) -> None:
        def read(name: str) -> dict[str, object]:
            return tomllib.loads(asset(f"templates/web/words/{name}.toml").read_text(encoding="utf-8"))

        words, english = read(language), read("en")
        assert words.keys() == english.keys()
        assert words["problem"].keys() == english["problem"].keys()  # type: ignore[attr-defined] -- tables

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_never_name_the_cause(self, language: str) -> None:
        text = asset(f"templates/web/words/{language}.toml").read_text(encoding="utf-8").partition("\n\n")[2].lower()
        causes = ("traffick", "slave", "esclav", "trata", "menschenhandel", "sklav", "الاتجار", "campaign", "activis")
        assert not [cause for cause in causes if cause in text]

    @pytest.mark.parametrize(
        ("accepted", "language"),
        [
            ("", "en"),
            ("*", "en"),
            ("ja", "en"),
            ("pt-BR,pt;q=0.9", "pt"),
            ("fr;q=0.3, ar;q=0.8, de;q=0", "ar"),
            ("de;q=0", "en"),
            ("DE-at", "de"),
            ("xx,;;q=,fr", "fr"),
            ("," * 5000 + "fr", "en"),
            ("fr;q=9", "en"),
        ],
    )
    def test_are_chosen_as_the_browser_asks(self, accepted: str, language: str) -> None:
        assert Pages([asset("templates/web")], "en").language(accepted) == language

    def test_a_home_may_change_single_words(self, tmp_path: Path) -> None:
        (tmp_path / "words").mkdir()
        (tmp_path / "words" / "en.toml").write_text('site = "Post"\n[problem]\n404_title = "Lost"\n')
        pages = Pages([tmp_path, asset("templates/web")], "en-GB")
        assert pages._words["en"]["site"] == "Post"
        assert pages._words["en"]["problem"]["404_title"] == "Lost"
        assert pages._words["en"]["problem"]["404_text"]
        assert pages.language("") == "en"
