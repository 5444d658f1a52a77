"""Operators come, change roles and go, and a command asks whether its operator may. It guards against slips.

Whoever can read the database and its keys can do everything anyhow; so this is a rail, not a wall.
"""

from __future__ import annotations

from campaign.actions import auditing
from campaign.actions.auditing import Deed
from campaign.actions.kit import Kit
from campaign.domain.errors import CampaignError, Conflict, NotFound
from campaign.domain.operators import LOCAL, RIGHTS, Right, Role, checked_name, least_role
from campaign.domain.shapes import MAX_LINE
from campaign.store import operators
from campaign.store.engine import Transaction
from campaign.store.operators import Operator


class NotAllowed(CampaignError):
    """This operator may not do that."""

    code = "not_allowed"


async def require(kit: Kit, right: Right) -> None:
    """Raise NotAllowed unless the one who types may; where nobody was ever made an operator, everybody may."""
    name = kit.operator.removeprefix(LOCAL)
    async with kit.store.read() as tx:
        staff = {one.name: one for one in await operators.every(tx)}
    if not staff:
        return
    mine = staff.get(name)
    if mine is not None and right in RIGHTS[mine.role]:
        return
    admins = ", ".join(one.name for one in staff.values() if one.role is Role.ADMIN)
    who = f"{name} is {mine.role}" if mine else f"{name} is no operator here"
    remedy = f"It needs the role {least_role(right)}; {admins} can give it: campaign operators edit {name} --role …"
    raise NotAllowed(f"{who}, and may not do this.", remedy=remedy)


async def add(kit: Kit, name: str, role: Role, title: str = "") -> bool:
    """Make somebody an operator; return False when they are just that. The first one must be an admin."""
    name, title = checked_name(name), " ".join(title.split())[:MAX_LINE]
    async with kit.store.begin() as tx:
        found = await operators.find(tx, name)
        if found is not None and found.retired_at is None:
            if (found.role, found.title) == (role, title):
                return False
            raise Conflict(f"{name} is {found.role} already.", remedy=f"campaign operators edit {name} --role {role}")
        if role is not Role.ADMIN and not await operators.count_admins(tx):
            me = kit.operator.removeprefix(LOCAL)
            remedy = f"Begin with yourself: campaign operators add {me} --role admin"
            raise Conflict("The first operator is an admin, or nobody could make another one.", remedy=remedy)
        if found is None:
            await operators.add(tx, name, role, title, kit.clock.now())
        else:
            values = {"role": role, "title": title, "retired_at": None}
            await operators.change(tx, found.id, values, kit.clock.now())
        await auditing.note(kit, tx, Deed("operator.add", name, after={"role": role}))
    return True


async def edit(kit: Kit, name: str, role: Role | None = None, title: str | None = None) -> bool:
    """Change an operator's role or title; return False when nothing is different."""
    async with kit.store.begin() as tx:
        found = await _require(tx, name)
        new_role = role or found.role
        new_title = found.title if title is None else " ".join(title.split())[:MAX_LINE]
        if (new_role, new_title) == (found.role, found.title):
            return False
        if found.role is Role.ADMIN and new_role is not Role.ADMIN:
            await _refuse_last(tx, found)
        await operators.change(tx, found.id, {"role": new_role, "title": new_title}, kit.clock.now())
        before, after = {"role": found.role}, {"role": new_role}
        await auditing.note(kit, tx, Deed("operator.edit", found.name, before=before, after=after))
    return True


async def retire(kit: Kit, name: str) -> None:
    """Let an operator go; what they did stays in the audit log under their name."""
    async with kit.store.begin() as tx:
        found = await _require(tx, name)
        if found.role is Role.ADMIN:
            await _refuse_last(tx, found)
        await operators.change(tx, found.id, {"retired_at": kit.clock.now()}, kit.clock.now())
        await auditing.note(kit, tx, Deed("operator.retire", found.name, before={"role": found.role}))


async def every(kit: Kit, *, retired: bool = False) -> list[Operator]:
    """Return the operators by name, and on demand the retired ones too."""
    async with kit.store.read() as tx:
        return await operators.every(tx, retired=retired)


async def _require(tx: Transaction, name: str) -> Operator:
    found = await operators.find(tx, checked_name(name))
    if found is not None and found.retired_at is None:
        return found
    known = ", ".join(one.name for one in await operators.every(tx)) or "none yet"
    raise NotFound(f"{name} is no operator here.", remedy=f"Known: {known}.")


async def _refuse_last(tx: Transaction, found: Operator) -> None:
    if await operators.count_admins(tx) == 1:
        remedy = "Make somebody else an admin first: campaign operators add NAME --role admin"
        raise Conflict(f"{found.name} is the last admin.", remedy=remedy)
