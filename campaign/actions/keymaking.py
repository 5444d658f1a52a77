"""Makes the keys that letters are signed with, and says what the DNS has to know. It changes no key and no setting."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from campaign.actions.auditing import Deed, note
from campaign.actions.kit import Kit
from campaign.domain.errors import BadInput, Conflict, NotReady
from campaign.settings.signing import Algorithm, SigningKey, read_selectors, record_name, zone_lines

_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Published:
    """One key as it is told to an operator and to the world; `file` is where a fresh one lies."""

    selector: str
    domain: str
    key: SigningKey
    file: Path | None = None

    @property
    def lines(self) -> list[str]:
        """What goes into `.env`, for a key that was just made."""
        if self.file is None:
            return []
        return [f'CAMPAIGN_DKIM_KEY_FILE="{self.file.name}"', f'CAMPAIGN_DKIM_SELECTOR="{self.selector}"']

    def row(self) -> dict[str, Any]:
        """Return it as plain values; the private key is none of them."""
        name = record_name(self.selector, self.domain)
        return {
            "selector": self.selector,
            "algorithm": self.key.algorithm.value,
            "bits": self.key.bits,
            "file": None if self.file is None else str(self.file),
            "env": self.lines,
            "record": {"name": name, "type": "TXT", "text": self.key.record, "zone": zone_lines(name, self.key.record)},
        }


async def in_use(kit: Kit) -> list[Published]:
    """Return the keys that sign now; raise NotReady where letters are not signed."""
    if kit.signer is None:
        raise NotReady("Letters are not signed: CAMPAIGN_DKIM_KEY is not set.", remedy="Run: campaign relays dkim")
    return [Published(one.selector, kit.signer.domain, one.key) for one in kit.signer.keys]


async def make(kit: Kit, algorithm: str, selector: str | None = None) -> Published:
    """Make a key and write it into a file of the home, for its owner alone; nothing is signed with it yet.

    Without a selector the key is named for the month, because keys are changed now and then, and never under the old
    name. Raises BadInput for what cannot be, Conflict for a name or file that is there.
    """
    kit.settings.require("sender")
    kind, name = _algorithm(algorithm), _name(kit, algorithm, selector)
    if name in kit.settings.dkim_selectors:
        msg = f"{name} is the selector of a key in use."
        raise Conflict(msg, remedy="A fresh key needs a fresh name: --selector NAME")
    key = await asyncio.to_thread(SigningKey.fresh, kind)
    path = kit.settings.home / f"dkim-{name}.pem"
    await asyncio.to_thread(_write, path, key.pem)
    async with kit.store.begin() as tx:
        await note(kit, tx, Deed("relay.dkim", name, after={"algorithm": kind.value, "bits": key.bits}))
    sender = kit.settings.sender
    return Published(name, sender.address.domain if sender else "", key, path)


def _algorithm(text: str) -> Algorithm:
    if text not in set(Algorithm):
        msg = f"There is no algorithm {text!r} for signing letters."
        raise BadInput(msg, remedy="Use --algorithm rsa or --algorithm ed25519.")
    return Algorithm(text)


def _name(kit: Kit, algorithm: str, selector: str | None) -> str:
    usual = f"campaign-{kit.clock.now():%Y-%m}{'' if algorithm == Algorithm.RSA else f'-{algorithm}'}"
    try:
        [name] = read_selectors(selector or usual)
    except ValueError as error:
        msg = f"{(selector or '')[:80]!r} cannot be the name of one key."
        raise BadInput(msg, remedy="Use letters, digits and hyphens: --selector campaign-2027-01") from error
    return name


def _write(path: Path, private: bytes) -> None:
    """Write a file that its owner alone may read, from its first byte on; one that is there is never touched."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        msg = f"There is a key file {path} already."
        raise Conflict(msg, remedy="Give the fresh key another name: --selector NAME") from None
    with open(handle, "wb") as file:  # noqa: PTH123 -- by handle
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
