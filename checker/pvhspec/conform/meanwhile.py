"""What a guest does besides calling: it stores into shared words, asks CPUID, takes interrupts."""

from __future__ import annotations

from collections.abc import Callable

from pvhspec.conform.grants import Grants
from pvhspec.conform.writer import PAGE_MSR, SHARED, STUBS, Writer
from pvhspec.targets import steps as st

__all__ = ["Meanwhile"]

_LEAVES = (*range(0x40000000, 0x40000007), 0x400000FF, 0x40000100, 0, 1)
_SUBLEAVES = (0, 1, 2, 3, 0xFFFFFFFF)
_BESIDE = (1, 2, 0x100, 0x1FF, 0x200, 0x2FF)  # MSRs of Xen beside the one of the page
_SPURIOUS, _TASK_PRIORITY = 0xF0, 0x80  # registers of the local APIC
_PAGES = (1, 2, 0x800, 0xFFF)  # page indices that there are not
_MULTICALL, _NO_MULTICALL = 13, "hypercall.table.multicall_before_4_16.absent"


class Meanwhile:
    """Steps that are no calls, at a writer's random."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.random = writer, writer.random
        self.grants = Grants(writer)

    def any(self) -> None:
        """One of them."""
        kinds: list[Callable[[], None]] = [
            self.touch, self.touch, self.touch, self.touch, self.window, self.window, self.window,
            self.cpuid, self.msr, self.stray, self.clock, self.apic, self.grants.some,
            self.grants.some,
        ]  # fmt: skip
        self.random.choice(kinds)()

    def survey(self) -> None:
        """Every leaf of CPUID, and every way to use the MSRs, once."""
        steps = self.writer.steps
        for leaf in _LEAVES:
            subleaves = _SUBLEAVES if leaf >= PAGE_MSR else (0,)
            steps += [st.Cpuid(leaf, subleaf) for subleaf in subleaves]
        steps += [st.ReadMsr(PAGE_MSR)]
        steps += [st.ReadMsr(PAGE_MSR + at) for at in _BESIDE]
        steps += [st.WriteMsr(PAGE_MSR + at, at & 1) for at in _BESIDE]
        steps += [st.WriteMsr(PAGE_MSR, st.Area(STUBS + low)) for low in _PAGES]
        steps += [st.WriteMsr(PAGE_MSR, 1 << bit) for bit in (52, 63)]

    def last(self) -> None:
        """A call after which nothing is known any more."""
        if self.writer.offers(_NO_MULTICALL):
            self.writer.steps.append(st.Hypercall(_MULTICALL, (0, 0)))

    def touch(self) -> None:
        """The guest changes a shared word itself."""
        writer = self.writer
        what = self.random.choices(("mask", "pending", "selector", "upcall"), (6, 3, 2, 2))[0]
        vcpu = self.random.randrange(writer.plan.vcpus)
        width = writer.layout
        if what == "upcall":
            writer.store("evtchn_upcall_pending", vcpu, "set", self.random.randrange(2))
            return
        setting = self.random.random() < 0.55
        if what == "selector":
            full = (1 << width) - 1
            bit = 1 << self.random.choice((0, 0, 0, 1, width - 1))
            if self.random.random() < 0.5:
                writer.store("evtchn_pending_sel", vcpu, "set", 0)
            else:
                writer.store("evtchn_pending_sel", vcpu, "or" if setting else "and",
                             bit if setting else full ^ bit)  # fmt: skip
            return
        port = writer.drawer.pools.bundles.of_kind("Port", self.random)
        if port is None or port >= width * width:
            port = self.random.randrange(12)
        bits = self.random.choice((1 << port % width, 1 << port % width, (1 << width) - 1))
        name: st.StoreWhat = "evtchn_mask" if what == "mask" else "evtchn_pending"
        value = bits if setting else ((1 << width) - 1) ^ bits
        writer.store(name, port // width, "or" if setting else "and", value)

    def stray(self) -> None:
        """A store in the layout that is not in use, seen, and taken back."""
        writer = self.writer
        if writer.layout == 32 or self.random.random() < 0.6:
            return
        writer.snapshot()
        word, value = self.random.randrange(4), 1 << self.random.randrange(32)
        for now in (value, 0):
            writer.steps += [
                st.UseSharedInfo(st.Area(SHARED), 32),
                st.Store("evtchn_mask", word, "set", now),
                st.UseSharedInfo(st.Area(SHARED), 64),
            ]
            writer.happen(
                "store", {"what": "evtchn_mask", "index": word, "value": now, "width": 32}
            )
            writer.snapshot()

    def window(self) -> None:
        """Interrupts are let in."""
        keep = self.random.random() < 0.15
        self.writer.window(self.random.choice((8, 64)), clear=not keep, limit=4)

    def clock(self) -> None:
        """The guest asks what time it is."""
        self.writer.clock(self.random.randrange(self.writer.plan.vcpus))

    def apic(self) -> None:
        """The local APIC is switched on and off, and told what is to wait."""
        if self.random.random() < 0.7:
            self.writer.apic(_SPURIOUS, self.random.choice((0xFF, 0x1FF, 0x1FF)))
        else:
            self.writer.apic(_TASK_PRIORITY, self.random.choice((0, 0, 0x10, 0x70, 0xFF)))

    def cpuid(self) -> None:
        """A leaf of Xen's, or one beside them."""
        leaf, subleaf = self.random.choice(_LEAVES), self.random.choice((0, 0, *_SUBLEAVES))
        self.writer.steps.append(st.Cpuid(leaf, subleaf))

    def msr(self) -> None:
        """Xen's MSRs, and no others."""
        steps = self.writer.steps
        way = self.random.random()
        index = PAGE_MSR + self.random.choice(_BESIDE)
        if way < 0.25:
            steps.append(st.ReadMsr(PAGE_MSR))
        elif way < 0.45:
            steps.append(st.ReadMsr(index))
        elif way < 0.6:
            steps.append(st.WriteMsr(index, self.random.randrange(3)))
        elif way < 0.75:
            steps.append(st.WriteMsr(PAGE_MSR, st.Area(STUBS + self.random.choice(_PAGES))))
        elif way < 0.85:
            steps.append(st.WriteMsr(PAGE_MSR, 1 << self.random.randrange(52, 64)))
        elif self.writer.plan.latch:
            self.writer.fill_page()
