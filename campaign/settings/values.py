"""How the text of one setting becomes a value. It never knows where the text came from, and never shows a secret."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from email.headerregistry import Address as HeaderAddress
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from campaign.domain.addresses import Address, parse_address
from campaign.domain.errors import BadInput
from campaign.domain.localtime import parse_zone

KEY_BYTES: Final = 32
"""Length of each key: 256 bits, for HKDF, HMAC-SHA-256 and AES-256-GCM alike."""

_MAX_TEXT: Final = 4_096
_MAX_NAME: Final = 200
_PORTS: Final = range(65_536)
_NAMED: Final = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^"<>]*?))\s*<(?P<address>[^<>]+)>\s*')
_LANGUAGE: Final = re.compile(
    r"(?P<language>[A-Za-z]{2,3})(?:[-_](?P<script>[A-Za-z]{4}))?(?:[-_](?P<region>[A-Za-z]{2}|[0-9]{3}))?"
)
_PAGES: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/[A-Za-z0-9._~%/-]*)?")
"""Only what can stand in a header and in HTML as it is: an international host name is written in its xn-- form."""
_TLS: Final = ("required", "implicit", "none")
_SQLITE: Final = "sqlite"
_POSTGRES: Final = frozenset({"postgresql", "postgres"})


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Give `host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Who a letter is from: a display name (may be empty) and an address."""

    name: str
    address: Address

    def __str__(self) -> str:
        """Give `Name <address>`, quoted where RFC 5322 asks for it, readable (not encoded)."""
        plain = str(self.address)
        return str(HeaderAddress(self.name, self.address.local, self.address.domain)) if self.name else plain


def read_text(value: Any) -> str:
    """Read one line or a few lines of text; control characters other than a line break are refused."""
    if not isinstance(value, str):
        msg = "it must be text"
        raise ValueError(msg)  # noqa: TRY004 -- pydantic collects ValueError; a TypeError would escape it
    text = value.strip().replace("\r\n", "\n")
    if len(text) > _MAX_TEXT:
        msg = f"it is longer than {_MAX_TEXT} characters"
        raise ValueError(msg)
    if any(not character.isprintable() and character != "\n" for character in text):
        msg = "it holds a control character"
        raise ValueError(msg)
    return text


def read_line(value: Any) -> str:
    """Read text of exactly one line."""
    text = read_text(value)
    if "\n" in text:
        msg = "it must be one line"
        raise ValueError(msg)
    return text


def read_keys(value: Any) -> tuple[bytes, ...]:
    """Read a comma-separated list (in TOML also a list) of keys, newest first; a key may not stand there twice."""
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    keys = tuple(read_key(part) for part in parts if part)
    if len(set(keys)) != len(keys):
        msg = "the same key stands in it twice"
        raise ValueError(msg)
    return keys


def read_key(value: Any) -> bytes:
    """Read one key: 32 bytes as URL-safe base64, with or without padding. The message never repeats the key."""
    if isinstance(value, bytes) and len(value) == KEY_BYTES:
        return value
    try:
        text = read_line(value).rstrip("=")
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        msg = "a key in it is not URL-safe base64"
        raise ValueError(msg) from None
    if len(key) != KEY_BYTES:
        msg = f"a key in it has {len(key)} bytes instead of {KEY_BYTES}"
        raise ValueError(msg)
    return key


def read_address(value: Any) -> Address:
    """Read one bare address."""
    if isinstance(value, Address):
        return value
    try:
        return parse_address(read_line(value))
    except BadInput as error:
        raise ValueError(error.message) from error


def read_addresses(value: Any) -> tuple[Address, ...]:
    """Read a comma-separated list (in TOML also a list) of bare addresses; one that stands there twice counts once."""
    parts = value if isinstance(value, list | tuple) else read_line(value).split(",")
    return tuple(dict.fromkeys(read_address(part) for part in parts if part))


def read_mailbox(value: Any) -> Mailbox:
    """Read `Name <address>` or a bare address (RFC 5322 s. 3.4, without comments and groups)."""
    if isinstance(value, Mailbox):
        return value
    text = read_line(value)
    named = _NAMED.fullmatch(text)
    if named is None:
        return Mailbox("", read_address(text))
    name = re.sub(r"\\(.)", r"\1", named["quoted"]) if named["quoted"] is not None else named["plain"]
    if len(name) > _MAX_NAME:
        msg = f"the name in it is longer than {_MAX_NAME} characters"
        raise ValueError(msg)
    return Mailbox(name.strip(), read_address(named["address"]))


