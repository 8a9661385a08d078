"""One clear error for each thing that can be wrong with a trace, at its place."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import Event, open_trace
from pvhspec.traces.reader import MAX_ERRORS, MAX_LINE, JsonLinesReader

HEADER = '{"schema": "pvh-trace/1"}\n'


def events_of(*lines: str) -> list[Event]:
    data = HEADER + "".join(line + "\n" for line in lines)
    return list(JsonLinesReader(io.BytesIO(data.encode()), "t"))


def wrong(*lines: str) -> list[Diagnostic]:
    with pytest.raises(PvhError) as raised:
        events_of(*lines)
    return list(raised.value.diagnostics)


def refused(path: Path) -> Diagnostic:
    with pytest.raises(PvhError) as raised:
        list(open_trace(path))
    (diagnostic,) = raised.value.diagnostics
    return diagnostic


def marked(diagnostic: Diagnostic) -> str:
    assert diagnostic.source_line is not None
    assert diagnostic.column is not None
    assert diagnostic.end_column is not None
    start = diagnostic.source_start
    return diagnostic.source_line[diagnostic.column - start : diagnostic.end_column - start]


def test_numbers_are_taken_in_both_forms() -> None:
    (event,) = events_of('{"kind": "hypercall", "nr": "0x20", "args": [4, "0xffff"], "ret": -38}')
    assert event == Event("hypercall", 0, {"nr": 32, "args": (4, 0xFFFF), "ret": -38})


def test_unknown_is_absent_or_null_and_never_0() -> None:
    (event,) = events_of('{"kind": "hypercall", "ret": null, "args": [null, 1], "dom": null}')
    assert event.fields == {"args": (None, 1)}
    assert event.get("ret") is None
    assert event.dom is None


def test_unknown_fields_are_passed_over() -> None:
    (event,) = events_of('{"kind": "note", "text": "t", "color": [1, {"a": null}]}')
    assert event.fields == {"text": "t"}


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_do_no_harm() -> None:
    data = ("\ufeff" + HEADER + '\n{"kind": "note"}\r\n  \n{"kind": "note"}').encode()
    assert [e.seq for e in JsonLinesReader(io.BytesIO(data), "t")] == [0, 1]


@pytest.mark.parametrize(
    ("line", "code", "place"),
    [
        ('{"kind": "note"', "PVH906", ""),
        ("[1]", "PVH906", "["),
        ('{"kind": "note", "x": NaN}', "PVH906", "{"),
        ('{"kind": "note", "x": ' + "9" * 5000 + "}", "PVH906", "{"),
        ("[" * 100_000, "PVH906", "["),
        ('{"kind": "note", "kind": "end"}', "PVH907", '"kind"'),
        ('{"kind": "entry", "view": "hw", "regs": {"eax": 1, "eax": 1}}', "PVH907", '"eax"'),
        ('{"kind": "hypercal"}', "PVH910", '"hypercal"'),
        ('{"kind": 7}', "PVH911", "7"),
        ('{"kind": ["note"]}', "PVH911", "["),
        ('{"seq": 1}', "PVH912", "{"),
        ('{"kind": "mem", "view": "hw", "gpa": 0}', "PVH912", "{"),
        ('{"kind": "cpuid", "leaf": "40000000"}', "PVH911", '"40000000"'),
        ('{"kind": "cpuid", "leaf": 1.5}', "PVH911", "1.5"),
        ('{"kind": "cpuid", "leaf": true}', "PVH911", "true"),
        ('{"kind": "cpuid", "leaf": 4294967296}', "PVH911", "4294967296"),
        ('{"kind": "cpuid", "leaf": -1}', "PVH911", "-1"),
        ('{"kind": "msr", "op": "peek"}', "PVH911", '"peek"'),
        ('{"kind": "hypercall", "width": 48}', "PVH911", "48"),
        ('{"kind": "hypercall", "width": 32, "ret": 4294967258}', "PVH911", "4294967258"),
        ('{"kind": "hypercall", "args": [1, 2, 3, 4, 5, 6, 7]}', "PVH911", "["),
        ('{"kind": "hypercall", "in": [[0, "0"]]}', "PVH911", "["),
        ('{"kind": "hypercall", "in": [[0]]}', "PVH911", "["),
        ('{"kind": "mem", "view": "hw", "gpa": 0, "bytes": "0x00"}', "PVH911", '"0x00"'),
        ('{"kind": "shared_info", "pending": {"a": 1}}', "PVH911", "1"),
        ('{"kind": "shared_info", "pending": {"1": 1, "0x1": 2}}', "PVH911", "2"),
        ('{"kind": "entry", "view": "hw", "segs": {"tr": {"sel": 65536}}}', "PVH911", "65536"),
        ('{"kind": "note", "dom": "Domain-0"}', "PVH911", '"Domain-0"'),
    ],
)
def test_what_is_wrong_with_a_line_is_named_and_marked(line: str, code: str, place: str) -> None:
    (diagnostic,) = wrong(line)
    assert (diagnostic.code, diagnostic.line) == (code, 2)
    assert marked(diagnostic) == place


def test_a_misspelt_kind_gets_the_right_one() -> None:
    assert wrong('{"kind": "hypercal"}')[0].remedy == "did you mean `hypercall`?"


def test_events_go_forward() -> None:
    kept = events_of('{"kind": "note", "seq": 3}', '{"kind": "note"}', '{"kind": "note", "seq": 9}')
    assert [e.seq for e in kept] == [3, 4, 9]
    (diagnostic,) = wrong('{"kind": "note", "seq": 3}', '{"kind": "note", "seq": 3}')
    assert (diagnostic.code, marked(diagnostic)) == ("PVH913", "3")


def test_good_events_are_given_and_all_errors_reported() -> None:
    data = HEADER + '{"kind": "a"}\n{"kind": "note"}\n{"kind": "b"}\n'
    reader = iter(JsonLinesReader(io.BytesIO(data.encode()), "t"))
    assert next(reader).kind == "note"
    with pytest.raises(PvhError) as raised:
        next(reader)
    assert [d.line for d in raised.value.diagnostics] == [2, 4]


def test_reading_stops_after_many_errors() -> None:
    found = wrong(*['{"kind": "a"}'] * 1000)
    assert len(found) == MAX_ERRORS + 1
    assert found[-1].code == "PVH915"


def test_a_byte_that_is_not_utf8_is_shown() -> None:
    data = HEADER.encode() + b'{"kind": "note", "text": "\xff"}\n'
    with pytest.raises(PvhError) as raised:
        list(JsonLinesReader(io.BytesIO(data), "t"))
    (diagnostic,) = raised.value.diagnostics
    assert (diagnostic.code, diagnostic.column) == ("PVH905", 27)


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "t"
    with path.open("wb") as file:
        file.write(HEADER.encode() + b'{"kind": "' + b"a" * 8192)
        file.truncate(1 << 33)  # eight GiB of zero bytes, none of them on the disk
    diagnostic = refused(path)
    assert (diagnostic.code, diagnostic.line) == ("PVH901", 2)
    assert str(MAX_LINE >> 20) in diagnostic.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "PVH903"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "PVH902"),
        (b"#!/bin/sh\n", "PVH902"),
        (b"\x1f\x8b", "PVH903"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xff\xff\xff\xff\xff\xff", "PVH904"),
        (b'{"kind": "note"}\n', "PVH908"),
        (b'{"schema": "pvh-tr', "PVH908"),
        (b'{"schema": 1}\n', "PVH908"),
        (b'{"schema": "pvh-trace/2"}\n', "PVH909"),
        (b'{"schema": "pvh-trace/1", "clock": "ms"}\n', "PVH911"),
        (b'{"schema": "pvh-trace/1", "complete": true}\n', "PVH911"),
        (b'{"schema": "pvh-trace/1", "given": {"x": 1}}\n', "PVH911"),
        (b'{"schema": }\n', "PVH906"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    diagnostic = refused(path)
    assert diagnostic.code == code
    assert diagnostic.path == str(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).message == "is a directory"
    assert refused(tmp_path / "none").message == "no such file or directory"
    assert refused(Path("a\0b")).code == "PVH904"
    assert refused(Path("/dev/zero")).code == "PVH902"


def test_the_header_says_what_is_known(tmp_path: Path) -> None:
    header = {
        "schema": "pvh-trace/1",
        "hypervisor": {"name": "xen", "version": "4.17.7"},
        "cpu": {"vendor": "AuthenticAMD"},
        "complete": {"events": True},
        "given": {"domain_exists": {"*": False, "0": True}},
        "something": "newer",
    }
    path = tmp_path / "t"
    path.write_text(json.dumps(header) + "\n")
    trace = open_trace(path)
    assert list(trace) == []
    read = trace.header
    assert (read.hypervisor.name, read.hypervisor.version) == ("xen", "4.17.7")
    assert read.cpu_vendor == "AuthenticAMD"
    assert (read.complete.events, read.complete.args) == (True, False)
    assert read.given == {"domain_exists": {"*": False, "0": True}}
    assert not read.synthetic
