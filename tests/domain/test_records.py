"""Records that senders publish, rightly and wrongly, and records that nobody should have published."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.findings import Finding, Level, Subject, worst
from campaign.domain.records import Lookup, dkim, dmarc, is_host, mx, publish, shown, spf, tags

D = "example.org"
HOSTILE = st.text(max_size=300) | st.lists(
    st.sampled_from(
        ["v=spf1", "include:", "a.example", "redirect=", "ip4:", "::1", "/33", "+all", ";", "p=", "\x1b[2J", "%{i}"]
    )
).map(" ".join)


def _spf(record: str, **others: str) -> list[Finding]:
    known = {D: Lookup((record,)), **{name.replace("_", "."): Lookup((text,)) for name, text in others.items()}}
    for name in spf.unread(D, known):
        known[name] = Lookup(nowhere=True)
    return spf.judge(D, known)


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all",
        "V=SPF1 a mx a:mail.example.org/24//64 exists:%{i}.example.org ~ALL",
        "v=spf1 include:%{d}.example.net exp=why.example.org unknown=fine -all",
        "v=spf1 -all redirect=nowhere.example.net",
    ],
)
def test_a_good_spf_record(record: str) -> None:
    (found,) = _spf(record)
    assert found.level is Level.OK, found


@pytest.mark.parametrize(
    ("record", "level", "said", "mend"),
    [
        ("v=spf1 +all", "error", "whole world", "~all"),
        ("v=spf1 all", "error", "whole world", "~all"),
        ("v=spf1 mx ?all", "warning", "?all", "~all"),
        ("v=spf1 mx", "warning", "without all", "~all"),
        ("v=spf1 ptr ~all", "warning", "ptr", "ip4"),
        ("v=spf1 ipv4:192.0.2.1 ~all", "error", "no mechanism", "Mend"),
        ("v=spf1 ip4:192.0.2.300 ~all", "error", "no ip4 network", "Mend"),
        ("v=spf1 ip4:2001:db8::1 ~all", "error", "no ip4 network", "Mend"),
        ("v=spf1 ip4:192.0.2.0/255.255.255.0 ~all", "error", "no ip4 network", "Mend"),
        ("v=spf1 include: ~all", "error", "no mechanism", "Mend"),
        ("v=spf1 include ~all", "error", "not how include is written", "Mend"),
        ("v=spf1 all:x ~all", "error", "not how all is written", "Mend"),
        ("v=spf1 redirect=", "error", "names nothing", "Mend"),
        ("v=spf1 redirect=a.example redirect=b.example", "error", "twice", "Mend"),
        ("v=spf1 include:none.example ~all", "error", "has no SPF record", "take it out"),
        ("v=spf1 include:a..b ~all", "error", "is no name", "take it out"),
        ("v=spf1 " + "a " * 11 + "~all", "error", "more than 10 lookups", "ip4:"),
        ("v=spf1 " + "ip4:192.0.2.1 " * 1000 + "~all", "error", "longer than any record", "Mend"),
    ],
)
def test_what_is_wrong_with_an_spf_record(record: str, level: str, said: str, mend: str) -> None:
    found = next(one for one in _spf(record) if said in one.found)
    assert found.level == level
    assert mend in found.mend


def test_spf_records_that_are_named_are_judged_too() -> None:
    def said(record: str, **others: str) -> str:
        return " ".join(one.found for one in _spf(record, **others))

    assert "in a circle: example.org -> a.example -> example.org" in said(
        "v=spf1 include:a.example ~all", a_example="v=spf1 include:example.org ~all"
    )
    assert "in a circle" in said("v=spf1 redirect=example.org")
    assert "ends in +all" in said("v=spf1 include:a.example ~all", a_example="v=spf1 +all")
    assert "in a.example that it names" in said("v=spf1 include:a.example ~all", a_example="v=spf1 foo ~all")
    assert "3 of 10 lookups" in said("v=spf1 include:a.example mx ~all", a_example="v=spf1 a ~all")
    many = {f"i{n}_example": "v=spf1 a a ~all" for n in range(6)}
    assert "more than 10" in said("v=spf1 " + "".join(f"include:i{n}.example " for n in range(6)) + "~all", **many)
    (found,) = _spf("v=spf1 redirect=a.example", a_example="v=spf1 ip4:192.0.2.1 -all")
    assert found.level is Level.OK


def test_the_proposed_end_of_an_spf_record_can_be_published() -> None:
    (found,) = _spf("v=spf1 mx +ALL")
    assert found.mend == 'Publish in the DNS: example.org. TXT "v=spf1 mx ~all"'
    assert _spf("v=spf1 x=\x1b ?all")[-1].mend == "Write the record anew, with ~all at its end."


def test_spf_that_is_not_there_or_there_twice() -> None:
    (none,) = spf.judge(D, {D: Lookup(("v=spf10 -all", "other"))}, "mail.example.net")
    assert (
        none.level,
        none.mend.startswith('Publish in the DNS: example.org. TXT "v=spf1 a:mail.example.net ~all"'),
    ) == (
        Level.ERROR,
        True,
    )
    assert "ip4:192.0.2.1" in spf.judge(D, {}, "192.0.2.1")[0].mend
    assert "ip6:2001:db8::1" in spf.judge(D, {}, "2001:db8::1")[0].mend
    assert "v=spf1 mx ~all" in spf.judge(D, {}, "relay")[0].mend
    (two,) = spf.judge(D, {D: Lookup(("v=spf1 -all", "v=spf1 mx -all"))})
    assert (two.level, "2 records" in two.found) == (Level.ERROR, True)
    (unknown,) = spf.judge(D, {D: Lookup(trouble="SERVFAIL")})
    assert (unknown.level, "could not be looked up: SERVFAIL" in unknown.found) == (Level.WARNING, True)
    known = {D: Lookup(("v=spf1 include:a.example ~all",)), "a.example": Lookup(trouble="no answer")}
    (unsure,) = spf.judge(D, known)
    assert (unsure.level, "a.example" in unsure.found) == (Level.WARNING, True)


def test_spf_is_read_in_rounds_and_says_whom_it_covers() -> None:
    known: dict[str, Lookup] = {}
    assert spf.unread(D, known) == [D]
    known[D] = Lookup(("v=spf1 include:a.example include:b.example include:a.example -ip4:192.0.2.9 ~all",))
    assert spf.unread(D, known) == ["a.example", "b.example"]
    known |= {
        "a.example": Lookup(("v=spf1 ip4:192.0.2.0/28 ~all",)),
        "b.example": Lookup(("v=spf1 ip6:2001:db8::/64 -all",)),
    }
    assert spf.unread(D, known) == []
    assert spf.covers(D, known, ("192.0.2.3",))
    assert spf.covers(D, known, ("198.51.100.1", "2001:db8::1"))
    assert not spf.covers(D, known, ("192.0.2.77",))
    assert spf.unread("no name", {}) == []


@given(st.dictionaries(st.sampled_from([D, "a.example", "b.example"]), st.lists(HOSTILE, max_size=3)))
def test_nothing_that_stands_in_spf_records_breaks_the_reader(zone: Mapping[str, list[str]]) -> None:
    known = {name: Lookup(tuple(values)) for name, values in zone.items()}
    for _ in range(14):
        asked = spf.unread(D, known)
        assert len(asked) <= spf.LOOKUPS + 1
        assert all(is_host(name) for name in asked)
        known |= {name: Lookup(nowhere=True) for name in asked}
    assert not spf.unread(D, known)
    _is_shown_safely(spf.judge(D, known))


@given(HOSTILE, HOSTILE)
def test_nothing_that_stands_in_other_records_breaks_their_readers(one: str, other: str) -> None:
    _is_shown_safely(dkim.judge(dkim.Selector("s", D), Lookup((one,))))
    _is_shown_safely(dkim.judge(dkim.Selector("s", D), Lookup((f"v=DKIM1; k={one}; p=AAAA{other}",))))
    _is_shown_safely(dmarc.judge(D, D, {f"_dmarc.{D}": Lookup((f"v=DMARC1; {one}", other))}))
    _is_shown_safely(dmarc.judge(D, D, {f"_dmarc.{D}": Lookup((f"v=DMARC1; p={one};{other}",))}))


def _is_shown_safely(findings: list[Finding]) -> None:
    assert findings
    for finding in findings:
        assert len(finding.found) + len(finding.mend) < 2_500
        assert (finding.found + finding.mend).isprintable(), finding
        assert finding.mend or finding.level in {Level.OK, Level.NOTE}


def _rsa(octets: int) -> str:
    return base64.b64encode(bytes(range(256)) * 3)[: octets * 4 // 3 // 4 * 4].decode()


@pytest.mark.parametrize(
    ("record", "level", "said"),
    [
        (f"v=DKIM1; k=rsa; p={_rsa(294)}", "ok", "2048"),
        (f"p={_rsa(294)}", "ok", "2048"),
        (f"v=DKIM1; p={_rsa(162)}", "warning", "less than 2048"),
        (f"v=DKIM1; p={_rsa(90)}", "error", "less than 1024"),
        (f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(32)).decode()}", "ok", "ed25519"),
        (f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(31)).decode()}", "error", "31 bytes"),
        (f"v=DKIM1; k=dsa; p={_rsa(294)}", "error", "k='dsa'"),
        ("v=DKIM1; p=", "error", "revoked"),
        ("v=DKIM1; p=***", "error", "not base64"),
        ("v=DKIM2; p=AAAA", "error", "cannot be read"),
        ("k=rsa; v=DKIM1; p=AAAA", "error", "cannot be read"),
        ("v=DKIM1; p=AAAA; p=BBBB", "error", "cannot be read"),
        ("some words", "error", "cannot be read"),
        (f"v=DKIM1; t=y:s; p={_rsa(294)}", "warning", "t=y"),
        (f"v=DKIM1; h=sha1; p={_rsa(294)}", "error", "SHA-256"),
        (f"v=DKIM1; s=tlsrpt; p={_rsa(294)}", "error", "not for mail"),
    ],
)
def test_dkim_keys(record: str, level: str, said: str) -> None:
    found = next(one for one in dkim.judge(dkim.Selector("s1", D), Lookup((record,))) if said in one.found)
    assert found.level == level
    assert "s1._domainkey.example.org" in found.found


def test_dkim_keys_that_are_not_there_or_not_ours() -> None:
    ours = base64.b64encode(bytes(range(200)) + bytes(94)).decode()
    selector = dkim.Selector("s1", D, ours)
    assert dkim.judge(selector, Lookup((f"v=DKIM1; p={ours}",)))[0].level is Level.OK
    (other,) = dkim.judge(selector, Lookup((f"v=DKIM1; p={_rsa(294)}",)))
    assert "not the public half" in other.found
    assert other.mend == publish(selector.place, f"v=DKIM1; k=rsa; p={ours}")
    small = base64.b64encode(bytes(32)).decode()
    mine = dkim.Selector("s1", D, small)
    assert dkim.judge(mine, Lookup((f"v=DKIM1; k=ed25519; p={small}",)))[0].level is Level.OK
    assert "k=ed25519" in dkim.judge(mine, Lookup())[0].mend
    assert "no key at" in dkim.judge(selector, Lookup(nowhere=True))[0].found
    assert "2 records" in dkim.judge(selector, Lookup(("a", "b")))[0].found
    assert dkim.judge(selector, Lookup(trouble="SERVFAIL"))[0].level is Level.WARNING
    assert "provider" in dkim.judge(dkim.Selector("s1", D), Lookup())[0].mend


def _dmarc(record: str, *, domain: str = D, back: str = D, at: str = D) -> list[Finding]:
    return dmarc.judge(domain, back, {f"_dmarc.{at}": Lookup((record,))})


@pytest.mark.parametrize("policy", ["none", "quarantine", "reject"])
def test_dmarc_policies(policy: str) -> None:
    found, aligned = _dmarc(f"v=DMARC1; p={policy}; rua=mailto:x@example.org")
    assert (found.level, f"p={policy}" in found.found, aligned.level) == (Level.OK, True, Level.OK)


def test_dmarc_records_further_up_and_what_they_say_of_names_below() -> None:
    found = _dmarc("v=DMARC1; p=reject; sp=none", domain="a.news.example.org", back="b.example.org")
    assert "going up from a.news.example.org" in found[0].found
    assert "p=none" in found[0].found
    assert (found[1].level, "rua=" in found[1].mend) == (Level.NOTE, True)
    assert found[2].level is Level.OK
    assert dmarc.places("a.b.c.d.e.f.g.h.i.j.k.example.org")[0] == "_dmarc.a.b.c.d.e.f.g.h.i.j.k.example.org"
    assert len(dmarc.places(".".join("a" * 60))) <= 9


@pytest.mark.parametrize(
    ("domain", "back", "more", "level"),
    [
        ("news.example.org", "example.org", "", "ok"),
        ("example.org", "bounces.example.org", "", "ok"),
        ("news.example.org", "bounces.example.org", "", "note"),
        ("example.org", "example.net", "", "warning"),
        ("example.org", "bounces.example.org", "; aspf=s", "warning"),
        ("example.org", "example.org", "; aspf=s", "ok"),
    ],
)
def test_dmarc_alignment(domain: str, back: str, more: str, level: str) -> None:
    found = _dmarc(f"v=DMARC1; p=none; rua=mailto:a@b.example{more}", domain=domain, back=back, at=domain)[-1]
    assert found.level == level
    assert domain in found.found
    assert back in found.found


def test_dmarc_that_is_not_there_or_wrong() -> None:
    (none,) = dmarc.judge("news.example.org", D, {})
    assert none.level is Level.ERROR
    assert "_dmarc.news.example.org, _dmarc.example.org" in none.found
    assert 'TXT "v=DMARC1; p=none;' in none.mend
    assert "2 records" in dmarc.judge(D, D, {f"_dmarc.{D}": Lookup(("v=DMARC1; p=none", "v=DMARC1;p=reject"))})[0].found
    assert dmarc.judge(D, D, {f"_dmarc.{D}": Lookup(trouble="SERVFAIL")})[0].level is Level.WARNING
    assert "cannot be read" in _dmarc("v=DMARC1 p=none")[0].found
    assert "no p=" in _dmarc("v=DMARC1; p=maybe")[0].found
    assert "cannot be read" in _dmarc("v=dmarc1; p=none")[0].found


def test_where_answers_arrive() -> None:
    there = Lookup(("192.0.2.1",))
    good = Lookup(("20 b.example.org.", "10 a.example.org."))
    assert mx.hosts(good) == ["a.example.org", "b.example.org"]
    assert mx.judge(D, good, {"a.example.org": there}).level is Level.OK
    assert mx.judge(D, Lookup(), {D: there}).level is Level.OK
    assert "takes no mail" in mx.judge(D, Lookup(("0 .",)), {}).found
    assert "have no address" in mx.judge(D, good, {}).found
    assert "does not exist" in mx.judge(D, Lookup(nowhere=True), {}).found
    assert "neither" in mx.judge(D, Lookup(), {}).found
    assert mx.judge(D, Lookup(trouble="SERVFAIL"), {}).level is Level.WARNING
    assert mx.judge(D, good, {"a.example.org": Lookup(trouble="SERVFAIL")}).level is Level.WARNING


def test_tags_and_names_and_what_is_shown() -> None:
    assert tags(" V = x ; p=a=b;") == {"v": "x", "p": "a=b"}
    assert tags("v=x; nothing") is None
    assert tags("v=x; v=y") is None
    assert is_host("_dmarc.example.org")
    assert not is_host("-" * 64)
    assert not is_host("a b")
    assert not is_host("")
    assert not is_host("a." * 140)
    assert "\x1b" not in shown("\x1b[2J" * 1000)
    assert len(shown("x" * 10_000)) < 200
    assert publish(D, "10 m.", "MX") == "Publish in the DNS: example.org. MX 10 m."


def test_the_worst_finding_counts() -> None:
    one = Subject("it")
    assert worst([]) is Level.OK
    assert worst([one.ok("a"), one.warning("b", "c"), one.note("d")]) is Level.WARNING
    assert worst([one.error("a", "b"), one.ok("c")]) is Level.ERROR
