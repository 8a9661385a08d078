"""Holes in a specification are found, and told by a state and a call."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from pvhspec.backends.solver.complete import Finding, complete
from pvhspec.ir.ir import Spec
from tests.backends.solver.edited import edited, real_spec

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets in one order: how long the solver takes hangs on the order of what it is told."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")


def found(spec: Spec, operation: str, kind: str) -> list[Finding]:
    """In a process of its own: what a solver was asked before changes how long it takes."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        asked = fresh.submit(complete, spec, [operation], budget=120.0, cache=False)
        return [f for f in asked.result() if f.kind == kind]


def test_the_operations_on_channels_have_no_hole() -> None:
    names = ["EVTCHNOP_bind_ipi", "EVTCHNOP_bind_virq"]
    for kind in ("gap", "contradiction", "dead error", "dead gate", "open"):
        assert [f for f in complete(real_spec(), names) if f.kind == kind] == []


def test_a_missing_error_is_a_gap() -> None:
    spec = edited(
        "evtchn.bind",
        "when not any_spare(owner)",
        "when not any_spare(owner) and fifo[owner]",
    )
    (gap,) = found(spec, "EVTCHNOP_alloc_unbound", "gap")
    assert "nothing is free to choose" in gap.what
    assert any("EVTCHNOP_alloc_unbound(dom =" in line for line in gap.lines)
    assert any("max_evtchn_port" in line or "channel[" in line for line in gap.lines)


def test_a_missing_error_lets_an_argument_out_of_its_type() -> None:
    spec = edited("evtchn.bind", "when virq >= 24", "when virq >= 32")
    (wild,) = found(spec, "EVTCHNOP_bind_virq", "out of range")
    assert wild.subject == "evtchn.bind.EVTCHNOP_bind_virq.success.channel"
    assert "beyond a type's bound" in wild.what
    (call,) = [line for line in wild.lines if "EVTCHNOP_bind_virq(virq = " in line]
    assert "-> 0, port = " in call


def test_a_count_that_nothing_fits() -> None:
    assert found(real_spec(), "XENMEM_increase_reservation", "gap") == []
    spec = edited(
        "memory.reservation",
        "else done >= start and done <= nr and (done == nr or short)",
        "else done >= start and done <= nr and done == nr and short",
    )
    (gap,) = found(spec, "XENMEM_increase_reservation", "gap")
    assert any("XENMEM_increase_reservation(extent_start =" in line for line in gap.lines)


def test_a_status_that_is_never_delivered() -> None:
    spec = edited(
        "grant.map",
        "when host_addr != 0 and grant_at[caller, at] == no_grant",
        "when host_addr != 0 and maptrack[caller, handle] == nothing",
    )
    (dead,) = found(spec, "GNTTABOP_unmap_grant_ref", "dead error")
    assert dead.subject.endswith("not_there")
    assert "no_mapping" in dead.what


def test_a_parameter_written_twice() -> None:
    spec = edited(
        "hypercall.hvm_op",
        "hvm_param[owner, 37] := task_state(index, value) } }"
        " else { hvm_param[owner, i] := value }",
        "hvm_param[owner, 37] := task_state(index, value) } } hvm_param[owner, i] := value",
    )
    (both,) = found(spec, "HVMOP_set_param", "contradiction")
    (call,) = [line for line in both.lines if "HVMOP_set_param(domid = " in line]
    assert "index = 37" in call
    assert " writes " in call


def test_a_field_of_the_wrong_width() -> None:
    spec = edited("evtchn.op", "4 priority : u32 }", "4 priority : u16 }")
    wrong = [
        f
        for f in found(spec, "EVTCHNOP_set_priority", "struct")
        if f.subject == "evtchn_set_priority"
    ]
    assert wrong


def test_an_error_that_always_comes_after_another() -> None:
    spec = edited("evtchn.fifo", "when priority > 15", "when priority > 15 and not fifo[caller]")
    (dead,) = found(spec, "EVTCHNOP_set_priority", "dead error")
    assert dead.subject.endswith("no_such_priority")
    assert "not_fifo" in dead.what


def test_an_error_with_no_case() -> None:
    spec = edited("evtchn.fifo", "when priority > 15", "when priority > 15 and priority < 3")
    (dead,) = found(spec, "EVTCHNOP_set_priority", "dead error")
    assert dead.what == "never due"


def test_two_clauses_that_write_one_cell() -> None:
    spec = edited(
        "evtchn.bind",
        "channel[peer, remote_port] := interdomain(caller, chosen)",
        "channel[caller, chosen] := interdomain(caller, chosen)",
    )
    (both,) = found(spec, "EVTCHNOP_bind_interdomain", "contradiction")
    assert "near_end" in both.subject
    assert "far_end" in both.subject


def test_bytes_without_a_name() -> None:
    spec = edited("evtchn.op", "struct evtchn_close size 4", "struct evtchn_close size 12")
    structs = [f for f in found(spec, "EVTCHNOP_close", "struct") if f.subject == "evtchn_close"]
    assert [f.what for f in structs] == ["bytes 4 to 11 at the end have no name"]
