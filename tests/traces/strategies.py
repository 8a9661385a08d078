"""Traces made by Hypothesis from the schema's own table."""

from __future__ import annotations

from typing import Any, assert_never

from hypothesis import strategies as st

from pvhspec.traces import Complete, Event, Guest, Header, Hypervisor, Origin
from pvhspec.traces.schema import (
    KINDS,
    SCHEMA,
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

texts = st.text(max_size=12)
hexes = st.text("0123456789abcdef", min_size=4, max_size=8)


def value(type: Type) -> st.SearchStrategy[Any]:
    match type:
        case Int():
            if type.values:
                return st.sampled_from(type.values)
            if type.signed:
                return st.integers(-(1 << (type.bits - 1)), (1 << (type.bits - 1)) - 1)
            return st.integers(0, (1 << type.bits) - 1)
        case Flag():
            return st.booleans()
        case Text():
            return texts
        case Choice():
            return st.sampled_from(type.words)
        case Bytes():
            return st.binary(max_size=16)
        case Items():
            item = st.none() | value(type.item)
            return st.lists(item, max_size=min(type.at_most or 4, 4)).map(tuple)
        case Rows():
            row = st.tuples(*(value(f.type) for f in type.columns))
            return st.lists(row, max_size=3).map(tuple)
        case Record():
            return some_of(type.fields)
        case Table():
            indices = st.integers(0, 63)
            return st.dictionaries(indices, st.none() | value(type.value), max_size=4)
        case Given():
            cells = st.dictionaries(st.sampled_from(["*", "0", "1,2"]), st.booleans() | texts)
            return st.dictionaries(texts, cells, max_size=2)
        case _:
            assert_never(type)


def some_of(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    must = {f.name: value(f.type) for f in fields if f.required}
    may = {f.name: value(f.type) for f in fields if not f.required}
    return st.fixed_dictionaries(must, optional=may)


def _width_fits(fields: dict[str, Any]) -> bool:
    return fields.get("width") != 32 or -(1 << 31) <= fields.get("ret", 0) < 1 << 31


def _event(kind: str) -> st.SearchStrategy[Event]:
    maybe = st.none() | st.integers(0, 1 << 20)
    return st.builds(
        Event,
        st.just(kind),
        st.just(0),
        some_of(KINDS[kind].fields).filter(_width_fits),
        maybe,
        maybe,
        maybe,
        st.none() | texts,
        maybe,
    )


def _number(events: list[Event]) -> list[Event]:
    return [event._replace(seq=i) for i, event in enumerate(events)]


_maybe_text = st.none() | texts

headers = st.builds(
    Header,
    schema=st.just(SCHEMA),
    origin=st.builds(Origin, _maybe_text, _maybe_text, _maybe_text),
    synthetic=st.booleans(),
    hypervisor=st.builds(Hypervisor, _maybe_text, _maybe_text, _maybe_text),
    guest=st.builds(Guest, _maybe_text, _maybe_text),
    cpu_vendor=_maybe_text,
    clock=st.sampled_from(["tsc", "ns", "none"]),
    from_boot=st.booleans(),
    complete=st.builds(Complete, *([st.booleans()] * 4)),
    given=value(Given()),
)
traces = st.tuples(
    headers, st.lists(st.sampled_from(sorted(KINDS)).flatmap(_event), max_size=6).map(_number)
)
