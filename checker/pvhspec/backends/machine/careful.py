"""Calls that a guest survives: values that would end it or put it to sleep are drawn anew, and
those that have to fit together to be about anything are made to."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pvhspec.backends.machine.model import Ask, Model, overlaid
from pvhspec.ir.ir import Operation
from pvhspec.targets.steps import EMPTY_FRAMES

__all__ = [
    "ENDS",
    "ONLY",
    "OWN_FRAMES",
    "SLEEPS",
    "careful",
    "harmless",
    "once_only",
    "tame",
]

Values = dict[str, int]

#: Calls that a guest does not come back from: they are made with no structure that could be read.
ENDS = ("SCHEDOP_shutdown",)
#: Calls that nothing may wake it from: they are made from user mode, which is refused.
SLEEPS = ("SCHEDOP_block",)

#: Calls that end or stall the guest where they are given what the text says nothing of: only these
#: values are drawn, and what they keep the caller from finding out is left out on purpose.
ONLY: dict[tuple[str, str], tuple[int, ...]] = {
    # Others are taken as these are; a task state has to be one (`tame`).
    ("HVMOP_set_param", "index"): (*(0,) * 6, 1, 2, 4, 15, 18, 19, *range(34, 40), 0xFFFFFFFF),
    ("HVMOP_get_param", "index"): (*range(40), 0, 2, 15, 15, 18, 34, 37, 37, 0xFFFFFFFF),
    ("HVMOP_set_evtchn_upcall_vector", "vector"): (0, 1, 15, *range(0x30, 0x70, 5)),
    ("HVMOP_xentrace", "event"): (0, 1, 0xFFF, 0x1000, 0xFFFF),
    ("HVMOP_xentrace", "extra_bytes"): (0, 3, 4, 27, 28, 29, 32, 0xFFFF),
    ("physdev_op.other", "cmd"): (0, 2, 5, 12, 15, 20, 23, 33, 0xFFFF),  # not the machine's devices
}

#: The first of the frames that vCPUs have for a vcpu_info of their own, by number beside `_gfn`s.
OWN_FRAMES = 48

#: A context that is accepted, by the form: what is not here is 0.
_CONTEXTS: tuple[Values, Values] = (
    {
        "eip": 0x1000000, "eflags": 2, "cr0": 1, "tr_limit": 0x67,
        **{f"{s}_limit": 0xFFFFFFFF for s in ("cs", "ds", "ss", "es")},
        "cs_ar": 0xC9B, "ds_ar": 0xC93, "ss_ar": 0xC93, "es_ar": 0xC93, "tr_ar": 0x8B,
    },
    {
        "form": 1, "wide_rip": 0x1000000, "wide_rflags": 2, "wide_cr0": 0x80000001,
        "wide_cr4": 0x20, "wide_efer": 0x500,
    },
)  # fmt: skip
_FIRST = EMPTY_FRAMES.start << 12  # from here on granted pages are mapped
_ENDS = (0, 8, 64, 2, 4, 7, 4096 - 48, 4096 - 44, 4096 - 32, 4096 - 28, 4096 - 8)


def careful(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Change the values drawn for a call where they have to be."""
    if "vcpuid" in values and random.random() < 0.6:
        values["vcpuid"] = random.choice((0, 0, 1, 1, 2))
    if op.each is not None:  # there is one structure: of more, nothing would be known
        values[op.each] = random.choice((*[1] * 12, 0, 0x80000000, 0xFFFFFFFF))
    harmless(op, values, model, random)
    change = _SHAPES.get(op.name)
    if change is not None:
        change(op, values, model, random)


