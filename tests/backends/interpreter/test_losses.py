"""Where events are missing, what came before is not held against what comes after."""

from __future__ import annotations

from typing import Any

import pytest

from pvhspec.ir.cache import load_spec
from pvhspec.judge import judge
from pvhspec.report.verdict import Report
from pvhspec.traces import ObjectTrace

_BIND = "0000000000000000"


def _bind(port: int) -> dict[str, Any]:
    """EVTCHNOP_bind_virq of VIRQ_TIMER on vCPU 0 that returns a port."""
    return {
        "kind": "hypercall", "dom": 0, "vcpu": 0, "width": 64, "cpl": 0, "nr": 32,
        "args": [1, 0x1000], "arg_readable": True, "arg_writable": True, "ret": 0,
        "in": [[0x1000, _BIND + "00000000"]],
        "out": [[0x1000, _BIND + port.to_bytes(4, "little").hex()]],
    }  # fmt: skip


def _judged(events: list[dict[str, Any]], complete: bool = True) -> Report:
    header = {
        "schema": "pvh-trace/1", "synthetic": True, "from_boot": True,
        "hypervisor": {"name": "xen", "version": "4.17.7"}, "guest": {"mode": "pvh_dom0"},
        "complete": {"events": complete, "domains": True},
        "given": {"vcpu_exists": {"*": False, "0,0": True}},
    }  # fmt: skip
    spec, _ = load_spec()
    assert spec is not None
    return judge(spec, ObjectTrace(header, events))


def test_a_timer_is_not_bound_twice() -> None:
    broken = _judged([_bind(1), _bind(2)]).broken
    assert list(broken) == ["evtchn.bind.EVTCHNOP_bind_virq.already_bound"]


@pytest.mark.parametrize("lost", [{"kind": "lost", "count": 7}, {"kind": "lost"}])
def test_unless_events_were_lost_in_between(lost: dict[str, Any]) -> None:
    assert not _judged([_bind(1), lost, _bind(2)]).broken


def test_or_any_may_be_missing() -> None:
    assert not _judged([_bind(1), _bind(2)], complete=False).broken
