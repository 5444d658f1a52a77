"""Finds out whether a template only prints personal fields, or does something with them. It never renders.

A field that is only printed can be a slot: the letter is made once and filled in for each person. One that is tested,
filtered, stored or captured changes the letter around it, so each person's letter must be rendered by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, TemplateAssertionError, nodes

PERSONAL: Final = frozenset({"person", "links"})
_CAPTURING: Final = (nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock)
_REASONS: Final[Sequence[tuple[type[nodes.Node], str]]] = (
    (nodes.Filter, "goes through a filter"),
    (nodes.Test, "is tested"),
    (nodes.Compare, "is compared"),
    (nodes.CondExpr, "is used in a condition"),
    (nodes.If, "is used in a condition"),
    (nodes.For, "is used in a loop"),
    (nodes.Call, "is given to a macro"),
    (nodes.Assign, "is stored in a variable"),
    (nodes.With, "is stored in a variable"),
    (nodes.Include, "decides what is included"),
)


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a personal field is more than printed."""

    file: str
    line: int
    why: str


@dataclass(slots=True)
class _Visit:
    """What is known while one file is walked through."""

    file: str
    found: list[Use]
    printed: list[tuple[str, int]]
    next: list[tuple[str | None, bool]]
    blocks_captured: bool = False


def personal_uses(
    environment: Environment, sources: Mapping[str, str], roots: Sequence[str], tell: Callable[[str], None]
) -> list[Use]:
    """Return each place, in the files that `roots` reach, where a personal field is more than printed."""
    waiting: list[tuple[str | None, bool]] = [(root, False) for root in roots]
    seen: set[tuple[str | None, bool]] = set()
    found: list[Use] = []
    printed: list[tuple[str, int]] = []
    blocks_captured = False
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        name, captured = place
        if name is None:
            waiting += [(each, captured) for each in sources]
        elif name in sources:
            tell(name)
            visit = _Visit(name, found, printed, waiting)
            _walk(environment.parse(sources[name], name, name), visit, captured=captured, why="")
            blocks_captured |= visit.blocks_captured
    if blocks_captured:
        found += [Use(file, line, "is printed in a block whose text is used elsewhere") for file, line in printed]
    return sorted(set(found), key=lambda use: (use.file, use.line))


def _walk(node: nodes.Node, visit: _Visit, *, captured: bool, why: str) -> None:
    """Look at `node` and all below it; `captured`: what is printed here does not go straight into the letter."""
    if isinstance(node, nodes.ScopedEvalContextModifier | nodes.EvalContextModifier):
        raise TemplateAssertionError("escaping cannot be switched off", node.lineno, visit.file, visit.file)
    if slot := _slot(node):
        visit.found.append(Use(visit.file, node.lineno, f"{slot} {why}"))
        return
    if isinstance(node, nodes.Name) and node.name in PERSONAL:
        visit.found.append(Use(visit.file, node.lineno, f"{node.name} {why or 'is used as a whole'}"))
        return
    if isinstance(node, nodes.Name) and node.name in {"self", "super"}:
        visit.blocks_captured = True
    if isinstance(node, nodes.Test) and node.name in {"defined", "undefined"} and _slot(node.node):
        return
    if isinstance(node, nodes.Block) and captured:
        visit.blocks_captured = True
    visit.next.extend(_references(node, captured=captured))
    captured = captured or isinstance(node, _CAPTURING) or (isinstance(node, nodes.For) and node.recursive)
    why = next((reason for kind, reason in _REASONS if isinstance(node, kind)), why)
    for child in node.iter_child_nodes():
        if isinstance(node, nodes.Output):
            _walk_printed(child, visit, captured=captured)
        else:
            _walk(child, visit, captured=captured, why=why)


def _walk_printed(node: nodes.Node, visit: _Visit, *, captured: bool) -> None:
    """Look at one expression that is printed: a field by itself is what a slot is for."""
    slot = _slot(node)
    if slot and captured:
        visit.found.append(
            Use(visit.file, node.lineno, f"{slot} is printed inside a macro, a filter, a call or a set block")
        )
    elif slot:
        visit.printed.append((visit.file, node.lineno))
    elif not _is_super(node):
        _walk(node, visit, captured=captured, why="is computed with")


def _slot(node: nodes.Node) -> str:
    """Return `person.name` for exactly that expression (or `person["name"]`), and nothing for any other."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name in PERSONAL:
        return f"{node.node.name}.{node.attr}"
    if (
        isinstance(node, nodes.Getitem)
        and isinstance(node.node, nodes.Name)
        and node.node.name in PERSONAL
        and isinstance(node.arg, nodes.Const)
    ):
        return f"{node.node.name}.{node.arg.value}"
    return ""


def _is_super(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "super"


def _references(node: nodes.Node, *, captured: bool) -> Iterator[tuple[str | None, bool]]:
    """Name the files that `node` brings in; None stands for a name that is only known later."""
    if not isinstance(node, nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport):
        return
    captured = captured or isinstance(node, nodes.Import | nodes.FromImport)
    match node.template:
        case nodes.Const(value=str(name)):
            yield name, captured
        case nodes.Const(value=tuple() | list() as names):
            yield from ((str(name), captured) for name in names)
        case nodes.List(items=items) | nodes.Tuple(items=items) if all(isinstance(item, nodes.Const) for item in items):
            yield from ((str(item.value), captured) for item in items if isinstance(item, nodes.Const))
        case _:
            yield None, captured
