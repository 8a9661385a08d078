"""Typed values to JSON values, one small function for each type of the schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, assert_never

from pvhspec.traces.event import Event, Header
from pvhspec.traces.schema import (
    KINDS,
    Bytes,
    Choice,
    Field,
    Flag,
    Given,
    Int,
    Items,
    Record,
    Rows,
    Table,
    Text,
    Type,
)

__all__ = ["encode_event", "encode_header"]

_Encode: TypeAlias = Callable[[Any], Any]


def encode_event(event: Event) -> dict[str, Any]:
    """The JSON object of an event, its keys in the order of the schema."""
    obj: dict[str, Any] = {"kind": event.kind, "seq": event.seq}
    for name in ("ts", "dom", "vcpu", "origin", "step"):
        value = getattr(event, name)
        if value is not None:
            obj[name] = value
    fields = event.fields
    for name, encode in _KIND_ENCODERS[event.kind]:
        value = fields.get(name)
        if value is not None:
            obj[name] = encode(value)
    if not fields.keys() <= _KIND_NAMES[event.kind]:
        unknown = ", ".join(sorted(fields.keys() - _KIND_NAMES[event.kind]))
        raise ValueError(f"an event of kind {event.kind} has no field {unknown}")
    return obj


def encode_header(header: Header) -> dict[str, Any]:
    """The JSON object of a header, what is unknown left out."""
    obj: dict[str, Any] = {"schema": header.schema}
    nested = {
        "origin": header.origin._asdict(),
        "hypervisor": header.hypervisor._asdict(),
        "guest": header.guest._asdict(),
        "cpu": {"vendor": header.cpu_vendor},
    }
    known = {k: {n: v for n, v in d.items() if v is not None} for k, d in nested.items()}
    if known["origin"]:
        obj["origin"] = known["origin"]
    obj["synthetic"] = header.synthetic
    for name in ("hypervisor", "guest", "cpu"):
        if known[name]:
            obj[name] = known[name]
    obj["clock"] = header.clock
    obj["from_boot"] = header.from_boot
    obj["complete"] = header.complete._asdict()
    if header.given:
        obj["given"] = {name: dict(cells) for name, cells in header.given.items()}
    return obj


def _same(value: Any) -> Any:
    return value


def _encoder(type: Type) -> _Encode:
    match type:
        case Int():
            return hex if type.hex else _same
        case Flag() | Text() | Choice() | Given():
            return _same
        case Bytes():
            return bytes.hex
        case Items():
            item = _encoder(type.item)
            return lambda value: [None if x is None else item(x) for x in value]
        case Rows():
            columns = tuple(_encoder(f.type) for f in type.columns)
            return lambda value: [
                [f(x) for f, x in zip(columns, row, strict=True)] for row in value
            ]
        case Record():
            return _record_encoder(type)
        case Table():
            inner = _encoder(type.value)
            return lambda value: {
                str(i): None if x is None else inner(x) for i, x in sorted(value.items())
            }
        case _:
            assert_never(type)


def _record_encoder(type: Record) -> _Encode:
    encoders = _encoders(type.fields)

    def encode(value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: f(value[name]) for name, f in encoders if value.get(name) is not None}

    return encode


def _encoders(fields: tuple[Field, ...]) -> tuple[tuple[str, _Encode], ...]:
    return tuple((f.name, _encoder(f.type)) for f in fields)


_KIND_ENCODERS = {kind.name: _encoders(kind.fields) for kind in KINDS.values()}
_KIND_NAMES = {kind.name: frozenset(f.name for f in kind.fields) for kind in KINDS.values()}
