"""Showing less never makes a violation, and never makes a verdict that showing more takes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from pvhspec.backends.protocol import Judgement, Verdict
from pvhspec.ir.ir import Spec
from tests.small import Run, compile_good

TEXT = """
type Bell = u32 below 24

enum Use { free waits(peer : DomId) joined(peer : DomId, to : Bell) }

struct args size 12 { 0 a : Bell  4 b : u32  8 peer : DomId }

state use[x : Bell] : Use = if x == 0 then waits(9) else free
state rung[x : Bell] : bool = false may rise when use[x] is joined(_, _)
state mute[x : Bell] : bool = x == 3
state busy : bool = any
state level : u32 = 2 may change when busy

predicate spare(x : Bell) = use[x] == free and not mute[x]

event look { at : Bell  heard[x : Bell] : bool  some : bool  high : u32 }
event enter { at : Bell }
event bell { at : Bell }

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
    error EINVAL beyond when a >= 24
    error EINVAL not_waiting when not use[a] is waits(_)
    error EPERM not_for_you when use[a] != waits(peer)
  }
  error EBUSY busy when busy
  success choose other : Bell where use[other] == free {
    b := u32(other)
    use[a] := joined(peer, other)
    use[other] := joined(peer, a)
    rung[other] := true
    always_loud(a)
  }
}

effect always_loud(x : Bell) { if mute[x] { mute[x] := false } }

operation close = op.3 takes args documented xen:a.h "x" {
  in a
  error EINVAL closed when a >= 24 or use[a] == free
  always { level := level + 1 }
  success {
    match use[a] {
      free         -> {}
      waits(_)     -> {}
      joined(p, q) -> { use[q] := waits(p) }
    }
    use[a]  := free
    rung[a] := false
  }
}

operation clear = op.4 takes args documented xen:a.h "x" {
  in a
  success returns u64(level) {
    for all x : Bell where x >= a and not mute[x] { rung[x] := false }
    busy := false
  }
}

on look seen documented xen:a.h "x" {
  require all : forall x : Bell | heard[x] == rung[x]
  require some : some == (exists x : Bell | use[x] is joined(_, _))
  require level : high == level
}

obligation answered(x : Bell) documented xen:a.h "x" {
  when rung[x] and use[x] is waits(_)
  then bell where at == x
  before enter where at == x
  unless mute[x]
}
"""

BELLS = 24


@dataclass(frozen=True)
class Event:
    """`shown` by field; `ret` and `out` of calls."""

    name: str
    fields: tuple[tuple[str, Any], ...]
    ret: int | None = None
    out: tuple[tuple[str, int], ...] = ()

    @property
    def is_call(self) -> bool:
        return self.name not in ("look", "enter", "bell")


class Table(dict[tuple[int, ...], Any]):
    """A map of which everything is shown but some places."""

    def __init__(self, on: frozenset[int], hidden: frozenset[int]) -> None:
        super().__init__({(i,): i in on for i in range(BELLS) if i not in hidden})


@cache
def spec() -> Spec:
    return compile_good(TEXT)


def judged(events: list[Event]) -> list[list[Judgement]]:
    run = Run(spec())
    said = []
    for event in events:
        fields = dict(event.fields)
        if event.is_call:
            said.append(run.call(event.name, event.ret, dict(event.out), **fields))
        else:
            if "on" in fields:
                fields["heard"] = Table(fields.pop("on"), fields.pop("hidden", frozenset()))
            said.append(run.event(event.name, **fields))
    return said


def conforms(events: list[Event]) -> bool:
    return all(j.verdict is not Verdict.VIOLATES for said in judged(events) for j in said)


small = st.integers(0, 5)


@st.composite
def calls(draw: st.DrawFn) -> list[Event]:
    """What may have come of one call: one of these conforms, as a rule."""
    name = draw(st.sampled_from(["open", "join", "join", "close", "clear"]))
    fields = {"a": draw(small), "peer": draw(st.integers(8, 9)), "writable": draw(st.booleans())}
    own = {"open": ["peer"], "join": ["a", "peer"], "close": ["a"], "clear": ["a"]}[name]
    shown = tuple((k, v) for k, v in fields.items() if k in [*own, "writable"])
    rets = {"open": [0, -28, -12, -14], "join": [0, -22, -1, -16], "close": [0, -22]}
    outs = {"open": "a", "join": "b"}.get(name)
    found = []
    for ret in draw(st.permutations(rets.get(name, range(6)))):
        numbers = draw(st.permutations(range(6))) if outs and ret == 0 else [0]
        out = [((outs, n),) if outs and ret == 0 else () for n in numbers]
        found += [Event(name, shown, ret, o) for o in out]
    return found


@st.composite
def looks(draw: st.DrawFn) -> list[Event]:
    on = frozenset(draw(st.sets(small, max_size=3)))
    smaller = [frozenset(), on] + [frozenset({i}) for i in range(6)]
    levels = range(draw(st.integers(0, 4)), 9)
    found = []
    for bells, some, high in product(smaller, (True, False), levels):
        fields = (("at", 0), ("on", bells), ("some", some), ("high", high))
        found.append(Event("look", fields))
    return found


others = st.builds(
    lambda name, at: [Event(name, (("at", at),))], st.sampled_from(["enter", "bell"]), small
)


@st.composite
def executions(draw: st.DrawFn) -> list[Event]:
    """An execution that conforms."""
    events: list[Event] = []
    for options in draw(st.lists(st.one_of(calls(), calls(), looks(), others), max_size=6)):
        found = next((o for o in options if conforms([*events, o])), None)
        if found is not None:
            events.append(found)
    return events


@st.composite
def hidden(draw: st.DrawFn, event: Event) -> Event:
    keep = draw(st.lists(st.booleans(), min_size=8, max_size=8))
    fields = tuple(
        (name, value if kept or name == "on" else None)
        for (name, value), kept in zip(event.fields, keep, strict=False)
    )
    if any(name == "on" for name, _ in fields):
        places = draw(st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 23))))
        fields = (*fields, ("hidden", places))
    ret = event.ret if keep[6] else None
    return replace(event, fields=fields, ret=ret, out=event.out if keep[7] and keep[6] else ())


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(executions(), st.data())
def test_less_is_never_worse(events: list[Event], data: st.DataObject) -> None:
    less = [data.draw(hidden(e)) for e in events]
    full, part = judged(events), judged(less)
    for number, (event, whole, some) in enumerate(zip(less, full, part, strict=True)):
        note(f"{number}: {events[number]}\n   as {event}")
        verdicts = {j.clause: j.verdict for j in whole}
        for j in some:
            assert j.verdict is not Verdict.VIOLATES, (number, event, j)
            if j.verdict is Verdict.CONFORMS and j.clause in verdicts:
                assert verdicts[j.clause] is not Verdict.VIOLATES, (number, event, j)
