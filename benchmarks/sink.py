"""Postfix's smtp-sink and smtp-source: a relay and a client that others wrote, to measure against."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import program

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Sink:
    """A running smtp-sink, and the file to which it appends each letter before it says that it has it."""

    port: int
    dump: Path

    @property
    def url(self) -> str:
        """How a daemon reaches it."""
        return f"smtp://127.0.0.1:{self.port}?tls=none"

    def taken(self) -> Counter[tuple[str, str]]:
        """Count what it took, by Message-ID and recipient."""
        found: Counter[tuple[str, str]] = Counter()
        recipient = ""
        with self.dump.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("X-Rcpt-Args: "):
                    recipient = line.partition("<")[2].partition(">")[0]
                elif recipient and line[:11].lower() == "message-id:":
                    found[line[11:].strip(), recipient] += 1
                    recipient = ""
        return found


@contextmanager
def sink(*options: str, keep: bool = True) -> Iterator[Sink]:
    """Run an smtp-sink that keeps what it takes in a file until the end of the block, or (faster) keeps nothing.

    `options` are its own, by which it fails (see `man smtp-sink`).
    """
    found = program("smtp-sink")
    if found is None:
        msg = "smtp-sink is not installed (Debian: apt-get install postfix)."
        raise FileNotFoundError(msg)
    with tempfile.TemporaryDirectory(prefix="campaign-sink-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        dump, port = folder / "taken", free_port()
        nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
        keeping = ["-D", str(dump)] if keep else []
        running = subprocess.Popen([found, "-4", *nobody, *keeping, *options, f"127.0.0.1:{port}", "1000"])
        try:
            wait_for(port)
            yield Sink(port, dump)
        finally:
            running.terminate()
            running.wait()


def source(port: int, letter: Path, count: int, connections: int) -> float:
    """Send one letter again and again with smtp-source; return letters per second."""
    found = program("smtp-source")
    if found is None:
        msg = "smtp-source is not installed (Debian: apt-get install postfix)."
        raise FileNotFoundError(msg)
    ends = ["-f", "letters@example.org", "-t", "reader@example.org"]
    options = ["-4", "-d", "-s", str(connections), "-m", str(count), "-F", str(letter), *ends]
    began = time.monotonic()
    subprocess.run([found, *options, f"127.0.0.1:{port}"], check=True)
    return count / (time.monotonic() - began)


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Return when somebody listens on a port; raise TimeoutError when nobody does after ten seconds."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            msg = f"Nobody listens on port {port}."
            raise TimeoutError(msg)
        time.sleep(0.02)
