"""Names say a floor and a room; modules say what they know; what is switched off says why."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.house import source

NAMELESS: Final = frozenset(
    [
        "base",
        "common",
        "core",
        "data",
        "handle",
        "handler",
        "helper",
        "helpers",
        "info",
        "manager",
        "misc",
        "process",
        "util",
        "utils",
    ]
)
LATER: Final = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
OFF: Final = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no\s*cover|fmt:\s*(?:off|skip))", re.IGNORECASE)
REASON: Final = re.compile(r"(?:--|#[^#]+#)\s+\S.*\w")
OUR_LAYOUT: Final = re.compile(r"#\s*fmt:\s*(?:on|off|skip)", re.IGNORECASE)
"""Laying out a table by hand needs no excuse: that it is a table can be seen."""


def test_files_are_named_for_what_they_know() -> None:
    wrong = []
    for path in source.modules():
        parts = {*path.stem.split("_"), *path.relative_to(source.ROOT).parts[:-1]}
        if parts & NAMELESS:
            wrong.append(source.name(path))
    assert not wrong


def test_modules_open_with_what_they_know() -> None:
    wrong = []
    for path in source.modules():
        tree = source.tree(path)
        if tree.body and not (ast.get_docstring(tree) or "").split("\n\n")[0].endswith("."):
            wrong.append(f"{source.name(path)}: begin with one or two sentences")
        if _has_code(tree) and "from __future__ import annotations" not in path.read_text(encoding="utf-8"):
            wrong.append(f"{source.name(path)}: from __future__ import annotations")
    assert not wrong, "\n".join(["", *wrong])


def test_nothing_is_put_off_and_what_is_switched_off_says_why() -> None:
    wrong = []
    for path in source.modules():
        for line, comment in source.comments(path):
            if LATER.search(comment):
                wrong.append(f"{source.name(path)}:{line}: {comment} (do it, or open an issue)")
            if OFF.search(comment) and not OUR_LAYOUT.search(comment) and not REASON.search(comment):
                wrong.append(f"{source.name(path)}:{line}: {comment} (say why: `-- because ...`)")
    assert not wrong, "\n".join(["", *wrong])


def _has_code(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree.body)


def test_the_rules_catch_what_they_are_for() -> None:
    assert OFF.search("# noqa: S311")
    assert not REASON.search("# noqa: S311")
    assert REASON.search("# noqa: S311 -- jitter only")
    assert not REASON.search("# type: ignore[misc]")
    assert REASON.search("# type: ignore[misc]  # untyped upstream")
    assert REASON.search("# type: ignore[misc] -- the point of the test")
    assert LATER.search("# " + "TO" + "DO later")
