"""A program beside the event loop in which letters are signed, a few at a time. It never makes or sends a letter.

An RSA signature takes longer than all else that is done for a letter. Threads of this process could make them, but each
would wait for Python's lock after each signature: so what is to be signed goes to another process, and the next letters
are signed on other processors while the loop talks to the relay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from campaign.beside.program import Program
from campaign.logs import get_log
from campaign.mail.dkim import Draft, Octets, Signer

_log = get_log()
_PROGRAM: Final = "campaign.mail.signatures"
_PATIENCE: Final = 15.0
"""Seconds until a program that does not answer is given up. All that is ever asked of it takes one or two; and it is
within the grace of a shutdown."""


class Signing:
    """One worker's signing program; it starts when there is something to sign."""

    def __init__(self, signer: Signer) -> None:
        """Sign as `signer` does, with its keys."""
        self._signer = signer
        self.program: Final = Program(_PROGRAM, lambda: [one.key.pem for one in signer.keys])
        self._tasks: set[asyncio.Task[None]] = set()

    def pile(self, drafts: Sequence[Draft]) -> list[asyncio.Future[Octets | None]]:
        """Begin to sign some letters in one go, and promise each what goes into it; None where that failed."""
        loop = asyncio.get_running_loop()
        promises: list[asyncio.Future[Octets | None]] = [loop.create_future() for _ in drafts]
        if not promises:
            return promises
        task = loop.create_task(self._keep(drafts, promises))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return promises

    async def _keep(self, drafts: Sequence[Draft], promises: Sequence[asyncio.Future[Octets | None]]) -> None:
        signed: Sequence[Octets | None] = [None] * len(drafts)
        try:
            signed = await self._octets(drafts)
        except Exception as error:  # noqa: BLE001 -- the letters are in hand all the same, and each is signed in its turn
            _log.warning("signing_failed", error=str(error))
        finally:
            for promise, octets in zip(promises, signed, strict=True):
                if not promise.done():  # whoever waited for it may have been cancelled
                    promise.set_result(octets)

    async def _octets(self, drafts: Sequence[Draft]) -> list[Octets]:
        """Have the program sign; where it does not start, a thread."""
        if (line := await self.program.line()) is None:
            return await asyncio.to_thread(lambda: [self._signer.octets(draft) for draft in drafts])
        answer: list[Octets] | Exception = await line.heard(line.ask([draft.signed for draft in drafts]), _PATIENCE)
        if isinstance(answer, Exception):
            raise answer
        return answer
