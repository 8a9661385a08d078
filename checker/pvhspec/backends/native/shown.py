"""What events show of shared words, as machine code: the twin of `backends.shown`."""

from __future__ import annotations

from collections.abc import Mapping

from pvhspec.backends.native.columns import TABLES, WORDS
from pvhspec.backends.native.emit import BAD, Text, Val
from pvhspec.backends.native.inputs import Fields
from pvhspec.backends.shown import STORED
from pvhspec.traces.columns import COLUMNS
from pvhspec.types.types import Type

__all__ = ["SharedInfoFields", "StoreFields"]


class _Words(Fields):
    """Words in the layout for 64 or for 32 bits."""

    def get(self, name: str, type_: Type) -> Val:
        """A plain field."""
        found = self.common(name, type_)
        return found if found is not None else self._once(f"field {name}", lambda: self.own(name))

    def own(self, name: str) -> Val:
        """A field of the kind."""
        return self.in_64 if name == "in_64" else BAD

    @property
    def in_64(self) -> Val:
        """Whether it is the layout for 64 bits, which it is where nobody says."""
        width = self.column("width")
        unsaid = self.text.op(f"icmp eq i8 {width.text}, 0")
        wide = self.text.op(f"icmp eq i8 {width.text}, 64")
        return Val(self.text.either(width.bad, self.text.either(unsaid, wide)), 1)

    @property
    def width(self) -> str:
        """The bits of a word; the event is the interpreter's where they are neither."""
        return self.text.choose(self.in_64.text, 64, "64", "32")

    @property
    def odd(self) -> str:
        """Whether it is another layout than those."""
        width = self.column("width")
        narrow = self.text.op(f"icmp eq i8 {width.text}, 32")
        return self.text.invert(self.text.either(self.in_64.text, narrow))

    def bit_of(self, word: Val, at: str) -> Val:
        """A bit of a word, by a number that is less than its bits."""
        t = self.text
        low = t.op(f"and i64 {at}, 63")
        wide = t.sized(word.text, word.bits, 64)
        return Val(t.sized(t.op(f"lshr i64 {wide}, {low}"), 64, 1), 1, word.bad)

    def wide(self, index: Val) -> str:
        """An index as i64."""
        return self.text.sized(index.text, index.bits, 64)


_TABLES = {
    "pending": "shared_info_pending", "mask": "mask",
    "upcall_pending": "vcpus.upcall_pending", "selector": "vcpus.sel",
}  # fmt: skip


class SharedInfoFields(_Words):
    """Fields of `shared_info`."""

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        """A bit of the words."""
        t = self.text
        if name in ("pending", "mask"):
            (port,) = index
            number = self.wide(port)
            word = t.op(f"udiv i64 {number}, {self.width}")
            found = self._entry(name, word)
            held = self.bit_of(found[0], t.op(f"urem i64 {number}, {self.width}"))
            all_ = self.column("all")
            rest = t.either(all_.bad, t.invert(all_.text))
            bad = t.choose(found[1], 1, held.bad, t.either(found[2], rest))
            bad = t.either(t.either(bad, port.bad), self.odd)
            return Val(t.both(found[1], held.text), 1, bad)
        if name not in _TABLES:
            return BAD
        found = self._entry(name, self.wide(index[0]))
        bad = t.either(t.either(index[0].bad, found[0].bad), t.invert(found[1]))
        if name == "selector":
            return Val(self.bit_of(found[0], self.wide(index[1])).text, 1,
                       t.either(bad, index[1].bad))  # fmt: skip
        return Val(t.op(f"icmp ne i{found[0].bits} {found[0].text}, 0"), 1, bad)

    def listed(self, name: str) -> str | None:
        """Ports beyond the words that are listed have no bits, or unknown ones."""
        if name not in ("pending", "mask"):
            return None
        most = self.text.op(f"call i64 @listed({self._about(name)})")
        return self.text.op(f"mul i64 {most}, {self.width}")

    def _about(self, name: str) -> str:
        return f"ptr %cols, i64 {WORDS[_TABLES[name]]}, i64 {self.row}"

    def _entry(self, name: str, index: str) -> tuple[Val, str, str]:
        """What stands at an index, whether something does, and whether the table was not seen."""
        t, column = self.text, _TABLES[name]
        short = t.sized(index, 64, 32)
        place = t.op(f"call i64 @place_of({self._about(name)}, i32 {short})")
        found = t.op(f"icmp sge i64 {place}, 0")
        unseen = t.op(f"icmp eq i64 {place}, -2")
        at = t.choose(found, 64, place, "0")
        bits = TABLES[column]
        value = t.load(bits, t.at(self.word(WORDS[column] + 3), t.op(f"mul i64 {at}, {bits // 8}")))
        byte = t.load(8, t.at(self.word(WORDS[column] + 4), t.op(f"lshr i64 {at}, 3")))
        low = t.op(f"and i8 {t.sized(at, 64, 8)}, 7")
        known = t.sized(t.op(f"lshr i8 {byte}, {low}"), 8, 1)
        return Val(value, bits, t.invert(known)), found, unseen


