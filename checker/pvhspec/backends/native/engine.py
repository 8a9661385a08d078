"""An execution judged by machine code, and by the interpreter where that is not sure.

Both work on one state. Rows come as columns; a row that native code hands back is made an event and
goes through the same `Machine` as it would have without native code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.orders import Orders
from pvhspec.backends.native.code import compiled as machine_code
from pvhspec.backends.native.code import loaded
from pvhspec.backends.native.columns import MOST_ROWS, Columns
from pvhspec.backends.native.layout import Layout
from pvhspec.backends.native.module import CONSTANTS, MOST_OUTCOMES, Module
from pvhspec.backends.native.store import Block, NativeStore
from pvhspec.backends.protocol import Judgement, Seen, Verdict
from pvhspec.ir.ir import Spec
from pvhspec.names.gates import Version

__all__ = ["MOST_ROWS", "Columns", "Engine", "Program"]


class Program:
    """The machine code of a specification for one release, mode, authority and kind of trace."""

    def __init__(
        self,
        spec: Spec,
        version: Version,
        mode: str,
        compiled: Compiled,
        *,
        given: frozenset[str],
        all_domains: bool,
        kinds: Mapping[str, int],
        wanted: frozenset[str],
    ) -> None:
        self.wanted = wanted
        self.spec: Spec | None = None  # not kept on disk
        self.layout = Layout(spec, MOST_OUTCOMES, len(CONSTANTS), given)
        module = Module(
            spec, version, mode, compiled, self.layout, all_domains, dict(kinds), wanted
        )
        self.operations = [op.id for op in module.operations]
        self.told = module.told.outcomes
        self.watched = module.watched
        self.hints = module.hints
        self.code = machine_code(module.text)


class Engine:
    """Feed it batches; it says what `Orders` over a `Machine` would, but counts what native code
    was sure of: `tally` gives that."""

    def __init__(
        self,
        program: Program,
        spec: Spec,
        orders: Orders,
        *,
        constants: Mapping[str, int | None],
        given: Mapping[str, Any],
    ) -> None:
        self.spec, self.program, self.orders = spec, program, orders
        (machine,) = orders._left
        self._machine = machine
        block = Block(program.layout)
        cuts = _Cuts(spec, machine._compiled, given)
        self.store = NativeStore(machine.store, block, list(spec.clauses), cuts)
        machine.store = self.store
        header = program.layout.header
        self._counts = block.words(header.counts, MOST_OUTCOMES)
        self._told = block.words(header.told, 1)
        self._order = block.words(header.told + 8, MOST_OUTCOMES, np.uint32)
        self._held = block.words(header.held, len(spec.clauses), np.int64)
        self._blamed = block.words(header.blame, 3)
        self._blamed[2] = 2  # no call yet
        self._owed = block.words(header.owed, 3)
        self._missing = block.words(program.layout.missing, 1)
        known = block.words(header.constants, 2 * len(CONSTANTS))
        for name, at in CONSTANTS.items():
            value = constants.get(name)
            if value is not None:
                known[2 * at], known[2 * at + 1] = value, 1
        self._clauses = list(spec.clauses)
        self._numbers = {c: n for n, c in enumerate(self._clauses)}
        self._operations = {op.id: op for op in spec.operations}
        self.use(program)
        self._status = np.zeros(1, np.int32)
        self._last_call = (-1, -1)
        self._said = 0
        self._paying = {o.then.event for o in spec.obligations}
        self._moments = self._paying | {o.before.event for o in spec.obligations}
        self.escapes = 0
        self._wrote()

    def use(self, program: Program) -> None:
        """Go on with a program of more operations; what the one before counted was asked for."""
        self.program = program
        self.hints = np.zeros((128 + 1) * program.hints, np.uint64)
        self._run, self._keep = loaded(program.code)

    # ---- rows ----------------------------------------------------------------------------------

    def feed(
        self, columns: Columns, python: Callable[[int, Any], Iterator[Judgement]]
    ) -> Iterator[Judgement]:
        """Judge a batch. `python` is given each row that native code leaves, and a function that
        judges an event; it makes the event, and says what was said."""
        row, rows = 0, columns.rows
        block = self.store.block
        words = columns.words.ctypes.data
        status = self._status.ctypes.data
        hints = self.hints.ctypes.data
        while row < rows:
            if self._plain:
                row = self._run(block.address, hints, words, row, rows, status)
            else:
                self._status[0] = -1
            if row == rows:
                break
            phase = int(self._status[0])
            missing = int(self._missing[0])
            if missing:
                self._missing[0] = 0
                if phase == -1 and missing - 1 not in block.used and block.slot(missing - 1):
                    continue
            self.escapes += 1
            yield from python(row, phase)
            row += 1

    @property
    def _plain(self) -> bool:
        """Whether there is one state to go on from."""
        if len(self.orders._left) != 1 or self.orders._waiting:
            return False
        machine = self.orders._left[0]
        if machine.store is not self.store:
            self.store.adopt(machine.store)
            machine.store = self.store
            self._wrote()
        self._machine = machine
        return True

    def judge(self, seen: Seen, phase: int, forget: bool) -> Iterator[Judgement]:
        """Judge an event that native code left, from where it stopped."""
        self.note()
        if forget:
            self.orders.forget()
        if phase >= 0 and seen.span is None:
            yield from self._machine.feed(seen, phase + 1)
        else:
            yield from self.orders.feed(seen)
        self._wrote(seen)

    def finish(self) -> Iterator[Judgement]:
        """What is left to say at the end."""
        self.note()
        yield from self.orders.finish()

    def open_debts(self) -> list[tuple[str, int]]:
        """Obligations that are open at the end."""
        return self.orders.open_debts()

    def note(self) -> None:
        """Python takes note of what native code did."""
        if self._machine.store is not self.store:
            return
        self.store.catch_up()
        blame = self._machine._blame
        seq, op, succeeded = (int(x) for x in self._blamed)
        if self._last_call != (seq, op) and succeeded < 2:
            self._last_call = (seq, op)
            operation = self._operations[self.program.operations[op]]
            blame.called(seq, operation, bool(succeeded))
        self._blamed[2] = 2
        for number in np.nonzero(self._held)[0].tolist():
            blame.held(self._clauses[number], int(self._held[number]) - 1)
        self._held[:] = 0

    def _wrote(self, seen: Seen | None = None) -> None:
        """What native code remembered of the state may be wrong now."""
        self.hints[:] = 0
        for number, name in enumerate(self.spec.states):
            self.store.block.raw[self.program.layout.vague + number] = self.store.vague(name) != 0
        was_open = int(self._owed[2])
        open_ = len(self._machine._debts.open()) if len(self.orders._left) == 1 else 0
        self._owed[:] = (1, 0, open_)
        if seen is not None and seen.span is None and seen.fields.get("caller") is not None:
            caller = seen.fields["caller"]
            # What was paid, or came too late, may be owed anew at the next event.
            settled = seen.kind not in (self._moments if was_open else self._paying)
            if settled and self._machine.store is self.store:
                self._owed[:2] = (0, caller + 1)

    # ---- what was said --------------------------------------------------------------------------

    def first_told(self) -> Iterator[tuple[tuple[str, ...], Verdict]]:
        """The outcomes that came up for the first time since this was asked last, in order."""
        count = int(self._told[0])
        for number in self._order[self._said : count].tolist():
            yield self.program.told[number]
        self._said = count

    def tally(self) -> Iterator[tuple[tuple[str, ...], Verdict, int]]:
        """How often each outcome came up since this was asked last."""
        self.note()
        for number in np.nonzero(self._counts)[0].tolist():
            yield (*self.program.told[number], int(self._counts[number]))
        self._counts[:] = 0
        self._told[0] = self._said = 0


class _Cuts:
    """Where the initial values of a state's cells may differ from those before."""

    def __init__(self, spec: Spec, compiled: Compiled, given: Mapping[str, Any]) -> None:
        self._spec, self._given = spec, given
        self._planner = compiled.compiler.planner
        self._compiler = compiled.compiler

    def __call__(
        self, state: str, before: tuple[Any, ...], dims: tuple[int, ...]
    ) -> list[list[int]] | None:
        decl = self._spec.states[state]
        cuts: list[set[int]] = [{0, d} for d in dims]
        table = self._given.get(state)
        if table is not None:
            for name in table:
                if name == "*":
                    continue
                parts = name.split(",")
                if len(parts) != len(before) + len(dims) or not all(p.isdigit() for p in parts):
                    continue
                if before and int(parts[0]) != before[0]:
                    continue
                for cut, part in zip(cuts, parts[len(before) :], strict=True):
                    cut.update((int(part), int(part) + 1))
        elif decl.init is not None and not decl.given:
            for at in range(len(dims)):
                uses = self._planner._of_state(state, at + len(before))
                if uses.other or uses.values:
                    cuts[at].update(range(dims[at]))
                for bound in uses.bounds:
                    value = self._compiler.constant(bound)
                    cuts[at].update((value, value + 1))
        return [sorted(c for c in cut if 0 <= c <= d) for cut, d in zip(cuts, dims, strict=True)]
