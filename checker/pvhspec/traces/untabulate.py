"""Columns into events, and whether columns from a file hold what they say.

A file may have been written by anybody, or damaged: a batch is looked through as a whole before
anything is taken out of it, by the rules that `pvhspec.traces.decode` has for single values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pvhspec.traces.columns import COLUMNS, KIND_CODES, Column, arrow_types, column_of
from pvhspec.traces.decode import decode_event
from pvhspec.traces.event import Event
from pvhspec.traces.schema import (
    KINDS,
    Bytes,
    Choice,
    Field,
    Flag,
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

__all__ = ["BadBatch", "checked", "events_of"]

_Get: TypeAlias = Callable[[int], Any]
_NAMES = tuple(KINDS)


class BadBatch(Exception):
    """What is wrong with a batch: in which row, None where it is in all of them."""

    def __init__(self, message: str, row: int | None = None, missing: bool = False) -> None:
        super().__init__(message)
        self.message, self.row, self.missing = message, row, missing


# ---- events -------------------------------------------------------------------------------------


def events_of(batch: pa.RecordBatch) -> Iterator[Event]:
    """The events of a batch that `checked` has let through."""
    if not len(batch):
        return
    columns = _Columns(batch)
    codes, seqs = columns.lists("kind"), columns.lists("seq")
    assert codes is not None
    assert seqs is not None
    plans: list[list[tuple[str, _Get]] | None] = [None] * len(KINDS)
    common = [columns.lists(name) for name in ("ts", "dom", "vcpu", "origin", "step")]
    ts, dom, vcpu, origin, step = (x or [None] * len(batch) for x in common)
    lines = columns.lists("json")
    for row, code in enumerate(codes):
        if lines is not None and lines[row] is not None:
            yield decode_event(json.loads(lines[row]), seqs[row])
            continue
        plan = plans[code]
        if plan is None:
            plan = plans[code] = columns.plan(_NAMES[code])
        fields = {}
        for name, get in plan:
            value = get(row)
            if value is not None:
                fields[name] = value
        yield Event(
            _NAMES[code], seqs[row], fields, ts[row], dom[row], vcpu[row], origin[row], step[row]
        )


class _Columns:
    """The columns of a batch as Python values, each made when a kind needs it."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._arrays = {
            name: array
            for name, array in zip(batch.schema.names, batch.columns, strict=True)
            if array.null_count < len(array)
        }
        self._lists: dict[str, list[Any] | None] = {}

    def lists(self, name: str) -> list[Any] | None:
        """The values of a column; a kind is its code. None if there are none."""
        if name not in self._lists:
            array = self._arrays.get(name)
            if array is not None and name == "kind":
                array = array.indices
            self._lists[name] = None if array is None else array.to_pylist()
        return self._lists[name]

    def plan(self, kind: str) -> list[tuple[str, _Get]]:
        """How the fields of a kind are read."""
        plan = []
        for field in KINDS[kind].fields:
            get = self._get(kind, field)
            if get is not None:
                plan.append((field.name, get))
        return plan

    def _get(self, kind: str, field: Field) -> _Get | None:
        name = column_of(kind, field.name)
        array = self._arrays.get(name)
        if array is None:
            return None
        match field.type:
            case Int() | Flag() | Text() | Choice() | Bytes():
                values = self.lists(name)
                return None if values is None else values.__getitem__
            case Items(_, at_most) if at_most is not None:
                return self._arguments(name, at_most)
            case Items():
                return _spans(array, array.values.to_pylist())
            case Rows():
                first, second = (x.to_pylist() for x in array.values.flatten())
                return _spans(array, list(zip(first, second, strict=True)))
            case Record():
                held = [_plain(field.type, x) for x in array.values.to_pylist()]
                records = _spans(array, held)
                return lambda row: None if (x := records(row)) is None else x[0]
            case Table(inner):
                index, value = (x.to_pylist() for x in array.values.flatten())
                plain = [None if x is None else _plain(inner, x) for x in value]
                cells = _spans(array, list(zip(index, plain, strict=True)))
                return lambda row: None if (x := cells(row)) is None else dict(x)
            case _:
                raise AssertionError(name)

    def _arguments(self, name: str, at_most: int) -> _Get:
        counts = self.lists(name) or []
        one = name.removesuffix("s")
        given = [self.lists(f"{one}{n}") for n in range(at_most)]

        def get(row: int) -> tuple[int | None, ...] | None:
            count = counts[row]
            if count is None:
                return None
            return tuple([None if x is None else x[row] for x in given[:count]])

        return get


