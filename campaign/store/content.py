"""Statements about articles, their topics, their search index, and key dates that people added. It never parses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, TextClause, and_, delete, insert, select, text, true, update

from campaign.store.dialects import insert_into, is_sqlite
from campaign.store.engine import Transaction
from campaign.store.schema.content import article_topics, articles, key_dates

_A: Final = articles.c
_CONTENT: Final = (
    "title",
    "summary",
    "body",
    "source_name",
    "source_url",
    "published_on",
    "review_on",
    "sensitivity",
    "status",
    "digest",
)


@dataclass(frozen=True, slots=True)
class Article:
    """One article in one language as it is stored."""

    id: int
    slug: str
    language: str
    title: str
    summary: str
    body: str
    source_name: str
    source_url: str
    published_on: date | None
    review_on: date | None
    sensitivity: str
    status: str
    digest: bytes
    created_at: datetime
    changed_at: datetime
    topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """An article that a search found, with the words around the match; `**` stands around what matched."""

    article: Article
    snippet: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which articles are asked for; None is no condition."""

    status: tuple[str, ...] | None = None
    language: str | None = None
    topic: str | None = None


async def add(tx: Transaction, slug: str, language: str, content: Mapping[str, Any], now: datetime) -> int | None:
    """Store a new article (`content`: the columns and `topics`); return its id, or None when it is there already."""
    values = {name: content[name] for name in _CONTENT}
    statement = insert_into(tx, articles).values(slug=slug, language=language, created_at=now, changed_at=now, **values)
    added = await tx.execute(statement.on_conflict_do_nothing(index_elements=["slug", "language"]).returning(_A.id))
    article_id: int | None = added.scalar_one_or_none()
    if article_id is not None:
        await _set_topics(tx, article_id, content["topics"])
    return article_id


async def change(tx: Transaction, article: Article, content: Mapping[str, Any], now: datetime) -> bool:
    """Give an article other content; return False when somebody else changed it since it was read."""
    values = {name: content[name] for name in _CONTENT if name in content}
    statement = update(articles).where(_A.id == article.id, _A.digest == article.digest, _A.status == article.status)
    changed = await tx.execute(statement.values(changed_at=now, **values))
    if changed.rowcount != 1:
        return False
    if "topics" in content:
        await _set_topics(tx, article.id, content["topics"])
    return True


async def find(tx: Transaction, slug: str, language: str) -> Article | None:
    """Find one article in one language."""
    return next(iter(await _select(tx, and_(_A.slug == slug, _A.language == language))), None)


async def of_slug(tx: Transaction, slug: str) -> list[Article]:
    """Return an article in all its languages."""
    return await _select(tx, _A.slug == slug)


async def every(tx: Transaction, wanted: Filter = Filter()) -> list[Article]:
    """Return all articles that match, by slug and language."""
    return await _select(tx, _matches(wanted))


async def search(tx: Transaction, words: Sequence[str], wanted: Filter, most: int) -> list[Hit]:
    """Return articles that hold all of `words`, the best first. `words` are never read as a query language."""
    statement, values = _on_sqlite(words) if is_sqlite(tx) else _on_postgresql(words)
    found = (await tx.execute(statement, values)).all()
    snippets = {row.id: " ".join(row.snippet.split()) for row in found}
    matching = {article.id: article for article in await _by_id(tx, list(snippets), wanted)}
    return [Hit(matching[id_], snippet) for id_, snippet in snippets.items() if id_ in matching][:most]


async def added_key_dates(tx: Transaction) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the key dates that people added here and did not retire: slug and definition."""
    k = key_dates.c
    rows = await tx.execute(select(k.slug, k.definition).where(k.retired_at.is_(None)).order_by(k.slug))
    return [(row.slug, row.definition) for row in rows]


_CHUNK: Final = 500
_MOST_FOUND: Final = 10_000


async def _by_id(tx: Transaction, ids: Sequence[int], wanted: Filter) -> list[Article]:
    found: list[Article] = []
    for start in range(0, len(ids), _CHUNK):
        found += await _select(tx, and_(_A.id.in_(ids[start : start + _CHUNK]), _matches(wanted)))
    return found


def _matches(wanted: Filter) -> ColumnElement[bool]:
    rules: list[ColumnElement[bool]] = [true()]
    if wanted.status is not None:
        rules.append(_A.status.in_(wanted.status))
    if wanted.language is not None:
        rules.append(_A.language == wanted.language)
    if wanted.topic is not None:
        t = article_topics.c
        rules.append(select(t.article_id).where(t.article_id == _A.id, t.topic == wanted.topic).exists())
    return and_(*rules)


async def _select(tx: Transaction, where: ColumnElement[bool]) -> list[Article]:
    rows = (await tx.execute(select(articles).where(where).order_by(_A.slug, _A.language))).all()
    t = article_topics.c
    chosen = select(_A.id).where(where)
    topics: dict[int, list[str]] = {}
    for row in await tx.execute(select(t.article_id, t.topic).where(t.article_id.in_(chosen)).order_by(t.topic)):
        topics.setdefault(row.article_id, []).append(row.topic)
    return [_article(row, topics.get(row.id, ())) for row in rows]


def _article(row: Row[Any], topics: Iterable[str]) -> Article:
    return Article(**row._mapping, topics=tuple(topics))  # noqa: SLF001 -- SQLAlchemy's public name for it


async def _set_topics(tx: Transaction, article_id: int, topics: Iterable[str]) -> None:
    await tx.execute(delete(article_topics).where(article_topics.c.article_id == article_id))
    if rows := [{"article_id": article_id, "topic": topic} for topic in sorted(set(topics))]:
        await tx.execute(insert(article_topics), rows)


def _on_sqlite(words: Sequence[str]) -> tuple[TextClause, dict[str, Any]]:
    """FTS5: each word in double quotes is a string, never an operator (sqlite.org/fts5.html, s. 3.1)."""
    query = " ".join('"' + word.replace('"', '""') + '"' for word in words)
    statement = text(
        """SELECT rowid AS id, snippet(article_search, -1, '**', '**', ' … ', 16) AS snippet
        FROM article_search WHERE article_search MATCH :query
        ORDER BY bm25(article_search, 8.0, 4.0, 1.0), rowid LIMIT :most"""
    )
    return statement, {"query": query, "most": _MOST_FOUND}


def _on_postgresql(words: Sequence[str]) -> tuple[TextClause, dict[str, Any]]:
    """tsvector: plainto_tsquery knows no operators; each article is searched by the rules of its own language."""
    statement = text(
        """SELECT a.id, ts_headline(c.config, a.title || '. ' || a.summary || ' ' || a.body, q.query,
            'StartSel=**, StopSel=**, MaxFragments=2, MaxWords=16, MinWords=6, FragmentDelimiter=" … "') AS snippet
        FROM articles a JOIN article_search s ON s.article_id = a.id
        CROSS JOIN LATERAL (SELECT article_search_config(a.language) AS config) c
        CROSS JOIN LATERAL (SELECT plainto_tsquery(c.config, :query) AS query) q
        WHERE s.words @@ q.query
        ORDER BY ts_rank(s.words, q.query) DESC, a.id LIMIT :most"""
    )
    return statement, {"query": " ".join(words), "most": _MOST_FOUND}
