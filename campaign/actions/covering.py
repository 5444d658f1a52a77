"""What an approval covers, and whether it still stands. It never gives or takes one.

Covered are steps, audience, content rule, sender, pinned articles and the home's own letter templates; not the shipped
templates, because an upgrade must not silence 30 July.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from campaign.actions import publishing
from campaign.actions.kit import Kit
from campaign.domain.campaigns import approval_digest
from campaign.store import audiences, campaigns
from campaign.store.campaigns import Campaign
from campaign.store.editions import Edition


async def covered(kit: Kit, campaign: Campaign) -> bytes:
    """Return the digest of all that an approval of this campaign covers, as it is at this moment."""
    pinned = await publishing.digests(kit, campaign.definition.pinned)
    templates = _own_templates(kit.settings.home / "templates")
    sender = str(kit.settings.sender or "")
    async with kit.store.read() as tx:
        rule = await audiences.segment_rule(tx, campaign.definition)
    words = None if rule is None else str(rule)
    return approval_digest(campaign.definition, sender=sender, templates=templates, articles=pinned, rule=words)


async def stands(kit: Kit, campaign: Campaign, edition: Edition) -> bool:
    """Say whether the approval still covers what this edition would send."""
    digest = await covered(kit, campaign)
    needed = edition.id if campaign.definition.each_edition else None
    async with kit.store.read() as tx:
        approval = await campaigns.last_approval(tx, campaign.id, needed)
    return approval is not None and approval.digest == digest


def _own_templates(folder: Path) -> bytes:
    """Return a digest of every file that a letter could include: all of the home's templates but those of web pages."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else ():
        name = path.relative_to(folder)
        if name.parts[0] != "web":
            found.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.digest()
