"""Single mistakes are made everywhere, noticed by whoever can, and told when nobody does."""

from __future__ import annotations

import random
import shutil
import sys
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.backends.examples import run_example
from pvhspec.diagnostics import PvhError
from pvhspec.ir.lower import lower
from pvhspec.mutation.bench import Bench, changed
from pvhspec.mutation.corpus import corpus
from pvhspec.mutation.judge import Verdict, _Late, _limited
from pvhspec.mutation.known import Known
from pvhspec.mutation.make import Mutant, mutants, with_mutant, without_examples
from pvhspec.mutation.reasons import FILE, read_reasons, stale
from pvhspec.mutation.run import Judged, chosen, judge_all
from pvhspec.mutation.tell import Score
from pvhspec.names.load import Sources, load

BELL = Path(__file__).parents[1] / "cli" / "inputs" / "bell"


@cache
def sources(folder: Path) -> Sources:
    found, errors = load(folder)
    assert found is not None, errors
    return found


@cache
def bell() -> tuple[Judged, ...]:
    work = list(mutants(sources(BELL)))
    return tuple(judge_all(sources(BELL), work, [], budget=2.0, jobs=1, cache=False))


def verdict(place: str, what: str) -> str:
    (found,) = [
        j for j in bell() if j.mutant.place.endswith(place) and j.mutant.what.startswith(what)
    ]
    return found.verdict.killer


def test_a_mutant_is_the_text_but_for_one_place() -> None:
    whole = sources(BELL)
    for mutant in mutants(whole):
        changed = with_mutant(whole, mutant)
        others = [m for n, m in enumerate(whole.modules) if n != mutant.module]
        assert [m for n, m in enumerate(changed.modules) if n != mutant.module] == others
        assert changed.modules[mutant.module] != whole.modules[mutant.module], mutant.what


def test_every_mistake_is_another() -> None:
    made = [(m.place, m.steps, m.kind, repr(m.node)) for m in mutants(sources(_data.spec_dir()))]
    assert len(set(made)) == len(made)
    assert len(made) > 2000


@pytest.mark.parametrize(
    "place, what, who",
    [
        ("BELL_ring.no_bell", "drop an error", "examples"),
        ("BELL_ring.no_bell", "other code: EINVAL -> EPERM", "checker"),
        ("chosen", "any instead of the lowest", "examples"),
        ("BELL_hang.success", "drop an effect: hung[chosen]", "examples"),
        ("BELL_hang.no_hook", "drop an error", "complete"),
        ("bell_hang", "wrong size", "complete"),
        ("BELL_hang.too_shrill", "drop an error", ""),
        ("BELL_hang.success", "drop an effect: pitch[chosen]", ""),
    ],
)
def test_who_notices(place: str, what: str, who: str) -> None:
    assert verdict(place, what) == who


def test_what_could_be_taken_away_is_told() -> None:
    score = Score(list(bell()), [])
    assert "house.bells.BELL_hang.too_shrill" in score.unnoticed
    assert "house.bells.BELL_ring.no_bell" not in score.unnoticed
    assert 40 < score.share < 60


def test_an_effect_on_one_side_of_a_bind_is_missed_by_a_proof_too() -> None:
    whole = sources(_data.spec_dir())
    (mutant,) = [
        m
        for m in chosen(whole, ["evtchn.bind.EVTCHNOP_bind_interdomain.*"], None, 0)
        if m.what.startswith("drop an effect: channel[peer, remote_port]")
    ]
    bare = without_examples(whole)
    (found,) = judge_all(bare, [mutant], [], budget=20.0, jobs=1, cache=False)
    assert found.verdict.killer == "prove"
    assert "EVTCHNOP_bind_interdomain breaks symmetric" in found.verdict.by


@pytest.mark.slow
def test_a_sample_of_the_specification() -> None:
    whole = sources(_data.spec_dir())
    work = chosen(whole, [], 12, 3)
    shortest = [p for p in corpus() if p.stat().st_size < 20_000]
    judged = judge_all(whole, work, shortest, budget=2.0, cache=False)
    assert [j.mutant for j in judged] == work
    assert sum(j.verdict.killer in ("examples", "checker") for j in judged) >= 6


def test_a_part_of_the_text_comes_to_the_same_as_all_of_it() -> None:
    whole = sources(_data.spec_dir())
    bench = Bench(whole)
    for mutant in chosen(whole, [], 25, 5):
        found, what, _ = bench.mutated(mutant)
        spec, errors = lower(without_examples(with_mutant(whole, mutant)))
        assert (what is None) == any(e.severity == "error" for e in errors), mutant
        if what is not None:
            assert what == changed(bench.spec, spec), mutant
            assert replace(found, examples=()) == replace(spec, examples=()), mutant


def test_a_state_that_only_a_drift_reads_is_shown_to_who_reads_what_drifts() -> None:
    whole = sources(_data.spec_dir())
    (mutant,) = [
        m
        for m in chosen(whole, ["grant.table.grant_stores_shown"], None, 0)
        if m.what == "other value: true -> false"
    ]
    (found,) = judge_all(whole, [mutant], [], budget=2.0, jobs=1, cache=False)
    assert found.verdict.killer == "examples"


def test_events_that_an_obligation_waits_for_are_shown_a_state_it_reads() -> None:
    bench = Bench(sources(_data.spec_dir()))
    what = replace(changed(bench.spec, bench.spec), states=frozenset({"nmi_sent"}))
    assert {"upcall", "hypercall"} <= what.with_readers(bench.readers).kinds


