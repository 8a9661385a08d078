"""Calls at the same time: some order of them conforms, or none does."""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvhspec.backends.binding import Binder
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.orders import Orders
from pvhspec.backends.protocol import Judgement, Seen, Verdict
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.traces import ObjectTrace

Event = dict[str, Any]
Span = tuple[int, int]
RELEASE, MODE = (4, 17, 7), "pvh_dom0"
HEADER: Event = {
    "schema": "pvh-trace/1",
    "synthetic": True,
    "hypervisor": {"name": "xen", "version": "4.17.7"},
    "guest": {"mode": MODE},
    "cpu": {"vendor": "AuthenticAMD"},
    "from_boot": True,
    "complete": dict.fromkeys(("events", "args", "results", "memory", "domains"), True),
    "given": {
        "domain_exists": {"*": False, "0": True},
        "vcpu_exists": {"*": False, "0,0": True, "0,1": True},
        "max_evtchn_port": {"0": 0x7FFFFFFF},
        "xen_attached": {"*": False},
        "domain_paused": {"*": False},
        "virq_handler": {"*": 0},
    },
}


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


def call(
    command: int, before: bytes, after: bytes, ret: int, span: Span | None, vcpu: int = 0
) -> Event:
    event: Event = {
        "kind": "hypercall", "dom": 0, "vcpu": vcpu, "width": 64, "cpl": 0, "via": "direct",
        "nr": 32, "args": [command, 0x1000], "ret": ret, "arg_readable": True,
        "arg_writable": True, "in": [["0x1000", before.hex()]], "out": [["0x1000", after.hex()]],
        "clobbered": [],
    }  # fmt: skip
    return event if span is None else {**event, "begin": span[0], "end": span[1]}


def bind_ipi(port: int, span: Span | None = None) -> Event:
    """EVTCHNOP_bind_ipi for vCPU 0 that gave this port."""
    return call(7, bytes(8), struct.pack("<2I", 0, port), 0, span)


def close(port: int, ret: int, span: Span | None = None) -> Event:
    data = struct.pack("<I", port)
    return call(3, data, data, ret, span)


def status(port: int, kind: int, span: Span | None = None) -> Event:
    """EVTCHNOP_status: 0 closed, 5 an IPI channel on vCPU 0."""
    before = struct.pack("<HHIIIQ", 0x7FF0, 0, port, 0, 0, 0)
    return call(5, before, struct.pack("<HHIIIQ", 0x7FF0, 0, port, kind, 0, 0), 0, span)


def said_of(spec: Spec, events: list[Event]) -> dict[str, str]:
    """Clauses that are violated, and what was seen."""
    report = judge(spec, ObjectTrace(HEADER, [*events, {"kind": "end", "reason": "shutdown"}]))
    return {j.clause.rpartition(".")[2]: j.finding.seen for j in report.violations if j.finding}


def test_one_order_of_two_is_enough(spec: Spec) -> None:
    # In the order of the trace, port 2 came before port 1.
    assert said_of(spec, [bind_ipi(2), bind_ipi(1)])
    assert not said_of(spec, [bind_ipi(2, (1, 2)), bind_ipi(1, (0, 3))])
    assert said_of(spec, [bind_ipi(2, (0, 1)), bind_ipi(1, (2, 3))]), "the first was over"


def test_no_order_conforms(spec: Spec) -> None:
    said = said_of(spec, [bind_ipi(1, (0, 2)), bind_ipi(1, (1, 3))])
    assert list(said) == ["chosen"]
    assert "in every order of the calls at the same time (0, 1)" in said["chosen"]


def test_a_call_that_takes_long_overlaps_with_all_that_others_do_meanwhile(spec: Spec) -> None:
    others = [bind_ipi(2, (1, 2)), bind_ipi(3, (3, 4)), close(1, 0, (5, 6))]
    assert not said_of(spec, [*others, bind_ipi(1, (0, 7))])
    assert said_of(spec, [*others, bind_ipi(1, (3, 7))]), "port 1 is closed after it is bound only"


