"""Steps to text and back: nothing is lost, and text is a fixed point."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvhspec.programs import Layouts, Width, compile_text, show_program
from pvhspec.targets.program import (
    Buf,
    Buffer,
    Hypercall,
    Operand,
    Patch,
    Program,
    ReadOnly,
    Save,
    Slot,
    Unreadable,
)
from tests.programs.spec import compiled_spec as spec
from tests.targets.programs import plain_operands, programs

WIDTHS: tuple[Width, Width] = (32, 64)


def layouts(width: Width) -> Layouts:
    return Layouts(spec(), width)


def read_back(text: str, width: Width) -> Program:
    compiled, errors = compile_text(text, spec(), width)
    assert compiled is not None, "\n".join(error.render() for error in errors)
    return compiled.program


@pytest.mark.parametrize("width", WIDTHS)
@settings(deadline=None)
@given(program=programs)
def test_any_program(width: Width, program: Program) -> None:
    text = show_program(program, layouts(width))
    assert read_back(text, width) == program


@st.composite
def event_channel_calls(draw: st.DrawFn) -> Hypercall:
    """Calls of the real shapes, some a byte too long or with a field patched."""
    command, size = draw(st.sampled_from([(0, 12), (1, 12), (3, 4), (5, 24), (6, 8), (11, 24)]))
    data = draw(st.binary(min_size=size, max_size=size + draw(st.sampled_from((0, 0, 1)))))
    patches = draw(
        st.lists(
            st.builds(
                Patch, st.sampled_from((0, size - 4)), st.sampled_from((2, 4)), plain_operands
            )
        ).map(lambda found: tuple(found[:1]))
    )
    pointers: tuple[Operand, ...] = (Buf(0), ReadOnly(0), Unreadable(), Unreadable(8))
    pointer = draw(st.sampled_from(pointers))
    buffers: tuple[Buffer, ...] = (
        () if isinstance(pointer, Unreadable) else (Buffer(data, patches),)
    )
    saves: tuple[Save, ...] = ()
    if buffers and size >= 8:
        saves = draw(st.sampled_from(((), (Save(3, 0, 4, 4),), (Save(3, 0, 0, 8),), (Save(2),))))
    call = Hypercall(32, (command, pointer), buffers, saves)
    return replace(call, via="page", cpl=3) if draw(st.booleans()) else call


@pytest.mark.parametrize("width", WIDTHS)
@settings(deadline=None)
@given(calls=st.lists(event_channel_calls(), min_size=1, max_size=4))
def test_any_event_channel_call(width: Width, calls: list[Hypercall]) -> None:
    program = Program(tuple(calls))
    text = show_program(program, layouts(width))
    assert read_back(text, width) == program
    assert show_program(read_back(text, width), layouts(width)) == text


def test_a_call_is_shown_by_its_name() -> None:
    data = struct.pack("<HHI", 0x7FF0, 5, 0xEEEEEEEE)
    call = Hypercall(32, (6, Buf(0)), (Buffer(data),), (Save(0, 0, 4),))
    close = Hypercall(32, (3, Buf(0)), (Buffer(bytes(4), (Patch(0, 4, Slot(0, 1)),)),), cpl=3)
    text = show_program(Program((call, close)), layouts(64))
    assert text == (
        "$0 = EVTCHNOP_alloc_unbound(dom = SELF, remote_dom = 5) -> port\n"
        "EVTCHNOP_close(port = $0 + 0x1) cpl 3\n"
    )


def test_what_names_cannot_say_is_shown_by_numbers() -> None:
    short = struct.pack("<HHII", 0x7FF0, 0xABCD, 1, 0)
    text = show_program(
        Program((Hypercall(32, (5, Buf(0)), (Buffer(short),)), Hypercall(99, (1,)))),
        layouts(32),
    )
    assert text.startswith('hypercall event_channel_op(5, buffer 0) with "f07fcdab01')
    assert text.endswith("hypercall 0x63(1)\n")
