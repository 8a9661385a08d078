"""What a guest cannot come to is told with its reason, and nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest

from pvhspec.conform.matrix import Matrix, left_over, matrix_text
from pvhspec.conform.reach import out_of_reach
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.report.paint import Paint
from pvhspec.report.verdict import Selection
from pvhspec.targets.xen_dom0 import lone_dom0

WHERE = ((4, 17, 7), "pvh_dom0")
BUILD_ID = "hypercall.version_text.XENVER_build_id"
USE, BIND = "evtchn.use.EVTCHNOP_", "evtchn.bind.EVTCHNOP_"
GIVEN = {n: t for n, t in lone_dom0(1, "").items() if n != "vcpu_exists"}


def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


def test_what_only_other_domains_meet_is_out_of_reach() -> None:
    pytest.importorskip("z3")
    reasons = {
        f"{USE}send.attached_to_xen": "nothing changes xen_attached",
        f"{BIND}alloc_unbound.not_allowed": "nothing changes domain_privileged",
        f"{USE}reset.still_running": "nothing the guest can do brings it about",
        f"{USE}reset.far_ends": "nothing changes xen_attached",
        f"{USE}reset_cont.success": "there is always an error",
        "hypercall.version.XENVER_version.frame": "the call takes no structure",
        f"{BUILD_ID}.no_build_id": "has_build_id holds on this machine",
    }
    in_reach = [f"{USE}close.far_end", f"{USE}send.no_such_port", f"{BIND}bind_pirq.always"]
    seen = [f"{BUILD_ID}.too_long"]
    assert out_of_reach(spec(), [*reasons, *in_reach], *WHERE, GIVEN, seen) == reasons


def test_what_no_run_of_the_probe_can_show_is_named_without_a_search() -> None:
    reasons = {
        "rings.rings.indices.out": "the probe records no ring",
        "modes.motherboard.no_interrupt_controller.interval_timer": "the probe records no io",
        "sched.op.SCHEDOP_shutdown.success": "the guest would be shut down",
        "sched.op.SCHEDOP_shutdown.success.shut_down": "the guest would be shut down",
        "vcpu.op.VCPUOP_down.last_one": "the guest would be shut down",
    }
    assert out_of_reach(spec(), reasons, *WHERE, GIVEN) == reasons


def test_what_another_processor_would_show_is_out_of_reach() -> None:
    pytest.importorskip("z3")
    clause = "hypercall.hvm_others.HVMOP_altp2m.unreadable"
    amd = spec().enums["CpuVendor"]["amd"]
    assert not out_of_reach(spec(), [clause], *WHERE, GIVEN)
    assert list(out_of_reach(spec(), [clause], *WHERE, GIVEN, vendor=amd)) == [clause]


def test_what_lies_behind_an_error_that_every_call_was_answered_with_is_out_of_reach() -> None:
    paging = "memory.foreign.XENMEM_paging_op"
    behind = [f"{paging}.oneself", f"{paging}.unreadable"]
    seen = {f"{paging}.not_built_in": 9, f"{paging}.not_from_there": 1, f"{paging}.frame": 9}
    why = "this Xen answers ENOSYS, not_built_in"
    assert out_of_reach(spec(), behind, *WHERE, GIVEN, seen) == dict.fromkeys(behind, why)
    assert not out_of_reach(spec(), behind, *WHERE, GIVEN, {f"{paging}.not_built_in": 1})
    assert not out_of_reach(spec(), behind[:1], *WHERE, GIVEN, {**seen, behind[1]: 1})


def test_a_choice_that_no_answer_tells_is_out_of_reach() -> None:
    missing = "memory.reservation.XENMEM_decrease_reservation.missing"
    told = "memory.reservation.XENMEM_decrease_reservation.done"
    assert list(out_of_reach(spec(), [missing, f"{missing}.lowest", told], *WHERE, GIVEN)) == [
        missing, f"{missing}.lowest",
    ]  # fmt: skip


def test_without_evidence_a_fact_of_the_machine_is_no_reason() -> None:
    pytest.importorskip("z3")
    assert not out_of_reach(spec(), [f"{BUILD_ID}.no_build_id"], *WHERE, GIVEN, [])


def test_with_another_domain_more_is_in_reach() -> None:
    pytest.importorskip("z3")
    clauses = [f"{USE}reset.still_running", f"{USE}send.attached_to_xen"]
    beside = {**GIVEN, "domain_exists": {"*": False, "0": True, "1": True}}
    assert list(out_of_reach(spec(), clauses, *WHERE, beside)) == clauses[1:]


def test_the_matrix_tells_everything_that_was_not_exercised() -> None:
    whole, selection = spec(), Selection(only=("evtchn.use.EVTCHNOP_close*",))
    matrix = Matrix(Counter({f"{USE}close.success": 3}), unseen=Counter({f"{USE}close.far_end": 1}))
    left = left_over(whole, matrix, *WHERE, selection)
    assert f"{USE}close.attached_to_xen" in left
    reasons = {f"{USE}close.attached_to_xen": "nothing changes xen_attached"}
    text = "\n".join(
        matrix_text(whole, matrix, *WHERE, selection, reasons, Paint(False), verbose=False)
    )
    assert f"could not be seen: {USE}close.far_end" in text
    assert f"nothing changes xen_attached: {USE}close.attached_to_xen" in text
    assert text.count("attached_to_xen:") == 0
    assert f"{USE}close.no_such_port" in text.partition("never came up")[2]
    assert "that this guest can come to" in text


def test_where_nobody_looked_what_is_out_of_reach_nothing_is_said_of_it() -> None:
    whole, selection = spec(), Selection(only=("evtchn.use.EVTCHNOP_close*",))
    text = matrix_text(whole, Matrix(), *WHERE, selection, {}, Paint(False), verbose=False)
    assert "clauses about such a guest were exercised" in next(text)
