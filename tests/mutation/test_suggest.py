"""An example that is suggested is text, holds, and notices the mistake that it was made for."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.backends.examples import run_example
from pvhspec.ir.lower import lower
from pvhspec.mutation.bench import Bench
from pvhspec.mutation.example_text import example_text
from pvhspec.mutation.make import Mutant
from pvhspec.mutation.run import chosen, judge_all
from pvhspec.mutation.suggest import Suggested, suggestions
from pvhspec.names.load import Sources, load
from pvhspec.syntax.format import format_text

BELL = Path(__file__).parents[1] / "cli" / "inputs" / "bell"


def sources(folder: Path) -> Sources:
    found, errors = load(folder)
    assert found is not None, errors
    return found


def survivors(whole: Sources, only: list[str]) -> list[Mutant]:
    work = chosen(whole, only, None, 0)
    judged = judge_all(whole, work, [], budget=2.0, last="examples", jobs=1, cache=False)
    return [j.mutant for j in judged if not j.verdict.killer]


@cache
def bell() -> tuple[Suggested, ...]:
    whole = sources(BELL)
    return tuple(suggestions(Bench(whole), survivors(whole, ["house.bells.BELL_*"]), 4.0))


def test_what_is_suggested_for_a_module_leaves_none_of_its_mistakes_alive(tmp_path: Path) -> None:
    spec = Bench(sources(BELL)).spec
    found = [s for s in bell() if s.example is not None]
    assert len(found) >= 10
    assert any(s.old for s in found)
    shutil.copytree(BELL, tmp_path / "bell")
    module = tmp_path / "bell" / "house" / "bells.abi"
    texts = [example_text(spec, s.example) for s in found if s.example is not None and not s.old]
    text = "\n".join([module.read_text(), *texts])
    module.write_text(text)
    assert format_text(text, "house/bells.abi") == (text, [])
    whole = sources(tmp_path / "bell")
    made, errors = lower(whole)
    assert errors == []
    assert [run_example(made, e).wrong for e in made.examples] == [None] * len(made.examples)
    alive = {(m.place, m.what) for m in survivors(whole, ["house.bells.BELL_*"])}
    assert alive == {(s.mutant.place, s.mutant.what) for s in bell() if s.example is None}


@pytest.mark.parametrize(
    "place, what",
    [
        ("BELL_hang.too_shrill", "off by one: 9000 -> 9001"),  # by another value
        ("BELL_hang.success", "drop an effect: pitch[chosen]"),  # by a later call
        ("BELL_hang.no_hook", "other quantifier"),  # by another state
    ],
)
def test_mistakes_of_many_kinds_get_one(place: str, what: str) -> None:
    (found,) = [
        s for s in bell() if s.mutant.place.endswith(place) and s.mutant.what.startswith(what)
    ]
    assert found.example is not None


def test_what_nothing_can_show_gets_none() -> None:
    (found,) = [s for s in bell() if s.mutant.what == "off by one: hook >= 16 -> hook > 16"]
    assert found.example is None


def test_a_command_is_called_by_its_number() -> None:
    whole = sources(_data.spec_dir())
    (mutant,) = [
        m
        for m in chosen(whole, ["sched.op.SCHEDOP_yield"], None, 0)
        if m.what.startswith("other number")
    ]
    bench = Bench(whole)
    (found,) = suggestions(bench, [mutant], 4.0)
    assert found.example is not None
    assert example_text(bench.spec, found.example) == (
        'example "Nothing comes of it." on 4.17 pvh_dom0 {\n'
        "  hypercall(nr = 29, arg[0] = 0) -> 0\n}\n"
    )
