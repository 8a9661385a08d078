"""Calls by the specification's names: fields of a command's structure to bytes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pvhspec.backends.dispatch import command_bits
from pvhspec.ir.ir import Array, Operation, Spec, Struct, StructField
from pvhspec.programs.values import DOMAINS, show_operand
from pvhspec.targets.steps import (
    Buf,
    Buffer,
    Hypercall,
    Operand,
    Patch,
    ReadOnly,
    Save,
    Unreadable,
)  # fmt: skip

__all__ = ["POISON", "Layout", "Layouts", "Saved", "call", "show_call"]

POISON = 0xEE  #: what bytes hold that a call is to fill in, or to leave alone
_MOST_WRITTEN = 64  #: elements that room is made for where a call may fill in an array
_MOST_BYTES = 8  #: of a field that can be given as a number

#: What is kept of a call: a field of the structure, or the result; and whether after errors, too.
Saved = tuple[int, str, bool]


@dataclass(frozen=True, slots=True)
class Layout:
    """A call's parameters and, where it takes one, its structure as callers of one width see it.

    `fields` are (offset, size) of those that can be given as numbers, `inputs` those that the
    call reads, `domains` those that are domain ids.
    """

    op: Operation
    size: int
    fields: dict[str, tuple[int, int]]
    inputs: frozenset[str]
    domains: frozenset[str]
    narrow: bool = False

    @property
    def pointer(self) -> str | None:
        """The parameter that points to the structure."""
        if self.size == 0:
            return None
        return self.op.pointer

    @property
    def plain(self) -> tuple[str, ...]:
        """The parameters that are given by name, in order."""
        names = tuple(p.name for p in self.op.params)
        return names[1:] if self.op.command is not None else names

    def takes(self) -> list[str]:
        """All that can be named in a call."""
        more = [n for n in self.plain if n not in self.fields] + list(self.elements)
        return [*self.fields, *more, *([] if self.word is None else [self.word])]

    @property
    def word(self) -> str | None:
        """The argument that the command is a part of."""
        whole = self.op.command is None or command_bits(self.op)[1] == 0xFFFFFFFF
        return None if whole else self.op.params[0].name

    @property
    def elements(self) -> dict[str, tuple[Array, StructField]]:
        """What can be given of arrays: `extent.gfn`."""
        return {f"{a.name}.{f.name}": (a, f) for a in self.op.arrays for f in a.fields}

    def blank(self) -> bytearray:
        """The structure with inputs 0 and all else poisoned."""
        data = bytearray([POISON]) * self.size
        for name in self.inputs:
            offset, size = self.fields[name]
            data[offset : offset + size] = bytes(size)
        return data


class Layouts:
    """Every operation of a specification by name, for callers of one width."""

    def __init__(self, spec: Spec, width: int) -> None:
        self.spec = spec
        self.width = width
        self.operations = {op.name: op for op in spec.operations if not op.name.endswith(".other")}
        self.numbers = {call.name: number for number, call in spec.hypercalls.items()}
        self._by_number = {
            (op.number, op.command): op
            for op in self.operations.values()
            if op.number is not None
        }  # fmt: skip
        self._commands = {
            op.number: command_bits(op)
            for op in self.operations.values()
            if op.number is not None and op.command is not None
        }
        self._made: dict[str, Layout] = {}

    def named(self, name: str) -> Layout | None:
        """The layout of an operation; None if there is no such operation."""
        op = self.operations.get(name)
        if op is None or op.number is None:
            return None
        if name not in self._made:
            self._made[name] = _layout(op, self.spec.structs.get(op.struct or ""), self.width)
        return self._made[name]

    def of(self, number: int, args: tuple[Operand, ...]) -> Layout | None:
        """The layout of the operation that a call makes."""
        found = self._by_number.get((number, None))
        if found is None and args and isinstance(args[0], int):
            low, mask = self._commands.get(number, (0, 0xFFFFFFFF))
            found = self._by_number.get((number, args[0] >> low & mask))
        return self.named(found.name) if found is not None else None


def _layout(op: Operation, struct: Struct | None, width: int) -> Layout:
    narrow = int(width == 32)
    fields: dict[str, tuple[int, int]] = {}
    domains = set()
    for field in struct.fields if struct is not None else ():
        if field.count == 1 and field.size[narrow] <= _MOST_BYTES:
            fields[field.name] = (field.offset[narrow], field.size[narrow])
            if field.type.name == "DomId":
                domains.add(field.name)
    only_written = {slot.name for slot in op.slots if slot.written and not slot.read}
    inputs = set(fields) - only_written
    size = struct.size[narrow] if struct is not None else 0
    return Layout(op, size, fields, frozenset(inputs), frozenset(domains), width == 32)


def call(
    layout: Layout,
    given: dict[str, Operand],
    memory: Operand,
    saved: Saved | None,
    arrays: Mapping[str, Sequence[Operand]] | None = None,
) -> Hypercall:
    """The step that makes a call. `memory` is `Buf(0)`, `ReadOnly(0)` or `Unreadable(…)`; `arrays`
    are values of the elements behind handles, by `array.field`.

    Raises ValueError for a value that does not fit its field.
    """
    op, given = layout.op, dict(given)
    assert op.number is not None
    pointer = layout.pointer
    uses_memory = pointer is not None and pointer not in given
    buffers: tuple[Buffer, ...] = ()
    if uses_memory and not isinstance(memory, Unreadable):
        behind = _behind(layout, given, arrays or {})
        buffers = (_buffer(layout, given), *behind)
    args: list[Operand] = []
    if op.command is not None:
        args = [op.command if layout.word is None else given.get(layout.word, op.command)]
    for name in layout.plain:
        if name == pointer and uses_memory:
            args.append(memory)
        elif name in given:
            args.append(given[name])
        elif name == op.each or (pointer in layout.plain and name == "count"):
            args.append(1)
        elif uses_memory or any(other in given for other in layout.plain):
            args.append(0)  # else what follows would be taken for it
    saves: tuple[Save, ...] = ()
    if saved is not None:
        slot, what, always = saved
        if what == "result":
            saves = (Save(slot, always=always),)
        else:
            offset, size = layout.fields[what]
            saves = (Save(slot, 0, offset, size, always),)
    return Hypercall(op.number, tuple(args), buffers, saves)


def _behind(
    layout: Layout, given: dict[str, Operand], arrays: Mapping[str, Sequence[Operand]]
) -> list[Buffer]:
    """Buffers for the arrays, to which their handles are made to point unless they are given."""
    made: list[Buffer] = []
    n = int(layout.narrow)
    for array in layout.op.arrays:
        if array.handle in given or array.handle not in layout.fields:
            continue
        values = {f.name: arrays.get(f"{array.name}.{f.name}", ()) for f in array.fields}
        longest = max((len(v) for v in values.values()), default=0)
        if not array.read:
            count = given.get(array.count, 0)
            longest = max(longest, min(count, _MOST_WRITTEN) if isinstance(count, int) else 1)
        size = array.size[n]
        data, patches = bytearray([POISON]) * (size * longest), []
        for f in array.fields:
            for i, value in enumerate(values[f.name]):
                at = i * size + f.offset[n]
                if isinstance(value, int):
                    short = value & (1 << 8 * f.size[n]) - 1
                    data[at : at + f.size[n]] = short.to_bytes(f.size[n], "little")
                else:
                    patches.append(Patch(at, f.size[n], value))
        made.append(Buffer(bytes(data), tuple(patches)))
        given[array.handle] = Buf(len(made))
        if array.read and array.count in layout.fields:
            given.setdefault(array.count, longest)
    return made


def _buffer(layout: Layout, given: dict[str, Operand]) -> Buffer:
    data, patches = layout.blank(), []
    for name, (offset, size) in layout.fields.items():
        value = given.get(name)
        if isinstance(value, int):
            if not -(1 << 8 * size - 1) <= value < 1 << 8 * size:
                raise ValueError(f"{name} has {size} bytes; {value:#x} does not fit")
            data[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        elif value is not None:
            patches.append(Patch(offset, size, value))
            data[offset : offset + size] = bytes(size)
    return Buffer(bytes(data), tuple(patches))


@lru_cache(maxsize=1 << 10)
def _domain_name(value: int) -> str | None:
    return next((name for name, number in DOMAINS.items() if number == value), None)


def show_call(layouts: Layouts, step: Hypercall) -> str | None:
    """A step by the specification's names; None where they cannot say exactly this step."""
    layout = layouts.of(step.nr, step.args)
    if layout is None or len(step.saves) > 1:
        return None
    given: dict[str, Operand] = {}
    texts: list[str] = []
    plain = step.args if layout.op.command is None else step.args[1:]
    memory: Operand = Buf(0)
    arrays: dict[str, list[Operand]] = {}
    if layout.word is not None and step.args[0] != layout.op.command:
        given[layout.word] = step.args[0]
        texts.append(f"{layout.word} = {show_operand(step.args[0])}")
    for name, value in zip(layout.plain, plain, strict=False):
        if name == layout.pointer and isinstance(value, Buf | ReadOnly | Unreadable):
            memory = value
        else:
            if (name, value) != ("count", 1):
                texts.append(f"{name} = {show_operand(value)}")
                given[name] = value
    if isinstance(memory, Unreadable):
        texts.insert(0, show_operand(memory))
    elif isinstance(memory, ReadOnly):
        texts.insert(0, "readonly")
    if step.buffers:
        if len(step.buffers[0].data) != layout.size:
            return None
        arrays = _shown_arrays(layout, step)
        _show_fields(layout, step.buffers[0], given, texts)
        texts += [f"{n} = ({', '.join(map(show_operand, v))})" for n, v in arrays.items() if v]
    saved = _saved(layout, step)
    if (saved is None) != (not step.saves):
        return None
    try:
        again = call(layout, given, memory, saved, arrays)
    except ValueError:
        return None
    if (again.nr, again.args, again.buffers, again.saves) != (
        step.nr, step.args, step.buffers, step.saves,
    ):  # fmt: skip
        return None
    text = f"{layout.op.name}({', '.join(texts)})"
    if saved is not None:
        text = f"${saved[0]} = {text} -> {saved[1]}{' always' if saved[2] else ''}"
    return text


