"""Whole traces of a small specification, decided as by trying every value that was not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.protocol import Call, Seen, Verdict
from pvhspec.backends.whole.core import hidden, record
from pvhspec.backends.whole.record import Recorder
from pvhspec.backends.whole.solve import Whole, decide
from pvhspec.ir.ir import Spec
from tests.small import MODE, RELEASE, compile_good

TEXT = """
type Bell = u32 below 6

enum Use { free waits(peer : DomId) joined(to : Bell) }

struct args size 12 { 0 a : Bell  4 b : u32  8 peer : DomId }

state use[x : Bell] : Use = free
state rung[x : Bell] : bool = false
state level : u32 = 0

predicate spare(x : Bell) = use[x] == free

event look { at : Bell  heard[x : Bell] : bool  high : u32 }

hypercall op = 1 documented xen:a.h "x" { error ENOSYS no_command when not known_command }

operation open = op.1 takes args documented xen:a.h "x" {
  in peer
  out a
  error ENOSPC full when not exists x : Bell | spare(x)
  error ENOMEM no_memory maybe
  error EFAULT lost after success when not writable
  success choose lowest chosen : Bell where spare(chosen) {
    a := chosen
    use[chosen] := waits(peer)
  }
}

operation join = op.2 takes args documented xen:a.h "x" {
  in a, peer
  out b
  in order {
    error EINVAL not_waiting when not use[a] is waits(_)
    error EPERM not_for_you when use[a] != waits(peer)
  }
  error EBUSY all_taken when not exists x : Bell | spare(x)
  success choose other : Bell where spare(other) {
    b := u32(other)
    use[a] := joined(other)
    use[other] := joined(a)
    rung[other] := true
  }
}

operation close = op.3 takes args documented xen:a.h "x" {
  in a
  error EINVAL closed when use[a] == free
  always { level := level + 1 }
  success {
    match use[a] {
      free      -> {}
      waits(_)  -> {}
      joined(q) -> { use[q] := waits(8) }
    }
    use[a]  := free
    rung[a] := false
  }
}

