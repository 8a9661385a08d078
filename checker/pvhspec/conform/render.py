"""A call by the specification's names as a step of a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pvhspec.backends.machine.careful import OWN_FRAMES
from pvhspec.backends.machine.model import Ask, is_pointer
from pvhspec.programs import Layouts
from pvhspec.programs.calls import Saved
from pvhspec.programs.calls import call as call_step
from pvhspec.targets import steps as st
from pvhspec.targets.steps import Operand

__all__ = ["FRAMES", "area_frame", "own_area", "step_of"]

FRAMES = 0x8000  # the place in the area of pages that are handed over by their frame numbers
AREAS = 0x3C000  # the place of what Xen writes of a vCPU's time, with a page behind it
_MEMORY: dict[str, Operand] = {
    "ordinary": st.Buf(0), "readonly": st.ReadOnly(0), "unreadable": st.Unreadable(),
}  # fmt: skip
_POISON = b"\xee" * 32
_AREA_FRAMES = 0x7A000000  # what stands for the frame numbers of the area, which nobody knows yet


def step_of(
    ask: Ask,
    layouts: Layouts,
    saved: Saved | None = None,
    instead: Mapping[str, Operand] | None = None,
) -> st.Hypercall:
    """The step that makes a call. `instead` are operands for some of its fields."""
    op = ask.op
    if op.number is None or op.name.endswith(".other"):
        return _raw(ask)
    layout = layouts.named(op.name)
    assert layout is not None
    given: dict[str, Operand] = dict(ask.values)
    for name, value in ask.values.items():
        if name.endswith("_gfn") and value < 32:
            given[name] = st.Area(FRAMES + (value << 12), 12)
        elif 0 <= value - _AREA_FRAMES < st.AREA_SIZE >> 12:
            given[name] = st.Area(value - _AREA_FRAMES << 12, 12)
    if op.name.startswith("VCPUOP_register_"):
        given |= _of_a_vcpu(ask.values)
    given.update(instead or {})
    buffers: tuple[st.Buffer, ...] = ()
    if op.struct is None and op.pointer is not None and op.pointer not in given:
        given[op.pointer], buffers = _somewhere(ask)
    made = call_step(layout, given, _MEMORY[ask.memory], saved, ask.arrays)
    return replace(made, buffers=made.buffers or buffers, cpl=ask.cpl)


def area_frame(page: int) -> int:
    """What stands for the frame number of a page of the area, in calls and in the model."""
    return _AREA_FRAMES + page


def own_area(vcpu: int) -> int:
    """The place in the area of a page for the vcpu_info of a vCPU."""
    return FRAMES + (OWN_FRAMES + vcpu % 2 << 12)


def _of_a_vcpu(values: Mapping[str, int]) -> dict[str, Operand]:
    """Where Xen is to write for a vCPU: places in the area that nothing else has."""
    found: dict[str, Operand] = {}
    if OWN_FRAMES <= values.get("mfn", 0) < OWN_FRAMES + 2:
        found["mfn"] = st.Area(FRAMES + (values["mfn"] << 12), 12)
    for name in ("address", "p"):
        if name in values and values[name] < 0x1000:
            found[name] = st.Area(AREAS + values[name])
    return found


def _raw(ask: Ask) -> st.Hypercall:
    """A call of which no more is known than its number and, it may be, its parameters."""
    op = ask.op
    nr = ask.number if ask.number is not None else op.number
    assert nr is not None
    memory, buffers = _somewhere(ask)
    told = [memory if is_pointer(p) else ask.values.get(p.name, 0) for p in op.params]
    return st.Hypercall(nr, tuple(told or [memory]), buffers, cpl=ask.cpl)


def _somewhere(ask: Ask) -> tuple[Operand, tuple[st.Buffer, ...]]:
    """What a pointer leads to where nothing is known of what should be there."""
    return _MEMORY[ask.memory], () if ask.memory == "unreadable" else (st.Buffer(_POISON),)
