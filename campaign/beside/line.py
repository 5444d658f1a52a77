"""The far end of the line: a program of our own that answers what it is asked, one question after the other.

Both ends run the same code and trust each other, so questions and answers are pickled. It imports nothing else of
ours, and no event loop, so that such a program is small.
"""

from __future__ import annotations

import pickle
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Final

LENGTH: Final = struct.Struct("!I")
"""What stands before each frame on the line: how long it is, in bytes."""


def framed(what: Any) -> bytes:
    """Return something as it goes over the line."""
    words = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(words)) + words


def serve(opened: Callable[[Any], Callable[[Any], Any]]) -> None:
    """Answer on the socket whose number is the program's first argument, until it ends, and with it the program.

    The first question says how to begin: `opened` is given it, and returns what answers all others. What that raises
    is an answer too.
    """
    for one in (signal.SIGINT, signal.SIGTERM):  # whoever started this program says when it ends, by hanging up
        signal.signal(one, signal.SIG_IGN)
    line = socket.socket(fileno=int(sys.argv[1]))
    with suppress(BrokenPipeError, ConnectionResetError), line.makefile("rb") as stream:  # whoever asked hung up
        questions = _frames(stream)
        try:
            answered = opened(next(questions))
        except StopIteration:
            return
        line.sendall(framed(None))
        for question in questions:
            answer: Any
            try:
                answer = answered(question)
            except Exception as error:  # noqa: BLE001 -- whoever asked will raise it
                answer = error.with_traceback(None)
            line.sendall(framed(answer))


def _frames(stream: BinaryIO) -> Iterator[Any]:
    """Yield what comes down the line, until it ends."""
    while len(length := stream.read(LENGTH.size)) == LENGTH.size:
        yield pickle.loads(stream.read(*LENGTH.unpack(length)))  # noqa: S301 -- the parent's own words
