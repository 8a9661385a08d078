"""Page tables of every format, walked in a machine's memory made for it."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from pvhspec.targets.svm import Guest, host_address

MEMORY = 1 << 20
VMCB, NESTED = 0x1000, 0x2000
GUEST = 0x40000  # what guest-physical 0 is in the machine
PRESENT, WRITABLE, LARGE = 1, 2, 1 << 7
CODE_64, CODE_32 = 0xA9B, 0xC9B
PG, PSE, PAE, LMA = 1 << 31, 1 << 4, 1 << 5, 1 << 10


class Machine:
    """Memory, with a VMCB and nested tables that put the guest at `GUEST`, 4 KiB a page."""

    def __init__(self) -> None:
        self.data = bytearray(MEMORY)
        for level in range(3):
            self.word(NESTED + level * 0x1000, NESTED + (level + 1) * 0x1000 | 3)
        for page in range(64):
            self.word(NESTED + 0x3000 + page * 8, GUEST + page * 0x1000 | PRESENT | WRITABLE)
        self.word(VMCB + 0xB0, NESTED)

    def word(self, at: int, value: int, form: str = "<Q") -> None:
        struct.pack_into(form, self.data, at, value)

    def guest(self, *, cr0: int, cr3: int, cr4: int = 0, efer: int = 0, cs: int = CODE_32) -> Guest:
        for offset, value in ((0x158, cr0), (0x150, cr3), (0x148, cr4), (0xD0, efer)):
            self.word(VMCB + 0x400 + offset, value)
        self.word(VMCB + 0x412, cs, "<H")
        return Guest(self.read, VMCB)

    def read(self, at: int, length: int) -> bytes:
        return bytes(self.data[at : at + length])


def test_without_paging_a_linear_address_is_physical() -> None:
    machine = Machine()
    machine.data[GUEST + 0x5FFE : GUEST + 0x6002] = b"abcd"
    guest = machine.guest(cr0=1, cr3=0)
    assert guest.width == 32
    assert guest.linear(0x5FFE, 4) == (b"abcd", True)


def test_long_mode_has_four_levels_and_large_pages() -> None:
    machine = Machine()
    linear = 0xFFFF_8000_0020_1000
    machine.word(GUEST + 0x1000 + 256 * 8, 0x2000 | 3)
    machine.word(GUEST + 0x2000, 0x3000 | 3)
    machine.word(GUEST + 0x3000 + 8, 0x4000 | 3)  # 2 MiB further
    machine.word(GUEST + 0x4000 + 8, 0x7000 | PRESENT)  # one page on, read-only
    machine.word(GUEST + 0x3000, 0 | PRESENT | WRITABLE | LARGE)
    machine.data[GUEST + 0x7010 : GUEST + 0x7013] = b"xyz"
    guest = machine.guest(cr0=PG | 1, cr3=0x1000, cr4=PAE, efer=LMA, cs=CODE_64)
    assert guest.width == 64
    assert guest.linear(linear + 0x10, 3) == (b"xyz", False)
    assert guest.linear(0xFFFF_8000_0000_7010, 3) == (b"xyz", True)
    assert guest.linear(linear + 0xFFE, 8) == (b"\0\0", False)  # the next page is not mapped
    assert guest.linear(linear - 0x100000000, 8) == (b"", False)
    assert machine.guest(cr0=PG | 1, cr3=0x1000, cr4=PAE, efer=LMA, cs=CODE_32).width == 32


def test_pae_and_two_levels() -> None:
    machine = Machine()
    machine.word(GUEST + 0x1020, 0x2000 | PRESENT)  # the root is 32-byte aligned
    machine.word(GUEST + 0x2000 + 8, 0x3000 | 3)
    machine.word(GUEST + 0x3000, 0x9000 | 3)
    machine.data[GUEST + 0x9004] = 7
    guest = machine.guest(cr0=PG | 1, cr3=0x1020, cr4=PAE)
    assert guest.linear(0x200004, 1) == (b"\7", True)

    machine.word(GUEST + 0x4000 + 4, 0x5000 | 3, "<I")
    machine.word(GUEST + 0x5000 + 8, 0x9000 | 3, "<I")
    machine.word(GUEST + 0x4000 + 8, LARGE | 3, "<I")
    assert machine.guest(cr0=PG | 1, cr3=0x4000).linear(0x402004, 1) == (b"\7", True)
    assert machine.guest(cr0=PG | 1, cr3=0x4000, cr4=PSE).linear(0x809004, 1) == (b"\7", True)


def test_what_the_hypervisor_does_not_map_is_not_there() -> None:
    machine = Machine()
    guest = machine.guest(cr0=1, cr3=0)
    assert guest.memory(63 * 0x1000 + 0xFFC, 16) == bytes(4)
    machine.word(NESTED + 0x3000 + 5 * 8, GUEST + 0x5000 | PRESENT)
    assert guest.linear(0x5000, 4) == (bytes(4), False)


@given(st.binary(max_size=0x6000), st.integers(0, (1 << 64) - 1))
def test_any_memory_is_walked_to_an_end(junk: bytes, linear: int) -> None:
    machine = Machine()
    machine.data[0x1000 : 0x1000 + len(junk)] = junk
    host_address(machine.read, 0x1000, linear)
    Guest(machine.read, VMCB).linear(linear, 64)
