"""Questions to a real DNS server, and every way in which it may not answer."""

from __future__ import annotations

import time

import pytest

from campaign.domain.records import Lookup
from campaign.outside import dns
from campaign.outside.dns import Resolver, machine_addresses
from campaign.settings import HostPort
from tests.outside.dns_server import GARBAGE, REFUSED, SERVFAIL, SILENT, dns_server

LONG = "v=spf1 " + "ip4:192.0.2.1 " * 700 + "~all"


async def test_records_of_each_kind_are_read() -> None:
    zone: dict[str, list[str] | str] = {
        "example.org TXT": ["v=spf1 -all", "été"],
        "example.org MX": ["20 b.example.org.", "10 a.example.org."],
        "a.example.org A": ["192.0.2.1"],
        "a.example.org AAAA": ["2001:db8::1"],
    }
    with dns_server(zone) as server:
        resolver = Resolver(server.address)
        assert (await resolver.texts("Example.org.")).values == ("v=spf1 -all", "été")
        assert (await resolver.exchanges("example.org")).values == ("10 a.example.org.", "20 b.example.org.")
        assert (await resolver.addresses("a.example.org")).values == ("192.0.2.1", "2001:db8::1")
        assert await resolver.texts("a.example.org") == Lookup()
        assert await resolver.texts("b.example.org") == Lookup(nowhere=True)
        assert await resolver.texts("no such\x00name") == Lookup(nowhere=True)
        await resolver.texts("example.org")
    assert server.asked.count("example.org TXT") == 1, "an answer is asked for once"
    assert not any("no such" in asked for asked in server.asked)


async def test_an_answer_too_long_for_udp_comes_over_tcp() -> None:
    with dns_server({"example.org TXT": [LONG]}) as server:
        assert await Resolver(server.address).texts("example.org") == Lookup((LONG,))
    assert server.over_tcp == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (SILENT, "no answer within 0.3 s"),
        (SERVFAIL, "the nameserver says SERVFAIL"),
        (REFUSED, "the nameserver says REFUSED"),
        (GARBAGE, ""),
    ],
)
async def test_no_answer_is_no_record_but_trouble(fault: str, said: str) -> None:
    with dns_server({"example.org TXT": fault}) as server:
        patience = 10 if "says" in said else 0.3
        found = await Resolver(server.address, patience=patience).texts("example.org")
    assert found.trouble
    assert said in found.trouble
    assert not found.nowhere


async def test_nobody_listens() -> None:
    with dns_server({}) as server:
        pass
    assert (await Resolver(server.address, patience=0.3).texts("example.org")).trouble


async def test_a_machine_without_nameservers(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(**_: object) -> None:
        raise dns.dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.dns.asyncresolver, "Resolver", nobody)  # no test may take /etc/resolv.conf away
    assert "no nameserver" in (await Resolver().texts("example.org")).trouble


async def test_the_machines_own_lookup() -> None:
    assert "127.0.0.1" in (await machine_addresses("127.0.0.1", 25)).values
    assert (await machine_addresses("127.0.0.1", 25, patience=5)).trouble == ""


async def test_a_lookup_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's lookup cannot be made to hang here, so its place is taken for once."""

    def hang(*_: object, **__: object) -> list[object]:
        time.sleep(5)
        raise OSError("too late")

    monkeypatch.setattr(dns.socket, "getaddrinfo", hang)
    started = time.monotonic()
    found = await machine_addresses("mail.example.org", 25, patience=0.1)
    assert found.trouble == "no answer within 0.1 s"
    assert time.monotonic() - started < 3


async def test_a_nameserver_with_ipv6_is_understood() -> None:
    assert Resolver(HostPort("::1", 5353), patience=0.1)
