"""Xen's functions and their instructions: from the symbols Debian ships beside the image."""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from pvhspec.targets import MissingTool, debian, locate_xen
from pvhspec.targets.probe import cache_dir
from pvhspec.targets.xen import VERSIONS

__all__ = ["Instruction", "Xen"]

_TEXT = 0xFFFF82D040200000  # where Xen is linked to; the image begins with the same bytes
_LINE = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*(?:\t(.*))?$")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One machine instruction of a function; `function` is its name, `at` its place in that."""

    function: str
    at: int
    address: int
    code: bytes
    text: str


class Xen:
    """A release of Xen: its image, and its functions by name."""

    def __init__(self, release: str) -> None:
        self.release = release
        self.image = locate_xen(release).read_bytes()
        self.symbols = _symbols(release)
        self._names = _functions(self.symbols)
        self._text = _offset_of_text(self.image)
        self._check()

    def _check(self) -> None:
        """The image and the symbols are of one build."""
        function = self._names["evtchn_close"]
        for one in self.instructions("evtchn_close"):
            at = self.offset(one.address)
            if self.image[at : at + len(one.code)] != one.code:
                raise MissingTool(
                    f"Xen {self.release}: image and symbols are of different builds "
                    f"({function[0]:#x})",
                    "remove the older of the two from the cache of pvhspec and run again",
                )

    def offset(self, address: int) -> int:
        """Where an address of Xen lies in the image file."""
        return self._text + address - _TEXT

    def has(self, function: str) -> bool:
        """Whether there is such a function."""
        return function in self._names

    def instructions(self, function: str) -> list[Instruction]:
        """The instructions of a function."""
        start, end = self._names[function]
        listing = subprocess.run(
            ["objdump", "-d", "-w", f"--start-address={start}", f"--stop-address={end}",
             str(self.symbols)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        found = []
        for line in listing.splitlines():
            match = _LINE.match(line)
            if match is not None and match[3]:
                address = int(match[1], 16)
                text = " ".join(match[3].split())
                code = bytes.fromhex(match[2])
                found.append(Instruction(function, address - start, address, code, text))
        return found

    def patched(self, address: int, code: bytes, into: Path) -> Path:
        """The image with other bytes at an address, as a file."""
        at = self.offset(address)
        data = bytearray(self.image)
        data[at : at + len(code)] = code
        into.write_bytes(data)
        return into


def _offset_of_text(image: bytes) -> int:
    """File offset of the first loaded segment of the 32-bit ELF image."""
    (table,) = struct.unpack_from("<I", image, 28)
    (offset,) = struct.unpack_from("<I", image, table + 4)
    return int(offset)


@cache
def _symbols(release: str) -> Path:
    kept = cache_dir() / f"xen-syms-{release}-amd64"
    if not kept.exists():
        package = f"xen-hypervisor-{release}-amd64-dbg"
        member = f"usr/lib/debug/boot/xen-syms-{release}-amd64"
        kept.write_bytes(debian.fetch(VERSIONS[release], package, member))
    return kept


def _functions(symbols: Path) -> dict[str, tuple[int, int]]:
    """(start, end) of every function."""
    listing = subprocess.run(
        ["nm", "-n", str(symbols)], capture_output=True, text=True, check=True
    ).stdout
    found: list[tuple[int, str]] = []
    for line in listing.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1] in "tT":
            found.append((int(parts[0], 16), parts[2]))
    starts = sorted({address for address, _ in found})
    after = dict(pairwise(starts))
    return {name: (address, after.get(address, address)) for address, name in found}
