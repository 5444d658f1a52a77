"""Refuses to work on a database with the keys of another: it would hide who asked to be forgotten. It never sends."""

from __future__ import annotations

from pathlib import Path

from campaign.actions.kit import Kit
from campaign.domain.errors import CampaignError
from campaign.keys import Keyring, SealBroken
from campaign.store import instance
from campaign.store.engine import Store
from campaign.store.instance import Instance

_INSTANCE_BYTES = 12


class KeysDoNotFit(CampaignError):
    """The keys in the settings are not those that this database was written with."""

    code = "keys_do_not_fit"


async def check_keys(kit: Kit) -> None:
    """Raise KeysDoNotFit unless the keys at hand are the database's own; a new database gets their fingerprint."""
    known = await compare_keys(kit.store, kit.keys, kit.settings.home / ".env")
    if known is None:
        mine = Instance(kit.settings.instance_id or kit.clock.token(_INSTANCE_BYTES), kit.keys.fingerprint())
        async with kit.store.begin() as tx:
            await instance.register(tx, mine, kit.clock.now())


async def compare_keys(store: Store, keys: Keyring, env: Path) -> Instance | None:
    """Return whose database this is, None for nobody's yet; raise KeysDoNotFit unless the keys are its own."""
    async with store.read() as tx:
        known, sealed = await instance.find(tx), await instance.sealed_sample(tx)
    if known is not None and known.fingerprint != keys.fingerprint():
        msg = "CAMPAIGN_SUPPRESSION_KEY is not the key that this database was written with."
        remedy = f"Put the old key back into {env}. With another one, people who asked to be forgotten could come back."
        raise KeysDoNotFit(msg, remedy=remedy)
    try:
        for address in sealed:
            keys.open(address, purpose="address")
    except SealBroken as error:
        msg = "CAMPAIGN_SEAL_KEY does not open the addresses in this database."
        remedy = f"Put the key that it was written with back into {env}; a newer one may stand before it."
        raise KeysDoNotFit(msg, remedy=remedy) from error
    return known
