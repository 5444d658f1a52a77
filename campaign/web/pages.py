"""Turns words and templates into pages, in the reader's language. It never asks the database anything.

A home may overlay templates, words and static files: `templates/web/…` in it wins over the shipped ones.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

EXIT_URL: Final = "https://www.wikipedia.org/"
"""Where the quick exit leads: a site that anybody may have open."""

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_WISH: Final = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*")
_MOST_WISHES: Final = 32
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FOR_AN_HOUR: Final = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file of the pages, held in memory, with the version that its address carries."""

    content: bytes
    media_type: str
    version: str


class Pages:
    """All public pages of one home."""

    def __init__(self, folders: Sequence[Path], language: str) -> None:
        """Take the folders that hold `public/`, `words/` and `static/`, the most particular first, and our language."""
        self._words = _read_words(folders)
        self._static = _read_static(folders)
        self._usual = language if language in self._words else language.partition("-")[0]
        self._templates = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader([str(folder) for folder in folders]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(static=self._address, exit_url=EXIT_URL)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that the pages can speak."""
        return tuple(self._words)

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Render one page in the language that the reader's browser asks for."""
        language = self.language(request.headers.get("accept-language", ""))
        words = self._words[language]
        text = self._templates.get_template(f"public/{template}.html.j2").render(
            words=words, language=language, **values
        )
        headers = {"Content-Language": language, "Vary": "Accept-Language", "Cache-Control": "no-store"}
        return HTMLResponse(text, status, headers)

    def notice(self, request: Request, problem: int) -> HTMLResponse:
        """Say kindly what went wrong and what to do next; `problem` is the HTTP status."""
        said = self._words[self.language(request.headers.get("accept-language", ""))]["problem"]
        known = problem if f"{problem}_title" in said else 500 if problem >= 500 else 400  # noqa: PLR2004 -- the two families
        values = {"title": said[f"{known}_title"], "text": said[f"{known}_text"]}
        return self.page(request, "notice", status=problem, **values)

    def language(self, accepted: str) -> str:
        """Choose a language for an Accept-Language header (RFC 9110 s. 12.5.4): exact, then its parent, then ours."""
        wishes: list[tuple[float, str]] = []
        for part in accepted[:1000].split(",")[:_MOST_WISHES]:
            found = _WISH.fullmatch(part)
            if found and float(found[2] or 1) > 0:
                wishes.append((-float(found[2] or 1), found[1]))
        for _, tag in sorted(wishes, key=lambda wish: wish[0]):
            parts = tag.lower().split("-")
            for end in range(len(parts), 0, -1):
                if (shorter := "-".join(parts[:end])) in self._words:
                    return shorter
        return self._usual if self._usual in self._words else "en"

    def static(self, name: str, version: str | None) -> Response | None:
        """Return a static file, for ever when its address carries the version, or None."""
        found = self._static.get(name)
        if found is None:
            return None
        headers = {
            "Cache-Control": _FOR_EVER if version == found.version else _FOR_AN_HOUR,
            "ETag": f'"{found.version}"',
        }
        return Response(found.content, media_type=found.media_type, headers=headers)

    def _address(self, name: str) -> str:
        return f"/static/{name}?v={self._static[name].version}"


def _read_words(folders: Sequence[Path]) -> dict[str, Mapping[str, Any]]:
    """Read `words/*.toml`; a home's file replaces single words of the shipped one, English fills what is missing."""
    found: dict[str, dict[str, Any]] = {}
    for folder in reversed(folders):
        for path in sorted((folder / "words").glob("*.toml")):
            words = tomllib.loads(path.read_text(encoding="utf-8"))
            found[path.stem.lower()] = _merged(found.get(path.stem.lower(), {}), words)
    return {language: _merged(found["en"], words) for language, words in found.items()}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    problem = {**under.get("problem", {}), **over.get("problem", {})}
    return {**under, **over, "problem": problem}


def _read_static(folders: Sequence[Path]) -> dict[str, StaticFile]:
    found: dict[str, StaticFile] = {}
    for folder in reversed(folders):
        for path in sorted((folder / "static").glob("*")):
            if path.suffix in _TYPES:
                content = path.read_bytes()
                found[path.name] = StaticFile(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:12])
    return found
