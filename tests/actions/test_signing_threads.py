"""The threads that sign: in order, beside the loop, and nobody is left waiting."""

from __future__ import annotations

import asyncio
import threading

import pytest

from campaign.actions.signing import Signing


async def test_letters_are_signed_in_their_order_beside_the_loop() -> None:
    going, loop = asyncio.Event(), asyncio.get_running_loop()

    def slowly(letter: int) -> int:
        if letter == 13:
            raise ValueError(letter)
        asyncio.run_coroutine_threadsafe(going.wait(), loop).result(10)  # the loop is free meanwhile
        return letter * 10

    signing = Signing(slowly)
    first, second, third = signing.pile([1, 13, 3])
    assert signing.pile([]) == []
    second.cancel()  # whoever waited for it has gone
    assert not first.done()
    going.set()
    assert [await first, await third] == [10, 30]
    assert await signing.pile([13])[0] is None
    with pytest.raises(ValueError, match="13"):
        await signing.one(13)


async def test_where_no_thread_can_be_started_every_letter_is_promised_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    promises = Signing(str).pile(["one", "two"])
    assert await asyncio.wait_for(asyncio.gather(*promises), 5) == [None, None]
