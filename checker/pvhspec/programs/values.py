"""Numbers and operands in a program's text: `a + 1`, `area 0x1000 >> 12`, `1 << 5 | 1`."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from pvhspec.programs.errors import BAD_NUMBER, UNKNOWN_NAME, Bad, Place, alike
from pvhspec.programs.tokens import Cursor, Token
from pvhspec.targets.steps import (
    AREA_SIZE,
    SLOTS,
    Area,
    Buf,
    Operand,
    ReadOnly,
    Slot,
    StartInfo,
    Unreadable,
    VcpuEntry,
)  # fmt: skip

__all__ = ["DOMAINS", "Names", "number", "operand", "show_operand"]

#: Domain ids that have names (xen/include/public/xen.h, DOMID_*).
DOMAINS = {
    "SELF": 0x7FF0, "IO": 0x7FF1, "XEN": 0x7FF2, "COW": 0x7FF3, "INVALID": 0x7FF4, "IDLE": 0x7FFF,
}  # fmt: skip
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1


class Names:
    """What names stand for: numbers, and slots that hold what is known at run time only."""

    def __init__(self, constants: dict[str, int], reserved: set[int]) -> None:
        self.constants = dict(constants)
        self.slots: dict[str, int] = {}
        self._reserved = reserved

    def keep(self, slots: dict[str, int]) -> None:
        """Names of slots that something else fills."""
        self.slots |= slots

    def slot_for(self, token: Token) -> int:
        """The slot that `token = …` fills."""
        if token.kind == "slot":
            return _slot(token)
        found = self.slots.get(token.text)
        if found is not None:
            return found
        if token.text in self.constants:
            raise Bad(BAD_NUMBER, token.place, f"{token.text} is a number already, not a slot")
        taken = self._reserved | set(self.slots.values())
        free = next((n for n in range(SLOTS) if n not in taken), None)
        if free is None:
            raise Bad(BAD_NUMBER, token.place, f"more than {SLOTS} names for values")
        self.slots[token.text] = free
        return free

    def find(self, token: Token) -> Operand:
        """What a name stands for."""
        if token.text in self.constants:
            return self.constants[token.text]
        if token.text in self.slots:
            return Slot(self.slots[token.text])
        known = [*self.constants, *self.slots]
        remedy = alike(token.text, known) or f"say what it is before: let {token.text} = 1"
        raise Bad(UNKNOWN_NAME, token.place, f"nothing is called {token.text}", remedy)


def _slot(token: Token) -> int:
    index = int(token.value)
    if index >= SLOTS:
        raise Bad(BAD_NUMBER, token.place, f"there are {SLOTS} slots, $0 to ${SLOTS - 1}")
    return index


def number(at: Cursor, names: Names) -> int:
    """A value known from the text."""
    first = at.now
    value = operand(at, names)
    if not isinstance(value, int):
        raise Bad(BAD_NUMBER, first.place, f"{first.text} is known at run time only")
    return value


def operand(at: Cursor, names: Names) -> Operand:
    """A number, a slot or an address."""
    first = at.now.place
    value = _or(at, names)
    if isinstance(value, int) and not _LOWEST <= value <= _HIGHEST:
        raise Bad(BAD_NUMBER, first, "the value does not fit 64 bits")
    return value


def _or(at: Cursor, names: Names) -> Operand:
    value = _and(at, names)
    while mark := at.accept("|"):
        value = _plain(mark.place, value) | _plain(mark.place, _and(at, names))
    return value


def _and(at: Cursor, names: Names) -> Operand:
    value = _shift(at, names)
    while mark := at.accept("&"):
        value = _plain(mark.place, value) & _plain(mark.place, _shift(at, names))
    return value


def _shift(at: Cursor, names: Names) -> Operand:
    value = _sum(at, names)
    while mark := at.accept(">>", "<<"):
        by = _plain(mark.place, _sum(at, names))
        if not 0 <= by < 64:
            raise Bad(BAD_NUMBER, mark.place, "a shift is by 0 to 63 bits")
        if isinstance(value, int):
            value = value >> by if mark.text == ">>" else value << by
        elif isinstance(value, Slot | Buf | Area) and value.shift == 0:
            value = replace(value, shift=by if mark.text == ">>" else -by)
        else:
            raise Bad(BAD_NUMBER, mark.place, "only a slot, a buffer or the area is shifted, once")
    return value


def _sum(at: Cursor, names: Names) -> Operand:
    value = _product(at, names)
    while mark := at.accept("+", "-"):
        right = _plain(mark.place, _product(at, names))
        value = _added(mark.place, value, right if mark.text == "+" else -right)
    return value


def _product(at: Cursor, names: Names) -> Operand:
    value = _atom(at, names)
    while mark := at.accept("*"):
        value = _plain(mark.place, value) * _plain(mark.place, _atom(at, names))
    return value


def _plain(place: Place, value: Operand) -> int:
    if not isinstance(value, int):
        raise Bad(BAD_NUMBER, place, "both sides have to be numbers known from the text")
    if abs(value) > 1 << 128:
        raise Bad(BAD_NUMBER, place, "the value does not fit 64 bits")
    return value


def _added(place: Place, value: Operand, by: int) -> Operand:
    match value:
        case int():
            return value + by
        case Slot(add=add, shift=0):
            return replace(value, add=add + by)
        case Buf(offset=offset, shift=0) | Area(offset=offset, shift=0):
            return replace(value, offset=offset + by)
        case ReadOnly(offset=offset) | Unreadable(offset=offset) | StartInfo(offset=offset):
            return replace(value, offset=offset + by)
        case _:
            raise Bad(BAD_NUMBER, place, "nothing can be added after a shift")


def _atom(at: Cursor, names: Names) -> Operand:
    token = at.now
    if at.accept("("):
        value = _or(at, names)
        at.expect(")")
        return value
    if at.accept("-"):
        return -_plain(token.place, _atom(at, names))
    if at.accept("~"):
        return ~_plain(token.place, _atom(at, names))
    if token.kind == "number":
        return int(at.take().value)
    if token.kind == "slot":
        return Slot(_slot(at.take()))
    match at.of_kind("name", "a value").text:
        case "buffer":
            return Buf(_small(at, names))
        case "readonly":
            return ReadOnly(_small(at, names) if at.now.kind == "number" else 0)
        case "unreadable":
            return Unreadable()
        case "area":
            offset = _small(at, names)
            if offset >= AREA_SIZE:
                raise Bad(BAD_NUMBER, token.place, f"the area has {AREA_SIZE:#x} bytes")
            return Area(offset)
        case "start_info":
            return StartInfo()
        case "vcpu_entry":
            return VcpuEntry()
    return names.find(token)


def _small(at: Cursor, names: Names) -> int:
    place = at.now.place
    value = _plain(place, _atom(at, names))
    if not 0 <= value < 1 << 32:
        raise Bad(BAD_NUMBER, place, "a small number has to stand here")
    return value


def show_operand(value: Operand) -> str:
    """An operand as text."""
    match value:
        case int():
            return str(value) if value < 10 else hex(value)
        case Slot(index, add, shift):
            return f"${index}{_signed(add)}{_shifted(shift)}"
        case Buf(index, offset, shift):
            return f"buffer {index}{_signed(offset)}{_shifted(shift)}"
        case ReadOnly(index, offset):
            return f"readonly {index}{_signed(offset)}"
        case Unreadable(offset):
            return f"unreadable{_signed(offset)}"
        case Area(offset, shift):
            return f"area {offset:#x}{_shifted(shift)}"
        case StartInfo(offset):
            return f"start_info{_signed(offset)}"
        case VcpuEntry():
            return "vcpu_entry"
        case _:
            assert_never(value)


def _signed(value: int) -> str:
    return "" if value == 0 else f" + {value:#x}" if value > 0 else f" - {-value:#x}"


def _shifted(value: int) -> str:
    return "" if value == 0 else f" >> {value}" if value > 0 else f" << {-value}"
