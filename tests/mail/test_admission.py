"""What is looked at once need not be looked at again: pieces that fit make letters that fit, however they are joined."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from campaign.domain.addresses import Address
from campaign.mail.admission import Vetted, fits_anywhere, misfit
from campaign.mail.assembly import Hole, Plan
from campaign.mail.transport import Envelope

TO = Envelope("", Address("reader-07", "example.org"))
SCRAPS = [b"\r\n", b"\r", b"\n", b".", b"\0", b"a", b"\xff", b"=\r\n", b"a" * 331, b"a" * 332, b"a" * 333]
PIECES = st.lists(st.sampled_from(SCRAPS), max_size=8).map(b"".join)
FITTING = (
    st.lists(st.sampled_from([b"\r\n", b"a", b"=\r\n", b"a" * 330]), max_size=6).map(b"".join).filter(fits_anywhere)
)


@given(PIECES)
def test_a_piece_that_fits_is_whole_lines_without_a_fault(piece: bytes) -> None:
    lines = piece.split(b"\r\n")
    whole = b"".join(lines)
    clean = whole.isascii() and not any(octet in whole for octet in (b"\r", b"\n", b"\0"))
    short = all(len(line) <= 332 and not line.startswith(b".") for line in lines)
    assert fits_anywhere(piece) == (clean and short)


def test_every_octet_of_ascii_but_three_may_stand_within_a_line() -> None:
    assert {octet for octet in range(256) if not fits_anywhere(b"a%ca" % octet)} == {*b"\0\r\n", *range(128, 256)}


def test_a_large_piece_is_looked_at_once_from_front_to_back() -> None:
    for line in (b"\r\n", b"a\r\n", b"a" * 332 + b"\r\n"):
        lines = line * (1_000_000 // len(line))
        assert fits_anywhere(lines)
        assert not fits_anywhere(lines + b"\0")


@given(st.lists(FITTING | PIECES, min_size=1, max_size=6), st.data())
@example([b"a", b"b", b"c", b"d\r\n"], None)
@example([b"no line end"], None)
@example([b"once\r\n"], None)
def test_a_letter_that_is_vetted_has_no_fault_and_each_value_stands_in_its_place(
    segments: list[bytes], data: st.DataObject | None
) -> None:
    names = [f"{at % 2}" if data is None else data.draw(st.sampled_from("abc")) for at in range(len(segments) - 1)]
    plan = Plan(tuple(segments), tuple(Hole("text", name) for name in names), "")
    values = {hole.name: b"v" * 332 if data is None else data.draw(FITTING | PIECES) for hole in plan.different}
    letter = plan.joined([values[hole.name] for hole in plan.different])
    filled = [values[name] for name in names]
    assert letter == segments[0] + b"".join(a + b for a, b in zip(filled, segments[1:], strict=True))
    if isinstance(letter, Vetted):
        assert not letter.startswith(b".")
        assert b"\r\n." not in letter
        assert letter.isascii()
        assert misfit(TO, bytes(letter)) is None
