from __future__ import annotations

import pytest

from pvhspec.targets import outside

PRINTED = """\r
CPU#0\r
EAX=00000000 EBX=000021e0 ECX=00100000 EDX=00000518\r
ESI=000011c0 EDI=00006ef4 EBP=00000000 ESP=00006edc\r
EIP=00100000 EFL=00000006 [-----P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r
ES =0010 00000000 ffffffff 00cf9300 DPL=0 DS   [-WA]\r
CS =0008 00000000 ffffffff 00cf9a00 DPL=0 CS32 [-R-]\r
LDT=0000 00000000 0000ffff 00008200 DPL=0 LDT\r
TR =0000 00000000 0000ffff 00008b00 DPL=0 TSS32-busy\r
GDT=     000cb118 00000027\r
IDT=     00000000 000003ff\r
CR0=00000011 CR2=00000000 CR3=00000000 CR4=00000000\r
DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 \r
DR6=00000000ffff0ff0 DR7=0000000000000400\r
EFER=0000000000000000\r
"""


def test_info_registers() -> None:
    entry = outside.parse_registers(PRINTED)
    assert entry["view"] == "hw"
    assert entry["regs"]["ebx"] == "0x21e0"
    assert entry["regs"]["eflags"] == "0x6"
    assert entry["regs"]["dr6"] == "0xffff0ff0"
    assert "dr0" not in entry["regs"]
    assert entry["segs"]["cs"] == {
        "sel": "0x8", "base": "0x0", "limit": "0xffffffff", "attr": "0xc9a",
    }  # fmt: skip
    assert entry["segs"]["tr"]["limit"] == "0xffff"
    assert entry["segs"]["tr"]["attr"] == "0x8b"
    assert entry["segs"]["ldtr"]["attr"] == "0x82"
    assert entry["gdtr"] == {"base": "0xcb118", "limit": "0x27"}
    assert "ss" not in entry["segs"]  # not printed here: unknown, not zero


def test_a_cpu_in_64_bit_mode_is_not_mistaken() -> None:
    with pytest.raises(ValueError):
        outside.parse_registers("RAX=0000000000000000 RBX=0000000000000000\n")
