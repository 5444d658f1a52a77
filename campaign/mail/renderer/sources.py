"""Which files a template is made of, and where a mistake in one of them stands. It never renders them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from campaign.domain.errors import BadInput, NotFound

SHARED: Final = "_base"
"""The folder whose files every template may include or extend."""

PARTS: Final = ("subject.txt.j2", "body.txt.j2", "body.html.j2")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LARGEST_FILE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in a template: in which file, at which line (if known), what is wrong and what to do."""

    file: str
    line: int | None
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        """Give file, line, what is wrong and what to do in one text."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}. {self.remedy}".strip().removeprefix(": ")


class TemplateRefused(BadInput):
    """A template cannot be used as it stands."""

    code = "template_refused"

    def __init__(self, fault: Fault) -> None:
        """Take the mistake, which says what to do about it."""
        super().__init__(str(replace(fault, remedy="")), remedy=fault.remedy)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class TemplateSources:
    """The texts of one template and of the shared files, by names like `digest/body.html.j2`, and where they came from.

    `own` names the files that were not shipped with Campaign: what an approval is bound to.
    """

    template: str
    texts: Mapping[str, str]
    paths: Mapping[str, str]
    own: tuple[str, ...] = ()

    def path_of(self, name: str) -> str:
        """Return where a file lies, for people to find it."""
        return self.paths.get(name, name)

    def located(self, fault: Fault) -> Fault:
        """Return `fault` with the file's place instead of its short name."""
        return replace(fault, file=self.path_of(fault.file or self.template))

    def own_digest(self) -> bytes:
        """Return a SHA-256 over the files that people here wrote or changed (not the shipped ones)."""
        digest = hashlib.sha256()
        for name in self.own:
            digest.update(f"{name}\0{len(self.texts[name])}\0{self.texts[name]}".encode())
        return digest.digest()

    def as_json(self) -> dict[str, Any]:
        """Return plain values for storage."""
        return {"template": self.template, "texts": dict(self.texts), "paths": dict(self.paths), "own": list(self.own)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TemplateSources:
        """Read what `as_json` wrote."""
        return cls(stored["template"], stored["texts"], stored["paths"], tuple(stored["own"]))


def read_template(folders: Sequence[Path], template: str) -> TemplateSources:
    """Read the files of `template` and of the shared folder; for each file the first of `folders` that has it wins.

    Raises NotFound for an unknown template, TemplateRefused for one that is too large, not UTF-8 or outside.
    """
    if not _NAME.fullmatch(template):
        raise NotFound(
            f"There is no template named {template[:80]!r}.", remedy="Names are a-z, 0-9, hyphen and underscore."
        )
    texts: dict[str, str] = {}
    paths: dict[str, str] = {}
    own = []
    for folder in folders:
        for name, path in _files(folder / "email", template):
            if name not in texts:
                texts[name], paths[name] = _text(path, folder), str(path)
                own += [name] if folder != folders[-1] else []
    missing = [f"{template}/{part}" for part in PARTS if f"{template}/{part}" not in texts]
    if len(missing) == len(PARTS):
        known = ", ".join(sorted(template_names(folders)))
        raise NotFound(f"There is no template named {template!r}.", remedy=f"There is: {known or 'none at all'}.")
    if missing:
        raise TemplateRefused(Fault(missing[0], None, "the file is missing", f"A template has {', '.join(PARTS)}."))
    return TemplateSources(template, texts, paths, tuple(sorted(own)))


def template_names(folders: Sequence[Path]) -> set[str]:
    """Return the names of all templates in `folders`."""
    found = (path.parent.name for folder in folders for path in (folder / "email").glob(f"*/{PARTS[0]}"))
    return {name for name in found if _NAME.fullmatch(name)}


def _files(folder: Path, template: str) -> Iterator[tuple[str, Path]]:
    for part in (template, SHARED):
        for path in sorted((folder / part).glob("*.j2")):
            yield f"{part}/{path.name}", path


def _text(path: Path, folder: Path) -> str:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise TemplateRefused(
            Fault(str(path), None, "the file is a link to somewhere outside", "Copy the file instead.")
        )
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        reason = error.strerror or "no reason given"
        raise TemplateRefused(
            Fault(str(path), None, f"the file cannot be read: {reason}", "Check its rights.")
        ) from error
    if len(raw) > _LARGEST_FILE:
        raise TemplateRefused(
            Fault(str(path), None, "the file is larger than 256 kB", "Move content out of the template.")
        )
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise TemplateRefused(
            Fault(str(path), line, "the file is not UTF-8", "Save it in the encoding UTF-8.")
        ) from error
