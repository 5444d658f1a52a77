"""Letters in hand go out in turn by domain: whoever is slow holds the connections that are left over, not the others'."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from campaign.actions.backlog import Backlog
from campaign.domain.delivery import Kind
from campaign.store.claims import Claimed

LATER = datetime(2027, 6, 1, tzinfo=UTC)


def letter(number: int, domain: str) -> Claimed:
    nothing = dict.fromkeys(Claimed._fields)
    return Claimed(**{**nothing, "id": number, "kind": Kind.EDITION, "domain": domain, "valid_until": LATER})  # type: ignore[arg-type]  # most of a letter does not matter here


def test_each_domain_gets_its_turn_however_many_letters_another_has() -> None:
    backlog = Backlog()
    backlog.put([letter(n, "large.example.org") for n in range(90)])
    backlog.put([letter(100 + n, f"small{n}.example.org") for n in range(9)])
    first = [backlog.take() for _ in range(10)]
    assert Counter(one.domain for one in first if one).most_common(1)[0][1] == 1, "ten domains, ten letters"


def test_a_domain_that_does_not_answer_holds_its_share_while_others_have_letters() -> None:
    backlog = Backlog()
    domains = ["dead.example.org", *(f"mail{n}.example.org" for n in range(4))]
    backlog.put([letter(n, domains[n % 5]) for n in range(500)])
    flying: list[Claimed] = []
    taken: Counter[str] = Counter()
    most = 0
    while backlog.domains > 1:
        while len(flying) < 10 and (one := backlog.take()) is not None:
            flying.append(one)
            taken[one.domain] += 1
        most = max(most, taken["dead.example.org"]) if backlog.domains > 1 else most
        done = next(one for one in flying if one.domain != "dead.example.org")
        flying.remove(done)
        backlog.landed(done)
    assert most == 2, "ten connections, five domains"
    assert all(taken[domain] == 100 for domain in domains[1:])


def test_when_others_are_done_a_slow_domain_may_have_all_connections() -> None:
    backlog = Backlog()
    backlog.put([letter(n, "slow.example.org") for n in range(20)])
    assert len([backlog.take() for _ in range(20)]) == 20
    assert backlog.take() is None
    assert backlog.aloft == 20


def test_letters_to_others_are_in_hand_while_they_wait_and_while_they_fly() -> None:
    backlog = Backlog()
    backlog.put([letter(1, "dead.example.org"), letter(2, "dead.example.org")])
    dead = backlog.take()
    assert dead
    assert not backlog.has_others("dead.example.org")
    assert backlog.has_others("mail.example.org")
    backlog.put([letter(3, "mail.example.org")])
    assert backlog.has_others("dead.example.org"), "it waits"
    other = backlog.take()
    assert other
    assert other.domain == "mail.example.org"
    assert backlog.has_others("dead.example.org"), "it flies"
    backlog.landed(other)
    assert not backlog.has_others("dead.example.org")


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=300))
def test_every_letter_comes_out_once_whatever_lands_when(story: list[tuple[int, bool]]) -> None:
    backlog, out, flying = Backlog(), [], []
    for number, (domain, lands) in enumerate(story):
        backlog.put([letter(number, f"mail{domain}.example.org")])
        if lands and flying:
            backlog.landed(flying.pop())
        if number % 2 and (one := backlog.take()) is not None:
            flying.append(one)
            out.append(one.id)
    while (one := backlog.take()) is not None:
        flying.append(one)
        out.append(one.id)
    assert sorted(out) == list(range(len(story)))
    assert backlog.aloft == len(flying)
    for one in flying:
        backlog.landed(one)
    assert (backlog.aloft, len(backlog), backlog.domains) == (0, 0, 0)


def test_what_is_let_go_has_no_turn_and_a_domain_that_may_take_none_keeps_its_own() -> None:
    backlog = Backlog()
    backlog.put([letter(n, f"mail{n % 3}.example.org") for n in range(9)])
    first = backlog.take(lambda domain: domain == "mail1.example.org")
    assert first is not None
    assert [one.id for one in backlog.leave("mail1.example.org")] == [4, 7]
    assert backlog.leave("mail1.example.org") == []
    backlog.landed(first)
    backlog.put([letter(10, "mail1.example.org")])
    assert backlog.take(lambda _: False) is None
    taken = [backlog.take() for _ in range(7)]
    assert [one.id for one in taken if one] == [0, 2, 10, 3, 5, 6, 8]
    assert (backlog.take(), len(backlog), backlog.aloft) == (None, 0, 7)


async def test_who_waits_is_woken_by_a_letter_and_by_the_end() -> None:
    backlog = Backlog()
    waiting = [asyncio.create_task(backlog.arrival()) for _ in range(3)]
    await asyncio.sleep(0)
    backlog.put([letter(1, "example.org")])
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True, False, False]
    backlog.close()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    await asyncio.wait_for(backlog.arrival(), 1)


async def test_a_letter_that_is_given_back_is_the_next_to_its_domain_and_wakes_somebody() -> None:
    backlog = Backlog()
    backlog.put([letter(n, "example.org") for n in range(3)])
    first = backlog.take()
    assert first is not None
    waiting = asyncio.create_task(backlog.arrival())
    await asyncio.sleep(0)
    backlog.give_back(first)
    backlog.landed(first)
    await asyncio.wait_for(waiting, 1)
    assert (len(backlog), backlog.aloft) == (3, 0)
    assert [one.id for one in (backlog.take(), backlog.take(), backlog.take()) if one] == [0, 1, 2]
