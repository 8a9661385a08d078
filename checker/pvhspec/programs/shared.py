"""Short forms for what every program about event channels does: mapping shared_info, and stores
into its words by port."""

from __future__ import annotations

from struct import pack

from pvhspec.programs.errors import BAD_NUMBER, BAD_STEP, Bad
from pvhspec.programs.tokens import Cursor
from pvhspec.programs.values import Names, number
from pvhspec.targets.steps import (
    Area,
    AwaitVcpu,
    Buf,
    Buffer,
    Hypercall,
    Patch,
    Read,
    Step,
    Store,
    StoreWhat,
    UseHypercallPage,
    UseSharedInfo,
    VcpuEntry,
    WriteMsr,
)  # fmt: skip

__all__ = ["Words", "change", "fill_page", "map_shared_info", "start_vcpu"]

_MEMORY_OP, _ADD_TO_PHYSMAP = 12, 7
_SELF = 0x7FF0
_PAGE_MSR = 0x40000000
_PAGE = 4096
_VCPU_OP, _INITIALISE, _UP = 24, 0, 1
_EIP = 40  # of struct vcpu_hvm_context
_WORDS: dict[str, StoreWhat] = {"pending": "evtchn_pending", "mask": "evtchn_mask"}
_SINGLE: dict[str, StoreWhat] = {
    "selector": "evtchn_pending_sel",
    "upcall": "evtchn_upcall_pending",
}


class Words:
    """The layout that stores go by: what `use shared_info` said last, else the probe's width."""

    def __init__(self, width: int) -> None:
        self.probe = width
        self.width = width
        self.grants = 0  # where the grant table is in the area, and the pages of status words
        self.grant_version = 1
        self.grant_status: int | None = None

    def use(self, width: int) -> None:
        """Go by another layout; 0 is the probe's."""
        self.width = width or self.probe


def map_shared_info(offset: int, words: Words) -> list[Step]:
    """XENMEM_add_to_physmap of shared_info into the area. The 32-bit structure is
    domid:u16 size:u16 space:u32 idx:u32 gpfn:u32; with 64 bits the last two are u64."""
    wide = words.probe == 64
    data = _SELF.to_bytes(2, "little") + bytes(22 if wide else 14)
    frame = Patch(16 if wide else 12, 8 if wide else 4, Area(offset, 12))
    call = Hypercall(_MEMORY_OP, (_ADD_TO_PHYSMAP, Buf(0)), (Buffer(data, (frame,)),))
    words.use(0)
    return [call, UseSharedInfo(Area(offset))]


def start_vcpu(vcpu: int) -> list[Step]:
    """VCPUOP_initialise with the 32-bit form of struct vcpu_hvm_context, VCPUOP_up, and waiting.

    The context is mode:u32 zero:u32, ten registers, cr0, cr3, cr4, zero:u32, efer:u64, then of CS,
    DS, SS, ES and TR the base:u32, limit:u32 and attributes:u16."""
    registers = [0] * 9 + [2]
    attributes = (0xC9B, 0xC93, 0xC93, 0xC93, 0x8B)
    context = pack(
        "<2I10I4IQ5I5I5H6x", 0, 0, *registers, 1, 0, 0, 0, 0, *[0] * 5, *[0xFFFFFFFF] * 4, 0x67,
        *attributes,
    )  # fmt: skip
    buffer = Buffer(context, (Patch(_EIP, 4, VcpuEntry()),))
    return [
        Hypercall(_VCPU_OP, (_INITIALISE, vcpu, Buf(0)), (buffer,)),
        Hypercall(_VCPU_OP, (_UP, vcpu, 0)),
        AwaitVcpu(),
    ]


def fill_page(offset: int) -> list[Step]:
    """Have the hypercall page filled, report it, and use it."""
    page = Area(offset)
    return [WriteMsr(_PAGE_MSR, page), Read(page, _PAGE, "hypercall_page"), UseHypercallPage(page)]


def change(at: Cursor, names: Names, words: Words) -> list[Step]:
    """`set|clear pending|mask PORT[..PORT]`, `set|clear selector|upcall [NUMBER]`."""
    setting = at.take().text == "set"
    what = at.of_kind("name", "pending, mask, selector or upcall")
    place = at.now.place
    if what.text in _WORDS:
        first = number(at, names)
        last = number(at, names) if at.accept("..") else first
        if not 0 <= first <= last < words.width * words.width:
            limit = words.width * words.width - 1
            raise Bad(BAD_NUMBER, place, f"ports are 0 to {limit} in the layout in use")
        return _ports(_WORDS[what.text], first, last, words.width, setting)
    if what.text == "upcall":
        vcpu = 0 if at.now.kind == "end" else number(at, names)
        return [Store(_SINGLE["upcall"], vcpu, "set", int(setting))]
    if what.text == "selector":
        if at.now.kind == "end" and not setting:
            return [Store(_SINGLE["selector"], 0, "set", 0)]
        bit = number(at, names)
        if not 0 <= bit < words.width:
            raise Bad(BAD_NUMBER, place, f"a selector has bits 0 to {words.width - 1}")
        full = (1 << words.width) - 1
        op, value = ("or", 1 << bit) if setting else ("and", full ^ 1 << bit)
        return [Store(_SINGLE["selector"], 0, op, value)]  # type: ignore[arg-type]
    raise Bad(BAD_STEP, what.place, "pending, mask, selector or upcall expected")


def _ports(what: StoreWhat, first: int, last: int, width: int, setting: bool) -> list[Step]:
    full = (1 << width) - 1
    steps: list[Step] = []
    for word in range(first // width, last // width + 1):
        low, high = max(first - word * width, 0), min(last - word * width, width - 1)
        bits = full >> (width - 1 - high) & full << low & full
        if setting:
            steps.append(Store(what, word, "or", bits))
        else:
            steps.append(Store(what, word, "and", full ^ bits))
    return steps
