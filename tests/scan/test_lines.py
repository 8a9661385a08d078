"""JSON Lines by compiled code: the same events, places and complaints as the reader's."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvhspec.diagnostics import PvhError
from pvhspec.traces import Event, Header, Place
from pvhspec.traces.reader import JsonLinesReader
from pvhspec.traces.untabulate import events_of
from tests.fuzz.damage import damaged
from tests.traces.strategies import traces
from tests.traces.test_round_trip import dump, every_kind

pytest.importorskip("pyarrow")
pytest.importorskip("llvmlite")

from pvhspec.scan import lines, open_columns
from pvhspec.scan.lines import ColumnLinesReader
from pvhspec.traces.tabulate import Block

CORPUS = sorted((Path(__file__).parents[2] / "traces" / "corpus").rglob("*.jsonl*"))
SMALL = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that blocks are full, and chunks end, where there are few events."""
    monkeypatch.setattr(lines, "Block", lambda: Block(rows=64, heap=1 << 16, items=1 << 13))
    monkeypatch.setattr(lines, "_CHUNK", 1 << 12)


def read(data: bytes, fast: bool) -> tuple[list[tuple[Event, Place]], Any]:
    """The events with their places, and what was said at the end."""
    stream = io.BufferedReader(io.BytesIO(data))
    got: list[tuple[Event, Place]] = []
    try:
        if fast:
            reader = ColumnLinesReader(stream, "t", 1 << 16)
            for batch in reader.batches():
                batch.validate(full=True)
                got += [(e, reader.place_of(row)) for row, e in enumerate(events_of(batch))]
            return got, (reader.header, reader.truncated, reader.notices)
        slow = JsonLinesReader(stream, "t", 1 << 16)
        for event in slow:
            got.append((event, slow.place(event)))
        return got, (slow.header, slow.truncated, slow.notices)
    except PvhError as error:
        return got, error.diagnostics


def same(data: bytes) -> None:
    assert read(data, fast=True) == read(data, fast=False)


@settings(deadline=None, suppress_health_check=SMALL)
@given(traces)
def test_generated_traces(trace: tuple[Header, list[Event]]) -> None:
    same(dump(*trace))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_corpus(path: Path) -> None:
    data = path.read_bytes()
    data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    whole = data.splitlines(keepends=True)
    same(b"".join(whole[:200]))
    same(b"".join([whole[0], *whole[-50:]])[:-5])


@settings(max_examples=20, deadline=None, suppress_health_check=SMALL)
@given(traces, st.integers(0, 1 << 32))
def test_damaged_traces(trace: tuple[Header, list[Event]], seed: int) -> None:
    rng = random.Random(seed)
    originals = [dump(*trace), dump(Header(), every_kind())]
    for _ in range(20):
        same(damaged(rng, rng.choice(originals), text=True))


@settings(max_examples=40, deadline=None, suppress_health_check=SMALL)
@given(traces, st.integers(0, 1 << 32))
def test_other_writers(trace: tuple[Header, list[Event]], seed: int) -> None:
    """Another order, other blanks, numbers as strings, fields that nobody knows."""
    rng = random.Random(seed)
    head, *rest = dump(*trace).splitlines()
    made = [head]
    for line in rest:
        items = list(json.loads(line).items())
        if rng.random() < 0.5:
            first = 1 if rng.random() < 0.7 else 0
            tail = items[first:]
            rng.shuffle(tail)
            items = items[:first] + tail
        if rng.random() < 0.3:
            strange = rng.choice([1, -5, "x", None, True, 1.5, [1], {"a": 1}, "é", 'q"'])
            items.insert(rng.randrange(len(items) + 1), ("strange", strange))
        for at, (name, value) in enumerate(items):
            if value.__class__ is int and value >= 0 and rng.random() < 0.3:
                items[at] = (name, rng.choice([hex(value), f"0X{value:X}", f"0x{value:020x}"]))
        colon = rng.choice([":", ": ", "  :\t "])
        comma = rng.choice([",", ", ", " , \t"])
        text = json.dumps(dict(items), separators=(comma, colon), ensure_ascii=rng.random() < 0.5)
        made.append(text.encode(errors="surrogatepass") + rng.choice([b"", b" ", b"\r", b"\n \t"]))
    same(b"\n".join(made) + rng.choice([b"", b"\n", b"\n\n"]))


