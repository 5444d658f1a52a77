"""What the rest of Campaign may ask of a way to hand letters over. It never says how that is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from campaign.domain.addresses import Address
from campaign.domain.errors import CampaignError
from campaign.domain.replies import Answer

BeforeDot = Callable[[], Awaitable[bool]]
"""Asked once when the whole body is written: True lets the dot follow, False drops the connection without it."""


Upcoming = Callable[[], "tuple[Envelope, bytes] | None"]
"""Asked when the dot is about to follow: the letter after this one, if it is at hand."""


class TransportFault(CampaignError):
    """The relay could not be reached, or would not let us in."""

    code = "transport_fault"

    def __init__(self, message: str, *, answer: Answer, remedy: str = "") -> None:
        """Take the words for people, and the answer for `judge`."""
        super().__init__(message, remedy=remedy)
        self.answer = answer


class Envelope(NamedTuple):
    """Who a letter is from and to on the wire; the sender is empty for the null path (RFC 5321 s. 4.5.5)."""

    sender: str
    recipient: Address


class Welcome(NamedTuple):
    """What a relay offered when it let us in. `tls` and `cipher` are None on a line in the open."""

    tls: str | None
    cipher: str | None
    auth: tuple[str, ...]
    signed_in: bool
    size_limit: int | None
    pipelining: bool
    smtputf8: bool


class Conversation(Protocol):
    """One open connection to a relay, signed in and ready. It carries one letter at a time."""

    @property
    def welcome(self) -> Welcome:
        """What the relay offered."""
        ...

    @property
    def size_limit(self) -> int | None:
        """The largest body in bytes that the relay takes (RFC 1870), None when it does not say."""
        ...

    @property
    def smtputf8(self) -> bool:
        """Whether letters to non-ASCII mailbox names can go this way (RFC 6531)."""
        ...

    @property
    def delivered(self) -> int:
        """How many letters this connection has handed over; for recycling it."""
        ...

    @property
    def opened_at(self) -> float:
        """When it was opened, in seconds of the running event loop's monotonic clock; for recycling it."""
        ...

    @property
    def usable(self) -> bool:
        """Whether another letter can be tried on it; if not, close it and open another."""
        ...

    @property
    def engaged(self) -> bool:
        """Whether a letter is proposed on it, which must be the next."""
        ...

    async def deliver(
        self, envelope: Envelope, body: bytes, before_dot: BeforeDot, upcoming: Upcoming | None = None
    ) -> Answer:
        """Hand over one letter and return how it ended. The wire's faults are answers, they are never raised.

        Where the relay takes commands in groups, the letter that `upcoming` names is proposed in one write with the
        dot; it must be the next one that is delivered here, or the connection is closed.

        What `before_dot` raises, and a cancellation, drops the connection without a dot that was not yet written, and
        is raised again. No dot was ever written unless the answer's phase is `dot`.
        """
        ...

    async def close(self) -> None:
        """Take leave and close; never raises and never waits long. What the relay says to QUIT changes nothing."""
        ...


class Transport(Protocol):
    """A way to hand letters over: one relay with its address and its credentials."""

    @property
    def name(self) -> str:
        """What ledgers and reports call it."""
        ...

    async def open(self) -> Conversation:
        """Connect, secure the line and sign in; raise TransportFault with the answer that stood in the way."""
        ...