@pytest.mark.parametrize("place", ["vcpu.state.apic_starts", "evtchn.channel.told_by_others"])
def test_what_has_nothing_to_do_with_a_state_is_ready_made(place: str) -> None:
    bench = Bench(sources(_data.spec_dir()))
    for mutant in chosen(bench.sources, [place], None, 0):
        spec, what, _ = bench.mutated(mutant)
        assert what is not None
        for number in bench.choose(mutant, what)[::40]:
            example = bench.spec.examples[number]
            ready = bench.ready(spec, what, (example.version, example.mode))
            assert run_example(spec, example, ready) == run_example(spec, example)


def test_what_reads_a_changed_state_is_made_anew_and_nothing_else() -> None:
    bench, where = Bench(sources(_data.spec_dir())), ((4, 17), "pvh_dom0")
    nothing = changed(bench.spec, bench.spec)
    what = replace(nothing, states=frozenset({"told_by_others"}))
    base, ready = (bench.ready(bench.spec, w, where) for w in (nothing, what))
    near = what.with_readers(bench.readers).operations
    ops = [o for o in bench.spec.operations if o.id.startswith("evtchn.")]
    anew = {o.id for o in ops if ready.stepper(o) is not base.stepper(o)}
    assert anew == near.intersection(o.id for o in ops)
    assert 0 < len(anew) < len(ops)


def test_a_module_is_imported_to_its_end_before_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_import.py").write_text(
        "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(_Late), _limited(0.1):
        import_module("slow_to_import")
        while True:
            pass
    assert "slow_to_import" in sys.modules


def test_what_was_found_is_kept_until_what_noticed_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "bell"
    shutil.copytree(BELL, folder)
    asked: list[int] = []

    def run() -> list[str]:
        whole = load(folder)[0]
        assert whole is not None
        asked.clear()
        work = chosen(whole, ["*.BELL_ring.no_bell"], None, 0)
        found = judge_all(
            whole, work, [], budget=2.0, last="examples", jobs=1, done=lambda n, _: asked.append(n)
        )
        return [j.verdict.killer for j in found]

    first = run()
    assert "examples" in first
    assert len(asked) == len(first)
    assert run() == first
    assert asked == []
    module = folder / "house" / "bells.abi"
    text = module.read_text()
    module.write_text(text.replace("example ", "# \nexample ", 1))  # a line further down
    assert run() == first
    assert asked == []
    module.write_text(text[: text.index("counterexample")].rpartition("\nexample ")[0])
    assert "examples" not in run()


# ---- reasons -----------------------------------------------------------------------------------


def reasons(folder: Path, text: str) -> Path:
    (folder / FILE).write_text(text)
    return folder


def some() -> list[Mutant]:
    return [j.mutant for j in bell() if not j.verdict.killer]


def test_a_reason_lets_a_mutant_live(tmp_path: Path) -> None:
    text = "# bells\n\nhouse.bells.*.too_shrill | off by one: * | nobody hears the difference\n"
    found = read_reasons(reasons(tmp_path, text))
    score = Score(list(bell()), found)
    shrill = [
        j for j in score.alive if "off by one" in j.mutant.what and "too_shrill" in j.mutant.place
    ]
    assert shrill
    assert {score.why(j) for j in shrill} == {"nobody hears the difference"}
    assert not set(map(id, shrill)) & set(map(id, score.unexplained))
    assert stale(found, some(), some(), whole=True) == []


def test_any_example_may_show_what_is_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    whole = sources(_data.spec_dir())
    owed = next(m for m in mutants(whole) if m.place == "evtchn.delivery.owed_by_apic")
    Known(Bench(whole), [], 1.0).add(owed, "examples", Verdict(""))
    assert Known(Bench(whole), [], 1.0).verdict(owed, "examples") == Verdict("")
    fewer = tuple(
        replace(m, items=m.items[:-1]) if m.name.text == "cpuid.leaves_examples" else m
        for m in whole.modules
    )
    assert Known(Bench(replace(whole, modules=fewer)), [], 1.0).verdict(owed, "examples") is None


def test_a_reason_of_nothing_is_an_error(tmp_path: Path) -> None:
    found = read_reasons(reasons(tmp_path, "house.bells.BELL_drop | * | there is none\n"))
    (error,) = stale(found, some(), some(), whole=True)
    assert error.code == "PVH524"
    assert stale(found, some(), some(), whole=False) == []


def test_every_reason_is_of_a_mistake_that_can_be_made() -> None:
    made = list(mutants(sources(_data.spec_dir())))
    found = read_reasons(_data.spec_dir())
    assert found
    assert stale(found, made, made, whole=True) == []


@pytest.mark.slow
def test_no_example_notices_what_may_live() -> None:
    whole = sources(_data.spec_dir())
    every = list(mutants(whole))
    told = [(r, [m for m in every if r.of(m)]) for r in read_reasons(_data.spec_dir())]
    narrow = [(r, of) for r, of in told if len(of) <= 2]
    some = random.Random(3).sample(narrow, 25)  # `make mutants` asks all of them
    found = [r for r, _ in some]
    work = [m for m in every if any(m in of for _, of in some)]
    judged = judge_all(whole, work, [], budget=2.0, last="examples", cache=False)
    assert stale(found, [j.mutant for j in judged if not j.verdict.killer], work, True) == []


def test_a_reason_has_three_parts(tmp_path: Path) -> None:
    with pytest.raises(PvhError) as caught:
        read_reasons(reasons(tmp_path, "house.bells.* | drop an error\n"))
    assert [e.code for e in caught.value.diagnostics] == ["PVH523"]


def test_a_mutant_that_cannot_be_compiled_is_the_checkers() -> None:
    for judged in bell():
        _, errors = lower(with_mutant(sources(BELL), judged.mutant))
        if judged.verdict.killer == "checker":
            assert errors, judged.mutant.what
