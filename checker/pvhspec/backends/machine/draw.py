"""Drawing calls: which operation, with which arguments, so that something new comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from random import Random

from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.machine.careful import ENDS, ONLY, SLEEPS, careful, tame
from pvhspec.backends.machine.frames import frames
from pvhspec.backends.machine.model import Ask, Foretold, Memory, Model, is_pointer
from pvhspec.backends.machine.pools import Pools
from pvhspec.ir.ir import OWN_RANK, Operation, Spec, Version
from pvhspec.types.types import BitsType

__all__ = ["Drawer", "chapter", "offered"]

_OTHER_COMMANDS = (15, 16, 64, 0x7FFFFFFF, 0x80000006, 0xFFFFFFFF)


def chapter(op: Operation) -> str:
    """The module group an operation belongs to: `evtchn` of `evtchn.use.EVTCHNOP_send`."""
    return op.id.partition(".")[0]


def offered(spec: Spec, version: Version, mode: str) -> list[Operation]:
    """The operations a guest can ask for, one way or another."""
    return [o for o in spec.operations if o.gate.open(version, mode) or o.command is None]


class Drawer:
    """Draws calls for a model's present state, the rarer what they would show the better.

    `counts` says how often each clause has been foretold so far; it is kept up to date.
    """

    def __init__(
        self, model: Model, random: Random, counts: Counter[str], operations: Iterable[Operation]
    ) -> None:
        self.model, self.random, self.counts = model, random, counts
        self.pools = Pools(model.spec, model.compiler)
        self._operations = list(operations)
        self._weights = {op.id: _weight(op) for op in self._operations}
        self._gone = _gone(model)
        self._layouts: dict[tuple[str, str], tuple[str | None, int, int | None]] = {}

    def weighted(self, operations: Sequence[Operation]) -> Operation:
        """One of the operations: those with most to say come up most often."""
        weights = [self._weights[op.id] for op in operations]
        return self.random.choices(operations, weights)[0]

    def best(self, tries: int, among: Sequence[Operation] | None = None) -> tuple[Ask, Foretold]:
        """The call of a few that shows the rarest clause."""
        operations = among or self._operations
        kept: tuple[float, Ask, Foretold] | None = None
        left = tries
        while left > 0 or kept is None:
            left -= 1
            if left < -200:
                raise ValueError("no call can be foretold")
            ask = self.call(self.weighted(operations))
            told = self.model.foretell(ask)
            if told is None or (not ask.op.modelled and not told.code):
                continue
            rare = sum(1 / (1 + self.counts[c]) for c in told.clauses)
            if kept is None or rare > kept[0]:
                kept = (rare, ask, told)
        self.take(kept[2])
        return kept[1], kept[2]

    def take(self, told: Foretold) -> None:
        """Go on to the state after a call."""
        self.counts.update(told.clauses)
        self.model.commit(told)
        for (state, index), (value, _) in told.path.writes.items():
            self.pools.bundles.note(state, index, value)

    def call(self, op: Operation) -> Ask:
        """A call of an operation: from ring 0 and with good memory, as a rule."""
        way = self.random.random()
        memory: Memory = "ordinary"
        if op.struct is not None or op.pointer is not None or op.name.endswith(".other"):
            memory = "unreadable" if way < 0.05 else "readonly" if way < 0.11 else "ordinary"
        if memory == "readonly" and op.choices and self.model.cell("fifo", 0):
            memory = "ordinary"  # which port it was would never be known, here nor to the judge
        cpl = 3 if self.random.random() < (0.02 if op.modelled else 0.6) else 0
        memory = "unreadable" if op.name in ENDS else memory
        cpl = 3 if op.name in SLEEPS else cpl
        number = self._number(op)
        values, arrays = self._values(op)
        if memory != "ordinary" and op.struct is None and op.pointer is not None:
            values.pop(op.pointer, None)
        return Ask(op, values, memory, 3 if cpl else 0, number, arrays)

    # ---- arguments -------------------------------------------------------------------------

    def _number(self, op: Operation) -> int | None:
        if op.number is not None:
            return None
        way = self.random.random()
        if way < 0.6 and self._gone:
            return self.random.choice(self._gone)
        if way < 0.8 and self.model.width == 64:
            return 1 << self.random.randrange(32, 64) | self.random.randrange(64)
        return self.random.choice((64, 127, 128, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))

    def _values(self, op: Operation) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
        sources = self.pools.of_operation(op)
        values: dict[str, int] = {}
        inputs = self.model.inputs(Ask(op, values))
        self._numbers(op, values, Path(self.model.store, inputs, []))
        inputs.update(values)
        for slot in op.slots:
            if not slot.read:
                continue
            only = ONLY.get((op.name, slot.name))
            if only is not None:
                value = self.random.choice(only)
            elif slot.name.endswith("_gfn"):
                value = self.random.randrange(32) if self.random.random() < 0.9 else 1 << 40
            else:
                bits = 8 * slot.size[1 if self.model.width == 32 else 0]
                path = Path(self.model.store, inputs, [])  # one run does not see fields change
                value = self.pools.draw(
                    slot.name, slot.type.name, bits, slot.type.below, sources, path, self.random
                )
            if op.name == "HVMOP_set_param" and slot.name == "value":
                value = tame(values["index"], value, self.random)
            values[slot.name] = inputs[slot.name] = value
        if op.struct is None:
            self._parameters(op, values)
        elif any(s.read and s.name == "len" for s in op.slots) and self.random.random() < 0.1:
            values[op.pointer or op.params[-1].name] = 0  # a null pointer asks for the length
        careful(op, values, self.model, self.random)
        if op.hypercall == "memory_op":
            return values, frames(op, values, self.model, self.random)
        return values, self._arrays(op, values, Path(self.model.store, inputs, []))

    def _arrays(
        self, op: Operation, values: dict[str, int], path: Path
    ) -> dict[str, tuple[int, ...]]:
        """What lies behind the handles of a structure: as much of it as is said to be there."""
        sources = self.pools.of_operation(op)
        arrays: dict[str, tuple[int, ...]] = {}
        for array in op.arrays:
            if self.random.random() < 0.05:
                continue  # the handle is as it was drawn, and leads nowhere
            values.pop(array.handle, None)
            given = self.random.choice((0, 1, 1, 1, 2, 3, 5))
            if array.count in values and values[array.count] > 5 and self.random.random() < 0.8:
                values[array.count] = given
            for part in array.fields if array.read else ():
                kind, bits = part.type, 8 * part.size[1 if self.model.width == 32 else 0]
                drawn = (
                    self.pools.draw(
                        part.name, kind.name, bits, kind.below, sources, path, self.random
                    )
                    for _ in range(values.get(array.count, given) if given < 6 else given)
                )
                arrays[f"{array.name}.{part.name}"] = tuple(islice(drawn, 8))
        return arrays

    def _numbers(self, op: Operation, values: dict[str, int], path: Path) -> None:
        """Parameters that are numbers: neither the command nor what points to something."""
        sources = self.pools.of_operation(op)
        pointer = op.pointer or (op.params[-1].name if op.params else None)
        plain = op.params
        if op.command is not None:
            plain = tuple(p for p in op.params[1:] if p.name != pointer)
        for param in plain if op.number is not None else ():
            kind, only = param.type, ONLY.get((op.name, param.name))
            if not isinstance(kind, BitsType) or is_pointer(param):
                continue
            if only is not None:
                values[param.name] = self.random.choice(only)
            elif op.command is not None or op.struct is None:
                values[param.name] = self.pools.draw(
                    param.name, kind.name, kind.width, kind.below, sources, path, self.random
                )

    def _parameters(self, op: Operation, values: dict[str, int]) -> None:
        """Parameters that point to nothing that is known: null, or an address nobody uses."""
        if op.name.endswith(".other") and op.commands:
            known = set(op.commands)
            near = max(known) + self.random.randrange(1, 4)
            values[op.params[0].name] = self.random.choice((near, *_OTHER_COMMANDS))
            if values[op.params[0].name] in known:
                values[op.params[0].name] = 0xFFFFFFFF
            rest = (p for p in op.params[1:] if not is_pointer(p))
            values.update({p.name: self.random.choice((0, 0, 0, 5)) for p in rest})
        elif op.params and op.command is not None and self.random.random() < 0.7:
            values[op.params[-1].name] = self.random.choice((0, 1, 0xDEAD000))


def _gone(model: Model) -> list[int]:
    """Small numbers that no hypercall has here."""
    known = {
        number
        for number, call in model.spec.hypercalls.items()
        if call.gate.open(model.version, model.mode)
    }
    return [n for n in range(64) if n not in known]


def _weight(op: Operation) -> float:
    if not op.modelled:
        return 0.4 if any(e.rank >= 1000 and e.when is not None for e in op.errors) else 0.05
    if op.number is None:
        return 0.3
    own = sum(1 for e in op.errors if e.rank >= OWN_RANK)
    sweeping = any(u.binders for u in op.updates)
    return 0.5 if sweeping else 0.3 + own + 2 * (len(op.updates) > 0)
