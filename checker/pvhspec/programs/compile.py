"""A program's text compiled for callers of one width."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pvhspec.diagnostics import Diagnostic
from pvhspec.ir.ir import Spec
from pvhspec.programs import shared, statements
from pvhspec.programs.calls import Layouts
from pvhspec.programs.errors import (
    BAD_BLOCK,
    BAD_NUMBER,
    TOO_MUCH,
    UNKNOWN_NAME,
    Bad,
    Place,
    Texts,
    alike,
)
from pvhspec.programs.text import Block, Line, parse
from pvhspec.programs.tokens import Cursor, Token, tokenize
from pvhspec.programs.values import DOMAINS, Names, number
from pvhspec.syntax.source import read_text
from pvhspec.targets.encoding import encode
from pvhspec.targets.steps import Hypercall, Program, Race, Step, Store, Turn, WriteMsr
from pvhspec.targets.toolstack import INTERFACE, MADE, TURNS_IN_DOM0, TURNS_IN_DOMU

__all__ = ["Compiled", "Width", "compile_file", "compile_text"]

Width = Literal[32, 64]
_MOST_STEPS = 100_000
_DEEPEST = 8  #: groups within groups
_MOST_ERRORS = 20
#: What is known of a second domain at run time, by name.
SECOND = {"DOMU": MADE.index, "DOMCTL_INTERFACE": INTERFACE.index}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program, and where each of its steps stands in the text (`lines`, from 1).

    `vcpus` is how many vCPUs it is written for (`needs vcpus 2`), `only` the one width of callers
    (`needs width 32`), `domu` whether it is meant for an unprivileged domain, too (`also domu`).
    """

    path: str
    program: Program
    lines: tuple[int, ...] = ()
    vcpus: int = 1
    only: Width | None = None
    domu: bool = False
    slots: dict[str, int] = field(default_factory=dict)


def compile_file(
    path: Path, spec: Spec, width: Width
) -> tuple[Compiled | None, list[Diagnostic]]:  # fmt: skip
    """The program in a file, or everything that is wrong with it."""
    text, errors = read_text(path)
    return (None, errors) if text is None else compile_text(text, spec, width, str(path))


def compile_text(
    text: str, spec: Spec, width: Width, path: str = "program"
) -> tuple[Compiled | None, list[Diagnostic]]:
    """The program a text says, or everything that is wrong with it."""
    texts = Texts(path, text)
    tokens, errors = tokenize(texts.lines)
    body, misplaced = parse(tokens)
    reserved = {int(t.value) for line in tokens for t in line if t.kind == "slot"}
    compiler = _Compiler(spec, width, reserved)
    if _of_two(body):
        compiler.second()
    compiler.errors += [*errors, *misplaced]
    compiler.body(body, 0)
    if not compiler.errors:
        compiler.check()
    if compiler.errors:
        unique = {(bad.place, bad.message): bad for bad in compiler.errors}
        return None, [texts.diagnostic(bad) for bad in unique.values()][:_MOST_ERRORS]
    program = compiler.program()
    lines = tuple(line for part in compiler.parts for _, line in part.steps)
    needed = (compiler.vcpus, compiler.only, compiler.domu)
    return Compiled(path, program, lines, *needed, compiler.names.slots), []


def _of_two(body: list[Line | Block]) -> bool:
    """Whether a second domain takes part."""
    blocks = [item for item in body if isinstance(item, Block)]
    return any(block.head[0].text == "domu" or _of_two(block.body) for block in blocks)


class _Part:
    """What one domain does, and what has been said of its memory. `turns`: where it finds whose
    turn it is."""

    def __init__(self, width: Width, turns: int) -> None:
        self.steps: list[tuple[Step, int]] = []
        self.words = shared.Words(width)
        self.watched: str | None = None
        self.turns = turns


