"""What a verdict hangs on, in words."""

from __future__ import annotations

from typing import Any

from pvhspec.backends.interpreter.path import Path
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.interpreter.values import ANY, OneOf, Sym, is_known
from pvhspec.backends.protocol import Finding, Seen
from pvhspec.ir.ir import Spec
from pvhspec.types.types import BitsType, BoolType, EnumType, Type

__all__ = ["cells_shown", "instance_shown", "shown_value"]

_MOST = 12  # cells named in one verdict


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


def cells_shown(path: Path, spec: Spec, store: Store) -> tuple[str, ...]:
    """The cells a run read, with the event and clause each value comes from."""
    lines: list[str] = []
    for state, index in path.reads:
        value = path.resolve(path.cells[state, index])
        writer = store.writers.get((state, index))
        if writer is None and len(path.reads) > _MOST:
            continue
        since = "since the start" if writer is None else f"since event {writer[0]} ({writer[1]})"
        shown = shown_value(value, spec.states[state].type)
        lines.append(f"{state}[{', '.join(map(str, index))}] = {shown}, {since}")
    return tuple(lines[:_MOST])


def instance_shown(
    spec: Spec, clause: str, seen: Seen, path: Path, values: dict[str, Any]
) -> Finding:
    """What an event showed that a clause does not allow."""
    where = ", ".join(f"{name.split('.')[0]} = {value}" for name, value in values.items())
    fields = _fields(seen, tuple(values.values()))
    shown = ", ".join(f"{k} = {_hex(v)}" for k, v in fields.items())
    prose = spec.clauses[clause].prose or "see the clause"
    return Finding(clause, f"{shown}{f' (at {where})' if where else ''}", prose)


def _fields(seen: Seen, index: tuple[Any, ...]) -> dict[str, Any]:
    """The fields of an event that are worth showing: plain ones, and maps at the index."""
    found: dict[str, Any] = {}
    for name, value in seen.fields.items():
        if isinstance(value, bool | int):
            found[name] = value
        elif hasattr(value, "get") and index:
            for size in range(1, len(index) + 1):
                at = value.get(index[:size])
                if isinstance(at, bool | int):
                    found[name] = at
    return found


def _hex(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return hex(value) if is_known(value) and value > 9 else str(value)