on look seen documented xen:a.h "x" {
  require all : forall x : Bell | heard[x] == rung[x]
  require level : high == level
}
"""
BELLS = 6
CODES = (0, 1, 12, 14, 16, 22, 28)
OUT = {"open": "a", "join": "b"}


@cache
def spec() -> Spec:
    return compile_good(TEXT)


def fresh() -> Recorder:
    return Recorder(spec(), RELEASE, MODE)


def seen(name: str, number: int, fields: dict[str, Any], code: int | None, out: Any) -> Seen:
    """A call; `code` and `out` are None where they are not shown."""
    op = next(o for o in spec().operations if o.name == name)
    values = {"caller": 0, "current": 0, "width": 64, "cpl": 0, "readable": True, **fields}
    if code is not None:
        values["ret"] = -code & (1 << 64) - 1
    if out is not None:
        values[f"out.{OUT[name]}"] = out
    call = Call(op, None if code is None else -code, None, None)
    return Seen("hypercall", number, None, values, call)


# ---- by trying everything ----------------------------------------


def completions(event: Seen) -> Iterator[Seen]:
    """Every way to fill in what an event does not show."""
    if event.call is None:
        yield event
        return
    name = event.call.operation.name
    for writable in [event.fields.get("writable")] if "writable" in event.fields else (True, False):
        fields = {**event.fields, "writable": writable}
        ret = event.call.ret
        for code in CODES if ret is None else (-ret,):
            out = f"out.{OUT[name]}" if name in OUT and code == 0 else None
            for number in range(BELLS) if out is not None and out not in fields else (None,):
                more: dict[str, Any] = {"ret": -code & (1 << 64) - 1}
                if out is not None and number is not None:
                    more[out] = number
                call = replace(event.call, ret=-code)
                yield replace(event, fields={**fields, **more}, call=call)


def by_force(events: list[Seen], machine: Machine | None = None) -> bool:
    """Whether some completion conforms."""
    if not events:
        return True
    machine = machine or Machine(spec(), RELEASE, MODE)
    for event in completions(events[0]):
        here = machine.fork()
        if all(j.verdict is not Verdict.VIOLATES for j in here.feed(event)) and by_force(
            events[1:], here
        ):
            return True
    return False


# ---- traces ----------------------------------------


@st.composite
def events(draw: st.DrawFn, number: int, machine: Machine) -> Seen:
    """An event that conforms as a rule; of some, what came of it is not to be seen."""
    kind = draw(st.sampled_from(("open", "open", "join", "close", "close", "look")))
    if kind == "look":
        rung = {(x,): machine.store.read("rung", (x,)) for x in range(BELLS)}
        heard = {at: value for at, value in rung.items() if isinstance(value, bool)}
        if draw(st.booleans()):
            heard.pop((draw(st.integers(0, BELLS - 1)),), None)
        level = machine.store.read("level", ())
        fields = {"caller": 0, "current": 0, "at": 0, "heard": heard}
        if isinstance(level, int) and draw(st.booleans()):
            fields["high"] = level + (draw(st.integers(0, 9)) == 0)
        return Seen("look", number, None, fields)
    inputs = {"open": ["peer"], "join": ["a", "peer"], "close": ["a"]}[kind]
    values = {"a": draw(st.integers(0, 3)), "peer": draw(st.sampled_from((8, 8, 8, 9)))}
    given_ = {k: values[k] for k in inputs} | {"writable": draw(st.integers(0, 5)) > 0}
    legal = []
    for code in CODES:
        for out in range(BELLS) if kind in OUT and code == 0 else (None,):
            event = seen(kind, number, given_, code, out)
            told = list(machine.fork().feed(event))
            if all(j.verdict is not Verdict.VIOLATES for j in told):
                legal.append((code, out))
    if draw(st.integers(0, 11)) == 0:
        legal = [(0, draw(st.integers(0, 3)) if kind in OUT else None)]
    return seen(kind, number, given_, *draw(st.sampled_from(legal)))


@st.composite
def traces(draw: st.DrawFn) -> list[Seen]:
    machine = Machine(spec(), RELEASE, MODE)
    found: list[Seen] = []
    for number in range(draw(st.integers(1, 8))):
        event = draw(events(number, machine))
        list(machine.feed(event))
        less = hidden(event) if event.call is not None and draw(st.booleans()) else event
        assert less is not None
        if less is not event and draw(st.booleans()):
            less.fields["writable"] = event.fields["writable"]
        found.append(less)
    return found


def solved(trace: list[Seen]) -> Whole:
    return decide(record(fresh(), trace, True), trace, fresh, True, 60)


def without(trace: list[Seen], keep: set[int]) -> list[Seen]:
    """Only what came of some of them is to be seen."""
    return [e for t in trace for e in [t if t.seq in keep else hidden(t)] if e is not None]


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(traces())
def test_as_by_trying_everything(trace: list[Seen]) -> None:
    for event in trace:
        name = event.call.operation.name if event.call else "look"
        note(f"{event.seq} {name} {event.call and event.call.ret} {event.fields}")
    whole = solved(trace)
    note(str(whole))
    assert whole.status == ("conforms" if by_force(trace) else "violates")
    if whole.core is not None:
        core = {*whole.core.events}
        assert whole.core.minimal
        assert not by_force(without(trace, core))
        until = [t for t in trace if t.seq <= max(core)]
        for number in core:
            assert by_force(without(until, core - {number})), number


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(traces())
def test_the_interpreter_says_the_same_as_far_as_it_goes(trace: list[Seen]) -> None:
    machine = Machine(spec(), RELEASE, MODE)
    told = [j for event in trace for j in machine.feed(event)]
    whole = solved(trace)
    if any(j.verdict is Verdict.VIOLATES for j in told):
        assert whole.status == "violates"
    elif all(j.verdict is Verdict.CONFORMS for j in told):
        assert whole.status == "conforms"
