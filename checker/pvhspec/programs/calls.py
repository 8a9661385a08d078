"""Calls by the specification's names: fields of a command's structure to bytes, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pvhspec.ir.ir import Operation, Spec, Struct
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

    @property
    def pointer(self) -> str | None:
        """The parameter that points to the structure."""
        if self.size == 0:
            return None
        return next((p.name for p in reversed(self.op.params)), None)

    @property
    def plain(self) -> tuple[str, ...]:
        """The parameters that are given by name, in order."""
        names = tuple(p.name for p in self.op.params)
        return names[1:] if self.op.command is not None else names

    def takes(self) -> list[str]:
        """All that can be named in a call."""
        return [*self.fields, *(n for n in self.plain if n not in self.fields)]

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
            found = self._by_number.get((number, args[0]))
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
    return Layout(op, size, fields, frozenset(inputs), frozenset(domains))


def call(
    layout: Layout,
    given: dict[str, Operand],
    memory: Operand,
    saved: Saved | None,
) -> Hypercall:
    """The step that makes a call. `memory` is `Buf(0)`, `ReadOnly(0)` or `Unreadable(…)`.

    Raises ValueError for a value that does not fit its field.
    """
    op = layout.op
    assert op.number is not None
    pointer = layout.pointer
    uses_memory = pointer is not None and pointer not in given
    buffers: tuple[Buffer, ...] = ()
    if uses_memory and not isinstance(memory, Unreadable):
        buffers = (_buffer(layout, given),)
    args: list[Operand] = [] if op.command is None else [op.command]
    for name in layout.plain:
        if name == pointer and uses_memory:
            args.append(memory)
        elif name in given:
            args.append(given[name])
        elif any(later in given for later in layout.plain):
            args.append(0)
    saves: tuple[Save, ...] = ()
    if saved is not None:
        slot, what, always = saved
        if what == "result":
            saves = (Save(slot, always=always),)
        else:
            offset, size = layout.fields[what]
            saves = (Save(slot, 0, offset, size, always),)
    return Hypercall(op.number, tuple(args), buffers, saves)


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
    if layout is None or len(step.saves) > 1 or len(step.buffers) > 1:
        return None
    given: dict[str, Operand] = {}
    texts: list[str] = []
    plain = step.args if layout.op.command is None else step.args[1:]
    memory: Operand = Buf(0)
    for name, value in zip(layout.plain, plain, strict=False):
        if name == layout.pointer and isinstance(value, Buf | ReadOnly | Unreadable):
            memory = value
        else:
            given[name] = value
            texts.append(f"{name} = {show_operand(value)}")
    if isinstance(memory, Unreadable):
        texts.insert(0, show_operand(memory))
    elif isinstance(memory, ReadOnly):
        texts.insert(0, "readonly")
    if step.buffers:
        if len(step.buffers[0].data) != layout.size:
            return None
        _show_fields(layout, step.buffers[0], given, texts)
    saved = _saved(layout, step)
    if (saved is None) != (not step.saves):
        return None
    try:
        again = call(layout, given, memory, saved)
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
        elif buffer.data[offset : offset + size] == blank[offset : offset + size]:
            if name not in layout.inputs:
                continue
            value = 0
        else:
            value = int.from_bytes(buffer.data[offset : offset + size], "little")
        given[name] = value
        named = _domain_name(value) if name in layout.domains and isinstance(value, int) else None
        texts.append(f"{name} = {named or show_operand(value)}")
