"""DKIM keys in the DNS: whether receivers can check our signatures. It never asks the DNS, nor holds private keys."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from campaign.domain.findings import Finding, Subject
from campaign.domain.records import Lookup, is_host, publish, shown, tags

_DKIM: Final = Subject("DKIM")
_ED25519: Final = "ed25519"
_ED25519_BYTES: Final = 32
_WEAK_BYTES: Final = 136
_SHORT_BYTES: Final = 266
"""A public RSA key of 1024 bits has 140 (PKCS #1) or 162 bytes (SubjectPublicKeyInfo), one of 2048 has 270 or 294."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Where a key stands, and its public half as base64 where we hold the private one."""

    name: str
    domain: str
    ours: str = ""

    @property
    def place(self) -> str:
        """The name in the DNS (RFC 6376 s. 3.6.2.1)."""
        return f"{self.name}._domainkey.{self.domain}"


def judge(selector: Selector, lookup: Lookup) -> list[Finding]:
    """Judge what stands at the selector's place (RFC 6376 s. 3.6.1; RFC 8463 for ed25519)."""
    place, mend = selector.place, _advice(selector)
    if not is_host(place):
        return [_DKIM.error(f"{shown(selector.name)} is no selector.", "Write a word like the letters1 in s=letters1.")]
    if lookup.trouble:
        again = "Look again later; if it stays, ask whoever runs the DNS of this domain."
        return [_DKIM.warning(f"{place} could not be looked up: {lookup.trouble}.", again)]
    if not lookup.values:
        return [_DKIM.error(f"There is no key at {place}: signatures with it fail.", mend)]
    if len(lookup.values) > 1:
        return [_DKIM.error(f"{len(lookup.values)} records stand at {place}; which one counts is left open.", mend)]
    said = tags(lookup.values[0])
    if (
        said is None
        or "p" not in said
        or said.get("v", "DKIM1") != "DKIM1"
        or ("v" in said and next(iter(said)) != "v")
    ):
        return [_DKIM.error(f"The record at {place} cannot be read: {shown(lookup.values[0])}.", mend)]
    return _of_key(selector, said)


def _of_key(selector: Selector, said: Mapping[str, str]) -> list[Finding]:
    place, mend, kind = selector.place, _advice(selector), said.get("k", "rsa").lower()
    text = "".join(said["p"].split())
    if not text:
        return [_DKIM.error(f"The key at {place} is revoked: its p= is empty.", mend)]
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return [_DKIM.error(f"The key at {place} is not base64: {shown(text)}.", mend)]
    if selector.ours and not _same(selector.ours, key, kind):
        found = f"The key at {place} is not the public half of our private key: every signature fails."
        return [_DKIM.error(found, mend)]
    findings = [_of_kind(place, mend, kind, key)]
    hashes = [one.strip().lower() for one in said["h"].split(":")] if "h" in said else ["sha256"]
    services = [one.strip().lower() for one in said.get("s", "*").split(":")]
    if "sha256" not in hashes or not {"*", "email"} & set(services):
        findings.append(_DKIM.error(f"The key at {place} is not for mail signed with SHA-256 (h=, s=).", mend))
    if "y" in [flag.strip().lower() for flag in said.get("t", "").split(":")]:
        mend = f"Take t=y out of the record at {place}."
        findings.append(
            _DKIM.warning(f"The key at {place} is only for trying out (t=y): some receivers ignore it.", mend)
        )
    return findings


def _of_kind(place: str, mend: str, kind: str, key: bytes) -> Finding:
    """Judge type and length of a key."""
    if kind == _ED25519:
        if len(key) != _ED25519_BYTES:
            return _DKIM.error(f"The ed25519 key at {place} has {len(key)} bytes instead of {_ED25519_BYTES}.", mend)
        return _DKIM.ok(f"{place} has an ed25519 key. Some receivers check RSA only: a second signature helps there.")
    if kind != "rsa":
        return _DKIM.error(f"The key at {place} is of a kind that receivers do not know: k={shown(kind)}.", mend)
    if len(key) < _WEAK_BYTES:
        return _DKIM.error(f"The RSA key at {place} has less than 1024 bits: receivers ignore it (RFC 8301).", mend)
    if len(key) < _SHORT_BYTES:
        return _DKIM.warning(f"The RSA key at {place} has less than 2048 bits.", f"Make one of 2048 bits. {mend}")
    return _DKIM.ok(f"{place} has an RSA key of 2048 bits or more.")


def _same(ours: str, theirs: bytes, kind: str) -> bool:
    """Compare two public keys; an RSA key may stand there with or without the frame that names its kind."""
    mine = base64.b64decode(ours)
    if kind == _ED25519:
        return mine[-_ED25519_BYTES:] == theirs[-_ED25519_BYTES:]
    return mine == theirs or mine.endswith(theirs) or theirs.endswith(mine)


def _advice(selector: Selector) -> str:
    if selector.ours:
        kind = "k=ed25519; " if len(base64.b64decode(selector.ours)) <= _ED25519_BYTES else "k=rsa; "
        return publish(selector.place, f"v=DKIM1; {kind}p={selector.ours}")
    return f"{publish(selector.place, 'v=DKIM1; k=rsa; p=…')} with the key that your relay's provider shows you."
