"""Fields of events, read from the columns: the machine code's twin of `backends.binding`."""

from __future__ import annotations

from collections.abc import Mapping

from pvhspec.backends.binding import member
from pvhspec.backends.native.columns import PLAIN, WORDS
from pvhspec.backends.native.emit import BAD, Text, Val
from pvhspec.backends.native.layout import bits_of
from pvhspec.ir import ir
from pvhspec.traces.columns import COLUMNS, column_of
from pvhspec.traces.schema import Choice, Int
from pvhspec.types.types import BitsType, BoolType, Type

__all__ = ["Fields", "HypercallFields"]


class Fields:
    """What every event has; fields of the event's own kind by the names of their columns."""

    def __init__(
        self, text: Text, constants: dict[str, int], constants_at: int, row: str, kind: str = "",
        enums: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:  # fmt: skip
        self.text, self.kind, self.enums = text, kind, enums or {}
        self.row = row
        self._constants, self._constants_at = constants, constants_at
        self._made: dict[str, Val] = {}

    def made(self, again: dict[str, Val] | None = None) -> dict[str, Val]:
        """What was read so far; `again`: go back to that, for a part may have been passed over."""
        if again is not None:
            self._made = again
        return dict(self._made)

    def word(self, number: int) -> str:
        """A pointer of the table."""
        return self._once(f"w{number}", lambda: Val(self.text.op(
            f"load ptr, ptr {self.text.at('%cols', 8 * number)}, align 8"), 64)).text  # fmt: skip

    def _once(self, name: str, make: object) -> Val:
        if name not in self._made:
            assert callable(make)
            self._made[name] = make()
        return self._made[name]

    def bit(self, pointer: str) -> str:
        """A row's bit of a bitmap."""
        t = self.text
        byte = t.load(8, t.at(pointer, t.op(f"lshr i64 {self.row}, 3")))
        low = t.op(f"and i8 {t.sized(self.row, 64, 8)}, 7")
        return t.sized(t.op(f"lshr i8 {byte}, {low}"), 8, 1)

    def column(self, name: str) -> Val:
        """A column's value in this row; bad if it is not known."""
        return self._once(f"column {name}", lambda: self._column(name))

    def _column(self, name: str) -> Val:
        t, bits = self.text, PLAIN[name]
        known = self.bit(self.word(WORDS[name] + 1))
        data = self.word(WORDS[name])
        bad = t.doubt(t.invert(known))
        if bits == 1:
            return Val(self.bit(data), 1, bad)
        where = t.at(data, t.op(f"mul i64 {self.row}, {bits // 8}"))
        return Val(t.load(bits, where, bits // 8), bits, bad)

    def common(self, name: str, type_: Type) -> Val | None:
        """What every event may have; None if it is no such field."""
        if name in self._constants:
            return self._once(name, lambda: self._constant(name, type_))
        t, bits = self.text, bits_of(type_) or 64
        if name in ("caller", "current"):
            column = self.column("dom" if name == "caller" else "vcpu")
            # An index is not cut to its type by the binder: what does not fit is for Python.
            if bits < column.bits:
                fits = t.op(f"icmp ult i{column.bits} {column.text}, {1 << bits}")
                bad = t.either(column.bad, t.invert(fits))
                return Val(t.sized(column.text, column.bits, bits), bits, bad)
            return Val(t.sized(column.text, column.bits, bits), bits, column.bad)
        return None

    def _constant(self, name: str, type_: Type) -> Val:
        t = self.text
        at = self._constants_at + 16 * self._constants[name]
        value = t.load(64, t.at("%st", at), 8)
        known = t.sized(t.load(64, t.at("%st", at + 8), 8), 64, 1)
        bits = bits_of(type_) or 64
        return Val(t.sized(value, 64, bits), bits, t.invert(known))

    def get(self, name: str, type_: Type) -> Val:
        """A plain field."""
        found = self.common(name, type_)
        if found is not None:
            return found
        return self.plain(name, type_)

    def plain(self, name: str, type_: Type) -> Val:
        """A field of the same name on both sides."""
        at = column_of(self.kind, name) if self.kind else name
        if at not in PLAIN or name == "kind":
            return BAD
        column, held = self.column(at), COLUMNS[at]
        t, bits = self.text, bits_of(type_) or 64
        if isinstance(held.type, Choice):
            return self._word(column, held.words, type_)
        if isinstance(type_, BoolType):
            return Val(t.op(f"icmp ne i{column.bits} {column.text}, 0"), 1, column.bad)
        if not isinstance(type_, BitsType):
            return BAD
        if isinstance(held.type, Int) and held.type.signed and column.bits < bits:
            return Val(t.op(f"sext i{column.bits} {column.text} to i{bits}"), bits, column.bad)
        return Val(t.sized(column.text, column.bits, bits), bits, column.bad)

    def _word(self, column: Val, words: tuple[str, ...], type_: Type) -> Val:
        """A word as the number that the specification has for it."""
        t, bits = self.text, bits_of(type_) or 64
        named = self.enums.get(type_.name or "", {}) if isinstance(type_, BitsType) else {}
        value, known = "0", "false"
        for code, word in enumerate(words):
            number = member(named, word)
            if number is not None:
                here = t.op(f"icmp eq i8 {column.text}, {code}")
                value, known = t.choose(here, bits, str(number), value), t.either(known, here)
        return Val(value, bits, t.either(column.bad, t.invert(known)))

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        """A field that is a map."""
        return BAD

    def listed(self, name: str) -> str | None:
        """From where on a map is alike by its last index; None if it is not."""
        return None


class HypercallFields(Fields):
    """Fields of a call of one operation; `narrow`: its structure is laid out for 32 bits."""

    def __init__(
        self,
        text: Text,
        constants: dict[str, int],
        constants_at: int,
        row: str,
        op: ir.Operation | None,
        narrow: int = 0,
    ) -> None:
        super().__init__(text, constants, constants_at, row)
        self.op = op
        self._params = {p.name: n for n, p in enumerate(op.params)} if op else {}
        self._slots = {s.name: s for s in op.slots if s.read} if op else {}
        self._outs = {s.name: s for s in op.slots} if op else {}
        self.narrow = narrow
        self.size = (
            op.struct_size[narrow] if op is not None and op.struct_size is not None else None
        )

    def get(self, name: str, type_: Type) -> Val:
        """A plain field of the call."""
        return self._once(f"field {name}", lambda: self._get(name, type_))

    def _get(self, name: str, type_: Type) -> Val:
        t, bits = self.text, bits_of(type_) or 64
        if name in ("readable", "writable"):
            return self.access(name)
        if name.startswith("out."):
            slot = self._outs.get(name.removeprefix("out."))
            return BAD if slot is None else self._slot(slot, "out", bits)
        if name in self._slots:
            return self._slot(self._slots[name], "in", bits)
        if name in self._params:
            arg = self.arg(self._params[name])
            return Val(t.sized(arg.text, 64, bits), bits, arg.bad)
        if name == "ret":
            ret = self.column("ret")
            return Val(ret.text, 64, ret.bad)
        return super().get(name, type_)

    def arg(self, number: int) -> Val:
        """An argument, as it was passed."""
        if number > 5:
            return BAD
        t = self.text
        count, arg = self.column("args"), self.column(f"arg{number}")
        given = t.op(f"icmp ugt i8 {count.text}, {number}")
        bad = t.either(t.either(count.bad, arg.bad), t.invert(given))
        return Val(arg.text, 64, t.doubt(bad))

    # ---- the structure --------------------------------------------------------------------------

    @property
    def pointed(self) -> Val:
        """The address of the structure; bad where it is not for native code to say."""
        assert self.op is not None
        t, names = self.text, [p.name for p in self.op.params]
        at = names.index(self.op.pointer) if self.op.pointer in names else len(names) - 1
        count, arg = self.column("args"), self.arg(at)
        enough = t.op(f"icmp uge i8 {count.text}, {len(names)}")
        return Val(arg.text, 64, t.doubt(t.either(arg.bad, t.invert(enough))))

    def bytes(self, what: str) -> tuple[str, str]:
        """The structure before (`in`) or after (`out`): its address, null if it was not seen, and
        whether that is unsure."""
        found = self._once(f"bytes {what}", lambda: self._bytes(what))
        return found.text, found.bad

    def _bytes(self, what: str) -> Val:
        if self.size is None:
            return Val("null", 64, "true")
        at = self.pointed
        if self.text.rest is not None:
            return Val(self._alone(what, at), 64)
        return Val(self.text.op(f"call ptr @bytes_at({self._about(what, at)})"), 64, at.bad)

    def _alone(self, what: str, at: Val) -> str:
        """Where the structure's bytes are: mostly they are all that was recorded, and then there is
        nothing around them that may have changed."""
        t = self.text
        lists, known, addresses, starts, held = (self.word(WORDS[what] + n) for n in range(5))
        t.doubt(t.invert(self.bit(known)))
        entry = t.at(lists, t.op(f"mul i64 {self.row}, 4"))
        first, stop = t.load(32, entry, 4), t.load(32, t.at(entry, 4), 4)
        t.doubt(t.op(f"icmp ne i32 {t.op(f'sub i32 {stop}, {first}')}, 1"))
        number = t.sized(first, 32, 64)
        address = t.load(64, t.at(addresses, t.op(f"mul i64 {number}, 8")), 8)
        t.doubt(t.op(f"icmp ne i64 {address}, {at.text}"))
        entry = t.at(starts, t.op(f"mul i64 {number}, 4"))
        start, end = t.load(32, entry, 4), t.load(32, t.at(entry, 4), 4)
        t.doubt(t.op(f"icmp ne i32 {t.op(f'sub i32 {end}, {start}')}, {self.size}"))
        return t.at(held, t.sized(start, 32, 64))

    def _about(self, what: str, at: Val) -> str:
        """The arguments of the helpers."""
        where = f"i64 {WORDS[what]}, i64 {self.row}, i64 {at.text}"
        return f"ptr %cols, {where}, i64 {self.size}"

    def seen(self, what: str) -> str:
        """Whether the structure was seen."""
        where, _ = self.bytes(what)
        if where == "null":
            return "false"
        if self.text.rest is not None:
            return "true"
        return self._once(
            f"seen {what}", lambda: Val(self.text.op(f"icmp ne ptr {where}, null"), 1)
        ).text

    def safe(self, what: str) -> str:
        """Its address, or one where something stands that nobody will look at."""
        where, _ = self.bytes(what)
        if where == "null":
            return "%st"
        if self.text.rest is not None:
            return where
        seen = self.seen(what)
        return self._once(
            f"safe {what}", lambda: Val(self.text.op(f"select i1 {seen}, ptr {where}, ptr %st"), 64)
        ).text

    def _slot(self, slot: ir.Slot, what: str, bits: int) -> Val:
        size = slot.size[self.narrow]
        if size not in (1, 2, 4, 8):
            return BAD
        t = self.text
        bad = t.either(self.bytes(what)[1], t.invert(self.seen(what)))
        raw = t.load(8 * size, t.at(self.safe(what), slot.offset[self.narrow]))
        if 8 * size < bits:
            return Val(t.sized(raw, 8 * size, bits), bits, bad)
        return Val(raw, 8 * size, bad) if 8 * size == bits else BAD

    def access(self, name: str) -> Val:
        """Whether Xen can read, or write, what the pointer points to."""
        t = self.text
        column = self.column(f"arg_{name}")
        if self.op is None or self.op.struct_size is None or t.rest is not None:
            return column
        known = t.invert(column.bad)
        if name == "readable":
            unsure, else_ = self.bytes("in")[1], self.seen("in")
        else:
            ret = self.column("ret")
            fine = t.both(t.invert(ret.bad), t.op(f"icmp sge i64 {ret.text}, 0"))
            unsure, else_ = self.bytes("out")[1], t.both(fine, self.seen("out"))
        bad = t.both(column.bad, t.either(unsure, t.invert(else_)))
        return Val(t.either(t.both(known, column.text), t.both(column.bad, else_)), 1, bad)

    def strays(self) -> str:
        """Whether bytes outside the structure may have changed."""
        t, at = self.text, self.pointed
        if t.rest is not None:
            return "false"
        about = f"ptr %cols, i64 {self.row}, i64 {at.text}, i64 {self.size}"
        return t.op(f"call i1 @strays({about})")
