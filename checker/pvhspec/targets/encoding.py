"""A program as the bytes the probe interprets."""

from __future__ import annotations

from typing import assert_never

from pvhspec.targets import steps as st
from pvhspec.targets import wire
from pvhspec.targets.steps import (
    AREA_SIZE,
    BUFFER_SPACE,
    MAX_ARGS,
    SLOTS,
    Buffer,
    Operand,
    Program,
    Save,
    Step,
)
from pvhspec.targets.wire import OperandKind, StepType

_MAX_BUFFERS = 32
_MAX_RACING = 64  # calls of one vCPU; its log holds twice as many
_MAX_UNREADABLE = 1 << 20
_U64 = (1 << 64) - 1

#: Where the data of each of a step's buffers starts in scratch memory.
Places = tuple[int, ...]


def encode(program: Program) -> bytes:
    """The program as the probe reads it. Raises ValueError where a step cannot be expressed."""
    parts = []
    for number, step in enumerate(program.steps):
        try:
            parts.append(_step(step))
        except ValueError as error:
            raise ValueError(f"step {number} ({type(step).__name__}): {error}") from None
    body = b"".join(parts)
    head = wire.PROGRAM_HEAD
    return head.pack(wire.PROGRAM_MAGIC, head.size + len(body), len(program.steps)) + body


