"""Templates in, words out: asks a caged child to render, and kills it when it does not answer. It never renders itself.

Time and memory cannot be capped inside a process (`9**9999999` is worked out while a template compiles), so the
templates of organisers are compiled and rendered in `campaign.mail.renderer.sandbox`, under limits of the kernel.
"""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import campaign
from campaign.domain.errors import CampaignError
from campaign.mail.renderer.sources import Fault, TemplateRefused, TemplateSources, read_template

__all__ = [
    "Fault",
    "Job",
    "Limits",
    "Note",
    "Rendered",
    "Renderer",
    "RendererBroken",
    "TemplateRefused",
    "TemplateSources",
]

_LENGTH: Final = struct.Struct(">I")
_LARGEST_ANSWER: Final = 32 * 1024 * 1024
_START_SECONDS: Final = 30.0
_REST_SECONDS: Final = 10.0
"""How long the child, which takes 34 MB, is kept for another letter; to start one takes a third of a second."""
_SIMPLER: Final = "Look for a loop inside a loop, very large numbers or repeated text, and make it simpler."


class RendererBroken(CampaignError):
    """The process that renders letters does not start."""

    code = "renderer_broken"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one letter may cost: CPU seconds, wall seconds, bytes of address space, characters of each finished part."""

    cpu_seconds: int = 2
    wall_seconds: float = 20.0
    memory: int = 256 * 1024 * 1024
    output: int = 512 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """One letter to render: its sources, what is known about it, and either the personal values or only their names.

    With `values` None the personal fields become slots, each marked by its name between U+0002 and U+0003.
    """

    sources: TemplateSources
    context: Mapping[str, Any]
    slots: tuple[str, ...] = ()
    values: Mapping[str, str] | None = None
    text_only: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Where and how a template uses a personal field so that each letter must be rendered by itself."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        """Give one line for people."""
        return f"{self.file}:{self.line}: {self.why}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished letter, or (with `notes`) the reasons why its personal fields cannot be slots."""

    subject: str = ""
    text: str = ""
    html: str = ""
    html_slots: tuple[str, ...] = ()
    """For each slot of `html` in order, where it stands: `html` (running text) or `attribute`."""
    notes: tuple[Note, ...] = field(default=())


