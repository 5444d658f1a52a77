"""The keys that letters are signed with: how they are read, what is refused, and what the DNS has to say about them."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from campaign.settings import Settings, SettingsWrong, load_settings, signing
from campaign.settings.signing import Algorithm, SigningKey, record_name, zone_lines

RSA, ED25519 = (SigningKey.fresh(algorithm) for algorithm in Algorithm)
SHORT = SigningKey(rsa.generate_private_key(65_537, key_size=signing.LEAST_BITS))


def load(home: Path, **environ: str) -> Settings:
    return load_settings(home, {f"CAMPAIGN_{name}": value for name, value in environ.items()})


def mistake(home: Path, **environ: str) -> str:
    with pytest.raises(SettingsWrong) as caught:
        load(home, **environ)
    assert "MII" not in caught.value.message, "a key is never repeated"
    return caught.value.message


def test_a_key_is_read_from_a_file_in_the_home(home: Path) -> None:
    (home / "key.pem").write_bytes(RSA.pem)
    settings = load(home, DKIM_KEY_FILE="key.pem", DKIM_SELECTOR="One.January-2027")
    assert [key.record for key in settings.dkim_keys] == [RSA.record]
    assert settings.dkim_selectors == ("one.january-2027",)
    assert settings.shown()["CAMPAIGN_DKIM_KEY"] == "<1 key>"
    assert settings.shown()["CAMPAIGN_DKIM_SELECTOR"] == "one.january-2027"
    assert "PRIVATE" not in repr(settings)
    assert settings.warnings == ()


def test_line_breaks_may_be_written_out(home: Path) -> None:
    pem = RSA.pem.decode().replace("\n", "\\n")
    assert load(home, DKIM_KEY=pem, DKIM_SELECTOR="a").dkim_keys[0].pem == RSA.pem
    (home / ".env").write_text(f'CAMPAIGN_DKIM_KEY="{pem}"\nCAMPAIGN_DKIM_SELECTOR=a\n')
    assert load(home).dkim_keys[0].pem == RSA.pem


def test_one_of_each_kind_may_sign_side_by_side(home: Path) -> None:
    settings = load(home, DKIM_KEY=(RSA.pem + ED25519.pem).decode(), DKIM_SELECTOR="a, b")
    assert [key.algorithm for key in settings.dkim_keys] == [Algorithm.RSA, Algorithm.ED25519]
    assert settings.dkim_selectors == ("a", "b")
    assert settings.warnings == ()


def test_the_form_that_other_signers_keep_is_read_too(home: Path) -> None:
    old = RSA.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert old.startswith("-----BEGIN RSA PRIVATE KEY")
    assert load(home, DKIM_KEY=old, DKIM_SELECTOR="a").dkim_keys[0].record == RSA.record


def test_keys_that_work_but_should_not_be_used_alone_are_warned_about(home: Path) -> None:
    [said] = load(home, DKIM_KEY=SHORT.pem.decode(), DKIM_SELECTOR="a").warnings
    assert "less than 2048 bits" in said
    [said] = load(home, DKIM_KEY=ED25519.pem.decode(), DKIM_SELECTOR="a").warnings
    assert "no rsa key" in said


PEM = RSA.pem.decode()
ENCRYPTED = RSA.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")).decode()
PUBLIC = RSA.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("hunter2", "no private key in PEM"),
        (f"{PEM}\nhunter2", "no private key in PEM"),
        (PEM[:400], "no private key in PEM"),
        (PEM[:100] + PEM[200:], "no private key that can be read"),
        (PUBLIC, "no private key that can be read"),
        (ENCRYPTED, "has a passphrase"),
        (PEM + SHORT.pem.decode(), "two keys of one kind"),
    ],
)
def test_what_is_no_key_is_named_and_never_repeated(home: Path, key: str, words: str) -> None:
    said = mistake(home, DKIM_KEY=key, DKIM_SELECTOR="a")
    assert "CAMPAIGN_DKIM_KEY (the environment): " in said
    assert words in said
    assert "campaign relays dkim" in said
    assert "hunter2" not in said
    assert said.count("CAMPAIGN_") == 1, "what follows from a mistake is not another one"


def test_other_kinds_and_sizes_of_keys_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
    )
    assert "neither an rsa nor an ed25519 key" in mistake(home, DKIM_KEY=other, DKIM_SELECTOR="a")
    monkeypatch.setattr(signing, "_MOST_BITS", 1536)  # a key of more than 4096 bits takes seconds to make
    assert "has 2048 bits; receivers take 1024 to 1536" in mistake(home, DKIM_KEY=PEM, DKIM_SELECTOR="a")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DKIM_KEY": PEM}, "CAMPAIGN_DKIM_SELECTOR (default): it is not set, but CAMPAIGN_DKIM_KEY is"),
        ({"DKIM_SELECTOR": "a"}, "there is no CAMPAIGN_DKIM_KEY that it could name"),
        ({"DKIM_KEY": PEM, "DKIM_SELECTOR": "a,b"}, "it has 2 names for 1 key"),
        ({"DKIM_KEY": PEM, "DKIM_SELECTOR": "a,a"}, "the same selector stands in it twice"),
        ({"DKIM_KEY": PEM, "DKIM_SELECTOR": "under_score"}, "'under_score' is no selector"),
        ({"DKIM_KEY": PEM, "DKIM_SELECTOR": "a; d=evil.example"}, "is no selector"),
        ({"DKIM_KEY": PEM, "DKIM_SELECTOR": "-a"}, "is no selector"),
        ({"DKIM_KEY": PEM, "DKIM_SELECTOR": "a" * 200}, "is no selector"),
    ],
)
def test_a_key_and_its_selector_belong_together(home: Path, settings: dict[str, str], words: str) -> None:
    assert words in mistake(home, **settings)


@pytest.mark.parametrize("key", [RSA, ED25519, SHORT], ids=["rsa", "ed25519", "short"])
def test_a_record_says_what_receivers_need(key: SigningKey) -> None:
    public = base64.b64decode(key.record.rpartition("p=")[2])
    if key.algorithm is Algorithm.RSA:
        assert key.record.startswith("v=DKIM1; k=rsa; p=")
        assert load_der_public_key(public) == key.private.public_key()
    else:
        assert key.record.startswith("v=DKIM1; k=ed25519; p=")
        assert len(public) == 32
    evaluated, bits, algorithm, _ = dkim.evaluate_pk(b"name", key.record.encode())
    assert evaluated is not None
    assert (bits, algorithm.decode()) == (key.bits, key.algorithm)


@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_a_zone_file_has_it_in_short_strings(key: SigningKey) -> None:
    name = record_name("campaign-2027-01", "example.org")
    text = zone_lines(name, key.record)
    assert text.startswith("campaign-2027-01._domainkey.example.org. IN TXT (")
    strings = re.findall(r'"([^"]*)"', text)
    assert max(map(len, strings)) <= 255
    assert "".join(strings) == key.record
