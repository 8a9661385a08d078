"""Calls about memory that the probe survives: what they change lies in frames set aside for them,
and what they take from Xen for good stays little."""

from __future__ import annotations

from random import Random

from pvhspec.backends.machine.model import Model
from pvhspec.ir.ir import Operation
from pvhspec.targets.steps import SPARE_FRAMES

__all__ = ["NO_FRAME", "frames", "own_frames"]

Values = dict[str, int]
Arrays = dict[str, tuple[int, ...]]

#: From here on no frame number leads to anything.
NO_FRAME = 1 << 36
_RANGE = 6  # pages that are moved at once, at most
_SELF = 0x7FF0
_MANY = (0x4000000, 0xFFFFFFFF)  # refused: fewer would be done as far as memory lasts
_HIGH = (1 << 36, (1 << 36) + 5, (1 << 64) - 1, (1 << 64) - 2)
_LOST_MOST = 250  #: pages that calls of one program may take from Xen to give to nobody
_TAKES = ("XENMEM_populate_physmap", "XENMEM_increase_reservation")


def frames(op: Operation, values: Values, model: Model, random: Random) -> Arrays:
    """Change the values drawn for a call about memory; what lies behind its addresses."""
    narrow = model.width == 32
    if op.params and random.random() < 0.08 and op.command is not None:
        start = random.choice((1, 1, 2, 3, 0xFFFF, 0x10000, (1 << 26) - 1))
        values[op.params[0].name] = op.command | start << 6
    if "domid" in values and random.random() < 0.85:
        values["domid"] = random.choice((_SELF, _SELF, _SELF, 0))
    for name in ("gpfn", "idx", "pfn"):
        if name in values:
            values[name] = _frame(random, narrow)
    if "space" in values:
        _spaces(values, random)
    elif "gpfn" in values and random.random() < 0.2:  # a page of Xen's is taken away
        where = (model.cell("shared_info_at", 0), model.cell("grant_table_at", 0, 0))
        values["gpfn"] = random.choice(where) & (1 << model.width) - 1
    if "mem_flags" in values:
        values["mem_flags"] = random.choice((*(0,) * 12, 5, 12, 32, 0x10000, 0x20100, 0xFF00))
    for name in ("extent_order", "in_order", "out_order"):
        if name in values:
            values[name] = random.choice((*(0,) * 8, 1, 1, 2, 19, 32, 0x7FFFFFFF))
    if "nr_exchanged" in values:  # Xen rounds it down where the sizes differ
        values["nr_exchanged"] = random.choice((0, 0, values["in_nr"]))
    arrays: Arrays = {}
    for array in op.arrays:
        given = random.randrange(6)
        if array.count in values:
            many = array.count != "size" and random.random() < 0.06
            values[array.count] = random.choice(_MANY) if many else given
        for field in array.fields if array.read else ():
            list_ = tuple(_frame(random, narrow) for _ in range(given))
            arrays[f"{array.name}.{field.name}"] = list_
        values.pop(array.handle, None)
    if op.name == "XENMEM_increase_reservation":
        # To a domain with a p2m Xen gives no frames by a list.
        values["extent_start"] = 0
    if op.name in _TAKES:
        _spare_memory(op, values, model)
    return arrays


def own_frames(
    op: Operation, values: Values, arrays: dict[str, tuple[int, ...]], model: Model
) -> None:
    """Change a call about memory so that it is about the frames set aside, as far as it names any;
    which are the same stay the same."""

    def moved(gfn: int) -> int:
        there = gfn >= (1 << 32) - 1 or gfn in SPARE_FRAMES
        return gfn if there else SPARE_FRAMES[gfn % (len(SPARE_FRAMES) - 8)]

    for name in ("gpfn", "pfn"):
        if name in values:
            values[name] = moved(values[name])
    if values.get("space", 2) in (2, 3) and "idx" in values:
        values["idx"] = moved(values["idx"])
    if values.get("space") == 3 and "idx" in values:
        values["size"] = min(values.get("size", 0), _RANGE)
    for array in op.arrays:
        for field in array.fields if array.read else ():
            name = f"{array.name}.{field.name}"
            if name in arrays:
                arrays[name] = tuple(moved(gfn) for gfn in arrays[name])
        if values.get(array.count, 0) > 8 and values[array.count] not in _MANY:
            values[array.count] = 8
    for name in ("extent_order", "in_order", "out_order"):
        if 2 < values.get(name, 0) < 19:
            values[name] = 2
    if op.name == "XENMEM_increase_reservation":
        values["extent_start"] = 0
    if op.name in _TAKES:
        _spare_memory(op, values, model)


def _frame(random: Random, narrow: bool) -> int:
    """A frame number: one set aside as a rule, and those at the beginning more often."""
    way = random.random()
    if way < 0.94:
        return SPARE_FRAMES[
            min(random.randrange(len(SPARE_FRAMES)), random.randrange(len(SPARE_FRAMES)))
        ]
    return 0xFFFFFFFF if narrow else random.choice(_HIGH)


def _spaces(values: Values, random: Random) -> None:
    """Pages of Xen's move less often: whoever looks at them has to put them back."""
    if "idx" not in values:  # a list: of another domain's pages only where that is not there
        values["space"] = random.choice((2, 2, 2, 2, 3, 5))
        return
    space = values["space"] = random.choice((*(2,) * 8, 3, 3, 3, 0, 1, 4, 5, 6, 0xFFFFFFFF))
    if space < 2:
        values["idx"] = random.choice((0, 1)) if space == 0 else random.choice((0, 1, 0x12345))
    if space == 3:
        values["size"] = random.randrange(_RANGE + 1)
        for name in ("idx", "gpfn"):
            if values[name] in SPARE_FRAMES:
                values[name] = min(values[name], SPARE_FRAMES[-7])


def _spare_memory(op: Operation, values: Values, model: Model) -> None:
    """What takes memory from Xen for good does so for a while only."""
    pages = min(values["nr_extents"], 8) << min(values["extent_order"], 3)
    if model.taken + pages > _LOST_MOST and values["nr_extents"] <= 8:
        values["nr_extents"] = 0
    else:
        model.taken += pages
