"""Writes files for the people who run an installation: for their eyes only, and whole or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from campaign.domain.addresses import printable
from campaign.domain.errors import BadInput

_ASIDE: Final = ".part"
_PATH_MAX: Final = 1_000


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Open a file beside `path` that takes its place at the end of the block: it is there whole, or as it was.

    Where the block fails, nothing stays behind. Raises BadInput for what is no file, cannot be written, or is being
    written by another export.
    """
    place = _place(path)  # beside the file itself: a link to it stays a link
    aside = place.with_name(f"{place.name}{_ASIDE}")
    with _begun(aside) as file:
        try:
            yield file
            _put(file, aside, place)
        except BaseException:
            if _is_at(file, aside):
                aside.unlink(missing_ok=True)
            raise


@contextmanager
def _begun(aside: Path) -> Iterator[TextIO]:
    """Begin the file beside, and hold it: whoever else would write it meanwhile is refused."""
    with ExitStack() as held:
        held.enter_context(_left_behind(aside))
        file = held.enter_context(_stream(_opened(aside, os.O_EXCL | os.O_NOFOLLOW)))
        _hold(file.fileno(), aside)
        yield file


@contextmanager
def _left_behind(aside: Path) -> Iterator[None]:
    """Take away what an export that was killed left there, or a link that somebody laid; hold it for the block."""
    try:
        handle = os.open(aside, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # nothing, or a link
        handle = None
    try:
        if handle is not None:
            _hold(handle, aside)
        with suppress(OSError):  # a folder: it is told in a moment
            aside.unlink()
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _hold(handle: int, aside: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _taken(aside) from None
    except OSError:  # a file system that knows no locks
        return


def _put(file: TextIO, aside: Path, place: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    if not _is_at(file, aside):
        raise _taken(aside)
    aside.replace(place)


def _is_at(file: TextIO, path: Path) -> bool:
    """Say whether an open file is the one of that name: where nothing is locked another export may begin it anew."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _taken(aside: Path) -> BadInput:
    msg = f"Another export is writing {_shown(aside)}, or somebody made or moved what lies beside it as {_ASIDE}."
    return BadInput(msg, remedy="Wait until it has ended, or name another file.")


def private_file(path: Path) -> TextIO:
    """Open a file for writing that nobody else can read from its first byte on, one that is there included.

    Raises BadInput for what is no file, or cannot be written.
    """
    handle = _opened(_place(path))
    os.fchmod(handle, 0o600)
    os.ftruncate(handle, 0)
    return _stream(handle)


def _opened(place: Path, how: int = 0) -> int:
    try:
        return os.open(place, os.O_WRONLY | os.O_CREAT | how, 0o600)
    except FileExistsError:  # begun by another at this very moment, or a folder
        raise _taken(place) from None
    except OSError as error:
        msg = f"{_shown(place)} cannot be written: {error.strerror}."
        raise BadInput(msg, remedy="Name a file in a folder that is there and that you may write to.") from error


def _stream(handle: int) -> TextIO:
    return open(handle, "w", encoding="utf-8", newline="")  # the caller closes it


def _shown(path: Path) -> str:
    return printable(str(path).removesuffix(_ASIDE), limit=_PATH_MAX)


def _place(path: Path) -> Path:
    """Return where a file really lies; raise BadInput for what must not be replaced, such as /dev/null or a folder."""
    try:
        place = path.resolve()
        if place.name and (place.is_file() or not place.exists()):
            return place
    except (OSError, ValueError, RuntimeError):
        pass  # a name that is too long, a zero in it, links in a circle
    msg = f"{printable(str(path), limit=_PATH_MAX)} is not a file that can be written."
    raise BadInput(msg, remedy="Name a file, as in letters.csv.")
