"""Xen's public headers, as a compiler lays them out: structures in both widths, and constants.

The headers are those of Debian's package libxen-dev. Structures are read from the debugging
information of an object file that includes all headers; constants are compiled into an array.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["FOLDER", "Layout", "constants", "layouts", "macros", "missing"]

FOLDER = Path("/usr/include/xen")
PACKAGE = "libxen-dev"
#: Headers that others need first; the rest follow by name.
_FIRST = ("xen.h", "version.h", "memory.h", "event_channel.h", "grant_table.h", "physdev.h")
#: What is not a guest's, not x86's, or is never included by itself.
_NOT = (
    "arch-arm*", "arch-x86_*", "arch-x86/xen-x86_*", "arch-x86/hvm/save.h", "hvm/save.h",
    "arch-x86/cpufeatureset.h", "device_tree_defs.h", "dom0_ops.h", "evtchn.h", "gntalloc.h",
    "gntdev.h", "privcmd.h", "foreign/*", "sys/*", "io/libxenvchan.h", "arch-arm/*",
    "arch-x86/guest-acpi.h", "hvm/pvdrivers.h", "vm_event.h", "xen-compat.h",
)  # fmt: skip


@dataclass(slots=True)
class Layout:
    """A structure or union: size, and its members by path (`u.port`), each with offset, size of
    one element, and how many there are."""

    size: int
    members: dict[str, tuple[int, int, int]] = field(default_factory=dict)


def missing() -> str | None:
    """What this machine lacks, as the command that brings it."""
    if not FOLDER.is_dir():
        return f"apt install {PACKAGE}"
    tools = [name for name in ("gcc", "objcopy", "readelf") if shutil.which(name) is None]
    return f"apt install gcc binutils (no {tools[0]})" if tools else None


def _source() -> str:
    every = sorted(p.relative_to(FOLDER) for p in FOLDER.rglob("*.h"))
    rest = [p for p in every if not any(p.match(no) for no in _NOT) and str(p) not in _FIRST]
    lines = ["#include <stddef.h>", "#include <stdint.h>", "#define __XEN_TOOLS__ 1"]
    return "\n".join([*lines, *(f"#include <xen/{name}>" for name in (*_FIRST, *rest)), ""])


def _run(*words: str | Path, text: str = "") -> str:
    done = subprocess.run(
        [str(word) for word in words], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]
    return done.stdout


# ---- constants -----------------------------------------------------------------------------------


@cache
def macros() -> frozenset[str]:
    """The names of all macros without parameters."""
    listed = _run("gcc", "-ffreestanding", "-E", "-dM", "-x", "c", "-", text=_source())
    return frozenset(re.findall(r"^#define (\w+) \S", listed, re.MULTILINE))


def constants(names: Iterable[str]) -> dict[str, int | None]:
    """The values of macros and enumerators; None where the headers have no such name."""
    known = {name: (name if name in macros() else _enumerator(name)) for name in names}
    wanted = [name for name, value in known.items() if isinstance(value, str)]
    values = dict(zip(wanted, _compiled(tuple(wanted)), strict=True))
    return {n: values[n] if isinstance(v, str) else v for n, v in known.items()}


def _enumerator(name: str) -> int | None:
    return _debug(64)[1].get(name)


@cache
def _compiled(names: tuple[str, ...]) -> tuple[int, ...]:
    values = ", ".join(f"(unsigned long long)({name})" for name in names)
    with TemporaryDirectory() as folder:
        made, raw = Path(folder) / "made.o", Path(folder) / "raw"
        text = f"{_source()}\nunsigned long long values[] = {{ {values} }};\n"
        _run("gcc", "-ffreestanding", "-m64", "-c", "-x", "c", "-", "-o", made, text=text)
        _run("objcopy", "-O", "binary", "-j", ".data", made, raw)
        data = raw.read_bytes()
    return tuple(int.from_bytes(data[i : i + 8], "little") for i in range(0, 8 * len(names), 8))


# ---- structures ----------------------------------------------------------------------------------


def layouts(width: int) -> dict[str, Layout]:
    """Structures and unions of a 64- or 32-bit guest, by tag and by the names `typedef` gives."""
    return _debug(width)[0]


@dataclass(slots=True)
class _Entry:
    """One entry of the debugging information."""

    tag: str
    level: int
    values: dict[str, str] = field(default_factory=dict)
    inner: list[_Entry] = field(default_factory=list)

    def number(self, name: str) -> int:
        return int(self.values.get(name, "0").split()[0], 0)

    @property
    def name(self) -> str | None:
        return self.values.get("name")

    @property
    def type(self) -> str:
        return self.values.get("type", "")


_HEAD = re.compile(r" <(\d+)><([0-9a-f]+)>: Abbrev Number: \d+ \(DW_TAG_(\w+)\)")
_FORM = re.compile(r"^(?:\([^()]*\):?\s*)+")  # in which form a value is kept
_VALUE = re.compile(r"    <[0-9a-f]+>   DW_AT_(\w+)\s*: (.*)")


@cache
def _debug(width: int) -> tuple[dict[str, Layout], dict[str, int]]:
    with TemporaryDirectory() as folder:
        made = Path(folder) / "made.o"
        flags = ("-ffreestanding", "-fno-eliminate-unused-debug-types", "-g", "-gdwarf-4")
        _run("gcc", f"-m{width}", *flags, "-c", "-x", "c", "-", "-o", made, text=_source())
        entries = _entries(_run("readelf", "--wide", "--debug-dump=info", made))
    found: dict[str, Layout] = {}
    numbers: dict[str, int] = {}
    for entry in entries.values():
        if entry.tag == "enumerator" and entry.name is not None:
            numbers[entry.name] = entry.number("const_value")
        kind = _resolved(entry, entries)
        if entry.name is None:
            continue
        if entry.tag == "typedef" and kind is None and _is_array(entry, entries):
            size, count = _size(entry, entries)
            found[entry.name] = Layout(size * count)
        if kind is None or "byte_size" not in kind.values:
            continue
        if entry.tag in ("structure_type", "union_type", "typedef") and kind.inner:
            layout = Layout(kind.number("byte_size"))
            layout.members.update(_members(kind, entries, "", 0))
            # A tag before a name that `typedef` gives to another.
            if entry.tag != "typedef" or entry.name not in found:
                found[entry.name] = layout
    return found, numbers


def _entries(text: str) -> dict[str, _Entry]:
    found: dict[str, _Entry] = {}
    above: list[_Entry] = []
    for line in text.splitlines():
        if head := _HEAD.match(line):
            entry = _Entry(head[3], int(head[1]))
            found[head[2]] = entry
            del above[entry.level :]
            if above:
                above[-1].inner.append(entry)
            above.append(entry)
        elif above and (value := _VALUE.match(line)):
            above[-1].values[value[1]] = _FORM.sub("", value[2]).strip()
    return found


def _target(entry: _Entry, entries: dict[str, _Entry]) -> _Entry | None:
    return entries.get(entry.type.partition(",")[0].strip("<>").removeprefix("0x"))


def _resolved(entry: _Entry | None, entries: dict[str, _Entry]) -> _Entry | None:
    """What a name stands for in the end."""
    while entry is not None and entry.tag in ("typedef", "const_type", "volatile_type"):
        entry = _target(entry, entries)
    if entry is None or entry.tag not in ("structure_type", "union_type"):
        return None
    return entry


def _members(
    entry: _Entry, entries: dict[str, _Entry], path: str, start: int
) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for member in entry.inner:
        if member.tag != "member":
            continue
        at = start + member.number("data_member_location")
        name = path if member.name is None else f"{path}.{member.name}".lstrip(".")
        kind = _target(member, entries)
        if member.name is not None:
            size, count = _size(kind, entries)
            yield name, (at, size, count)
        inner = _resolved(kind, entries)
        if inner is not None:
            yield from _members(inner, entries, name, at)


def _is_array(entry: _Entry | None, entries: dict[str, _Entry]) -> bool:
    while entry is not None and entry.tag in ("typedef", "const_type", "volatile_type"):
        entry = _target(entry, entries)
    return entry is not None and entry.tag == "array_type"


def _size(entry: _Entry | None, entries: dict[str, _Entry]) -> tuple[int, int]:
    """The size of one element of a type, and how many there are."""
    while entry is not None and entry.tag in ("typedef", "const_type", "volatile_type"):
        entry = _target(entry, entries)
    if entry is None:
        return 0, 0
    if entry.tag != "array_type":
        return entry.number("byte_size"), 1
    count = 1
    for bound in entry.inner:
        if bound.tag == "subrange_type":
            count *= bound.number("upper_bound") + 1 if "upper_bound" in bound.values else 0
    size, inner = _size(_target(entry, entries), entries)
    return size, count * inner
