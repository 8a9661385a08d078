"""What is not a Xen is refused in one line that says why; what is, is found, gzipped or not."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from pvhspec.targets import BadImage, xen

MULTIBOOT = struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)
VERSION = b"Xen version %d.%d%s (%s@%s)"
XEN = b"\x7fELF\1\1\1" + bytes(57) + MULTIBOOT + bytes(100) + VERSION + bytes(100)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "data, why",
    [
        (b"", "it is empty"),
        (b"hello\n", "not an ELF file"),
        (b"MZ" + bytes(600), "EFI program"),
        (b"MZ" + bytes(512) + b"HdrS" + bytes(9), "Linux kernel"),
        (XEN.replace(VERSION, b"GNU Mach"), "version text"),
        (XEN.replace(MULTIBOOT, MULTIBOOT[:8] + bytes(4)), "no multiboot header"),
        (XEN.replace(b"ELF\1", b"ELF\2"), "64-bit ELF"),
        (gzip.compress(b"hello\n", mtime=0), "not an ELF file"),
        (gzip.compress(XEN, mtime=0)[:60], "damaged gzip|cut short"),
        (b"\x1f\x8b" + bytes(30), "damaged gzip"),
    ],
)
def test_not_xen(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(data)
    with pytest.raises(BadImage, match=why) as caught:
        xen.locate(path)
    assert caught.value.status == 2
    assert caught.value.remedy
    assert "\n" not in caught.value.message


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(100 << 20), 1))
    with pytest.raises(BadImage, match="far too large"):
        xen.locate(path)


def test_no_file_a_folder_and_an_unknown_release(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="No such file"):
        xen.locate(tmp_path / "none")
    with pytest.raises(BadImage, match="not a file"):
        xen.locate(tmp_path)
    with pytest.raises(BadImage, match=r"4\.14, 4\.17, 4\.20"):
        xen.locate("3.4")


def test_raw_and_gzipped(tmp_path: Path) -> None:
    raw, packed = tmp_path / "xen", tmp_path / "xen.gz"
    raw.write_bytes(XEN)
    packed.write_bytes(gzip.compress(XEN))
    assert xen.locate(raw) == raw
    assert xen.locate(str(packed)).read_bytes() == XEN
    assert xen.locate(packed) == xen.locate(packed)
