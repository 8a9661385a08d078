"""Witnesses: shortest executions, which the interpreter and a real Xen agree with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pvhspec.backends.solver.combos import expressions
from pvhspec.backends.solver.goals import specials
from pvhspec.backends.solver.reach import by_step, written
from pvhspec.backends.solver.stories import as_program, tell_witness
from pvhspec.backends.solver.witness import Witness, run_moves, witness
from pvhspec.ir.ir import Operation
from tests.backends.solver.edited import edited, real_spec

PLACE = ((4, 17), "pvh_dom0")

# Clause, and how many steps its shortest execution has.
REACHED = {
    "evtchn.bind.EVTCHNOP_alloc_unbound.no_such_domain": 1,
    "evtchn.bind.EVTCHNOP_alloc_unbound.success": 1,
    "evtchn.bind.EVTCHNOP_bind_interdomain.no_such_domain": 1,
    "evtchn.bind.EVTCHNOP_bind_interdomain.not_waiting": 1,
    "evtchn.bind.EVTCHNOP_bind_interdomain.near_end": 2,
    "evtchn.bind.EVTCHNOP_bind_interdomain.far_end": 2,
    "evtchn.bind.EVTCHNOP_bind_virq.no_such_virq": 1,
    "evtchn.bind.EVTCHNOP_bind_virq.not_on_vcpu_0": 1,
    "evtchn.bind.EVTCHNOP_bind_virq.no_such_vcpu": 1,
    "evtchn.bind.EVTCHNOP_bind_virq.already_bound": 2,
    "evtchn.bind.EVTCHNOP_bind_virq.result_lost": 1,
    "evtchn.bind.EVTCHNOP_bind_ipi.no_such_vcpu": 1,
    "evtchn.bind.EVTCHNOP_bind_ipi.success": 1,
    "evtchn.bind.EVTCHNOP_bind_pirq.no_such_pirq": 1,
    "evtchn.bind.EVTCHNOP_bind_pirq.already_bound": 2,
    "evtchn.use.EVTCHNOP_send.no_such_port": 1,
    "evtchn.use.EVTCHNOP_send.not_a_sender": 1,
    "evtchn.use.EVTCHNOP_unmask.no_such_port": 1,
    "evtchn.use.EVTCHNOP_bind_vcpu.no_such_vcpu": 1,
    "evtchn.use.EVTCHNOP_bind_vcpu.closed_port": 1,
    "evtchn.use.EVTCHNOP_bind_vcpu.fixed_vcpu": 2,
    "evtchn.use.EVTCHNOP_status.no_such_domain": 1,
    "evtchn.use.EVTCHNOP_status.no_such_port": 1,
    "evtchn.use.EVTCHNOP_status.result_lost": 1,
    "evtchn.use.EVTCHNOP_close.closed_port": 1,
    "evtchn.use.EVTCHNOP_close.success": 2,
    "evtchn.use.EVTCHNOP_reset.no_such_domain": 1,
    "evtchn.fifo.EVTCHNOP_expand_array.not_fifo": 1,
    "evtchn.fifo.EVTCHNOP_set_priority.not_fifo": 1,
    "evtchn.fifo.EVTCHNOP_set_priority.no_such_port": 1,
    "evtchn.op.event_channel_op.unreadable": 1,
}


def test_a_step_that_could_be_left_out_is_not_tried() -> None:
    items = specials(real_spec(), PLACE)
    first, last = by_step(items, {"had_by"}, expressions, 2)
    assert {i.id for i in last} == {i.id for i in items if "had_by" in written(i)}
    names = {i.id for i in first}
    assert names > {i.id for i in last}
    assert "grant.table.written" in names  # what is mapped has to be granted first
    assert "boot.entry.read_map" not in names
    assert by_step(items, {"had_by"}, expressions, 0) == []
    assert by_step(items, {"no_such_state"}, expressions, 1) == [[]]


def found(clause: str) -> Witness:
    got = witness(real_spec(), clause, PLACE, depth=3, budget=60)
    assert got.status == "found", got.why
    return got


@pytest.mark.parametrize("clause", REACHED)
def test_shortest(clause: str) -> None:
    got = found(clause)
    assert got.execution is not None
    assert len(got.execution.moves) == REACHED[clause]
    spoken = {j.clause for j in run_moves(real_spec(), got.execution, PLACE)[-1]}
    kind = real_spec().clauses[clause].kind
    assert clause in spoken or kind == "effect"
    assert clause in "\n".join(tell_witness(real_spec(), got))


def test_three_steps() -> None:
    got = found("evtchn.use.EVTCHNOP_send.peer_raised")
    assert got.execution is not None
    items = [m.item for m in got.execution.moves]
    assert [i.name for i in items if isinstance(i, Operation)] == [
        "EVTCHNOP_alloc_unbound",
        "EVTCHNOP_bind_interdomain",
        "EVTCHNOP_send",
    ]


def test_an_event_that_is_forbidden() -> None:
    got = found("evtchn.two_level.words.mask")
    assert got.violable


def test_an_event_with_a_truth_of_which_nothing_is_asked() -> None:
    assert found("memory.p2m.of_other.readonly").execution is not None


def test_dead_text_is_told() -> None:
    """An error that another of the same condition always comes before."""
    spec = edited(
        "evtchn.fifo",
        "when priority > 15",
        "when priority > 15 and not fifo[caller]",
    )
    got = witness(spec, "evtchn.fifo.EVTCHNOP_set_priority.no_such_priority", depth=2)
    assert got.status == "never"
    assert "dead text" in "\n".join(tell_witness(spec, got))


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("clause", [c for c in REACHED if "result_lost" not in c])
def test_a_real_xen_does_it(clause: str, one_xen: Path, tmp_path: Path) -> None:
    """The witness, run on Xen 4.17, shows the clause and breaks none."""
    from pvhspec.judge import judge
    from pvhspec.programs import compile_text
    from pvhspec.targets import capture_xen
    from pvhspec.traces import open_trace

    got = found(clause)
    assert got.execution is not None
    text = as_program(got.execution)
    assert text is not None
    compiled, errors = compile_text(text, real_spec(), 64)
    assert compiled is not None, errors
    capture = capture_xen(str(one_xen), compiled.program, width=64)
    path = tmp_path / "trace.jsonl"
    lines = (json.dumps(item) for item in (capture.header, *capture.events))
    path.write_text("".join(f"{line}\n" for line in lines))
    trace = open_trace(str(path), None)
    try:
        report = judge(real_spec(), trace)
    finally:
        trace.close()
    assert report.violations == []
    if real_spec().clauses[clause].kind != "effect":
        assert report.conforms.get(clause, 0) >= 1
