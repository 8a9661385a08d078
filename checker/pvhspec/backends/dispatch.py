"""Which operation a hypercall is of: by its number, and its command where it has commands."""

from __future__ import annotations

from collections.abc import Sequence

from pvhspec.ir.ir import Operation, Spec
from pvhspec.names.gates import Version
from pvhspec.types.types import BitsType

__all__ = ["Dispatch", "command_bits"]


class _Number:
    """What one hypercall number offers."""

    def __init__(self) -> None:
        self.commands: dict[int, Operation] = {}
        self.direct: Operation | None = None
        self.other: Operation | None = None
        self.low, self.mask = 0, 0xFFFFFFFF  # where in the first argument the command is

    def add(self, op: Operation) -> None:
        if op.command is not None:
            self.commands[op.command] = op
            self.low, self.mask = command_bits(op)
        elif op.name.endswith(".other"):
            self.other = op
        else:
            self.direct = op


class Dispatch:
    """The hypercalls of one release and mode."""

    def __init__(self, spec: Spec, version: Version, mode: str) -> None:
        self._numbers: dict[int, _Number] = {}
        self._nobody: Operation | None = None
        for op in spec.operations:
            if op.number is None:
                self._nobody = op
            elif op.gate.open(version, mode) or op.command is None:
                self._numbers.setdefault(op.number, _Number()).add(op)

    def operation(self, number: int, args: Sequence[int | None]) -> Operation | None:
        """The operation of a call; None if its command was not seen."""
        entry = self._numbers.get(number)
        if entry is None:
            return self._nobody
        if entry.direct is not None:
            return entry.direct
        if not entry.commands or not args:
            return entry.other
        if args[0] is None:
            return None
        return entry.commands.get(args[0] >> entry.low & entry.mask, entry.other)


def command_bits(op: Operation) -> tuple[int, int]:
    """Where the command is in the first argument: how far up, and a mask. It is the argument, or
    the field `command` of an argument that has bit fields."""
    kind = op.params[0].type if op.params else None
    for name, high, low in kind.fields if isinstance(kind, BitsType) else ():
        if name == "command":
            return low, (1 << high - low + 1) - 1
    return 0, 0xFFFFFFFF
