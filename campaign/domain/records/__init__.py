"""What DNS records about mail say, and what is wrong with them: SPF, DKIM, DMARC, MX. It never asks the DNS.

What a record says is hostile text: it is bounded before it is read, and shown escaped and shortened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from campaign.domain.addresses import printable

_SHOWN: Final = 160
_LONGEST: Final = 8_192
"""Characters of one record that are read: the longest that anybody needs, a DKIM key of 4096 bits, has 800."""
_MOST_TAGS: Final = 64
_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_HOST: Final = re.compile(
    r"(?=.{1,253}\.?\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]{1,63}\.?"
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the DNS answered to one question: values, or that there are none, or why nobody knows (`trouble`)."""

    values: tuple[str, ...] = ()
    trouble: str = ""
    nowhere: bool = False
    """Whether the name itself does not exist (NXDOMAIN)."""

    def beginning(self, version: str) -> tuple[str, ...]:
        """Return the values that begin with a version tag, whatever capitals it has, as `v=spf1` does."""
        found = (value for value in self.values if value[: len(version)].lower() == version.lower())
        return tuple(value for value in found if not value[len(version) : len(version) + 1].isalnum())


def shown(record: str) -> str:
    """Show a record safely and shortened."""
    return printable(record, limit=_SHOWN)


def bounded(record: str) -> str:
    """Return as much of a record as is worth reading."""
    return record[:_LONGEST]


def is_host(name: str) -> bool:
    """Whether the DNS can be asked for this name; labels may begin with an underscore."""
    return bool(_HOST.fullmatch(name))


def tags(record: str) -> Mapping[str, str] | None:
    """Read `name=value; name=value` (RFC 6376 s. 3.2), names in lower case; None where it is no such list."""
    found: dict[str, str] = {}
    parts = bounded(record).split(";", _MOST_TAGS)
    for part in parts:
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not equals or not _TAG.fullmatch(name) or name in found:
            return None
        found[name] = value.strip()
    return found


def publish(name: str, value: str, kind: str = "TXT") -> str:
    """Word the mend of a record that should stand in the DNS."""
    text = f'"{value}"' if kind == "TXT" else value
    return f"Publish in the DNS: {name}. {kind} {text}"
