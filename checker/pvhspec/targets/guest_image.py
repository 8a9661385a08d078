"""Any PVH kernel: the file the user gives or Debian's, and what a loader reads from it, also where
a bzImage holds it packed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
from pathlib import Path
from typing import Any

from pvhspec.targets import debian
from pvhspec.targets.elf import read_image
from pvhspec.targets.errors import BadImage
from pvhspec.targets.probe import cache_dir

__all__ = ["LINUX", "image_event", "locate_guest"]

#: The name that stands for Debian's kernel, and the release of Debian it is of.
LINUX = "linux"
_LINUX_OF = "bookworm"

#: Linux's boot protocol: the setup header of a bzImage (Documentation/arch/x86/boot.rst).
_SETUP_SECTORS, _HEADER_MAGIC, _PAYLOAD = 0x1F1, 0x202, 0x248
_SECTOR = 512
_UNPACK = {b"\xfd7zXZ": lzma.decompress, b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress,
           b"\x5d\x00\x00": lzma.decompress}  # fmt: skip


def locate_guest(guest: Path | str) -> Path:
    """A kernel's file, for a path or for `LINUX`, which is fetched once and kept.

    Raises BadImage where it cannot be read, MissingTool or TargetError where it cannot be fetched.
    """
    if str(guest) == LINUX and not os.path.exists(guest):
        kept = cache_dir() / f"{LINUX}-{_LINUX_OF}"
        if not kept.exists():
            data = debian.fetch(_LINUX_OF, "linux-image-amd64", "boot/vmlinuz-*", by_name_only=True)
            part = kept.with_name(f"{kept.name}.{os.getpid()}")
            part.write_bytes(data)
            os.replace(part, kept)
        return kept
    path = Path(guest)
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_MAGIC + 4)
    except OSError as error:
        raise BadImage(f"{guest} cannot be read: {error.strerror}") from None
    if start[:4] != b"\x7fELF" and start[_HEADER_MAGIC:] != b"HdrS":
        raise BadImage(
            f"{guest} is not a kernel that Xen starts as PVH dom0",
            "give a vmlinux, a vmlinuz (bzImage) or another ELF file with a PVH entry",
        )
    return path


def image_event(file: bytes) -> dict[str, Any] | None:
    """The `image` event of traces/format.md, without `seq`; None where the file cannot be looked
    into (a bzImage packed by what Python does not have, such as zstd) or has no PVH entry."""
    try:
        data = file if file[:4] == b"\x7fELF" else _payload(file)
        image = None if data is None else read_image(data)
        return None if image is None else image.event()
    except (struct.error, IndexError, OSError, EOFError, ValueError, lzma.LZMAError):
        return None


def _payload(file: bytes) -> bytes | None:
    if file[_HEADER_MAGIC : _HEADER_MAGIC + 4] != b"HdrS":
        return None
    start, length = struct.unpack_from("<II", file, _PAYLOAD)
    start += ((file[_SETUP_SECTORS] or 4) + 1) * _SECTOR
    packed = file[start : start + length]
    for magic, unpack in _UNPACK.items():
        if packed.startswith(magic):
            # The last four bytes are the size unpacked, for formats that do not hold it.
            return unpack(packed if magic == b"\x1f\x8b" else packed[:-4])
    return None
