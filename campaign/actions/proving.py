"""Shows how people came to be mailed: every consent with its exact words. It changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from campaign.actions import listing, subscribing
from campaign.actions.kit import Kit
from campaign.domain.addresses import Address
from campaign.store import consents, instance, people
from campaign.store.consents import Evidence, Words


@dataclass(frozen=True, slots=True)
class Proof:
    """All consents of one person at one moment, as this installation has them on record."""

    address: Address
    made_at: datetime
    made_by: str
    instance: str
    consents: tuple[Evidence, ...]

    @property
    def text(self) -> str:
        """The document; its last line is the SHA-256 of all lines before it, so that a copy can be checked."""
        body = "\n".join(self._lines()) + "\n"
        return f"{body}SHA-256 of the lines above: {hashlib.sha256(body.encode()).hexdigest()}\n"

    def row(self) -> dict[str, Any]:
        """Return the proof as plain data."""
        return {
            "address": self.address.wire,
            "made_at": self.made_at,
            "made_by": self.made_by,
            "instance": self.instance,
            "consents": [asdict(one) for one in self.consents],
            "text": self.text,
        }

    def _lines(self) -> Iterator[str]:
        yield "Record of consent"
        yield ""
        yield f"Address:      {self.address}"
        yield f"Written:      {_moment(self.made_at)}, by {self.made_by}"
        yield f"Installation: {self.instance}"
        if not self.consents:
            yield ""
            yield "No consent of this person is on record."
        for number, one in enumerate(self.consents, 1):
            yield ""
            yield f"{number}. List {one.list} (the person is {one.state} on it now)"
            yield f"   Wording:   {one.wording}"
            yield f"   Language:  {one.locale}"
            yield f"   Recorded:  {_moment(one.given_at)}, by {one.recorded_by}, source: {one.source.value}"
            if one.file is not None:
                digest = (one.file_sha256 or b"").hex()
                yield f"   From file: {one.file}, import {one.import_id}, SHA-256 {digest}"
            confirmed = f"{_moment(one.confirmed_at)}, by the link of a letter" if one.confirmed_at else "not by letter"
            yield f"   Confirmed: {confirmed}"
        yield ""


async def prove(kit: Kit, address: str) -> Proof:
    """Return the proof for one person; raise NotFound for nobody."""
    who = await subscribing.standing(kit, address)
    async with kit.store.read() as tx:
        person = await people.find(tx, kit.keys.address_key(who.address))
        found = await consents.evidence(tx, person.id) if person else []
        here = await instance.find(tx)
    name = here.instance_id if here else kit.settings.instance_id or "-"
    return Proof(who.address, kit.clock.now(), kit.operator, name, tuple(found))


async def overview(kit: Kit, slug: str | None = None) -> list[Words]:
    """Return every wording that people of one list, or of all of them, consented to."""
    async with kit.store.read() as tx:
        wanted = await listing.require(tx, slug, retired=True) if slug else None
        return await consents.overview(tx, wanted.id if wanted else None)


def _moment(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
