"""JSON values to typed values, one small function for each type of the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, assert_never

from pvhspec.traces.event import Complete, Event, Guest, Header, Hypervisor, Origin
from pvhspec.traces.schema import (
    COMMON,
    HEADER,
    KINDS,
    Bytes,
    Choice,
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

__all__ = ["BadValue", "decode_event", "decode_header"]

_Decode: TypeAlias = Callable[[Any], Any]

_is_hex = re.compile(r"0[xX][0-9a-fA-F]{1,64}").fullmatch
_is_index = re.compile(r"0|[1-9][0-9]{0,8}|0[xX][0-9a-fA-F]{1,8}").fullmatch


class BadValue(Exception):
    """A value that is not of its type. `keys` lead to it from the event."""

    def __init__(self, message: str, *keys: str, missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.keys = keys
        self.missing = missing

    def under(self, key: str) -> BadValue:
        """The same, seen from the object that holds it."""
        return BadValue(self.message, key, *self.keys, missing=self.missing)


def decode_event(obj: Mapping[str, Any], position: int) -> Event:
    """The event a JSON object stands for; its kind must be one of the schema's."""
    kind = obj["kind"]
    decoders, required = _KIND_DECODERS[kind]
    fields: dict[str, Any] = {}
    common: dict[str, Any] = {}
    for name, value in obj.items():
        if value is None:
            continue
        decode = decoders.get(name)
        try:
            if decode is not None:
                fields[name] = decode(value)
            elif name in _COMMON_DECODERS:
                common[name] = _COMMON_DECODERS[name](value)
        except BadValue as bad:
            raise bad.under(name) from None
    for name in required:
        if name not in fields:
            raise BadValue(f"an event of kind `{kind}` needs `{name}`", name, missing=True)
    if kind == "hypercall" and fields.get("width") == 32:
        ret = fields.get("ret", 0)
        if not -(1 << 31) <= ret < 1 << 31:
            raise BadValue("a 32-bit guest gets a signed 32-bit result", "ret")
    seq = common.pop("seq", position)
    return Event(kind, seq, fields, **common)


def decode_header(obj: Mapping[str, Any]) -> Header:
    """The header a JSON object stands for; `schema` has been looked at before."""
    values = _HEADER_DECODER(obj)
    cpu = values.pop("cpu", {})
    nested: dict[str, Callable[..., Any]] = {
        "origin": Origin,
        "hypervisor": Hypervisor,
        "guest": Guest,
        "complete": Complete,
    }
    for name, make in nested.items():
        if name in values:
            values[name] = make(**values[name])
    return Header(cpu_vendor=cpu.get("vendor"), **values)


def _int(type: Int) -> _Decode:
    low = -(1 << (type.bits - 1)) if type.signed else 0
    high = (1 << (type.bits - 1 if type.signed else type.bits)) - 1
    values = type.values
    sign = "signed" if type.signed else "unsigned"

    def decode(value: Any) -> int:
        number = value
        if value.__class__ is str and _is_hex(value):
            number = int(value, 16)
        if number.__class__ is int and low <= number <= high and (not values or number in values):
            return number
        raise complaint(number)

    def complaint(value: Any) -> BadValue:
        if value.__class__ is not int:
            return BadValue(f'expected a number or a string "0x…", got {_what(value)}')
        if values:
            return BadValue(f"expected {_one_of(map(str, values))}, got {_short(value)}")
        return BadValue(f"{_short(value)} does not fit {type.bits} {sign} bits")

    return decode


