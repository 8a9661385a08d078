"""What the programs say of Xen 4.14 and 4.20 is what real ones do."""

from __future__ import annotations

import pytest

from pvhspec.backends.binding import Binder
from pvhspec.backends.difference.clauses import Side
from pvhspec.backends.difference.compare import Told, compare
from pvhspec.backends.difference.tell import program_of
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.protocol import Verdict
from pvhspec.ir.ir import Operation, Version
from pvhspec.programs import compile_text
from pvhspec.targets import capture_xen, xen
from pvhspec.targets.capture import Capture
from pvhspec.traces import ObjectTrace
from tests.backends.solver.edited import real_spec
from tests.real import or_skip

OLD, NEW = ((4, 14), "4.14"), ((4, 20), "4.20")

pytestmark = [pytest.mark.real, pytest.mark.slow]


def single(told: Told) -> bool:
    """Whether one 64-bit call tells for certain."""
    if told.apart is None or not told.apart.both or told.apart.first.given:
        return False
    (*before, last) = told.apart.first.moves
    wide = dict(last.inputs).get("width", 64) == 64
    return not before and isinstance(last.item, Operation) and wide


def violated(capture: Capture, version: Version) -> set[int]:
    """The events that a reading does not allow."""
    trace = ObjectTrace(capture.header, capture.events)
    given = {name: dict(table) for name, table in trace.header.given.items()}
    reader = Machine(real_spec(), version, "pvh_dom0", given=given)
    binder = Binder(real_spec(), version, "pvh_dom0", trace.header.cpu_vendor)
    told = [j for seen in binder.bind(trace) for j in reader.feed(seen)]
    return {j.seq for j in told if j.verdict is Verdict.VIOLATES}


def test_each_xen_answers_as_its_side_says(machine: None) -> None:
    """All programs of one call, run one after the other in one boot of each."""
    a, b = (Side(name, real_spec(), (version, "pvh_dom0")) for version, name in (OLD, NEW))
    chapters = ("hypercall.*", "vcpu.areas.*")
    chosen = [t for t in compare(a, b, only=chapters, depth=0, budget=30) if single(t)]
    assert len(chosen) >= 15
    text = "".join(program_of(t, a, b) or "" for t in chosen)
    compiled, errors = compile_text(text, real_spec(), 64)
    assert compiled is not None, errors
    for (own, release), (other, _) in ((OLD, NEW), (NEW, OLD)):
        with or_skip():
            image = xen.locate(release)
        capture = capture_xen(str(image), compiled.program, width=64)
        calls = [e["seq"] for e in capture.events if e["kind"] == "hypercall"]
        assert len(calls) == len(chosen)
        broken = {v: violated(capture, v) for v in (own, other)}
        assert broken[own] == set()
        missed = [
            t.difference.clause
            for t, seq in zip(chosen, calls, strict=True)
            if seq not in broken[other]
        ]
        assert missed == []
