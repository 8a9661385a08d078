"""LLVM's text, a line at a time.

Every value is a `Val`: the number, and a bit that says it is not sure to be what the interpreter
would say (`bad`). Bits are computed without jumps; a step looks once, at its end, whether anything
it hung on was bad, and then hands the event over.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BAD", "FALSE", "TRUE", "Text", "Val", "const"]


@dataclass(frozen=True, slots=True)
class Val:
    """A number of so many bits, as LLVM names it; `bad` is an i1."""

    text: str
    bits: int
    bad: str = "false"


TRUE, FALSE = Val("true", 1), Val("false", 1)
BAD = Val("false", 1, "true")


def const(number: int | bool, bits: int) -> Val:
    """A constant."""
    if bits == 1:
        return TRUE if number else FALSE
    return Val(str(int(number)), bits)


class Text:
    """The body of a function as it is written; `rest`: where it goes on as soon as something is
    not as it mostly is."""

    def __init__(self, rest: str | None = None) -> None:
        self.rest = rest
        self.lines: list[str] = []
        self.block = ""  # that is being written
        self._next = 0
        self._same: dict[str, str] = {}

    def name(self, what: str = "v") -> str:
        """A name nobody has."""
        self._next += 1
        return f"{what}{self._next}"

    def op(self, text: str) -> str:
        """An instruction; its result. One that was written since the last label is not repeated."""
        found = self._same.get(text)
        if found is not None:
            return found
        made = f"%{self.name()}"
        self.lines.append(f"  {made} = {text}")
        if not text.startswith(("load", "call", "phi")):
            self._same[text] = made
        return made

    def do(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append(f"  {text}")

    def label(self, name: str) -> None:
        """A block begins."""
        self.lines.append(f"{name}:")
        self.block = name
        self._same.clear()

    def doubt(self, bad: str) -> str:
        """Something that is bad where it holds. What has a rest leaves it to that, and has no
        doubt any more."""
        if self.rest is None or bad == "false":
            return bad
        same, sure = dict(self._same), self.name("sure")
        self.do(f"br i1 {bad}, label %{self.rest}, label %{sure}, !prof !0")
        self.label(sure)
        self._same = same  # for what was before is still so
        return "false"

    def goes_on(self, what: str) -> str:
        """Another block follows this one; its name."""
        name = self.name(what)
        self.do(f"br label %{name}")
        self.label(name)
        return name

    def phi(self, kind: str, *ways: tuple[str, str]) -> str:
        """What a value is, by the block that was before: pairs of value and block."""
        listed = ", ".join(f"[ {value}, %{block} ]" for value, block in ways)
        return self.op(f"phi {kind} {listed}")

    # ---- truths ----------------------------------------------------------------------------------

    def both(self, a: str, b: str) -> str:
        """And."""
        if "false" in (a, b):
            return "false"
        if a == "true" or a == b:
            return b
        return a if b == "true" else self.op(f"and i1 {a}, {b}")

    def either(self, a: str, b: str) -> str:
        """Or."""
        if "true" in (a, b):
            return "true"
        if a == "false" or a == b:
            return b
        return a if b == "false" else self.op(f"or i1 {a}, {b}")

    def invert(self, a: str) -> str:
        """Not."""
        if a in ("true", "false"):
            return "false" if a == "true" else "true"
        return self.op(f"xor i1 {a}, true")

    # ---- numbers ---------------------------------------------------------------------------------

    def sized(self, text: str, have: int, want: int) -> str:
        """A number made wider with zeros, or cut."""
        if have == want:
            return text
        if text in ("true", "false"):
            return "1" if text == "true" else "0"
        if text.isdigit():
            number = int(text) & ((1 << want) - 1)
            return ("true" if number else "false") if want == 1 else str(number)
        return self.op(f"{'zext' if want > have else 'trunc'} i{have} {text} to i{want}")

    def at(self, base: str, offset: str | int) -> str:
        """An address."""
        return self.op(f"getelementptr i8, ptr {base}, i64 {offset}")

    def load(self, bits: int, where: str, align: int = 1) -> str:
        """What stands at an address."""
        return self.op(f"load i{bits}, ptr {where}, align {align}")

    def store(self, bits: int, value: str, where: str, align: int = 1) -> None:
        """Write to an address."""
        self.do(f"store i{bits} {value}, ptr {where}, align {align}")

    def choose(self, test: str, bits: int, yes: str, no: str) -> str:
        """One of two."""
        if yes == no or test in ("true", "false"):
            return no if test == "false" else yes
        return self.op(f"select i1 {test}, i{bits} {yes}, i{bits} {no}")