class _Compiler:
    def __init__(self, spec: Spec, width: Width, reserved: set[int]) -> None:
        self.width = width
        self.errors: list[Bad] = []
        self.parts = [_Part(width, TURNS_IN_DOM0)]
        self.part = self.parts[0]
        self.turn = 0  # the number of the turn it is; those of the second domain are odd
        self.handed_over = False
        self.layouts = Layouts(spec, width)
        constants = {name: value for enum in spec.enums.values() for name, value in enum.items()}
        self.names = Names({**constants, **DOMAINS}, reserved)
        self.groups: dict[str, list[Line | Block]] = {}
        self.vcpus = 1
        self.only: Width | None = None
        self.domu = False

    def second(self) -> None:
        """There is a second domain, and its maker has slots of its own."""
        self.parts.append(_Part(self.width, TURNS_IN_DOMU))
        self.names.keep(SECOND)

    def program(self) -> Program:
        """All that was said. A second domain that has done its part waits for ever."""
        for part in self.parts[1:]:
            line = part.steps[-1][1] if part.steps else 1
            part.steps.append((Turn(part.turns, take=self.turn + 3), line))
        first, *beside = (tuple(step for step, _ in part.steps) for part in self.parts)
        return Program(first, beside[0] if beside else None)

    def body(self, body: list[Line | Block], depth: int) -> None:
        for item in body:
            try:
                if isinstance(item, Block):
                    self.block(item, depth)
                else:
                    self.line(item, depth)
            except Bad as bad:
                self.errors.append(bad)
                if len(self.errors) > _MOST_ERRORS or bad.code == TOO_MUCH:
                    return

    # ---- blocks -----------------------------------------------------------------------------

    def block(self, block: Block, depth: int) -> None:
        at = Cursor(block.head)
        word = at.take()
        match word.text if word.kind == "name" else "":
            case "define":
                name = at.of_kind("name", "a name for the steps")
                at.end()
                self.groups[name.text] = block.body
            case "on":
                at.expect("width")
                width = number(at, self.names)
                at.end()
                if width not in (32, 64):
                    raise Bad(BAD_NUMBER, word.place, "a width is 32 or 64")
                if width == self.width:
                    self.body(block.body, depth)
            case "for":
                self.loop(at, block, depth)
            case "race":
                at.end()
                self.race(word.place, block)
            case "domu":
                at.end()
                self.other(word.place, block, depth)
            case _:
                remedy = "for p in 0..7 {, on width 32 {, define NAME {, race {, domu {"
                raise Bad(BAD_BLOCK, word.place, f"no block begins with {word.text}", remedy)

    def other(self, place: Place, block: Block, depth: int) -> None:
        """What the second domain does while the first one waits."""
        if len(self.parts) == 1 or self.part is self.parts[1]:
            raise Bad(BAD_BLOCK, place, "this stands in no other block but for, on and define")
        first, self.part = self.parts
        turn, self.turn = self.turn, self.turn + 2
        first.steps.append((Turn(first.turns, give=turn + 1, take=turn + 2), place.line))
        self.part.steps.append((Turn(self.part.turns, take=turn + 1), place.line))
        self.handed_over = False
        try:
            self.body(block.body, depth)
        finally:
            if not self.handed_over:
                self.hand_over(place)
            self.part = first

    def hand_over(self, place: Place) -> None:
        """The second domain's turn is over; what it does now may take as long as it likes."""
        if self.part is self.parts[0] or self.handed_over:
            raise Bad(BAD_BLOCK, place, "the turn is handed over once in a block of domu")
        self.part.steps.append((Turn(self.part.turns, give=self.turn), place.line))
        self.handed_over = True

    def race(self, place: Place, block: Block) -> None:
        calls: tuple[list[Hypercall], list[Hypercall]] = ([], [])
        for item in block.body:
            if isinstance(item, Block):
                raise Bad(BAD_BLOCK, item.head[0].place, "no block is in a race")
            at = Cursor(item.tokens)
            vcpu, call = statements.racing(at, self.names, self.layouts, self.part.words)
            calls[vcpu].append(call)
        self.room(place)
        self.part.steps.append((Race(tuple(calls[0]), tuple(calls[1])), place.line))
        self.vcpus = max(self.vcpus, 2)

    def loop(self, at: Cursor, block: Block, depth: int) -> None:
        name = at.of_kind("name", "a name for the number")
        at.expect("in")
        first = number(at, self.names)
        at.expect("..")
        last = number(at, self.names)
        at.end()
        if name.text in self.names.slots:
            raise Bad(BAD_NUMBER, name.place, f"{name.text} is a slot already")
        outer = self.names.constants.get(name.text)
        known = len(self.errors)
        for value in range(first, last + 1):
            self.names.constants[name.text] = value
            self.room(name.place)
            self.body(block.body, depth)
            if len(self.errors) > known:
                break
        if outer is None:
            self.names.constants.pop(name.text, None)
        else:
            self.names.constants[name.text] = outer

    def room(self, place: Place) -> None:
        if sum(len(part.steps) for part in self.parts) > _MOST_STEPS:
            raise Bad(TOO_MUCH, place, f"more than {_MOST_STEPS:,} steps")

    # ---- statements ---------------------------------------------------------------------------

    def line(self, line: Line, depth: int) -> None:
        at = Cursor(line.tokens)
        first = at.now
        match first.text if first.kind == "name" else "":
            case "let":
                self.let(at)
                return
            case "do":
                at.take()
                self.do(at.of_kind("name", "the name of defined steps"), depth)
                at.end()
                return
            case "needs":
                self.needs(at)
                return
            case "hand":
                at.take()
                at.expect("over")
                at.end()
                self.hand_over(first.place)
                return
            case "also":
                at.take()
                at.expect("domu")
                at.end()
                self.domu = True
                return
            case "watch":
                at.take()
                name = at.of_kind("name", "the name of defined steps, or nothing,")
                at.end()
                if name.text != "nothing":
                    self.group(name)
                self.part.watched = None if name.text == "nothing" else name.text
                return
        self.room(first.place)
        part = self.part
        found = statements.steps(at, self.names, self.layouts, part.words)
        part.steps += [(step, first.place.line) for step in found]
        if part.watched is not None and depth == 0 and _may_change(found):
            self.body(self.groups[part.watched], depth + 1)

    def needs(self, at: Cursor) -> None:
        at.take()
        what = at.accept("vcpus", "width")
        if what is None:
            raise at.bad("vcpus or width expected")
        place = at.now.place
        value = number(at, self.names)
        at.end()
        if what.text == "width":
            if value not in (32, 64):
                raise Bad(BAD_NUMBER, place, "a width is 32 or 64")
            self.only = 32 if value == 32 else 64
        elif 1 <= value <= 128:
            self.vcpus = value
        else:
            raise Bad(BAD_NUMBER, place, "a domain has 1 to 128 vCPUs")

    def let(self, at: Cursor) -> None:
        at.take()
        name = at.of_kind("name", "a name")
        if name.text in self.names.slots:
            raise Bad(BAD_NUMBER, name.place, f"{name.text} is a slot already")
        at.expect("=")
        self.names.constants[name.text] = number(at, self.names)
        at.end()

    def group(self, name: Token) -> list[Line | Block]:
        found = self.groups.get(name.text)
        if found is None:
            remedy = alike(name.text, self.groups) or f"define {name.text} {{ … }} before it"
            raise Bad(UNKNOWN_NAME, name.place, f"no steps are called {name.text}", remedy)
        return found

    def do(self, name: Token, depth: int) -> None:
        body = self.group(name)
        if depth >= _DEEPEST:
            raise Bad(TOO_MUCH, name.place, f"{name.text} does itself, or too many others")
        self.body(body, depth + 1)

    def check(self) -> None:
        """What only the encoder knows: room for buffers, ranges of numbers."""
        steps = [each for part in self.parts for each in part.steps]
        try:
            encode(Program(tuple(step for step, _ in steps)))
        except ValueError:
            for step, line in steps:
                try:
                    encode(Program((step,)))
                except ValueError as error:
                    why = str(error).partition(": ")[2]
                    self.errors.append(Bad(TOO_MUCH, Place(line, 0, 1), why))


def _may_change(steps: list[Step]) -> bool:
    return any(isinstance(step, Hypercall | Store | WriteMsr | Race) for step in steps)
