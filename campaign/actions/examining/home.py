"""Looks at settings, keys, folder, disk and Python: what can be told without asking anybody. It changes nothing."""

from __future__ import annotations

import shutil
import sys
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final

from campaign.domain.findings import Finding, Subject
from campaign.settings import Mistake, Settings

_SETTINGS: Final = Subject("settings")
_KEYS: Final = Subject("keys")
_HOME: Final = Subject("home")
_PYTHON: Final = Subject("Python")

_KEY_NAMES: Final = {
    "secret_keys": "CAMPAIGN_SECRET_KEY",
    "suppression_key": "CAMPAIGN_SUPPRESSION_KEY",
    "seal_keys": "CAMPAIGN_SEAL_KEY",
}
_RELAYS: Final = "relays"
_TO_SEND: Final = {
    "sender": 'CAMPAIGN_SENDER="Example Campaign <letters@example.org>"',
    _RELAYS: 'CAMPAIGN_SMTP_URL="smtp://user:password@mail.example.org:587?tls=required"',
    "base_url": 'CAMPAIGN_BASE_URL="https://letters.example.org"',
    "postal_address": 'CAMPAIGN_POSTAL_ADDRESS="Example Organisation, 1 Example Street, 12345 Example Town"',
}
_OTHERS_READ: Final = 0o077
_OTHERS_WRITE: Final = 0o022
_FULL: Final = 100_000_000
_NEARLY: Final = 1_000_000_000
"""Bytes: a million letters take about 1 GB in the ledger."""


def of_settings(settings: Settings, mistakes: tuple[Mistake, ...]) -> list[Finding]:
    """Name every mistake, what is missing to send, and what is seldom meant."""
    wrong = {mistake.setting for mistake in mistakes}
    findings = [
        _SETTINGS.error(f"{one.setting} ({one.where}): {one.problem.rstrip(' .')}.", one.remedy or f"Mend {one.where}.")
        for one in mistakes
    ]
    env = settings.home / ".env"
    for name, line in _TO_SEND.items():
        variable = line.partition("=")[0]
        known = getattr(settings, name) or (
            name == _RELAYS and any(one.setting.startswith(_RELAYS) for one in mistakes)
        )
        if not known and not wrong & {variable, f"{variable}_FILE"}:
            findings.append(_SETTINGS.error(f"{variable} is not set, and is needed to send.", f"Add to {env}: {line}"))
    said = [one for one in settings.warnings if "tls=none" not in one]  # the relay's own finding says it
    findings += [_SETTINGS.warning(one, _line_for(one, env)) for one in said]
    return findings or [_SETTINGS.ok(f"Everything that sending needs is set ({env}).")]


def _line_for(warning: str, env: Path) -> str:
    """Give the line that a warning speaks of."""
    lines = (line for line in _TO_SEND.values() if line.partition("=")[0] in warning)
    return f"In {env}: {next(lines, 'mend what it names')}"


def of_keys(settings: Settings, mistakes: tuple[Mistake, ...]) -> list[Finding]:
    """Say whether all three keys are there; whether they fit is for the database to say."""
    wrong = {mistake.setting for mistake in mistakes}
    missing = [
        variable
        for name, variable in _KEY_NAMES.items()
        if not getattr(settings, name) and not wrong & {variable, f"{variable}_FILE"}
    ]
    if missing:
        mend = f"campaign --home {settings.home} init (makes keys for a new home; one in use needs its old ones back)"
        return [_KEYS.error(f"Not set: {', '.join(missing)}.", mend)]
    if wrong & set(_KEY_NAMES.values()):
        return [_KEYS.note("Not looked at, because one of them cannot be read.")]
    seals, secrets = len(settings.seal_keys), len(settings.secret_keys)
    findings = [_KEYS.ok(f"All three are set ({secrets} for links, {seals} for seals).")]
    if settings.suppression_key in {*settings.secret_keys, *settings.seal_keys} or set(settings.secret_keys) & set(
        settings.seal_keys
    ):
        found = "One key does two things: who learns one of them knows the other."
        findings.append(_KEYS.warning(found, "campaign keys rotate makes a fresh CAMPAIGN_SEAL_KEY."))
    return findings


def of_home(settings: Settings) -> list[Finding]:
    """Say who else may read or change what lies in the home, and how full its disk is."""
    home = settings.home
    if not home.is_dir():
        return [_HOME.error(f"There is no folder {home}.", f"campaign --home {home} init")]
    findings = []
    if (mode := _mode(home)) & _OTHERS_WRITE:
        found = f"Others on this machine can change what lies in {home} (mode {mode:o})."
        findings.append(_HOME.error(found, f"chmod go-w {home}"))
    env = home / ".env"
    if env.exists() and (mode := _mode(env)) & _OTHERS_READ:
        found = f"Others on this machine can read the keys in {env} (mode {mode:o})."
        findings.append(_HOME.error(found, f"chmod 600 {env}"))
    usage = shutil.disk_usage(home)
    return [*findings, of_space(home, usage.free, usage.total)]


def of_space(home: Path, free: int, total: int) -> Finding:
    """Judge how many bytes are free on the disk of the home."""
    said = f"{free / 1e9:,.1f} of {total / 1e9:,.1f} GB are free on the disk of {home}."
    if free < _FULL:
        return _HOME.error(f"The disk is full: {said}", "Make room. No letter is sent whose token cannot be written.")
    if free < _NEARLY:
        return _HOME.warning(f"The disk is nearly full: {said}", "Make room: a million letters take about 1 GB.")
    return _HOME.ok(said)


def of_python() -> list[Finding]:
    """Say which Python runs, and whether it lets a decoded word break out of its header (CVE-2024-6923, CVE-2026-1299).

    It is tried rather than looked up: distributions mend an old version under its old number.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = "=?utf-8?q?a=0D=0AX-Broken:_out?="
    try:
        broken = b"\r\nX-Broken:" in letter.as_bytes()
    except ValueError:  # what newer versions do
        broken = False
    if broken:
        found = f"Python {version} lets encoded words break out of a header. Campaign checks each header itself."
        return [_PYTHON.note(found, "Update Python when you can (3.11.15 or newer of that line).")]
    return [_PYTHON.ok(f"Python {version}.")]


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
