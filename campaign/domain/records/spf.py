"""SPF records (RFC 7208): how one is read, what asking it costs a receiver, and what is wrong. It never asks the DNS.

A record names others (`include:`, `redirect=`), so reading goes in rounds: `unread` says what is still to be asked, and
`judge` speaks when nothing is. Both stop where a receiver would: at the eleventh lookup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from campaign.domain.findings import Finding, Subject
from campaign.domain.records import Lookup, bounded, is_host, publish, shown

LOOKUPS: Final = 10
"""What a receiver asks at most for one letter (RFC 7208 s. 4.6.4)."""

_SPF: Final = Subject("SPF")
_VERSION: Final = "v=spf1"
_MOST_TERMS: Final = 200
_LONG: Final = 450
"""Characters: a longer record does not fit into one answer over UDP beside others (RFC 7208 s. 3.4)."""
_MODIFIER: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_.-]*)=(?P<value>[!-~]*)")
_MECHANISM: Final = re.compile(
    r"(?P<qualifier>[+?~-]?)(?P<name>[A-Za-z0-9]+)(?::(?P<value>[!-~]+?))?(?P<length>(?:/[0-9]{1,3})?(?://[0-9]{1,3})?)",
)
_ASKING: Final = frozenset(("include", "a", "mx", "ptr", "exists"))
_PLAIN: Final = frozenset(("all", "ip4", "ip6", *_ASKING))

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Term:
    """One mechanism with what it means when it matches, or one modifier (whose qualifier is `=`)."""

    name: str
    value: str
    qualifier: str

    @property
    def asks(self) -> bool:
        """Whether a receiver has to ask the DNS for it."""
        return self.name in _ASKING or (self.name == "redirect" and self.qualifier == "=")

    @property
    def target(self) -> str:
        """The name of the record that it leads to, or nothing; a macro (`%{i}`) leads where only a receiver knows."""
        leads = self.name == "include" or (self.name, self.qualifier) == ("redirect", "=")
        return self.value.lower().rstrip(".") if leads and "%" not in self.value else ""


@dataclass(frozen=True, slots=True)
class Spf:
    """A record that was read: its terms, and what in it cannot be understood."""

    terms: tuple[Term, ...]
    mistakes: tuple[str, ...] = ()

    @property
    def end(self) -> str:
        """What happens to a sender that nothing matches: `+all` to `-all`, `redirect`, or nothing."""
        for term in self.terms:
            if term.name == "all" and term.qualifier != "=":
                return f"{term.qualifier}all"
        return "redirect" if any((t.name, t.qualifier) == ("redirect", "=") for t in self.terms) else ""


@dataclass(slots=True)
class _Walk:
    """What was met on the way through a record and those that it leads to."""

    known: Mapping[str, Lookup]
    lookups: int = 0
    unread: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)


def read(record: str) -> Spf:
    """Read a record; never raises."""
    words = bounded(record)[len(_VERSION) :].split(" ")
    terms: list[Term] = []
    mistakes: list[str] = [] if len(record) == len(bounded(record)) else ["it is longer than any record needs to be"]
    for word in [word for word in words if word][:_MOST_TERMS]:
        term, mistake = _term(word)
        mistakes += [mistake] if mistake else []
        terms += [term] if term else []
    for name in ("redirect", "exp"):
        if sum((term.name, term.qualifier) == (name, "=") for term in terms) > 1:
            mistakes.append(f"{name}= stands in it twice")
    return Spf(tuple(terms), tuple(mistakes))


def unread(domain: str, known: Mapping[str, Lookup]) -> list[str]:
    """Return the names whose TXT records are still to be asked for, at most a dozen; none when `judge` may speak."""
    return [] if domain not in known and not is_host(domain) else _walked(domain, known).unread


def judge(domain: str, known: Mapping[str, Lookup], relay: str = "") -> list[Finding]:
    """Judge the record of a return path's domain; `relay` is the host for the record that is proposed."""
    lookup, advice = known.get(domain, Lookup()), _advice(domain, relay)
    if lookup.trouble:
        mend = "Look again later; if it stays, ask whoever runs the DNS of this domain."
        return [_SPF.warning(f"{domain} could not be looked up: {lookup.trouble}.", mend)]
    records = lookup.beginning(_VERSION)
    if not records:
        return [_SPF.error(f"{domain} has no record: nothing says who may send in its name.", advice)]
    if len(records) > 1:
        found = f"{domain} has {len(records)} records, so none of them counts: {' and '.join(map(shown, records[:3]))}."
        return [
            _SPF.error(found, f"Keep one of them, with the mechanisms of all, and take the others out of {domain}.")
        ]
    spf, walk = read(records[0]), _walked(domain, known)
    findings = [
        _SPF.error(f"{domain}: {mistake}.", f"Mend the record {shown(records[0])}.") for mistake in spf.mistakes[:5]
    ]
    findings += [_SPF.error(f"{domain}: {one}.", "Mend that mechanism, or take it out.") for one in walk.errors[:5]]
    findings += [_SPF.warning(f"{domain}: {one}.", "Look again later.") for one in walk.unsure[:5]]
    if walk.lookups > LOOKUPS:
        found = f"{domain} takes more than {LOOKUPS} lookups, so receivers give up (RFC 7208 s. 4.6.4)."
        findings.append(
            _SPF.error(found, "Take out include:, a, mx that no relay of yours needs, or write ip4:, ip6:.")
        )
    return findings + _of_end(domain, spf, records[0], walk)


def covers(domain: str, known: Mapping[str, Lookup], addresses: tuple[str, ...]) -> bool:
    """Whether some ip4: or ip6: of the record, or of one that it includes, holds one of the addresses."""
    networks = _walked(domain, known).networks
    return any(ip_address(one) in network for one in addresses for network in networks)


