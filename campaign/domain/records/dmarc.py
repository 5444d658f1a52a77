"""DMARC records: what receivers shall do with letters in a domain's name, and what aligns. It never asks the DNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from campaign.domain.findings import Finding, Subject
from campaign.domain.records import Lookup, publish, shown, tags

_DMARC: Final = Subject("DMARC")
_VERSION: Final = "v=DMARC1"
_POLICIES: Final = ("none", "quarantine", "reject")
_MOST_LABELS: Final = 8


def places(domain: str) -> list[str]:
    """Return the names where the record of a domain may stand: its own, then those above it, down to two labels.

    Receivers stop at the organisational domain. Which one that is says a list of public suffixes, which we do not keep:
    a record further up counts as the organisation's.
    """
    labels = domain.split(".")
    ups = [".".join(labels[at:]) for at in range(max(len(labels) - 1, 1))]
    return [f"_dmarc.{name}" for name in [ups[0], *ups[1:][-_MOST_LABELS:]]]


def judge(domain: str, return_path: str, looked: Mapping[str, Lookup]) -> list[Finding]:
    """Judge the record for letters from `domain` with bounces to `return_path`; `looked` is what stands at `places`."""
    for place in places(domain):
        lookup = looked.get(place, Lookup())
        if lookup.trouble:
            mend = "Look again later; if it stays, ask whoever runs the DNS of this domain."
            return [_DMARC.warning(f"{place} could not be looked up: {lookup.trouble}.", mend)]
        records = lookup.beginning(_VERSION)
        if len(records) > 1:
            said = " and ".join(shown(record) for record in records[:3])
            mend = f"Take all but one of them out of the DNS at {place}."
            return [_DMARC.error(f"{len(records)} records stand at {place}, so none of them counts: {said}.", mend)]
        if records:
            return _of_record(domain, return_path, place, records[0])
    asked = ", ".join(places(domain))
    advice = publish(f"_dmarc.{domain}", f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}")
    return [_DMARC.error(f"There is no record (asked for {asked}); large receivers refuse bulk mail without.", advice)]


def _of_record(domain: str, return_path: str, place: str, record: str) -> list[Finding]:
    said = tags(record)
    advice = publish(place, f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}")
    if said is None or said.get("v") != "DMARC1" or next(iter(said)) != "v":
        return [_DMARC.error(f"The record at {place} cannot be read: {shown(record)}.", advice)]
    if (policy := said.get("p", "").lower()) not in _POLICIES:
        return [_DMARC.error(f"The record at {place} has no p= of {', '.join(_POLICIES)}: {shown(record)}.", advice)]
    above = place != f"_dmarc.{domain}"
    if above and "sp" in said and said["sp"].lower() in _POLICIES:
        policy = said["sp"].lower()
    where = f"{place} (found by going up from {domain}, without a list of public suffixes)" if above else place
    findings = [_DMARC.ok(f"{where} asks receivers for p={policy}{_sense(policy)}.")]
    if "rua" not in said:
        mend = f"Add rua=mailto:postmaster@{domain} to the record at {place}."
        findings.append(_DMARC.note("Nobody gets reports: the record has no rua=.", mend))
    return [*findings, _alignment(domain, return_path, place.removeprefix("_dmarc."), said)]


def _sense(policy: str) -> str:
    return {
        "none": ", which only watches and is enough for bulk mail",
        "quarantine": ": what fails goes to spam",
        "reject": ": what fails is refused",
    }[policy]


def _alignment(domain: str, return_path: str, organisation: str, said: Mapping[str, str]) -> Finding:
    """Say whether SPF speaks for the From domain (RFC 7489 s. 3.1.2): the return path's domain must fit."""
    strict = said.get("aspf", "r").lower() == "s"
    shared = _shared(domain, return_path)
    both = f"From ({domain}) and return path ({return_path})"
    if domain == return_path or (not strict and (shared in {domain, return_path} or _lies_in(shared, organisation))):
        return _DMARC.ok(f"{both} align, so SPF counts for DMARC.")
    if not strict and "." in shared:
        return _DMARC.note(f"{both} align if {shared} is one organisation's domain; if it is not, only DKIM can pass.")
    how = "exactly, as the record's aspf=s asks" if strict else "as parts of one organisation's domain"
    found = f"{both} do not align {how}: only DKIM can pass DMARC."
    return _DMARC.warning(
        found, f'In .env: CAMPAIGN_RETURN_PATH="bounces@{domain}" (the relay must allow that); or sign with d={domain}.'
    )


def _shared(one: str, other: str) -> str:
    """Return the name that both lie in: `example.org` of `a.example.org` and `b.example.org`."""
    shared: list[str] = []
    for mine, theirs in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if mine != theirs:
            break
        shared.insert(0, mine)
    return ".".join(shared)


def _lies_in(name: str, organisation: str) -> bool:
    return name == organisation or name.endswith(f".{organisation}")
