from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pvhspec.targets import wire
from pvhspec.targets.program import (
    Buf,
    Buffer,
    Decoder,
    Hypercall,
    Note,
    Program,
    Read,
    ReadOnly,
    Unreadable,
    decode,
)
from tests.targets import programs as made

Event = dict[str, Any]

PROGRAM = Program(
    (
        Hypercall(32, (6, Buf(0)), (Buffer(b"abcd", guard=2),)),
        Hypercall(32, (6, Unreadable())),
        Hypercall(32, (6, ReadOnly(0)), (Buffer(b"abcd", guard=0),)),
        Note("half way"),
        Read(0x1000, 4, "the page"),
    )
)
OUTPUT = (
    b"SeaBIOS says hello\n"
    + made.hello()
    + made.entry(eax=1, efer_hi=1, cs=8, gdt_base=0x2000, gdt_limit=0x27)
    + made.memory("start_info", 0x1000, b"\x78\xc5\x6e\x33")
    + made.call(0, 32, (6, made.SCRATCH + 2), (made.SCRATCH, b"..abcd.."))
    + made.returned(0, -22, b"..abXX..", clobbered=0b10)
    + made.call(1, 32, (6, made.HOLE))
    + made.returned(1, 7)
    + made.call(2, 32, (6, made.ALIAS + 8), (made.SCRATCH + 8, b"abcd"))
    + made.returned(2, -14, None)
    + made.record(wire.Record.NOTE, step=3)
    + made.record(wire.Record.MEM, b"\0\x10\0\0\0\0\0\0abcd", step=4)
    + made.end()
)


def events() -> list[Event]:
    return list(decode(OUTPUT, PROGRAM))


def test_entry_comes_after_the_memory_it_points_to() -> None:
    memory, entry = events()[:2]
    assert (memory["kind"], memory["what"], memory["bytes"]) == ("mem", "start_info", "78c56e33")
    assert entry["kind"] == "entry"
    assert entry["view"] == "guest"
    assert entry["regs"]["eax"] == "0x1"
    assert entry["regs"]["efer"] == "0x100000000"
    assert entry["segs"]["cs"] == {"sel": "0x8"}  # the hidden part is not seen, so not there
    assert entry["gdtr"] == {"base": "0x2000", "limit": "0x27"}


def test_a_hypercall() -> None:
    event = events()[2]
    assert event["args"] == ["0x6", hex(made.SCRATCH + 2)]
    assert event["ret"] == -22
    assert event["in"] == [[hex(made.SCRATCH), b"..abcd..".hex()]]
    assert event["out"] == [[hex(made.SCRATCH), b"..abXX..".hex()]]
    assert event["clobbered"] == ["ecx"]
    assert (event["arg_readable"], event["arg_writable"]) == (True, True)
    assert (event["width"], event["via"], event["cpl"], event["step"]) == (32, "direct", 0, 0)


def test_bad_pointers() -> None:
    unreadable, read_only = events()[3:5]
    assert (unreadable["arg_readable"], unreadable["arg_writable"]) == (False, False)
    assert (read_only["arg_readable"], read_only["arg_writable"]) == (True, False)
    assert read_only["in"] == read_only["out"] == [[hex(made.ALIAS + 8), b"abcd".hex()]]


def test_texts_come_from_the_program() -> None:
    note, memory, end = events()[5:]
    assert note["text"] == "half way"
    assert memory["what"] == "the page"
    assert end == {"kind": "end", "seq": 7, "reason": "shutdown"}


def test_nothing_at_all() -> None:
    (end,) = decode(b"SeaBIOS and nothing else", PROGRAM)
    assert end["reason"] == "cut"


def test_a_call_that_did_not_return_is_named_without_a_result() -> None:
    raw = made.hello() + made.call(0, 29, (2,), (made.SCRATCH, b"abcd"))
    call, end = decode(raw, PROGRAM)
    assert call["nr"] == 29
    assert not {"ret", "out", "clobbered"} & call.keys()
    assert end["reason"] == "cut"


def test_a_crash_of_the_probe_is_told() -> None:
    crash = made.record(wire.Record.CRASH, wire.CRASH.pack(14, 2, 0x1000123, 0xE0000000))
    note, end = decode(made.hello() + crash + made.end(1), PROGRAM)
    assert end["reason"] == "crash"
    assert "exception 14" in note["text"]
    assert "0xe0000000" in end["text"]


@given(st.integers(0, len(OUTPUT)))
def test_cut_anywhere_nothing_whole_is_lost(length: int) -> None:
    cut = list(decode(OUTPUT[:length], PROGRAM))
    assert cut[-1]["kind"] == "end"
    assert [event["seq"] for event in cut] == list(range(len(cut)))
    whole = events()
    for ours, theirs in zip(cut[:-1], whole, strict=False):
        unfinished = ours["kind"] == "hypercall" and "ret" not in ours
        assert ours == theirs or unfinished or ours["kind"] in ("entry", "mem")
    assert cut[-1]["reason"] == ("cut" if length < len(OUTPUT) else "shutdown")


@given(st.lists(st.integers(0, len(OUTPUT)), max_size=6))
def test_pieces_of_any_size_give_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(OUTPUT)]
    pieces = [OUTPUT[a:b] for a, b in pairwise(edges)]
    assert list(decode(pieces, PROGRAM)) == events()


@given(st.binary(max_size=200), st.integers(0, len(OUTPUT)))
def test_rubbish_is_survived(rubbish: bytes, at: int) -> None:
    """A guest that overwrites the probe's memory may send anything."""
    for raw in (OUTPUT[:at] + rubbish + OUTPUT[at:], made.hello() + rubbish):
        found = list(decode(raw, PROGRAM))
        assert found[-1]["kind"] == "end"


def test_vendor_and_width_are_known_after_the_first_record() -> None:
    decoder = Decoder(PROGRAM, dom=0)
    found = list(decoder.events([OUTPUT]))
    assert (decoder.vendor, decoder.width, decoder.finished) == ("AuthenticAMD", 32, True)
    assert all(event["dom"] == 0 for event in found[:-1])
