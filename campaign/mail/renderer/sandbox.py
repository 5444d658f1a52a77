"""The caged child process: reads jobs from a pipe, renders them under limits, answers. It never sees a secret.

Run by `Renderer` as `python -m campaign.mail.renderer.sandbox LIMITS`; frames are four bytes of length and JSON.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import struct
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, BinaryIO, Final

import css_inline
from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from campaign.domain.headers import clean_body_text
from campaign.mail.renderer.environment import Empty, LetterEnvironment, Slot, SlotUsed
from campaign.mail.renderer.inspection import Objectionable, inspect_html, inspect_sheets
from campaign.mail.renderer.personal import Use, personal_uses
from campaign.mail.renderer.sources import Fault

_LENGTH: Final = struct.Struct(">I")
_KEPT_ENVIRONMENTS: Final = 8
_LONGEST_SUBJECT: Final = 998
_STRAY: Final = re.compile(r"\x02(?![a-z_]+\.[a-z_]+\x03)|(?<![a-z_])\x03")
_MANY_LINES: Final = re.compile(r"\n{3,}")
_LINE_ENDS: Final = re.compile(r"[ \t]+$", re.MULTILINE)
_EXHAUSTED: Final = (MemoryError, RecursionError)

_INLINER: Final = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False, minify_css=True)
"""Inlines every style sheet but those marked `data-css-inline="keep"` (dark mode, narrow screens)."""


class Refused(Exception):
    """What was rendered cannot go into a letter: the message says why, the second argument what to do."""


class Press:
    """Renders jobs one after the other, keeping the environments of the last few templates warm."""

    def __init__(self, largest: int, answers: BinaryIO) -> None:
        """Take the largest size of a part in characters, and where to tell which file is being worked on."""
        self._largest = largest
        self._answers = answers
        self._warm: OrderedDict[int, LetterEnvironment] = OrderedDict()
        self._at = ""

    def answer(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Render one job; every mistake becomes a fault that names file and line."""
        try:
            return self._render(job)
        except SlotUsed as used:
            return {"notes": [asdict(Use(self._at, _line(used, job["sources"])[1] or 0, str(used)))]}
        except Exception as error:  # noqa: BLE001 -- whatever a template provokes must come back as an answer
            spent = isinstance(error, _EXHAUSTED)
            return {"fault": asdict(_fault(error, self._at, job)), "spent": spent}

    def _render(self, job: Mapping[str, Any]) -> dict[str, Any]:
        template, as_slots = job["template"], job["values"] is None
        environment = self._environment(job["sources"])
        roots = [f"{template}/subject.txt.j2", f"{template}/body.txt.j2"]
        roots += [] if job["text_only"] else [f"{template}/body.html.j2"]
        if as_slots:
            uses = personal_uses(environment, job["sources"], roots, self._tell)
            if uses:
                return {"notes": [asdict(use) for use in uses]}
        context = _scrubbed(job["context"]) | _personal(job)
        subject, text, html = [*(self._part(environment, name, context) for name in roots), ""][:3]
        self._tell(roots[-1])
        inspect_sheets(html)
        html = _whole(_INLINER.inline(html)) if html else ""
        text = _whole(_tidy(text))
        subject = " ".join(_whole(subject).split())
        self._cap(html)
        if not subject:
            raise Refused(
                "the subject is empty", "Write something into subject.txt.j2, or give the campaign a subject."
            )
        if len(subject) > _LONGEST_SUBJECT:
            raise Refused("the subject has more than 998 characters", "Shorten it; mail programs show about 60.")
        return {"subject": subject, "text": text, "html": html, "html_slots": inspect_html(html)}

    def _part(self, environment: LetterEnvironment, name: str, context: Mapping[str, Any]) -> str:
        self._tell(name)
        pieces, size = [], 0
        for piece in environment.get_template(name).generate(context):
            size += len(piece)
            if size > self._largest:
                self._cap(piece, size)
            pieces.append(piece)
        return "".join(pieces)

    def _cap(self, text: str, size: int = 0) -> None:
        if max(size, len(text)) > self._largest:
            raise Refused(
                f"the letter grows beyond {self._largest // 1024} kB",
                "Say less, or give the articles without their bodies.",
            )

    def _environment(self, sources: Mapping[str, str]) -> LetterEnvironment:
        key = hash(tuple(sources.items()))
        if key not in self._warm:
            self._warm[key] = LetterEnvironment(sources)
        self._warm.move_to_end(key)
        while len(self._warm) > _KEPT_ENVIRONMENTS:
            self._warm.popitem(last=False)
        return self._warm[key]

    def _tell(self, name: str) -> None:
        """Say which file is being worked on, so that a kill can be explained."""
        self._at = name
        write_frame(self._answers, {"at": name})