def _of_end(domain: str, spf: Spf, record: str, walk: _Walk) -> list[Finding]:
    """Judge how the record ends, and what else is unwise in it; a word that all is well where nothing was found."""
    findings = []
    if spf.end == "+all":
        found = f"{domain} ends in +all: it lets the whole world send in its name."
        findings.append(_SPF.error(found, _ended(domain, record)))
    elif spf.end in {"", "?all"}:
        found = f"{domain} does not say what happens to other senders ({spf.end or 'it ends without all'})."
        findings.append(_SPF.warning(found, _ended(domain, record)))
    if any(term.name == "ptr" for term in spf.terms):
        findings.append(
            _SPF.warning(f"{domain} uses ptr, which receivers skip (RFC 7208 s. 5.5).", "Write ip4: or a:.")
        )
    clean = not (findings or spf.mistakes or walk.errors or walk.unsure or walk.lookups > LOOKUPS)
    return [_SPF.ok(f"{domain} has {shown(record)}; {walk.lookups} of {LOOKUPS} lookups.")] if clean else findings


def _ended(domain: str, record: str) -> str:
    """Propose the same record with ~all at its end, unless it is nothing that anybody should publish again."""
    kept = [word for word in record.split(" ") if word and word.lower().lstrip("+?~-") != "all"]
    text = " ".join([*kept, "~all"])
    plain = len(text) <= _LONG and text.isascii() and text.isprintable() and '"' not in text
    return publish(domain, text) if plain else "Write the record anew, with ~all at its end."


def _walked(domain: str, known: Mapping[str, Lookup]) -> _Walk:
    walk = _Walk(known)
    _visit(walk, domain, ())
    return walk


def _visit(walk: _Walk, name: str, path: tuple[str, ...]) -> None:
    """Go through one record, and through what it leads to; `path` is how we came here."""
    if name not in walk.known:
        walk.unread += [] if name in walk.unread else [name]
        return
    records = walk.known[name].beginning(_VERSION)
    if path:
        _judge_named(walk, name, records)
    if len(records) != 1:
        return
    spf = read(records[0])
    for term in spf.terms:
        if term.name == "redirect" and spf.end != "redirect":  # `all` matches first (RFC 7208 s. 6.1)
            continue
        walk.lookups += term.asks
        if walk.lookups > LOOKUPS:
            return
        walk.networks += _network(term)
        if target := term.target:
            _follow(walk, target, (*path, name))


def _judge_named(walk: _Walk, name: str, records: tuple[str, ...]) -> None:
    """Say what is wrong with a record that another one names: it is wrong with that one, too (RFC 7208 s. 5.2)."""
    if trouble := walk.known[name].trouble:
        walk.unsure.append(f"{name} that it names could not be looked up: {trouble}")
    elif len(records) != 1:
        walk.errors.append(
            f"{shown(name)} that it names has {len(records) or 'no'} SPF record{'s' * (len(records) > 1)}"
        )
    elif (spf := read(records[0])).mistakes:
        walk.errors.append(f"in {name} that it names {spf.mistakes[0]}")
    elif spf.end == "+all":
        walk.errors.append(f"{name} that it names ends in +all, which lets the whole world send in your name")


def _follow(walk: _Walk, target: str, path: tuple[str, ...]) -> None:
    if target in path:
        walk.errors.append(f"it leads in a circle: {' -> '.join((*path[-3:], target))}")
    elif is_host(target):
        _visit(walk, target, path)
    else:
        walk.errors.append(f"{shown(target)} that it names is no name")


def _network(term: Term) -> list[Network]:
    if term.name not in {"ip4", "ip6"} or term.qualifier != "+":
        return []
    return [ip_network(term.value, strict=False)]


def _term(word: str) -> tuple[Term | None, str]:
    """Read one word of a record: the term, or what is wrong with it."""
    if modifier := _MODIFIER.fullmatch(word):
        name = modifier["name"].lower()
        wrong = name in {"redirect", "exp"} and not modifier["value"]
        return (None, f"{shown(word)} names nothing") if wrong else (Term(name, modifier["value"], "="), "")
    found = _MECHANISM.fullmatch(word)
    if found is None or (name := found["name"].lower()) not in _PLAIN:
        return None, f"{shown(word)} is no mechanism"
    value, length, qualifier = found["value"] or "", found["length"], found["qualifier"] or "+"
    if name in {"ip4", "ip6"}:
        network = _read_network(value, length, int(name[-1]))
        return (Term(name, network, qualifier), "") if network else (None, f"{shown(word)} is no {name} network")
    needs, takes = name in {"include", "exists"}, name in _ASKING
    if (needs and not value) or (value and not takes) or (length and name not in {"a", "mx"}):
        return None, f"{shown(word)} is not how {name} is written"
    return Term(name, value, qualifier), ""


def _read_network(value: str, length: str, version: int) -> str:
    """Return an address and the length of its prefix as a network, or nothing."""
    try:
        network = ip_network(value + length, strict=False)
    except ValueError:
        return ""
    return str(network) if network.version == version and "/" not in value else ""


def _advice(domain: str, relay: str) -> str:
    """Propose a record for the relay at hand."""
    try:
        address = ip_address(relay)
    except ValueError:
        sends = f"a:{relay}" if is_host(relay) and "." in relay else "mx"
    else:
        sends = f"ip{address.version}:{address}"
    record = publish(domain, f"v=spf1 {sends} ~all")
    return f"{record} (or, in place of {sends}, the include: that your relay's provider names)"
