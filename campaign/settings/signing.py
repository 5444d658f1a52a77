"""The private keys that letters are signed with: how they are read and made, and what the DNS must say about each.

It never signs a letter, and shows no private key but the one that was just made.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SELECTOR: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_SELECTOR: Final = 120
_PUBLIC_EXPONENT: Final = 65_537
LEAST_BITS: Final = 1024
GOOD_BITS: Final = 2048
_MOST_BITS: Final = 4096
"""RFC 8301 s. 3.2: receivers know RSA keys from 1024 to 4096 bits; those of 2048 and more are asked for."""
_STRING: Final = 255
"""Bytes of one character-string in a TXT record (RFC 1035 s. 3.3.14)."""


class Algorithm(StrEnum):
    """What a key signs with, in the word of a record's `k=` (RFC 6376 s. 3.6.1, RFC 8463 s. 4)."""

    RSA = "rsa"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One private key, and what can be said about it in public."""

    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @classmethod
    def fresh(cls, algorithm: Algorithm) -> SigningKey:
        """Make a key; RSA ones have 2048 bits. Its chance is OpenSSL's own, which takes no other."""
        if algorithm is Algorithm.ED25519:
            return cls(Ed25519PrivateKey.generate())
        return cls(generate_private_key(_PUBLIC_EXPONENT, GOOD_BITS))

    @property
    def algorithm(self) -> Algorithm:
        """What it signs with."""
        return Algorithm.RSA if isinstance(self.private, RSAPrivateKey) else Algorithm.ED25519

    @property
    def bits(self) -> int:
        """How long it is."""
        return self.private.key_size if isinstance(self.private, RSAPrivateKey) else 256

    @property
    def pem(self) -> bytes:
        """The private key itself, as a file holds it (PKCS#8)."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def record(self) -> str:
        """What the TXT record says, on one line: RSA as SubjectPublicKeyInfo, ed25519 as the bare 32 bytes."""
        public = self.private.public_key()
        if isinstance(self.private, RSAPrivateKey):
            octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            octets = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k={self.algorithm}; p={base64.b64encode(octets).decode()}"


def record_name(selector: str, domain: str) -> str:
    """Return where in the DNS the record of a selector lies, without a dot at its end."""
    return f"{selector}._domainkey.{domain}"


def zone_lines(name: str, record: str) -> str:
    """Return the record as a zone file has it: strings of at most 255 bytes, which readers join without a gap."""
    strings = [f'    "{record[at : at + _STRING]}"' for at in range(0, len(record), _STRING)]
    return "\n".join([f"{name}. IN TXT (", *strings, ")"])


def read_signing_keys(value: Any) -> tuple[SigningKey, ...]:
    """Read one private key in PEM, or one of each kind one after the other. The message never repeats any of it.

    Line breaks may be written as the two characters backslash and n, because many a place keeps only one line.
    """
    if isinstance(value, tuple):
        return value
    text = str(value).replace("\\n", "\n").replace("\r\n", "\n").strip()
    blocks = [found[0] for found in _BLOCK.finditer(text)]
    if not blocks or _BLOCK.sub("", text).strip():
        msg = "it is no private key in PEM (-----BEGIN PRIVATE KEY-----)"
        raise ValueError(msg)
    keys = tuple(map(_read_one, blocks))
    if len({key.algorithm for key in keys}) != len(keys):
        msg = "two keys of one kind stand in it; one rsa and one ed25519 key may sign side by side"
        raise ValueError(msg)
    return keys


def _read_one(pem: str) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        msg = "a key in it has a passphrase; take that off with: openssl pkcs8 -topk8 -nocrypt"
        raise ValueError(msg) from None
    except (ValueError, UnsupportedAlgorithm):
        msg = "a key in it is no private key that can be read"
        raise ValueError(msg) from None
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        msg = "a key in it is neither an rsa nor an ed25519 key"
        raise ValueError(msg)  # noqa: TRY004 -- pydantic collects ValueError
    key = SigningKey(private)
    if key.algorithm is Algorithm.RSA and not LEAST_BITS <= key.bits <= _MOST_BITS:
        msg = f"its rsa key has {key.bits} bits; receivers take {LEAST_BITS} to {_MOST_BITS}"
        raise ValueError(msg)
    return key


def read_selectors(value: Any) -> tuple[str, ...]:
    """Read the names under which the keys lie in the DNS, separated by commas, in the order of the keys."""
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    names = tuple(str(part).strip().lower() for part in parts if str(part).strip())
    for name in names:
        if len(name) > _LONGEST_SELECTOR or not _SELECTOR.fullmatch(name):
            msg = f"{name[:80]!r} is no selector: letters, digits and hyphens, in parts with dots between them"
            raise ValueError(msg)
    if len(set(names)) != len(names):
        msg = "the same selector stands in it twice"
        raise ValueError(msg)
    return names


def matched(selectors: tuple[str, ...], keys: tuple[SigningKey, ...]) -> tuple[str, ...]:
    """Return the selectors if each key has one and each has a key; raise ValueError naming what is missing."""
    if len(selectors) == len(keys):
        return selectors
    if not keys:
        msg = "there is no CAMPAIGN_DKIM_KEY that it could name"
    elif not selectors:
        msg = "it is not set, but CAMPAIGN_DKIM_KEY is"
    else:
        msg = f"it has {_count(len(selectors), 'name')} for {_count(len(keys), 'key')}"
    raise ValueError(msg)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
