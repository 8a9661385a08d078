"""Fields of events, read from the columns: the machine code's twin of `backends.binding`.

Native code gets a table of pointers (`WORDS`), two for each column it reads: the values, and a bit
for each row that is known. Of `in` and `out` it gets the parts of a list of structures.
"""

from __future__ import annotations

from pvhspec.backends.native.emit import BAD, Text, Val
from pvhspec.backends.native.layout import bits_of
from pvhspec.ir import ir
from pvhspec.types.types import BitsType, Type

__all__ = ["HELPERS", "LISTS", "PLAIN", "WORDS", "Fields", "HypercallFields", "plain_names"]

# Columns of numbers, and their bits; 1 is a bitmap.
PLAIN = {
    "kind": 8, "seq": 64, "dom": 32, "vcpu": 32, "width": 8, "cpl": 8, "nr": 64, "args": 8,
    "arg0": 64, "arg1": 64, "arg2": 64, "arg3": 64, "arg4": 64, "arg5": 64, "ret": 64,
    "arg_readable": 1, "arg_writable": 1, "begin": 64, "end": 64, "vector": 32, "leaf": 32,
    "subleaf": 32, "eax": 32, "ebx": 32, "ecx": 32, "edx": 32, "index": 32, "value": 64,
    "fault": 1, "store_what": 8,
}  # fmt: skip
LISTS = ("in", "out")  # offsets, known, addresses, offsets of bytes, bytes

WORDS: dict[str, int] = {}
for _name in PLAIN:
    WORDS[_name] = 2 * len(WORDS)
_AFTER = 2 * len(WORDS)
for _i, _name in enumerate(LISTS):
    WORDS[_name] = _AFTER + 5 * _i
COUNT = _AFTER + 5 * len(LISTS)


def plain_names() -> list[str]:
    """Columns that native code reads."""
    return [*PLAIN, *LISTS]


def _list(known: str, unknown: str) -> str:
    """The text by which a helper comes to the part of a list that is a row's: `%first` to `%stop`
    where it was seen, which it goes on with at `known`."""
    words = ("lists", "known", "addresses", "offsets", "bytes")
    loads = "\n".join(
        f"  %w{n} = getelementptr ptr, ptr %mine, i64 {n}\n  %{word} = load ptr, ptr %w{n}"
        for n, word in enumerate(words)
    )
    return f"""entry:
  %mine = getelementptr ptr, ptr %cols, i64 %word
{loads}
  %byte = lshr i64 %row, 3
  %kp = getelementptr i8, ptr %known, i64 %byte
  %k = load i8, ptr %kp
  %bit = trunc i64 %row to i8
  %low = and i8 %bit, 7
  %kb = lshr i8 %k, %low
  %k1 = trunc i8 %kb to i1
  br i1 %k1, label %go, label %{unknown}
go:
  %fp = getelementptr i32, ptr %lists, i64 %row
  %first = load i32, ptr %fp
  %ep = getelementptr i32, ptr %fp, i64 1
  %stop = load i32, ptr %ep
  br label %{known}
"""


def _range(number: str) -> str:
    """The text for one range of it: where it starts, and how long it is."""
    return f"""  %wide = sext i32 {number} to i64
  %ap = getelementptr i64, ptr %addresses, i64 %wide
  %start = load i64, ptr %ap
  %op = getelementptr i32, ptr %offsets, i64 %wide
  %o = load i32, ptr %op
  %qp = getelementptr i32, ptr %op, i64 1
  %q = load i32, ptr %qp
  %len32 = sub i32 %q, %o
  %len = zext i32 %len32 to i64
"""


# The one range of a row that holds some bytes (null where none does), and whether a call may have
# changed bytes outside its structure.
HELPERS = f"""
define internal ptr @bytes_at(ptr noalias %cols, i64 %word, i64 %row, i64 %at, i64 %size) {{
{_list("head", "none")}
head:
  %i = phi i32 [ %first, %go ], [ %next, %on ]
  %more = icmp slt i32 %i, %stop
  br i1 %more, label %look, label %none
look:
{_range("%i")}
  %in = sub i64 %at, %start
  %after = icmp ule i64 %start, %at
  %need = add i64 %in, %size
  %fits = icmp ule i64 %need, %len
  %sane = icmp ule i64 %in, %len
  %ok0 = and i1 %after, %fits
  %ok = and i1 %ok0, %sane
  br i1 %ok, label %found, label %on
on:
  %next = add i32 %i, 1
  br label %head
found:
  %ow = sext i32 %o to i64
  %b0 = getelementptr i8, ptr %bytes, i64 %ow
  %b = getelementptr i8, ptr %b0, i64 %in
  ret ptr %b
none:
  ret ptr null
}}

define internal i1 @alone(ptr noalias %cols, i64 %word, i64 %row, i64 %at, i64 %size) {{
{_list("count", "yes")}
count:
  %n = sub i32 %stop, %first
  %nothing = icmp eq i32 %n, 0
  br i1 %nothing, label %yes, label %some
some:
  %one = icmp eq i32 %n, 1
  br i1 %one, label %look, label %no
look:
{_range("%first")}
  %same = icmp eq i64 %start, %at
  %all = icmp eq i64 %len, %size
  %ok = and i1 %same, %all
  ret i1 %ok
yes:
  ret i1 true
no:
  ret i1 false
}}
"""


