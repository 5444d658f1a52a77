"""Makes one person's letter from what is compiled: address, links, Message-ID. The same on every attempt.

It never sends, and it writes nothing: what a letter says for good is stored with its first token, and its links follow
from the numbers that they name.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from campaign.actions import wording
from campaign.actions.kit import Kit
from campaign.actions.signing import Signing
from campaign.domain.addresses import Address
from campaign.domain.delivery import Kind
from campaign.domain.message import (
    CONFIRM,
    LIST_KINDS,
    UNSUBSCRIBE,
    UNSUBSCRIBE_MAILTO,
    LetterRefused,
    Personal,
)
from campaign.domain.tokens import Link, Purpose
from campaign.mail.composer import Compiled, compose, fill
from campaign.mail.dkim import Draft
from campaign.mail.transport import Envelope
from campaign.store import letters
from campaign.store.claims import Claimed

_NOBODYS: Final = Link(Purpose.LEAVE, 0, 0)
_ASKING: Final = {Kind.CONFIRM: Purpose.CONFIRM, Kind.RENEW: Purpose.RENEW}
_KEPT: Final = 256
"""How many compiled variants are kept at hand; each has about 25 kB."""


class Filled(NamedTuple):
    """One letter ready for the wire, and what its first token writes down."""

    personal: Personal
    body: bytes
    variant: str
    envelope: Envelope


class Filling:
    """Fills letters in, and keeps what is compiled at hand."""

    def __init__(self, kit: Kit) -> None:
        """Fill with the kit's keys, store and renderer."""
        self._kit = kit
        settings = kit.settings
        own = settings.return_path or (settings.sender.address if settings.sender else None)
        self._return_path = own.wire if own else ""
        self._domain = settings.sender.address.domain if settings.sender else "localhost"
        self._pages = (settings.base_url or "").rstrip("/")
        self._contact = settings.contact.wire if settings.contact else ""
        self.signing = Signing(kit.signer) if kit.signer is not None and kit.signer.slow else None
        """Where letters are signed if that takes long; None where it is done at once, or not at all."""
        self._looking = asyncio.Lock()
        """One connection looks a text up for all: at the start of an edition all of them want the same one."""
        self._compiled: dict[str, Compiled] = {}
        self._variants: dict[int, list[str]] = {}
        self._picked: dict[tuple[int, str | None, str | None], str | None] = {}

    async def fill(self, letter: Claimed) -> Filled:
        """Return the letter of one person; raise LetterRefused when it cannot be made for them."""
        if letter.address_sealed is None:
            raise LetterRefused("The address was erased.")
        variant = letter.variant or await self._variant(letter)
        compiled = await self._at_hand(letter, variant)
        personal = self._personal(letter)
        body = await compose(self._kit.renderer, compiled, personal)
        made = Filled(personal, body, variant, Envelope(self._return_path, personal.to))
        return self.signed(made) if self.signing is None else await asyncio.to_thread(self.signed, made)

    def at_once(self, letter: Claimed) -> Filled | None:
        """Do the same without waiting for anything; None where that cannot be done."""
        made = self.unsigned(letter)
        return made if made is None or self._kit.signer is None else self.signed(made)

    def signed(self, made: Filled) -> Filled:
        """Sign a letter, where there is a key. Any thread may call it.

        The time in the signature is the letter's date, so that it is the same on every attempt.
        """
        signer = self._kit.signer
        return made if signer is None else made._replace(body=signer.sign(made.body, made.personal.date))

    def draft(self, made: Filled) -> Draft | None:
        """Prepare a letter for the program that signs; None where it cannot be signed."""
        signer = self._kit.signer
        try:
            return None if signer is None else signer.draft(made.body, made.personal.date)
        except Exception:  # noqa: BLE001 -- whoever takes the letter makes it anew, and hears what is wrong with it
            return None

    async def close(self) -> None:
        """End the program that signs, if there is one."""
        if self.signing is not None:
            await self.signing.program.close()

    def unsigned(self, letter: Claimed) -> Filled | None:
        """Do what `at_once` does, and leave the signature to `signed`."""
        if letter.address_sealed is None:
            return None
        variant = letter.variant or self._known_variant(letter)
        compiled = self._compiled.get(variant) if variant else None
        if variant is None or compiled is None or compiled.per_person:
            return None
        personal = self._personal(letter)
        return Filled(personal, fill(compiled, personal), variant, Envelope(self._return_path, personal.to))

    async def _variant(self, letter: Claimed) -> str:
        async with self._looking:
            if letter.edition_id is not None and letter.edition_id not in self._variants:
                async with self._kit.store.read() as tx:
                    self._variants[letter.edition_id] = await letters.variants(tx, letter.edition_id)
        found = self._known_variant(letter)
        if found is None:
            raise LetterRefused("There is no text in any language for this person.")
        return found

    def _known_variant(self, letter: Claimed) -> str | None:
        if letter.edition_id is None:
            return f"{letter.kind.value}:{letter.language or self._kit.settings.language}"
        reader = (letter.edition_id, letter.language, letter.country)
        if reader not in self._picked:
            known = self._variants.get(letter.edition_id)
            if known is None:
                return None
            self._picked[reader] = wording.pick_variant(known, letter.language, letter.country)
        return self._picked[reader]

    async def _at_hand(self, letter: Claimed, variant: str) -> Compiled:
        async with self._looking:
            found = self._compiled.get(variant)
            if found is None:
                found = await self._looked_up(letter, variant)
                if len(self._compiled) >= _KEPT:
                    self._compiled.pop(next(iter(self._compiled)))
                self._compiled[variant] = found
        return found

    async def _looked_up(self, letter: Claimed, variant: str) -> Compiled:
        async with self._kit.store.read() as tx:
            stored = await letters.compiled(tx, variant)
        if stored is not None:
            return Compiled.loads(stored)
        if letter.edition_id is None:
            return await wording.compile_service(self._kit, letter.kind, variant)
        raise LetterRefused(f"The text {variant} is missing from the database.")

    def _personal(self, letter: Claimed) -> Personal:
        """Return what is this person's: date and Message-ID of the first token where there was one.

        A seal that does not open is a fault of this installation, not of the person: it is raised as it is.
        """
        name = self._kit.keys.open(letter.name_sealed, purpose="name") if letter.name_sealed else ""
        to = self._kit.keys.open_address(letter.address_sealed or b"")
        leaving = Link(Purpose.LEAVE, letter.subscription_id or 0, letter.id)
        if letter.message_id is None or letter.date is None:
            return self.personal_for(letter.kind, to, name, leaving)
        return Personal(to, letter.message_id, letter.date, name, self._links(letter.kind, leaving))

    def personal_for(self, kind: Kind, to: Address, name: str, leaving: Link = _NOBODYS) -> Personal:
        """Return fresh slot values for one letter; links about no subscription are signed for nobody."""
        return Personal(
            to,
            f"<d.{leaving.delivery}.{self._kit.clock.token(9)}@{self._domain}>",
            self._kit.clock.now().replace(microsecond=0),
            name,
            self._links(kind, leaving),
        )

    def _links(self, kind: Kind, leaving: Link) -> dict[str, str]:
        """The links of one letter: each token names its subscription and delivery, and does what its purpose says."""
        links: dict[str, str] = {}
        if kind in LIST_KINDS:
            token = self._kit.keys.sign_link(leaving)
            links[UNSUBSCRIBE] = f"{self._pages}/u/{token}"
            links[UNSUBSCRIBE_MAILTO] = f"mailto:{self._contact}?subject=unsubscribe%20{token}"
        if (purpose := _ASKING.get(kind)) is not None:
            token = self._kit.keys.sign_link(leaving._replace(purpose=purpose))
            links[CONFIRM] = f"{self._pages}/{purpose.value}/{token}"
        return links
