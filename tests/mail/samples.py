"""Letters to try the renderer and the composer with: a sender, a reader, content in two scripts, templates on disk."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from campaign.assets import asset
from campaign.domain.addresses import Address
from campaign.domain.delivery import Kind
from campaign.domain.message import LetterSpec, Personal, SenderIdentity

SHIPPED: Final = asset("templates")

SENDER: Final = SenderIdentity(
    from_name="Example Campaign",
    from_address=Address("letters", "example.org"),
    list_label="world-day",
    list_domain="example.org",
    list_name="World Day",
    owner="mailto:contact@example.org",
    help="mailto:contact@example.org?subject=help",
    feedback=("world-day", "on-the-day", "edition", "example.org"),
)

READER: Final = Personal(
    to=Address("reader-07", "example.org"),
    message_id="<d.7.f00d@example.org>",
    date=datetime(2027, 7, 30, 7, 0, tzinfo=UTC),
    name="Ünïcode Näme",
    links={
        "unsubscribe": "https://example.org/u/unsubscribe-token",
        "unsubscribe_mailto": "mailto:contact@example.org?subject=leave",
        "preferences": "https://example.org/p/preferences-token",
        "confirm": "https://example.org/c/confirm-token",
    },
)

_BODY: Final = """Trafficking in persons **hides in plain sight**: on building sites, in kitchens and online.

- People are recruited with the promise of a job.
- Their papers are taken away.

## What the reports count

The [global report](https://www.unodc.org/unodc/data-and-analysis/glotip.html) counts the victims that authorities
find; most are never found."""

ARTICLE: Final[Mapping[str, Any]] = {
    "title": "Fifty million people, and how we know",
    "summary": "The 2022 estimates put the number of people in modern slavery at 50 million.",
    "body": _BODY,
    "url": "https://example.org/a/fifty-million",
    "source_name": "ILO, Walk Free and IOM",
    "source_url": "https://www.ilo.org/",
    "published_on": "2022-09-12",
    "sensitivity": "violence",
    "language": "en",
}

KEY_DATE: Final[Mapping[str, Any]] = {
    "name": "World Day Against Trafficking in Persons",
    "date": "2027-07-30",
    "end": "2027-07-30",
    "days_until": 30,
    "proclaimed_by": "UN General Assembly, A/RES/68/192",
    "source": "https://undocs.org/A/RES/68/192",
    "theme": "",
}

CONTEXT: Final[Mapping[str, Any]] = {
    "organisation": {"name": "Example Campaign", "url": "https://example.org/", "postal_address": "1 Example Street"},
    "campaign": {"title": "Reach every victim", "intro": "In a month the world marks *the day*."},
    "list": {"name": "World Day letters"},
    "wording": "I want to get letters about the World Day at this address.",
    "alert": {
        "trouble": "edition_stopped",
        "edition": "world-day/on-the-day/2027-07-30",
        "since": "2027-07-30 09:00 (UTC)",
        "said": "550 5.1.1 no such mailbox",
        "commands": ["campaign deliveries list 7 --state refused", "campaign resume 7"],
    },
    "key_date": KEY_DATE,
    "articles": [ARTICLE],
    "helplines": [
        {
            "name": "National Human Trafficking Hotline",
            "country": "US",
            "phone": "1-888-373-7888",
            "text": "233733",
            "url": "https://humantraffickinghotline.org/",
            "hours": "24 hours, every day",
            "reviewed_on": "2026-11-01",
        }
    ],
}

KIND_OF: Final[Mapping[str, Kind]] = {
    "digest": Kind.EDITION,
    "reminder": Kind.EDITION,
    "confirm": Kind.CONFIRM,
    "renew": Kind.RENEW,
    "welcome": Kind.WELCOME,
    "goodbye": Kind.GOODBYE,
    "alert": Kind.ALERT,
}
LANGUAGES: Final = ("en", "es", "fr", "pt", "ar", "de")


def spec(template: str = "digest", language: str = "en", **changes: Any) -> LetterSpec:
    """A letter by one of the shipped templates, with `changes` to the specification."""
    kind = changes.pop("kind", KIND_OF.get(template, Kind.EDITION))
    return LetterSpec(
        template, language, changes.pop("context", CONTEXT), changes.pop("sender", SENDER), kind, **changes
    )


def write_template(folder: Path, name: str, **files: str) -> None:
    """Put a template on disk: `text`, `html`, `subject`, or any other file of its folder by its name with _ for the first dot."""
    place = folder / "email" / name
    place.mkdir(parents=True, exist_ok=True)
    parts = {"subject": "A subject", "text": "A text", "html": "<!DOCTYPE html><p>A text</p>", **files}
    names = {"subject": "subject.txt", "text": "body.txt", "html": "body.html"}
    for key, text in parts.items():
        (place / f"{names.get(key, key.replace('_', '.'))}.j2").write_text(text, encoding="utf-8")
