"""A world that is simply known, for choosing what to do next.

A generator has to know what a call would do before anybody makes it. This is the interpreter over
a state in which nothing is left open: what the outside world may change does not change, what
nobody has seen is zero, and Xen never fails for want of memory. What it foretells is a guess; the
verdict on what really happened is the judge's alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pvhspec.backends.binding import Binder
from pvhspec.backends.interpreter.compiled import compiled_for
from pvhspec.backends.interpreter.evaluate import Fn
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.operation import Outcome
from pvhspec.backends.interpreter.path import Inconsistent, Path, TooMuch, explore
from pvhspec.backends.protocol import Call, Seen
from pvhspec.backends.shown import Map
from pvhspec.ir.ir import (
    STATUS,
    Const,
    Input,
    Operation,
    Slot,
    Spec,
    State,
    Version,
    status_value,
)
from pvhspec.ir.walk import free_vars
from pvhspec.traces import Event

__all__ = [
    "Ask",
    "Foretold",
    "Memory",
    "Model",
    "chosen_field",
    "chosen_port",
    "definite_spec",
    "inputs_of",
    "is_pointer",
    "overlaid",
    "result_of",
]

Memory = Literal["ordinary", "readonly", "unreadable"]
_POINTER = 0x1000  # what a pointer is taken to be; any address but null


@dataclass(frozen=True, slots=True)
class Ask:
    """A call by the specification's names; `values` are fields of the structure and parameters,
    `arrays` what lies behind handles: for each field of the elements, its values."""

    op: Operation
    values: Mapping[str, int] = field(default_factory=dict)
    memory: Memory = "ordinary"
    cpl: Literal[0, 3] = 0
    number: int | None = None
    arrays: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Foretold:
    """What a call would return, and the clauses by which it would."""

    code: int
    clauses: tuple[str, ...]
    path: Path

    @property
    def out(self) -> dict[str, int]:
        """Values that were chosen, by the variable of the choice."""
        return {k: v for k, v in self.path.vars.items() if isinstance(v, int)}


class Model:
    """One domain's world, as far as it can be foretold."""

    def __init__(
        self,
        spec: Spec,
        version: Version,
        mode: str,
        *,
        width: int,
        vendor: str = "AuthenticAMD",
        given: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        definite = definite_spec(spec)
        self.spec, self.width = definite, width
        self.version, self.mode = version, mode
        self._compiled = compiled_for(definite, version, mode)
        self.machine = Machine(definite, version, mode, given=given, compiled=self._compiled)
        self.binder = Binder(definite, version, mode, vendor)
        self.compiler = self._compiled.compiler
        self._conditions: dict[tuple[str, str], list[Fn]] = {}
        self._seq = 0
        self._chosen = 0  # what Xen may choose freely is a new number every time
        self.taken = 0  # pages that calls took from Xen, at most
        self.mapped: list[int] = []  # the addresses that calls were to map something at
        self.held: dict[int, tuple[int, int]] = {}  # what handles stand for: address and entry
        major, minor = version[:2]
        self._common: dict[str, Any] = {
            "caller": 0, "current": 0, "width": width, "release": major << 16 | minor,
        }  # fmt: skip
        vendors = definite.enums.get("CpuVendor", {})
        if "amd" in vendors:
            self._common["vendor"] = vendors["amd"]

    @property
    def store(self) -> Any:
        """The state."""
        return self.machine.store

    def cell(self, state: str, *index: int) -> Any:
        """A cell of the state."""
        return self.store.read(state, index)

    def inputs(self, ask: Ask) -> dict[str, Any]:
        """The fields of the event that a call would be."""
        return inputs_of(ask, self._common)

    def foretell(self, ask: Ask, showing: str | None = None) -> Foretold | None:
        """What the call would do; None where the model cannot say. `showing`: None, too, where the
        call could not show this clause, as its own condition does not hold."""
        inputs = self.inputs(ask)
        path = Path(self.store, inputs, [])
        if showing is not None and self._rules_out(ask.op, showing, path):
            return None
        came = self._step(ask, path)
        if came is None:
            return None
        path, outcome = came
        chosen = None if outcome.code else chosen_field(ask.op)
        if chosen is not None and not isinstance(path.vars.get(chosen[0]), int):
            self._chosen += 1
            inputs = {**self.inputs(ask), f"out.{chosen[2]}": self._chosen}
            ret = result_of(ask.op, 0, inputs)
            path, outcome = self._step(ask, Path(self.store, inputs, []), ret) or came
        written = dict.fromkeys(clause for _, clause in path.writes.values())
        return Foretold(outcome.code or 0, (*outcome.clauses, *written), path)

    def _step(self, ask: Ask, path: Path, ret: int | None = None) -> tuple[Path, Outcome] | None:
        """The first way a call may go; mostly there is one, as nothing but results is unknown.
        `ret`: what is taken to come back."""
        stepper = self._compiled.stepper(ask.op)
        call = Call(ask.op, ret, None, None)
        try:
            return path, stepper.step(path, call, named=True)
        except (Inconsistent, TooMuch):
            if not path.arity:
                return None
        found = explore(self.store, path.inputs, lambda p: stepper.step(p, call, named=True), 64)
        return found.ways[0] if found.ways else None

    def _rules_out(self, op: Operation, clause: str, path: Path) -> bool:
        """Whether no condition holds under which a clause would show."""
        key = (op.id, clause)
        if key not in self._conditions:
            made = [e.when for e in op.errors if e.clause == clause and e.when is not None]
            made += [u.guard for u in (*op.updates, *op.always) if u.clause == clause]
            known = clause != op.success and not any(map(free_vars, made))
            self._conditions[key] = [self.compiler.expr(e) for e in made] if known else []
        tests = self._conditions[key]
        return bool(tests) and all(path.resolve(test(path)) is False for test in tests)

    def commit(self, told: Foretold) -> None:
        """Go on to the state after a call."""
        self._seq += 1
        self.store.merge([told.path.outcome()], self._seq)
        for state, pattern, value in told.path.smears:
            self.store.smear(state, pattern, value)

    def happen(self, event: Event) -> tuple[str, ...]:
        """Go on to the state after any other event; returns the clauses it was about."""
        found: list[str] = []
        for seen in self.binder.bind([event]):
            found += [j.clause for j in self.machine.feed(seen)]
        return tuple(found)

    def fork(self) -> Model:
        """Another model that is like this one so far, and goes on by itself."""
        other = copy(self)
        other.machine = self.machine.fork()
        return other

    def feed(self, seen: Seen) -> Iterator[Any]:
        """Judge an event against the model itself."""
        return self.machine.feed(seen)


def inputs_of(ask: Ask, common: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the event that a call would be."""
    op = ask.op
    fields = dict(common)
    fields["cpl"] = ask.cpl
    fields["nr"] = op.number if ask.number is None else ask.number
    fields["readable"] = ask.memory != "unreadable"
    fields["writable"] = ask.memory == "ordinary"
    for param in op.params:
        width = getattr(param.type, "width", 64)
        value = ask.values.get(param.name, op.command if param is op.params[0] else None)
        if value is None and param.name == op.each:
            value = 1
        fields[param.name] = (_POINTER if value is None else value) & ((1 << width) - 1)
    for slot in op.slots:
        if slot.read:
            fields[slot.name] = ask.values.get(slot.name, 0) & _mask(slot)
    for array in op.arrays:
        # A handle is good unless it was given as a number.
        good = array.handle not in ask.values
        fields[f"{array.name}.readable"] = fields[f"{array.name}.writable"] = good
        fields.setdefault(array.handle, 0)
        if good:
            fields[array.handle] = _POINTER
        for part in array.fields:
            table = fields[f"{array.name}.{part.name}"] = Map(0)
            values = ask.arrays.get(f"{array.name}.{part.name}", ())
            table.update({(i,): v for i, v in enumerate(values)})
    return fields


def is_pointer(param: Input) -> bool:
    """Whether a parameter is the address of something."""
    return getattr(param.type, "name", None) == "pointer"


def overlaid(op: Operation, given: Mapping[str, int], width: int) -> dict[str, int]:
    """All that a structure of these fields and zeroes says: where forms of it share their bytes, a
    field of the one is a field of the other, and the last of those given counts."""
    narrow = int(width == 32)
    read = [(s.name, s.offset[narrow], s.size[narrow]) for s in op.slots if s.read]
    image = bytearray(max((offset + size for _, offset, size in read), default=0))
    for name, offset, size in read:
        if name in given:
            number = given[name] & (1 << 8 * size) - 1
            image[offset : offset + size] = number.to_bytes(size, "little")
    return {n: int.from_bytes(image[at : at + size], "little") for n, at, size in read}


def result_of(op: Operation, code: int, fields: dict[str, Any]) -> int:
    """What a call returns by which it answers a code; its status is put among the fields."""
    if op.status is not None and (code == 0 or code >= STATUS):
        fields[f"out.{op.status.name}"] = status_value(code, op.status.type.width)
        return 0
    return -code


def _mask(slot: Slot) -> int:
    return (1 << slot.type.width) - 1


def chosen_port(op: Operation) -> str | None:
    """The choice by which an operation gives a port, if it gives one."""
    names = (c.var.name for c in op.choices if getattr(c.var.type, "name", None) == "Port")
    return next(names, None)


def chosen_field(op: Operation) -> tuple[str, str, str] | None:
    """What Xen chooses that later calls can name, where the call gives it back: the variable of the
    choice, the name of its type, and the field."""
    for choice in op.choices:
        kind = getattr(choice.var.type, "name", None)
        for update in op.updates:
            if kind and update.target.startswith("out.") and update.value == choice.var:
                return choice.var.name, kind, update.target.removeprefix("out.")
    return None


# The last specification that was asked for, and the same over states that nobody else changes.
_last: list[Spec] = []


def definite_spec(spec: Spec) -> Spec:
    """The same specification over states that nobody else changes."""
    if not _last or _last[0] is not spec:
        _last[:] = [spec, _replaced(spec)]
    return _last[1]


def _replaced(spec: Spec) -> Spec:
    made: dict[str, State] = {}
    for name, state in spec.states.items():
        init = state.init
        if init is None:
            zero = False if type(state.type).__name__ == "BoolType" else 0
            init = Const(state.type, zero)
        made[name] = replace(state, init=init, drift=None, given=False)
    return replace(spec, states=made)
