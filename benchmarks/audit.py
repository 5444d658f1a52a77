"""Compares what the ledger says with what a relay took, letter by letter. It trusts neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Taken = Counter[tuple[str, str]]
"""How often a relay took a letter, by Message-ID and recipient."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What two that were measured in turn did, in letters a second."""

    ours: float
    theirs: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table at the end: what was measured, by which script, and against what it was held."""

    what: str
    ours: str
    peer: str
    ratio: str
    promise: str
    script: str
    kept: bool


@dataclass(slots=True)
class Score:
    """Checks that passed and failed; its last line is the verdict."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    script: str = ""
    """Which script is measuring, for the table."""

    def check(self, what: str, found: object, wanted: object = 0) -> None:
        """Compare one figure with what it must be, and print both."""
        right = found == wanted
        self._count(what, f"{found}{'' if right else f', wanted {wanted}'}", right=right)

    def at_most(self, what: str, found: float, limit: float) -> None:
        """Hold one figure to a limit, and print both."""
        right = found <= limit
        self._count(what, f"{_short(found)} (at most {_short(limit)})", right=right)
        self.figures.append(Figure(what, _short(found), "", "", f"<= {_short(limit)}", self.script, right))

    def at_least(self, what: str, found: float, limit: float) -> None:
        """Hold one figure to what is promised, and print both."""
        right = found >= limit
        self._count(what, f"{_short(found)} (at least {_short(limit)})", right=right)
        self.figures.append(Figure(what, _short(found), "", "", f">= {_short(limit)}", self.script, right))

    def outruns(self, peer: str, ratio: float, rates: Rates, limit: float) -> None:
        """Hold our rate to a multiple of a peer's, and print both; `ratio` is the median of many, each of one pair."""
        right, ours, theirs = ratio >= limit, f"{rates.ours:,.0f}/s", f"{rates.theirs:,.0f}/s"
        self._count(f"times {peer}", f"{_short(ratio)} ({ours}, {theirs}; at least {_short(limit)})", right=right)
        self.figures.append(Figure(peer, ours, theirs, _short(ratio), f">= {_short(limit)}", self.script, right))

    def show(self) -> None:
        """Print every figure that was held to a promise, in one table."""
        head = ("figure", "ours", "peer", "ratio", "promise", "script")
        rows = [(one.what, one.ours, one.peer, one.ratio, one.promise, one.script) for one in self.figures]
        marks = ["", *("" if one.kept else "  FAIL" for one in self.figures)]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        print()
        for row, mark in zip((head, *rows), marks, strict=True):
            cells = [
                f"{row[0]:<{widths[0]}}",
                *(f"{text:>{width}}" for text, width in zip(row[1:5], widths[1:5], strict=True)),
            ]
            print("  ".join([*cells, row[5]]) + mark, flush=True)

    def _count(self, what: str, figures: str, *, right: bool) -> None:
        self.passed += right
        if not right:
            self.failed.append(what)
        print(f"  {'ok  ' if right else 'FAIL'} {what}: {figures}", flush=True)

    def end(self) -> int:
        """Print the verdict; return the exit status."""
        print(f"\n{self.passed} passed, {len(self.failed)} failed", flush=True)
        return 1 if self.failed else 0


def _short(figure: float) -> str:
    return f"{figure:.3g}" if figure < 100 else f"{figure:,.0f}"


def relay_log(path: Path) -> Taken:
    """Read the log of the fault relay."""
    if not path.exists():
        return Counter()
    with path.open(encoding="utf-8") as lines:
        return Counter(tuple(line.split()) for line in lines)  # type: ignore[misc]  # two words a line


def compare(score: Score, rows: Sequence[dict[str, Any]], taken: Taken) -> None:
    """Check rows of `campaign deliveries list --json` against what the relay took.

    Accepted letters were taken exactly once, letters in doubt at most once, all others never, and nothing was taken
    that the ledger does not know.
    """
    known = {(row["message_id"], row["address"]): row["state"] for row in rows if row["message_id"]}
    times = {state: Counter(taken[key] for key, s in known.items() if s == state) for state in set(known.values())}
    accepted, in_doubt = times.get("accepted", Counter()), times.get("in_doubt", Counter())
    others: Counter[int] = sum((c for s, c in times.items() if s not in {"accepted", "in_doubt"}), Counter())
    score.check("lost (accepted in the ledger, never taken)", accepted[0])
    score.check("doubled (taken more than once)", sum(n - 1 for n in taken.values() if n > 1))
    score.check("taken, but neither accepted nor in doubt", sum(n for times, n in others.items() if times))
    score.check("taken, but unknown to the ledger", sum(key not in known for key in taken))
    print(f"       in doubt and taken: {in_doubt[1]}, in doubt and not taken: {in_doubt[0]}", flush=True)
