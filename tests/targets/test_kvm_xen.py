"""KVM's own part of Xen: what is judged is KVM's, and what the VMM answered is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pvhspec.cli import main
from pvhspec.ir.cache import load_spec
from pvhspec.judge import judge
from pvhspec.report.verdict import Report
from pvhspec.targets import Program, TargetError, capture_kvm_xen, debian, nested
from pvhspec.targets.kvm_xen import without_refused
from pvhspec.targets.steps import Hypercall, Race
from pvhspec.traces import ObjectTrace
from tests.real import or_skip, real_qemu


def call(vcpu: int, at: int) -> dict[str, Any]:
    return {"kind": "hypercall", "vcpu": vcpu, "origin": f"guest.out@{at}", "nr": 17, "ret": -38,
            "out": []}  # fmt: skip


def test_what_the_vmm_answered_has_no_result() -> None:
    events = [call(0, 100), call(1, 150), call(0, 200), call(0, 300), {"kind": "end", "seq": 0}]
    without_refused(events, "linux 6.12\nrefused 180 0 17\nrefused 150 1 24\nend exit\n")
    assert ["ret" in event for event in events[:4]] == [True, False, False, True]
    assert "out" not in events[2]


def test_a_race_is_refused() -> None:
    race = Race((Hypercall(63, ()),), (Hypercall(63, ()),))
    with pytest.raises(TargetError, match="a race cannot be run"):
        capture_kvm_xen(Program((race,)))


def test_without_a_mirror_it_is_said_what_is_missing(
    machine: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(nested, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(debian, "mirrors", lambda apt, release: [])
    assert main(["conform", "--target", "kvm-xen"]) == 3
    assert "names no Debian mirror" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.real
@pytest.mark.slow
def test_kvm_conforms_and_would_not_if_it_did_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real_qemu()
    with or_skip():
        nested.linux_with_kvm()
    command = ["conform", "--target", "kvm-xen", "--timeout", "120", "--out", str(tmp_path)]
    assert main(command) == 0
    assert "what it plays of Xen" in capsys.readouterr().out
    for path in sorted(tmp_path.glob("*.jsonl")):
        header, *events = [json.loads(line) for line in path.read_text().splitlines()]
        assert header["guest"]["mode"] == "kvm_xen"
        report = judged(header, events)
        assert not report.violates
        assert set(report.conforms) >= JUDGED
        answered = {e["step"] for e in events if e["kind"] == "hypercall" and "ret" in e}
        refused = {e["step"] for e in events if e["kind"] == "hypercall" and "ret" not in e}
        assert max(answered) < min(refused)  # as the program has them
        assert len(refused) == 4
        for clause, wrong in WRONG.items():
            assert clause in judged(header, [wrong(event) for event in events]).violates


#: What is seen of KVM.
JUDGED = {
    "hypercall.version.XENVER_version.success",
    "evtchn.use.EVTCHNOP_send.success",
    "evtchn.two_level.words.pending",
    "evtchn.two_level.words.upcall_pending",
    "vcpu.timers.set_timer.success",
    "vcpu.timers.VCPUOP_set_singleshot_timer.success",
    "cpuid.page.page.number",
    "cpuid.page.kvm_writing.kvm_page_index",
    "evtchn.delivery.upcall_comes",
    "sched.op.SCHEDOP_poll.success",
    "vcpu.time.page.counted",
    "vcpu.wallclock.page.counted",
}


def no_event(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "pending": {}} if event["kind"] == "shared_info" else event


def no_timer(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "ret": -38} if event.get("nr") == 15 else event


def no_fault(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "fault": False} if event["kind"] == "msr" else event


def another_vector(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "vector": event["vector"] + 1} if event["kind"] == "upcall" else event


#: What KVM might do otherwise, and the clause that says so.
WRONG = {
    "evtchn.two_level.words.pending": no_event,
    "vcpu.timers.set_timer.success": no_timer,
    "cpuid.page.kvm_writing.kvm_page_index": no_fault,
    "evtchn.delivery.registered.vector_known": another_vector,
}


def judged(header: dict[str, Any], events: list[dict[str, Any]]) -> Report:
    spec, errors = load_spec()
    assert spec is not None, errors
    return judge(spec, ObjectTrace(header, events, "run", False))
