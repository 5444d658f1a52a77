"""Asks the DNS about names: TXT, MX and addresses. It never judges an answer, nor waits longer than it was told."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.txtbase import TXTBase

from campaign.domain.records import Lookup, is_host
from campaign.settings import HostPort

_MOST: Final = 50
"""Records of one answer that are read; nobody needs a tenth of them."""
_NOBODY: Final = "no nameserver is known on this machine"


class Resolver:
    """One nameserver, or those that the machine is set up with."""

    def __init__(self, server: HostPort | None = None, *, patience: float = 4.0) -> None:
        """Ask `server`, or whom the machine asks; `patience` is seconds for one question, tries included."""
        self._patience = patience
        self._slots = asyncio.Semaphore(8)
        self._asked: dict[tuple[str, str], asyncio.Future[Lookup]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=server is None)
        except dns.resolver.NoResolverConfiguration:
            return
        self._resolver.timeout = patience / 2
        if server is not None:
            self._resolver.nameservers = [server.host]
            self._resolver.port = server.port

    async def texts(self, name: str) -> Lookup:
        """Return the TXT records of a name, the pieces of each joined, bytes that are no text shown as escapes."""
        return await self._ask(name, "TXT")

    async def exchanges(self, name: str) -> Lookup:
        """Return the MX records of a name: `10 mail.example.org.`."""
        return await self._ask(name, "MX")

    async def addresses(self, name: str) -> Lookup:
        """Return the A and AAAA records of a name; trouble with one kind counts only where the other has nothing."""
        four, six = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        values = four.values + six.values
        return Lookup(values, "" if values else four.trouble or six.trouble, nowhere=four.nowhere and six.nowhere)

    async def _ask(self, name: str, kind: str) -> Lookup:
        """Ask once for each name and kind, whoever asks how often."""
        question = (name.lower().rstrip("."), kind)
        if question not in self._asked:
            self._asked[question] = asyncio.ensure_future(self._answer(*question))
        return await asyncio.shield(self._asked[question])

    async def _answer(self, name: str, kind: str) -> Lookup:
        if self._resolver is None:
            return Lookup(trouble=_NOBODY)
        if not is_host(name):
            return Lookup(nowhere=True)
        try:
            async with self._slots:
                found = await self._resolver.resolve(
                    dns.name.from_text(name), kind, lifetime=self._patience, raise_on_no_answer=False
                )
        except dns.resolver.NXDOMAIN:
            return Lookup(nowhere=True)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return Lookup(trouble=self._said(error))
        return Lookup(tuple(sorted(map(_text, found.rrset or ()))[:_MOST]))

    def _said(self, error: Exception) -> str:
        """Say why there is no answer."""
        if isinstance(error, dns.exception.Timeout):
            return f"no answer within {self._patience:g} s"
        if isinstance(error, dns.resolver.NoNameservers):
            words = dict.fromkeys(str(one[3]) for one in error.kwargs["errors"])
            return f"the nameserver says {', '.join(words)[:200]}"
        return f"the answer cannot be used ({type(error).__name__})"


async def machine_addresses(host: str, port: int, *, patience: float = 4.0) -> Lookup:
    """Return what this machine takes `host` for, as a connection would: /etc/hosts counts, too.

    The system's own lookup cannot be interrupted. It runs in a thread that nobody waits for at the end.
    """
    loop, found = asyncio.get_running_loop(), asyncio.Event()
    answers: list[Lookup] = []

    def look() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.append(Lookup(tuple(dict.fromkeys(str(row[4][0]) for row in rows))[:_MOST]))
        except (OSError, UnicodeError) as error:
            answers.append(Lookup(trouble=getattr(error, "strerror", None) or str(error)))
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(found.set)

    threading.Thread(target=look, daemon=True).start()
    try:
        async with asyncio.timeout(patience):
            await found.wait()
    except TimeoutError:
        return Lookup(trouble=f"no answer within {patience:g} s")
    return answers[0]


def _text(record: Rdata) -> str:
    if isinstance(record, TXTBase):
        return b"".join(record.strings).decode("utf-8", "backslashreplace")
    if isinstance(record, MX):
        return f"{record.preference} {record.exchange.to_text()}"
    return record.to_text()
