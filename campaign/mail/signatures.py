"""The signatures themselves: a private key's octets over what is to be signed. And a program that makes many of them.

The program knows no letter: it is told the keys, and then handed bytes. It imports no more than it needs, to be small.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from campaign.beside.line import serve

_MOST_THREADS: Final = 4
"""More would sign faster than one event loop can send."""

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


def octets_of(key: PrivateKey, signed: bytes) -> bytes:
    """Return the signature itself; of what is signed ed25519 takes the hash (RFC 8463 s. 3)."""
    if isinstance(key, RSAPrivateKey):
        return key.sign(signed, PKCS1v15(), SHA256())
    return key.sign(hashlib.sha256(signed).digest())


def _signing_with(pems: Sequence[bytes]) -> Callable[[Sequence[Sequence[bytes]]], list[list[bytes]]]:
    """Return what signs pieces of each letter, one with each of these keys: some letters in each thread."""
    keys = [cast(PrivateKey, load_pem_private_key(pem, password=None)) for pem in pems]
    count = min(_MOST_THREADS, os.cpu_count() or 1)
    threads = ThreadPoolExecutor(count)

    def share(letters: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
        return [[octets_of(key, piece) for key, piece in zip(keys, letter, strict=True)] for letter in letters]

    def signed(letters: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
        answer: list[list[bytes]] = [[]] * len(letters)
        for first, octets in enumerate(threads.map(share, [letters[first::count] for first in range(count)])):
            answer[first::count] = octets
        return answer

    return signed


def main() -> None:
    """Answer first the keys in PEM, then what each of them shall sign."""
    serve(_signing_with)
