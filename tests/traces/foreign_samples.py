"""Pieces of captures that several tests read."""

from __future__ import annotations

from pvhspec import _data

FOREIGN = _data.traces_dir() / "corpus/foreign"
SINGLESTEP = "xen-4.17-dom0-pvh-18-hypercalls.qemu-singlestep.txt"

EVTCHN = """\
(XEN) Event channel information for domain 3:
(XEN) Polling vCPUs: {}
(XEN)     port [p/m/s]
(XEN)        1 [1/0/1]: s=3 n=0 x=0 d=0 p=33
(XEN)        3 [1/0/1]: s=5 n=0 x=0 v=0
(XEN)        4 [0/1/1]: s=2 n=0 x=0 d=0
(XEN)        5 [0/0/0]: s=4 n=1 x=0 p=16 i=9 Z=system_u
"""
VMCS = """\
(XEN) >>> Domain 3 <<<
(XEN) \tVCPU 1
(XEN) *** Guest State ***
(XEN) CR0: actual=0x0000000080000033, shadow=0x0000000080000033, gh_mask=ffffffffffffffff
(XEN) CR3 = 0x00000000002e9000
(XEN) RSP = 0x000000000ffffec0 (0x000000000ffffec0)  RIP = 0x0000000000209997 (0x0000000000209998)
(XEN) RFLAGS=0x00000297 (0x00000297)  DR7 = 0x0000000000000400
(XEN)   CS: 0008 0a099 ffffffff 0000000000000000
(XEN) GDTR:            00000027 00000000003e13c0
(XEN)   TR: 0018 0008b 00000068 00000000003e1040
(XEN) EFER(VMCS) = 0x0000000000000500  PAT = 0x0007040600070406
(XEN) *** Host State ***
(XEN) RIP = 0xffff82d0402a0000
"""
# The registers of AMD's VMCB, made up after Xen's source.
VMCB = """\
(XEN) >>> Domain 1 <<<
(XEN) \tVCPU 0
(XEN) Dumping guest's current state at key_handler...
(XEN) Size of VMCB = 4096, paddr = 0x000000041b0d1000, vaddr = ffff83041b0d1000
(XEN) exitcode = 0x78 exit_int_info = 0
(XEN) cpl = 0 efer = 0 star = 0 lstar = 0
(XEN) CR0 = 0x0000000000000019 CR2 = 0x0000000000000000
(XEN) CR3 = 0x0000000000000000 CR4 = 0x0000000000000040
(XEN) RSP = 0x0000000000000000  RIP = 0x0000000000100020
(XEN) RAX = 0x0000000000000001  RFLAGS=0x0000000000000002
(XEN) DR6 = 0x00000000ffff0ff0, DR7 = 0x0000000000000400
(XEN) H_CR3 = 0x000000041b0c0000 CleanBits = 0xffffffff
(XEN)        sel attr  limit   base
(XEN)   CS: 0008 0c9b ffffffff 0000000000000000
(XEN)   DS: 0010 0c93 ffffffff 0000000000000000
(XEN) GDTR: 0000 0000 00000027 0000000000103000
(XEN)   TR: 0000 008b 00000067 0000000000000000
"""
CRASH = """\
(XEN) d0v0 Triple fault - invoking HVM shutdown action 1
(XEN) *** Dumping Dom0 vcpu#0 state: ***
(XEN) RIP:    0008:[<0000000000100020>]
(XEN) RFLAGS: 0000000000010002   CONTEXT: hvm guest (d0v0)
(XEN) rax: 0000000000000001   rbx: 0000000000105004   rcx: 0000000000000000
(XEN) r15: 0000000000000000   cr0: 0000000000000011   cr4: 0000000000000000
(XEN) cr3: 0000000000000000   cr2: 0000000000000000
(XEN) fsb: 0000000000000000   gsb: 0000000000000000   gss: 0000000000000000
(XEN) ds: 0010   es: 0010   fs: 0000   gs: 0000   ss: 0010   cs: 0008
"""


def _number(value: int, width: int, digits: int) -> str:
    """What `%#W.Dx` of printf gives."""
    return f"{'0x' if value else ''}{value:0{digits}x}".rjust(width)


def hvmctx(dom: int = 3, vcpus: int = 1, **registers: int) -> str:
    """What xen-hvmctx prints of a PVH domain that has not run, with other values in some registers;
    made up here after its source, never captured."""
    names = "rax rbx rcx rdx rbp rsi rdi rsp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags"
    values = dict.fromkeys((*names.split(), *(f"{k}r{n}" for k in "cd" for n in range(8))), 0)
    values |= {"rbx": 0x119000, "rip": 0x100020, "rflags": 2, "cr0": 0x11, "dr6": 0xFFFF0FF0}
    values |= {"dr7": 0x400, **registers}
    pairs = (
        "rax rbx,rcx rdx,rbp rsi,rdi rsp,r8 r9,r10 r11,r12 r13,r14 r15,rip rflags,cr0 cr2,cr3 cr4"
    )
    rows = [pair.split() for pair in f"{pairs},dr0 dr1,dr2 dr3,dr6 dr7".split(",")]
    out = [f"HVM save record for domain {dom}", "Entry 0: type 1 instance 0, length 24"]
    out += ["     Header: magic 0x54381286, version 2", "             Xen changeset 0"]
    for vcpu in range(vcpus):
        out.append(f"Entry {1 + vcpu}: type 2 instance {vcpu}, length 1032")
        for first, second in rows:
            lead = "    CPU:" if first == "rax" else ""
            value, other = f"0x{values[first]:016x}", f"0x{values[second]:016x}"
            out.append(f"{lead:<11}{first:>4} {value} {second:>7} {other}")
        for name in ("cs", "es", "ds", "fs", "gs", "ss", "tr", "ldtr"):
            limit = 0x67 if name == "tr" else 0 if name == "ldtr" else 0xFFFFFFFF
            attr = {"cs": 0xC9B, "tr": 0x8B, "ldtr": 0}.get(name, 0xC93)
            digits = 4 if name in ("tr", "ldtr") else 8
            hidden = f"({_number(0, 18, 8)} + {_number(limit, 10, digits)} / {_number(attr, 7, 4)})"
            out.append(f"{name:>15} {_number(0, 6, 4)} {hidden}")
        for name in ("idtr", "gdtr"):
            out.append(f"{name:>15}        ({_number(0, 18, 8)} + {_number(0, 10, 4)})")
        zero = _number(values.get("efer", 0), 18, 8)
        out.append(f"    sysenter cs 0x{0:08x}  eip 0x{0:016x}  esp 0x{0:016x}")
        out.append(f"      shadow gs {_number(0, 18, 16)}   efer {zero}")
        out.append(f"            tsc 0x{0x1234:016x}")
        out.append(f"          event 0x{0:08x} error 0x{0:08x}")
    out += [f"Entry {1 + vcpus}: type 0 instance 0, length 0", ""]
    return "\n".join(out)
