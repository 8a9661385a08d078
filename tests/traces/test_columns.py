"""What is written in columns is read back; what is damaged is refused by a code."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvhspec.diagnostics import CODES, PvhError
from pvhspec.traces import Event, Header, open_trace
from pvhspec.traces.column_files import ArrowReader, ColumnReader
from pvhspec.traces.column_writer import ArrowWriter, ColumnWriter, ParquetWriter
from pvhspec.traces.columns import COLUMNS, METADATA, arrow_schema
from pvhspec.traces.schema import KINDS
from pvhspec.traces.tabulate import Block, batches
from pvhspec.traces.untabulate import BadBatch, checked, events_of
from tests.traces.strategies import traces
from tests.traces.test_round_trip import every_kind

pa = pytest.importorskip("pyarrow")

FORMATS: dict[str, type[ColumnWriter]] = {"arrow": ArrowWriter, "parquet": ParquetWriter}


def written(
    folder: Path, format: str, header: Header, events: list[Event], rows: int = 1 << 16
) -> Path:
    path = folder / f"t.{format}"
    with FORMATS[format](path, header) as writer:
        for batch in batches(events, rows):
            writer.write(batch)
    return path


@given(traces, st.sampled_from([1, 2, 1 << 12]))
@settings(deadline=None)
def test_events_come_out_of_columns_as_they_went_in(
    trace: tuple[Header, list[Event]], rows: int
) -> None:
    got: list[Event] = []
    for batch in batches(trace[1], rows):
        batch.validate(full=True)
        got += events_of(checked(batch, 0))
    assert got == trace[1]


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(trace=traces, rows=st.sampled_from([2, 1 << 12]))
def test_files_hold_header_and_events(
    format: str, trace: tuple[Header, list[Event]], rows: int, tmp_path: Path
) -> None:
    header, events = trace
    read = open_trace(written(tmp_path, format, header, events, rows))
    assert isinstance(read, ColumnReader)
    assert read.header == header
    assert list(read) == events
    assert [path.name for path in tmp_path.iterdir()] == [f"t.{format}"]


def test_every_field_of_every_kind_has_a_column() -> None:
    for kind in KINDS.values():
        for field in kind.fields:
            assert field.name in COLUMNS or f"{kind.name}_{field.name}" in COLUMNS
    # columns may be added behind the others; what is there keeps its type
    assert [str(arrow_schema().field(n).type) for n in ("seq", "ret", "fault", "bytes")] == [
        "uint64", "int64", "bool", "binary",
    ]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_text_that_is_no_utf8_survives(format: str, tmp_path: Path) -> None:
    events = [
        Event("note", 0, {"text": "\ud800"}),
        Event("hypercall", 1, {"clobbered": ("rax", "\udfff"), "ret": -1}, origin="at\ud800"),
        Event("note", 2, {"text": "plain"}),
    ]
    path = written(tmp_path, format, Header(), events)
    assert list(open_trace(path)) == events
    (batch,) = ArrowReader(path.open("rb"), "t").batches() if format == "arrow" else [None]
    if batch is not None:  # what can be in columns is
        assert batch.column("ret").to_pylist() == [None, -1, None]


def test_values_that_are_large() -> None:
    events = [
        Event("mem", 0, {"view": "hw", "gpa": (1 << 64) - 1, "bytes": bytes(10 << 20)}),
        Event("hypercall", 1, {"args": ((1 << 64) - 1, None, 0), "ret": -(1 << 63)}),
        Event("hypercall", 2, {"in": tuple((n, bytes([n % 256])) for n in range(600_000))}),
        Event("hypercall", 3, {"args": ()}),
    ]
    assert [e for batch in batches(events) for e in events_of(batch)] == events


@pytest.mark.parametrize("format", FORMATS)
def test_a_column_that_comes_late_does_not_lose_what_was_before(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvhspec.traces.column_writer._GROUP", 14)
    events = [Event("upcall", n, {"vector": n}) for n in range(50)]
    events += [Event("io", 50, {"op": "read", "port": 80}), Event("end", 51, {"reason": "cut"})]
    path = written(tmp_path, format, Header(), events, rows=7)
    assert list(open_trace(path)) == events


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("first, end", [(0, 3), (40, 61), (55, 56), (99, 500), (300, 400), (7, 7)])
def test_a_range_of_events_is_read_alone(
    format: str, first: int, end: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvhspec.traces.column_writer._GROUP", 10)
    events = [Event("upcall", 2 * n, {"vector": n}) for n in range(60)]
    reader = open_trace(written(tmp_path, format, Header(), events, rows=10))
    assert isinstance(reader, ColumnReader)
    got = [e for batch in reader.batches(events=range(first, end)) for e in events_of(batch)]
    assert got == [e for e in events if first <= e.seq < end]


@pytest.mark.parametrize("format", FORMATS)
def test_columns_are_read_alone(format: str, tmp_path: Path) -> None:
    events = [Event("hypercall", n, {"nr": 32, "ret": -n, "args": (n,)}) for n in range(9)]
    reader = open_trace(written(tmp_path, format, Header(), events))
    assert isinstance(reader, ColumnReader)
    (batch,) = reader.batches(columns=["ret", "width"])
    assert batch.schema.names == ["seq", "kind", "ret"]


def test_what_others_write_is_read(tmp_path: Path) -> None:
    """Plain strings, wide integers, large lists, one batch, columns that nobody knows."""
    memory = pa.large_list(pa.struct([("address", pa.int64()), ("bytes", pa.large_binary())]))
    columns = {
        "mine": pa.array(["x", "y", "z"]),
        "kind": pa.array(["hypercall", "upcall", "hypercall"]),
        "nr": pa.array([32, None, 17], pa.int64()),
        "vector": pa.array([None, 243, None], pa.int16()),
        "in": pa.array([[{"address": 4096, "bytes": b"\1"}], None, []], memory),
        "seq": pa.array([3, 5, 6], pa.int32()),
        "ret": pa.nulls(3),
    }
    table = pa.table(columns).replace_schema_metadata({METADATA: b'{"schema": "pvh-trace/1"}'})
    path = tmp_path / "t.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert list(open_trace(path)) == [
        Event("hypercall", 3, {"nr": 32, "in": ((4096, b"\1"),)}),
        Event("upcall", 5, {"vector": 243}),
        Event("hypercall", 6, {"nr": 17, "in": ()}),
    ]


BAD = [
    ({"seq": [1, 1]}, "`seq` is 1, and 1 was before it"),
    ({"seq": [1, None]}, "`seq` is null"),
    ({"kind": ["note", "nothing"]}, "there is no `nothing`"),
    ({"kind": ["note", "mem"]}, "an event of kind `mem` needs `view`"),
    ({"kind": ["msr", "msr"], "op": ["read", None]}, "an event of kind `msr` needs `op`"),
    ({"kind": ["upcall", "upcall"], "vector": [1, 1 << 32]}, "column `vector` is no uint32"),
    ({"kind": ["io", "io"], "op": ["read", "read"], "port": [1, 1 << 16]}, "`port`: not a value"),
    ({"kind": ["hypercall", "hypercall"], "width": [32, 33]}, "`width`: not a value"),
    ({"kind": ["hypercall"] * 2, "width": [64, 32], "ret": [1 << 40, 1 << 40]}, "`ret`: a 32-bit"),
    ({"kind": ["hypercall"] * 2, "args": [1, 7]}, "`args`: not a value"),
    ({"kind": ["state"] * 2, "view": ["hw", "hw"], "regs": [[{"eax": 1}, {"eax": 1}], None]},
     "`regs`: a record"),
    ({"kind": ["shared_info"] * 2, "mask": [[{"index": 1, "value": 1}] * 2, None]}, "there twice"),
    ({"kind": ["hypercall"] * 2, "in": [[{"address": None, "bytes": b""}], None]}, "null where"),
]  # fmt: skip


@pytest.mark.parametrize("columns, said", BAD, ids=[said for _, said in BAD])
def test_columns_that_hold_what_no_event_may(columns: dict[str, list[object]], said: str) -> None:
    whole = {"seq": [0, 1], "kind": ["note", "note"], **columns}
    table = pa.RecordBatch.from_pydict(whole)
    with pytest.raises(BadBatch) as caught:
        checked(table, 0)
    assert said in caught.value.message


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_give_one_documented_error(format: str, seed: int, tmp_path: Path) -> None:
    path = written(tmp_path, format, Header(), every_kind(), rows=8)
    whole, rng = path.read_bytes(), random.Random(seed)
    for _ in range(60):
        data = bytearray(whole)
        at, span = rng.randrange(8, len(data)), rng.randrange(1, 20)
        match rng.randrange(5):
            case 0:
                del data[at:]
            case 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at : at + span] = rng.randbytes(span)
            case 3:
                del data[at : at + span]
            case _:
                ends = [b"\xff" * 8, b"\xff\xff\xff\x7f", b"\0\0\0\x80", bytes(8)]
                data[at : at + 8] = rng.choice(ends)
        path.write_bytes(data)
        try:
            list(open_trace(path))
        except PvhError as error:
            (found,) = error.diagnostics
            assert found.code in CODES
            assert len(found.render()) < 1000


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_cut_is_not_whole(format: str, tmp_path: Path) -> None:
    path = written(tmp_path, format, Header(), every_kind())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(PvhError) as caught:
        list(open_trace(path))
    assert [d.code for d in caught.value.diagnostics] == ["PVH921"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_writer_that_fails_leaves_nothing(format: str, tmp_path: Path) -> None:
    def failing() -> None:
        with FORMATS[format](tmp_path / "t", Header()) as writer:
            writer.write(next(batches(every_kind())))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert not list(tmp_path.iterdir())


def test_columns_in_memory_are_read_too(tmp_path: Path) -> None:
    path = written(tmp_path, "arrow", Header(), every_kind())
    content = io.BufferedReader(io.BytesIO(path.read_bytes()))
    assert list(ArrowReader(content, "t")) == every_kind()


def test_a_block_says_when_it_is_full() -> None:
    block = Block(rows=2)
    assert [block.put(Event("upcall", n, {})) for n in range(3)] == [True, True, False]
    assert block.take().num_rows == 2
    assert block.put(Event("upcall", 2, {}))


def test_without_pyarrow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "arrow", Header(), every_kind())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PvhError) as caught:
        open_trace(path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.remedy) == ("PVH922", "pip install 'pvhspec[columns]'")
