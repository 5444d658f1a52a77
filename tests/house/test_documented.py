"""`.env.example` documents every setting, nothing that does not exist, and only values that work."""

from __future__ import annotations

import base64
import re
import tomllib
from pathlib import Path

from campaign.assets import asset
from campaign.settings import IN_TABLES, Settings, load_settings
from campaign.settings.signing import Algorithm, SigningKey
from tests.house.source import ROOT

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SETTING = re.compile(r"^#?(CAMPAIGN_[A-Z_]+)=(.*)$", re.MULTILINE)


def _variables() -> dict[str, str]:
    """Every setting's attribute by its variable; tables of relays.toml have none, see docs/relays.md."""
    fields = {name: field for name, field in Settings.model_fields.items() if name not in IN_TABLES}
    return {f"CAMPAIGN_{(field.alias or name).upper()}": name for name, field in fields.items()}


def test_every_setting_and_no_other_is_in_the_example() -> None:
    assert sorted(name for name, _ in SETTING.findall(EXAMPLE)) == sorted(_variables().keys() - {"CAMPAIGN_HOME"})


def test_each_is_explained_above_its_line() -> None:
    for paragraph in EXAMPLE.split("\n\n"):
        if found := SETTING.search(paragraph):
            words = [line for line in paragraph[: found.start()].splitlines() if not line.startswith("# ---")]
            assert len(" ".join(words)) > 30, found[1]


def test_the_lines_work_as_they_stand(home: Path) -> None:
    newest, older = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    text = re.sub(r"^#(?=CAMPAIGN_)", "", EXAMPLE, flags=re.MULTILINE)
    text = text.replace("newest-key", newest).replace("older-key", older).replace("the-key", newest)
    text = text.replace("the-signing-key", SigningKey.fresh(Algorithm.ED25519).pem.decode().replace("\n", "\\n"))
    (home / ".env").write_text(text, encoding="utf-8")
    settings = load_settings(home, {})
    assert len(settings.secret_keys) == len(settings.seal_keys) == 2
    assert all("<not set>" not in shown for shown in settings.shown().values())


def test_the_defaults_it_names_are_the_defaults(home: Path) -> None:
    shown = load_settings(home, {}).shown()
    for name, _ in SETTING.findall(EXAMPLE):
        paragraph = next(part for part in EXAMPLE.split("\n\n") if f"#{name}=" in part)
        if (
            named := re.search(r"[Dd]efault: ([a-zA-Z0-9:.]+)\n#CAMPAIGN", paragraph)
        ) and name != "CAMPAIGN_INSTANCE_ID":
            assert named[1] == shown[name], name


def test_the_shipped_file_says_the_same_as_the_code(home: Path) -> None:
    shipped = tomllib.loads((asset("config") / "default.toml").read_text(encoding="utf-8"))
    in_code = Settings(home=home)
    names = {variable.removeprefix("CAMPAIGN_").lower(): attribute for variable, attribute in _variables().items()}
    assert {key: str(value) for key, value in shipped.items()} == {
        key: str(getattr(in_code, names[key])) for key in shipped
    }
