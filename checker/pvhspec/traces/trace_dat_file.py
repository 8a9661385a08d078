"""The container of `trace.dat`: where its formats, options and the data of each CPU are.

Version 6 has everything in one fixed order. Version 7 has sections, compressed or not, that options
point to, and the data of a CPU in chunks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from pvhspec.traces.plain import Read
from pvhspec.traces.ring_buffer import EventFormat, PageLayout, event_format, page_layout

__all__ = ["BadTraceDat", "Stream", "TraceDat"]

_MAGIC = b"\x17\x08\x44tracing"
_U32, _U64 = Struct("<I"), Struct("<Q")
_SECTION = Struct("<HHIQ")
_OPTION = Struct("<HI")
_MOST_SECTION = 64 << 20  # bytes of a section that is unpacked, or of the data of an option
_MOST_CHUNK = 16 << 20
_MOST_FORMAT = 1 << 20
_MOST = 1 << 20  # formats, CPUs, options: nobody has more
_NEXT, _BUFFER, _UNAME, _CPUSTAT, _HEADERS, _FORMATS = 0, 3, 5, 2, 16, 18


class BadTraceDat(Exception):
    """The file is cut, or is not put together like a trace.dat."""


class Stream(NamedTuple):
    """The data of one CPU."""

    cpu: int
    offset: int
    size: int
    packed: bool
    page: int


class _Cursor:
    """Reads one thing after the other, in a file or in what was unpacked."""

    def __init__(self, read: Read, at: int) -> None:
        self._read = read
        self.at = at

    def take(self, length: int, most: int = _MOST_SECTION) -> bytes:
        """So many bytes."""
        if length > most:
            raise BadTraceDat(f"a length of {length} bytes at byte {self.at}")
        data = self._read(self.at, length)
        if len(data) < length:
            raise BadTraceDat(f"it ends before byte {self.at + length}")
        self.at += length
        return data

    def u32(self) -> int:
        """A word."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """A double word."""
        return int(_U64.unpack(self.take(8))[0])

    def text(self) -> str:
        """A text that ends with a zero."""
        data = self._read(self.at, 256)
        end = data.find(b"\0")
        if end < 0:
            raise BadTraceDat(f"a text without end at byte {self.at}")
        self.at += end + 1
        return data[:end].decode("utf-8", "replace")

    def skip(self, length: int) -> None:
        """Pass over so many bytes."""
        self.at += length


def _of(data: bytes) -> _Cursor:
    return _Cursor(lambda at, length: data[at : at + length], 0)


class TraceDat:
    """What the file says of itself. Raises BadTraceDat where it says too little."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self.release = ""  #: of the kernel
        self.overrun = 0  #: events that were overwritten before they were read
        self.layout = PageLayout()
        self.formats: list[EventFormat] = []
        self.streams: list[Stream] = []
        self._compression = "none"
        self._page = 4096
        start = _Cursor(read, 0)
        if start.take(len(_MAGIC)) != _MAGIC:
            raise BadTraceDat("it does not begin like one")
        version = start.text()
        endian, _ = start.take(2)
        if endian:
            raise BadTraceDat("it is of a big-endian machine")
        self._page = start.u32()
        if version == "6":
            self._version_6(start)
        elif version == "7":
            self._compression = start.text()
            start.text()
            self._options_7(start.u64())
        else:
            raise BadTraceDat(f"it is of version {version[:20]}, not 6 or 7")

    def pages(self, stream: Stream) -> Iterator[bytes]:
        """The pages of one CPU, one after the other."""
        page = stream.page
        if not 0 < page <= _MOST_CHUNK:
            raise BadTraceDat(f"pages of {page} bytes")
        if not stream.packed:
            for at in range(0, stream.size, page):
                data = self._read(stream.offset + at, min(page, stream.size - at))
                if len(data) < min(page, stream.size - at):
                    raise BadTraceDat("it is cut")
                yield data
            return
        here = _Cursor(self._read, stream.offset)
        for _ in range(here.u32()):
            packed, unpacked = here.u32(), here.u32()
            if here.at + packed > self._size:
                raise BadTraceDat("it is cut")
            chunk = self._unpacked(here.take(packed, _MOST_CHUNK), unpacked, _MOST_CHUNK)
            for at in range(0, len(chunk), page):
                yield chunk[at : at + page]

    # ---- version 6 ------------------------------------------------------------------------------

    def _version_6(self, here: _Cursor) -> None:
        for name in ("header_page", "header_event"):
            if here.text() != name:
                raise BadTraceDat(f"it has no {name}")
            self._header(name, here)
        self._event_formats(here, systems=False)
        self._event_formats(here, systems=True)
        here.skip(here.u32())  # kallsyms
        here.skip(here.u32())  # printk formats
        here.skip(here.u64())  # names of processes
        cpus = here.u32()
        if cpus > _MOST:
            raise BadTraceDat(f"{cpus} CPUs")
        while (what := here.take(10)) == b"options  \0":
            for number, data in self._options(here):
                self._option(number, data)
        if what != b"flyrecord\0":
            raise BadTraceDat("it has no data of the ring buffer")
        for cpu in range(cpus):
            offset, size = here.u64(), here.u64()
            self.streams.append(Stream(cpu, offset, size, False, self._page))

    def _header(self, name: str, here: _Cursor) -> None:
        data = here.take(here.u64(), _MOST_FORMAT)
        if name == "header_page":
            self.layout = page_layout(data.decode("utf-8", "replace"))

    def _event_formats(self, here: _Cursor, systems: bool) -> None:
        """Formats of one system, or of all others with their names."""
        count = here.u32()
        if count > _MOST:
            raise BadTraceDat(f"{count} formats")
        for _ in range(count):
            if systems:
                name = here.text()
                inner = here.u32()
                if inner > _MOST:
                    raise BadTraceDat(f"{inner} formats")
                for _ in range(inner):
                    self._format(here, name == "kvm")
            else:
                self._format(here, False)

    def _format(self, here: _Cursor, taken: bool) -> None:
        size = here.u64()
        if not taken:
            if size > _MOST_SECTION:
                raise BadTraceDat(f"a format of {size} bytes")
            here.take(0)
            here.skip(size)
            return
        form = event_format(here.take(size, _MOST_FORMAT).decode("utf-8", "replace"))
        if form is not None:
            self.formats.append(form)

    # ---- options --------------------------------------------------------------------------------

    def _options(self, here: _Cursor) -> Iterator[tuple[int, bytes]]:
        for _ in range(_MOST):
            number = int.from_bytes(here.take(2), "little")
            if number == 0:
                return
            yield number, here.take(here.u32())
        raise BadTraceDat("its options have no end")

    def _option(self, number: int, data: bytes) -> None:
        if number == _UNAME:  # Linux host release machine
            words = data.rstrip(b"\0").decode("utf-8", "replace").split()
            self.release = words[2] if len(words) > 2 else ""
        elif number == _CPUSTAT:
            for line in data.decode("utf-8", "replace").splitlines():
                name, _, value = line.partition(": ")
                if name == "overrun" and value.strip().isdigit() and len(value) < 19:
                    self.overrun += int(value)

    # ---- version 7 ------------------------------------------------------------------------------

    def _options_7(self, at: int) -> None:
        seen: set[int] = set()
        while at and at not in seen and len(seen) < 1000:
            seen.add(at)
            here = self._section(at)
            at = 0
            for _ in range(_MOST):
                number, size = _OPTION.unpack(here.take(6))
                data = here.take(size)
                if number == _NEXT:
                    at = int.from_bytes(data[:8], "little")
                    break
                self._option(number, data)
                self._pointer(number, data)

    def _pointer(self, number: int, data: bytes) -> None:
        """An option that says where something is."""
        if number == _HEADERS:
            here = self._section(int.from_bytes(data[:8], "little"))
            for name in ("header_page", "header_event"):
                if here.text() == name:
                    self._header(name, here)
        elif number == _FORMATS:
            self._event_formats(self._section(int.from_bytes(data[:8], "little")), systems=True)
        elif number == _BUFFER:
            self._buffer(_of(data))

    def _buffer(self, option: _Cursor) -> None:
        section = option.u64()
        option.text()  # name
        option.text()  # clock
        page, cpus = option.u32(), option.u32()
        _, flags, _, _ = _SECTION.unpack(_Cursor(self._read, section).take(_SECTION.size))
        for _ in range(min(cpus, _MOST)):
            cpu, offset, size = option.u32(), option.u64(), option.u64()
            if size:
                self.streams.append(Stream(cpu, offset, size, bool(flags & 1), page))

    def _section(self, at: int) -> _Cursor:
        """A section's data, unpacked."""
        here = _Cursor(self._read, at)
        _, flags, _, _ = _SECTION.unpack(here.take(_SECTION.size))
        if not flags & 1:
            return here
        packed, unpacked = here.u32(), here.u32()
        return _of(self._unpacked(here.take(packed), unpacked, _MOST_SECTION))

    def _unpacked(self, data: bytes, size: int, most: int) -> bytes:
        if size > most:
            raise BadTraceDat(f"a compressed part of {size} bytes")
        try:
            whole = _UNPACK[self._compression](data, size)
        except KeyError:
            message = f"its compression is {self._compression[:20]}, not zlib or zstd"
            raise BadTraceDat(message) from None
        if len(whole) < size:
            raise BadTraceDat("a compressed part is damaged")
        return whole


def _zlib(data: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, max(size, 1))[:size]
    except zlib.error:
        return b""


def _zstd(data: bytes, size: int) -> bytes:
    import zstandard

    # Not `decompress`: it takes as much memory as the data says that it needs.
    reader = zstandard.ZstdDecompressor(max_window_size=_MOST_SECTION).stream_reader(data)
    try:
        return bytes(reader.read(size))
    except zstandard.ZstdError:
        return b""


_UNPACK = {"zlib": _zlib, "zstd": _zstd}
