"""Calls that somebody else thought of, made so that the guest survives them: values that would end
it, or that point to what it needs, are moved to where they do no harm. What makes such a call about
something stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from pvhspec.backends.machine.careful import (
    ENDS,
    ONLY,
    OWN_FRAMES,
    SLEEPS,
    harmless,
    once_only,
    tame,
)  # fmt: skip
from pvhspec.backends.machine.frames import NO_FRAME, own_frames
from pvhspec.backends.machine.model import Ask, Model, overlaid

__all__ = ["guarded"]

Values = dict[str, int]
_PLACES = 32  #: pages that are handed over by `_gfn`s


def guarded(ask: Ask, model: Model, random: Random) -> Ask:
    """The same call, as near to it as the guest survives."""
    op, values, arrays = ask.op, dict(ask.values), dict(ask.arrays)
    narrow = int(model.width == 32)
    for slot in op.slots:
        if slot.name in values:
            values[slot.name] &= (1 << 8 * slot.size[narrow]) - 1
    for name, value in values.items():
        allowed = ONLY.get((op.name, name))
        if allowed is not None and value not in allowed:
            values[name] = random.choice(allowed)
        elif name.endswith("_gfn") and value < NO_FRAME:
            values[name] = value % _PLACES
    if op.name == "HVMOP_set_param":
        values["value"] = tame(values["index"], values["value"], random)
    harmless(op, values, model, random)
    if op.hypercall == "memory_op":
        own_frames(op, values, arrays, model)
    change = _CHANGES.get(op.name)
    if change is not None:
        change(values, model)
    told = overlaid(op, values, model.width)
    values.update((name, told[name]) for name in values if name in told)
    if op.name == "VCPUOP_initialise":
        once_only(op, values, model, random)
    memory = "unreadable" if op.name in ENDS else ask.memory
    cpl = 3 if op.name in SLEEPS else ask.cpl
    return replace(ask, values=values, arrays=arrays, memory=memory, cpl=cpl)


def _vcpu_info(values: Values, model: Model) -> None:
    if values["mfn"] < NO_FRAME:
        values["mfn"] = OWN_FRAMES + values["vcpuid"] % 2


def _area(values: Values, model: Model) -> None:
    for name in ("address", "p"):
        if 0x1000 <= values.get(name, 0) < NO_FRAME << 12:
            values[name] = 0


def _copy(values: Values, model: Model) -> None:
    if not values["flags"] & 2:
        values["dest_frame"] = values["dest_ref"] = 8


def _unmap(values: Values, model: Model) -> None:
    if values["host_addr"] and values["handle"] in model.held:
        values["host_addr"], _ = model.held[values["handle"]]


def _watchdog(values: Values, model: Model) -> None:
    values["timeout"] = values["timeout"] and 5000


_CHANGES: dict[str, Callable[[Values, Model], None]] = {
    "GNTTABOP_copy": _copy,
    "GNTTABOP_unmap_grant_ref": _unmap,
    "SCHEDOP_watchdog": _watchdog,
    "VCPUOP_register_vcpu_info": _vcpu_info,
    "VCPUOP_register_runstate_memory_area": _area,
    "VCPUOP_register_vcpu_time_memory_area": _area,
    "VCPUOP_register_runstate_phys_area": _area,
    "VCPUOP_register_vcpu_time_phys_area": _area,
}