def test_what_comes_later_tells_the_orders_apart(spec: Spec) -> None:
    # Closed before it was bound again, or after: both are possible until the port is looked at.
    race = [bind_ipi(1), close(1, 0, (0, 3)), close(1, -22, (1, 2))]
    assert not said_of(spec, [*race, status(1, 0)])
    assert said_of(spec, [*race, status(1, 5)])
    racing = [bind_ipi(1), close(1, 0, (0, 3)), bind_ipi(2, (1, 2))]
    assert not said_of(spec, [*racing, status(1, 0), status(2, 5)])
    assert said_of(spec, [*racing, status(1, 0), status(2, 0)])


def seen_of(spec: Spec, events: list[Event]) -> list[Seen]:
    trace = ObjectTrace(HEADER, events)
    return list(Binder(spec, RELEASE, MODE, "AuthenticAMD").bind(trace))


@lru_cache
def compiled() -> Compiled:
    spec, _ = load_spec()
    assert spec is not None
    return Compiled(spec, RELEASE, MODE, "implemented")


def machine(spec: Spec) -> Machine:
    return Machine(spec, RELEASE, MODE, given=HEADER["given"], compiled=compiled())


def violated(said: list[Judgement]) -> bool:
    return any(j.verdict is Verdict.VIOLATES for j in said)


def test_a_search_that_is_too_long_says_nothing(spec: Spec) -> None:
    events = [bind_ipi(1, (0, 4)), bind_ipi(1, (1, 5)), bind_ipi(2, (2, 3))]
    orders = Orders(machine(spec), most_steps=2)
    said = [j for seen in seen_of(spec, events) for j in orders.feed(seen)]
    said += orders.finish()
    assert {j.verdict for j in said} == {Verdict.UNSEEN}
    assert len(said) == len(events)
    after = list(orders.feed(seen_of(spec, [status(1, 0)])[0]))
    assert not violated(after), "nothing is known of the state"


_results = st.one_of(
    st.builds(bind_ipi, st.integers(1, 3)),
    st.builds(close, st.integers(1, 2), st.sampled_from((0, -22))),
    st.builds(status, st.integers(1, 2), st.sampled_from((0, 5))),
)


@st.composite
def races(draw: st.DrawFn) -> list[Event]:
    """Up to four calls with results that may be or not, in the order in which they end."""
    events = draw(st.lists(_results, min_size=2, max_size=4))
    places = draw(st.permutations(range(2 * len(events))))
    spans = [sorted(places[2 * i : 2 * i + 2]) for i in range(len(events))]
    made = [{**e, "begin": b, "end": x} for e, (b, x) in zip(events, spans, strict=True)]
    return sorted(made, key=lambda e: int(e["end"]))


@settings(max_examples=30, deadline=None)
@given(race=races(), after=st.lists(_results, max_size=2))
def test_as_if_every_order_were_written_down(race: list[Event], after: list[Event]) -> None:
    spec, _ = load_spec()
    assert spec is not None
    seen = seen_of(spec, [*race, *after])
    calls, later = seen[: len(race)], seen[len(race) :]
    possible = False
    for order in permutations(calls):
        spans = [s.span for s in order if s.span is not None]
        if any(b[1] < a[0] for i, a in enumerate(spans) for b in spans[i + 1 :]):
            continue
        one = machine(spec)
        if not any(violated(list(one.feed(s))) for s in (*order, *later)):
            possible = True
            break
    orders = Orders(machine(spec))
    said = [j for s in seen for j in orders.feed(s)] + list(orders.finish())
    assert violated(said) != possible
    vague = Orders(machine(spec), most_left=1)
    said = [j for s in seen for j in vague.feed(s)] + list(vague.finish())
    assert not (violated(said) and possible), "what is known of all orders holds for each"