def places(buffers: tuple[Buffer, ...], first: int = 0, end: int = BUFFER_SPACE) -> Places:
    """Offsets in scratch memory where each buffer's data starts; the area follows the buffers.

    `first` and `end` are what of the space for buffers may be used.
    """
    found: list[int] = []
    used = first
    for buffer in buffers:
        _check(buffer.guard >= 0 and 0 <= buffer.fill < 256, "guard or fill out of range")
        _check(buffer.align > 0 and buffer.align & (buffer.align - 1) == 0, "align: a power of 2")
        if buffer.at is not None:
            last = buffer.at + len(buffer.data) + buffer.guard
            _check(buffer.guard <= buffer.at and last <= AREA_SIZE, "buffer outside the area")
            found.append(BUFFER_SPACE + buffer.at)
            continue
        start = -(-(used + buffer.guard) // buffer.align) * buffer.align
        used = start + len(buffer.data) + buffer.guard
        room = "BUFFER_SPACE" if end - first == BUFFER_SPACE else "half of BUFFER_SPACE"
        _check(used <= end, f"the buffers take more than {room} together")
        found.append(start)
    return tuple(found)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _framed(kind: StepType, body: bytes) -> bytes:
    body += bytes(-len(body) % 8)
    return wire.STEP_HEAD.pack(kind, 0, 0, wire.STEP_HEAD.size + len(body)) + body


def _numbers(*values: int) -> bytes:
    _check(all(0 <= value < 1 << 32 for value in values), "a number does not fit 32 bits")
    return b"".join(value.to_bytes(4, "little") for value in values)


def _operand(operand: Operand, at: Places = ()) -> bytes:
    kind, shift, slot, value = OperandKind.NUMBER, 0, 0, 0
    match operand:
        case int():
            _check(-(1 << 63) <= operand <= _U64, "a number does not fit 64 bits")
            value = operand
        case st.Slot(slot, value, shift):
            _check(0 <= slot < SLOTS, "no such slot")
            kind = OperandKind.SLOT
        case st.Buf(index, offset, shift):
            _check(0 <= index < len(at), "no such buffer")
            kind, value = OperandKind.SCRATCH, at[index] + offset
        case st.ReadOnly(index, offset):
            _check(0 <= index < len(at), "no such buffer")
            kind, value = OperandKind.ALIAS, at[index] + offset
        case st.Unreadable(value):
            _check(0 <= value < _MAX_UNREADABLE, "offset beyond what is unmapped")
            kind = OperandKind.HOLE
        case st.Area(offset, shift):
            _check(0 <= offset < AREA_SIZE, "outside the area")
            kind, value = OperandKind.SCRATCH, BUFFER_SPACE + offset
        case st.StartInfo(value):
            kind = OperandKind.START_INFO
        case st.VcpuEntry():
            kind = OperandKind.AP_ENTRY
        case _:
            assert_never(operand)
    _check(-64 < shift < 64, "shift out of range")
    return wire.OPERAND.pack(kind, shift, slot, 0, value & _U64)


def _buffer(buffer: Buffer, start: int, at: Places) -> bytes:
    size = len(buffer.data)
    parts = [
        wire.BUFFER.pack(
            start - buffer.guard, size + 2 * buffer.guard, start, size,
            len(buffer.patches), buffer.fill,
        ),
        buffer.data, bytes(-size % 8),
    ]  # fmt: skip
    for patch in buffer.patches:
        _check(patch.size in (1, 2, 4, 8), "a patch is 1, 2, 4 or 8 bytes")
        _check(0 <= patch.offset <= size - patch.size, "patch outside its buffer")
        parts.append(wire.PATCH.pack(start + patch.offset, patch.size))
        parts.append(_operand(patch.value, at))
    return b"".join(parts)


def _save(save: Save, buffers: tuple[Buffer, ...], at: Places) -> bytes:
    _check(0 <= save.slot < SLOTS, "no such slot")
    if save.buffer is None:
        return wire.SAVE.pack(save.slot, 0, save.always, 0)
    _check(0 <= save.buffer < len(at), "no such buffer")
    _check(save.size in (1, 2, 4, 8), "a slot takes 1, 2, 4 or 8 bytes")
    room = len(buffers[save.buffer].data) - save.size
    _check(0 <= save.offset <= room, "save outside its buffer")
    return wire.SAVE.pack(save.slot, save.size, save.always, at[save.buffer] + save.offset)


def _hypercall(step: st.Hypercall, first: int = 0, end: int = BUFFER_SPACE) -> bytes:
    _check(0 <= step.nr <= _U64, "the number does not fit 64 bits")
    _check(len(step.args) <= MAX_ARGS, "more than 6 arguments")
    _check(len(step.buffers) <= _MAX_BUFFERS, f"more than {_MAX_BUFFERS} buffers")
    _check(len(step.saves) <= 255, "more than 255 saves")
    at = places(step.buffers, first, end)
    parts = [
        wire.CALL.pack(
            step.nr, step.via == "page", step.cpl,
            len(step.args), len(step.buffers), len(step.saves),
        )
    ]  # fmt: skip
    parts += [_operand(argument, at) for argument in step.args]
    parts += [_buffer(buffer, start, at) for buffer, start in zip(step.buffers, at, strict=True)]
    parts += [_save(save, step.buffers, at) for save in step.saves]
    return b"".join(parts)


def _race(step: st.Race) -> bytes:
    """Both lists; the buffers of the two vCPUs lie in different halves of the space for them."""
    lists = []
    for number, calls in enumerate((step.first, step.second)):
        _check(len(calls) <= _MAX_RACING, f"more than {_MAX_RACING} calls at once")
        for call in calls:
            _check(call.via == "direct" and not call.cpl, "calls at once are direct, from ring 0")
        room = (number * BUFFER_SPACE // 2, (number + 1) * BUFFER_SPACE // 2)
        lists.append(
            b"".join(_framed(StepType.HYPERCALL, _hypercall(call, *room)) for call in calls)
        )
    counts = _numbers(len(step.first), len(step.second), *map(len, lists))
    return _framed(StepType.RACE, counts + b"".join(lists))


def _step(step: Step) -> bytes:
    match step:
        case st.Hypercall():
            return _framed(StepType.HYPERCALL, _hypercall(step))
        case st.Cpuid(leaf, subleaf):
            return _framed(StepType.CPUID, _numbers(leaf, subleaf))
        case st.ReadMsr(index):
            return _framed(StepType.READ_MSR, _operand(0) + _numbers(index))
        case st.WriteMsr(index, value):
            return _framed(StepType.WRITE_MSR, _operand(value) + _numbers(index))
        case st.Read(address, length):
            _check(length <= 1 << 24, "more than 16 MiB")
            return _framed(StepType.READ, _operand(address) + _numbers(length))
        case st.Write(address, data):
            return _framed(StepType.WRITE, _operand(address) + _numbers(len(data)) + data)
        case st.UseHypercallPage(address):
            return _framed(StepType.USE_PAGE, _operand(address))
        case st.UseSharedInfo(address, width):
            return _framed(StepType.USE_SHARED, _operand(address) + _numbers(width))
        case st.UseVcpuInfo(vcpu, address):
            return _framed(StepType.USE_VCPU, _operand(address) + _numbers(vcpu))
        case st.Shared(vcpus, width):
            return _framed(StepType.SHARED, _numbers(vcpus, width))
        case st.UseFifo(kind, number, address):
            return _framed(
                StepType.USE_FIFO, _operand(address) + _numbers(int(kind == "block"), number)
            )
        case st.Fifo(vcpus):
            return _framed(StepType.FIFO, _numbers(vcpus))
        case st.Apic(register, written):
            return _framed(StepType.APIC, _numbers(register, written))
        case st.Store(what, index, op, value):
            what_number = wire.SHARED_WHAT.index(what)
            op_number = wire.STORE_OPS.index(op)
            numbers = _numbers(what_number, index, op_number)
            return _framed(StepType.STORE, _operand(value) + numbers)
        case st.Window(spins, clear, limit):
            return _framed(StepType.WINDOW, _numbers(spins, limit, clear))
        case st.Note():
            return _framed(StepType.NOTE, b"")
        case st.Hang():
            return _framed(StepType.HANG, b"")
        case st.Sipi():
            return _framed(StepType.SIPI, b"")
        case st.AwaitVcpu():
            return _framed(StepType.AWAIT_VCPU, b"")
        case st.Touch(frame, value):
            return _framed(StepType.TOUCH, _operand(frame) + _operand(value))
        case st.Race():
            return _race(step)
        case st.Turn(page, give, take):
            return _framed(StepType.TURN, _operand(page) + _numbers(give, take))
        case _:
            assert_never(step)
