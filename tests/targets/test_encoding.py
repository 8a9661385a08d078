from __future__ import annotations

import pytest
from hypothesis import given

from pvhspec.targets import wire
from pvhspec.targets.encoding import places
from pvhspec.targets.program import (
    BUFFER_SPACE,
    Area,
    Buf,
    Buffer,
    Cpuid,
    Hypercall,
    Patch,
    Program,
    Save,
    Slot,
    Step,
    Unreadable,
    Window,
    encode,
)
from tests.targets.programs import programs


@given(programs)
def test_every_program_is_framed_so_that_the_probe_can_walk_it(program: Program) -> None:
    code = encode(program)
    magic, size, steps = wire.PROGRAM_HEAD.unpack_from(code)
    assert (magic, size, steps) == (wire.PROGRAM_MAGIC, len(code), len(program.steps))
    at = wire.PROGRAM_HEAD.size
    for step in program.steps:
        kind, flags, zero, length = wire.STEP_HEAD.unpack_from(code, at)
        assert wire.StepType(kind).name.replace("_", "").startswith(_named(step))
        assert (flags, zero, length % 8) == (0, 0, 0)
        at += length
    assert at == len(code)


def _named(step: Step) -> str:
    name = type(step).__name__.upper()
    return {"USEHYPERCALLPAGE": "USEPAGE", "USESHAREDINFO": "USESHARED"}.get(
        name, name.removesuffix("INFO")
    )


def test_a_hypercall_in_bytes() -> None:
    buffer = Buffer(b"\x01\x02", (Patch(1, 1, Slot(5, 3)),), guard=4, fill=0xEE)
    step = Hypercall(32, (6, Buf(0)), (buffer,), (Save(2, 0, 1, 1),))
    body = encode(Program((step,)))[wire.PROGRAM_HEAD.size + wire.STEP_HEAD.size :]
    expected = (
        wire.CALL.pack(32, 0, 0, 2, 1, 1)
        + wire.OPERAND.pack(0, 0, 0, 0, 6)
        + wire.OPERAND.pack(2, 0, 0, 0, 8)  # data starts at 8: guard of 4, aligned to 8
        + wire.BUFFER.pack(4, 10, 8, 2, 1, 0xEE)
        + b"\x01\x02\0\0\0\0\0\0"
        + wire.PATCH.pack(9, 1)
        + wire.OPERAND.pack(1, 0, 5, 0, 3)
        + wire.SAVE.pack(2, 1, 0, 9)
    )
    assert body.rstrip(b"\0") == expected.rstrip(b"\0")


def test_buffers_do_not_overlap_and_the_area_is_behind_them() -> None:
    buffers = (Buffer(bytes(5)), Buffer(bytes(100), align=64), Buffer(bytes(8), at=0x2000))
    first, second, third = places(buffers)
    assert first == 16
    assert second % 64 == 0
    assert second - 16 >= first + 5 + 16
    assert third == BUFFER_SPACE + 0x2000


@pytest.mark.parametrize(
    "step, words",
    [
        (Hypercall(1, (0,) * 7), "more than 6 arguments"),
        (Hypercall(-1), "does not fit"),
        (Hypercall(1, (Buf(0),)), "no such buffer"),
        (Hypercall(1, (Slot(64),)), "no such slot"),
        (Hypercall(1, (1 << 64,)), "does not fit"),
        (Hypercall(1, (), (Buffer(bytes(BUFFER_SPACE)),)), "BUFFER_SPACE"),
        (Hypercall(1, (), (Buffer(b"12", (Patch(1, 4, 0),)),)), "outside its buffer"),
        (Hypercall(1, (), (Buffer(b"1", (Patch(0, 3, 0),)),)), "1, 2, 4 or 8"),
        (Hypercall(1, (), (Buffer(b"1"),), (Save(0, 0, 0, 4),)), "outside its buffer"),
        (Hypercall(1, (), (Buffer(b"1", at=1 << 30),)), "outside the area"),
        (Hypercall(1, (Unreadable(1 << 30),)), "beyond what is unmapped"),
        (Hypercall(1, (Area(1 << 30),)), "outside the area"),
        (Cpuid(1 << 32), "32 bits"),
        (Window(-1), "32 bits"),
    ],
)
def test_what_cannot_be_expressed_is_refused(step: Step, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        encode(Program((Cpuid(0), step)))
    assert "step 1" in str(caught.value)
