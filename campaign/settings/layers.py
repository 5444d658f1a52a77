"""Where settings are written: the environment, `.env`, TOML files. It never judges a value or changes a place."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from dotenv.parser import parse_stream

from campaign.assets import asset

PREFIX: Final = "CAMPAIGN_"
HOME: Final = f"{PREFIX}HOME"
_FILE: Final = "_FILE"
_MAX_BYTES: Final = 1_000_000
_OWN: Final = frozenset({"relays.toml"})
"""Files of the folder `config` that are read by themselves: they hold tables instead of settings."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to put right: which setting, where it stands, what is wrong, what to do."""

    setting: str
    where: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        """Give one line that names everything."""
        problem = self.problem.rstrip(" .")
        return f"{self.setting} ({self.where}): {problem}{'' if problem.endswith('?') else '.'} {self.remedy}".rstrip()


@dataclass(frozen=True, slots=True)
class Layer:
    """What one place says: setting names without prefix in lower case, and their raw values."""

    where: str
    values: dict[str, Any]


@dataclass(slots=True)
class Reading:
    """Reads all places for one home, strongest first, and keeps every mistake instead of stopping at the first."""

    home: Path
    known: frozenset[str]
    secret: frozenset[str]
    layers: list[Layer] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def environment(self, environ: Mapping[str, str]) -> None:
        """Read the process's variables. Unknown ones are no mistake: Kubernetes sets CAMPAIGN_PORT for its services."""
        ours = {name: value for name, value in environ.items() if self._setting(name) in self._written()}
        self._add("the environment", ours)

    def dotenv(self) -> None:
        """Read `.env` in the home; names that do not begin with CAMPAIGN_ are other people's."""
        text = self.text(self.home / ".env")
        pairs: dict[str, str] = {}
        for binding in parse_stream(io.StringIO(text)):
            if binding.error or (binding.key and binding.value is None):
                self._wrong(f"line {binding.original.line}", ".env", "it is not NAME=value", 'Write NAME="value".')
            elif binding.key and binding.key.startswith(PREFIX) and binding.key != HOME:
                pairs[binding.key] = binding.value or ""
        for name in sorted(pairs):
            if self._setting(name) not in self._written():
                self._unknown(name, ".env", (f"{PREFIX}{known.upper()}" for known in self._written()))
                del pairs[name]
        self._add(".env", pairs)

    def toml(self) -> None:
        """Read `config/*.toml` of the home, then the shipped `default.toml`.

        A file named like a shipped one that is not `default.toml` (key_dates.toml, helplines.toml) overlays that one
        and holds no settings; nor does relays.toml. Files are read in the order of their names; the later name wins.
        """
        shipped = asset("config")
        folder = self.home / "config"
        own = sorted(folder.glob("*.toml"), reverse=True) if folder.is_dir() else []
        for path in own:
            if path.name == "default.toml" or (path.name not in _OWN and not (shipped / path.name).exists()):
                self._table(path, f"config/{path.name}")
        self._table(shipped / "default.toml", "the shipped config/default.toml")

    def own_table(self, name: str) -> dict[str, Any]:
        """Read a file of the folder `config` in the home that is no list of settings; nothing when it is not there."""
        return self._toml(self.home / "config" / name, f"config/{name}")

    def where(self, setting: str) -> str:
        """Name the place whose value counts."""
        return next((layer.where for layer in self.layers if setting in layer.values), "default")

    def _toml(self, path: Path, where: str) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text(path))
        except tomllib.TOMLDecodeError as error:
            self._wrong("the file", where, f"it is not TOML: {error}")
            return {}

    def _table(self, path: Path, where: str) -> None:
        table = self._toml(path, where)
        for name in sorted(table.keys() - self.known):
            self._unknown(name, where, self.known)
        self.layers.append(Layer(where, {name: value for name, value in table.items() if name in self.known}))

    def _add(self, where: str, pairs: Mapping[str, str]) -> None:
        """Keep what is not empty, and read what `*_FILE` points to."""
        values = {self._setting(name): value.strip() for name, value in pairs.items() if value.strip()}
        for name in sorted(values.keys() - self.known):
            setting, path = name.removesuffix(_FILE.lower()), values.pop(name)
            shown = f"{PREFIX}{name.upper()}"
            if setting in values:
                self._wrong(shown, where, f"{PREFIX}{setting.upper()} is set as well", "Keep one of the two.")
            elif text := self.text(self.home / path, shown, where).strip():
                values[setting] = text
        self.layers.append(Layer(where, values))

    def text(self, path: Path, setting: str = "the file", where: str = "") -> str:
        """Read a small UTF-8 file; a missing one is a mistake only where somebody pointed at it."""
        try:
            with path.open("rb") as stream:
                raw = stream.read(_MAX_BYTES + 1)
            if len(raw) > _MAX_BYTES:
                self._wrong(setting, where or path.name, f"{path.name} is larger than a settings file can be")
                return ""
            return raw.decode("utf-8-sig")
        except FileNotFoundError:
            if where:
                self._wrong(setting, where, f"there is no file {path}")
        except OSError as error:
            self._wrong(setting, where or path.name, f"{path.name} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._wrong(setting, where or path.name, f"{path.name} is not UTF-8 text")
        return ""

    def _written(self) -> Iterator[str]:
        """Name everything that may be written as a variable."""
        return iter((*sorted(self.known), *(name + _FILE.lower() for name in sorted(self.secret))))

    @staticmethod
    def _setting(name: str) -> str:
        """Give the setting's name of a variable, or nothing for a foreign variable."""
        return name.removeprefix(PREFIX).lower() if name.startswith(PREFIX) and name != HOME else ""

    def _unknown(self, name: str, where: str, choices: Iterable[str]) -> None:
        close = get_close_matches(name, list(choices), n=1)
        self._wrong(name, where, "there is no such setting", f"Did you mean {close[0]}?" if close else "Remove it.")

    def _wrong(self, setting: str, where: str, problem: str, remedy: str = "") -> None:
        self.mistakes.append(Mistake(setting, where, problem, remedy))