class Renderer:
    """One warm child process that renders letters, replaced whenever it dies or takes too long, let go when it rests.

    Jobs are answered in the order in which they came. Close it with `aclose`, or use it as a context manager.
    """

    def __init__(self, folders: Sequence[Path], limits: Limits | None = None, rest: float = _REST_SECONDS) -> None:
        """Take the folders that hold `email/<template>/`: `$home/templates` first, the shipped one last.

        After `rest` seconds without a letter the child ends; another starts with the next letter.
        """
        self._folders = tuple(folders)
        self._limits, self._rest = limits or Limits(), rest
        self._resting: asyncio.Task[None] | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._ending: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Start nothing yet: the child starts with the first job."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Stop the child."""
        await self.aclose()

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that templates are looked for in, the most particular first."""
        return self._folders

    def sources(self, template: str) -> TemplateSources:
        """Read the files of one template from the folders; raise NotFound or TemplateRefused."""
        return read_template(self._folders, template)

    async def render(self, job: Job) -> Rendered | Fault:
        """Render one letter. A mistake in a template comes back as a Fault, however it shows itself."""
        request = _request(job)
        async with self._turn:
            self._stir()
            try:
                answer = await self._ask(request)
            except BaseException:
                await self.aclose()
                raise
            self._resting = asyncio.create_task(self._let_go())
        if isinstance(answer, Fault):
            return job.sources.located(answer)
        return _rendered(answer, job.sources)

    async def aclose(self) -> None:
        """Kill the child, if there is one, and wait until it is gone."""
        self._stir()
        child, self._child = self._child, None
        if child is not None:
            self._ending = child
            if child.returncode is None:
                child.kill()
            if child.stdin is not None:
                child.stdin.close()
        if self._ending is not None:  # it may be another who kills it just now
            await self._ending.wait()

    def _stir(self) -> None:
        """Keep the child, if it was to be let go."""
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.cancel()

    async def _let_go(self) -> None:
        await asyncio.sleep(self._rest)
        async with self._turn:
            self._resting = None
            await self.aclose()

    async def _ask(self, request: bytes) -> dict[str, Any] | Fault:
        """Send one request and wait for its answer; a child that died while it was idle is replaced first."""
        child = await self._living_child()
        at = ""
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                _writer(child).write(_LENGTH.pack(len(request)) + request)
                await _writer(child).drain()
                while "at" in (answer := await _read_frame(child)):
                    at = answer["at"]
        except TimeoutError:
            await self.aclose()
            return Fault(at, None, f"took longer than {self._limits.wall_seconds:g} seconds", _SIMPLER)
        except (EOFError, ConnectionError):
            return Fault(at, None, await self._cause_of_death(child), _SIMPLER)
        if "fault" in answer:
            if answer["spent"]:
                await self.aclose()
            return Fault(**answer["fault"])
        return answer

    async def _cause_of_death(self, child: asyncio.subprocess.Process) -> str:
        """Say why the child is gone, and forget it."""
        self._child = None
        _writer(child).close()
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                code = await child.wait()
        except TimeoutError:  # it hung up, and lives
            child.kill()
            code = await child.wait()
        if code == -signal.SIGXCPU:
            return f"used more than {self._limits.cpu_seconds} seconds of computing time"
        end = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"brought the rendering process down ({end}), probably by using too much memory"

    async def _living_child(self) -> asyncio.subprocess.Process:
        if self._child is not None and self._child.returncode is None and not _reader(self._child).at_eof():
            return self._child
        await self.aclose()
        limits = json.dumps({key: value for key, value in asdict(self._limits).items() if key != "wall_seconds"})
        command = [sys.executable, "-s", "-P", "-m", "campaign.mail.renderer.sandbox", limits]
        self._child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_bare_environment(),
            cwd="/",
            close_fds=True,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _read_frame(self._child)
        except (TimeoutError, EOFError, ConnectionError) as error:
            await self.aclose()
            remedy = f"Run `{sys.executable} -m campaign.mail.renderer.sandbox '{limits}'` to see why."
            raise RendererBroken(remedy=remedy) from error
        return self._child


def _bare_environment() -> dict[str, str]:
    """The child gets no environment but the place of this package: no secret can be read where none is."""
    return {
        "PYTHONPATH": str(Path(campaign.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }


def _request(job: Job) -> bytes:
    return json.dumps(
        {
            "template": job.sources.template,
            "sources": dict(job.sources.texts),
            "context": job.context,
            "slots": list(job.slots),
            "values": None if job.values is None else dict(job.values),
            "text_only": job.text_only,
        }
    ).encode()


def _rendered(answer: Mapping[str, Any], sources: TemplateSources) -> Rendered:
    if "notes" in answer:
        return Rendered(notes=tuple(Note(sources.path_of(n["file"]), n["line"], n["why"]) for n in answer["notes"]))
    return Rendered(answer["subject"], answer["text"], answer["html"], tuple(answer["html_slots"]))


async def _read_frame(child: asyncio.subprocess.Process) -> dict[str, Any]:
    """Read one answer; raise EOFError when the child is gone or talks nonsense."""
    reader = _reader(child)
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > _LARGEST_ANSWER:
            raise EOFError
        answer: dict[str, Any] = json.loads(await reader.readexactly(length))
    except ValueError as error:
        raise EOFError from error
    return answer


def _reader(child: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if child.stdout is None:
        raise RendererBroken
    return child.stdout


def _writer(child: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    if child.stdin is None:
        raise RendererBroken
    return child.stdin
