"""Calls that a guest survives: values that would end it or put it to sleep are drawn anew, and
those that have to fit together to be about anything are made to."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pvhspec.backends.machine.model import Ask, Model
from pvhspec.ir.ir import Operation

__all__ = ["ENDS", "OWN_FRAMES", "SLEEPS", "careful"]

Values = dict[str, int]

#: Calls that a guest does not come back from: they are made with no structure that could be read.
ENDS = ("SCHEDOP_shutdown",)
#: Calls that nothing may wake it from: they are made from user mode, which is refused.
SLEEPS = ("SCHEDOP_block",)

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
_ENDS = (0, 8, 64, 2, 4, 7, 4096 - 48, 4096 - 44, 4096 - 32, 4096 - 28, 4096 - 8)


def careful(op: Operation, values: Values, model: Model, random: Random) -> None:
    """Change the values drawn for a call where they have to be."""
    if "vcpuid" in values and random.random() < 0.6:
        values["vcpuid"] = random.choice((0, 0, 1, 1, 2))
    if op.each is not None:  # there is one structure: of more, nothing would be known
        values[op.each] = random.choice((*[1] * 12, 0, 0x80000000, 0xFFFFFFFF))
    change = _CHANGES.get(op.name)
    if change is not None:
        change(op, values, model, random)


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
    image = bytearray(128)
    for name, value in kept.items():
        if name.startswith("wide_") == bool(form) or name in ("form", "pad"):
            offset, size = fields[name].offset[0], fields[name].size[0]
            image[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    for name, slot in fields.items():
        offset, size = slot.offset[0], slot.size[0]
        values[name] = int.from_bytes(image[offset : offset + size], "little")
    told = model.foretell(Ask(op, values))
    if told is not None and not told.code and random.random() < 0.97:
        values["pad"] = 1  # it is accepted once only, and then there is nothing more to be refused


def _vcpu_info(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A page that nothing else is in."""
    mine = OWN_FRAMES + values["vcpuid"] % 2
    values["mfn"] = mine if random.random() < 0.85 else random.choice((1 << 40, 1 << 52, 1 << 63))


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
    values["dest_frame"] = values["dest_ref"] = random.choice((8, 9, 9, 1 << 20))
    values["source_frame"] = values["source_ref"] = random.choice((8, 9, 511, 512, 0x7FFF))


def _list(op: Operation, values: Values, model: Model, random: Random) -> None:
    """A list in low memory, where nothing is that a PVH guest needs."""
    values["frame_list"] = 0x8000


def _map(op: Operation, values: Values, model: Model, random: Random) -> None:
    """To where nothing is."""
    values["host_addr"] = 0x40000000 + random.randrange(1 << 16 << 12)


_CHANGES: dict[str, Callable[[Operation, Values, Model, Random], None]] = {
    "CONSOLEIO_write": _write,
    "GNTTABOP_copy": _copy,
    "GNTTABOP_map_grant_ref": _map,
    "GNTTABOP_setup_table": _list,
    "SCHEDOP_pin_override": _pin,
    "SCHEDOP_poll": _timeout,
    "SCHEDOP_remote_shutdown": _end,
    "SCHEDOP_watchdog": _watchdog,
    "VCPUOP_down": _down,
    "VCPUOP_up": _up,
    "VCPUOP_initialise": _initialise,
    "VCPUOP_register_vcpu_info": _vcpu_info,
    "VCPUOP_register_runstate_memory_area": _area,
    "VCPUOP_register_vcpu_time_memory_area": _area,
    "VCPUOP_register_runstate_phys_area": _area,
    "VCPUOP_register_vcpu_time_phys_area": _area,
    "VCPUOP_set_periodic_timer": _periodic,
}
