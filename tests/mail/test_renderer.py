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
from campaign.mail.renderer import Fault, Job, Limits, Rendered, Renderer, RendererBroken, TemplateRefused, prose
from tests.mail.payloads import FETCHING, HARMLESS_OR_REFUSED, MISTAKES, PERSON, SPENDTHRIFT, USES, VALUES
from tests.mail.samples import SHIPPED, write_template

SECRET = "a-secret-nobody-may-read"
SMALL = Limits(cpu_seconds=1, wall_seconds=30, memory=192 * 1024 * 1024, output=64 * 1024)
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
    with pytest.raises(NotFound, match="confirm, digest, goodbye, reminder, renew, welcome"):
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
    (folder / "email/half/body.html.j2").mkdir()
    with pytest.raises(TemplateRefused, match="cannot be read"):
        renderer.sources("half")
    (folder / "email/half/body.html.j2").rmdir()
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


async def test_a_job_that_takes_too_long_by_the_clock_is_stopped(folder: Path) -> None:
    write_template(
        folder, "probe", text="{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}"
    )
    async with Renderer([folder, SHIPPED], Limits(cpu_seconds=30, wall_seconds=0.3)) as renderer:
        fault = await _render(renderer, {"s": "x" * 5000})
        assert isinstance(fault, Fault)
        assert "longer than 0.3 seconds" in fault.message


async def test_a_child_that_breaks_down_at_work_is_explained(renderer: Renderer, folder: Path) -> None:
    write_template(
        folder, "probe", text="{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}"
    )
    await renderer.render(Job(renderer.sources("digest"), {}))
    job = asyncio.create_task(_render(renderer, {"s": "x" * 5000}))
    await asyncio.sleep(0.5)
    assert renderer._child is not None
    os.kill(renderer._child.pid, signal.SIGABRT)
    fault = await job
    assert isinstance(fault, Fault)
    assert "SIGABRT" in fault.message


async def test_a_child_that_rests_is_let_go_and_another_answers(folder: Path) -> None:
    write_template(folder, "probe", text="Hello")
    async with Renderer([folder, SHIPPED], rest=0.3) as renderer:
        await _render(renderer)
        first = renderer._child
        assert first is not None
        await asyncio.sleep(0.2)
        await _render(renderer)
        await asyncio.sleep(0.2)
        assert renderer._child is first, "it rests from its last letter on"
        await asyncio.wait_for(first.wait(), 5)
        assert isinstance(await _render(renderer), Rendered)
        assert renderer._child is not first


async def test_closing_waits_for_a_child_that_is_just_let_go(folder: Path) -> None:
    write_template(folder, "probe", text="Hello")
    renderer = Renderer([folder, SHIPPED], rest=0)
    await _render(renderer)
    child = renderer._child
    assert child is not None
    while renderer._child is not None:  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0)
    assert child.returncode is None, "it is killed, and not gone yet"
    await renderer.aclose()
    assert child.returncode is not None


async def test_letters_that_come_as_the_child_is_let_go_are_rendered(folder: Path) -> None:
    write_template(folder, "probe", text="Hello")
    async with Renderer([folder, SHIPPED], rest=0) as renderer:
        for pause in (0, 0, 0.001, 0.01):
            assert isinstance(await _render(renderer), Rendered)
            await asyncio.sleep(pause)


async def test_a_child_that_does_not_start_says_how_to_find_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_template(folder, "probe")
    monkeypatch.setattr("sys.executable", "/bin/false")
    async with Renderer([folder, SHIPPED]) as renderer:
        with pytest.raises(RendererBroken, match="to see why"):
            await _render(renderer)


async def test_a_child_that_hung_up_and_lives_is_killed(tmp_path: Path) -> None:
    renderer, pipe = Renderer([tmp_path], Limits(wall_seconds=0.2)), asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec("sleep", "60", stdin=pipe, stdout=pipe)
    assert "SIGKILL" in await renderer._cause_of_death(child)
