"""What the ABI is known to say, fact by fact, and where the specification says it.

The lists are in `spec/facts`: what the project set out with, what its first documents state, and
every hypercall of Xen's public headers. A row of them names clauses by patterns, or the reason why
there are none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pvhspec import _data
from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.ir.ir import Spec

__all__ = ["LISTS", "Fact", "backends", "examples_of", "facts", "rows_of"]

NO_LIST = code("PVH580", "A list of facts cannot be read, or is not TOML.")
BAD_ROW = code("PVH581", "A row of a list of facts is not words and patterns, or a reason.")
NO_CLAUSE = code("PVH582", "A fact names clauses that the specification lacks.")

#: The files, and what each is a list of.
LISTS = {
    "inventory.toml": "The facts of the ABI",
    "versions.toml": "What differs between releases",
    "failures.toml": "What went wrong before",
    "calls.toml": "Hypercalls and their commands",
    "seeds.toml": "What the first documents state",
}
_NOT = "- "
_TABLE = "hypercalls"


@dataclass(slots=True)
class Fact:
    """One row: its name, a few words, and the clauses that say it, or why there are none."""

    id: str
    what: str
    group: str
    source: str
    clauses: list[str] = field(default_factory=list)
    reason: str | None = None


def facts(spec: Spec, folder: Path | None = None) -> list[Fact]:
    """All rows, in the order of the lists. Raises PvhError for what is wrong with them."""
    where = folder or _data.spec_dir() / "facts"
    found: list[Fact] = []
    errors: list[Diagnostic] = []
    for name in LISTS:
        path = where / name
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
            errors.append(Diagnostic(NO_LIST, f"{path}: {error}"))
            continue
        rows = _calls if name == "calls.toml" else _rows
        try:
            found += rows(spec, name, table)
        except PvhError as error:
            errors += error.diagnostics
    if errors:
        raise PvhError(*errors)
    return found


def _rows(spec: Spec, name: str, table: Mapping[str, Any]) -> list[Fact]:
    found, errors = list[Fact](), list[Diagnostic]()
    for group, rows in table.items():
        for ident, row in rows.items():
            if (
                not isinstance(row, list)
                or len(row) < 2
                or not all(isinstance(p, str) for p in row)
            ):
                errors.append(Diagnostic(BAD_ROW, f"{ident} is not [words, patterns]", path=name))
                continue
            what, *patterns = row
            fact = Fact(ident, what, group, name)
            found.append(fact)
            reasons = [p.removeprefix(_NOT) for p in patterns if p.startswith(_NOT)]
            for pattern in patterns:
                if pattern.startswith(_NOT):
                    continue
                matched = [c for c in spec.clauses if fnmatchcase(c, pattern)]
                if not matched and not reasons:
                    what = f"{ident}: no clause matches {pattern}"
                    errors.append(Diagnostic(NO_CLAUSE, what, path=name))
                fact.clauses += [c for c in matched if c not in fact.clauses]
            if reasons and not fact.clauses:
                fact.reason = reasons[0]
    if errors:
        raise PvhError(*errors)
    return found


def _calls(spec: Spec, name: str, table: Mapping[str, Any]) -> list[Fact]:
    """Hypercalls by their entry in the table, commands by the operation of their name."""
    by_part: dict[str, list[str]] = {}
    for clause in spec.clauses:
        for part in clause.split(".")[2:3]:
            by_part.setdefault(part, []).append(clause)
    found, errors = list[Fact](), list[Diagnostic]()
    for family, row in table.items():
        try:
            names, prefix = str(row["names"]).split(), str(row.get("prefix", ""))
            more = dict(row.get("more", {}))
        except (KeyError, TypeError, ValueError):
            errors.append(Diagnostic(BAD_ROW, f"[{family}] does not say its names", path=name))
            continue
        for each in (*names, *more):
            what = _what(spec, family, each)
            when = f", {more[each]}" if each in more else ""
            fact = Fact(f"{prefix}{each}", f"{what}{when}", family, name)
            found.append(fact)
            fact.clauses = by_part.get(fact.id, [])
            if not fact.clauses and "by" in row:
                fact.clauses = [c for c in spec.clauses if fnmatchcase(c, row["by"])]
            fact.reason = row.get("not", {}).get(each, row.get("rest"))
            if fact.clauses:
                fact.reason = None
            elif fact.reason is None:
                what = f"{fact.id}: there is no such operation, and no reason why not"
                errors.append(Diagnostic(NO_CLAUSE, what, path=name))
    if errors:
        raise PvhError(*errors)
    return found


def _what(spec: Spec, family: str, name: str) -> str:
    if family != _TABLE:
        return f"a command of {family}"
    number = next((n for n, call in spec.hypercalls.items() if call.name == name), None)
    return "a hypercall" if number is None else f"hypercall {number}"


# ---- what there is to a clause -------------------------------------------------------------------


def examples_of(spec: Spec, clauses: list[str]) -> int:
    """How many counterexamples break one of the clauses."""
    return sum(example.violates in clauses for example in spec.examples)


def backends(spec: Spec, clauses: list[str]) -> list[str]:
    """What holds anything to the clauses: `traces` (the interpreter, machine code, and the solver
    for a trace as a whole), `calls` (those that are generated), `proof`."""
    found: set[str] = set()
    for clause in (spec.clauses[name] for name in clauses):
        modes = clause.gate.modes
        held = _HOLD.get(clause.kind, _CALLED)
        # Only PVH guests are there to make calls.
        called = modes is None or modes & spec.groups.get("pvh", modes)
        found.update(each for each in held if called or each != "calls")
    return [each for each in _CALLED if each in found]


_HOLD = {
    "invariant": ("proof",), "obligation": ("traces", "proof"), "require": ("traces",),
    "undefined": ("traces",), "table": ("traces", "calls"), "frame": ("traces", "calls"),
}  # fmt: skip
_CALLED = ("traces", "calls", "proof")  #: what an operation's clauses are held to by


def rows_of(found: list[Fact], patterns: list[str]) -> Iterator[Fact]:
    """Those whose name matches one of the patterns; all, where there are none."""
    for fact in found:
        if not patterns or any(fnmatchcase(fact.id, p) for p in patterns):
            yield fact
