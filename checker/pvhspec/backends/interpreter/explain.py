"""What a verdict hangs on, in words."""

from __future__ import annotations

from typing import Any

from pvhspec.backends.interpreter.observation import Instance, Requirement
from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.interpreter.values import ANY, OneOf, Sym, is_known
from pvhspec.backends.memory import MemoryImage
from pvhspec.backends.protocol import Fact, Finding, Seen
from pvhspec.ir.ir import Input, MapInput, Spec
from pvhspec.ir.walk import children
from pvhspec.types.types import BitsType, BoolType, EnumType, Type

__all__ = ["assumptions", "cells_shown", "instance_shown", "shown_value"]

_MOST = 12  # cells named in one verdict
_MOST_READS = 4  # pieces of memory
_LONGEST = 100  # characters of one assumption


def shown_value(value: Any, type_: Type) -> str:
    """A value as the specification writes it."""
    if value is ANY or isinstance(value, Sym):
        return "any"
    if isinstance(value, OneOf):
        return " or ".join(sorted(shown_value(v, type_) for v in value.values))
    match type_:
        case BoolType():
            return "true" if value else "false"
        case BitsType():
            return hex(value) if value > 0xFFFF else str(value)
        case EnumType(variants=variants):
            info = variants[value[0]]
            parts = [shown_value(v, t) for v, (_, t) in zip(value[1:], info.payload, strict=True)]
            return f"{info.name}({', '.join(parts)})" if parts else info.name


def cells_shown(path: Path, spec: Spec, store: Store) -> tuple[Fact, ...]:
    """The cells a run read, with the event and clause each value comes from."""
    facts: list[Fact] = []
    for state, index in path.reads:
        value = path.resolve(path.cells[state, index])
        writer = store.writers.get((state, index))
        if writer is None and len(path.reads) > _MOST:
            continue
        shown = shown_value(value, spec.states[state].type)
        cell = f"{state}[{', '.join(map(str, index))}]" if index else state
        facts.append(Fact(cell, None if shown == "any" else shown, *(writer or ())))
    return tuple(facts[:_MOST])


def assumptions(ways: list[Path]) -> tuple[str, ...]:
    """What has to be assumed for things to be as they should: the least of all that will do.

    What has no short name in words is passed over.
    """
    least = min((dict.fromkeys(p.assumed) for p in ways), key=len, default={})
    return tuple(a for a in least if len(a) <= _LONGEST and "?" not in a)


def instance_shown(
    spec: Spec, seen: Seen, store: Store, requirement: Requirement, instance: Instance
) -> Finding:
    """What an event showed that a clause does not allow: only what the clause reads."""
    reads = _Reads(seen.fields.get("memory"))
    requirement.rerun(store, {**seen.fields, "memory": reads}, instance)
    index = tuple(instance.values.values())
    shown = [
        f"{name} = {_word(spec, type_, value)}"
        for name, type_ in _inputs(requirement.text).items()
        for value in [_field(seen.fields.get(name), index)]
        if value is not None
    ]
    shown += reads.shown()
    where = [f"{name.split('.')[0]} = {value}" for name, value in instance.values.items()]
    what = ", ".join(shown) or "what the state says (below)"
    prose = spec.clauses[requirement.clause].prose or "see the clause"
    text = f"{what} (at {', '.join(where)})" if where else what
    return Finding(requirement.clause, text, prose)


class _Reads:
    """Guest memory that notes what is read of it."""

    def __init__(self, memory: MemoryImage | None) -> None:
        self._memory = memory
        self._read: dict[tuple[int, int], int] = {}

    def read(self, address: int, size: int) -> bytes | None:
        """As the memory itself."""
        raw = None if self._memory is None else self._memory.read(address, size)
        if raw is not None:
            self._read[address, size] = int.from_bytes(raw, "little")
        return raw

    def shown(self) -> list[str]:
        """The last few, which the verdict hangs on."""
        found = list(self._read.items())[-_MOST_READS:]
        return [f"{size} bytes at {at:#x} = {_hex(value)}" for (at, size), value in found]


def _inputs(node: Any) -> dict[str, Type]:
    """The fields of the event that an expression reads."""
    found = {node.name: node.type} if isinstance(node, Input | MapInput) else {}
    for child in children(node):
        found |= _inputs(child)
    return found


def _field(value: Any, index: tuple[Any, ...]) -> bool | int | None:
    """A field's value; of a map, the one at the index."""
    if isinstance(value, bool | int):
        return value
    if hasattr(value, "get"):
        for size in range(1, len(index) + 1):
            at = value.get(index[:size])
            if isinstance(at, bool | int):
                return at
    return None


def _word(spec: Spec, type_: Type, value: bool | int) -> str:
    names = spec.enums.get(type_.name or "", {}) if isinstance(type_, BitsType) else {}
    return next((n for n, v in names.items() if v == value), None) or _hex(value)


def _hex(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return hex(value) if is_known(value) and value > 9 else str(value)
