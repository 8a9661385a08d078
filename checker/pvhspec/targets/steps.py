"""The steps a probe program is made of: plain numbers and bytes, no names of the ABI.

A program runs inside the guest, one step after the other, and every step reports what happened.
What a value is called in the ABI, and where a field lies in a struct, is known to the layer that
builds programs from the spec; here are only the machine's own notions: hypercalls, registers,
memory, interrupts.

Values known only at run time (a port the hypervisor chose) live in *slots*: 64 numbers of 64 bits,
all zero at the start. Memory comes in two kinds: *buffers* belong to one step and are laid out
afresh for it; the *area* is `AREA_SIZE` bytes, page aligned, zero at the start, that stay where
they are (for a shared_info page, a hypercall page, registered vcpu_info).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SLOTS = 64
BUFFER_SPACE = 0x10000  #: bytes one step's buffers may take together, guards included
AREA_SIZE = 0x40000  #: bytes
#: Frames from 12 MiB on, where nothing of the probe's lies: a program may do with them what it
#: likes. They are memory at the start, in every domain the probe runs in.
SPARE_FRAMES = range(0xC00, 0xC40)
#: Frames from 1 GiB on, where no domain has anything that the probe runs in: the machine has less
#: memory, and no device there.
EMPTY_FRAMES = range(0x40000, 0x40200)
MAX_ARGS = 6
FIRST_VECTOR = 32  #: vectors below are the processor's own exceptions


@dataclass(frozen=True, slots=True)
class Slot:
    """`(slot[index] + add) >> shift`; a negative shift goes left. 64-bit arithmetic."""

    index: int
    add: int = 0
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Buf:
    """Linear address of byte `offset` of this step's buffer number `index`, `>> shift`."""

    index: int
    offset: int = 0
    shift: int = 0


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """As `Buf`, through a second mapping of the same memory that must not be written."""

    index: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A linear address nothing is mapped at: a bad pointer. `offset` is below 1 MiB."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class Area:
    """Address of byte `offset` of the area, `>> shift` (12 gives its guest frame number)."""

    offset: int
    shift: int = 0


@dataclass(frozen=True, slots=True)
class StartInfo:
    """Address of byte `offset` of hvm_start_info: what EBX held at entry."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class VcpuEntry:
    """Where another vCPU of the probe begins: 32 bits, flat, without paging."""


#: A plain number is itself.
Operand = int | Slot | Buf | ReadOnly | Unreadable | Area | StartInfo | VcpuEntry


@dataclass(frozen=True, slots=True)
class Patch:
    """Put `value` into a buffer at `offset`, `size` (1, 2, 4 or 8) bytes, before the call."""

    offset: int
    size: int
    value: Operand


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory a call may use: `data`, with `guard` bytes of `fill` on either side.

    The whole of it, guards included, is recorded before and after the call, so a write that goes
    astray is seen. `at` puts the data at that offset of the area instead, where it stays.
    """

    data: bytes
    patches: tuple[Patch, ...] = ()
    guard: int = 16
    fill: int = 0xA5
    align: int = 8
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Save:
    """After the call, slot `slot` := `size` bytes at `offset` of buffer `buffer`, zero-extended.

    `buffer` None saves the return value instead (sign-extended). Done only if the call returned
    a value >= 0, unless `always`.
    """

    slot: int
    buffer: int | None = None
    offset: int = 0
    size: int = 4
    always: bool = False


