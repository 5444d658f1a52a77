"""Who may get a letter, by what the rows say at the moment: the predicate of every token, per kind (design: Eligible).

It never moves a letter.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, or_, select

from campaign.domain.consent import Reason, SubscriptionState
from campaign.domain.delivery import Kind
from campaign.domain.editions import EditionState
from campaign.store.schema.ledger import campaign_lists, deliveries, editions
from campaign.store.schema.people import address_changes, lists, subscriptions, suppressed_domains, suppressions

_D: Final = deliveries.c


def _suppressed(*reasons: Reason) -> ColumnElement[bool]:
    """Say whether the mailbox is suppressed (for one of these reasons), or all of its domain, always a block."""
    s = suppressions.c
    found = select(s.id).where(s.address_key == _D.address_key)
    mailbox = exists(found.where(or_(*(s.reason == one for one in reasons))) if reasons else found)
    return or_(mailbox, exists(select(suppressed_domains.c.id).where(suppressed_domains.c.domain == _D.domain)))


def _subscription_is(*states: SubscriptionState) -> ColumnElement[bool]:
    s = subscriptions.c
    there = or_(*(s.state == one for one in states))
    return exists(select(s.id).where(s.id == _D.subscription_id, s.subscriber_id == _D.subscriber_id, there))


def _moves_there() -> ColumnElement[bool]:
    """Somebody asked to be written to at this letter's address, and nobody has answered yet."""
    c = address_changes.c
    return exists(select(c.id).where(c.delivery_id == _D.id, c.confirmed_at.is_(None)))


def _on_audience() -> ColumnElement[bool]:
    """The person is active on at least one list, that has not ended, of the edition's campaign."""
    s, c, e = subscriptions.c, campaign_lists.c, editions.c
    return exists(
        select(s.id)
        .join(campaign_lists, c.list_id == s.list_id)
        .join(editions, e.campaign_id == c.campaign_id)
        .join(lists, and_(lists.c.id == s.list_id, lists.c.retired_at.is_(None)))
        .where(s.subscriber_id == _D.subscriber_id, s.state == SubscriptionState.ACTIVE, e.id == _D.edition_id),
    )


@cache
def may_receive() -> ColumnElement[bool]:
    """The predicate of who may get a letter, per kind (design: Eligible). It looks at the rows as they are now."""
    never = _suppressed(Reason.COMPLAINED, Reason.BLOCKED)
    active, pending, left = SubscriptionState.ACTIVE, SubscriptionState.PENDING, SubscriptionState.LEFT
    return or_(
        and_(_D.kind == Kind.EDITION, _on_audience(), ~_suppressed()),
        and_(_D.kind == Kind.CONFIRM, or_(_subscription_is(pending), _moves_there()), ~never),
        and_(_D.kind == Kind.RENEW, _subscription_is(active), ~_suppressed()),
        and_(_D.kind == Kind.WELCOME, _subscription_is(active), ~_suppressed()),
        and_(_D.kind == Kind.GOODBYE, _subscription_is(left), ~never),
        and_(_D.kind == Kind.TEST, ~_suppressed()),
        _D.kind == Kind.ALERT,
    )


@cache
def edition_is_open() -> ColumnElement[bool]:
    """The letter belongs to no edition, or to one that is sending: pause and cancel close it."""
    e = editions.c
    return or_(
        _D.edition_id.is_(None),
        exists(select(e.id).where(e.id == _D.edition_id, e.state == EditionState.SENDING)),
    )
