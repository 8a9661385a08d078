"""Every example of the specification comes out as it says, and every clause has one."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.backends.examples import Result, run_examples
from pvhspec.backends.protocol import Verdict
from pvhspec.diagnostics import render_all
from pvhspec.ir.ir import Spec
from pvhspec.ir.lower import compile_folder

LIST = Path(__file__).with_name("without_example.txt")
SHOWN_BY_AN_EVENT = {"error", "success", "require", "choice", "undefined"}


@pytest.fixture(scope="module")
def spec() -> Spec:
    made, errors = compile_folder(_data.spec_dir())
    assert made is not None, render_all(errors)
    return made


@pytest.fixture(scope="module")
def results(spec: Spec) -> list[Result]:
    return list(run_examples(spec))


def test_every_example_comes_out_as_it_says(results: list[Result]) -> None:
    wrong = [
        f"{r.example.path}:{r.example.line}: {r.example.name}: {r.wrong}"
        for r in results
        if r.wrong is not None
    ]
    assert not wrong, "\n".join(wrong)


def without_reason(spec: Spec, results: list[Result]) -> list[str]:
    shown = {j.clause for r in results for j in r.judgements if j.verdict is not Verdict.UNSEEN}
    asked = [c.id for c in spec.clauses.values() if c.kind in SHOWN_BY_AN_EVENT]
    return [clause for clause in asked if clause not in shown]


def listed() -> list[str]:
    lines = (line.split("#")[0].split() for line in LIST.read_text().split("\n"))
    found = [words for words in lines if words]
    assert all(len(words) > 1 for words in found), "a reason is missing"
    return [words[0] for words in found]


def test_every_clause_has_an_example(spec: Spec, results: list[Result]) -> None:
    excused = listed()
    bare = [
        clause
        for clause in without_reason(spec, results)
        if not any(fnmatchcase(clause, pattern) for pattern in excused)
    ]
    assert not bare, f"write an example, or a reason in {LIST.name}: {', '.join(bare)}"


def test_nobody_is_excused_for_nothing(spec: Spec, results: list[Result]) -> None:
    bare = without_reason(spec, results)
    idle = [p for p in listed() if not any(fnmatchcase(clause, p) for clause in bare)]
    assert not idle, f"these have examples now: {', '.join(idle)}"
