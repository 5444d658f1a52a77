"""Makes a letter once for everybody and fills it in for each person. It never sends, stores or renders by itself.

Rendering and building a message takes milliseconds, joining prepared pieces takes microseconds: so a letter is compiled
once per edition, language and variant, and cut where personal fields stand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from campaign.domain.addresses import Address
from campaign.domain.delivery import Kind
from campaign.domain.errors import NotReady
from campaign.domain.headers import clean_header_text
from campaign.domain.message import LetterRefused, LetterSpec, Personal
from campaign.mail.assembly import SLOT, Hole, Plan, assemble, intended_headers
from campaign.mail.context import complete, slots_of
from campaign.mail.filling import Greeting, facts_of, fill_in, html_with
from campaign.mail.reading import Reading, check_letter, read_letter
from campaign.mail.renderer import Fault, Job, Rendered, Renderer, TemplateRefused, TemplateSources
from campaign.mail.words import read_words

__all__ = [
    "Compiled",
    "LetterRefused",
    "Reading",
    "TemplateRefused",
    "compile_letter",
    "compose",
    "fill",
    "read_letter",
]

_VERSION: Final = 1
_PROBE: Final = Personal(
    to=Address("reader", "example.org"),
    message_id="<d.0.probe@example.org>",
    date=datetime(2000, 1, 1, tzinfo=UTC),
    name="Ünïcode Näme",
)
"""Stands for a person while a letter is compiled, so that every mistake shows before anybody's letter is due."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A letter ready to be filled in, or (when `per_person`) ready to be rendered for one person at a time.

    `subject` is what an operator is shown, with personal fields in brackets; `notes` say what makes it slow.
    """

    spec: LetterSpec
    plan: Plan
    greeting: Greeting
    subject: str
    notes: tuple[str, ...] = ()
    sources: TemplateSources | None = None

    @property
    def per_person(self) -> bool:
        """Whether each person's letter has to be rendered by itself."""
        return self.sources is not None

    @property
    def note(self) -> str:
        """Which template, and which line in it, makes this letter one that is rendered for each person."""
        return "; ".join(self.notes)

    def dumps(self) -> bytes:
        """Return bytes that `loads` reads, the same for the same letter."""
        spec = self.spec if self.per_person else replace(self.spec, context={})
        stored = {
            "version": _VERSION,
            "spec": spec.as_json(),
            "segments": [segment.decode("latin-1") for segment in self.plan.segments],
            "holes": [list(hole) for hole in self.plan.holes],
            "subject_pattern": self.plan.subject,
            "greeting": list(self.greeting),
            "subject": self.subject,
            "notes": list(self.notes),
            "sources": self.sources.as_json() if self.sources else None,
        }
        return json.dumps(stored, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def loads(cls, stored: bytes) -> Compiled:
        """Read what `dumps` wrote; raise NotReady for bytes of another version of Campaign."""
        read: Mapping[str, Any] = json.loads(stored)
        if read.get("version") != _VERSION:
            raise NotReady(
                "This letter was compiled by another version of Campaign.", remedy="Freeze its edition again."
            )
        segments = tuple(segment.encode("latin-1") for segment in read["segments"])
        return cls(
            spec=LetterSpec.from_json(read["spec"]),
            plan=Plan(segments, tuple(Hole(*hole) for hole in read["holes"]), read["subject_pattern"]),
            greeting=Greeting(*read["greeting"]),
            subject=read["subject"],
            notes=tuple(read["notes"]),
            sources=TemplateSources.from_json(read["sources"]) if read["sources"] else None,
        )


async def compile_letter(renderer: Renderer, spec: LetterSpec) -> Compiled:
    """Render and build a letter once, with slots for what is personal; raise TemplateRefused for a mistake in it.

    The finished letter of a probe reader is read back and compared, so that nothing surprising can be sent later.
    """
    sources, context = await asyncio.to_thread(_prepare, renderer, spec)
    full = replace(spec, context=context)
    greeting = Greeting(context["words"]["greeting"], context["words"]["greeting_named"])
    rendered = await _render(renderer, full, sources, None)
    if not rendered.notes:
        compiled = Compiled(full, assemble(full, rendered), greeting, SLOT.sub(r"[\1]", rendered.subject))
        _checked(compiled, rendered, _probe(spec))
        return compiled
    notes = tuple(map(str, rendered.notes))
    compiled = Compiled(full, Plan((b"",), (), ""), greeting, "", notes, sources)
    try:
        letter = await compose(renderer, compiled, _probe(spec))
    except LetterRefused as refused:
        raise TemplateRefused(Fault(spec.template, None, refused.message, refused.remedy)) from refused
    return replace(compiled, subject=read_letter(letter).subject)


async def compose(renderer: Renderer, compiled: Compiled, personal: Personal) -> bytes:
    """Return the finished letter for one person: CRLF, no dot-stuffing. Raise LetterRefused for them only."""
    if compiled.sources is None:
        return fill(compiled, personal)
    facts = facts_of(compiled.spec, compiled.greeting, personal)
    try:
        rendered = await _render(renderer, compiled.spec, compiled.sources, facts)
    except TemplateRefused as refused:
        raise LetterRefused(refused.message, remedy=refused.remedy) from refused
    return _checked(replace(compiled, plan=assemble(compiled.spec, rendered)), rendered, personal)


def fill(compiled: Compiled, personal: Personal) -> bytes:
    """Return the finished letter for one person by joining what was compiled; raise LetterRefused for them only."""
    return fill_in(compiled.plan, facts_of(compiled.spec, compiled.greeting, personal), personal)


def _prepare(renderer: Renderer, spec: LetterSpec) -> tuple[TemplateSources, dict[str, Any]]:
    """Read the template and the service words from disk."""
    words = read_words(renderer.folders).words(spec.language)
    return renderer.sources(spec.template), complete(spec, words)


async def _render(
    renderer: Renderer, spec: LetterSpec, sources: TemplateSources, facts: Mapping[str, str] | None
) -> Rendered:
    job = Job(sources, spec.context, slots_of(spec), facts, text_only=spec.text_only)
    rendered = await renderer.render(job)
    if isinstance(rendered, Fault):
        raise TemplateRefused(rendered)
    if spec.kind is Kind.TEST and not rendered.notes:
        return replace(rendered, subject=f"[{spec.context['words']['test']}] {rendered.subject}")
    return rendered


def _checked(compiled: Compiled, rendered: Rendered, personal: Personal) -> bytes:
    """Fill in, read the bytes back, and compare them with what was meant."""
    letter = fill(compiled, personal)
    facts = facts_of(compiled.spec, compiled.greeting, personal)
    meant = Reading(
        names=intended_headers(compiled.spec),
        subject=clean_header_text(SLOT.sub(lambda slot: facts[slot[1]], rendered.subject)),
        text=SLOT.sub(lambda slot: facts[slot[1]], rendered.text),
        html=html_with(rendered, facts),
    )
    check_letter(letter, meant)
    return letter


def _probe(spec: LetterSpec) -> Personal:
    links = {name: f"https://example.org/{name}/probe" for name in spec.all_links}
    return _PROBE._replace(
        links={name: f"mailto:{name}@example.org" if "mailto" in name else url for name, url in links.items()}
    )
