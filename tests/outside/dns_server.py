"""A small DNS server on loopback, over UDP and TCP, with the zone of a test and the faults it asks for."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from campaign.settings import HostPort

SILENT, SERVFAIL, GARBAGE, REFUSED = "silent", "servfail", "garbage", "refused"
_PIECE: Final = 255

Zone = Mapping[str, list[str] | str]
"""`"example.org TXT"` to its records, or to one of the faults; a name of which nothing is known does not exist."""


class DnsServer(asyncio.DatagramProtocol):
    """Answers from `zone`, which a test may change at any time; `asked` is what it was asked for."""

    def __init__(self, zone: Zone) -> None:
        self.zone = dict(zone)
        self.asked: list[str] = []
        self.over_tcp = 0
        self.address = HostPort("127.0.0.1", 0)

    def connection_made(self, transport: Any) -> None:
        self.udp = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (answer := self._answer(data, most=1232)) is not None:
            self.udp.sendto(answer, addr)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        self.over_tcp += 1
        if (answer := self._answer(await reader.readexactly(length), most=65_535)) is not None:
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
        writer.close()

    def _answer(self, data: bytes, most: int) -> bytes | None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        key = f"{name} {dns.rdatatype.to_text(query.question[0].rdtype)}"
        self.asked.append(key)
        said = self.zone.get(key, [])
        if said == SILENT:
            return None
        if said == GARBAGE:
            return data[:2] + b"\xff" * 40
        answer = dns.message.make_response(query)
        if isinstance(said, str):
            answer.set_rcode(dns.rcode.from_text(said))
        elif said:
            answer.answer.append(_records(name, key.split(" ")[1], said))
        elif not any(known.split(" ")[0] == name for known in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        wire = answer.to_wire(max_size=65_535)
        if len(wire) <= most:
            return wire
        answer.answer.clear()
        answer.flags |= dns.flags.TC
        return answer.to_wire()


def _records(name: str, kind: str, values: list[str]) -> dns.rrset.RRset:
    if kind != "TXT":
        return dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, values)
    texts = []
    for value in values:
        octets = value.encode()
        pieces = [octets[at : at + _PIECE] for at in range(0, max(len(octets), 1), _PIECE)]
        texts.append(" ".join('"' + "".join(f"\\{octet:03}" for octet in piece) + '"' for piece in pieces))
    return dns.rrset.from_text_list(f"{name}.", 60, "IN", "TXT", texts)


@contextmanager
def dns_server(zone: Zone) -> Iterator[DnsServer]:
    """Serve in a thread and loop of its own, so that a test may block."""
    loop, server = asyncio.new_event_loop(), DnsServer(zone)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        tcp = await asyncio.start_server(server.meet, "127.0.0.1", 0)
        port: int = tcp.sockets[0].getsockname()[1]
        await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", port))
        server.address = HostPort("127.0.0.1", port)
        return tcp

    async def stop(tcp: asyncio.Server) -> None:
        tcp.close()
        server.udp.close()
        await asyncio.sleep(0.01)

    try:
        tcp = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(stop(tcp), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def good_zone(domain: str = "example.org", **more: list[str] | str) -> dict[str, list[str] | str]:
    """What the domain of a careful sender has."""
    return {
        f"{domain} MX": [f"10 mail.{domain}."],
        f"mail.{domain} A": ["192.0.2.25"],
        f"{domain} TXT": ["v=spf1 ip4:192.0.2.0/24 ~all", "some-verification=1"],
        f"_dmarc.{domain} TXT": [f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"],
        **more,
    }