def _spans(array: Any, items: Sequence[Any]) -> _Get:
    """The items of each row of an array of lists, as tuples; None where it is null."""
    offsets = array.offsets.to_pylist()
    if not array.null_count:
        return lambda row: tuple(items[offsets[row] : offsets[row + 1]])
    known = array.is_valid().to_pylist()
    return lambda row: tuple(items[offsets[row] : offsets[row + 1]]) if known[row] else None


def _plain(type: Type, value: Any) -> Any:
    """A nested value as events have it: what is unknown is not in a record."""
    match type:
        case Record(fields):
            return {f.name: _plain(f.type, value[f.name]) for f in fields
                    if value[f.name] is not None}  # fmt: skip
        case Table(inner):
            return {
                x["index"]: None if x["value"] is None else _plain(inner, x["value"])
                for x in value
            }  # fmt: skip
        case _:
            return value


# ---- batches from files -------------------------------------------------------------------------


def checked(batch: pa.RecordBatch, position: int, whole: bool = True) -> pa.RecordBatch:
    """The batch with the columns that are known here, dictionaries as the schema has them.

    `position`: what `seq` must not be below. `whole` False: columns were left out on purpose.
    Raises BadBatch for what no event may hold.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names, arrays = [], []
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        column = COLUMNS.get(name)
        if column is None or name in names:
            continue
        try:
            array.validate(full=True)
        except (pa.ArrowInvalid, ValueError) as error:
            raise BadBatch(f"column `{name}`: {error}") from None
        if name in ("seq", "kind"):
            if array.null_count:
                row = pc.index(array.is_null(), True).as_py()
                raise BadBatch(f"`{name}` is null", row, missing=True)
        elif array.null_count == len(array):
            continue
        names.append(name)
        arrays.append(_typed(column, array))
    for name in ("seq", "kind"):
        if name not in names:
            raise BadBatch(f"there is no column `{name}`", missing=True)
    out = pa.RecordBatch.from_arrays(
        arrays, schema=pa.schema([(n, a.type) for n, a in zip(names, arrays, strict=True)])
    )
    _ordered(out, position)
    if whole:
        _by_kind(out)
    return out


def _typed(column: Column, array: Any) -> Any:
    """The column as its type; what is the same in other words (large strings, narrower integers,
    dictionaries of Parquet's own) is cast."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = arrow_types()[column.name]
    choice = isinstance(column.type, Choice)
    try:
        if choice:
            words = pa.array(column.words)
            if array.type == wanted and array.dictionary.equals(words):
                return array
            if not pa.types.is_dictionary(array.type):
                array = array.dictionary_encode()
            array = array.cast(pa.dictionary(pa.int32(), pa.utf8()))
            codes = pc.index_in(array.dictionary, words).take(array.indices)
            if codes.null_count != array.null_count:
                wrong = pc.and_(codes.is_null(), array.is_valid())
                row = pc.index(wrong, True).as_py()
                raise BadBatch(f"`{column.name}`: there is no `{array[row].as_py():.40}`", row)
            return pa.DictionaryArray.from_arrays(codes.cast(pa.int8()), words)
        if array.type != wanted:
            array = array.cast(wanted)
            array.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise BadBatch(f"column `{column.name}` is no {wanted}: {said}") from None
    if isinstance(column.type, Record | Rows | Table | Items) and pa.types.is_list(array.type):
        _nested(column, array)
    return array


def _nested(column: Column, array: Any) -> None:
    """What lists may hold: their types say most of it."""
    import numpy as np
    import pyarrow.compute as pc

    inner = array.flatten()
    match column.type:
        case Items():
            return
        case Record():
            lengths = pc.list_value_length(array)
            if pc.any(pc.not_equal(lengths, 1)).as_py():
                row = pc.index(pc.not_equal(lengths, 1), True).as_py()
                raise BadBatch(f"`{column.name}`: a record, and not a list, is expected", row)
            known = [inner]
        case Rows():
            known = [inner, *inner.flatten()]
        case _:
            known = [inner, inner.flatten()[0]]
            rows = np.repeat(
                np.arange(len(array)), pc.list_value_length(array).fill_null(0).to_numpy()
            )
            index = inner.flatten()[0].fill_null(0).to_numpy(zero_copy_only=False)
            pairs = np.stack([rows, index.astype(np.int64)], axis=1)
            if len(np.unique(pairs, axis=0)) != len(pairs):
                raise BadBatch(f"column `{column.name}`: an index is there twice")
    if any(part.null_count for part in known):
        raise BadBatch(f"column `{column.name}`: null where something must stand")


def _ordered(batch: pa.RecordBatch, position: int) -> None:
    import numpy as np

    seq = batch.column("seq").to_numpy()
    if not len(seq):
        return
    if seq[0] < position:
        raise BadBatch(f"`seq` is {seq[0]}, and {position - 1} was before it", 0)
    wrong = np.flatnonzero(seq[1:] <= seq[:-1])
    if len(wrong):
        row = int(wrong[0]) + 1
        raise BadBatch(f"`seq` is {seq[row]}, and {seq[row - 1]} was before it", row)


def _by_kind(batch: pa.RecordBatch) -> None:
    """What a kind demands beyond the column it shares: a smaller range, a word, to be there."""
    import numpy as np

    codes = batch.column("kind").indices.to_numpy()
    there = set(np.unique(codes).tolist())
    names = set(batch.schema.names)
    whole = np.zeros(len(codes), np.bool_)
    if "json" in names:
        whole = batch.column("json").is_valid().to_numpy(zero_copy_only=False)
    for kind in (KINDS[_NAMES[code]] for code in sorted(there)):
        here = None
        for field in kind.fields:
            name = column_of(kind.name, field.name)
            allowed = None if name not in names else _allowed(COLUMNS[name], field.type)
            if not field.required and allowed is None:
                continue
            if here is None:
                here = (codes == KIND_CODES[kind.name]) & ~whole
            if name not in names:
                _refuse(here, f"an event of kind `{kind.name}` needs `{field.name}`", True)
                continue
            array = batch.column(name)
            if not array.null_count:  # most often, and then one pass says that all is well
                plain = array.indices if isinstance(field.type, Choice) else array
                if allowed is None or allowed(plain.to_numpy(zero_copy_only=False)).all():
                    continue
            known = array.is_valid().to_numpy(zero_copy_only=False)
            if field.required:
                _refuse(here & ~known, f"an event of kind `{kind.name}` needs `{field.name}`", True)
            if allowed is not None:
                values = (array.indices if isinstance(field.type, Choice) else array).fill_null(0)
                bad = here & known & ~allowed(values.to_numpy(zero_copy_only=False))
                _refuse(bad, f"`{name}`: not a value that a `{kind.name}` has")
        if kind.name == "hypercall" and {"width", "ret"} <= names:
            width = batch.column("width").fill_null(0).to_numpy()
            if not (width == 32).any():
                continue
            ret = batch.column("ret").fill_null(0).to_numpy()
            calls = codes == KIND_CODES["hypercall"]
            told = "`ret`: a 32-bit guest gets a signed 32-bit result"
            _refuse(calls & (width == 32) & (ret != ret.astype(np.int32)), told)


def _refuse(rows: Any, message: str, missing: bool = False) -> None:
    import numpy as np

    if rows.any():
        raise BadBatch(message, int(np.argmax(rows)), missing)


def _among(numbers: Any, few: Sequence[int]) -> Any:
    """Which of them are among a few, and sooner than `numpy.isin` says it."""
    if list(few) == list(range(len(few))):
        return numbers < len(few)  # they are not below zero
    found = numbers == few[0]
    for one in few[1:]:
        found |= numbers == one
    return found


def _allowed(column: Column, type: Any) -> Callable[[Any], Any] | None:
    """What a kind allows of a column that others share; None if it is all that the column holds."""
    match type:
        case Int(bits, _, _, values):
            if values:
                return lambda x: _among(x, values)
            if isinstance(column.type, Int) and bits < column.type.bits:
                high = 1 << (bits - 1 if type.signed else bits)
                return lambda x: (x < high) & (x >= (-high if type.signed else 0))
        case Items(_, at_most) if at_most is not None:
            return lambda x: x <= at_most
        case Choice(words) if words != column.words:
            codes = [column.words.index(word) for word in words]
            return lambda x: _among(x, codes)
    return None
