"""Modules, functions and signatures stay small. What may be larger stands here with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tests.house import source

MODULE: Final = 300
FUNCTION: Final = 40
PARAMETERS: Final = 5

LARGER: Final[dict[str, str]] = {}
"""`path` or `path::function` -> why it may be larger. An entry that is not needed any more fails the test, too."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_modules_stay_small() -> None:
    sizes = {
        source.name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in source.modules("campaign")
    }
    _judge(sizes, MODULE, "lines", exceptions={key for key in LARGER if "::" not in key})


def test_functions_stay_small() -> None:
    sizes = {key: _length(function) for key, function in _functions()}
    parameters = {key: _parameters(function) for key, function in _functions() if not key.startswith("campaign/cli/")}
    too_long = {key for key, size in sizes.items() if size > FUNCTION}
    too_wide = {key for key, size in parameters.items() if size > PARAMETERS}
    allowed = {key for key in LARGER if "::" in key}
    _judge(sizes, FUNCTION, "lines", exceptions=allowed - (too_wide - too_long))
    _judge(parameters, PARAMETERS, "parameters", exceptions=allowed - (too_long - too_wide))


def test_the_measure_measures() -> None:
    function = ast.parse('def f(self, a, *, b, c=1):\n    """One.\n\n    Two.\n    """\n    return 1\n').body[0]
    assert isinstance(function, ast.FunctionDef)
    assert (_length(function), _parameters(function)) == (2, 3)


def _judge(sizes: dict[str, int], limit: int, unit: str, *, exceptions: set[str]) -> None:
    large = {key: size for key, size in sizes.items() if size > limit}
    wrong = [f"{key} has {size} {unit}, more than {limit}" for key, size in large.items() if key not in exceptions]
    wrong += [f"{key} may be larger but is not: take it off the list" for key in sorted(exceptions - large.keys())]
    assert not wrong, "\n".join(["", *wrong])


def _functions() -> Iterator[tuple[str, _Function]]:
    for path in source.modules("campaign"):
        yield from _inside(source.name(path) + "::", source.tree(path))


def _inside(prefix: str, node: ast.AST) -> Iterator[tuple[str, _Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function):
            yield f"{prefix}{child.name}", child
        if isinstance(child, _Function | ast.ClassDef):
            yield from _inside(f"{prefix}{child.name}.", child)
        else:
            yield from _inside(prefix, child)


def _length(function: _Function) -> int:
    """Lines of code: without decorators and without the docstring, which may be as long as it has something to say."""
    doc = function.body[0] if ast.get_docstring(function) else None
    documented = (doc.end_lineno or 0) - doc.lineno + 1 if doc else 0
    return (function.end_lineno or 0) - function.lineno + 1 - documented


def _parameters(function: _Function) -> int:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return sum(argument.arg not in {"self", "cls"} for argument in arguments)
