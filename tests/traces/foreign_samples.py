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
