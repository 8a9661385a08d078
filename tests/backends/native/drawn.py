"""Traces of all chapters: calls drawn from the specification, answered as it foretells."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from pvhspec.backends.machine.draw import Drawer, chapter, offered
from pvhspec.backends.machine.model import Ask, Foretold, Model, result_of
from pvhspec.conform.render import step_of
from pvhspec.ir.ir import Operation, Slot, Spec
from pvhspec.programs import Layouts
from pvhspec.targets import steps as st
from pvhspec.traces import Complete, Event, Guest, Header, Hypervisor, Origin
from tests.backends.native.damage import Made

__all__ = ["WHERE", "World"]

_BUFFERS, _AREA, _BAD = 0x101D000, 0x400000, 0x7FFF_F000
WHERE = (("4.17.7", "pvh_dom0", 64), ("4.14.6", "pvh_dom0", 32), ("4.20.0", "pvh_domu", 64))
_GIVEN: dict[str, dict[str, Any]] = {
    "domain_exists": {"*": False, "0": True}, "domain_privileged": {"*": False, "0": True},
    "vcpu_exists": {"*": False, "0,0": True, "0,1": True}, "xen_attached": {"*": False},
    "max_evtchn_port": {"0": 0x7FFFFFFF},
}  # fmt: skip


class World:
    """One release, mode and width, in which calls are drawn."""

    def __init__(self, spec: Spec, release: str, mode: str, width: int) -> None:
        version = tuple(map(int, release.split(".")))
        self._start = Model(spec, version, mode, width=width, given=_GIVEN)
        self._layouts = Layouts(spec, width)
        self._chapters: dict[str, list[Operation]] = {}
        for op in offered(spec, version, mode):
            if op.number is not None and not op.name.endswith(".other"):
                self._chapters.setdefault(chapter(op), []).append(op)
        self._header = Header(
            origin=Origin("test", "tests"), synthetic=True, hypervisor=Hypervisor("xen", release),
            guest=Guest(mode), cpu_vendor="AuthenticAMD", from_boot=True, given=_GIVEN,
            complete=Complete(True, True, True, True, True),
        )  # fmt: skip

    def drawn(self, number: int, rng: random.Random, length: int) -> Made:
        """A trace of calls of one chapter or two, in which all is seen."""
        names = list(self._chapters)
        of = {names[number % len(names)], rng.choice(names)}
        among = [op for name in names if name in of for op in self._chapters[name]]
        model = self._start.fork()
        drawer = Drawer(model, rng, Counter(), among)
        events: list[Event] = []
        for _ in range(rng.randrange(2, length)):
            ask = drawer.call(drawer.weighted(among))
            told = model.foretell(ask)
            if told is not None:
                events.append(_event(model, self._layouts, ask, told, len(events)))
                drawer.take(told)
        return Made(self._header, events)


def _event(model: Model, layouts: Layouts, ask: Ask, told: Foretold, seq: int) -> Event:
    step = step_of(ask, layouts)
    before = tuple((_BUFFERS + (n << 12), b.data) for n, b in enumerate(step.buffers))
    fields = model.inputs(ask)
    ret = result_of(ask.op, told.code, fields)
    outs: dict[str, int] = {}
    if not told.code:
        if ask.op.result is not None:
            value = told.path.resolve(model.compiler.expr(ask.op.result)(told.path))
            ret = value if isinstance(value, int) else 0
        outs = _outs(model, ask.op, told)
    name = ask.op.status.name if ask.op.status is not None else ""
    if f"out.{name}" in fields:
        outs[name] = fields[f"out.{name}"]
    after = _written(before, ask.op.slots, outs, model.width == 32)
    shown = {} if ask.memory == "unreadable" else {"in": before, "out": after}
    said = {
        "width": model.width, "cpl": ask.cpl, "via": step.via, "nr": step.nr,
        "args": tuple(map(_number, step.args)), "ret": ret, **shown,
        "arg_readable": ask.memory != "unreadable", "arg_writable": ask.memory == "ordinary",
    }  # fmt: skip
    return Event("hypercall", seq, said, None, 0, 0)


def _outs(model: Model, op: Operation, told: Foretold) -> dict[str, int]:
    """What success writes into the structure."""
    found: dict[str, int] = {}
    for u in op.updates:
        if not u.target.startswith("out.") or u.indices:
            continue
        if told.path.decide(model.compiler.expr(u.guard)(told.path)):
            value = told.path.resolve(model.compiler.expr(u.value)(told.path))
            if isinstance(value, int):
                found[u.target.removeprefix("out.")] = int(value)
    return found


def _written(
    before: tuple[tuple[int, bytes], ...], slots: tuple[Slot, ...], outs: dict[str, int],
    narrow: bool,
) -> tuple[tuple[int, bytes], ...]:  # fmt: skip
    if not before:
        return ()
    (at, raw), *others = before
    whole = bytearray(raw)
    for slot in slots:
        start, size = slot.offset[narrow], slot.size[narrow]
        if slot.name in outs and size <= 8:
            value = outs[slot.name] & ((1 << 8 * size) - 1)
            whole[start : start + size] = value.to_bytes(size, "little")
    return ((at, bytes(whole)), *others)


def _number(operand: st.Operand) -> int:
    """Where something would lie that the probe makes room for."""
    match operand:
        case int():
            return operand & (1 << 64) - 1
        case st.Buf(index=index, offset=offset, shift=shift):
            return _BUFFERS + (index << 12) + offset >> shift
        case st.ReadOnly(index=index, offset=offset):
            return _BUFFERS + (index << 12) + offset
        case st.Area(offset=offset, shift=shift):
            return _AREA + offset >> shift
    return _BAD
