"""Articles and key dates: import, find, change, retire; once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import insert

from campaign.actions import publishing, reading
from campaign.actions.kit import Kit
from campaign.domain.articles import ArticleStatus
from campaign.domain.errors import BadInput, Conflict, NotFound
from campaign.store.content import Filter
from campaign.store.engine import Store
from campaign.store.schema.content import key_dates
from tests.builders import a_kit
from tests.clocks import FrozenClock

READY = Filter(("ready",))
HOSTILE = [
    '"',
    '" OR title:*',
    "labour AND",
    "NEAR(labour work, 2)",
    "title : labour",
    "^labour",
    "labour*",
    "-labour",
    "labour'; DROP TABLE articles; --",
    "a:* & !b | (c <-> d)",
    "\x00labour\x1b[31m",
    "\ud800",
    "%_\\",
    "(" * 200,
    "x" * 5000,
    " ".join("labour" for _ in range(500)),
]


@pytest.fixture
def kit(store: Store, clock: FrozenClock, home: Path) -> Kit:
    return a_kit(store, clock, home)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "texts"
    (made / "deeper").mkdir(parents=True)
    (made / "signs.md").write_text(
        "---\ntitle: Signs of forced labour\ntopics: labour, signs\nsource_name: A source\nreview_on: 2027-12-31\n---\n\n"
        "Somebody else keeps the passport. Wages are held back.\n"
    )
    (made / "deeper" / "supply.txt").write_text("Supply chains\n\nCotton, cocoa and fish pass through many hands.\n")
    (made / "page.html").write_text("<title>Debt bondage</title><h1>Debt bondage</h1><p>A debt that only grows.</p>")
    (made / "picture.png").write_bytes(b"\x89PNG")
    (made / ".hidden.txt").write_text("Hidden\n\nNothing.\n")
    return made


async def test_the_same_files_again_change_nothing(kit: Kit, folder: Path) -> None:
    first = await publishing.import_articles(kit, [folder])
    assert sorted(first.added) == ["debt-bondage/en", "signs-of-forced-labour/en", "supply-chains/en"]
    again = await publishing.import_articles(kit, [folder, folder / "signs.md"])
    assert (again.added, again.changed, len(again.unchanged)) == ((), (), 3)

    (folder / "deeper" / "supply.txt").write_text("Supply chains\n\nCotton passes through many hands.\n")
    third = await publishing.import_articles(kit, [folder])
    assert (third.added, third.changed, len(third.unchanged)) == ((), ("supply-chains/en",), 2)
    assert (await publishing.article(kit, "supply-chains")).body == "Cotton passes through many hands."


async def test_what_is_stored_is_what_was_written(kit: Kit, folder: Path) -> None:
    await publishing.import_articles(kit, [folder])
    signs = await publishing.article(kit, "signs-of-forced-labour")
    assert signs.title == "Signs of forced labour"
    assert signs.topics == ("labour", "signs")
    assert signs.review_on == date(2027, 12, 31)
    assert signs.status == "ready"
    assert publishing.card(signs).topics == ("labour", "signs")
    assert await publishing.articles(kit, Filter(topic="signs")) == [signs]
    assert await publishing.articles(kit, Filter(language="fr")) == []


async def test_a_status_stays_unless_the_file_names_one(kit: Kit, folder: Path) -> None:
    path = folder / "signs.md"
    await publishing.import_articles(kit, [path], status=ArticleStatus.DRAFT)
    path.write_text(path.read_text().replace("held back", "kept"))
    await publishing.import_articles(kit, [path], status=ArticleStatus.READY)
    assert (await publishing.article(kit, "signs-of-forced-labour")).status == "draft"
    path.write_text(path.read_text().replace("topics:", "status: ready\ntopics:"))
    done = await publishing.import_articles(kit, [path])
    assert done.changed == ("signs-of-forced-labour/en",)
    assert (await publishing.article(kit, "signs-of-forced-labour")).status == "ready"


async def test_one_bad_file_does_not_keep_the_others_out(kit: Kit, folder: Path) -> None:
    (folder / "old.txt").write_bytes("Caf\xe9\n\nNothing.\n".encode("latin-1"))
    (folder / "twin.txt").write_text("Supply chains\n\nAnother text under the same title.\n")
    done = await publishing.import_articles(kit, [folder])
    assert len(done.added) == 3
    assert sorted(refusal.path.name for refusal in done.refused) == ["old.txt", "twin.txt"]
    old, twin = sorted(done.refused, key=lambda refusal: refusal.path.name)
    assert "old.txt:1" in old.error.message
    assert "UTF-8" in old.error.remedy
    assert "supply.txt" in twin.error.message


async def test_search_finds_words_and_ranks_titles_first(kit: Kit, folder: Path) -> None:
    (folder / "other.txt").write_text("Another text\n\nIt names debt, and bondage only in passing.\n")
    await publishing.import_articles(kit, [folder])
    hits = await publishing.search(kit, "bondage debts", READY)
    assert [hit.article.slug for hit in hits] == ["debt-bondage", "another-text"]
    (hit,) = await publishing.search(kit, "cocoa", READY)
    assert "**cocoa**" in hit.snippet
    assert await publishing.search(kit, "cocoa bondage", READY) == []
    assert await publishing.search(kit, "cocoa", Filter(("draft",))) == []


async def test_a_changed_article_is_found_by_its_new_words_only(kit: Kit, folder: Path) -> None:
    await publishing.import_articles(kit, [folder])
    await publishing.edit_article(kit, "supply-chains", None, lambda text: text.replace("cocoa", "coffee"))
    assert await publishing.search(kit, "cocoa", READY) == []
    assert len(await publishing.search(kit, "coffee", READY)) == 1


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_search_is_never_a_program(kit: Kit, folder: Path, text: str) -> None:
    await publishing.import_articles(kit, [folder])
    try:
        hits = await publishing.search(kit, text, READY)
    except BadInput:
        assert not any(c.isalnum() for c in text)
    else:
        assert {hit.article.slug for hit in hits} <= {"signs-of-forced-labour"}
    assert len(await publishing.articles(kit, READY)) == 3


async def test_retired_articles_are_out_and_can_come_back(kit: Kit, folder: Path) -> None:
    await publishing.import_articles(kit, [folder])
    assert await publishing.retire(kit, "supply-chains") == ("supply-chains/en",)
    assert await publishing.retire(kit, "supply-chains") == ()
    assert "supply-chains" not in {one.slug for one in await publishing.articles(kit, READY)}
    await publishing.import_articles(kit, [folder])
    assert (await publishing.article(kit, "supply-chains")).status == "retired", "a file that was imported again"
    ready = {"status": "ready"}
    await publishing.edit_article(kit, "supply-chains", None, lambda text: reading.rewritten(text, ready))
    assert (await publishing.article(kit, "supply-chains")).status == "ready"
    with pytest.raises(NotFound):
        await publishing.retire(kit, "supply-chains", "fr")


async def test_an_edit_is_checked_like_a_file(kit: Kit, folder: Path) -> None:
    await publishing.import_articles(kit, [folder])
    before = await publishing.article(kit, "supply-chains")
    same, changed = await publishing.edit_article(kit, "supply-chains", "en", lambda text: text)
    assert (same, changed) == (before, False)
    for fields, why in (({"review_on": "next year"}, "not a date"), ({"slug": "elsewhere"}, "slug")):
        with pytest.raises(BadInput, match=why):
            await publishing.edit_article(
                kit, "supply-chains", None, lambda text, new=fields: reading.rewritten(text, new)
            )
    assert await publishing.article(kit, "supply-chains") == before


async def test_two_editors_do_not_overwrite_each_other(kit: Kit, folder: Path) -> None:
    await publishing.import_articles(kit, [folder])

    async def somebody_else() -> None:
        theirs = a_kit(Store(kit.settings.database_url), kit.clock, kit.settings.home)
        await publishing.edit_article(theirs, "supply-chains", None, lambda text: text.replace("Cotton", "Coffee"))
        await theirs.store.close()

    def slowly(text: str) -> str:
        faster = Thread(target=lambda: asyncio.run(somebody_else()))
        faster.start()
        faster.join()
        return text.replace("Cotton", "Tea")

    with pytest.raises(Conflict):
        await publishing.edit_article(kit, "supply-chains", None, slowly)
    assert "Coffee" in (await publishing.article(kit, "supply-chains")).body


async def test_languages_of_one_article_stand_side_by_side(kit: Kit, tmp_path: Path) -> None:
    for language, title in (("en", "Labour"), ("fr", "Travail")):
        path = tmp_path / f"{language}.md"
        path.write_text(f"---\ntitle: {title}\nslug: labour\nlanguage: {language}\n---\n\nText.\n")
        await publishing.import_articles(kit, [path])
    assert (await publishing.article(kit, "labour")).language == "en", "the installation's language"
    assert (await publishing.article(kit, "labour", "fr")).title == "Travail"
    with pytest.raises(NotFound, match="en, fr"):
        await publishing.article(kit, "labour", "de")
    assert set(await publishing.digests(kit, ["labour"])) == {"labour/en", "labour/fr"}
    with pytest.raises(NotFound):
        await publishing.require_articles(kit, ["labour", "nothing"])


async def test_starters_are_ready_and_never_overwrite(kit: Kit) -> None:
    first = await publishing.import_starters(kit)
    assert len(first.added) >= 6
    assert first.refused == ()
    found = await publishing.articles(kit, Filter())
    assert all(one.status == "ready" and one.source_name and one.review_on for one in found)
    edited = found[0]
    mine = {"title": "Our own words"}
    await publishing.edit_article(kit, edited.slug, edited.language, lambda text: reading.rewritten(text, mine))
    again = await publishing.import_starters(kit)
    assert (again.added, len(again.unchanged)) == ((), len(first.added))
    assert (await publishing.article(kit, edited.slug, edited.language)).title == "Our own words"


async def test_key_dates_of_the_home_and_of_the_database_lie_over_the_shipped(kit: Kit, home: Path) -> None:
    shipped = {one.slug: one for one in await publishing.key_dates(kit)}
    assert len(shipped) == 16
    (home / "config").mkdir()
    own = '[[key_date]]\nslug = "{}"\nrule = "1 May"\nnames.en = "{}"\n'
    (home / "config" / "key_dates.toml").write_text(
        own.format("human-rights-day", "Ours") + own.format("our-day", "Our day")
    )
    definition = {"slug": "our-day", "rule": "2 May", "names": {"en": "From the database"}}
    async with kit.store.begin() as tx:
        row = {"slug": "our-day", "definition": definition, "origin": "local", "changed_at": kit.clock.now()}
        await tx.execute(insert(key_dates).values(**row))
    found = {one.slug: one for one in await publishing.key_dates(kit)}
    assert len(found) == 17
    assert found["human-rights-day"].name() == "Ours"
    assert (await publishing.key_date(kit, "our-day")).name() == "From the database"


async def test_a_mistake_in_the_homes_file_names_it(kit: Kit, home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "key_dates.toml").write_text('[[key_date]]\nslug = "A Day"\n')
    with pytest.raises(BadInput, match=r"config/key_dates\.toml: key date 1"):
        await publishing.key_dates(kit)
    (home / "config" / "key_dates.toml").write_text("[[key_date]\n")
    with pytest.raises(BadInput, match=r"key_dates\.toml is not TOML"):
        await publishing.key_dates(kit)


async def test_an_unknown_key_date_says_what_is_near(kit: Kit) -> None:
    with pytest.raises(NotFound) as caught:
        await publishing.key_date(kit, "trafficking-day")
    assert "world-day-against-trafficking" in caught.value.remedy


async def test_helplines_come_with_the_homes_own(kit: Kit, home: Path) -> None:
    shipped = publishing.helplines(kit)
    assert shipped.entries
    (home / "config").mkdir()
    (home / "config" / "helplines.toml").write_text(
        '[[helpline]]\nslug = "ours"\ncountries = ["XX"]\nname = "Ours"\nnumbers = [{ call = "116 006" }]\n'
        'source = "https://example.org"\nreview_on = 2027-12-31\n'
    )
    found = publishing.helplines(kit)
    assert len(found.entries) == len(shipped.entries) + 1
    assert found.for_country("XX", date(2027, 6, 1)).shown[0].name == "Ours"
