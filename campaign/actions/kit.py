"""What every verb is handed: settings, store, clock, keys, renderer, transport, doorbell.

It never does anything itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campaign.clock import Clock
from campaign.domain.errors import NotReady
from campaign.keys import Keyring
from campaign.mail.renderer import Renderer
from campaign.mail.transport import Transport
from campaign.settings import Settings
from campaign.store.engine import Store


class Doorbell(Protocol):
    """Tells whoever drains the ledger that there is post. Losing a ring costs seconds, never a letter."""

    def ring(self) -> None:
        """Say that something may be due now."""
        ...


class SilentDoorbell:
    """Rings nowhere: a command that ends leaves the daemon's next tick to find the post."""

    def ring(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Kit:
    """The tools of a verb."""

    settings: Settings
    store: Store
    clock: Clock
    keys: Keyring
    renderer: Renderer
    doorbell: Doorbell
    operator: str
    """Who does it: `local:<user>` at a command line, `web` for subscribers, `daemon` for what happens by itself."""
    transport: Transport | None = None

    def relay(self) -> Transport:
        """Return the relay, or say that none is configured."""
        if self.transport is None:
            raise NotReady("No relay is configured.", remedy="Set CAMPAIGN_SMTP_URL in .env.")
        return self.transport
