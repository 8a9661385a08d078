"""The specification's own examples as scenes.

Whoever writes a clause shows a call that it is about, and what must not come of it. The same call,
made for real, is a way to the clause that chance would take long to find. What an example takes for
given is brought about as far as the guest can: by what it stores, and what it asks for. Whether a
clause is met the model says, as of any other call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pvhspec.backends.machine.guard import guarded
from pvhspec.backends.machine.model import Ask, Memory, overlaid
from pvhspec.conform.grants import Grants
from pvhspec.conform.writer import Writer
from pvhspec.ir.ir import Example, ExampleStep, Operation
from pvhspec.targets.steps import SPARE_FRAMES

__all__ = ["Seeds"]

_SURROUNDINGS = ("caller", "current", "width", "readable", "writable", "cpl", "release", "memory")
_ENTRY = "entry_"  # what states of entries of a grant table are called, before their field


class Seeds:
    """Examples by the clause that they are about."""

    def __init__(self, writer: Writer, grants: Grants) -> None:
        self.writer, self.grants = writer, grants
        self._operations = {
            op.name: op
            for op in writer.operations
            if op.number is not None and op.modelled and not op.name.endswith(".other")
        }
        self._about: dict[str, list[Example]] = {}
        for example in writer.model.spec.examples:
            if example.violates is not None:
                self._about.setdefault(example.violates, []).append(example)
        self._does: dict[str, Callable[[dict[str, Any]], None]] = {
            "apic": self._apic,
            "grant_entry": self._entry,
            "grant_status": lambda shown: self.grants.look(shown["ref"]),
            "interruptible": lambda shown: self.writer.window(64, clear=True, limit=4),
            "time": lambda shown: self.writer.clock(0),
            "touch": self._touch,
            "wallclock": lambda shown: self.writer.wallclock(),
        }

    def clauses(self) -> list[str]:
        """Those that an example is about which can be made, or a part of it."""
        return [c for c, examples in self._about.items() if any(map(self._playable, examples))]

    def play(self, clause: str) -> None:
        """The calls and stores of the examples of a clause."""
        for example in self._about.get(clause, ()):
            if self._playable(example) and not self.writer.counts[clause]:
                self._version(example)
                self._given(example)
                for step in example.steps:
                    self._step(step)

    def calls(self, clause: str) -> Iterator[Ask]:
        """Single calls out of the examples of a clause."""
        for example in self._about.get(clause, ()):
            for step in example.steps:
                if (op := self._operations.get(step.kind)) is not None:
                    yield self._ask(op, step)

    def _playable(self, example: Example) -> bool:
        return any(s.kind in self._operations or s.kind in self._does for s in example.steps)

    def _step(self, step: ExampleStep) -> None:
        shown = {name: value for name, index, value in step.values if not index}
        if step.kind in self._does:
            self._does[step.kind](shown)
        elif (op := self._operations.get(step.kind)) is not None:
            told = self.writer.ask(self._ask(op, step))
            if told is not None:
                self.writer.touched(told)

    def _ask(self, op: Operation, step: ExampleStep) -> Ask:
        shown: dict[str, Any] = {name: value for name, index, value in step.values if not index}
        arrays: dict[str, dict[int, int]] = {}
        for name, index, value in step.values:
            if index and isinstance(value, int):
                arrays.setdefault(name, {})[index[0]] = value
        handles = {array.name: array.handle for array in op.arrays}
        told = {name: value for name, value in shown.items() if isinstance(value, int)}
        values = overlaid(op, told, self.writer.model.width)
        values |= {p.name: 0 for p in op.params if p.name not in (op.pointer, op.each)}
        for handle in handles.values():
            values.pop(handle, None)
        if op.command is not None and op.params:
            values.pop(op.params[0].name, None)
        for name, value in shown.items():
            array, _, part = name.partition(".")
            if part == "readable" and array in handles and value is False:
                values[handles[array]] = 0
            elif name not in _SURROUNDINGS and not part and isinstance(value, int):
                values[name] = value
        memory: Memory = "ordinary"
        if shown.get("readable") is False:
            memory = "unreadable"
        elif shown.get("writable") is False:
            memory = "readonly"
        behind = {
            name: tuple(table.get(i, 0) for i in range(max(table) + 1))
            for name, table in arrays.items()
        }
        ask = Ask(op, values, memory, 3 if shown.get("cpl") else 0, None, behind)
        return guarded(ask, self.writer.model, self.writer.random)

    def _given(self, example: Example) -> None:
        """What the guest can bring about of what is given: entries of its table."""
        entries: dict[int, dict[str, int]] = {}
        for state, index, value in (
            v for s in example.steps if s.kind == "given" for v in s.values
        ):
            own = len(index) == 2 and index[0] == 0 and state.startswith(_ENTRY)
            if own and isinstance(value, int):
                entries.setdefault(index[1], {})[state.removeprefix(_ENTRY)] = value
        for ref, entry in entries.items():
            self._entry({"ref": ref, **entry})

    def _version(self, example: Example) -> None:
        """The table has the version that an example takes it to have."""
        if not any(s.kind.startswith(("GNTTABOP_", "grant_")) for s in example.steps):
            return
        self.grants.release()
        given = (v for s in example.steps for n, _, v in s.values if n == "grant_version")
        version = next(given, 1)
        op = self.writer.named("GNTTABOP_set_version")
        if op is not None and isinstance(version, int) and self.grants.version != version:
            self.writer.ask(Ask(op, {"version": version}))

    def _entry(self, shown: dict[str, Any]) -> None:
        if shown.get("stored") is False:
            self.grants.look(shown["ref"])
        else:
            low = shown.get("low", 0) if self.grants.version == 2 else 0
            self.grants.write(shown["ref"], shown.get("flags", 1), shown.get("domid", 0), low)

    def _apic(self, shown: dict[str, Any]) -> None:
        if shown["register"] in (0x80, 0xF0):
            self.writer.apic(shown["register"], shown["value"])

    def _touch(self, shown: dict[str, Any]) -> None:
        self.writer.touch(SPARE_FRAMES[shown["gfn"] % (len(SPARE_FRAMES) - 8)])
