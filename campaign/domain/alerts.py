"""What operators are told when something needs a person: which trouble, under which topic, with which commands.

It never knows who is told, and nothing a relay says leaves it in a form that a mail program would act upon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Trouble(StrEnum):
    """What is wrong; the words for it stand in `words.toml` under the same names."""

    SIGN_IN = "sign_in"
    SENDER_REFUSED = "sender_refused"
    RELAY_DOWN = "relay_down"
    DOMAIN_PAUSED = "domain_paused"
    EDITION_STOPPED = "edition_stopped"
    EDITION_MISSED = "edition_missed"
    EDITION_WAITS = "edition_waits"


PATIENCE: Final[Mapping[Trouble, timedelta]] = MappingProxyType({Trouble.RELAY_DOWN: timedelta(minutes=15)})
"""How long a trouble must last before anybody hears of it: most relays are back within minutes. None is no time."""

FADES: Final = timedelta(days=2)
"""After so long without another trip a paused domain counts as well: the longest pause is over for a day."""

REMIND_AFTER: Final = timedelta(days=1)
"""A topic that is open is mailed again after so long, and no sooner."""

QUIET: Final = timedelta(hours=1)
"""A trouble that comes and goes is mailed no more often than this, though each time is a topic anew."""

_EDITION_TOPIC: Final[Mapping[Trouble, str]] = MappingProxyType(
    {Trouble.EDITION_STOPPED: "breaker", Trouble.EDITION_MISSED: "missed", Trouble.EDITION_WAITS: "waits"}
)
_LONGEST: Final = 300
_LINKS: Final = re.compile(r"(?<=[^\W_])\.(?=[^\W\d_])")


@dataclass(frozen=True, slots=True)
class Alert:
    """One trouble. `facts` fill the gaps of its words; `said` is what a relay or an error said; `commands` mend it."""

    trouble: Trouble
    topic: str
    facts: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    commands: tuple[str, ...] = ()


def about_relay(trouble: Trouble, relay: str, said: str) -> Alert:
    """Return the alert about a relay that does not take letters."""
    last = "down" if trouble is Trouble.RELAY_DOWN else trouble.value
    commands = (f"campaign relays test {relay}", f"campaign relays resume {relay}")
    return Alert(trouble, f"{relay_topics(relay)}{last}", {"relay": relay}, said, commands)


def relay_topics(relay: str) -> str:
    """Return how the topics of all alerts about a relay begin."""
    return f"relay:{relay}:"


def about_domain(relay: str, domain: str, said: str) -> Alert:
    """Return the alert about a domain that refuses letters for the sender's sake."""
    topic = f"domain:{relay}:{domain}:policy"
    facts = {"relay": relay, "domain": domain}
    return Alert(Trouble.DOMAIN_PAUSED, topic, facts, said, (f"campaign alerts resolve {topic}",))


def about_edition(trouble: Trouble, edition_id: int, name: str, said: str = "") -> Alert:
    """Return the alert about an edition that a person has to decide about."""
    commands = {
        Trouble.EDITION_STOPPED: (
            f"campaign deliveries list {edition_id} --state refused",
            f"campaign resume {edition_id}",
        ),
        Trouble.EDITION_MISSED: (f"campaign editions send {edition_id}", f"campaign editions skip {edition_id}"),
        Trouble.EDITION_WAITS: (f"campaign editions show {edition_id}",),
    }[trouble]
    return Alert(trouble, f"edition:{edition_id}:{_EDITION_TOPIC[trouble]}", {"edition": name}, said, commands)


def edition_in(topic: str) -> int | None:
    """Return the edition that a topic is about, if it is about one."""
    noun, _, rest = topic.partition(":")
    return int(rest.partition(":")[0]) if noun == "edition" else None


def quoted(text: str, unsaid: Sequence[str] = ()) -> str:
    """Return foreign words fit for a letter: one short line that no mail program makes a link of.

    `unsaid` are names that must not stand in it (a reader's, where the words may quote it). Links are broken as those
    who write about attacks do: `https[:]//example[.]org`.
    """
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    for name in filter(str.strip, unsaid):
        line = re.sub(rf"(?<!\w){re.escape(name.strip())}(?!\w)", "…", line, flags=re.IGNORECASE)
    short = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return _LINKS.sub("[.]", short.replace("://", "[:]//"))