class Fields:
    """What every event has; fields of the event's own kind by the names of their columns."""

    def __init__(self, text: Text, constants: dict[str, int], constants_at: int, row: str) -> None:
        self.text = text
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
        if bits == 1:
            return Val(self.bit(data), 1, t.invert(known))
        where = t.at(data, t.op(f"mul i64 {self.row}, {bits // 8}"))
        return Val(t.load(bits, where, bits // 8), bits, t.invert(known))

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
        if name not in PLAIN or name == "kind":
            return BAD
        column, bits = self.column(name), bits_of(type_) or 64
        if isinstance(type_, BitsType) and type_.width == bits:
            return Val(self.text.sized(column.text, column.bits, bits), bits, column.bad)
        return column if bits == column.bits == 1 else BAD

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        """A field that is a map: only Python has those."""
        return BAD


class HypercallFields(Fields):
    """Fields of a call of one operation."""

    def __init__(
        self,
        text: Text,
        constants: dict[str, int],
        constants_at: int,
        row: str,
        op: ir.Operation | None,
    ) -> None:
        super().__init__(text, constants, constants_at, row)
        self.op = op
        self._params = {p.name: n for n, p in enumerate(op.params)} if op else {}
        self._slots = {s.name: s for s in op.slots if s.read} if op else {}
        self._outs = {s.name: s for s in op.slots} if op else {}
        sized = op.struct_size if op else None
        self.fixed = sized is not None and sized[0] == sized[1] and op is not None and all(
            s.offset[0] == s.offset[1] and s.size[0] == s.size[1] for s in op.slots
        )  # fmt: skip
        self.size = sized[0] if sized is not None else 0

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
        return Val(arg.text, 64, t.either(t.either(count.bad, arg.bad), t.invert(given)))

    # ---- the structure --------------------------------------------------------------------------

    @property
    def pointed(self) -> Val:
        """The address of the structure; bad where it is not for native code to say."""
        assert self.op is not None
        t, names = self.text, [p.name for p in self.op.params]
        at = names.index(self.op.pointer) if self.op.pointer in names else len(names) - 1
        count, arg = self.column("args"), self.arg(at)
        enough = t.op(f"icmp uge i8 {count.text}, {len(names)}")
        return Val(arg.text, 64, t.either(arg.bad, t.invert(enough)))

    def bytes(self, what: str) -> tuple[str, str]:
        """The structure before (`in`) or after (`out`): its address, null if it was not seen, and
        whether that is unsure."""
        found = self._once(f"bytes {what}", lambda: self._bytes(what))
        return found.text, found.bad

    def _bytes(self, what: str) -> Val:
        if not self.fixed:
            return Val("null", 64, "true")
        at = self.pointed
        return Val(self.text.op(f"call ptr @bytes_at({self._about(what, at)})"), 64, at.bad)

    def _about(self, what: str, at: Val) -> str:
        """The arguments of the helpers."""
        where = f"i64 {WORDS[what]}, i64 {self.row}, i64 {at.text}"
        return f"ptr %cols, {where}, i64 {self.size}"

    def seen(self, what: str) -> str:
        """Whether the structure was seen."""
        where, _ = self.bytes(what)
        if where == "null":
            return "false"
        return self._once(
            f"seen {what}", lambda: Val(self.text.op(f"icmp ne ptr {where}, null"), 1)
        ).text

    def safe(self, what: str) -> str:
        """Its address, or one where something stands that nobody will look at."""
        where, _ = self.bytes(what)
        if where == "null":
            return "%st"
        seen = self.seen(what)
        return self._once(
            f"safe {what}", lambda: Val(self.text.op(f"select i1 {seen}, ptr {where}, ptr %st"), 64)
        ).text

    def _slot(self, slot: ir.Slot, what: str, bits: int) -> Val:
        size = slot.size[0]
        if not self.fixed or size not in (1, 2, 4, 8):
            return BAD
        t = self.text
        bad = t.either(self.bytes(what)[1], t.invert(self.seen(what)))
        raw = t.load(8 * size, t.at(self.safe(what), slot.offset[0]))
        if 8 * size < bits:
            return Val(t.sized(raw, 8 * size, bits), bits, bad)
        return Val(raw, 8 * size, bad) if 8 * size == bits else BAD

    def access(self, name: str) -> Val:
        """Whether Xen can read, or write, what the pointer points to."""
        t = self.text
        column = self.column(f"arg_{name}")
        if self.op is None or self.op.struct_size is None:
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
        t = self.text
        at = self.pointed
        parts = [
            t.op(f"call i1 @alone({self._about(what, at)})") for what in LISTS
        ]  # fmt: skip
        return t.invert(t.both(*parts))
