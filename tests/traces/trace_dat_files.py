"""Files like trace-cmd writes them, of both versions, made up from values."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from struct import pack

import zstandard

__all__ = ["EVENTS", "PACK", "RUN", "call", "event", "page", "trace_dat"]

PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "zlib": zlib.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
_MAGIC = b"\x17\x08\x44tracing"
_PAGE = 4096
_UNAME = b"Linux host %s x86_64\0"
_LENGTHS = {1: "unsigned char", 4: "unsigned int", 8: "unsigned long"}

# Of each event the fields after the common ones, with their sizes, as Linux 6.12 has them.
EVENTS: dict[str, dict[str, int]] = {
    "kvm_entry": {"vcpu_id": 4, "rip": 8},
    "kvm_exit": {"exit_reason": 4, "guest_rip": 8, "isa": 4, "info1": 8, "info2": 8, "vcpu_id": 4},
    "kvm_xen_hypercall": {"cpl": 1, "nr": 8, **{f"a{n}": 8 for n in range(6)}},
    "kvm_cpuid": {"function": 4, "index": 4, **{f"r{n}x": 8 for n in "abcd"}},
    "kvm_msr": {"write": 4, "ecx": 4, "data": 8, "exc": 1},
    "kvm_cr": {"rw": 4, "cr": 4, "val": 8},
    "kvm_pio": {"rw": 4, "port": 4, "size": 4, "count": 4, "val": 4},
    "kvm_inj_virq": {"vector": 4, "soft": 1, "reinjected": 1},
    "kvm_eoi": {"vector": 4},
}
_NUMBER = {name: 1500 + place for place, name in enumerate(EVENTS)}


def _laid_out(name: str) -> list[tuple[str, int, int]]:
    at, rows = 8, []
    for field, size in EVENTS[name].items():
        at = (at + size - 1) // size * size
        rows.append((field, at, size))
        at += size
    return rows


def _format(name: str) -> bytes:
    common = [("common_type", 0, 2), ("common_flags", 2, 1), ("common_pid", 4, 4)]
    fields = "".join(
        f"\tfield:{_LENGTHS.get(size, 'unsigned short')} {field};\toffset:{at};\tsize:{size};"
        "\tsigned:0;\n"
        for field, at, size in [*common, *_laid_out(name)]
    )
    return f'name: {name}\nID: {_NUMBER[name]}\nformat:\n{fields}\nprint fmt: ""\n'.encode()


def event(name: str, delta: int, pid: int = 7, **values: int) -> bytes:
    """One event in the ring buffer, so many nanoseconds after the last."""
    rows = _laid_out(name)
    data = bytearray((rows[-1][1] + rows[-1][2] + 3) & ~3)
    data[:8] = pack("<HBBI", _NUMBER[name], 0, 0, pid)
    for field, at, size in rows:
        data[at : at + size] = values.get(field, 0).to_bytes(size, "little")
    words = len(data) // 4
    if delta >> 27:  # an extended time first
        return pack("<II", 30 | (delta & (1 << 27) - 1) << 5, delta >> 27) + event(
            name, 0, pid, **values
        )
    if words > 28:
        return pack("<II", delta << 5, len(data) + 4) + data
    return pack("<I", words | delta << 5) + data


def page(ts: int, *events: bytes, lost: int | None = None) -> bytes:
    """A page of the ring buffer; `lost` events are missing before it."""
    body = b"".join(events)
    commit = len(body) | (0 if lost is None else 1 << 31 | (1 << 30 if lost else 0))
    tail = pack("<Q", lost) if lost else b""
    return (pack("<QQ", ts, commit) + body + tail).ljust(_PAGE, b"\0")


def _option(number: int, data: bytes) -> bytes:
    return pack("<HI", number, len(data)) + data


def _header() -> bytes:
    fields = [("timestamp", 0, 8), ("commit", 8, 8), ("data", 16, 4080)]
    text = "".join(f"\tfield: u64 {n};\toffset:{a};\tsize:{s};\tsigned:0;\n" for n, a, s in fields)
    out = b""
    for name, data in ((b"header_page", text.encode()), (b"header_event", b"# compressed\n")):
        out += name + b"\0" + pack("<Q", len(data)) + data
    return out


def _formats() -> bytes:
    out = pack("<I", 1) + b"kvm\0" + pack("<I", len(EVENTS))
    for name in EVENTS:
        data = _format(name)
        out += pack("<Q", len(data)) + data
    return out


def trace_dat(
    cpus: Sequence[Sequence[bytes]], version: int = 7, compression: str = "zstd",
    release: str = "6.12.95", overrun: int = 0,
) -> bytes:  # fmt: skip
    """A whole file; for each CPU its pages."""
    start = _MAGIC + b"%d\0\0\x08" % version + pack("<I", _PAGE)
    known = _option(5, _UNAME % release.encode())
    known += _option(2, f"CPU: 0\nentries: 0\noverrun: {overrun}\n".encode())
    if version == 6:
        names = b"7 vmm\n"
        out = (
            start + _header() + pack("<I", 0) + _formats() + pack("<IIQ", 0, 0, len(names)) + names
        )
        out += pack("<I", len(cpus)) + b"options  \0" + known + bytes(2) + b"flyrecord\0"
        at = len(out) + 16 * len(cpus)
        for pages in cpus:
            size = _PAGE * len(pages)
            out += pack("<QQ", at, size)
            at += size
        return out + b"".join(page for pages in cpus for page in pages)
    packed = compression != "none"
    shrink = PACK[compression]

    def section(number: int, data: bytes) -> bytes:
        small = shrink(data)
        body = pack("<II", len(small), len(data)) + small if packed else data
        return pack("<HHIQ", number, packed, 0, len(body)) + body

    out = start + compression.encode() + b"\0" + b"1.0\0"
    fixed = len(out) + 8
    body, where = b"", {}
    for number, data in ((16, _header()), (18, _formats())):
        where[number] = fixed + len(body)
        body += section(number, data)
    buffer = fixed + len(body)
    body += pack("<HHIQ", 3, packed, 0, 0)
    rows = b""
    for cpu, pages in enumerate(cpus):
        at = fixed + len(body)
        data = b"".join(pages)
        if packed:
            chunks = [data[i : i + 2 * _PAGE] for i in range(0, len(data), 2 * _PAGE)]
            small = [shrink(chunk) for chunk in chunks]
            data = pack("<I", len(chunks)) + b"".join(
                pack("<II", len(s), len(c)) + s for s, c in zip(small, chunks, strict=True)
            )
        rows += pack("<IQQ", cpu, at, len(data))
        body += data
    first, second = fixed + len(body), 0
    pointers = b"".join(_option(number, pack("<Q", at)) for number, at in where.items())
    top = _option(3, pack("<Q", buffer) + b"\0local\0" + pack("<II", _PAGE, len(cpus)) + rows)
    last = _option(0, pack("<Q", 0))
    options = known + pointers
    second = first + 16 + len(options) + 14
    options += _option(0, pack("<Q", second))
    return b"".join(
        (
            out, pack("<Q", first), body,
            pack("<HHIQ", 0, 0, 0, len(options)), options,
            pack("<HHIQ", 0, 0, 0, len(top + last)), top, last,
        )
    )  # fmt: skip


def call(delta: int, pid: int, nr: int) -> bytes:
    """A hypercall, its arguments told by its number."""
    args = {f"a{n}": 10 * nr + n for n in range(6)}
    return event("kvm_xen_hypercall", delta, pid, nr=nr, cpl=0, **args)


#: Two CPUs: a guest's thread enters, calls, enters and calls; another leaves.
RUN = [
    [
        page(1000, event("kvm_entry", 0, 7, vcpu_id=0, rip=0x1000), call(10, 7, 32)),
        page(2000, event("kvm_entry", 5, 7, vcpu_id=0), call(5, 7, 24)),
    ],
    [page(1500, event("kvm_exit", 0, 8, vcpu_id=1, isa=2, exit_reason=0x72, guest_rip=9))],
]
