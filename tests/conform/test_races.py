"""Two vCPUs of a real Xen: started both ways, and racing."""

from __future__ import annotations

from collections import Counter

import pytest

from pvhspec.cli import main
from pvhspec.conform.generate import generate
from pvhspec.conform.generated import MODE, Options, plan_of
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.programs import Layouts, Width, compile_text, show_program
from pvhspec.targets import (
    MACHINES,
    capture_qemu,
    capture_xen,
)
from pvhspec.targets.steps import AwaitVcpu, Hypercall, Program, Race, Sipi
from pvhspec.traces import ObjectTrace
from tests.real import real_xen

RACING = """
map shared_info at 0
start vcpu 1{way}
race {{
  vcpu 0 EVTCHNOP_bind_ipi(vcpu = 0)
  vcpu 1 EVTCHNOP_bind_ipi(vcpu = 1)
  vcpu 0 EVTCHNOP_close(port = 1)
  vcpu 1 EVTCHNOP_close(port = 1)
}}
snapshot vcpus 2
"""


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


@pytest.fixture(scope="module")
def xen() -> str:
    return real_xen()


@pytest.mark.real
@pytest.mark.parametrize("way, width", [("", 64), ("", 32), (" by sipi", 64), (" by sipi", 32)])
def test_both_ways_to_start_a_vcpu(spec: Spec, xen: str, way: str, width: Width) -> None:
    compiled, errors = compile_text(RACING.format(way=way), spec, width)
    assert compiled is not None, errors
    capture = capture_xen(
        xen, compiled.program, width=width, vcpus=compiled.vcpus, outside=False, timeout=60
    )
    assert capture.events[-1]["reason"] == "shutdown"
    notes = [e["text"] for e in capture.events if e["kind"] == "note"]
    assert notes == ["the other vCPU has started"]
    calls = [e for e in capture.events if "begin" in e]
    assert sorted(e["vcpu"] for e in calls) == [0, 0, 1, 1]
    assert [e["end"] for e in calls] == sorted(e["end"] for e in calls)
    assert len({stamp for e in calls for stamp in (e["begin"], e["end"])}) == 8
    ports = {e["out"][0][1][40:48] for e in calls if int(e["args"][0], 16) == 7}
    assert len(ports) == 2 or any(e["ret"] == 0 for e in calls if int(e["args"][0], 16) == 3)
    assert not judge(spec, ObjectTrace(capture.header, capture.events)).violates


@pytest.mark.real
def test_which_vcpu_it_is_that_was_started(spec: Spec, xen: str) -> None:
    text = RACING.format(way="").replace("start vcpu 1", "needs vcpus 4\nstart vcpu 3")
    compiled, errors = compile_text(text, spec, 64)
    assert compiled is not None, errors
    capture = capture_xen(xen, compiled.program, width=64, vcpus=4, outside=False, timeout=60)
    assert {e["vcpu"] for e in capture.events if "begin" in e} == {0, 3}
    assert not judge(spec, ObjectTrace(capture.header, capture.events)).violates


@pytest.mark.real
@pytest.mark.parametrize("machine", MACHINES)
def test_other_vcpus_are_started_through_the_local_apic(xen: str, machine: str) -> None:
    program = Program((Sipi(), AwaitVcpu()))
    capture = capture_qemu(machine, program, width=64, vcpus=4, outside=False, timeout=20)
    assert "the other vCPU has started" in [e.get("text") for e in capture.events]


@pytest.mark.parametrize("number", [0, 1])
def test_a_program_that_races_can_be_written_down_and_read_again(spec: Spec, number: int) -> None:
    plan = plan_of(Options("4.17", seed=7, races=True), number)
    steps = generate(spec, (4, 17), MODE, plan, Counter()).program.steps
    races = [step for step in steps if isinstance(step, Race)]
    assert len(races) > 5
    assert any(isinstance(step, AwaitVcpu) for step in steps)
    text = show_program(Program(steps), Layouts(spec, plan.width))
    compiled, errors = compile_text(text, spec, plan.width)
    assert compiled is not None, errors
    assert compiled.program.steps == steps
    assert compiled.vcpus == 2


def test_a_program_that_races_stops_the_other_vcpu_in_the_end(spec: Spec) -> None:
    plan = plan_of(Options("4.17", seed=1, races=True), 0)
    steps = generate(spec, (4, 17, 7), MODE, plan, Counter()).program.steps
    ended = [s.args[:2] for s in steps[-4:] if isinstance(s, Hypercall)]
    assert ended == [(1, 1), (10, 1), (2, 1), (3, 1)]


def test_some_of_the_boots_of_every_budget_race() -> None:
    plans = [plan_of(Options("4.17"), number) for number in range(16)]
    assert {plan.width for plan in plans if plan.race} == {32, 64}
    assert all(plan.vcpus == 2 for plan in plans if plan.race)


@pytest.mark.real
@pytest.mark.slow
def test_generated_races_raise_no_alarm(xen: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--races", "--programs", "2", "--seed", "11"]
    assert main(["conform", "--xen", xen, *words]) == 0
    assert "no violation" in capsys.readouterr().out
