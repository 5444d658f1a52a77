"""The keyring: hashes addresses, seals what names a person, signs links. It never stores or prints a key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from campaign.clock import Clock
from campaign.domain.addresses import Address
from campaign.domain.errors import CampaignError
from campaign.domain.tokens import Link, Purpose, derive, read, sign

_NONCE: Final = 12
_ID: Final = 4


def key_id(blob: bytes) -> str:
    """Return the id of the key under which something is sealed."""
    return blob[:_ID].hex()


class SealBroken(CampaignError):
    """A sealed field cannot be opened with the keys at hand."""

    code = "seal_broken"

    def __init__(self) -> None:
        """Say what to do about it."""
        super().__init__(remedy="Put the CAMPAIGN_SEAL_KEY that this database was written with back into .env.")


class Keyring:
    """The three keys of an installation at work."""

    def __init__(self, clock: Clock, *, secrets: Sequence[bytes], suppression: bytes, seals: Sequence[bytes]) -> None:
        """Take link secrets and seal keys newest first, and the one suppression key that never changes."""
        self._clock = clock
        self._secrets = tuple(secrets)
        self._suppression = derive(suppression, "campaign address key")
        self._seals = {derive(key, "campaign seal id")[:_ID]: AESGCM(derive(key, "campaign seal")) for key in seals}
        self._newest = next(iter(self._seals))

    def address_key(self, address: Address) -> bytes:
        """Return the keyed hash (HMAC-SHA-256, 32 bytes) that stands for this mailbox in every table."""
        return hmac.digest(self._suppression, address.canonical.encode(), hashlib.sha256)

    def seal(self, text: str, *, purpose: str) -> bytes:
        """Return `text` under AES-256-GCM: key id, nonce, ciphertext.

        `purpose` is bound in, so fields cannot be swapped.
        """
        nonce = self._clock.token_bytes(_NONCE)
        return self._newest + nonce + self._seals[self._newest].encrypt(nonce, text.encode(), purpose.encode())

    def seal_all(self, texts: Sequence[str], *, purpose: str) -> list[bytes]:
        """Seal many texts at once, each with a nonce of its own: asking for chance once saves a third of the time."""
        cipher, bound = self._seals[self._newest], purpose.encode()
        chance = self._clock.token_bytes(_NONCE * len(texts))
        nonces = (chance[at : at + _NONCE] for at in range(0, len(chance), _NONCE))
        return [
            self._newest + nonce + cipher.encrypt(nonce, text.encode(), bound)
            for nonce, text in zip(nonces, texts, strict=True)
        ]

    def open(self, blob: bytes, *, purpose: str) -> str:
        """Return what was sealed for `purpose` with any key on the ring; raise SealBroken otherwise."""
        cipher = self._seals.get(blob[:_ID])
        if cipher is None:
            raise SealBroken
        try:
            return cipher.decrypt(blob[_ID : _ID + _NONCE], blob[_ID + _NONCE :], purpose.encode()).decode()
        except InvalidTag as error:
            raise SealBroken from error

    def open_address(self, blob: bytes) -> Address:
        """Open a sealed address."""
        local, _, domain = self.open(blob, purpose="address").rpartition("@")
        return Address(local, domain)

    @property
    def newest(self) -> str:
        """The id of the key that seals from now on, as hexadecimal digits; it tells nothing about the key."""
        return self._newest.hex()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the seal keys on the ring, newest first."""
        return tuple(one.hex() for one in self._seals)

    def reseal(self, blob: bytes, *, purpose: str) -> bytes | None:
        """Return what is sealed under an older key under the newest one; None where that is so already."""
        return None if blob[:_ID] == self._newest else self.seal(self.open(blob, purpose=purpose), purpose=purpose)

    def sign_link(self, link: Link) -> str:
        """Return the token that a letter carries for `link`, under the newest secret."""
        return sign(link, self._secrets[0])

    def read_link(self, purpose: Purpose, token: str) -> Link:
        """Return what a token says; raise TokenRefused for anything we did not sign for this purpose."""
        return read(purpose, token, self._secrets)

    def fingerprint(self) -> bytes:
        """Return 8 bytes by which a database recognises its suppression key, without revealing it."""
        return derive(self._suppression, "campaign fingerprint")[:8]


def fresh_key(clock: Clock) -> str:
    """Return a new key as it stands in `.env`: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(clock.token_bytes(32)).decode()
