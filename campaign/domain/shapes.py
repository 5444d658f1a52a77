"""What a slug, a language tag, a country code, a link and one line of text look like. It knows no field by name."""

from __future__ import annotations

import re
from typing import Final, TypeGuard
from urllib.parse import urlsplit

MAX_SLUG: Final = 80
MAX_LINE: Final = 500

_SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


def is_slug(value: object) -> TypeGuard[str]:
    """Tell whether it is small letters and digits in words joined by single hyphens."""
    return isinstance(value, str) and len(value) <= MAX_SLUG and bool(_SLUG.fullmatch(value))


def is_language(value: object) -> TypeGuard[str]:
    """Tell whether it has the shape of a language tag (RFC 5646), such as en or pt-BR."""
    return isinstance(value, str) and len(value) <= 35 and bool(_LANGUAGE.fullmatch(value))  # noqa: PLR2004 -- RFC 5646 s. 4.4.1


def is_country(value: object) -> TypeGuard[str]:
    """Tell whether it has the shape of a country code (ISO 3166-1 alpha-2), such as US."""
    return isinstance(value, str) and bool(_COUNTRY.fullmatch(value))


def is_line(value: object, most: int = MAX_LINE) -> TypeGuard[str]:
    """Tell whether it is text that stays on one line, in the order it is read: no control or override characters."""
    return isinstance(value, str) and len(value) <= most and not _BREAKS.search(value)


def is_https(value: object) -> TypeGuard[str]:
    """Tell whether it is a link that begins with https:// and names a host."""
    return is_link(value, "https")


def is_link(value: object, *schemes: str) -> TypeGuard[str]:
    """Tell whether it is a whole link of one of these schemes, without a password in it."""
    if not is_line(value, 2000) or " " in value:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and parts.username is None


def language_chain(language: str) -> tuple[str, ...]:
    """Give a language and its parents in lower case, the narrowest first: `pt-BR` gives `pt-br` and `pt`."""
    parts = language.replace("_", "-").casefold().split("-")
    return tuple("-".join(parts[:length]) for length in range(len(parts), 0, -1))
