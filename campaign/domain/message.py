"""What a letter is made of: its sender, its words for all, its words for one person, and the headers it must carry.

It never renders, encodes or sends anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from campaign.domain.addresses import Address
from campaign.domain.delivery import Kind
from campaign.domain.errors import BadInput, CampaignError

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,100}[a-z0-9])?")
_URL: Final = re.compile(r"(?:https?://|mailto:)[!#-;=?-Z\[\]^-z|~]+", re.ASCII)
_LOOPBACK: Final = re.compile(r"http://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:/|$)")
_MESSAGE_ID: Final = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,180}@[A-Za-z0-9.-]{1,64}>")
_FEEDBACK: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_LIST_ID: Final = 255
_MAX_URL: Final = 900
_FEEDBACK_PARTS: Final = 4

UNSUBSCRIBE: Final = "unsubscribe"
UNSUBSCRIBE_MAILTO: Final = "unsubscribe_mailto"
CONFIRM: Final = "confirm"

LIST_KINDS: Final = frozenset({Kind.EDITION, Kind.WELCOME, Kind.RENEW, Kind.TEST})
"""Letters that somebody gets as a member of a list: they say how to leave it. A test letter looks like them."""

NEEDED_LINKS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.EDITION: (UNSUBSCRIBE, UNSUBSCRIBE_MAILTO),
    Kind.WELCOME: (UNSUBSCRIBE, UNSUBSCRIBE_MAILTO),
    Kind.TEST: (UNSUBSCRIBE, UNSUBSCRIBE_MAILTO),
    Kind.CONFIRM: (CONFIRM,),
    Kind.RENEW: (CONFIRM, UNSUBSCRIBE, UNSUBSCRIBE_MAILTO),
}
"""The links without which a letter of that kind may not go out."""


class LetterRefused(CampaignError):
    """This letter cannot be made for this person."""

    code = "letter_refused"


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """Who a letter comes from, and what it tells mail programs about its list.

    `owner` and `help` are mailto (or https) links (RFC 2369); `feedback` are the one to four parts of Feedback-ID, the
    last of them naming the sender; `archive` is the public archive's link or None; `list_label` never changes during
    the life of a list (RFC 2919 s. 4). Raises BadInput naming every part that cannot stand in a header.
    """

    from_name: str
    from_address: Address
    list_label: str
    list_domain: str
    owner: str
    help: str
    feedback: tuple[str, ...]
    one_click: bool = True
    archive: str | None = None
    list_name: str = ""
    reply_to: Address | None = None

    def __post_init__(self) -> None:
        """Refuse what would not survive as a header."""
        wrong = [
            f"{name} {value!r}"
            for name, value in (("owner", self.owner), ("help", self.help), ("archive", self.archive or self.owner))
            if not is_link(value)
        ]
        if not _LABEL.fullmatch(self.list_label) or not _LABEL.fullmatch(self.list_domain):
            wrong.append(f"list id {self.list_id!r}")
        if len(self.list_id) > _MAX_LIST_ID:
            wrong.append("a list id of more than 255 characters")
        if not 1 <= len(self.feedback) <= _FEEDBACK_PARTS or not all(map(_FEEDBACK.fullmatch, self.feedback)):
            wrong.append(f"feedback id {':'.join(self.feedback)!r}")
        if wrong:
            raise BadInput(
                f"The sender cannot be written into a letter: {'; '.join(wrong)}.",
                remedy="Links start with mailto: or https:// and have no spaces; list names are a-z, 0-9, dot, hyphen.",
            )

    @property
    def list_id(self) -> str:
        """The list's identifier for ever, without angle brackets (RFC 2919)."""
        return f"{self.list_label}.{self.list_domain}"

    def as_json(self) -> dict[str, Any]:
        """Return plain values for storage."""
        reply_to = [self.reply_to.local, self.reply_to.domain] if self.reply_to else None
        return {
            **{name: getattr(self, name) for name in _PLAIN_FIELDS},
            "from_address": [self.from_address.local, self.from_address.domain],
            "feedback": list(self.feedback),
            "reply_to": reply_to,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SenderIdentity:
        """Read what `as_json` wrote."""
        return cls(
            **{name: stored[name] for name in _PLAIN_FIELDS},
            from_address=Address(*stored["from_address"]),
            feedback=tuple(stored["feedback"]),
            reply_to=Address(*stored["reply_to"]) if stored["reply_to"] else None,
        )


_PLAIN_FIELDS: Final = ("from_name", "list_label", "list_domain", "owner", "help", "one_click", "archive", "list_name")


@dataclass(frozen=True, slots=True)
class LetterSpec:
    """One letter for many people: which template, in which language, with which facts (docs/templates.md), from whom.

    `links` names the links, besides those its kind needs, that every person's letter will carry.
    """

    template: str
    language: str
    context: Mapping[str, Any]
    sender: SenderIdentity
    kind: Kind = Kind.EDITION
    links: tuple[str, ...] = ()
    text_only: bool = False

    @property
    def all_links(self) -> tuple[str, ...]:
        """The names of all links that a template may use, in a stable order."""
        return _in_order(self.kind, self.links)

    def as_test(self) -> LetterSpec:
        """Return the same letter as a test: it says so, and goes to an operator's own named address."""
        return replace(self, kind=Kind.TEST)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for storage, or for the hash that an approval is bound to."""
        return {
            "template": self.template,
            "language": self.language,
            "context": self.context,
            "sender": self.sender.as_json(),
            "kind": self.kind.value,
            "links": list(self.links),
            "text_only": self.text_only,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LetterSpec:
        """Read what `as_json` wrote."""
        return cls(
            template=stored["template"],
            language=stored["language"],
            context=stored["context"],
            sender=SenderIdentity.from_json(stored["sender"]),
            kind=Kind(stored["kind"]),
            links=tuple(stored["links"]),
            text_only=stored["text_only"],
        )


@cache
def _in_order(kind: Kind, links: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*links, *NEEDED_LINKS.get(kind, ())}))


class Personal(NamedTuple):
    """What one person's letter says and nobody else's; the same on every attempt.

    `date` is aware UTC; `links` gives the URL of each link by its name.
    """

    to: Address
    message_id: str
    date: datetime
    name: str = ""
    links: Mapping[str, str] = MappingProxyType({})


def header_names(kind: Kind, sender: SenderIdentity) -> tuple[str, ...]:
    """Return the header fields that a letter of this kind carries, in order, up to and without MIME-Version.

    Sources: RFC 2919 (List-Id), RFC 2369 (List-*), RFC 8058 (List-Unsubscribe-Post), RFC 3834 s. 5 (Auto-Submitted).
    Confirmations and goodbyes belong to no list, so they carry no List-Unsubscribe.
    """
    names = ["From", "To", *(["Reply-To"] if sender.reply_to else []), "Subject", "Date", "Message-ID"]
    if kind in LIST_KINDS:
        names += ["List-Id", "List-Unsubscribe"]
        names += ["List-Unsubscribe-Post"] if sender.one_click else []
        names += ["List-Help", "List-Owner"]
        names += ["List-Archive"] if sender.archive else []
        names += ["Feedback-ID", "Auto-Submitted", "Precedence"]
    else:
        names += ["Auto-Submitted"]
    return tuple(names)


def is_link(url: str) -> bool:
    """Whether `url` is an http, https or mailto link of plain characters that can stand in a header and in HTML."""
    return len(url) <= _MAX_URL and _URL.fullmatch(url) is not None


def is_one_click(link: str) -> bool:
    """Whether one-click unsubscription may use a link: https (RFC 8058 s. 3.1), or http on this machine itself."""
    return link.startswith("https://") or _LOOPBACK.match(link) is not None


def is_message_id(text: str) -> bool:
    """Whether `text` is a Message-ID with its angle brackets that needs no quoting (RFC 5322 s. 3.6.4)."""
    return _MESSAGE_ID.fullmatch(text) is not None
