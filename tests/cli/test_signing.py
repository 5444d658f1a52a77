"""Keys for signatures from the command line: made once, shown without a secret, and used by what is shown and sent."""

from __future__ import annotations

import subprocess
from pathlib import Path

import dkim
import pytest

from campaign.domain.operators import Right, right_for
from campaign.runtime.catcher import Catcher
from tests.cli.homes import Typist, settle
from tests.cli.programs import ROOT, campaign


def install(home: Path, made: dict[str, object]) -> None:
    """Do as the command says: put its two lines into `.env`."""
    with (home / ".env").open("a", encoding="utf-8") as env:
        env.writelines(f"{line}\n" for line in made["env"])  # type: ignore[attr-defined] # a list, from JSON


def passes(letter: bytes, record: dict[str, str]) -> bool:
    texts = {f"{record['name']}.": record["text"]}
    return bool(dkim.verify(letter, dnsfunc=lambda name, **_: texts[name.decode()]))


def test_what_the_command_says_is_all_that_it_takes(type_: Typist, relay: Catcher, tmp_path: Path) -> None:
    assert type_("relays", "dkim", "--selector", "One-2027") == 0
    key = type_.home / "dkim-one-2027.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().splitlines()[1] not in type_.said + type_.aside
    for line in (
        f"Made {key}.",
        '  CAMPAIGN_DKIM_KEY_FILE="dkim-one-2027.pem"',
        '  CAMPAIGN_DKIM_SELECTOR="one-2027"',
        "  name   one-2027._domainkey.example.org",
        "  value  v=DKIM1; k=rsa; p=MII",
        '      "v=DKIM1; k=rsa; p=MII',
    ):
        assert line in type_.said
    assert "publish" in type_.aside
    lines = [line.strip() for line in type_.said.splitlines() if line.startswith("  CAMPAIGN_")]
    install(type_.home, {"env": lines})
    [shown] = type_.read("relays", "dkim", "--show")
    assert (shown["selector"], shown["algorithm"], shown["bits"]) == ("one-2027", "rsa", 2048)
    assert shown["record"]["text"] in key_record(type_)

    assert type_("new", "news", "--every", "first monday", "--list", "supporters") == 0
    eml = tmp_path / "letter.eml"
    assert type_("preview", "news", "--eml", str(eml)) == 0
    assert passes(eml.read_bytes(), shown["record"])
    assert type_("test", "news", "--to", "operator@example.org") == 0
    assert campaign("run", "--until-idle", "--no-web", home=type_.home).returncode == 0
    assert type_("relays", "test", "main", "operator@example.org") == 0
    letter, probe = ((tmp_path / "caught" / caught.eml).read_bytes() for caught in relay.letters)
    assert passes(letter, shown["record"])
    assert passes(probe, shown["record"])
    assert not passes(letter.replace(b"List-Unsubscribe: <http", b"List-Unsubscribe: <https"), shown["record"])


def key_record(type_: Typist) -> str:
    assert type_("relays", "dkim", "--show") == 0
    return type_.said


def test_a_key_that_is_there_is_never_touched(type_: Typist) -> None:
    made = type_.read("relays", "dkim", "--algorithm", "ed25519")
    assert made["selector"].endswith("-ed25519")
    assert made["record"]["text"].startswith("v=DKIM1; k=ed25519; p=")
    [deed] = [one for one in type_.read("audit") if one["action"] == "relay.dkim"]
    assert (deed["subject"], deed["after"]) == (made["selector"], {"algorithm": "ed25519", "bits": 256})
    path = Path(made["file"])
    before = path.read_bytes()
    assert type_("relays", "dkim", "--algorithm", "ed25519") == 1
    assert "already" in type_.aside
    assert path.read_bytes() == before
    install(type_.home, made)
    path.rename(type_.home / "elsewhere.pem")
    env = type_.home / ".env"
    env.write_text(env.read_text().replace(path.name, "elsewhere.pem"))
    assert type_("relays", "dkim", "--selector", made["selector"]) == 1
    assert "is the selector of a key in use" in type_.aside
    assert type_("relays", "dkim", "--show") == 0
    assert "cannot read ed25519" in type_.aside


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--show",), 1, "CAMPAIGN_DKIM_KEY is not set"),
        (("--algorithm", "dsa"), 2, "no algorithm 'dsa'"),
        (("--selector", "a/../b"), 2, "cannot be the name of one key"),
        (("--selector", "s" * 130), 2, "cannot be the name of one key"),
        (("--selector", "a,b"), 2, "cannot be the name of one key"),
    ],
)
def test_what_cannot_be_is_said(type_: Typist, words: tuple[str, ...], status: int, said: str) -> None:
    assert type_("relays", "dkim", *words) == status
    assert said in type_.aside
    assert not list(type_.home.glob("dkim-*"))


def test_the_document_is_right_as_it_is_written(type_: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(type_.home)
    assert type_("new", "news", "--every", "first monday", "--list", "supporters") == 0
    lines = [
        line.strip() for line in (ROOT / "docs/dkim.md").read_text("utf-8").splitlines() if line.startswith("    ")
    ]
    assert len(lines) > 10
    for line in lines:
        if line.startswith("campaign "):
            assert type_(*line.split()[1:]) == 0, type_.aside
        elif line.startswith("CAMPAIGN_"):
            name, _, value = line.partition("=")
            settle(type_.home, **{name: value.strip('"')})
        else:
            subprocess.run(line, shell=True, cwd=type_.home, check=True)  # noqa: S602 -- our own document
    eml = type_.home / "letter.eml"
    assert type_("preview", "news", "--eml", str(eml)) == 0
    shown = type_.read("relays", "dkim", "--show")
    assert [one["selector"] for one in shown] == ["campaign-2027-07", "campaign-2027-07-e"]
    records = {f"{one['record']['name']}.": one["record"]["text"] for one in shown}
    letter = dkim.DKIM(eml.read_bytes())
    assert all(letter.verify(index, dnsfunc=lambda name, **_: records[name.decode()]) for index in range(2))


def test_only_an_administrator_makes_keys() -> None:
    assert right_for("relays", "dkim") is Right.ADMINISTER
    assert right_for("relays", "list") is Right.LOOK
