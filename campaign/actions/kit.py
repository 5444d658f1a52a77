"""What every verb is handed: settings, store, clock, keys, renderer, relays, signer, doorbell.

It never does anything itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from campaign.clock import Clock
from campaign.domain.errors import NotFound, NotReady
from campaign.domain.pace import Limits
from campaign.keys import Keyring
from campaign.mail.dkim import Signer
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
class Relay:
    """One relay: the way to it, its share of the letters, and how many connections and letters it takes."""

    transport: Transport
    weight: int = 1
    connections: int | None = None
    """None follows CAMPAIGN_CONNECTIONS."""
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        """What the ledger and the reports call it."""
        return self.transport.name


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
    relays: tuple[Relay, ...] = ()
    signer: Signer | None = None
    """Signs letters before they go out, where there is a key for that."""

    def require_relays(self) -> tuple[Relay, ...]:
        """Return the relays, or say that none is configured."""
        if not self.relays:
            raise NotReady("No relay is configured.", remedy="Set CAMPAIGN_SMTP_URL in .env, or write relays.toml.")
        return self.relays

    @property
    def ways(self) -> frozenset[str]:
        """The names of the relays that are set; the ledger also knows those that are set no more."""
        return frozenset(relay.name for relay in self.relays)

    def relay(self, name: str) -> Relay:
        """Return the relay of that name, or say which there are."""
        for relay in self.require_relays():
            if relay.name == name:
                return relay
        msg = f"There is no relay {name!r}."
        raise NotFound(msg, remedy=f"There are: {', '.join(relay.name for relay in self.relays)}.")