class StoreFields(_Words):
    """Fields of `store`; `words`: the numbers the specification has for their names."""

    def __init__(
        self, text: Text, constants: dict[str, int], constants_at: int, row: str,
        words: Mapping[str, int],
    ) -> None:  # fmt: skip
        super().__init__(text, constants, constants_at, row, "store")
        self._words = words

    def own(self, name: str) -> Val:
        """A field of the kind."""
        t, value, index = self.text, self.column("value"), self.column("index")
        wide = self.wide(index)
        bits = self._among("evtchn_pending", "evtchn_mask")
        word, head = self._among("fifo_word"), self._among("fifo_head")
        ports = t.either(bits, t.either(word, head))
        match name:
            case "what":
                return self._what()
            case "first":
                many = t.op(f"mul i64 {wide}, {self.width}")
                at = t.choose(head, 64, t.op(f"and i64 {wide}, 15"), wide)
                return self._small(t.choose(bits, 64, many, at), index.bad, t.invert(ports))
            case "last":
                many = t.op(f"mul i64 {wide}, {self.width}")
                last = t.op(f"add i64 {many}, {t.op(f'sub i64 {self.width}, 1')}")
                return self._small(last, index.bad, t.invert(bits))
            case "vcpu":
                at = t.choose(head, 64, t.op(f"lshr i64 {wide}, 4"), wide)
                return self._small(at, index.bad, t.either(bits, word))
            case "flag":
                bad = t.either(t.either(index.bad, value.bad), ports)
                return Val(t.op(f"icmp ne i64 {value.text}, 0"), 1, bad)
            case "word":
                return self._small(value.text, value.bad, "false")
        return super().own(name)

    def map(self, name: str, index: list[Val], type_: Type) -> Val:
        """A bit of the word that was stored."""
        t, value = self.text, self.column("value")
        (place,) = index
        at = self.wide(place)
        bad = t.either(t.either(value.bad, place.bad), self.odd)
        if name == "bits":
            first = self.get("first", type_)
            at = t.op(f"sub i64 {at}, {self.wide(first)}")
            bad = t.either(bad, t.either(first.bad, self.get("last", type_).bad))
            bad = t.either(bad, t.op(f"icmp uge i64 {at}, {self.width}"))
            return Val(self.bit_of(value, at).text, 1, bad)
        if name != "words":
            return BAD
        bad = t.either(bad, self.get("vcpu", type_).bad)
        bad = t.either(bad, self._among("fifo_head"))
        inside = t.op(f"icmp ult i64 {at}, {self.width}")
        return Val(t.both(inside, self.bit_of(value, at).text), 1, bad)

    def _small(self, number: str, *bad: str) -> Val:
        """A number of 32 bits, if it fits."""
        t, whole = self.text, self.odd
        for one in (*bad, t.op(f"icmp ugt i64 {number}, 4294967295")):
            whole = t.either(whole, one)
        return Val(t.sized(number, 64, 32), 32, whole)

    def _among(self, *names: str) -> str:
        """Whether it is one of these words."""
        t, what, found = self.text, self.column("store_what"), "false"
        for name in names:
            code = COLUMNS["store_what"].words.index(name)
            found = t.either(found, t.op(f"icmp eq i8 {what.text}, {code}"))
        return t.both(t.invert(what.bad), found)

    def _what(self) -> Val:
        t, value = self.text, "0"
        for name in COLUMNS["store_what"].words:
            number = self._words.get(STORED.get(name, ""), 0)
            value = t.choose(self._among(name), 8, str(number), value)
        return Val(value, 8)