def _flag(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise BadValue(f"expected true or false, got {_what(value)}")


def _text(value: Any) -> str:
    if value.__class__ is str:
        return value
    raise BadValue(f"expected a string, got {_what(value)}")


def _choice(type: Choice) -> _Decode:
    words = frozenset(type.words)

    def decode(value: Any) -> str:
        if value.__class__ is str and value in words:
            return value
        listed = _one_of(f'"{w}"' for w in type.words)
        raise BadValue(f"expected {listed}, got {_what(value)}")

    return decode


def _bytes(value: Any) -> bytes:
    if value.__class__ is not str:
        raise BadValue(f"expected bytes as a string of hex digits, got {_what(value)}")
    try:
        memory = bytes.fromhex(value)
    except ValueError:
        memory = None
    if memory is None or 2 * len(memory) != len(value):
        raise BadValue("expected bytes as pairs of hex digits without a prefix")
    return memory


def _items(type: Items) -> _Decode:
    item, at_most = _decoder(type.item), type.at_most

    def decode(value: Any) -> tuple[Any, ...]:
        if value.__class__ is not list:
            raise BadValue(f"expected a list, got {_what(value)}")
        if at_most is not None and len(value) > at_most:
            raise BadValue(f"expected at most {at_most} items, got {len(value)}")
        return tuple([None if x is None else item(x) for x in value])

    return decode


def _rows(type: Rows) -> _Decode:
    columns = tuple(_decoder(f.type) for f in type.columns)
    shape = f"[{', '.join(f.name for f in type.columns)}]"

    first, second = columns

    def decode(value: Any) -> tuple[Any, ...]:
        if value.__class__ is not list:
            raise BadValue(f"expected a list of {shape}, got {_what(value)}")
        for row in value:
            if row.__class__ is not list or len(row) != 2:
                raise BadValue(f"expected {shape}, got {_what(row)}")
        return tuple([(first(a), second(b)) for a, b in value])

    return decode


def _record(type: Record) -> Callable[[Any], dict[str, Any]]:
    decoders = {f.name: _decoder(f.type) for f in type.fields}

    def decode(value: Any) -> dict[str, Any]:
        if value.__class__ is not dict:
            raise BadValue(f"expected an object, got {_what(value)}")
        out = {}
        for name, x in value.items():
            f = decoders.get(name)
            if f is not None and x is not None:
                try:
                    out[name] = f(x)
                except BadValue as bad:
                    raise bad.under(name) from None
        return out

    return decode


def _table(type: Table) -> _Decode:
    item = _decoder(type.value)

    def decode(value: Any) -> dict[int, Any]:
        if value.__class__ is not dict:
            raise BadValue(f"expected an object from indices to values, got {_what(value)}")
        out: dict[int, Any] = {}
        for key, x in value.items():
            if not _is_index(key):
                raise BadValue("expected an index as the name", key)
            index = int(key, 0)
            if index in out:
                raise BadValue(f"index {index} is here twice", key)
            try:
                out[index] = None if x is None else item(x)
            except BadValue as bad:
                raise bad.under(key) from None
        return out

    return decode


def _given(value: Any) -> dict[str, dict[str, Any]]:
    if value.__class__ is not dict:
        raise BadValue(f"expected an object from state names to values, got {_what(value)}")
    known = {name: cells for name, cells in value.items() if cells is not None}
    for name, cells in known.items():
        if cells.__class__ is not dict:
            raise BadValue(f"expected an object from indices to values, got {_what(cells)}", name)
    return known


def _decoder(type: Type) -> _Decode:
    match type:
        case Int():
            return _int(type)
        case Flag():
            return _flag
        case Text():
            return _text
        case Choice():
            return _choice(type)
        case Bytes():
            return _bytes
        case Items():
            return _items(type)
        case Rows():
            return _rows(type)
        case Record():
            return _record(type)
        case Table():
            return _table(type)
        case Given():
            return _given
        case _:
            assert_never(type)


# --- words of messages


def _what(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f'the string "{value if len(value) <= 24 else value[:24] + "…"}"'
        case int() | float():
            return _short(value)
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def _short(value: int | float) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    return str(value)


def _one_of(words: Any) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else str(last)


_COMMON_DECODERS = {f.name: _decoder(f.type) for f in COMMON}
_KIND_DECODERS = {
    kind.name: (
        {f.name: _decoder(f.type) for f in kind.fields},
        tuple(f.name for f in kind.fields if f.required),
    )
    for kind in KINDS.values()
}
_HEADER_DECODER = _record(HEADER)
