"""Asks the DNS for the records of the sender's domain and has them judged. It never waits for one before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from campaign.actions.examining.guard import guarded
from campaign.domain.findings import Finding, Level, Subject, worst
from campaign.domain.records import Lookup, dkim, dmarc, mx, spf
from campaign.outside.dns import Resolver

_RULES: Final = Subject("bulk rules")
_SPF: Final = Subject("SPF")
_DKIM: Final = Subject("DKIM")
_DMARC: Final = Subject("DMARC")
_MX: Final = Subject("MX")
_PTR: Final = Subject("PTR")
_ROUNDS: Final = 12
_PATIENCE: Final = 9.0
"""Seconds for the records of one kind: less than all of them have together, so that each says what did not answer."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the records are about: the domains of From and return path, the relays' hosts, and our signatures."""

    sender: str
    return_path: str
    relays: tuple[str, ...] = ()
    selectors: tuple[dkim.Selector, ...] = ()


async def examine(names: Names, resolver: Resolver) -> list[Finding]:
    """Look at all records side by side, and say at the end what large receivers make of them."""
    looks: list[tuple[Subject, Callable[[Names, Resolver], Awaitable[list[Finding]]]]] = [
        (_MX, _of_mail),
        (_SPF, _of_spf),
        (_DKIM, _of_dkim),
        (_DMARC, _of_dmarc),
    ]
    found = await asyncio.gather(*(guarded(subject, look(names, resolver), _PATIENCE) for subject, look in looks))
    levels = {subject.name: worst(findings) for (subject, _), findings in zip(looks, found, strict=True)}
    return [*(finding for findings in found for finding in findings), _of_rules(levels), _of_pointer(names)]


async def _of_mail(names: Names, resolver: Resolver) -> list[Finding]:
    """Answers go to the sender's domain, bounces to the return path's."""
    domains = dict.fromkeys((names.sender, names.return_path))
    return list(await asyncio.gather(*(_of_domain(domain, resolver) for domain in domains)))


async def _of_domain(domain: str, resolver: Resolver) -> Finding:
    found = await resolver.exchanges(domain)
    if found.trouble:
        return mx.judge(domain, found, {})
    asked = mx.hosts(found) or [domain]
    addresses = await asyncio.gather(*(resolver.addresses(host) for host in asked))
    return mx.judge(domain, found, dict(zip(asked, addresses, strict=True)))


async def _of_spf(names: Names, resolver: Resolver) -> list[Finding]:
    """Follow the record wherever it leads, one round of questions after the other."""
    domain, known = names.return_path, dict[str, Lookup]()
    for _ in range(_ROUNDS):
        asked = spf.unread(domain, known)
        if not asked:
            break
        known |= dict(zip(asked, await asyncio.gather(*map(resolver.texts, asked)), strict=True))
    relay = next(iter(names.relays), "")
    findings = spf.judge(domain, known, relay)
    if worst(findings) is Level.OK and relay:
        findings += await _of_cover(domain, known, relay, resolver)
    return findings


async def _of_cover(domain: str, known: dict[str, Lookup], relay: str, resolver: Resolver) -> list[Finding]:
    """Say whether the record names the relay itself; a provider sends from other addresses than it listens on."""
    found = await resolver.addresses(relay)
    if not found.values or spf.covers(domain, known, found.values):
        return []
    said = f"No ip4: or ip6: in it holds the address of {relay} (a: and mx are not followed here)."
    return [_SPF.note(f"{said} That is as it should be where {relay} hands letters on to other servers.")]


async def _of_dkim(names: Names, resolver: Resolver) -> list[Finding]:
    if not names.selectors:
        found = "Campaign signs nothing. Where the relay does, its selector is not known here."
        mend = (
            "campaign doctor --selector NAME: the s= in the DKIM-Signature of a letter that arrived (campaign test). "
            "If it has none: campaign relays dkim"
        )
        return [_DKIM.note(found, mend)]
    looked = await asyncio.gather(*(resolver.texts(selector.place) for selector in names.selectors))
    judged = (dkim.judge(selector, lookup) for selector, lookup in zip(names.selectors, looked, strict=True))
    return [finding for findings in judged for finding in findings]


async def _of_dmarc(names: Names, resolver: Resolver) -> list[Finding]:
    places = dmarc.places(names.sender)
    looked = dict(zip(places, await asyncio.gather(*map(resolver.texts, places)), strict=True))
    return dmarc.judge(names.sender, names.return_path, looked)


def _of_rules(levels: dict[str, Level]) -> Finding:
    """Sum up what Gmail, Yahoo and Outlook ask of whoever sends them 5,000 letters a day."""
    wanted = [_SPF.name, _DKIM.name, _DMARC.name]
    asked = "Google, Yahoo and Microsoft want SPF, DKIM and DMARC of whoever sends them 5,000 letters a day"
    if missing := [name for name in wanted if levels[name] is Level.ERROR]:
        return _RULES.error(f"{asked}: {', '.join(missing)} would fail.", "Mend those records first.")
    if unknown := [name for name in wanted if levels[name] in {Level.NOTE, Level.WARNING}]:
        return _RULES.note(f"{asked}; look at what is said about {', '.join(unknown)}.")
    return _RULES.ok(f"{asked}: all three are there.")


def _of_pointer(names: Names) -> Finding:
    relays = ", ".join(names.relays) or "the relay"
    return _PTR.note(f"The name behind the sending address (PTR) is a matter of {relays}: ask whoever runs it.")