def _shown_arrays(layout: Layout, step: Hypercall) -> dict[str, list[Operand]]:
    """What the buffers beside the structure hold, where handles point to them."""
    found: dict[str, list[Operand]] = {}
    n = int(layout.narrow)
    at = {(p.offset, p.size): p.value for p in step.buffers[0].patches}
    for array in layout.op.arrays:
        value = at.get(layout.fields.get(array.handle, (-1, 0)))
        if not isinstance(value, Buf) or not 0 < value.index < len(step.buffers):
            continue
        buffer = step.buffers[value.index]
        behind = {(p.offset, p.size): p.value for p in buffer.patches}
        for f in array.fields if array.read else ():
            values = found.setdefault(f"{array.name}.{f.name}", [])
            for start in range(f.offset[n], len(buffer.data), array.size[n]):
                end = start + f.size[n]
                number = int.from_bytes(buffer.data[start:end], "little")
                values.append(behind.get((start, f.size[n]), number))
    return found


def _saved(layout: Layout, step: Hypercall) -> Saved | None:
    if not step.saves:
        return None
    save = step.saves[0]
    if save.buffer is None:
        return save.slot, "result", save.always
    for name, place in layout.fields.items():
        if place == (save.offset, save.size):
            return save.slot, name, save.always
    return None


def _show_fields(
    layout: Layout, buffer: Buffer, given: dict[str, Operand], texts: list[str]
) -> None:
    patched = {(patch.offset, patch.size): patch.value for patch in buffer.patches}
    blank = layout.blank()
    for name, (offset, size) in layout.fields.items():
        value: Operand
        if (offset, size) in patched:
            value = patched[offset, size]
            if isinstance(value, Buf) and name in {a.handle for a in layout.op.arrays}:
                continue
        elif buffer.data[offset : offset + size] == blank[offset : offset + size]:
            if name not in layout.inputs:
                continue
            value = 0
        else:
            value = int.from_bytes(buffer.data[offset : offset + size], "little")
        given[name] = value
        named = _domain_name(value) if name in layout.domains and isinstance(value, int) else None
        texts.append(f"{name} = {named or show_operand(value)}")
