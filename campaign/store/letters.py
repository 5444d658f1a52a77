"""Statements about compiled messages and which articles they carry. It never compiles one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, select

from campaign.store.dialects import insert_into
from campaign.store.engine import Transaction
from campaign.store.schema.ledger import editions, message_articles, messages

_M: Final = messages.c


@dataclass(frozen=True, slots=True)
class Message:
    """One compiled message: what a variant of an edition says to everybody who gets it."""

    edition_id: int | None
    variant: str
    language: str
    subject: str
    compiled: bytes
    note: str = ""
    articles: tuple[int, ...] = ()


async def add(tx: Transaction, found: Message) -> None:
    """Store a message unless its variant is stored already: what was compiled first is what everybody gets."""
    names = ("edition_id", "variant", "language", "subject", "compiled", "note")
    values = {name: getattr(found, name) for name in names}
    statement = insert_into(tx, messages).values(**values).on_conflict_do_nothing(index_elements=["variant"])
    message_id = (await tx.execute(statement.returning(_M.id))).scalar_one_or_none()
    rows = [{"message_id": message_id, "article_id": id_, "position": n} for n, id_ in enumerate(found.articles)]
    if message_id is not None and rows:
        await tx.execute(insert(message_articles), rows)


async def variants(tx: Transaction, edition_id: int) -> list[str]:
    """Return the variants of an edition, in the order they were compiled: the first is the one for everybody else."""
    found = await tx.execute(select(_M.variant).where(_M.edition_id == edition_id).order_by(_M.id))
    return list(found.scalars())


async def compiled(tx: Transaction, variant: str) -> bytes | None:
    """Return the compiled bytes of a variant."""
    found: bytes | None = (await tx.execute(select(_M.compiled).where(_M.variant == variant))).scalar_one_or_none()
    return found


async def articles_sent(tx: Transaction, campaign_id: int) -> set[int]:
    """Return the articles that earlier editions of a campaign carried."""
    a = message_articles.c
    found = select(a.article_id).join(messages, _M.id == a.message_id).join(editions, editions.c.id == _M.edition_id)
    return set((await tx.execute(found.where(editions.c.campaign_id == campaign_id))).scalars())


async def of_edition(tx: Transaction, edition_id: int) -> Sequence[tuple[str, str, str, str]]:
    """Return variant, language, subject and note of each message of an edition."""
    found = select(_M.variant, _M.language, _M.subject, _M.note).where(_M.edition_id == edition_id).order_by(_M.id)
    return [(row[0], row[1], row[2], row[3]) for row in await tx.execute(found)]
