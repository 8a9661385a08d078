"""The binary forms shared with the probe (traces/capture): numbers and struct layouts only.

Everything is little-endian and packed. A program is

    "PVHPROG1"  size:u32  steps:u32  step…
    step        type:u8 flags:u8 zero:u16 size:u32 body     size counts these 8 bytes too
    operand     kind:u8 shift:i8 slot:u16 zero:u32 value:u64

and what comes back is a magic (firmware may have written text to the port before) and records

    record      type:u8 flags:u8 vcpu:u16 step:u32 length:u32 tsc:u64 payload

The numbers are repeated from probe.h, layout.h and run.c; a test holds them together.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

PROGRAM_MAGIC = b"PVHPROG1"
OUTPUT_MAGIC = b"\x89PVHprobe/1\r\n\x1a\n\0"
NO_STEP = 0xFFFFFFFF
PROGRAM_FALLBACK = 0x4000000  #: where the probe looks for a program that no module holds
SCRATCH_ALIGN = 0x1000

PROGRAM_HEAD = Struct("<8sII")
STEP_HEAD = Struct("<BBHI")
OPERAND = Struct("<BbHIQ")
CALL = Struct("<QBBBBB3x")  #: nr, by_page, cpl, args, buffers, saves
BUFFER = Struct("<IIIIII")  #: start, total, data_start, data, patches, fill
PATCH = Struct("<II")  #: at, size; an operand follows
SAVE = Struct("<HBBI")  #: slot, size (0: return value), always, at

RECORD = Struct("<BBHIIQ")  #: type, flags, vcpu, step, length, tsc
HELLO = Struct("<BB2x12sQQQQ")  #: width, amd, vendor, scratch, hole, alias, start_info
CPUID = Struct("<6I")
MSR = Struct("<BB2xIQ")  #: is_write, fault, index, value
CALL_OUT = Struct("<QBBBB4x")  #: nr, by_page, cpl, args, buffers
RANGE = Struct("<QI")  #: address, length
RETURN = Struct("<B3xIQ")  #: fault, clobbered, value
APIC = Struct("<II")  #: register, value
SHARED_WORD = Struct("<BxH4xQ")  #: what, index, value
ORDER = Struct("<QQ")  #: begin, end
TOUCH = Struct("<5Q")  #: gfn, before, stored, after, fault
CRASH = Struct("<4Q")  #: vector, error, ip, cr2


class StepType(IntEnum):
    """`enum step_type` of run.c."""

    HYPERCALL = 1
    CPUID = 2
    READ_MSR = 3
    WRITE_MSR = 4
    READ = 5
    WRITE = 6
    USE_PAGE = 7
    USE_SHARED = 8
    USE_VCPU = 9
    SHARED = 10
    STORE = 11
    WINDOW = 12
    NOTE = 13
    HANG = 14
    SIPI = 15
    AWAIT_VCPU = 16
    RACE = 17
    USE_FIFO = 18
    FIFO = 19
    APIC = 20
    TOUCH = 21
    TURN = 22


class OperandKind(IntEnum):
    """`enum operand_kind` of run.c."""

    NUMBER = 0
    SLOT = 1
    SCRATCH = 2
    ALIAS = 3
    HOLE = 4
    START_INFO = 5
    AP_ENTRY = 6


class Record(IntEnum):
    """`enum record` of probe.h."""

    HELLO = 1
    ENTRY = 2
    MEM = 3
    CPUID = 4
    MSR = 5
    CALL = 6
    RETURN = 7
    SHARED = 8
    STORE = 9
    UPCALL = 10
    WINDOW = 11
    CRASH = 12
    END = 13
    NOTE = 14
    FAULT = 15
    ORDER = 16
    FIFO = 17
    APIC = 18
    TOUCH = 19
    TURN = 20


#: `enum label` of probe.h.
LABELS = (
    "", "start_info", "modlist", "memmap", "cmdline", "module cmdline", "rsdp", "gdt", "idt",
)  # fmt: skip

#: `enum remark` of probe.h; the first stands for the program's own note.
REMARKS = (
    "",
    "the probe found no program and ran its built-in one",
    "the probe cannot read this step of the program",
    "ebx does not lead to a start_info with its magic",
    "no shared_info in use: step not done",
    "no hypercall page in use: step not done",
    "no Xen here: hypercall not made",
    "the other vCPU has started",
    "the other vCPU did not come",
    "the other domain did not end its turn",
)

#: Words of `entry_state` (layout.h, E_*), in order.
ENTRY_WORDS = (
    "eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eflags", "cr0", "cr2", "cr3", "cr4",
    "efer_lo", "efer_hi", "dr6", "dr7", "cs", "ds", "es", "ss", "fs", "gs", "ldtr", "tr",
    "gdt_limit", "gdt_base", "idt_limit", "idt_base", "eip",
)  # fmt: skip
ENTRY = Struct(f"<{len(ENTRY_WORDS)}I")

#: What a shared word is, by the number in SHARED_WORD.
SHARED_WHAT = (
    "evtchn_pending", "evtchn_mask", "evtchn_pending_sel", "evtchn_upcall_pending",
    "evtchn_upcall_mask", "fifo_word", "fifo_ready", "fifo_head", "fifo_ports",
)  # fmt: skip
STORE_OPS = ("or", "and", "set")
ARGUMENT_NAMES = {
    32: ("ebx", "ecx", "edx", "esi", "edi", "ebp"),
    64: ("rdi", "rsi", "rdx", "r10", "r8", "r9"),
}
