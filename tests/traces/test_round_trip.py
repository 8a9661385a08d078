"""What is written is read back; what is damaged is read up to the damage, or refused by a code."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvhspec.diagnostics import CODES, Diagnostic, PvhError
from pvhspec.traces import Event, Header, open_trace
from pvhspec.traces.reader import MAX_ERRORS, JsonLinesReader
from pvhspec.traces.schema import KINDS
from pvhspec.traces.writer import dump_event, dump_header
from tests.fuzz.damage import damaged
from tests.traces.strategies import traces

CUT = "the last line is not whole; the trace ends before it"


def dump(header: Header, events: list[Event]) -> bytes:
    return dump_header(header) + b"".join(map(dump_event, events))


def read(data: bytes, max_line: int = 1 << 16) -> tuple[list[Event], list[str]]:
    """The events and the codes; anything but documented errors escapes and fails the test."""
    events: list[Event] = []
    found: tuple[Diagnostic, ...] = ()
    try:
        events.extend(JsonLinesReader(io.BytesIO(data), "t", max_line))
    except PvhError as error:
        found = error.diagnostics or pytest.fail("an error without a diagnostic")
    assert len(found) <= MAX_ERRORS + 1
    assert all(d.code in CODES and len(d.render()) < 2000 for d in found)
    return events, [d.code for d in found]


@given(traces)
def test_what_is_written_is_read_back(trace: tuple[Header, list[Event]]) -> None:
    header, events = trace
    data = dump(header, events)
    reader = JsonLinesReader(io.BytesIO(data), "t")
    assert reader.header == header
    assert list(reader) == events
    assert dump(reader.header, events) == data


@given(traces, st.data())
def test_a_trace_cut_anywhere_is_a_trace_up_to_its_last_whole_line(
    trace: tuple[Header, list[Event]], data: st.DataObject
) -> None:
    header, events = trace
    whole = dump(header, events)
    start = len(dump_header(header))
    at = data.draw(st.integers(start, len(whole)))
    got, codes = read(whole[:at])
    assert codes == []
    if (
        got
        and got[-1].kind == "end"
        and str(got[-1].get("text")).startswith("the last line is not")
    ):
        got.pop()
    assert got == events[: len(got)]
    # all whole lines are there; one more if only its newline is missing
    assert len(got) - whole[:at].count(b"\n") + 1 in (0, 1)


@given(traces, st.data())
def test_a_header_cut_anywhere_is_refused(
    trace: tuple[Header, list[Event]], data: st.DataObject
) -> None:
    line = dump_header(trace[0])
    at = data.draw(st.integers(0, len(line) - 2))
    _, codes = read(line[:at])
    assert codes in (["PVH903"], ["PVH908"])


@given(traces, st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_events_and_documented_errors(
    trace: tuple[Header, list[Event]], changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(dump(*trace))
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    read(bytes(damaged))


@given(st.binary(max_size=200))
def test_any_bytes_after_a_header_give_documented_errors(data: bytes) -> None:
    read(dump_header(Header()) + data, max_line=64 << 10)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traces, st.integers(0, 1 << 32))
def test_thousands_of_corruptions(trace: tuple[Header, list[Event]], seed: int) -> None:
    rng = random.Random(seed)
    originals = [dump(*trace), _one_of_each_kind()]
    for _ in range(100):
        read(damaged(rng, rng.choice(originals), text=True))


def _one_of_each_kind() -> bytes:
    required: dict[str, dict[str, Any]] = {
        "mem": {"view": "hw", "gpa": 4096, "bytes": b"\x00\x01"},
        "entry": {"view": "guest", "regs": {"eax": 1}, "segs": {"cs": {"sel": 8}}},
        "msr": {"op": "read", "index": 0x40000000},
        "hypercall": {"width": 32, "args": (1, None), "in": ((16, b"\x00"),), "ret": -38},
        "shared_info": {"pending": {0: 1, 1: None}, "vcpus": {0: {"sel": 1}}, "all": True},
        "store": {"what": "evtchn_mask", "index": 3, "value": 0},
        "state": {"view": "hw", "segs": {"tr": {"limit": 0x67}}},
        "end": {"reason": "shutdown"},
    }
    events = [Event(kind, i, required.get(kind, {})) for i, kind in enumerate(KINDS)]
    return dump(Header(), events)


def every_kind() -> list[Event]:
    """An event of each kind that needs no more than is said of it."""
    return read(_one_of_each_kind())[0]


def test_a_compressed_file_that_is_cut_is_a_cut_trace(tmp_path: Path) -> None:
    events = [Event("note", i, {"text": random.Random(i).randbytes(40).hex()}) for i in range(900)]
    packed = gzip.compress(dump(Header(), events))
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(packed)
    assert list(open_trace(path)) == events
    path.write_bytes(packed[: len(packed) // 2])
    trace = open_trace(path)
    got = list(trace)
    assert trace.truncated
    assert 100 < len(got) < 900
    assert got[:-1] == events[: len(got) - 1]
    assert got[-1].fields["reason"] == "cut"
