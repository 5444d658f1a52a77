"""Compares what the ledger says with what a relay took, letter by letter. It trusts neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison found: letters lost, letters that were taken once too often, and doubts (of these taken)."""

    lost: int
    doubled: int
    in_doubt: int
    doubts_taken: int


def compare(
    score: Score, rows: Sequence[dict[str, Any]], taken: Taken, doubts: Mapping[int, tuple[int, int]] | None = None
) -> Found:
    """Check rows of `campaign deliveries list --json` against what the relay took.

    Accepted letters were taken, letters that were never in doubt only if they are accepted, all of them once at most
    and once more for each time they were sent again out of doubt; and nothing was taken that the ledger does not know.
    `doubts` says for a letter how often it was in doubt and sent again; without it, by its state, and never.
    """
    known = {(row["message_id"], row["address"]): row for row in rows if row["message_id"]}
    again = {} if doubts is None else {id_: resent for id_, (_, resent) in doubts.items()}
    held = [taken[key] for key, row in known.items() if row["state"] == "in_doubt"]
    lost = sum(row["state"] == "accepted" and not taken[key] for key, row in known.items())
    extra = {key: times - 1 for key, times in taken.items() if times > 1}
    score.check("lost (accepted in the ledger, never taken)", lost)
    if doubts is None or not any(again.values()):
        score.check("doubled (taken more than once)", sum(extra.values()))
    else:
        score.at_most("doubled, among letters sent again out of doubt", sum(extra.values()), sum(again.values()))
        unasked = sum(times > again.get(known[key]["id"], 0) for key, times in extra.items() if key in known)
        score.check("doubled more often than sent again out of doubt", unasked)
    unheard = [row for key, row in known.items() if taken[key] and row["state"] not in {"accepted", "in_doubt"}]
    if doubts is not None:
        unheard = [row for row in unheard if not doubts.get(row["id"], (0, 0))[0]]
    score.check("taken, but neither accepted nor in doubt", len(unheard))
    score.check("taken, but unknown to the ledger", sum(key not in known for key in taken))
    found = Found(lost, sum(extra.values()), len(held), sum(map(bool, held)))
    print(f"       in doubt and taken: {found.doubts_taken}, in doubt and not taken: {held.count(0)}", flush=True)
    return found
