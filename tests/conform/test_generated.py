"""Programs generated from the specification: had again from their seed, judged, shrunk, saved."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.cli import main
from pvhspec.conform.against import run_against
from pvhspec.conform.boots import Boot, Broken
from pvhspec.conform.generate import Generated, Plan, generate
from pvhspec.conform.generated import MODE, Options, plan_of, run_generated
from pvhspec.conform.pool import Pool
from pvhspec.conform.render import step_of
from pvhspec.conform.shrink import shrink
from pvhspec.conform.writer import Writer
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.programs import Layouts, compile_text, show_program
from pvhspec.report.paint import Paint
from pvhspec.report.verdict import Selection
from pvhspec.targets import Program, TargetError, steps
from tests.real import real_xen
from tests.report.schema import problems

RELEASE = (4, 17, 7)
WRONG = "evtchn.bind.EVTCHNOP_bind_virq.no_such_virq"


def spec_in(folder: Path | None = None) -> Spec:
    found, errors = load_spec(folder)
    assert found is not None, errors
    return found


@pytest.fixture
def wrong_spec(tmp_path: Path) -> Path:
    """The specification with one mistake in it, which breaks `WRONG`."""
    folder = tmp_path / "spec"
    shutil.copytree(_data.spec_dir(), folder)
    module = folder / "evtchn" / "bind.abi"
    text = module.read_text()
    assert "when virq >= 24" in text
    module.write_text(text.replace("when virq >= 24", "when virq >= 20"))
    return folder


def made(seed: int, number: int, calls: int = 300) -> Generated:
    plan = plan_of(Options("4.17", seed=seed, calls=calls), number)
    return generate(spec_in(), RELEASE, MODE, plan, Counter())


# ---- generating ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_seed_gives_the_same_program_again(number: int) -> None:
    first, again = made(3, number), made(3, number)
    assert first.program == again.program
    assert first.counts == again.counts
    assert made(4, number).program != first.program


def test_a_program_can_be_written_down_and_read_back() -> None:
    for number in (0, 3):
        found = made(9, number)
        width = found.plan.width
        text = show_program(found.program, Layouts(spec_in(), width))
        compiled, errors = compile_text(text, spec_in(), width)
        assert compiled is not None, errors[0].render()
        assert compiled.program.steps == found.program.steps


def test_most_of_what_can_be_refused_is_asked_for() -> None:
    counts: Counter[str] = Counter()
    for number in range(3):
        counts += made(1, number, 500).counts
    assert len(counts) > 110
    names = {"not_waiting", "already_bound", "fixed_vcpu", "misaligned", "no_such_word", "far_end"}
    assert names <= {clause.rpartition(".")[2] for clause in counts}


@pytest.mark.parametrize("seed", range(5))
def test_what_was_asked_for_is_aimed_at_and_has_something_to_be_about(seed: int) -> None:
    plan = Plan(seed, 0, 64, 1, 300, False, False, ("evtchn.use.EVTCHNOP_close*",))
    found = generate(spec_in(), RELEASE, MODE, plan, Counter())
    calls = [
        s.args[0] for s in found.program.steps if isinstance(s, steps.Hypercall) and s.nr == 32
    ]
    assert calls.count(3) > 100
    assert found.counts["evtchn.use.EVTCHNOP_close.success"] > 3


def test_a_call_that_is_known_by_its_refusals_alone_is_given_all_it_takes() -> None:
    writer = Writer(spec_in(), RELEASE, MODE, Plan(1, 0, 64, 1, 300, False, False), Counter())
    calls: dict[str, list[steps.Hypercall]] = {}
    for op in writer.operations:
        if op.name in ("dm_op.other", "vm_assist.other", "CONSOLEIO_write"):
            made = [step_of(writer.drawer.call(op), writer.layouts) for _ in range(80)]
            calls[op.name] = made
    pieces = calls["dm_op.other"]
    assert {len(step.args) for step in pieces} == {3}
    assert len({step.args[0] for step in pieces}) > 3
    assert {type(step.args[2]) for step in pieces} >= {steps.Buf, steps.Unreadable}
    assert 5 in {step.args[1] for step in calls["vm_assist.other"]}
    assert steps.Unreadable in {type(step.args[2]) for step in calls["CONSOLEIO_write"]}


# ---- processes -----------------------------------------------------------------------------------


def test_what_is_at_work_ends_with_the_pool() -> None:
    with Pool(2) as pool:
        pool.start("slow", lambda: time.sleep(60))
        pool.start("quick", os.getpid)
        ((key, child),) = pool.next(20)
        assert key == "quick"
        assert child != os.getpid()
        processes = [p for p, _ in pool._live.values()]
    assert not any(p.is_alive() for p in processes)


def test_a_fault_in_a_process_is_an_error_here() -> None:
    def broken() -> None:
        raise ValueError("no")

    def killed() -> None:
        os.kill(os.getpid(), 9)

    with Pool(1) as pool:
        pool.start(1, broken)
        ((_, fault),) = pool.next(20)
        pool.start(2, killed)
        ((_, gone),) = pool.next(20)
    assert isinstance(fault, RuntimeError)
    assert isinstance(gone, TargetError)


# ---- shrinking -----------------------------------------------------------------------------------


def test_a_shrunk_program_needs_every_step() -> None:
    needed = (steps.Note("3"), steps.Note("17"), steps.Note("40"))

    def run(candidate: tuple[steps.Step, ...]) -> Boot:
        boot = Boot()
        if all(n in candidate for n in needed):
            boot.violates["x.y"] = 1
            at = candidate.index(needed[-1])
            boot.broken.append(Broken("x.y", at, "", "", ""))
        return boot

    program = tuple(steps.Note(str(n)) for n in range(60))
    with Pool(2) as pool:
        found = shrink(program, "x.y", run, pool, time.monotonic() + 60)
    assert found is not None
    assert found.steps == needed
    assert found.minimal


def test_what_does_not_happen_again_is_not_shrunk() -> None:
    with Pool(2) as pool:
        until = time.monotonic() + 20
        assert shrink((steps.Note("a"),) * 3, "x.y", lambda _: Boot(), pool, until) is None


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--budget", "0"],
        ["--programs", "0"],
        ["--budget", "5", "--program", "evtchn"],
        ["--seed", "1", "--target", "qemu-pvh"],
        ["--races", "--against", "4.14"],
        ["--against", "4.14", "--format", "json"],
        ["--seed", "1", "--authority", "documented"],
    ],
)
def test_options_that_do_not_go_together(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conform", *words]) == 2
    assert "PVH522" in capsys.readouterr().err


# ---- on a real Xen -------------------------------------------------------------------------------


@pytest.mark.real
def test_stock_xen_conforms(capsys: pytest.CaptureFixture[str]) -> None:
    real_xen()
    options = Options("4.17", budget=600, seed=2, programs=2, calls=400)
    assert run_generated(spec_in(), options, Paint(False)) == 0
    said = capsys.readouterr().out
    assert "no violation" in said
    assert "again with --seed 2" in said


@pytest.mark.real
def test_a_gate_takes_generated_runs_like_any_other(
    tmp_path: Path, wrong_spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real_xen()
    words = ["conform", "--xen", "4.17", "--programs", "2", "--seed", "2",
             "--only", "evtchn.bind.*", "--spec", str(wrong_spec), "--out", str(tmp_path / "out"),
             "--baseline", str(tmp_path / "known.toml"), "--format", "json",
             "--format", f"junit={tmp_path / 'j.xml'}"]  # fmt: skip
    assert main([*words, "--update-baseline", "--reason", "the text is wrong here"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert problems(said, "conform-1.json") == []
    (target,) = said["targets"]
    (run,) = target["runs"]
    assert run["minimal"]
    assert Path(run["program"]).exists()
    assert [v["clause"] for v in run["report"]["violations"]] == [WRONG]
    assert "<failure message=" in (tmp_path / "j.xml").read_text()
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["targets"][0]["verdict"] == "conforms"
    (violation,) = said["targets"][0]["runs"][0]["report"]["violations"]
    assert violation["known"]["reason"] == "the text is wrong here"


@pytest.mark.real
def test_two_releases_differ_as_the_text_says(capsys: pytest.CaptureFixture[str]) -> None:
    real_xen()
    options = Options("4.17", budget=600, seed=1, programs=1, calls=150)
    assert run_against(spec_in(), options, "4.17", Paint(False)) == 0
    assert "0 kinds of difference" in capsys.readouterr().out
    assert run_against(spec_in(), options, "4.20", Paint(False)) == 0
    said = capsys.readouterr().out
    assert "allowed XENVER_version" in said or "allowed cpuid 0x40000001" in said
    assert "violation" not in said


@pytest.mark.real
def test_a_violation_is_shrunk_told_and_saved(
    tmp_path: Path, wrong_spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real_xen()
    spec = spec_in(wrong_spec)
    chapter = Selection(only=("evtchn.bind.*",))
    options = Options("4.17", 600, 3, 2, chapter, out=tmp_path / "out")
    assert run_generated(spec, options, Paint(False)) == 1
    said = capsys.readouterr().out
    assert f"violated {WRONG}" in said
    assert "every step is needed" in said
    assert "cited" in said
    (saved,) = (tmp_path / "out").glob("*.prog")
    compiled, errors = compile_text(saved.read_text(), spec, 64)
    assert compiled is not None, errors
    assert len(compiled.program.steps) == 1
    assert isinstance(compiled.program, Program)