@dataclass(frozen=True, slots=True)
class Hypercall:
    """Hypercall `nr`. Registers of arguments not given hold a value nobody uses.

    `via` "direct" executes VMCALL or VMMCALL as the CPU vendor wants; "page" calls `nr * 32` into
    the page named by `UseHypercallPage`. `cpl` 3 makes the call from user mode.
    """

    nr: int
    args: tuple[Operand, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    saves: tuple[Save, ...] = ()
    via: Literal["direct", "page"] = "direct"
    cpl: Literal[0, 3] = 0


@dataclass(frozen=True, slots=True)
class Cpuid:
    """CPUID with EAX `leaf` and ECX `subleaf`."""

    leaf: int
    subleaf: int = 0


@dataclass(frozen=True, slots=True)
class ReadMsr:
    """RDMSR; a #GP is caught and reported."""

    index: int


@dataclass(frozen=True, slots=True)
class WriteMsr:
    """WRMSR; a #GP is caught and reported. `Area(n)` as value hands over a page."""

    index: int
    value: Operand


@dataclass(frozen=True, slots=True)
class Read:
    """Report `length` bytes of memory at a linear address; `what` is a label for readers.

    With the label `hypercall_page` the event is of that kind.
    """

    address: Operand
    length: int
    what: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """Write `data` to a linear address: one access where it is 1, 2, 4 or 8 bytes."""

    address: Operand
    data: bytes


@dataclass(frozen=True, slots=True)
class Touch:
    """Report the last 8 bytes of a page before and after `value` is stored there.

    `frame` is the page's number, below 4 GiB. The value stays. No page need be there: whatever
    comes of it is reported, a fault too.
    """

    frame: Operand
    value: Operand


@dataclass(frozen=True, slots=True)
class UseHypercallPage:
    """From now on `via="page"` calls into the page at this address."""

    address: Operand


@dataclass(frozen=True, slots=True)
class UseSharedInfo:
    """From now on shared_info is at this address. `width` 0: the layout of the probe's width."""

    address: Operand
    width: Literal[0, 32, 64] = 0


@dataclass(frozen=True, slots=True)
class UseVcpuInfo:
    """From now on vCPU `vcpu`'s vcpu_info is at this address and not in shared_info."""

    vcpu: int
    address: Operand


@dataclass(frozen=True, slots=True)
class Shared:
    """Report all pending and mask words, and vcpu_info of vCPUs 0 .. `vcpus`-1.

    `width` 0 reads the layout chosen by `UseSharedInfo`; 32 or 64 reads that one.
    """

    vcpus: int = 1
    width: Literal[0, 32, 64] = 0


@dataclass(frozen=True, slots=True)
class UseFifo:
    """Where a vCPU's control block is, or the page with the event words of 1024 ports."""

    what: Literal["page", "block"]
    number: int
    address: Operand


@dataclass(frozen=True, slots=True)
class Fifo:
    """Report all event words in pages in use, and the control blocks of vCPUs 0 .. `vcpus`-1."""

    vcpus: int = 1


@dataclass(frozen=True, slots=True)
class Apic:
    """Write a register of the local APIC, by its offset, and report it."""

    register: int
    value: int


StoreWhat = Literal[
    "evtchn_pending", "evtchn_mask", "evtchn_pending_sel", "evtchn_upcall_pending",
    "fifo_word", "fifo_ready", "fifo_head",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Store:
    """Change a shared word atomically and report it: or, and (with the value), or exchange.

    `index` counts words for the first two kinds, is the port for `fifo_word`, counts 16 to a vCPU
    for `fifo_head`, and is the vCPU for the others.
    """

    what: StoreWhat
    index: int
    op: Literal["or", "and", "set"]
    value: Operand


@dataclass(frozen=True, slots=True)
class Window:
    """Run `spins` rounds with interrupts enabled, reporting every vector >= 32 that arrives.

    The handler clears upcall_pending of vCPU 0 first if `clear`, and ends the interrupt at the
    local APIC if it is in service there. After `limit` arrivals interrupts go off early.
    """

    spins: int = 64
    clear: bool = True
    limit: int = 16


@dataclass(frozen=True, slots=True)
class Note:
    """Put a note into the trace."""

    text: str


@dataclass(frozen=True, slots=True)
class Hang:
    """Loop for ever with interrupts off: what a hung guest looks like from outside."""


@dataclass(frozen=True, slots=True)
class Sipi:
    """Start the other vCPUs by INIT-SIPI-SIPI through the local APIC."""


@dataclass(frozen=True, slots=True)
class AwaitVcpu:
    """Wait until the other vCPU has started; a note says whether it came."""


@dataclass(frozen=True, slots=True)
class Race:
    """The two vCPUs make these calls at the same time, each its own one after the other.

    Calls are direct and from ring 0. Their events have `begin` and `end`. A slot that one vCPU
    saves to, the other leaves alone.
    """

    first: tuple[Hypercall, ...]
    second: tuple[Hypercall, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """Two domains act in turn, and have their slots in common.

    In the page at `page`, which both see, is the number of the turn and all slots. `give` says that
    it is the other's turn from now on, by its number; then wait until it is turn `take`. 0: not.
    """

    page: Operand
    give: int = 0
    take: int = 0


Step = (
    Hypercall | Cpuid | ReadMsr | WriteMsr | Read | Write | UseHypercallPage | UseSharedInfo
    | UseVcpuInfo | Shared | UseFifo | Fifo | Apic | Store | Window | Note | Hang | Sipi
    | AwaitVcpu | Race | Touch | Turn
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """What the probe does after it has recorded its entry state.

    `beside` is what a second domain does, which is made before the first step; None: there is none.
    Its events count their steps from where those of `steps` end.
    """

    steps: tuple[Step, ...] = ()
    beside: tuple[Step, ...] | None = None
