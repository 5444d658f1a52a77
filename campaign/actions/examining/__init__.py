"""Examines an installation from its settings to its records in the DNS, and says what to mend. It never sends.

Looks that wait for others run side by side; their findings come in the order of the journey.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, ParamSpec

from campaign.actions.examining import database, home, names, relay
from campaign.actions.examining.guard import guarded
from campaign.actions.examining.relay import Way
from campaign.clock import Clock
from campaign.domain.findings import Finding, Subject
from campaign.domain.records import dkim
from campaign.outside.dns import Resolver
from campaign.settings import Mistake, Settings
from campaign.settings.values import is_loopback

__all__ = ["Patient", "Way", "examine"]

P = ParamSpec("P")
Look = tuple[Subject, Awaitable[list[Finding]]]

_RELAY: Final = Subject("relay")
_RECORDS: Final = Subject("records")
_DATABASE: Final = Subject("database")


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined: settings as far as they can be read, and what is wrong with the others."""

    settings: Settings
    mistakes: tuple[Mistake, ...]
    clock: Clock
    relays: tuple[Way, ...] = ()
    selectors: tuple[dkim.Selector, ...] = ()

    def has_wrong(self, *variables: str) -> bool:
        """Whether one of these settings cannot be read, so that nothing can be said about what it names."""
        wrong = {mistake.setting.removesuffix("_FILE") for mistake in self.mistakes}
        return not wrong.isdisjoint(variables)


async def examine(patient: Patient, *, offline: bool = False) -> list[Finding]:
    """Look at everything; with `offline` at nothing beyond this machine and its database. Never raises."""
    looks = [*_here(patient), *([] if offline else _outside(patient))]
    found = await asyncio.gather(*(guarded(subject, look) for subject, look in looks))
    return [finding for findings in found for finding in findings]


def _here(patient: Patient) -> Iterator[Look]:
    """Give the looks at this machine."""
    settings, mistakes = patient.settings, patient.mistakes
    yield Subject("settings"), _at_once(home.of_settings, settings, mistakes)
    yield Subject("keys"), _at_once(home.of_keys, settings, mistakes)
    yield Subject("home"), _at_once(home.of_home, settings)
    yield Subject("Python"), _at_once(home.of_python)
    if patient.has_wrong("CAMPAIGN_DATABASE_URL"):
        yield _DATABASE, _unseen(_DATABASE, "CAMPAIGN_DATABASE_URL")
    else:
        yield _DATABASE, database.examine(settings, patient.clock)


def _outside(patient: Patient) -> Iterator[Look]:
    """Give the looks at the rest of the world."""
    settings = patient.settings
    if patient.has_wrong("CAMPAIGN_SMTP_URL"):
        yield _RELAY, _unseen(_RELAY, "CAMPAIGN_SMTP_URL")
    for way in patient.relays:
        yield way.subject, relay.examine(way, patient.clock.now())
    if patient.has_wrong("CAMPAIGN_SENDER", "CAMPAIGN_RETURN_PATH", "CAMPAIGN_DNS"):
        yield _RECORDS, _unseen(_RECORDS, "CAMPAIGN_SENDER, CAMPAIGN_RETURN_PATH or CAMPAIGN_DNS")
    elif settings.sender is not None:
        yield _RECORDS, _of_records(patient, settings.sender.address.domain)


async def _of_records(patient: Patient, sender: str) -> list[Finding]:
    settings = patient.settings
    return_path = settings.return_path.domain if settings.return_path else sender
    hosts = tuple(way.options.host for way in patient.relays if not is_loopback(way.options.host))
    asked = names.Names(sender, return_path, hosts, patient.selectors)
    return await names.examine(asked, Resolver(settings.dns))


async def _at_once(look: Callable[P, list[Finding]], *args: P.args, **named: P.kwargs) -> list[Finding]:
    """Let a look that waits for nobody be guarded like the others."""
    return look(*args, **named)


async def _unseen(subject: Subject, variable: str) -> list[Finding]:
    return [subject.note(f"Not looked at, because {variable} cannot be read.")]
