"""What crosses into the hypervisor is counted once, whichever events tell of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pvhspec.cli import main
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.profile import OPERATIONS, Profile, profile
from pvhspec.traces import Event
from pvhspec.traces.exits import exit_kind
from tests.cli.transcripts import INPUTS
from tests.report.schema import problems


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


def event(kind: str, vcpu: int = 0, **fields: Any) -> Event:
    return Event(kind, 0, fields, None, 0, vcpu)


def counted(spec: Spec, *events: Event) -> Profile:
    return profile(spec, "made", "", ((4, 17), "pvh_dom0"), events)


def test_an_exit_and_what_it_was_for_are_one_crossing(spec: Spec) -> None:
    found = counted(
        spec,
        event("vmexit", arch="vmx", code=10),
        event("cpuid", leaf=1),
        event("vmexit", arch="svm", code=0x81),
        event("hypercall", nr=32, args=(4, 0)),
    )
    assert found.total == 2
    assert found.crossings["hypercall"] == {"event_channel_op: EVTCHNOP_send": 1}
    assert found.operations == {"ask or choose what there is": 1, "send and bind events": 1}


def test_an_exit_of_which_nobody_tells_more_is_a_crossing(spec: Spec) -> None:
    found = counted(spec, event("vmexit", arch="svm", code=0x7B), event("vmentry"))
    assert found.crossings == {"io": {"not told": 1}}


def test_one_vcpu_s_exit_is_not_another_s(spec: Spec) -> None:
    found = counted(spec, event("vmexit", 0, arch="svm", code=0x72), event("cpuid", 1, leaf=0))
    assert found.total == 2


def test_without_exits_each_call_is_a_crossing(spec: Spec) -> None:
    found = counted(
        spec,
        event("hypercall", nr=24, args=(8, 0)),
        event("hypercall", nr=24, args=(None, 0)),
        event("hypercall", nr=55),
        event("io", op="write", port=0x43),
        event("io", op="read", port=0xCFC),
        event("msr", op="write", index=0x80B),
        event("cr", op="write", number=3),
        event("cr", op="write", number=0),
        event("mem"),
    )
    assert found.total == 8
    assert found.events == 9
    assert found.operations == {
        "set timers, read clocks": 2,  # a vCPU's timer, and the PIT
        "manage vCPUs": 1,
        "something else": 1,
        "drive devices": 1,
        "take interrupts and faults": 1,
        "switch address spaces, flush TLBs": 1,
        "load descriptors, stacks and registers": 1,
    }


def test_what_is_injected_is_no_crossing(spec: Spec) -> None:
    found = counted(
        spec, event("inject", what="interrupt", vector=0xF3), event("upcall", vector=0xF3)
    )
    assert found.total == 0
    assert found.injected == {"interrupt": {"vector 0xf3": 1}, "upcall": {"vector 0xf3": 1}}


def test_every_hypercall_belongs_to_an_operation(spec: Spec) -> None:
    known = {what for found in OPERATIONS.values() for what in found}
    assert {call.name for call in spec.hypercalls.values()} <= known


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"reason": "EXTERNAL_INTERRUPT"}, "interrupt"),
        ({"reason": "EPT_MISCONFIG"}, "second-stage fault"),
        ({"reason": "MSR_WRITE"}, "msr"),
        ({"reason": "read_cr4"}, "cr"),
        ({"reason": "vintr"}, "interrupt window"),
        ({"reason": "PF excp"}, "exception"),
        ({"arch": "svm", "code": 0x4E}, "exception"),
        ({"arch": "svm", "code": 0x10}, "cr"),
        ({"arch": "vmx", "code": 48}, "second-stage fault"),
        ({"arch": "vmx", "code": 999}, "other"),
        ({}, "other"),
    ],
)
def test_exits_go_by_one_name(fields: dict[str, Any], kind: str) -> None:
    assert exit_kind(event("vmexit", **fields)) == kind


def test_json_is_what_its_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    traces = [str(INPUTS / f"paging-{mode}.jsonl") for mode in ("pv", "pvh")]
    assert main(["profile", "--format", "json", *traces]) == 0
    assert not problems(json.loads(capsys.readouterr().out), "profile-1.json")