LINES = [
    b'{"kind": "hypercall", "nr": 32, "args": ["0x7", null, 5], "ret": -38}',
    b'{"kind": "hypercall", "args": [1, 2, 3, 4, 5, 6, 7]}',
    b'{"kind": "hypercall", "ret": 9223372036854775807}',
    b'{"kind": "hypercall", "ret": 9223372036854775808}',
    b'{"kind": "hypercall", "ret": "0xffffffffffffffda"}',
    b'{"kind": "hypercall", "width": 32, "ret": 2147483648}',
    b'{"kind": "hypercall", "ret": -9223372036854775808, "width": 64}',
    b'{"kind": "hypercall", "nr": 18446744073709551615, "ts": "0xffffffffffffffff"}',
    b'{"kind": "hypercall", "nr": 18446744073709551616}',
    b'{"kind": "hypercall", "nr": "0x10000000000000001"}',
    b'{"kind": "hypercall", "nr": "0x0000000000000000001"}',
    b'{"kind": "hypercall", "nr": "0x"}',
    b'{"kind": "hypercall", "nr": 01}',
    b'{"kind": "hypercall", "nr": -0}',
    b'{"kind": "hypercall", "nr": 1.0}',
    b'{"kind": "hypercall", "cpl": 4}',
    b'{"kind": "hypercall", "width": 16}',
    b'{"kind": "hypercall", "in": [["0x10", "00ff"], ["0x20", ""]], "out": []}',
    b'{"kind": "hypercall", "in": [["0x10", "00f"]]}',
    b'{"kind": "hypercall", "in": [["0x10", null]]}',
    b'{"kind": "hypercall", "clobbered": ["rax", null, "rcx"]}',
    b'{"kind": "hypercall", "nr": 1, "nr": 2}',
    b'{"kind": "hypercall", "nr": null, "nr": 2}',
    b'{"kind": "hypercall", "x": 1, "x": 2}',
    b'{"kind": "hypercall", "seq": 7}',
    b'{"kind": "hypercall", "seq": 0}',
    b'{"kind": "msr", "op": "read", "fault": true, "index": "0x40000000"}',
    b'{"kind": "msr", "fault": true}',
    b'{"kind": "msr", "op": null}',
    b'{"kind": "hyper", "nr": 1}',
    b'{"kind": "hypercall"}  \r',
    b'{"kind": "hypercall",}',
    b'{"kind": "hypercall"} {"kind": "upcall"}',
    b'{"nr": 3, "kind": "hypercall"}',
    b'{"kind": "note", "text": "caf\xc3\xa9"}',
    b'{"kind": "note", "text": "a\\nb"}',
    b'{"kind": "note", "text": "a\tb"}',
    b'{"kind": "note", "text": "\x7f"}',
    b'{"kind": "io", "port": 65536, "op": "read"}',
    b"",
    b" \t ",
    b"\x0c",
    b"[]",
    b'{"kind": "upcall", "vector": 243, "origin": "' + b"x" * 5000 + b'"}',
    b'{"kind": "upcall", "origin": "' + b"x" * 70000 + b'"}',
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_single_lines(line: bytes) -> None:
    head = b'{"schema": "pvh-trace/1"}\n'
    usual = b'{"kind": "upcall", "vector": 1}\n'
    for before in (b"", 3 * usual, 70 * usual):
        same(head + before + line + b"\n" + usual)
        same(head + before + line)


def test_what_is_usual_is_compiled_codes_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or nobody would notice that nothing is."""
    usual = Event("hypercall", 0, {
        "width": 64, "cpl": 0, "via": "page", "nr": 32, "args": (4, 4096), "ret": -22,
        "arg_readable": True, "in": ((4096, b"\1\0"),), "out": ((4096, b"\1\0"),),
        "clobbered": ("rcx",), "ts_call": 5,
    }, ts=9, dom=0, vcpu=1, origin="guest.out@12", step=3)  # fmt: skip
    data = dump(Header(), [usual._replace(seq=n) for n in range(200)])

    def refused(*_: object) -> None:
        raise AssertionError("the reader was asked")

    monkeypatch.setattr(ColumnLinesReader, "_event", refused)
    got, _ = read(data, fast=True)
    assert [event for event, _ in got] == [usual._replace(seq=n) for n in range(200)]


def test_a_compressed_file_that_is_cut(tmp_path: Path) -> None:
    events = [Event("note", n, {"text": random.Random(n).randbytes(40).hex()}) for n in range(900)]
    path = tmp_path / "t.jsonl.gz"
    packed = gzip.compress(dump(Header(), events))
    for size in (len(packed) // 2, len(packed) - 3, len(packed)):
        path.write_bytes(packed[:size])
        source = open_columns(path)
        got = [e for batch in source.batches() for e in events_of(batch)]
        with gzip.open(path) as stream:
            slow = JsonLinesReader(io.BufferedReader(stream), "t")
            assert got == list(slow)
        assert source.truncated == slow.truncated


def test_any_format_is_read_as_columns() -> None:
    corpus = CORPUS[0].parents[1]
    source = open_columns(corpus / "foreign" / "linux-xen.qtrace")
    assert source.engine == "events"
    rows = [(len(batch), source.place(0).line) for batch in source.batches()]
    assert sum(count for count, _ in rows) > 10
    assert rows[0][1] is not None
