"""Where answers to a domain arrive: its MX records, or its own address where it has none. It never asks the DNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from campaign.domain.findings import Finding, Subject
from campaign.domain.records import Lookup, publish, shown

_MX: Final = Subject("MX")
_NULL: Final = "."
_FEW: Final = 3


def hosts(mx: Lookup) -> list[str]:
    """Return the first few hosts of MX records (`10 mail.example.org`), the preferred one first."""
    pairs = sorted((int(rank), name.rstrip(".")) for rank, _, name in (value.partition(" ") for value in mx.values))
    return [name for _, name in pairs if name][:_FEW]


def judge(domain: str, mx: Lookup, addresses: Mapping[str, Lookup]) -> Finding:
    """Say whether mail to `domain` arrives (RFC 5321 s. 5.1); `addresses` are the domain's and its hosts'."""
    mend = publish(domain, "10 mail.example.org.", "MX") + " (the server that takes your mail)"
    asked = hosts(mx) or [domain]
    if trouble := mx.trouble or next((addresses[name].trouble for name in asked if name in addresses), ""):
        return _MX.warning(f"{domain} could not be looked up: {trouble}.", "Look again later.")
    if any(value.split(" ")[-1] == _NULL for value in mx.values):
        return _MX.error(f"{domain} says that it takes no mail (RFC 7505): answers and bounces are lost.", mend)
    reached = [name for name in asked if addresses.get(name, Lookup()).values]
    names = ", ".join(shown(name) for name in asked)
    if reached and mx.values:
        return _MX.ok(f"{domain} takes mail at {', '.join(map(shown, reached))}.")
    if reached:
        return _MX.ok(f"{domain} has no MX, but an address of its own, which counts as one.")
    if mx.values:
        return _MX.error(f"The mail servers of {domain} have no address: {names}.", mend)
    missing = "does not exist" if mx.nowhere else "has neither MX nor address"
    return _MX.error(f"{domain} {missing}: answers are lost, and many receivers refuse its letters.", mend)
