"""What was found of mutants before, as long as nothing changes that it hangs on.

A line of the file is written as soon as something is found. What an example noticed hangs on that
example; what none noticed, on all that could have.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from pvhspec.ir.cache import cache_dir
from pvhspec.mutation.bench import Bench
from pvhspec.mutation.judge import Verdict, Witness
from pvhspec.mutation.make import Mutant
from pvhspec.syntax import ast

__all__ = ["Known"]

_CODE = (
    "backends/*.py", "backends/interpreter/*.py", "backends/solver/*.py", "ir/**/*.py",
    "names/*.py", "types/*.py", "mutation/[bcjp]*.py",
)  # fmt: skip
_SPAN = re.compile(r"Span\([^)]*\)")


class Known:
    """Verdicts of earlier runs, and where those of this one are put down."""

    def __init__(self, bench: Bench, traces: list[Path], budget: float) -> None:
        self._outline = bench.outline
        self._code = hashlib.sha256(_code() + f"{budget}".encode()).digest()
        self._traces = traces
        examples = bench.outline.examples()
        self._examples = [bench.outline.content([at]).hex()[:16] for at in examples]
        self._there = set(self._examples)
        self._told_by: dict[tuple[int, int], set[str]] = {}
        for name, needs in zip(self._examples, examples.values(), strict=True):
            for place in needs:
                self._told_by.setdefault(place, set()).add(name)
        self._obligations = bench.outline.all_of(ast.ObligationDecl)
        self._lines: dict[tuple[str, Witness], dict[str, Any]] = {}
        for line in _read():
            self._lines[line["mutant"], line["witness"]] = line

    def verdict(self, mutant: Mutant, witness: Witness) -> Verdict | None:
        """What a witness said of a mutant, if it still holds."""
        line = self._lines.get((self._own(mutant), witness))
        if line is None:
            return None
        on = line["on"]
        holds = on in self._there if line["killer"] == "examples" else on == self._on(mutant, line)
        return Verdict(line["killer"], line["by"]) if holds else None

    def add(self, mutant: Mutant, witness: Witness, verdict: Verdict) -> None:
        """Put a verdict down."""
        line = {
            "mutant": self._own(mutant), "witness": witness, "killer": verdict.killer,
            "by": verdict.by, "seconds": round(verdict.seconds, 3),
        }  # fmt: skip
        by_example = verdict.killer == "examples"
        line["on"] = self._examples[verdict.example] if by_example else self._on(mutant, line)
        try:
            _file().parent.mkdir(parents=True, exist_ok=True)
            with _file().open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError:
            return  # a cache that cannot be written only costs time

    def _own(self, mutant: Mutant) -> str:
        """The mutant and the text that means something else by it."""
        made = hashlib.sha256(self._code + self._around(mutant.declaration))
        what = mutant.place, mutant.what, mutant.steps[2:], repr(mutant.node)
        made.update(_SPAN.sub("", repr(what)).encode())
        return made.hexdigest()[:32]

    def _around(self, place: tuple[int, int]) -> bytes:
        if place not in self._contents:
            self._contents[place] = self._outline.content(self._outline.users(place))
        return self._contents[place]

    @cached_property
    def _contents(self) -> dict[tuple[int, int], bytes]:
        return {}

    def _on(self, mutant: Mutant, line: dict[str, Any]) -> str:
        """All else that a verdict hangs on, beside an example's."""
        if line["killer"] in ("checker", "same"):
            return ""
        if line["witness"] == "examples":
            users = self._outline.users(mutant.declaration)
            told = {name for at in users for name in self._told_by.get(at, ())}
            if users & self._obligations:  # whatever an example is about, it may show what is owed
                told = self._there
            return self._outline.digest(told).hex()[:16]
        return self._seen if line["witness"] == "traces" else self._claims

    @cached_property
    def _seen(self) -> str:
        made = hashlib.sha256()
        for path in self._traces:
            made.update(path.read_bytes())
        return made.hexdigest()[:16]

    @cached_property
    def _claims(self) -> str:
        claims = self._outline.all_of(ast.InvariantDecl, ast.ObligationDecl)
        return self._outline.content(claims).hex()[:16]


def _code() -> bytes:
    """The code that a verdict depends on."""
    made = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for pattern in _CODE:
        for path in sorted(package.glob(pattern)):
            made.update(path.read_bytes())
    return made.digest()


def _file() -> Path:
    return cache_dir() / "mutants.jsonl"


def _read() -> list[dict[str, Any]]:
    try:
        with _file().open(encoding="utf-8") as stream:
            return [json.loads(line) for line in stream if line.endswith("}\n")]
    except (OSError, ValueError):  # whatever is wrong with it, it is only made again
        return []
