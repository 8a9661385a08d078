"""The columnar twin of the event schema: one row an event, made from the same table.

Columns are flat and have the name of the field, shared by all kinds that have it; where kinds mean
different types by one name, it is `KIND_FIELD`. Null is unknown. How types become columns:

- an integer is one of its width (the widest of the kinds that share it), a choice or `kind` the
  index of its word in `Column.words`, as a dictionary that is the same in every file;
- `args` is how many there are, `arg0` … `arg5` are they, so that what nobody passes costs nothing;
- memory (`in`, `out`) and `segments` are lists of structures; a table from indices is a list of
  `{index, value}`; a record (`regs`) is a list of at most one structure, for a list that is empty
  costs four bytes a row, and a structure all it could hold;
- `json` holds the whole line where columns cannot: text that is no UTF-8. The other columns of
  such a row are filled as far as they can be.

A file leaves out columns that are null throughout, and a batch that is read does, too: what has no
column is unknown. The header is JSON in the metadata of the schema, under `METADATA`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pvhspec.traces.schema import (
    COMMON,
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

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "COLUMNS",
    "KIND_CODES",
    "METADATA",
    "METADATA_USED",
    "Column",
    "arrow_schema",
    "arrow_type",
    "column_of",
]

METADATA = SCHEMA.encode()  #: the key in the schema's metadata; the value is the header as JSON
# Parquet's metadata: for each row group, the columns in which there is something. What a list that
# is empty is, and what null is, its statistics do not tell apart.
METADATA_USED = f"{SCHEMA} columns"

KIND_CODES: Mapping[str, int] = {name: code for code, name in enumerate(KINDS)}


class Column(NamedTuple):
    """One column: its name, the type it can hold, and the field of each kind that it is.

    A column of every event has no kinds. Of a choice, `words` are its dictionary.
    """

    name: str
    type: Type
    fields: Mapping[str, Field] = {}
    words: tuple[str, ...] = ()


def _family(type: Type) -> str:
    return f"{type.__class__.__name__}{type.signed if isinstance(type, Int) else ''}"


def _joined(types: list[Type]) -> Type:
    """The type that holds the values of all of them; they are of one family."""
    first = types[0]
    if isinstance(first, Int):
        return Int(max(t.bits for t in types if isinstance(t, Int)), first.signed)
    if isinstance(first, Choice):
        words = dict.fromkeys(w for t in types if isinstance(t, Choice) for w in t.words)
        return Choice(tuple(words))
    assert all(t == first for t in types)
    return first


def _columns() -> dict[str, Column]:
    by_name: dict[str, dict[str, Field]] = {}
    busy = ["hypercall", *(kind for kind in KINDS if kind != "hypercall")]
    for kind in busy:
        for field in KINDS[kind].fields:
            by_name.setdefault(field.name, {})[kind] = field
    columns = [
        Column(f.name, f.type) if f.name != "seq" else Column("seq", Int(64)) for f in COMMON
    ]
    columns.insert(1, Column("kind", Choice(tuple(KINDS)), words=tuple(KINDS)))
    for name, fields in by_name.items():
        if len({_family(f.type) for f in fields.values()}) == 1:
            columns += _of(name, fields)
        else:
            for kind, field in fields.items():
                columns += _of(f"{kind}_{name}", {kind: field})
    columns.append(Column("json", Text()))
    return {column.name: column for column in columns}


def _of(name: str, fields: Mapping[str, Field]) -> list[Column]:
    type = _joined([f.type for f in fields.values()])
    if isinstance(type, Items) and type.at_most is not None:
        count = Column(name, Int(8), fields)
        one = name.removesuffix("s")
        return [count, *(Column(f"{one}{n}", type.item, fields) for n in range(type.at_most))]
    return [Column(name, type, fields, type.words if isinstance(type, Choice) else ())]


COLUMNS: Mapping[str, Column] = _columns()


@cache
def column_of(kind: str, field: str) -> str:
    """The column that holds a field of a kind; of `args`, the one that counts them."""
    return field if field in COLUMNS else f"{kind}_{field}"


def arrow_type(type: Type) -> pa.DataType:
    """The Arrow type of a field's type."""
    import pyarrow as pa

    match type:
        case Int(bits, signed):
            return pa.type_for_alias(f"{'' if signed else 'u'}int{bits}")
        case Flag():
            return pa.bool_()
        case Text():
            return pa.utf8()
        case Choice():
            return pa.dictionary(pa.int8(), pa.utf8())
        case Bytes():
            return pa.binary()
        case Items(item):
            return pa.list_(arrow_type(item))
        case Rows(columns):
            return pa.list_(_struct(columns))
        case Record(fields):
            return pa.list_(_struct(fields))
        case Table(value):
            held = _struct(value.fields) if isinstance(value, Record) else arrow_type(value)
            return pa.list_(pa.struct([("index", pa.uint32()), ("value", held)]))
        case Given():
            raise AssertionError("of headers only")


def _struct(fields: tuple[Field, ...]) -> pa.DataType:
    import pyarrow as pa

    def inner(type: Type) -> pa.DataType:
        return _struct(type.fields) if isinstance(type, Record) else arrow_type(type)

    return pa.struct([(field.name, inner(field.type)) for field in fields])


@cache
def _fields() -> dict[str, Any]:
    import pyarrow as pa

    needed = ("seq", "kind")
    return {
        name: pa.field(name, arrow_type(column.type), nullable=name not in needed)
        for name, column in COLUMNS.items()
    }


@cache
def arrow_types() -> dict[str, Any]:
    """The Arrow type of each column."""
    return {name: field.type for name, field in _fields().items()}


def arrow_schema(names: list[str] | None = None, header: bytes | None = None) -> pa.Schema:
    """The Arrow schema of all columns, or of these; with the header's JSON in its metadata."""
    import pyarrow as pa

    fields = _fields()
    chosen = [fields[name] for name in (COLUMNS if names is None else names)]
    return pa.schema(chosen, metadata=None if header is None else {METADATA: header})
