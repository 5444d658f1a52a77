"""What an organiser asks for in words (`30d`, `first monday`, `country=US,GB`), read into the parts of a definition.

It never looks anything up: whether a list or a key date exists is for the verbs to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from campaign.domain.calendar import Recurrence, Step, parse_at, parse_moment, parse_zone
from campaign.domain.campaigns import LOCAL_TIME, Definition, checked, parse_where
from campaign.domain.delivery import Policy
from campaign.domain.errors import BadInput
from campaign.domain.people import parse_language
from campaign.domain.shapes import is_line, is_slug

_LONGEST: Final = 150
_LONGEST_INTRO: Final = 20_000
_MOST: Final = 30
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for, as they wrote it. None (or no word) is what they did not speak of, "" takes away."""

    key_date: str | None = None
    every: str | None = None
    once: str | None = None
    remind: Words = ()
    on_the_day: bool | None = None
    after: Words = ()
    at: str | None = None
    local_time: bool = False
    timezone: str | None = None
    lists: Words = ()
    where: Words = ()
    segment: str | None = None
    topics: str | None = None
    pin: Words = ()
    most: int | None = None
    language: str | None = None
    title: str | None = None
    intro: str | None = None
    subject: str | None = None
    in_doubt: str | None = None
    each_edition: bool | None = None


def definition_of(wish: Wish, zone: str) -> Definition:
    """Return the definition of a new campaign; `zone` is the installation's, for what happens at one instant for all.

    Around a key date the step is the day itself and each reader's own clock decides, unless the wish says otherwise.
    """
    parts = changes_of(wish)
    parts.setdefault("zone", LOCAL_TIME if wish.key_date else zone)
    if wish.key_date:
        parts.setdefault("offsets", (0,))
    return checked(Definition(**parts))


def changes_of(wish: Wish) -> dict[str, Any]:
    """Return the fields of a definition that a wish speaks of; raise BadInput for what cannot be read."""
    parts: dict[str, Any] = {**_when(wish), **_words(wish)}
    if wish.lists:
        parts["lists"] = tuple(dict.fromkeys(_listed(wish.lists)))
    if wish.where:
        parts["where"] = parse_where([rule for words in wish.where for rule in words.split()])
    if wish.segment is not None:
        parts["segment"] = _slugs("segment", [wish.segment])[0] if wish.segment.strip() else None
    if wish.topics is not None:
        parts["topics"] = _slugs("topic", [wish.topics])
    if wish.pin:
        parts["pinned"] = _slugs("article", wish.pin)
    if wish.language is not None:
        parts["language"] = parse_language(wish.language) if wish.language else None
    if wish.most is not None:
        parts["most"] = _number_of_articles(wish.most)
    if wish.in_doubt is not None:
        parts["policy"] = _policy(wish.in_doubt)
    if wish.each_edition is not None:
        parts["each_edition"] = wish.each_edition
    return parts


def _when(wish: Wish) -> dict[str, Any]:
    """Read what it stands around, its steps, its time of day and whose clock decides."""
    given = {name: value for name in ("key_date", "every", "once") if (value := getattr(wish, name))}
    if len(given) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise BadInput(f"{names} exclude each other.", remedy="Say one of them: a campaign has one calendar.")
    parts: dict[str, Any] = {}
    if given:
        parts = {"key_date": wish.key_date or None, "every": None, "once": None}
        if not wish.key_date:
            parts["offsets"] = ()
    if wish.every:
        parts["every"] = str(Recurrence.parse(wish.every))
    if wish.once:
        parts |= _once(wish.once, wish.at)
    elif wish.at is not None:
        parts["at"] = f"{parse_at(wish.at):%H:%M}"
    return parts | _steps(wish) | _clock(wish)


def _once(text: str, at: str | None) -> dict[str, str]:
    if at is not None:
        raise BadInput("--once has its time in it, so --at is one too many.", remedy="Write --once 2027-01-11T09:00.")
    day, wall = parse_moment(text)
    return {"once": f"{day.isoformat()}T{wall:%H:%M}", "at": f"{wall:%H:%M}"}


def _steps(wish: Wish) -> dict[str, Any]:
    """Read the steps; naming any of them names all of them."""
    if not wish.remind and not wish.after and wish.on_the_day is None:
        return {}
    before = [Step.before(distance).offset_days for distance in _listed(wish.remind)]
    after = [Step.after(distance).offset_days for distance in _listed(wish.after)]
    return {"offsets": tuple(sorted({*before, *([0] if wish.on_the_day else []), *after}))}


def _clock(wish: Wish) -> dict[str, str]:
    if wish.local_time and wish.timezone:
        msg = "--local-time and --timezone exclude each other."
        raise BadInput(msg, remedy="Either each reader's own clock decides, or that of one time zone.")
    if wish.local_time:
        return {"zone": LOCAL_TIME}
    return {"zone": parse_zone(wish.timezone).key} if wish.timezone else {}


def _words(wish: Wish) -> dict[str, Any]:
    """Read the organiser's own words: title and subject stay on one line, an intro may have paragraphs."""
    for name, value in (("title", wish.title), ("subject", wish.subject)):
        if value is not None and not is_line(value, _LONGEST):
            msg = f"A {name} is one line of at most {_LONGEST} characters."
            raise BadInput(msg, remedy="Make it shorter; an --intro may be longer.")
    if wish.intro is not None and len(wish.intro) > _LONGEST_INTRO:
        msg = f"An intro of {len(wish.intro)} characters is too long."
        raise BadInput(msg, remedy="Make an article of it, and pin that: campaign articles import FILE, --pin SLUG.")
    found = {"title": wish.title, "subject": wish.subject, "intro": wish.intro}
    return {name: value.strip() for name, value in found.items() if value is not None}


def _listed(words: Iterable[str]) -> list[str]:
    """Take words apart at commas, so that `--list a,b` and `--list a --list b` are the same."""
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def _slugs(noun: str, words: Iterable[str]) -> Words:
    found = tuple(dict.fromkeys(_listed(words)))
    for slug in found:
        if not is_slug(slug):
            msg = f"{slug[:_LONGEST]!r} is not the short name of a {noun}."
            shown = noun in {"article", "segment"}
            remedy = f"campaign {noun}s list shows them." if shown else "Write small letters and hyphens."
            raise BadInput(msg, remedy=remedy)
    return found


def _number_of_articles(most: int) -> int:
    if not 0 <= most <= _MOST:
        msg = f"A letter has 0 to {_MOST} articles, not {most}."
        raise BadInput(msg, remedy="Most people read three. Write --most 3.")
    return most


def _policy(word: str) -> Policy:
    if word not in list(Policy):
        msg = f"{word[:_LONGEST]!r} is not a policy for letters in doubt."
        raise BadInput(msg, remedy="Write hold (a person decides), resend (at least once) or expire (at most once).")
    return Policy(word)
