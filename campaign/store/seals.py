"""Statements about everything that is sealed, whatever table it lies in. It never opens anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, bindparam, select, update

from campaign.store.engine import Transaction
from campaign.store.schema import METADATA
from campaign.store.schema.ledger import deliveries
from campaign.store.schema.people import import_changes, subscribers


@dataclass(frozen=True, slots=True)
class Place:
    """One sealed column, and the purpose that is bound into its seals."""

    table: Table
    column: str
    purpose: str

    def __str__(self) -> str:
        return f"{self.table.name}.{self.column}"


PLACES: Final = (
    Place(subscribers, "address_sealed", "address"),
    Place(subscribers, "name_sealed", "name"),
    Place(subscribers, "attributes_sealed", "attributes"),
    Place(deliveries, "address_sealed", "address"),
    Place(deliveries, "name_sealed", "name"),
    Place(import_changes, "before_sealed", "import change"),
)


def sealed_columns() -> set[str]:
    """Return the names of all columns that say they are sealed; each must be a place."""
    tables = METADATA.tables.values()
    return {f"{table.name}.{column.name}" for table in tables for column in table.c if column.name.endswith("_sealed")}


async def page(tx: Transaction, place: Place, after: int, most: int) -> list[tuple[int, bytes]]:
    """Return the next sealed values of a place with their row's ids, beyond an id."""
    id_, sealed = place.table.c.id, place.table.c[place.column]
    rows = await tx.execute(select(id_, sealed).where(id_ > after, sealed.is_not(None)).order_by(id_).limit(most))
    return [(row[0], row[1]) for row in rows]


async def replace(tx: Transaction, place: Place, values: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Put values in the place of others, where those are still there: id, old, new."""
    if not values:
        return
    id_, sealed = place.table.c.id, place.table.c[place.column]
    new: dict[str, Any] = {place.column: bindparam("new_seal")}
    statement = update(place.table).where(id_ == bindparam("row"), sealed == bindparam("old_seal")).values(new)
    rows = [{"row": row, "old_seal": old, "new_seal": fresh} for row, old, fresh in values]
    await tx.execute(statement, rows)
