"""A Xen image to boot: the file the user gives, or a release fetched from Debian and kept."""

from __future__ import annotations

import os
import re
import struct
import zlib
from hashlib import sha256
from pathlib import Path

from pvhspec.targets import debian
from pvhspec.targets.errors import BadImage
from pvhspec.targets.probe import cache_dir

__all__ = ["VERSIONS", "locate"]

#: Releases that can be fetched by name, and the Debian release that has each.
VERSIONS = {"4.14": "bullseye", "4.17": "bookworm", "4.20": "trixie"}

_RELEASE = re.compile(r"\d+\.\d+(\.\d+)?")
_MAX_IMAGE = 64 << 20  # bytes, unpacked; Xen is about 3 MiB
_MULTIBOOT_MAGIC = 0x1BADB002
_MULTIBOOT_WITHIN = 8192  # bytes: the header lies in the first so many of the file
_REMEDY = "give the hypervisor itself: xen-4.17-amd64.gz of a package, or xen/xen.gz of a build"


def locate(image: Path | str) -> Path:
    """A file that QEMU can boot as Xen, for a path or for a release name of `VERSIONS`.

    Raises BadImage where it is not Xen, MissingTool or TargetError where it cannot be fetched.
    """
    if isinstance(image, str) and _RELEASE.fullmatch(image) and not os.path.exists(image):
        if image not in VERSIONS:
            known = ", ".join(VERSIONS)
            raise BadImage(
                f"Xen {image} cannot be fetched by name; these can: {known}",
                "give the path of an image instead",
            )
        return _fetched(image)
    return _checked(Path(image))


def _fetched(release: str) -> Path:
    kept = cache_dir() / f"xen-{release}-amd64"
    if not kept.exists():
        name = f"xen-hypervisor-{release}-amd64"
        packed = debian.fetch(VERSIONS[release], name, f"boot/xen-{release}-amd64.gz")
        _keep(_unpacked(packed, f"{name} of Debian"), kept)
    return kept


def _checked(path: Path) -> Path:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise BadImage(f"{path} is not a file", _REMEDY)
        if size > _MAX_IMAGE:
            raise BadImage(f"{path} is not Xen: {size >> 20} MiB is far too large", _REMEDY)
        data = path.read_bytes()
    except OSError as error:
        raise BadImage(f"{path} cannot be read: {error.strerror}", _REMEDY) from None
    unpacked = _unpacked(data, str(path))
    if unpacked is data:
        return path.resolve()
    kept = cache_dir() / f"xen-{sha256(unpacked).hexdigest()[:16]}"
    if not kept.exists():
        _keep(unpacked, kept)
    return kept


def _unpacked(data: bytes, name: str) -> bytes:
    """The image, gunzipped if need be, after making sure that it is a Xen for multiboot."""
    if data[:2] == b"\x1f\x8b":
        try:
            stream = zlib.decompressobj(wbits=31)
            data = stream.decompress(data, _MAX_IMAGE)
        except zlib.error as error:
            raise BadImage(f"{name} is a damaged gzip file: {error}", _REMEDY) from None
        if not stream.eof:
            raise BadImage(f"{name} is not Xen: cut short, or far too large unpacked", _REMEDY)
    problem = _problem(data)
    if problem:
        raise BadImage(f"{name} is not a Xen that QEMU can boot: {problem}", _REMEDY)
    return data


def _problem(data: bytes) -> str:
    if not data:
        return "it is empty"
    if data[:2] == b"MZ":
        is_linux = data[514:518] == b"HdrS"
        return "it is a Linux kernel" if is_linux else "it is an EFI program (xen.efi)"
    if data[:4] != b"\x7fELF":
        return "it is not an ELF file"
    if b"Xen version %d.%d%s" not in data:
        return "it does not contain Xen's version text"
    if data[4:5] != b"\1":
        return "it is a 64-bit ELF file, as xen-syms is"
    if not _has_multiboot(data):
        return "it has no multiboot header"
    return ""


def _has_multiboot(data: bytes) -> bool:
    """Magic, flags and a checksum that makes the three sum to zero, 4-byte aligned."""
    head = data[: min(len(data), _MULTIBOOT_WITHIN) // 4 * 4]
    words = struct.unpack(f"<{len(head) // 4}I", head)
    return any(
        magic == _MULTIBOOT_MAGIC and (magic + flags + checksum) % (1 << 32) == 0
        for magic, flags, checksum in zip(words, words[1:], words[2:], strict=False)
    )


def _keep(data: bytes, path: Path) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_bytes(data)
    os.replace(part, path)
