"""Programs for tests: Hypothesis strategies, and the probe's output made by hand."""

from __future__ import annotations

import struct
from dataclasses import replace

from hypothesis import strategies as st

from pvhspec.targets import wire
from pvhspec.targets.program import (
    AREA_SIZE,
    SLOTS,
    Area,
    AwaitVcpu,
    Buf,
    Buffer,
    Cpuid,
    Hang,
    Hypercall,
    Note,
    Operand,
    Patch,
    Program,
    Race,
    Read,
    ReadMsr,
    ReadOnly,
    Save,
    Shared,
    Sipi,
    Slot,
    StartInfo,
    Step,
    Store,
    Unreadable,
    UseHypercallPage,
    UseSharedInfo,
    UseVcpuInfo,
    VcpuEntry,
    Window,
    Write,
    WriteMsr,
)

u32 = st.integers(0, (1 << 32) - 1)
u64 = st.integers(-(1 << 63), (1 << 64) - 1)
_slot = st.integers(0, SLOTS - 1)
_small = st.integers(0, 4000)

#: Operands that any step may use.
plain_operands: st.SearchStrategy[Operand] = st.one_of(
    u64,
    st.builds(Slot, _slot, st.integers(-16, 1 << 20), st.integers(-12, 12)),
    st.builds(Unreadable, _small),
    st.builds(Area, st.integers(0, AREA_SIZE - 1), st.sampled_from((0, 12))),
    st.builds(StartInfo, _small),
    st.builds(VcpuEntry),
)


@st.composite
def hypercalls(draw: st.DrawFn) -> Hypercall:
    sizes = draw(st.lists(st.integers(1, 64), max_size=4))
    operands = plain_operands
    if sizes:
        index = st.integers(0, len(sizes) - 1)
        operands = st.one_of(plain_operands, st.builds(Buf, index), st.builds(ReadOnly, index))
    buffers = []
    for size in sizes:
        patches = draw(
            st.lists(st.builds(Patch, st.integers(0, size - 1), st.just(1), operands), max_size=2)
        )
        buffers.append(
            Buffer(
                draw(st.binary(min_size=size, max_size=size)),
                tuple(patches),
                guard=draw(st.sampled_from((0, 8, 16))),
                at=draw(st.sampled_from((None, 0x1000))),
            )
        )
    saves = []
    if buffers:
        number = draw(st.integers(0, len(buffers) - 1))
        saves.append(Save(draw(_slot), number, 0, 1))
    return Hypercall(
        draw(st.integers(0, (1 << 64) - 1)),
        tuple(draw(st.lists(operands, max_size=6))),
        tuple(buffers),
        tuple(saves),
        draw(st.sampled_from(("direct", "page"))),
        draw(st.sampled_from((0, 3))),
    )


_racing = st.lists(hypercalls().map(lambda c: replace(c, via="direct", cpl=0)), max_size=3).map(
    tuple
)
steps: st.SearchStrategy[Step] = st.one_of(
    hypercalls(),
    st.builds(Cpuid, u32, u32),
    st.builds(ReadMsr, u32),
    st.builds(WriteMsr, u32, plain_operands),
    st.builds(Read, plain_operands, _small, st.text(max_size=5)),
    st.builds(Write, plain_operands, st.binary(max_size=40)),
    st.builds(UseHypercallPage, plain_operands),
    st.builds(UseSharedInfo, plain_operands, st.sampled_from((0, 32, 64))),
    st.builds(UseVcpuInfo, st.integers(0, 31), plain_operands),
    st.builds(Shared, st.integers(0, 32), st.sampled_from((0, 32, 64))),
    st.builds(
        Store,
        st.sampled_from(wire.SHARED_WHAT[:4]),
        st.integers(0, 63),
        st.sampled_from(wire.STORE_OPS),
        plain_operands,
    ),
    st.builds(Window, _small, st.booleans(), _small),
    st.builds(Note, st.text(max_size=20)),
    st.builds(Hang),
    st.builds(Sipi),
    st.builds(AwaitVcpu),
    st.builds(Race, _racing, _racing),
)
programs = st.builds(Program, st.lists(steps, max_size=8).map(tuple))

SCRATCH, HOLE, ALIAS = 0x101C000, 0xE0000000, 0xE0200000


def record(kind: wire.Record, payload: bytes = b"", *, step: int = wire.NO_STEP, flags: int = 0,
           tsc: int = 7) -> bytes:  # fmt: skip
    """One record as the probe writes it."""
    return wire.RECORD.pack(kind, flags, 0, step, len(payload), tsc) + payload


def hello(width: int = 32) -> bytes:
    vendor = b"AuthenticAMD"
    head = wire.HELLO.pack(width, 1, vendor, SCRATCH, HOLE, ALIAS, 0x1000)
    return wire.OUTPUT_MAGIC + record(wire.Record.HELLO, head)


def entry(**changed: int) -> bytes:
    values = [changed.get(name, 0) for name in wire.ENTRY_WORDS]
    return record(wire.Record.ENTRY, wire.ENTRY.pack(*values))


def memory(label: str, address: int, data: bytes) -> bytes:
    payload = struct.pack("<Q", address) + data
    return record(wire.Record.MEM, payload, flags=wire.LABELS.index(label))


def call(step: int, nr: int, args: tuple[int, ...], *ranges: tuple[int, bytes]) -> bytes:
    payload = wire.CALL_OUT.pack(nr, 0, 0, len(args), len(ranges))
    payload += b"".join(struct.pack("<Q", argument) for argument in args)
    for address, data in ranges:
        payload += wire.RANGE.pack(address, len(data)) + data
    return record(wire.Record.CALL, payload, step=step)


def returned(step: int, ret: int, *after: bytes | None, clobbered: int = 0) -> bytes:
    """`after` is None for a buffer that did not change."""
    payload = wire.RETURN.pack(0, clobbered, ret & ((1 << 64) - 1))
    payload += bytes(data is not None for data in after)
    payload += b"".join(data for data in after if data is not None)
    return record(wire.Record.RETURN, payload, step=step)


def end(reason: int = 0) -> bytes:
    return record(wire.Record.END, struct.pack("<I", reason))
