"""Two ways in which Python programs send mail to many, to measure against. Neither keeps any account of what it did.

`python -m benchmarks.mailers prebuilt|per-person --letter FILE --port PORT --letters N --connections N`

Both keep a number of aiosmtplib's connections open and send one letter after the other over each, on the same event
loop as ours. `prebuilt` hands over finished bytes. `per-person` makes each letter first: it renders its template with
Jinja2, puts the styles where mail programs want them, builds an EmailMessage and writes it out. The last line is the
rate in letters a second, and what each letter took in microseconds of CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiosmtplib
import css_inline
import uvloop
from jinja2 import DictLoader, Environment

from benchmarks.installation import ROOT, reader
from campaign.actions import campaigning, wording
from campaign.actions.kit import Kit
from campaign.clock import SystemClock
from campaign.domain.editions import NOWHERE
from campaign.mail.context import complete
from campaign.mail.renderer.filters import FILTERS
from campaign.mail.words import read_words

PREBUILT: Final = "prebuilt"
PER_PERSON: Final = "per-person"
_SENDER: Final = "letters@example.org"

Maker = Callable[[int], bytes]


async def write_letter(kit: Kit, slug: str, path: Path) -> None:
    """Write down what a campaign's letter is made of: the texts of its templates, and everything they say."""
    found = await wording.sources(kit, await campaigning.find(kit, slug), "extra", "measured")
    spec = wording.draft(kit, found, kit.settings.language, NOWHERE, "measured").spec
    context = complete(spec, read_words(kit.renderer.folders).words(spec.language))
    texts = dict(kit.renderer.sources(spec.template).texts)
    path.write_text(json.dumps({"template": spec.template, "texts": texts, "context": context}), encoding="utf-8")


def prebuilt(letter: Path) -> Maker:
    """Give everybody the same finished bytes."""
    body = letter.read_bytes()
    return lambda _: body


def per_person(letter: Path) -> Maker:
    """Make a letter for each person, with the shipped templates and all that Jinja2 can do to be quick."""
    made = json.loads(letter.read_text(encoding="utf-8"))
    environment = Environment(
        loader=DictLoader(made["texts"]),
        autoescape=lambda name: name is None or ".html" in name,  # noqa: S701 -- on for HTML
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    kept = {name: cache(FILTERS[name]) for name in ("markdown", "plain")}  # articles are the same for everybody
    environment.filters |= FILTERS | kept
    parts = [environment.get_template(f"{made['template']}/{part}.j2") for part in ("subject.txt", "body.txt")]
    page, clock = environment.get_template(f"{made['template']}/body.html.j2"), SystemClock()
    inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=False, minify_css=True)

    def make(number: int) -> bytes:
        link = f"https://letters.example.org/u/{clock.token(24)}"
        links = {"unsubscribe": link, "preferences": link, "unsubscribe_mailto": f"mailto:{_SENDER}"}
        person = {"name": f"Reader {number}", "greeting": f"Dear Reader {number},", "address": reader(number).wire}
        subject, text = (part.render(made["context"], person=person, links=links) for part in parts)
        letter = EmailMessage(policy=SMTP)
        letter["From"], letter["To"] = f"Example Campaign <{_SENDER}>", person["address"]
        letter["Subject"], letter["Date"] = subject.strip(), format_datetime(clock.now())
        letter["Message-ID"] = make_msgid(domain="example.org")
        letter["List-Unsubscribe"], letter["List-Unsubscribe-Post"] = f"<{link}>", "List-Unsubscribe=One-Click"
        letter.set_content(text)
        letter.add_alternative(inliner.inline(page.render(made["context"], person=person, links=links)), "html")
        return letter.as_bytes()

    return make


@dataclass(frozen=True, slots=True)
class Job:
    """What one of these mailers is to do."""

    way: str
    letter: Path
    port: int
    letters: int
    connections: int


class Took(NamedTuple):
    """How a job went: letters a second, and microseconds of CPU for each, connecting not counted."""

    rate: float
    cpu: float


async def send(job: Job) -> Took:
    """Send letters by aiosmtplib's own `sendmail`."""
    make = (prebuilt if job.way == PREBUILT else per_person)(job.letter)
    make(1)
    lines = [aiosmtplib.SMTP(hostname="127.0.0.1", port=job.port, start_tls=False) for _ in range(job.connections)]
    await asyncio.gather(*(line.connect() for line in lines))
    numbers = iter(range(1, job.letters + 1))
    began, spent = time.monotonic(), time.process_time()
    await asyncio.gather(*(_carry(line, make, numbers) for line in lines))
    took = Took(job.letters / (time.monotonic() - began), 1e6 * (time.process_time() - spent) / job.letters)
    await asyncio.gather(*(line.quit() for line in lines))
    return took


async def _carry(line: aiosmtplib.SMTP, make: Maker, numbers: Iterator[int]) -> None:
    for number in numbers:
        await line.sendmail(_SENDER, [reader(number).wire], make(number))


def run(job: Job) -> Took:
    """Do a job in a process of its own."""
    words: list[Any] = [job.way, "--letter", job.letter, "--port", job.port, "--letters", job.letters]
    line = [sys.executable, "-m", "benchmarks.mailers", *map(str, [*words, "--connections", job.connections])]
    done = subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Took(*map(float, done.stdout.splitlines()[-1].split()))


def main() -> int:
    """Read the options and send."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("way", choices=(PREBUILT, PER_PERSON))
    options.add_argument("--letter", type=Path, required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--letters", type=int, required=True)
    options.add_argument("--connections", type=int, required=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(*runner.run(send(Job(**vars(options.parse_args())))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
