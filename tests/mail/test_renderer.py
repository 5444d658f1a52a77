"""The cage: what templates can do, what they cannot, and how their mistakes are told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from campaign.domain.errors import NotFound
from campaign.mail.renderer import Fault, Job, Limits, Rendered, Renderer, TemplateRefused, prose
from tests.mail.samples import SHIPPED, write_template

SECRET = "a-secret-nobody-may-read"
SMALL = Limits(cpu_seconds=1, wall_seconds=30, memory=192 * 1024 * 1024, output=64 * 1024)
PERSON = ("person.name", "person.greeting", "links.unsubscribe")
VALUES = {"person.name": "Reader", "person.greeting": "Hello Reader,", "links.unsubscribe": "https://example.org/u/x"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / ".env").write_text(f"CAMPAIGN_SECRET_KEY={SECRET}", encoding="utf-8")
    return home / "templates"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def renderer(folder: Path) -> AsyncIterator[Renderer]:
    """One renderer for all tests of this module: whatever one of them does to its child, the next must not notice."""
    async with Renderer([folder, SHIPPED], SMALL) as renderer:
        yield renderer


async def _render(renderer: Renderer, context: dict[str, Any] | None = None, **job: Any) -> Rendered | Fault:
    return await renderer.render(Job(renderer.sources("probe"), {"language": "en", **(context or {})}, **job))


async def _text(renderer: Renderer, folder: Path, text: str, **context: Any) -> str:
    write_template(folder, "probe", text=text)
    rendered = await _render(renderer, context)
    assert isinstance(rendered, Rendered), rendered
    return rendered.text


async def _fault(renderer: Renderer, folder: Path, text: str, **context: Any) -> Fault:
    write_template(folder, "probe", text=text)
    rendered = await _render(renderer, context)
    assert isinstance(rendered, Fault), rendered
    return rendered


HARMLESS_OR_REFUSED = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ article.__class__.__init__.__globals__ }}",
    "{{ article['__class__'] }}",
    "{{ ()|attr('__class__') }}",
    "{{ article|attr('title') }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ loop }}",
    "{% for x in [1] %}{{ loop._iterable }}{{ loop.__class__ }}{% endfor %}",
    "{{ config }}{{ settings }}{{ request }}{{ env }}",
    "{{ lipsum.__globals__['os'].environ }}",
    "{{ cycler.__init__.__globals__.os.popen('env').read() }}",
    "{{ joiner.__init__.__globals__ }}{{ namespace.__init__ }}",
    "{{ range(10) }}",
    "{{ dict(a=1) }}",
    "{{ '{0.__class__}'.format(article) }}",
    "{{ '%s' % article }}",
    "{{ '{0.__class__}'|format(article) }}",
    "{{ article.keys() }}{{ article.pop('title') }}{{ article.update({'title': 'x'}) }}",
    "{% include '../../.env' %}",
    "{% include '../../../.env' %}{% include '/etc/passwd' %}",
    "{% include '.env' %}",
    "{% import 'os' as os %}{{ os.environ }}",
    "{% extends '/proc/self/environ' %}",
    "{{ open('/etc/passwd') }}",
    "{% set x = 1 %}{{ x.real.__class__ }}{{ x.to_bytes(100000000, 'big') }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func }}",
    "{{ article.title.encode() }}{{ article.title.center(999999999) }}",
    "{{ (1).__class__ }}{{ [].append(1) }}",
    "{{ '<b>'|safe }}{{ article|tojson }}{{ article|pprint }}{{ {'a': 1}|xmlattr }}",
    "{% do article.clear() %}",
    "{% debug %}",
    "{{ url_for.__globals__ }}{{ get_flashed_messages.__globals__ }}",
    "{% autoescape false %}{{ '<b>' }}{% endautoescape %}",
]


@pytest.mark.parametrize("payload", HARMLESS_OR_REFUSED)
async def test_a_template_reads_nothing_but_its_context(
    renderer: Renderer, folder: Path, payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPAIGN_SECRET_KEY", SECRET)
    fault = await _fault(renderer, folder, payload, article={"title": "A title", "body": ""})
    shown = str(fault)
    assert SECRET not in shown
    assert "root:" not in shown
    assert "<class" not in shown
    assert Path(fault.file).is_relative_to(folder)
    assert fault.line == 1
    assert fault.remedy


SPENDTHRIFT = [
    "{{ 9**9999999 }}",
    "{{ 9**9**9 }}",
    "{{ 'a' * 500000000 }}",
    "{{ [0] * 500000000 }}",
    "{{ '%0900000000d' % 1 }}",
    "{{ ('a'|replace('a', big)|replace('a', big)|replace('a', big)|replace('a', big)|replace('a', big))|length }}",
    "{% for a in big %}{% for b in big %}{% for c in big %}{% for d in big %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in big %}{% for b in big %}{{ big }}{% endfor %}{% endfor %}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{% include 'probe/body.txt.j2' %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{{ big|truncate(999999999)|wrap(999999999) }}{{ big|plain }}" * 400,
    "{{ '[' * 1 }}{{ ('['|replace('[', '['|replace('[', brackets)))|markdown }}",
]


@pytest.mark.parametrize("payload", SPENDTHRIFT)
async def test_a_template_that_eats_time_or_memory_is_stopped(renderer: Renderer, folder: Path, payload: str) -> None:
    fault = await _fault(renderer, folder, payload, big="a" * 2000, brackets="[" * 60_000)
    assert "body.txt.j2" in fault.file
    assert fault.remedy
    assert await _text(renderer, folder, "still {{ word }}", word="alive") == "still alive\n"


async def test_a_stopped_child_is_replaced_and_the_file_is_named(renderer: Renderer, folder: Path) -> None:
    write_template(
        folder, "probe", html="{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}"
    )
    fault = await _render(renderer, {"s": "x" * 5000})
    assert isinstance(fault, Fault)
    assert fault.file == str(folder / "email/probe/body.html.j2")
    assert "1 seconds of computing time" in fault.message


async def test_a_child_killed_from_outside_while_idle_is_replaced(renderer: Renderer, folder: Path) -> None:
    assert await _text(renderer, folder, "one") == "one\n"
    child = renderer._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()
    assert await _text(renderer, folder, "two") == "two\n"


async def test_the_child_has_no_secrets_and_little_room(
    renderer: Renderer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPAIGN_SECRET_KEY", SECRET)
    await _text(renderer, folder, "one")
    child = renderer._child
    assert child is not None
    inside = Path(f"/proc/{child.pid}")
    if not inside.exists():
        pytest.skip("no /proc here")
    names = {entry.partition(b"=")[0] for entry in (inside / "environ").read_bytes().split(b"\0") if entry}
    assert names == {b"PYTHONPATH", b"PYTHONDONTWRITEBYTECODE", b"LC_ALL"}
    limits = dict(line.split("  ", 1) for line in (inside / "limits").read_text().splitlines()[1:])
    assert limits["Max address space"].split()[0] == str(SMALL.memory)
    assert limits["Max file size"].split()[0] == "0"
    assert limits["Max core file size"].split()[0] == "0"


async def test_a_cancelled_job_does_not_answer_the_next_one(renderer: Renderer, folder: Path) -> None:
    write_template(
        folder, "probe", text="{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}"
    )
    job = asyncio.create_task(_render(renderer, {"s": "x" * 5000}))
    await asyncio.sleep(0.5)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await _text(renderer, folder, "the next") == "the next\n"


async def test_many_jobs_at_once_get_their_own_answers(renderer: Renderer, folder: Path) -> None:
    write_template(folder, "probe", text="{{ n }}")
    answers = await asyncio.gather(*(_render(renderer, {"n": n}) for n in range(20)))
    assert [answer.text for answer in answers if isinstance(answer, Rendered)] == [f"{n}\n" for n in range(20)]


MISTAKES = [
    ("line one\n{{ nme }}", 2, "'nme' is undefined"),
    ("{{ article.titel }}", 1, "did you mean 'title'?"),
    ("\n\n{% if %}", 3, "Expected an expression"),
    ("{% for a in [1] %}\n", 1, "endfor"),
    ("{{ article|no_such_filter }}", 1, "no_such_filter"),
    ("{{ 1 / 0 }}", 1, "ZeroDivisionError"),
    ("one\n{% include 'probe/nothing.txt.j2' %}", 2, "there is no file"),
    ("{{ '2027-13-01'|date }}", 1, "month must be in 1..12"),
    ("{{ '2027-01-11'|date('hh:mm') }}", 1, "no form 'hh:mm'"),
    ("{{ article.title.upper() }}", 1, "a text has no field 'upper'"),
    ("{{ 3() }}", 1, "only macros can be called"),
]


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES)
async def test_a_mistake_is_told_with_file_line_and_remedy(
    renderer: Renderer, folder: Path, text: str, line: int, words: str
) -> None:
    fault = await _fault(renderer, folder, text, article={"title": "A title"})
    assert (fault.file, fault.line) == (str(folder / "email/probe/body.txt.j2"), line)
    assert words in fault.message
    assert fault.remedy
    assert str(fault).startswith(f"{fault.file}:{line}: ")


async def test_a_mistake_in_an_included_file_is_told_there(renderer: Renderer, folder: Path) -> None:
    write_template(folder, "probe", text="{% include 'probe/part.txt.j2' %}", part_txt="fine\n{{ oops }}")
    fault = await _render(renderer)
    assert isinstance(fault, Fault)
    assert (fault.file, fault.line) == (str(folder / "email/probe/part.txt.j2"), 2)


FETCHING = [
    '<img src="https://example.org/pixel.gif">',
    '<p style="background: url(https://example.org/x.png)">',
    "<style>@import 'https://example.org/x.css';</style>",
    '<style data-css-inline="keep">@font-face { src: url(//example.org/f) }</style>',
    '<link rel="stylesheet" href="https://example.org/x.css">',
    "<script>1</script>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="{{ bad }}">x</a>',
    '<a href="/relative">x</a>',
    '<p onclick="x()">',
    '<iframe src="https://example.org/"></iframe>',
    '<form action="https://example.org/"></form>',
    '<meta http-equiv="refresh" content="0">',
    '<video poster="https://example.org/x.png"></video>',
    '<table background="https://example.org/x.png"></table>',
    '<a href="{{ person.name }}">x</a>',
    '<p style="color: {{ person.name }}">x</p>',
    '<p title="{{ links.unsubscribe }}">x</p>',
    '<style data-css-inline="keep">{{ person.name }}</style>',
    "<!-- {{ person.name }} -->",
]


@pytest.mark.parametrize("html", FETCHING)
async def test_a_letter_fetches_nothing_and_prints_people_only_where_it_is_safe(
    renderer: Renderer, folder: Path, html: str
) -> None:
    write_template(folder, "probe", html=f"<!DOCTYPE html><body>{html}</body>")
    fault = await _render(renderer, {"bad": " JaVaScript:alert(1)"}, slots=PERSON)
    assert isinstance(fault, Fault)
    assert fault.file == str(folder / "email/probe/body.html.j2")


async def test_html_is_escaped_and_text_is_not(renderer: Renderer, folder: Path) -> None:
    write_template(folder, "probe", subject="{{ x }}", text="{{ x }}", html="<!DOCTYPE html><p>{{ x }}</p>")
    rendered = await _render(renderer, {"x": "<b>&\"'</b>"})
    assert isinstance(rendered, Rendered)
    assert (rendered.subject, rendered.text) == ("<b>&\"'</b>", "<b>&\"'</b>\n")
    assert "<p>&lt;b&gt;&amp;\"'&lt;/b&gt;</p>" in rendered.html


async def test_control_characters_in_content_disappear(renderer: Renderer, folder: Path) -> None:
    text = await _text(renderer, folder, "{{ x }}", x="a\x00\x02person.name\x03\x1b[31m\r\nb\u2028c\ud800")
    assert text == "aperson.name[31m\nb\nc\ufffd\n"


USES = [
    ("{{ person.name }}", ""),
    ("{{ person['name'] }} {{ links.unsubscribe }}", ""),
    ("{% for a in [1, 2] %}{{ person.name }}{% endfor %}", ""),
    (
        "{% if links.unsubscribe is defined %}{{ links.unsubscribe }}{% endif %}{% if links.other is defined %}{% endif %}",
        "",
    ),
    ("{% block b %}{{ person.name }}{% endblock %}", ""),
    ("{% if person.name %}x{% endif %}", "condition"),
    ("{{ 'x' if person.name else 'y' }}", "condition"),
    ("{{ person.name|upper }}", "filter"),
    ("{{ person.name|default('friend') }}", "filter"),
    ("{{ person.name ~ '!' }}", "computed"),
    ("{% set n = person.name %}{{ n }}", "stored"),
    ("{% set p = person %}{{ p.name }}", "stored"),
    ("{% with n = person.name %}{{ n }}{% endwith %}", "stored"),
    ("{% for c in person.name %}{{ c }}{% endfor %}", "loop"),
    ("{{ person }}", "computed"),
    ("{{ person[x] }}", "computed"),
    ("{{ person.name == 'x' }}", "compared"),
    ("{{ 'unsubscribe' in links }}", "compared"),
    ("{% macro m(n) %}{{ n }}{% endmacro %}{{ m(person.name) }}", "macro"),
    ("{% filter upper %}{{ person.name }}{% endfilter %}", "printed inside"),
    ("{% set s %}{{ person.name }}{% endset %}{{ s }}", "printed inside"),
    ("{% macro m() %}{{ person.name }}{% endmacro %}{{ m() }}", "printed inside"),
    ("{% filter upper %}{% include 'probe/part.txt.j2' %}{% endfilter %}", "printed inside"),
    ("{% filter upper %}{% include part %}{% endfilter %}", "printed inside"),
    ("{% block b %}{{ person.name }}{% endblock %}{{ self.b()|upper }}", "block"),
    ("{% from 'probe/part.txt.j2' import x with context %}{{ x() }}", "printed inside"),
]


@pytest.mark.parametrize(("text", "why"), USES)
async def test_what_is_only_printed_becomes_a_slot_and_the_rest_is_noted(
    renderer: Renderer, folder: Path, text: str, why: str
) -> None:
    write_template(folder, "probe", text=f"\n{text}", part_txt="{{ person.name }}{% macro x() %}{% endmacro %}")
    context = {"x": "name", "part": "probe/part.txt.j2"}
    rendered = await _render(renderer, context, slots=PERSON)
    assert isinstance(rendered, Rendered), rendered
    if not why:
        assert not rendered.notes
        return
    assert why in rendered.notes[0].why
    assert any(note.file.startswith(str(folder / "email/probe/")) for note in rendered.notes)
    alone = await _render(renderer, context, slots=PERSON, values=VALUES)
    assert isinstance(alone, Rendered), alone


async def test_half_a_mark_is_refused(renderer: Renderer, folder: Path) -> None:
    write_template(folder, "probe", text="a stray \x02 mark")
    fault = await _render(renderer)
    assert isinstance(fault, Fault)
    assert "control character" in fault.message


async def test_an_empty_or_endless_subject_is_refused(renderer: Renderer, folder: Path) -> None:
    for subject, words in (("  \n ", "empty"), ("x" * 999, "998")):
        write_template(folder, "probe", subject=subject)
        fault = await _render(renderer)
        assert isinstance(fault, Fault)
        assert words in fault.message


async def test_the_home_overlays_what_was_shipped_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    renderer = Renderer([folder, SHIPPED])
    shipped = renderer.sources("digest")
    assert shipped.own == ()
    own = folder / "email/digest/subject.txt.j2"
    own.parent.mkdir(parents=True)
    own.write_text("Our own subject", encoding="utf-8")
    mine = renderer.sources("digest")
    assert mine.own == ("digest/subject.txt.j2",)
    assert mine.texts["digest/subject.txt.j2"] == "Our own subject"
    assert mine.texts["digest/body.html.j2"] == shipped.texts["digest/body.html.j2"]
    assert mine.own_digest() != shipped.own_digest()
    assert mine.path_of("digest/subject.txt.j2") == str(own)


async def test_templates_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    renderer = Renderer([folder, SHIPPED])
    for name in ("../..", "UPPER", "", "a/b"):
        with pytest.raises(NotFound):
            renderer.sources(name)
    with pytest.raises(NotFound, match="confirm, digest, goodbye, reminder, welcome"):
        renderer.sources("digset")
    (tmp_path / ".env").write_text("", encoding="utf-8")
    write_template(folder, "half")
    (folder / "email/half/body.html.j2").unlink()
    with pytest.raises(TemplateRefused, match=r"half/body\.html\.j2: the file is missing"):
        renderer.sources("half")
    (folder / "email/half/body.html.j2").write_bytes(b"fine\n\xff\xfe")
    with pytest.raises(TemplateRefused, match=r"body\.html\.j2:2: the file is not UTF-8"):
        renderer.sources("half")
    (folder / "email/half/body.html.j2").write_bytes(b" " * 300_000)
    with pytest.raises(TemplateRefused, match="256 kB"):
        renderer.sources("half")
    (folder / "email/half/body.html.j2").unlink()
    (folder / "email/half/body.html.j2").symlink_to(tmp_path / ".env")
    with pytest.raises(TemplateRefused, match="outside"):
        renderer.sources("half")


MARKDOWN = [
    (
        "# A\n\nText *soft* **strong**",
        "<h3>A</h3>\n<p>Text <em>soft</em> <strong>strong</strong></p>",
        "A\n~\n\nText soft strong",
    ),
    ("[x](https://example.org/)", '<p><a href="https://example.org/">x</a></p>', "x (https://example.org/)"),
    (
        "<https://example.org/>",
        '<p><a href="https://example.org/">https://example.org/</a></p>',
        "https://example.org/",
    ),
    ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>", "[x](javascript:alert(1))"),
    ("<script>x</script>", "", "<script>x</script>"),
    ("![a ship](https://example.org/x.png)", "<p>a ship</p>", "a ship"),
    ("1. one\n2. two", "<ol>\n<li>one</li>\n<li>two</li>\n</ol>", "1. one\n2. two"),
    ("> said", "<blockquote>\n<p>said</p>\n</blockquote>", "> said"),
    ("- a\n  - b", "<ul>\n<li>a\n<ul>\n<li>b</li>\n</ul>\n</li>\n</ul>", "- a\n  - b"),
    ("a  \nb", "<p>a<br>\nb</p>", "a\nb"),
    ("    code", "<pre><code>code\n</code></pre>", "    code"),
    ("***", "<hr>", "* * *"),
]


@pytest.mark.parametrize(("markdown", "html", "text"), MARKDOWN)
async def test_markdown_is_safe_html_and_readable_text(markdown: str, html: str, text: str) -> None:
    if html:
        assert prose.to_html(markdown) == html
    assert "<script" not in prose.to_html(markdown)
    assert prose.to_text(markdown, width=72).strip(" ") == text.strip(" ")


@given(st.text(max_size=400) | st.text("*_-#>[]()!`~<&\n 1.aب", max_size=200))
async def test_no_markdown_breaks_the_letter(markdown: str) -> None:
    html = prose.to_html(markdown)
    assert "<script" not in html.lower()
    assert "<img" not in html.lower()
    for line in prose.to_text(markdown, width=40, indent="  ").split("\n"):
        assert line == "" or line.startswith("  ")
