"""Steps as text: what `pvhspec.programs.compile_text` reads back as the same steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from textwrap import indent
from typing import assert_never

from pvhspec.programs.calls import Layouts, show_call
from pvhspec.programs.shared import Words, fill_page, map_shared_info, start_vcpu
from pvhspec.programs.values import show_operand
from pvhspec.targets import steps as st
from pvhspec.targets.steps import Program, Step

__all__ = ["show_program", "show_step"]

_LONGEST = 3  # steps that have a short form together
_BY_SIPI = (st.Sipi(), st.AwaitVcpu())
_OPS = {"or": "|=", "and": "&=", "set": "="}


def show_program(program: Program, layouts: Layouts) -> str:
    """A program, one step a line; what has a short form is written so."""
    return _shown(program.steps, layouts, _turns(program.beside or ()))


def _shown(steps: tuple[Step, ...], layouts: Layouts, beside: Iterator[tuple[Step, ...]]) -> str:
    lines, at = "", 0
    while at < len(steps):
        text, length = _short(steps[at : at + _LONGEST], layouts.width)
        step = steps[at]
        if isinstance(step, st.Turn) and step.take:
            text = f"domu {{\n{indent(_shown(next(beside), layouts, beside), '  ')}}}"
        lines += f"{text or show_step(step, layouts)}\n"
        at += length
    return lines


def _turns(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """What a second domain does in each of its turns; that the last step hands over is not said."""
    takes = [i for i, step in enumerate(steps) if isinstance(step, st.Turn) and step.take]
    for first, end in pairwise(takes):
        last = steps[end - 1]
        yield steps[first + 1 : end - (isinstance(last, st.Turn) and last.give > 0)]


def _short(steps: tuple[Step, ...], width: int) -> tuple[str, int]:
    """The short form of the first few steps, and how many they are."""
    for words, long in (("start vcpu 1", start_vcpu(1)), ("start vcpu 1 by sipi", _BY_SIPI)):
        if steps[: len(long)] == tuple(long):
            return words, len(long)
    for step in steps[:_LONGEST]:
        if isinstance(step, st.UseSharedInfo | st.UseHypercallPage):
            place = step.address
            if isinstance(place, st.Area) and not place.shift:
                for words, long in (
                    ("map shared_info", map_shared_info(place.offset, Words(width))),
                    ("fill hypercall_page", fill_page(place.offset)),
                ):
                    if steps[: len(long)] == tuple(long):
                        return f"{words} at {place.offset:#x}", len(long)
            break
    return "", 1


def show_step(step: Step, layouts: Layouts) -> str:
    """One step as one line (a race as a block), by the specification's names where they can."""
    match step:
        case st.Hypercall():
            text = show_call(layouts, step) or _raw(step, layouts)
            via = " via page" if step.via == "page" else ""
            return text + via + (" cpl 3" if step.cpl else "")
        case st.Cpuid(leaf, subleaf):
            return f"cpuid {leaf:#x}" + (f", {subleaf:#x}" if subleaf else "")
        case st.ReadMsr(index):
            return f"rdmsr {index:#x}"
        case st.WriteMsr(index, value):
            return f"wrmsr {index:#x}, {show_operand(value)}"
        case st.Read(address, length, what):
            label = f", {json.dumps(what)}" if what else ""
            return f"read {show_operand(address)}, {length}{label}"
        case st.Write(address, data):
            return f"write {show_operand(address)}, {_bytes(data)}"
        case st.Touch(frame, value):
            return f"touch {show_operand(frame)}, {show_operand(value)}"
        case st.UseHypercallPage(address):
            return f"use hypercall_page {show_operand(address)}"
        case st.UseSharedInfo(address, width):
            return f"use shared_info {show_operand(address)}{_width(width)}"
        case st.UseVcpuInfo(vcpu, address):
            return f"use vcpu_info {vcpu}, {show_operand(address)}"
        case st.UseFifo(kind, number, address):
            return f"use fifo_{kind} {number}, {show_operand(address)}"
        case st.Fifo(vcpus):
            return "fifo" + (f" vcpus {vcpus}" if vcpus != 1 else "")
        case st.Apic(register, written):
            return f"apic {register:#x} = {written:#x}"
        case st.Shared(vcpus, width):
            return "snapshot" + (f" vcpus {vcpus}" if vcpus != 1 else "") + _width(width)
        case st.Store(what, index, op, value):
            return f"store {what}[{index}] {_OPS[op]} {show_operand(value)}"
        case st.Window():
            return _window(step)
        case st.Note(text):
            return f"note {json.dumps(text)}"
        case st.Hang():
            return "hang"
        case st.Sipi():
            return "send sipi"
        case st.AwaitVcpu():
            return "await vcpu"
        case st.Turn():
            return "hand over"
        case st.Race(first, second):
            lists = enumerate((first, second))
            calls = [f"  vcpu {v} {show_step(c, layouts)}\n" for v, made in lists for c in made]
            return f"race {{\n{''.join(calls)}}}"
        case _:
            assert_never(step)


def _width(width: int) -> str:
    return f" width {width}" if width else ""


def _window(step: st.Window) -> str:
    plain = st.Window()
    text = "window" + ("" if step.clear else " keep")
    if step.spins != plain.spins:
        text += f" spins {step.spins}"
    return text + (f" limit {step.limit}" if step.limit != plain.limit else "")


def _bytes(data: bytes) -> str:
    if len(data) > 16 and len(set(data)) == 1:
        return f'"{data[0]:02x}" * {len(data)}'
    return f'"{data.hex()}"'


def _raw(step: st.Hypercall, layouts: Layouts) -> str:
    known = layouts.spec.hypercalls.get(step.nr)
    parts = [
        f"hypercall {known.name if known else hex(step.nr)}"
        f"({', '.join(show_operand(argument) for argument in step.args)})"
    ]
    parts += [_buffer(buffer) for buffer in step.buffers]
    for save in step.saves:
        place = "result"
        if save.buffer is not None:
            place = f"buffer {save.buffer}:{save.offset}:{save.size}"
        parts.append(f"save ${save.slot} = {place}{' always' if save.always else ''}")
    return " ".join(parts)


def _buffer(buffer: st.Buffer) -> str:
    plain = st.Buffer(b"")
    text = f"with {_bytes(buffer.data)}"
    if buffer.guard != plain.guard:
        text += f" guard {buffer.guard}"
    if buffer.fill != plain.fill:
        text += f" fill {buffer.fill:#x}"
    if buffer.align != plain.align:
        text += f" align {buffer.align}"
    if buffer.at is not None:
        text += f" at {buffer.at:#x}"
    for patch in buffer.patches:
        text += f" patch {patch.offset}:{patch.size} = {show_operand(patch.value)}"
    return text