def harmless(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Change those of the values that the guest would not survive, or not be woken from."""
    change = _HARMLESS.get(op.name)
    if change is not None:
        change(op, values, model, random)


def tame(index: int, value: int, random: Random) -> int:
    """A value of an HVM parameter that does not end the guest."""
    match index:
        case 15:
            return value & 0xFFFFFFFF
        case 37:
            length = random.choice((104, 128, 8329, 8330, 0x7FFFFFFF))
            return value & 0xFFFFFFFF | length << 32
        case 36:
            return random.choice((0, 4, 8, 5, 16))
    value = value & ~0xFF | 0x30 | random.randrange(0x40)  # no exception's vector
    return value & 0xFF | 2 << 56 if random.random() < 0.7 else value


def _down(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Not the vCPU that calls: it would be the last one, or sleep for ever."""
    values["vcpuid"] = values["vcpuid"] or random.choice((1, 1, 2, 128))


def _timeout(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A moment that is over: nobody would wake the guest later."""
    values["timeout"] = random.choice((1, 2, 1000))


def _watchdog(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Later than the run will last, or never."""
    values["id"] = random.choice((0, 1, 2, values["id"]))
    values["timeout"] = random.choice((0, 5000)) if values["id"] else 5000


def _end(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Nobody's: dom0 would end itself."""
    values["domain_id"] = values["domain_id"] or random.choice((1, 5, 0x7FF0, 0x7FF2, 0xFFFF))


def _write(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A few characters: a serial line is slow."""
    values["count"] %= 17


def _pin(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Mostly a processor that there is, or none any more."""
    values["pcpu"] = random.choice((0, 0, 0xFFFFFFFF, 0xFFFFFFFF, 1, 16383, 16384, values["pcpu"]))


def _up(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Not one that was given registers drawn at random."""
    if values["vcpuid"] and model.cell("vcpu_initialised", 0, values["vcpuid"]) is not False:
        values["vcpuid"] = 0


def _initialise(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A context that is accepted but for a field or two, seen through both forms."""
    fields = {s.name: s for s in op.slots}
    form = random.randrange(2)
    drawn = {n: values[n] for n in fields if n in _CONTEXTS[form] or n in ("pad", "pad1", "efer")}
    drawn |= {n: values[n] for n in ("cr4", "pad2_0", "pad2_1", "pad2_2") if not form}
    if form:
        drawn = {n: v for n, v in drawn.items() if n.startswith("wide_") or n in ("form", "pad")}
    kept = {n: 0 for n in fields} | _CONTEXTS[form]
    for name in random.sample(sorted(drawn), random.choice((0, 1, 1, 1, 2))):
        bit = 1 << random.randrange(8 * fields[name].size[0])
        kept[name] = random.choice((drawn[name], kept[name] ^ bit, kept[name] ^ bit, 0))
    told = {
        name: value
        for name, value in kept.items()
        if name.startswith("wide_") == bool(form) or name in ("form", "pad")
    }
    values.update(overlaid(op, told, model.width))
    once_only(op, values, model, random)


def once_only(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A context is accepted once only, and then there is nothing more to be refused."""
    told = model.foretell(Ask(op, values))
    if told is not None and not told.code and random.random() < 0.97:
        values["pad"] = 1


def _vcpu_info(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A page that nothing else is in, or none: of what was moved, no page is refused any more."""
    mine = OWN_FRAMES + values["vcpuid"] % 2
    values["mfn"] = mine if random.random() < 0.6 else random.choice((1 << 40, 1 << 52, 1 << 63))


def _area(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A place for Xen to write, or no memory at all."""
    if "address" in values:
        values["address"] = random.choice(_ENDS[:3])
    else:
        values["p"] = random.choice((*_ENDS, (1 << 64) - 1, (1 << 64) - 2, 1 << 52))


def _periodic(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Not so often that nothing else gets done."""
    if 1_000_000 <= values["period_ns"] < 10**9:
        values["period_ns"] = random.choice((0, 999_999, 10**9, (1 << 62) - 1, 1 << 62))


def _copy(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Not into a frame that is the guest's own: nobody knows what lies there."""
    if not values["flags"] & 2 and random.random() < 0.7:
        values["flags"] |= 2
    for side, others in (("source", 1), ("dest", 2)):
        ref = random.choice((*range(8, 14), *range(8, 14), 511, 512, 0x7FFF))
        if not values["flags"] & others:  # low memory, where nothing is that a PVH guest needs
            ref = random.choice((8, 9, 9, 1 << 20))
        values[f"{side}_frame"] = values[f"{side}_ref"] = ref
        values[f"{side}_domid"] = random.choice((0, 0, 0, 0, 0x7FF0, values[f"{side}_domid"]))
        values[f"{side}_offset"] = random.choice((0, 0, 16, 24, values[f"{side}_offset"]))
    values["len"] = random.choice((0, 1, 8, 8, 16, values["len"]))


def _list(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A list in low memory, where nothing is that a PVH guest needs."""
    values["frame_list"] = 0x8000


def _map(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Mostly an entry that there may be, for the processor."""
    if random.random() < 0.8:
        values["flags"] = random.choice((2, 2, 2, 6, 6, 0, 1, 18, 0x10002, 3))
    if random.random() < 0.8:
        values["ref"] = random.choice((*range(8, 14), 0, 511, 512))
    if random.random() < 0.8:
        values["dom"] = random.choice((0, 0, 0, 0, 0, 1, 0x7FF0))


def _elsewhere(op: Operation, values: Values, model: Model, random: Random) -> None:
    """To where nothing is, and nothing was before: Xen ends a guest that maps what is granted over
    what was granted. Mostly what is not mapped yet: a page that a guest maps of its own moves, and
    from where it was before it cannot be let go any more, so that the table's version is fixed."""
    taken = [ref for _, ref in model.held.values()]
    if values["ref"] in taken and random.random() < 0.95:
        values["ref"] = random.choice([ref for ref in range(8, 20) if ref not in taken] or [511])
    if values["host_addr"] in model.mapped or not _FIRST <= values["host_addr"] < _FIRST << 1:
        values["host_addr"] = _FIRST + (len(model.mapped) + 16 << 12)


def _unmap(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Mostly what is mapped, from where it is."""
    if model.held and random.random() < 0.7:
        handle = values["handle"] = random.choice(list(model.held))
        values["host_addr"], _ = model.held[handle]
    if random.random() < 0.3:
        elsewhere = (at for at, _ in model.held.values())
        values["host_addr"] = random.choice((0, _FIRST - 4096, *elsewhere))


_HARMLESS: dict[str, Callable[[Operation, Values, Model, Random], None]] = {
    "CONSOLEIO_write": _write,
    "GNTTABOP_map_grant_ref": _elsewhere,
    "GNTTABOP_setup_table": _list,
    "SCHEDOP_poll": _timeout,
    "SCHEDOP_remote_shutdown": _end,
    "VCPUOP_down": _down,
    "VCPUOP_up": _up,
    "VCPUOP_set_periodic_timer": _periodic,
}
_SHAPES: dict[str, Callable[[Operation, Values, Model, Random], None]] = {
    "GNTTABOP_copy": _copy,
    "GNTTABOP_map_grant_ref": _map,
    "GNTTABOP_unmap_grant_ref": _unmap,
    "SCHEDOP_pin_override": _pin,
    "SCHEDOP_watchdog": _watchdog,
    "VCPUOP_initialise": _initialise,
    "VCPUOP_register_vcpu_info": _vcpu_info,
    "VCPUOP_register_runstate_memory_area": _area,
    "VCPUOP_register_vcpu_time_memory_area": _area,
    "VCPUOP_register_runstate_phys_area": _area,
    "VCPUOP_register_vcpu_time_phys_area": _area,
}
