"""Brings back what dead workers held, and resolves doubts by policy. It never calls a living worker dead."""

from __future__ import annotations

from campaign.actions.kit import Kit
from campaign.domain.delivery import DOT_PATIENCE, LEASE
from campaign.logs import get_log
from campaign.store import recovery
from campaign.store.engine import repeated
from campaign.store.presence import is_dead

_log = get_log()


@repeated
async def recover(kit: Kit, alive: str | None = None) -> tuple[int, int]:
    """Return letters of dead owners to the queue (claimed) or into doubt (offered), then apply the policies.

    Returns how many of each. It runs at start and every 30 seconds, and may run anywhere at any time. `alive` is the
    owner who asks: it lives, whatever became of its lock.
    """
    async with kit.store.read() as tx:
        owners = await recovery.owners(tx)
    released = doubted = 0
    for owner in owners:
        if owner != alive and await is_dead(kit.store, owner):
            back, doubt = await recover_owner(kit, owner)
            released, doubted = released + back, doubted + doubt
    now = kit.clock.now()
    async with kit.store.begin() as tx:
        frozen = await recovery.recover_frozen(
            tx, claimed_before=now - LEASE, offered_before=now - DOT_PATIENCE, now=now
        )
        await recovery.resolve_by_policy(tx, now, kit.settings.max_attempts)
    released, doubted = released + frozen[0], doubted + frozen[1]
    if released or doubted:
        _log.warning("recovered", released=released, in_doubt=doubted)
    return released, doubted


@repeated
async def recover_owner(kit: Kit, owner: str) -> tuple[int, int]:
    """Bring back everything one owner held, because it is dead or is about to end."""
    async with kit.store.begin() as tx:
        return await recovery.recover_owner(tx, owner, kit.clock.now())
