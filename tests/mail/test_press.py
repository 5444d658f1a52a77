"""What the caged process does with a job, watched from inside. That the cage holds is shown in test_renderer."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest

from campaign.mail.renderer import sandbox
from campaign.mail.renderer.sandbox import Press, read_frame, write_frame
from tests.mail.payloads import FETCHING, HARMLESS_OR_REFUSED, MISTAKES, PERSON, USES, VALUES

HTML = "<!DOCTYPE html><p>A text</p>"
CONTEXT = {"language": "en", "article": {"title": "A title", "body": ""}, "x": "name", "part": "probe/part.txt.j2"}


def _answer(text: str = "A text", html: str = HTML, subject: str = "A subject", **job: Any) -> dict[str, Any]:
    sources = {
        "probe/subject.txt.j2": subject,
        "probe/body.txt.j2": text,
        "probe/body.html.j2": html,
        "probe/part.txt.j2": "{{ person.name }}{% macro x() %}{% endmacro %}",
    }
    job = {"context": CONTEXT, "slots": [], "values": None, "text_only": False, **job}
    return Press(64 * 1024, io.BytesIO()).answer({"template": "probe", "sources": sources, **job})


@pytest.mark.parametrize("payload", HARMLESS_OR_REFUSED)
def test_what_reaches_out_is_refused_where_it_stands(payload: str) -> None:
    fault = _answer(payload)["fault"]
    assert (fault["file"], fault["line"]) == ("probe/body.txt.j2", 1)
    assert fault["remedy"]


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES)
def test_a_mistake_has_a_line(text: str, line: int, words: str) -> None:
    fault = _answer(text)["fault"]
    assert fault["line"] == line
    assert words in fault["message"]


@pytest.mark.parametrize("html", FETCHING)
def test_nothing_is_fetched(html: str) -> None:
    answer = _answer(html=f"<!DOCTYPE html>{html}", context={**CONTEXT, "bad": "javascript:1"}, slots=PERSON)
    assert answer["fault"]["file"] == "probe/body.html.j2"


@pytest.mark.parametrize(("text", "why"), USES)
def test_uses_are_told_apart(text: str, why: str) -> None:
    answer = _answer(text, slots=PERSON)
    assert ("notes" in answer) == bool(why)
    assert "text" in _answer(text, slots=PERSON, values=VALUES)


def test_a_use_that_reading_the_source_would_miss_is_noted_while_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "personal_uses", lambda *_: [])
    for use in ("person.name|upper", "'x' if person.name", "person.name == 1", "person.name ~ 'x'", "person.name[0]"):
        notes = _answer(f"\n{{{{ {use} }}}}", slots=PERSON)["notes"]
        assert (notes[0]["file"], notes[0]["line"]) == ("probe/body.txt.j2", 2)
        assert "person.name" in notes[0]["why"]


FILTERED = [
    ("'2027-07-30'|date", "30 July 2027"),
    ("'2027-07-30T09:00:00+00:00'|date('d MMMM')", "30 July"),
    ("'2027-07-30'|date('full')", "Friday, 30 July 2027"),
    ("none|date", ""),
    ("{'one': '{n} day', 'other': '{n} days'}|plural(1)", "1 day"),
    ("{'one': '{n} day', 'other': '{n} days'}|plural(2)", "2 days"),
    ("'a {b} {c}'|fill(b='<x>')", "a <x> {c}"),
    ("'**a** b'|plain(width=40)", "a b"),
    ("'a b c'|wrap(width=3, indent='> ')", "> a\n> b\n> c"),
    ("'a b'|wrap(width=5, indent='  ', first='- ')", "- a b"),
    ("none|wrap", ""),
    ("'A title'|underline", "A title\n======="),
    ("''|underline('-')", ""),
    ("'https://example.org/'|link", "https://example.org/"),
    ("'mailto:a@example.org'|link", "mailto:a@example.org"),
    ("'javascript:1'|link", ""),
    ("none|link", ""),
    ("'1-888-373-7888'|tel", "tel:18883737888"),
    ("'+44 (0)8000 121700'|tel", "tel:+4408000121700"),
]


@pytest.mark.parametrize(("expression", "shown"), FILTERED)
def test_filters(expression: str, shown: str) -> None:
    assert _answer(f"{{{{ {expression} }}}}")["text"].strip("\n") == shown


@pytest.mark.parametrize(
    ("language", "day"),
    [("pt-BR", "30 de julho de 2027"), ("de", "30. Juli 2027"), ("xx", "30 July 2027"), ("", "30 July 2027")],
)
def test_dates_follow_the_language(language: str, day: str) -> None:
    assert _answer("{{ '2027-07-30'|date }}", context={"language": language})["text"] == f"{day}\n"


def test_gaps_are_escaped_in_html() -> None:
    html = "<!DOCTYPE html><p>{{ '{a} & <b>'|fill(a='<i>') }} {{ '*x*'|markdown }}</p>"
    assert "&lt;i&gt; &amp; &lt;b&gt;" in _answer(html=html)["html"]
    assert "<em>x</em>" in _answer(html=html)["html"]


def test_subjects_are_one_line_and_say_something() -> None:
    assert _answer(subject="a\n  b")["subject"] == "a b"
    assert "empty" in _answer(subject=" \n")["fault"]["message"]
    assert "998" in _answer(subject="x" * 999)["fault"]["message"]
    assert "control character" in _answer(subject="half a \x02 mark")["fault"]["message"]


def test_an_empty_value_leaves_the_lines_around_it_as_they_are() -> None:
    values = {**VALUES, "person.name": ""}
    slots = _answer("a\n\n{{ person.name }}\n\nb {{ person.name }}\n", slots=PERSON)["text"]
    alone = _answer("a\n\n{{ person.name }}\n\nb {{ person.name }}\n", slots=PERSON, values=values)["text"]
    assert slots.replace("\x02person.name\x03", "") == alone == "a\n\n\n\nb \n"
    assert _answer("{{ 'yes' if person.name else 'no' }}", slots=PERSON, values=values)["text"] == "no\n"


def test_too_much_is_refused_and_a_spent_process_says_so() -> None:
    assert "64 kB" in _answer("{{ x }}" * 20, context={**CONTEXT, "x": "a" * 10_000})["fault"]["message"]
    assert "64 kB" in _answer(html=f"<style>p {{ color: #123456 }}</style>{'<p>' * 4000}")["fault"]["message"]
    answer = _answer("{% include 'probe/body.txt.j2' %}")
    assert "nests too deeply" in answer["fault"]["message"]
    assert answer["spent"]


def test_blocks_macros_and_loops_work() -> None:
    text = (
        "{% macro hello(to) %}Hello {{ to }}{% endmacro %}{{ hello('you') }}\n"
        "{% for n in [1, 2] %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% endfor %} "
        "{% block b %}block{% endblock %} {{ self.b() }} {{ 2 * 3 }} {{ article['title'][0] }} {{ none }}"
    )
    assert _answer(text)["text"] == "Hello you\n1a2b block block 6 A\n"


def test_environments_are_kept_for_a_few_templates_only() -> None:
    press = Press(1024, io.BytesIO())
    job: dict[str, Any] = {"template": "probe", "context": {}, "slots": [], "values": None, "text_only": True}
    for number in [*range(20), 0]:
        sources = {"probe/subject.txt.j2": "A subject", "probe/body.txt.j2": f"{number}"}
        assert press.answer({**job, "sources": sources})["text"] == f"{number}\n"
    assert len(press._warm) == 8


def test_frames_carry_anything_json_can() -> None:
    pipe = io.BytesIO()
    write_frame(pipe, {"text": "\ud800 é"})
    pipe.seek(0)
    assert struct.unpack(">I", pipe.read(4))[0] == len(json.dumps({"text": "\ud800 é"}))
    pipe.seek(0)
    assert read_frame(pipe) == {"text": "\ud800 é"}
    assert read_frame(pipe) is None
