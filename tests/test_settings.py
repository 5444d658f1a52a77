"""Settings: which place wins, what is refused and how that is said, and that no secret is ever shown."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.errors import SettingsMissing
from campaign.settings import HostPort, Mailbox, Settings, SettingsWrong, load_settings, usable_settings
from campaign.settings import values as reading

KEY = base64.urlsafe_b64encode(bytes(range(224, 256))).decode()
OLDER = base64.urlsafe_b64encode(bytes(range(32))).decode()


def load(home: Path, dotenv: str = "", toml: str = "", **environ: str) -> Settings:
    """Load from a home with these files; keywords are variables without their prefix."""
    if dotenv:
        (home / ".env").write_text(dotenv, encoding="utf-8")
    if toml:
        (home / "config").mkdir(exist_ok=True)
        (home / "config" / "ours.toml").write_text(toml, encoding="utf-8")
    return load_settings(home, {f"CAMPAIGN_{name}": value for name, value in environ.items()})


def mistakes(home: Path, dotenv: str = "", toml: str = "", **environ: str) -> str:
    with pytest.raises(SettingsWrong) as caught:
        load(home, dotenv, toml, **environ)
    return caught.value.message


class TestWhatCanBeUsed:
    """For looking, what is wrong counts as not set."""

    def test_what_is_wrong_is_left_out_and_named_and_the_rest_is_read(self, home: Path) -> None:
        (home / ".env").write_text('CAMPAIGN_CONNECTIONS="many"\nCAMPAIGN_ODD="1"\nCAMPAIGN_LANGUAGE="fr"\n')
        settings, found = usable_settings(home, {"CAMPAIGN_TIMEZONE": "Nowhere/Else"})
        assert (settings.connections, settings.language, str(settings.timezone)) == (10, "fr", "UTC")
        assert {mistake.setting for mistake in found} == {"CAMPAIGN_CONNECTIONS", "CAMPAIGN_TIMEZONE", "CAMPAIGN_ODD"}

    def test_what_follows_from_a_wrong_one_is_no_mistake_of_its_own(self, home: Path) -> None:
        settings, found = usable_settings(home, {"CAMPAIGN_SENDER": "nobody"})
        assert (settings.sender, settings.contact, settings.organisation) == (None, None, "")
        assert [mistake.setting for mistake in found] == ["CAMPAIGN_SENDER"]

    def test_no_mistake_no_difference(self, home: Path) -> None:
        settings, found = usable_settings(home, {"CAMPAIGN_CONNECTIONS": "7"})
        assert (settings, found) == (load(home, CONNECTIONS="7"), [])


class TestPlaces:
    def test_an_empty_home_has_working_defaults(self, home: Path) -> None:
        settings = load(home)
        assert settings.database_url == f"sqlite:///{home}/campaign.db"
        assert settings.listen == HostPort("127.0.0.1", 8000)
        assert (settings.timezone, settings.language) == (ZoneInfo("UTC"), "en")
        assert (settings.connections, settings.max_attempts, settings.valid_hours) == (10, 20, 48)
        assert (settings.sender, settings.contact, settings.base_url) == (None, None, None)

    def test_the_environment_beats_dotenv_beats_toml_beats_the_shipped_file(self, home: Path) -> None:
        assert load(home, toml="connections = 3\nlanguage = 'fr'").connections == 3
        assert load(home, "CAMPAIGN_CONNECTIONS=4\n").connections == 4
        settings = load(home, CONNECTIONS="5")
        assert (settings.connections, settings.language) == (5, "fr")

    def test_an_empty_variable_counts_as_left_out(self, home: Path) -> None:
        assert load(home, "CAMPAIGN_CONNECTIONS=4\nCAMPAIGN_LANGUAGE=\n", CONNECTIONS=" ").connections == 4

    def test_of_two_files_the_later_name_wins_and_shipped_data_is_not_settings(self, home: Path) -> None:
        folder = home / "config"
        folder.mkdir()
        (folder / "a.toml").write_text("connections = 3\nmax_attempts = 7\n")
        (folder / "b.toml").write_text("connections = 4\n")
        settings = load(home)
        assert (settings.connections, settings.max_attempts) == (4, 7)

    def test_home_is_the_argument_then_the_variable_then_the_current_folder(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = home / "other"
        assert load_settings(home, {"CAMPAIGN_HOME": str(other)}).home == home
        assert load_settings(None, {"CAMPAIGN_HOME": str(other)}).home == other
        monkeypatch.chdir(home)
        assert load_settings(None, {}).home == home

    def test_reading_changes_no_variable(self, home: Path) -> None:
        before = dict(os.environ)
        load(home, "CAMPAIGN_LANGUAGE=de\nPATH=nowhere\n")
        assert dict(os.environ) == before

    def test_a_secret_may_be_kept_in_a_file_beside_the_home(self, home: Path) -> None:
        (home / "smtp").write_text("smtp://mail.example.org:25\n")
        assert load(home, "CAMPAIGN_SMTP_URL_FILE=smtp\n").smtp_url == "smtp://mail.example.org:25"
        assert load(home, SMTP_URL_FILE=str(home / "smtp")).smtp_url == "smtp://mail.example.org:25"

    def test_a_stronger_value_beats_a_weaker_file(self, home: Path) -> None:
        (home / "smtp").write_text("smtp://one.example.org\n")
        settings = load(home, "CAMPAIGN_SMTP_URL_FILE=smtp\n", SMTP_URL="smtp://two.example.org")
        assert settings.smtp_url == "smtp://two.example.org"

    def test_dollars_and_quotes_are_taken_as_they_stand(self, home: Path) -> None:
        settings = load(home, "CAMPAIGN_SMTP_URL='smtp://user:pa$${HOME}ss@mail.example.org'\n")
        assert settings.smtp_url == "smtp://user:pa$${HOME}ss@mail.example.org"

    def test_strangers_in_the_environment_and_in_dotenv_are_left_alone(self, home: Path) -> None:
        load(home, "PYTHONPATH=x\nexport OTHER=1\n", PORT="tcp://10.0.0.1:8000")

    def test_settings_made_in_code_read_no_place(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LANGUAGE", "fr")
        monkeypatch.setenv("CAMPAIGN_LANGUAGE", "fr")
        (home / ".env").write_text("CAMPAIGN_LANGUAGE=fr\n")
        assert Settings(home=home).language == "en"


class TestMistakes:
    def test_all_are_named_at_once_with_place_and_remedy(self, home: Path) -> None:
        text = mistakes(
            home,
            dotenv="CAMPAIGN_SENDR=a@example.org\nCAMPAIGN_SENDER=nobody\nwhat is this\n",
            toml="conections = 3\nlanguage = 7\n",
            LISTEN="8000",
            SMTP_URL="http://mail.example.org",
            TIMEZONE="Berlin",
            LOG_LEVEL="loud",
        )
        for line in (
            "9 settings are wrong.",
            "CAMPAIGN_SENDR (.env): there is no such setting. Did you mean CAMPAIGN_SENDER?",
            "line 3 (.env): it is not NAME=value.",
            "conections (config/ours.toml): there is no such setting. Did you mean connections?",
            "CAMPAIGN_LANGUAGE (config/ours.toml): it must be text.",
            "CAMPAIGN_SENDER (.env): 'nobody' is not an e-mail address",
            "CAMPAIGN_LISTEN (the environment): '8000' is not host:port.",
            "CAMPAIGN_SMTP_URL (the environment): it is not like smtp://",
            "Did you mean Europe/Berlin?",
            'Write it like CAMPAIGN_LOG_LEVEL="info".',
        ):
            assert line in text
        assert "CAMPAIGN_CONTACT" not in text, "what follows from a mistake is not another one"

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({".env": b"CAMPAIGN_SENDER=\xff\n"}, ".env is not UTF-8 text"),
            ({"config/ours.toml": b"x = = 1"}, "(config/ours.toml): it is not TOML"),
            ({".env": b"#" * 1_000_001}, ".env is larger than a settings file can be"),
            ({".env": b"CAMPAIGN_SMTP_URL_FILE=nowhere"}, "CAMPAIGN_SMTP_URL_FILE (.env): there is no file"),
            ({".env": b"CAMPAIGN_SMTP_URL_FILE=config", "config/x.toml": b""}, "config cannot be read: Is a directory"),
            ({".env": b"CAMPAIGN_SENDER\n"}, "line 1 (.env): it is not NAME=value"),
            ({".env": b"CAMPAIGN_SENDER_FILE=x\n"}, "CAMPAIGN_SENDER_FILE (.env): there is no such setting"),
            (
                {".env": b"CAMPAIGN_SMTP_URL=smtp://x.example.org\nCAMPAIGN_SMTP_URL_FILE=y\n"},
                "CAMPAIGN_SMTP_URL is set as well. Keep one of the two.",
            ),
        ],
    )
    def test_unreadable_places_are_mistakes_too(self, home: Path, files: dict[str, bytes], words: str) -> None:
        for name, content in files.items():
            (home / name).parent.mkdir(exist_ok=True)
            (home / name).write_bytes(content)
        assert words in mistakes(home)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SMTP_URL", "smtp://user:hunter2hunter2@mail.example.org:port"),
            ("SMTP_URL", "smtp://user:hunter2hunter2@mail.example.org?tls=perhaps"),
            ("SMTP_URL", "smtp://user:hunter2hunter2@mail.example.org/path"),
            ("DATABASE_URL", "mysql://user:hunter2hunter2@localhost/x"),
            ("SECRET_KEY", "hunter2hunter2"),
            ("SECRET_KEY", f"{KEY},hunter2hunter2"),
            ("SEAL_KEY", "hunter2hunter2!"),
            ("SUPPRESSION_KEY", "hunter2hunter2"),
        ],
    )
    def test_what_is_wrong_with_a_secret_never_repeats_it(self, home: Path, name: str, value: str) -> None:
        with pytest.raises(SettingsWrong) as caught:
            load(home, **{name: value})
        assert f"CAMPAIGN_{name} (the environment)" in caught.value.message
        seen: BaseException | None = caught.value
        while seen is not None:
            assert "hunter2" not in f"{seen!r} {seen}"
            seen = seen.__cause__

    def test_missing_ones_are_named_together_with_the_lines_to_add(self, home: Path) -> None:
        settings = load(home, SENDER="letters@example.org")
        with pytest.raises(SettingsMissing) as caught:
            settings.require("sender", "smtp_url", "base_url", "postal_address", "secret_keys")
        error = caught.value
        assert error.message == (
            "Not set: CAMPAIGN_SMTP_URL, CAMPAIGN_BASE_URL, CAMPAIGN_POSTAL_ADDRESS, CAMPAIGN_SECRET_KEY."
        )
        assert 'CAMPAIGN_BASE_URL="https://letters.example.org"' in error.remedy
        assert str(home / ".env") in error.remedy
        assert "campaign init" in error.remedy

    def test_the_lines_it_offers_are_lines_it_accepts(self, home: Path) -> None:
        names = ("sender", "smtp_url", "base_url", "postal_address")
        with pytest.raises(SettingsMissing) as caught:
            load(home).require(*names)
        offered = [line for line in caught.value.remedy.splitlines() if line.startswith("  CAMPAIGN_")]
        load(home, "\n".join(line.strip() for line in offered)).require(*names)


class TestValues:
    def test_keys_are_read_newest_first_with_or_without_padding(self, home: Path) -> None:
        settings = load(home, SECRET_KEY=f"{KEY}, {OLDER.rstrip('=')}", SEAL_KEY=OLDER, SUPPRESSION_KEY=KEY)
        assert settings.secret_keys == (bytes(range(224, 256)), bytes(range(32)))
        assert settings.seal_keys == (bytes(range(32)),)
        assert settings.suppression_key == bytes(range(224, 256))

    def test_the_same_key_twice_is_a_mistake(self, home: Path) -> None:
        assert "the same key stands in it twice" in mistakes(home, SEAL_KEY=f"{KEY},{KEY}")

    @given(st.binary(min_size=32, max_size=32))
    def test_every_key_survives_being_written_down(self, key: bytes) -> None:
        assert reading.read_key(base64.urlsafe_b64encode(key).decode()) == key

    @pytest.mark.parametrize(
        ("text", "name", "address"),
        [
            ("letters@example.org", "", "letters@example.org"),
            ("Example Campaign <letters@example.org>", "Example Campaign", "letters@example.org"),
            ('"Campaign, Example" <letters@Example.org>', "Campaign, Example", "letters@example.org"),
            ('"The \\"Letters\\"" <letters@example.org>', 'The "Letters"', "letters@example.org"),
            ("Ünïcode Näme <letters@example.org>", "Ünïcode Näme", "letters@example.org"),
            ("<letters@example.org>", "", "letters@example.org"),
        ],
    )
    def test_sender_is_a_name_and_an_address(self, home: Path, text: str, name: str, address: str) -> None:
        sender = load(home, SENDER=text).sender
        assert sender is not None
        assert (sender.name, str(sender.address)) == (name, address)
        assert reading.read_mailbox(str(sender)) == sender

    @pytest.mark.parametrize(
        "text",
        [
            "Name <a@example.org>\nBcc: b@example.org",
            "Na\rme <a@example.org>",
            "A <a@example.org>, B <b@example.org>",
            "Name <a@example.org> more",
            "Name a@example.org",
            "Name <>",
            "x" * 201 + " <a@example.org>",
            "N\x00ame <a@example.org>",
        ],
    )
    def test_a_sender_that_could_become_two_headers_is_refused(self, home: Path, text: str) -> None:
        assert "CAMPAIGN_SENDER" in mistakes(home, SENDER=text)

    @given(st.text(max_size=80))
    def test_no_text_becomes_a_sender_with_a_line_break(self, text: str) -> None:
        try:
            sender = reading.read_mailbox(text)
        except ValueError:
            return
        assert isinstance(sender, Mailbox)
        assert sender.name.isprintable()
        assert "\n" not in str(sender)

    def test_contact_and_organisation_follow_the_sender(self, home: Path) -> None:
        settings = load(home, SENDER="Example Campaign <letters@example.org>")
        assert (str(settings.contact), settings.organisation) == ("letters@example.org", "Example Campaign")
        settings = load(home, SENDER="letters@example.org", CONTACT="help@example.org", ORGANISATION="Example")
        assert (str(settings.contact), settings.organisation) == ("help@example.org", "Example")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("sqlite:///campaign.db", "sqlite:///{home}/campaign.db"),
            ("sqlite:////var/lib/campaign.db", "sqlite:////var/lib/campaign.db"),
            ("sqlite:///:memory:", "sqlite:///:memory:"),
            ("sqlite+aiosqlite:///x.db", "sqlite:///{home}/x.db"),
            ("postgres://user@localhost/campaign", "postgresql://user@localhost/campaign"),
            ("postgresql+psycopg://u:p@h:5432/c?sslmode=require", "postgresql://u:p@h:5432/c?sslmode=require"),
            ("postgresql:///campaign?host=/run/postgresql", "postgresql:///campaign?host=/run/postgresql"),
        ],
    )
    def test_database_urls(self, home: Path, text: str, expected: str) -> None:
        assert load(home, DATABASE_URL=text).database_url == expected.format(home=home)

    @pytest.mark.parametrize(
        "text", ["campaign.db", "sqlite://", "mysql://localhost/x", "postgresql://localhost", "postgresql:x"]
    )
    def test_other_databases_are_refused(self, home: Path, text: str) -> None:
        assert "CAMPAIGN_DATABASE_URL" in mistakes(home, DATABASE_URL=text)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("https://letters.example.org/", "https://letters.example.org"),
            ("https://example.org:8443/letters", "https://example.org:8443/letters"),
            ("http://localhost:8000", "http://localhost:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ],
    )
    def test_base_urls(self, home: Path, text: str, expected: str) -> None:
        settings = load(home, BASE_URL=text)
        assert settings.base_url == expected
        assert bool(settings.warnings) == expected.startswith("http://")

    @pytest.mark.parametrize(
        "text",
        ["http://letters.example.org", "letters.example.org", "ftp://x.example.org", "https://", "https://a@example.org",
         "https://example.org/?x=1", "https://example.org/#x", "https://example.org:99999", "https://exa mple.org",
         "https://ex>ample.org", "https://exämple.org"],
    )  # fmt: skip
    def test_base_urls_that_no_letter_may_carry(self, home: Path, text: str) -> None:
        assert "CAMPAIGN_BASE_URL" in mistakes(home, BASE_URL=text)

    def test_a_relay_in_the_open_works_with_a_warning_unless_it_is_this_machine(self, home: Path) -> None:
        assert load(home, SMTP_URL="smtp://127.0.0.1:2525?tls=none").warnings == ()
        assert "in the open" in load(home, SMTP_URL="smtp://u:p@mail.example.org?tls=none").warnings[0]

    @pytest.mark.parametrize(
        "text", ["127.0.0.1", ":8000", "127.0.0.1:0", "127.0.0.1:x", "a:b:c", "user@host:1", "host:1/path"]
    )
    def test_where_nobody_can_listen(self, home: Path, text: str) -> None:
        assert "CAMPAIGN_LISTEN" in mistakes(home, LISTEN=text)

    @pytest.mark.parametrize(
        ("text", "server"),
        [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ],
    )
    def test_a_nameserver_is_an_address(self, home: Path, text: str, server: str) -> None:
        assert str(load(home, DNS=text).dns) == server

    @pytest.mark.parametrize("text", ["dns.example.org", "dns.example.org:53", "192.0.2.53:x", "192.0.2.53:0", "[::1"])
    def test_what_is_no_nameserver(self, home: Path, text: str) -> None:
        assert "CAMPAIGN_DNS (the environment)" in mistakes(home, DNS=text)

    def test_ipv6_can_be_listened_on(self, home: Path) -> None:
        listen = load(home, LISTEN="[::1]:8000").listen
        assert (listen.host, listen.port, str(listen)) == ("::1", 8000, "[::1]:8000")

    @pytest.mark.parametrize(
        ("text", "expected"), [("EN", "en"), ("pt_br", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")]
    )
    def test_languages_are_tidied(self, home: Path, text: str, expected: str) -> None:
        assert load(home, LANGUAGE=text).language == expected

    def test_alerts_go_to_one_or_more_addresses(self, home: Path) -> None:
        found = load(home, "CAMPAIGN_ALERTS=office@example.org, post@example.net,office@example.org,\n")
        assert [str(one) for one in found.alerts] == ["office@example.org", "post@example.net"]
        assert found.shown()["CAMPAIGN_ALERTS"] == "office@example.org, post@example.net"
        assert Settings(home=home).alerts == ()
        assert Settings(home=home, alerts=found.alerts).alerts == found.alerts
        with pytest.raises(SettingsWrong, match="CAMPAIGN_ALERTS"):
            load(home, "CAMPAIGN_ALERTS=office\n")

    def test_a_postal_address_may_have_lines_but_no_control_characters(self, home: Path) -> None:
        assert load(home, 'CAMPAIGN_POSTAL_ADDRESS="Street 1\\nTown"\n').postal_address == "Street 1\nTown"
        assert "control character" in mistakes(home, POSTAL_ADDRESS="Street\x1b[1m")
        assert "longer than" in mistakes(home, POSTAL_ADDRESS="x" * 5000)

    @pytest.mark.parametrize("value", ["0", "201", "ten", "1.5", "-1"])
    def test_numbers_have_limits(self, home: Path, value: str) -> None:
        assert "CAMPAIGN_CONNECTIONS" in mistakes(home, CONNECTIONS=value)


class TestSecrecy:
    def test_nothing_that_shows_settings_shows_a_secret(self, home: Path) -> None:
        settings = load(
            home,
            SECRET_KEY=f"{KEY},{OLDER}",
            SUPPRESSION_KEY=KEY,
            SEAL_KEY=KEY,
            SMTP_URL="smtp://user:hunter2@x@mail.example.org:587",
            DATABASE_URL="postgresql://user:hunter2@localhost/campaign",
        )
        for text in (repr(settings), str(settings), f"{settings}", str(settings.shown())):
            for secret in (KEY, OLDER, "hunter2", "\\xe0", "user"):
                assert secret not in text
        assert settings.shown()["CAMPAIGN_SECRET_KEY"] == "<2 keys>"
        assert settings.shown()["CAMPAIGN_SEAL_KEY"] == "<1 key>"
        assert settings.shown()["CAMPAIGN_SENDER"] == "<not set>"

    def test_settings_do_not_change(self, home: Path) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load(home).language = "fr"  # type: ignore[misc]  # that nobody should write this is the point
