"""How formats are told apart: by the first bytes of a file. Patterns are compiled when needed."""

from __future__ import annotations

import re

__all__ = [
    "is_arrow",
    "is_console",
    "is_debugcon",
    "is_gdbstub_json",
    "is_hvmctx",
    "is_json_lines",
    "is_kept_steps",
    "is_kvm_text",
    "is_parquet",
    "is_qemu_trace",
    "is_singlestep",
    "is_small_vmm",
    "is_trace_dat",
    "is_xentrace",
    "said_only",
]


def is_json_lines(head: bytes) -> bool:
    """pvhspec's own."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") and b"\0" not in head


def is_arrow(head: bytes) -> bool:
    """Arrow's file format."""
    return head.startswith(b"ARROW1\0\0")


def is_parquet(head: bytes) -> bool:
    """Parquet, not encrypted."""
    return head.startswith(b"PAR1")


def is_gdbstub_json(head: bytes) -> bool:
    """An entry state that was taken through QEMU's debugger stub."""
    return b'"source"' in head[:64] and b'"qemu-gdbstub"' in head[:64]


def is_small_vmm(head: bytes) -> bool:
    """What the small VMM wrote: it begins with what KVM can do."""
    return head.startswith(b'{"ev":"cap",')


def is_kept_steps(head: bytes) -> bool:
    """What was kept of a single-step log."""
    return head.startswith(b'{"seq":') and b'"src": "qemu-tcg-log"' in head[:64]


def is_debugcon(head: bytes) -> bool:
    """Port 0x402 from the machine's start on: the firmware speaks first."""
    return head.startswith(b"SeaBIOS (version ")


def is_hvmctx(head: bytes) -> bool:
    """What `xen-hvmctx` prints."""
    return head.startswith(b"HVM save record for domain ")


def is_xentrace(head: bytes) -> bool:
    """A window of a physical CPU: event 0x1f003, two words, no time stamp."""
    return head.startswith(b"\x03\xf0\x01\x20")


def is_trace_dat(head: bytes) -> bool:
    """What `trace-cmd record` writes."""
    return head.startswith(b"\x17\x08\x44tracing")


def is_kvm_text(head: bytes) -> bool:
    """`trace` of tracefs, `trace-cmd report`, `perf script`."""
    if head.startswith(b"# tracer:"):
        return True
    return bool(re.search(rb"(?m)^.*\[\d+\].* \d+\.\d{6,9}: +(?:[a-z_]+:)?[a-z_]+: ", head))


def is_qemu_trace(head: bytes) -> bool:
    """`-trace 'kvm_xen_*'`, with or without process and time before each event."""
    return bool(re.search(rb"(?m)^(?:\d+@\d+\.\d+:)?(?:kvm_xen_|xen_bus_|xenstore_)\w+ ", head))


def is_singlestep(head: bytes) -> bool:
    """`-d in_asm,cpu`: code that is translated, registers, and SVM's comings and goings."""
    if b"\0" in head:
        return False
    dump = rb"(?m)^(?:EAX|RAX)=[0-9a-f]{8,16} (?:EBX|RBX)=[0-9a-f]{8}"
    return bool(
        re.search(rb"(?m)^vmrun! [0-9a-f]{16}\r?$", head)
        or re.search(dump, head)
        or head.startswith(b"----------------\nIN: ")
    )


def is_console(head: bytes) -> bool:
    """What Xen, or a guest of it, prints."""
    lines = rb"(?m)^(?:\(XEN\) |\(d\d+\) |\[ +\d+\.\d{6}\] |Solo5: Xen )"
    return bool(re.search(lines, head)) and b"\0" not in head


def said_only(head: bytes) -> bool:
    """What content cannot tell: somebody has to say it."""
    return False
