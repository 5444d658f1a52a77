"""Links that prove themselves: what a token says, and how it is sealed and read.

It never knows what a page does with it.
A token names one purpose, one subscription and one delivery, and is worth nothing for another purpose: each purpose has
a key of its own, derived by HKDF (RFC 5869) from the installation's secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

from campaign.domain.errors import CampaignError

_MAC: Final = 16
_NUMBERS: Final = struct.Struct(">QQ")


class TokenRefused(CampaignError):
    """This link is not one of ours, or it was cut short on its way."""

    code = "token_refused"


class Purpose(StrEnum):
    """What a link may do, and nothing else."""

    LEAVE = "u"
    CONFIRM = "c"
    PREFER = "p"
    RENEW = "r"


class Link(NamedTuple):
    """What a token says: a subscription and the delivery (0 for none) whose letter carried it."""

    purpose: Purpose
    subscription: int
    delivery: int


def sign(link: Link, secret: bytes) -> str:
    """Return `link` as URL-safe text of 43 characters with a 128-bit MAC under the purpose's own key."""
    body = _NUMBERS.pack(link.subscription, link.delivery)
    return base64.urlsafe_b64encode(body + _mac(link.purpose, body, secret)).rstrip(b"=").decode()


def read(purpose: Purpose, token: str, secrets: Sequence[bytes]) -> Link:
    """Return what `token` says when one of `secrets` (newest first) sealed it for `purpose`.

    Raise TokenRefused otherwise.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenRefused from error
    body, mac = raw[:-_MAC], raw[-_MAC:]
    if len(body) != _NUMBERS.size or not any(hmac.compare_digest(mac, _mac(purpose, body, s)) for s in secrets):
        raise TokenRefused
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != token:
        raise TokenRefused
    return Link(purpose, *_NUMBERS.unpack(body))


@cache
def derive(secret: bytes, info: str) -> bytes:
    """Return a 32-byte key for `info` only (HKDF-SHA-256 without salt, RFC 5869; one block is all that is needed)."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info.encode() + b"\x01", hashlib.sha256)


def _mac(purpose: Purpose, body: bytes, secret: bytes) -> bytes:
    mac = _keyed(purpose, secret).copy()
    mac.update(body)
    return mac.digest()[:_MAC]


@cache
def _keyed(purpose: Purpose, secret: bytes) -> hmac.HMAC:
    """Return a MAC that has taken its key and nothing else, to be copied for each link."""
    return hmac.new(derive(secret, f"campaign link {purpose.value}"), digestmod=hashlib.sha256)