def read_listen(value: Any) -> HostPort:
    """Read `host:port` or `[IPv6]:port`."""
    if isinstance(value, HostPort):
        return value
    text = read_line(value)
    parts = _split(f"tcp://{text}")
    if not parts.hostname or parts.port is None or parts.netloc != text or "@" in text:
        msg = f"'{text}' is not host:port"
        raise ValueError(msg)
    return HostPort(parts.hostname, parts.port)


def read_nameserver(value: Any) -> HostPort:
    """Read the address of a DNS server, with or without a port; a name would have to be looked up first."""
    if isinstance(value, HostPort):
        return value
    text = read_line(value)
    try:
        return HostPort(str(ip_address(re.sub(r"\A\[(.*)\]\Z", r"\1", text))), 53)
    except ValueError:
        found = read_listen(text)
    try:
        return HostPort(str(ip_address(found.host)), found.port)
    except ValueError:
        msg = f"'{text}' is not the address of a DNS server"
        raise ValueError(msg) from None


def read_language(value: Any) -> str:
    """Read a language tag (BCP 47: language, script, region) and give it the usual capitals: `pt-BR`, `zh-Hant`."""
    found = _LANGUAGE.fullmatch(read_line(value))
    if found is None:
        msg = f"'{value}' is not a language tag"
        raise ValueError(msg)
    script, region = found["script"], found["region"]
    parts = (found["language"].lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)


def read_timezone(value: Any) -> ZoneInfo:
    """Read a zone by its IANA name."""
    if isinstance(value, ZoneInfo):
        return value
    try:
        return parse_zone(read_line(value))
    except BadInput as error:
        msg = f"{error.message} {error.remedy}".rstrip(" .")
        raise ValueError(msg) from error


def read_base_url(value: Any) -> str:
    """Read the address of the public pages, without a slash at its end. Plain http is for this machine only."""
    text = read_line(value).rstrip("/")
    parts = _split(text)
    if not _PAGES.fullmatch(text) or not parts.hostname:
        msg = "it is not an address like https://letters.example.org"
        raise ValueError(msg)
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        msg = "it must begin with https:// (http:// is for this machine only)"
        raise ValueError(msg)
    return text


def read_smtp_url(value: Any) -> str:
    """Check `smtp://user:password@host:port?tls=required|implicit|none&cafile=FILE&hello=NAME`; return it."""
    text = read_line(value)
    parts = _split(text)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "smtp" or not parts.hostname or parts.path.strip("/") or parts.fragment:
        msg = "it is not like smtp://user:password@host:port?tls=required"
        raise ValueError(msg)
    if unknown := sorted(query.keys() - {"tls", "cafile", "hello"}):
        msg = f"it has an option that does not exist: {', '.join(unknown)}"
        raise ValueError(msg)
    if query.get("tls", "required") not in _TLS:
        msg = f"its tls must be one of {', '.join(_TLS)}"
        raise ValueError(msg)
    if parts.username and parts.password is None:
        msg = "it has a user but no password"
        raise ValueError(msg)
    return text


def read_database_url(value: Any) -> str:
    """Check `sqlite:///file` or `postgresql://user:password@host/name`; drivers are the store's choice."""
    text = read_line(value)
    scheme, colon, rest = text.partition("://")
    name = scheme.partition("+")[0]
    if name == _SQLITE and colon and rest.startswith("/") and len(rest) > 1:
        return f"{_SQLITE}://{rest}"
    if name in _POSTGRES and colon and _split(f"postgresql://{rest}").path.strip("/"):
        return f"postgresql://{rest}"
    msg = "it is neither sqlite:///file nor postgresql://user:password@host/name"
    raise ValueError(msg)


def sqlite_beside(url: str, home: Any) -> str:
    """Let a relative SQLite file (three slashes) lie in the home instead of wherever the command was started."""
    prefix = f"{_SQLITE}:///"
    if not url.startswith(prefix) or url.startswith((f"{prefix}/", f"{prefix}:memory:")):
        return url
    return f"{prefix}{home / url.removeprefix(prefix)}"


def is_loopback(host: str | None) -> bool:
    """Whether a host name can only mean this machine."""
    if not host:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def without_password(text: str) -> str:
    """Show a URL without whom it signs in."""
    return re.sub(r"(?<=://)[^/?#@\s]*(?:@[^/?#@\s]*)*@", "***@", text)


def _split(text: str) -> SplitResult:
    """Take a URL apart; a port that is none is a ValueError, without repeating what may hold a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        msg = "its host or port cannot be read"
        raise ValueError(msg) from None
    if port is not None and port not in _PORTS[1:]:
        msg = "its port must be from 1 to 65535"
        raise ValueError(msg)
    return parts
