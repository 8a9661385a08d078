"""Two captures of one run, joined."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pvhspec import _data
from pvhspec.diagnostics import PvhError
from pvhspec.traces import ObjectTrace, Trace, open_trace
from pvhspec.traces.event import Event
from pvhspec.traces.merge import Merge
from tests.traces.foreign_samples import FOREIGN, SINGLESTEP

RAW = _data.traces_dir() / "corpus/raw"
HEADER = {"schema": "pvh-trace/1", "hypervisor": {"name": "xen", "version": "4.17"}}


def merged(
    first: list[dict[str, Any]], second: list[dict[str, Any]], *headers: dict[str, Any]
) -> tuple[Merge, list[Event]]:
    one, two = headers or ({}, {})

    def opened(index: int) -> Trace:
        return ObjectTrace(
            HEADER | (two if index else one), second if index else first, f"t{index}"
        )

    merge = Merge(opened)
    merge.prepare()
    return merge, list(merge.events())


def call(nr: int, *args: int | None, **more: Any) -> dict[str, Any]:
    return {"kind": "hypercall", "nr": nr, "args": list(args), **more}


def files(first: Path, second: Path) -> tuple[Merge, list[Event]]:
    merge = Merge(lambda index: open_trace((first, second)[index]))
    merge.prepare()
    return merge, list(merge.events())


@pytest.mark.parametrize("seed", range(30))
def test_what_was_taken_apart_is_put_together_again(seed: int) -> None:
    rng = random.Random(seed)
    whole: list[dict[str, Any]] = [
        rng.choice((
            call(rng.randrange(4), rng.randrange(3), at, rng.randrange(3), ret=rng.randrange(3)),
            call(rng.randrange(4), rng.randrange(3), at, rng.randrange(3), ret=rng.randrange(3)),
            {"kind": "vmexit", "code": at},
        ))
        for at in range(300)
    ]  # fmt: skip
    whole.append(call(9, 1, 2, 3, ret=0))
    first = [
        {**e, "args": [*e["args"][:2], None], "ret": None} if e["kind"] == "hypercall" else e
        for e in whole
    ]
    second = [e for e in whole if e["kind"] == "hypercall" and rng.random() < 0.7]
    kept = {id(e) for e in second}
    _, events = merged(first, second)
    assert [e.seq for e in events] == list(range(len(whole)))
    for event, before, part in zip(events, whole, first, strict=True):
        wanted = before if id(before) in kept else part
        shown = {n: v for n, v in wanted.items() if v is not None and n != "kind"}
        if "args" in shown:
            shown["args"] = tuple(shown["args"])
        assert (event.kind, event.fields) == (wanted["kind"], shown)


def test_what_one_knows_is_known() -> None:
    merge, events = merged(
        [call(32, 1, None, ts=5, ts_call=4, dom=0), {"kind": "end", "reason": "cut"}],
        [
            {"kind": "mem", "view": "guest", "gpa": 1, "bytes": "00"},
            call(32, 1, 2, 3, ret=0, ts=77, ts_call=70, vcpu=1, **{"in": [["0x10", "0102"]]}),
            {"kind": "end", "reason": "shutdown"},
        ],
    )
    memory, both, end = events
    assert (memory.kind, end.fields["reason"]) == ("mem", "shutdown")
    assert both.fields == {
        "nr": 32, "args": (1, 2, 3), "ret": 0, "ts_call": 4, "in": ((0x10, b"\1\2"),),
    }  # fmt: skip
    assert (both.ts, both.dom, both.vcpu) == (5, 0, 1)
    assert merge.conflicts == 0


def test_a_contradiction_is_told_and_unknown() -> None:
    memory = {"in": [["0x10", "0102"], ["0x20", "05"]]}
    merge, events = merged(
        [call(32, 1, ret=0, **memory)] + [call(1, n) for n in range(2)],
        [call(32, 1, ret=-22, **{"in": [["0x10", "0103"], ["0x20", "0506"]]})]
        + [call(1, n) for n in range(2)],
    )
    assert events[0].fields == {"nr": 32, "args": (1,), "in": ((0x20, b"\5\6"),)}
    assert merge.conflicts == 2
    assert [d.code for d in merge.told] == ["PVH919", "PVH919"]
    assert "`ret` is 0x0 in one and -0x16 in the other" in merge.told[0].message


def test_views_are_not_mixed() -> None:
    entry = {"kind": "entry", "vcpu": 0, "regs": {"ebx": 5}}
    _, events = merged([{**entry, "view": "hw"}], [{**entry, "view": "guest"}])
    assert [e.fields["view"] for e in events] == ["hw", "guest"]
    _, (one,) = merged([{**entry, "view": "hw"}], [{**entry, "view": "hw", "regs": {"cr0": 0x11}}])
    assert one.fields["regs"] == {"ebx": 5, "cr0": 0x11}


@pytest.mark.parametrize(
    ("first", "second", "alone", "together"),
    [
        ({}, {"args": True}, 0, {"args": True}),
        ({}, {"args": True}, 1, {"args": False}),
        ({"args": True}, {"results": True}, 0, {"args": True, "results": True}),
        ({"args": True}, {"results": True}, 1, {"args": True, "results": False}),
        ({"events": True}, {}, 1, {"events": True}),
        ({}, {"events": True}, 1, {"events": False}),
        ({"domains": True}, {}, 1, {"domains": True}),
    ],
)
def test_completeness_is_what_can_be_said_of_both(
    first: dict[str, bool], second: dict[str, bool], alone: int, together: dict[str, bool]
) -> None:
    """`alone`: whether the first has something that the second has not."""
    more = [{"kind": "vmexit", "code": 1}, call(5, 5)] if alone else []
    headers = {"complete": first}, {"complete": second}
    merge, _ = merged([call(1, 1), call(2, 2), *more], [call(1, 1), call(2, 2)], *headers)
    assert {name: getattr(merge.header.complete, name) for name in together} == together


def test_headers_that_differ_are_a_conflict() -> None:
    merge, _ = merged([call(1)], [call(1)], {"guest": {"mode": "pvhvm"}}, {"guest": {"mode": "pv"}})
    assert (merge.header.guest.mode, merge.conflicts) == (None, 1)


def test_two_runs_are_not_joined() -> None:
    with pytest.raises(PvhError, match="PVH920"):
        merged([call(1, n) for n in range(9)], [call(1, n + 7) for n in range(9)])


def test_kvms_trace_and_qemus_log() -> None:
    merge, events = files(FOREIGN / "linux-xen.ftrace.gz", FOREIGN / "linux-xen.qtrace")
    assert (merge.both["hypercall"], merge.alone[0]["hypercall"]) == (262, 1038)
    assert merge.alone[1]["hypercall"] == merge.conflicts == 0
    both = [e for e in events if e.kind == "hypercall" and "ret" in e.fields]
    assert len(both) == 262
    assert {len(e.fields["args"]) for e in both} == {4}


def test_a_log_of_steps_and_the_guests_own_dump() -> None:
    dump = RAW / "xen-4.17-dom0-pvh-18-hypercalls.debugcon.bin"
    merge, events = files(FOREIGN / f"{SINGLESTEP}.gz", dump)
    assert (merge.both["hypercall"], merge.conflicts) == (18, 0)
    assert merge.header.complete[:3] == (True, True, True)
    assert events[-1].kind == "mem"
