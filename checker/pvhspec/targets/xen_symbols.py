"""Where Xen's functions lie, from the symbol table that every Xen carries inside itself.

Xen prints names in a backtrace, so its image holds all of its symbols, packed as
xen/tools/symbols.c packs them: `symbols_offsets`, their number, `symbols_names` (a length, and that
many bytes, each standing for a token), `symbols_markers` (where every 256th name begins),
`symbols_token_table`, `symbols_token_index`. The tables have no name in a stripped image; they are
known by their shape. So any image will do, no debug package is needed.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from pvhspec.targets.errors import BadImage

__all__ = ["XenSymbols", "read_symbols"]

_TOKENS = 256
_PER_MARKER = 256
_TEXT_SEGMENT = 1  # PT_LOAD
#: Xen's own addresses: the first bits of them, and how much lies below one base.
_XEN_TOP = 0xFFFF82D0
_BASE_ALIGN = 1 << 30
_VMRUN = b"\x0f\x01\xd8"
_REMEDY = "give an image as a build or a package has it, not one that was cut or packed"


@dataclass(frozen=True, slots=True)
class XenSymbols:
    """Virtual addresses: of functions by name, and of the one VMRUN instruction (None if there is
    not exactly one)."""

    functions: dict[str, int]
    vmrun: int | None

    def address(self, name: str) -> int:
        """Where the function begins. Raises BadImage where Xen has none of this name."""
        found = self.functions.get(name)
        if found is None:
            raise BadImage(f"this Xen has no function {name}", "guests need CONFIG_HVM")
        return found


def read_symbols(image: bytes) -> XenSymbols:
    """The symbols of an unpacked image that QEMU boots. Raises BadImage where there are none."""
    try:
        start, physical, size = _loaded(image)
        data = image[start : start + size]
        base = _base(data)
        functions = {name: base + offset for name, offset in _symbols(data).items()}
    except (struct.error, IndexError, StopIteration, ValueError):
        raise BadImage("Xen's own symbol table was not found in the image", _REMEDY) from None
    found = [m.start() for m in re.finditer(re.escape(_VMRUN), data)]
    vmrun = base + physical + found[0] if len(found) == 1 else None
    return XenSymbols(functions, vmrun)


def _loaded(image: bytes) -> tuple[int, int, int]:
    """(place in the file, physical address, size) of the first segment of a 32-bit ELF file."""
    (table,) = struct.unpack_from("<I", image, 28)
    size, count = struct.unpack_from("<HH", image, 42)
    headers = (struct.unpack_from("<6I", image, table + size * n) for n in range(count))
    return next((h[1], h[3], h[4]) for h in headers if h[0] == _TEXT_SEGMENT)


def _base(data: bytes) -> int:
    """XEN_VIRT_START, which differs by release: that of most pointers in the image."""
    words = struct.unpack_from(f"<{len(data) // 8}Q", data)
    seen: Counter[int] = Counter(word & -_BASE_ALIGN for word in words if word >> 32 == _XEN_TOP)
    return max(seen, key=lambda base: seen[base])


def _symbols(data: bytes) -> dict[str, int]:
    """Offsets from XEN_VIRT_START by name; a static function's has no file before it."""
    at, tokens = _tokens(data)
    markers_at, markers = _markers(data, at)
    count_at, names_at, count = _names(data, markers_at, markers)
    offsets = struct.unpack_from(f"<{count}I", data, count_at - 4 * count)
    result: dict[str, int] = {}
    at = names_at
    for offset in offsets:
        length = data[at]
        name = b"".join(tokens[code] for code in data[at + 1 : at + 1 + length])
        at += 1 + length
        # The first letter is nm's type; a static symbol is called file#name.
        result.setdefault(name[1:].rpartition(b"#")[2].decode("latin-1"), offset)
    return result


def _tokens(data: bytes) -> tuple[int, list[bytes]]:
    """(where the token table begins, the tokens): 256 texts, then where each of them begins."""
    for found in re.finditer(rb"\0\0[\x02-\x40]\0", data):
        index_at = found.start()
        index = struct.unpack_from(f"<{_TOKENS}H", data, index_at)
        if not all(a < b <= a + 64 for a, b in pairwise(index)):
            continue
        for pad in range(16):
            # The table ends before the index; how long the last text is shows where it began.
            last_end = index_at - pad
            begin = data.rfind(b"\0", 0, last_end - 1) + 1 - index[-1]
            ends = [*index[1:], last_end - begin]
            tokens = [data[begin + a : begin + b] for a, b in zip(index, ends, strict=True)]
            if all(t.endswith(b"\0") and 0 not in t[:-1] and len(t) > 1 for t in tokens):
                return begin, [t[:-1] for t in tokens]
    raise ValueError("no token table")


def _markers(data: bytes, end: int) -> tuple[int, list[int]]:
    """(where they begin, the markers): 32-bit numbers that rise from 0, up to the token table."""
    at = (end & -4) - 4
    (value,) = struct.unpack_from("<I", data, at)
    while value == 0:  # what aligns the next table
        at -= 4
        (value,) = struct.unpack_from("<I", data, at)
    markers = [value]
    while value:
        at -= 4
        (before,) = struct.unpack_from("<I", data, at)
        if before >= value:
            raise ValueError("no markers")
        markers.append(before)
        value = before
    return at, markers[::-1]


def _names(data: bytes, end: int, markers: list[int]) -> tuple[int, int, int]:
    """(where the count is, where the names begin, how many there are)."""
    most = len(markers) * _PER_MARKER
    for count_at in range((end - markers[-1]) & -4, max(0, end - markers[-1] - (1 << 16)), -4):
        (count,) = struct.unpack_from("<I", data, count_at)
        if not most - _PER_MARKER < count <= most:
            continue
        for names_at in (count_at + 4, count_at + 8):
            if _fits(data, names_at, markers):
                return count_at, names_at, count
    raise ValueError("no names")


def _fits(data: bytes, names_at: int, markers: list[int]) -> bool:
    """Whether every marker is the beginning of a name."""
    at = names_at
    for marker in markers[1:3]:
        for _ in range(_PER_MARKER):
            at += 1 + data[at]
        if at - names_at != marker:
            return False
    return True
