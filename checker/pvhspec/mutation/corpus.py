"""Traces of real hypervisors: what each shows, and whether a mutant judges one otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pvhspec import _data
from pvhspec.diagnostics import PvhError
from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.mutation.bench import Changed
from pvhspec.report.verdict import Report
from pvhspec.traces import open_trace

__all__ = ["Shown", "corpus", "differs", "look", "telling"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A trace, the clauses it is about, and those it violates. `weight`: how long it is."""

    path: str
    clauses: frozenset[str]
    broken: frozenset[str]
    weight: int
    release: str


def corpus() -> list[Path]:
    """The captures that come with the project."""
    folder = _data.traces_dir() / "corpus"
    return [*sorted((folder / "real").glob("*.jsonl")), *sorted((folder / "probe").glob("*.gz"))]


def _judged(spec: Spec, path: str) -> Report:
    trace = open_trace(path, None)
    try:
        return judge(spec, trace)
    finally:
        trace.close()


def look(spec: Spec, path: Path) -> Shown:
    """What a trace shows of the specification as it is."""
    report = _judged(spec, str(path))
    clauses = {*report.conforms, *report.violates, *report.unseen}
    return Shown(
        str(path), frozenset(clauses), frozenset(report.violates), report.events, report.release
    )


def telling(spec: Spec, what: Changed, place: str, shown: Iterable[Shown]) -> list[Shown]:
    """The traces that may tell, the shortest first; one that adds no clause of what is changed to
    those before it, on its release, is left out."""
    mine = set(what.clauses(spec))
    told: set[tuple[str, str]] = set()
    found: list[Shown] = []
    for trace in sorted(shown, key=lambda s: s.weight):
        about = {c for c in trace.clauses if c in mine or c == place or c.startswith(f"{place}.")}
        new = {(c, trace.release) for c in about} - told
        if new:
            told |= new
            found.append(trace)
    return found


def differs(spec: Spec, shown: Shown) -> str:
    """How a mutant's verdict on a trace is another; empty if it is the same."""
    name = Path(shown.path).name
    try:
        broken = frozenset(_judged(spec, shown.path).violates)
    except PvhError as error:
        return f"{name}: {error}"
    if broken == shown.broken:
        return ""
    more, fewer = sorted(broken - shown.broken), sorted(shown.broken - broken)
    return f"{name} violates {more[0]}" if more else f"{name} does not violate {fewer[0]}"
