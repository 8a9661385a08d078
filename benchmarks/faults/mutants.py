"""The faults: one changed instruction each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.faults.symbols import Instruction, Xen

__all__ = ["FUNCTIONS", "Mutant", "mutants"]

#: Functions that implement what the specification models, and what a lone dom0 can see of them.
FUNCTIONS = (
    "do_event_channel_op", "evtchn_alloc_unbound", "evtchn_bind_interdomain", "evtchn_bind_virq",
    "evtchn_bind_ipi", "evtchn_bind_pirq", "evtchn_close", "evtchn_send", "evtchn_status",
    "evtchn_bind_vcpu", "evtchn_unmask", "evtchn_reset", "evtchn_allocate_port",
    "evtchn_get_port", "get_free_port", "evtchn_free", "evtchn_port_set_pending",
    "evtchn_2l_set_pending", "evtchn_2l_clear_pending", "evtchn_2l_unmask",
    "evtchn_fifo_init_control", "evtchn_fifo_expand_array", "evtchn_fifo_set_priority",
    "vcpu_mark_events_pending", "do_xen_version", "cpuid_hypervisor_leaves", "guest_rdmsr_xen",
    "guest_wrmsr_xen", "svm_init_hypercall_page", "hvm_init_hypercall_page",
    "hvm_latch_shinfo_size.part.0", "hvm_hypercall", "do_hvm_op", "hvm_set_param",
    "hvm_set_callback_via", "hvm_assert_evtchn_irq", "hvm_vcpu_has_pending_irq",
    "evtchn_2l_init", "evtchn_2l_is_pending", "evtchn_2l_is_masked", "evtchn_fifo_is_busy",
    "evtchn_fifo_destroy", "send_guest_vcpu_virq", "xenver_varbuf_op",
)  # fmt: skip

_ERRORS = {
    -1: "EPERM", -2: "ENOENT", -3: "ESRCH", -12: "ENOMEM", -13: "EACCES", -14: "EFAULT",
    -16: "EBUSY", -17: "EEXIST", -22: "EINVAL", -28: "ENOSPC", -38: "ENOSYS", -61: "ENODATA",
    -95: "EOPNOTSUPP", -105: "ENOBUFS",
}  # fmt: skip
_PREFIXES = frozenset((*range(0x40, 0x50), 0x26, 0x2E, 0x36, 0x3E, 0x66, 0xF2, 0xF3))
_IMMEDIATE = re.compile(r"\$(0x[0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: `kind` of it, the instruction, what it was and what it is."""

    kind: str
    instruction: Instruction
    code: bytes
    what: str

    @property
    def name(self) -> str:
        """`function+offset kind`."""
        one = self.instruction
        return f"{one.function}+{one.at:#x} {self.kind}"


def mutants(xen: Xen, functions: tuple[str, ...] = FUNCTIONS) -> Iterator[Mutant]:
    """Every fault of the functions that this release has."""
    for name in functions:
        if xen.has(name):
            for one in xen.instructions(name):
                yield from _of(one)


def _of(one: Instruction) -> Iterator[Mutant]:
    word = one.text.split()[0]
    if word.startswith(("j", "cmov", "set")) and word not in ("jmp", "jmpq"):
        yield _turned(one, "branch")
    elif word.startswith("mov") and (value := _immediate(one)) is not None:
        yield from _moved(one, value)
    elif word.startswith("cmp") and (value := _immediate(one)) is not None:
        yield from _bound(one, value)
    elif word == "lock" and (" bts" in one.text or " btr" in one.text):
        yield from _bit(one)


def _turned(one: Instruction, kind: str) -> Mutant:
    """The opposite condition."""
    code = bytearray(one.code)
    at = 0
    while code[at] in _PREFIXES:
        at += 1
    code[at + (code[at] == 0x0F)] ^= 1
    return Mutant(kind, one, bytes(code), f"{one.text}: condition turned round")


def _immediate(one: Instruction) -> int | None:
    match = _IMMEDIATE.search(one.text)
    return int(match[1], 16) if match is not None else None


def _moved(one: Instruction, value: int) -> Iterator[Mutant]:
    signed = value - (1 << 64) if value >> 63 else value - (1 << 32) if value >> 31 else value
    if signed in _ERRORS:
        other = -2 if signed == -22 else -22
        name = f"{_ERRORS[signed]} -> {_ERRORS[other]}"
        yield from _with(one, "code", signed, other, 4, name)
    elif "(" in one.text.rsplit(",", 1)[-1] and 0 <= signed < 64:
        for size in (4, 2, 1):
            done = list(_with(one, "value", signed, signed ^ 1, size, f"{signed} -> {signed ^ 1}"))
            if done:
                yield from done
                break


def _bound(one: Instruction, value: int) -> Iterator[Mutant]:
    signed = value - (1 << 64) if value >> 63 else value
    for size in (4, 1):
        by = 1 if signed < 127 or size == 4 else -1
        done = list(_with(one, "bound", signed, signed + by, size, f"{signed} -> {signed + by}"))
        if done:
            yield from done
            return


def _with(
    one: Instruction, kind: str, old: int, new: int, size: int, what: str
) -> Iterator[Mutant]:  # fmt: skip
    """Another immediate, where the instruction ends with `old` in `size` bytes."""
    mask = (1 << 8 * size) - 1
    tail = (old & mask).to_bytes(size, "little")
    if len(one.code) > size and one.code.endswith(tail):
        code = one.code[:-size] + (new & mask).to_bytes(size, "little")
        yield Mutant(kind, one, code, f"{one.text}: {what}")


def _bit(one: Instruction) -> Iterator[Mutant]:
    """Set a bit where it is to be cleared, and the other way round: 0f ab and 0f b3."""
    for old, new in ((b"\x0f\xab", b"\x0f\xb3"), (b"\x0f\xb3", b"\x0f\xab")):
        if old in one.code:
            yield Mutant("bit", one, one.code.replace(old, new, 1), f"{one.text}: set <-> cleared")
            return
