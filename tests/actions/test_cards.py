"""Cards of address books become records: each version, and what is wrong with one costs that one only."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from campaign.actions.cards import HEADER, Cards
from campaign.domain.sheets import Record

OLD = """BEGIN:VCARD
VERSION:2.1
N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Gr=C3=B6=C3=9Fe;Zo=C3=AB
EMAIL;INTERNET:work@example.org
EMAIL;PREF;INTERNET:reader-01@example.org
PHOTO;ENCODING=BASE64;TYPE=JPEG:
 R0lGODlhAQABAIAAAAUEBA==

END:VCARD
"""
THIRD = """BEGIN:VCARD
VERSION:3.0
FN:A long name
  that goes on
N:Name;A;;;
EMAIL;TYPE=INTERNET,pref:reader-02@example.org
EMAIL:other@example.org
ADR;TYPE=HOME:;;1 Example Street;Town;;;KE
item1.X-ABLABEL:whatever
END:VCARD
"""
NEW = """begin:vcard\r
VERSION:4.0\r
FN:Reader\\, the third\r
EMAIL:other@example.org\r
EMAIL;PREF=1:reader-03@example.org\r
ADR:;;;;;;Kenya\r
LANG:pt-BR\r
TZ:Africa/Nairobi\r
end:vcard\r
"""


def read(text: str) -> list[Record]:
    header, *rest = Cards(io.StringIO(text, newline="").readline)
    assert header.cells == HEADER
    return rest


def test_each_version_is_read_with_its_preferred_mailbox() -> None:
    assert [tuple(one) for one in read(OLD + THIRD + NEW)] == [
        (1, ["reader-01@example.org", "Zoë Größe", "", "", ""], ""),
        (10, ["reader-02@example.org", "A long name that goes on", "KE", "", ""], ""),
        (20, ["reader-03@example.org", "Reader, the third", "", "pt-BR", "Africa/Nairobi"], ""),
    ]


def test_what_is_wrong_with_a_card_costs_that_card_and_says_where() -> None:
    half = "BEGIN:VCARD\nVERSION:3.0\nEMAIL:half@example.org\n"
    nobody = "BEGIN:VCARD\nVERSION:3.0\nFN:Nobody\nN:;;;;\nEND:VCARD\n"
    garbled = "BEGIN:VCARD\nVERSION:3.0\nEMAIL garbled@example.org\nEND:VCARD\n"
    huge = "BEGIN:VCARD\nVERSION:3.0\n" + "NOTE:x\n" * 200_000 + "END:VCARD\n"
    found = read(half + nobody + garbled + "hello\n" + THIRD + huge + half)
    assert [(one.line, one.cells[0], one.trouble[:28]) for one in found if one.trouble] == [
        (1, "half@example.org", "This card does not end: a li"),
        (4, "", "This card has no e-mail addr"),
        (9, "", "This card cannot be read: At"),
        (13, "hello", "This stands outside of a car"),
        (24, "", "This card has more than 1,00"),
        (200_027, "half@example.org", "This card does not end: a li"),
    ]
    assert [one.cells[0] for one in found if not one.trouble] == ["reader-02@example.org"]


@given(st.text(alphabet=st.sampled_from('BEGINDVCAR:;=\n\r \tEMAILx@.-\\"0'), max_size=300))
def test_no_text_is_too_odd(text: str) -> None:
    for one in read(f"{THIRD}BEGIN:VCARD\n{text}\nEND:VCARD\n{NEW}"):
        assert one.line >= 1
        assert len(one.cells) <= len(HEADER)
