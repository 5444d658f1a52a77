"""Settings that follow from others, or are read in the light of them. It never looks anywhere else."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationInfo

from campaign.domain.addresses import Address
from campaign.settings import signing, values
from campaign.settings.relays import MAIN, RelaySettings


def database(value: Any, info: ValidationInfo) -> str:
    """Read the database's URL; a relative SQLite file lies in the home."""
    return values.sqlite_beside(values.read_database_url(value), info.data["home"])


def selectors(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    """Read the selectors, and hold them against the keys unless those are wrong themselves."""
    names = signing.read_selectors(value)
    return signing.matched(names, info.data["dkim_keys"]) if "dkim_keys" in info.data else names


def contact(data: dict[str, Any]) -> Address | None:
    """Answer questions at the sender's own address."""
    return sender.address if (sender := data.get("sender")) else None


def organisation(data: dict[str, Any]) -> str:
    """Call the organisation what the sender calls itself."""
    return (sender.name or sender.address.domain) if (sender := data.get("sender")) else ""


def main_relay(data: dict[str, Any]) -> tuple[RelaySettings, ...]:
    """Take the one relay that CAMPAIGN_SMTP_URL names."""
    return (RelaySettings(name=MAIN, url=data["smtp_url"]),) if data.get("smtp_url") else ()
