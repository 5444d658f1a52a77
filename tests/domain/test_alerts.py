"""What operators are told: under which topic, and never in words that a mail program would act upon."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.cli.main import PLACES
from campaign.domain.alerts import Trouble, about_domain, about_edition, about_relay, edition_in, quoted

ALERTS = [
    *(about_relay(one, "main", "") for one in (Trouble.SIGN_IN, Trouble.SENDER_REFUSED, Trouble.RELAY_DOWN)),
    about_domain("main", "example.net", ""),
    *(
        about_edition(one, 7, "news/extra/1", "")
        for one in (Trouble.EDITION_STOPPED, Trouble.EDITION_MISSED, Trouble.EDITION_WAITS)
    ),
]


def test_each_trouble_has_a_topic_of_its_own_and_commands_that_exist() -> None:
    assert {alert.trouble for alert in ALERTS} == set(Trouble)
    assert {alert.topic for alert in ALERTS} == {
        "relay:main:sign_in",
        "relay:main:sender_refused",
        "relay:main:down",
        "domain:main:example.net:policy",
        "edition:7:breaker",
        "edition:7:missed",
        "edition:7:waits",
    }
    for alert in ALERTS:
        assert alert.commands
        for command in alert.commands:
            assert command.split()[0] == "campaign"
            assert command.split()[1] in PLACES


def test_a_topic_says_which_edition_it_is_about() -> None:
    assert [edition_in(alert.topic) for alert in ALERTS] == [None] * 4 + [7] * 3


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("550 5.7.1 no", "550 5.7.1 no"),
        ("see https://support.example.org/a?b=1", "see https[:]//support[.]example[.]org/a?b=1"),
        ("go to www.example.org", "go to www[.]example[.]org"),
        ("two\r\nlines\tand\x00\x1b[31m more", "two lines and [31m more"),
        ("turned \u202eround\u2066", "turned round"),
        ("To: Reader 07 <reader-07>, READER-07!", "To: … <…>, …!"),
        ("readers-07 is another", "readers-07 is another"),
    ],
)
def test_foreign_words_are_one_line_without_links_and_names(said: str, shown: str) -> None:
    assert quoted(said, ["reader-07", "Reader 07", " "]) == shown


def test_foreign_words_are_short() -> None:
    assert quoted("x" * 301) == "x" * 300 + "…"
    assert quoted("x" * 300) == "x" * 300


@given(st.text(max_size=400) | st.from_regex(r"(https?://)?[a-z.]{1,40}(\.[a-z]{2,3}){1,3}/?[ a-z]*"))
def test_whatever_they_say_no_mail_program_makes_a_link_of_it(said: str) -> None:
    shown = quoted(said)
    assert "://" not in shown
    assert not re.search(r"\w\.[^\W\d_]", shown)
    assert "".join(shown.split(" ")).isprintable()
    assert quoted(shown).count("\n") == 0