def _personal(job: Mapping[str, Any]) -> dict[str, Any]:
    """Group `person.name` and `links.unsubscribe` under `person` and `links`: as slots, or as the values given."""
    grouped: dict[str, dict[str, Any]] = {"person": {}, "links": {}}
    for name in job["slots"]:
        root, _, leaf = name.partition(".")
        grouped[root][leaf] = Slot(name) if job["values"] is None else _scrubbed(job["values"][name]) or Empty()
    return dict(grouped)


def _scrubbed(value: Any) -> Any:
    """Return `value` with every text in it free of control characters."""
    if isinstance(value, str):
        return clean_body_text(value)
    if isinstance(value, dict):
        return {key: _scrubbed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_scrubbed(inner) for inner in value]
    return value


def _whole(text: str) -> str:
    """Drop the marks of empty values; refuse half a mark, which a filter or a control character would leave."""
    text = text.replace(Empty.MARK, "").replace("\r", "")
    if _STRAY.search(text):
        raise Refused(
            "a personal field was changed on its way, or a control character stands in the text", "Print it alone."
        )
    return text


def _tidy(text: str) -> str:
    """Never more than one empty line, no blanks at line ends, exactly one line end at the end."""
    return _MANY_LINES.sub("\n\n", _LINE_ENDS.sub("", text)).strip("\n") + "\n"


def _fault(error: Exception, at: str, job: Mapping[str, Any]) -> Fault:
    """Turn whatever happened into file, line, words and remedy."""
    file, line = _line(error, job["sources"])
    if isinstance(error, TemplateSyntaxError):
        file, line = error.name or file, error.lineno
    return Fault(file or at, line, *_diagnosis(error, job["context"]))


def _diagnosis(error: Exception, context: Mapping[str, Any]) -> tuple[str, str]:
    """Say what is wrong, and what to do."""
    said = _sentence(getattr(error, "message", None) or str(error))
    match error:
        case TemplateNotFound():
            said = f"there is no file {said!r} to include"
            remedy = "A template may include files of its own folder and of _base/, named like _base/layout.html.j2."
        case UndefinedError():
            remedy = f"Check the spelling. Known here: {', '.join(sorted({*context, 'person', 'links'}))}."
        case SecurityError():
            remedy = "Templates can only print, choose and repeat: see docs/templates.md."
        case Refused() | Objectionable():
            said, remedy = error.args
        case MemoryError():
            said, remedy = "needs too much memory", "Look for repeated text and very large numbers."
        case RecursionError():
            said, remedy = "nests too deeply", "Look for a template that includes itself."
        case TemplateSyntaxError():
            remedy = "Mend the template at this line."
        case _:
            said, remedy = f"{type(error).__name__}: {said[:200]}", "Check what this line does with its values."
    return said, remedy


def _sentence(message: str | None) -> str:
    return (message or "cannot be understood").strip().rstrip(".")


def _line(error: BaseException, sources: Mapping[str, str]) -> tuple[str, int | None]:
    """Find the innermost place inside a template in the error's traceback."""
    place: tuple[str, int | None] = ("", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in sources:
            place = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return place


def _grant_cpu(seconds: int) -> None:
    """Let this process use so many CPU seconds more; the kernel ends it when they are gone."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(usage.ru_utime + usage.ru_stime) + seconds, hard))


def _cage(memory: int) -> None:
    """Give up what rendering does not need: memory beyond the limit, core dumps, writing files, new processes."""
    for limit, value in (
        ("RLIMIT_AS", memory),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_NOFILE", 32),
    ):
        try:
            resource.setrlimit(getattr(resource, limit), (value, value))
        except (ValueError, OSError, AttributeError):
            sys.stderr.write(f"campaign: this system does not support {limit}; letters are rendered without it\n")


def read_frame(requests: BinaryIO) -> dict[str, Any] | None:
    """Read one frame, or None at the end."""
    head = requests.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    job: dict[str, Any] = json.loads(requests.read(_LENGTH.unpack(head)[0]))
    return job


def write_frame(answers: BinaryIO, frame: Mapping[str, Any]) -> None:
    """Write one frame and let it go."""
    body = json.dumps(frame).encode()
    answers.write(_LENGTH.pack(len(body)) + body)
    answers.flush()


def main(limits: Mapping[str, int]) -> None:
    """Answer jobs until the pipe closes. Nothing that a library prints can get between the frames."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    _cage(limits["memory"])
    press = Press(limits["output"], answers)
    write_frame(answers, {"ready": True})
    while (job := read_frame(requests)) is not None:
        _grant_cpu(limits["cpu_seconds"])
        write_frame(answers, press.answer(job))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
