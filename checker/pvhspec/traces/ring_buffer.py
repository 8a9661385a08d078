"""Pages of the kernel's trace ring buffer, and the formats that say what is in an event.

A page has the time of its first event, a word that says how much of it is used and whether events
were lost before it, and events: 5 bits for length or type, 27 for the time since the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from struct import Struct
from typing import NamedTuple

__all__ = ["Entry", "EventFormat", "PageLayout", "entries", "event_format", "page_layout"]

_FIELD = re.compile(
    r"\tfield:[^;]{0,200}?\b(\w{1,60})(?:\[[^\]]{0,20}\])?;"
    r"\toffset:(\d{1,6});\tsize:(\d{1,6});(?:\tsigned:([01]);)?"
)
_NAME, _ID = re.compile(r"name: (\w{1,80})\n"), re.compile(r"\nID: (\d{1,6})\n")
_U32 = Struct("<I")
_PADDING, _EXTENDED, _ABSOLUTE = 29, 30, 31
_LENGTH = (1 << 20) - 1  # bits of the second word of a page
_MISSED, _COUNTED = 1 << 31, 1 << 30


class Field(NamedTuple):
    """Where a number is in an event."""

    offset: int
    size: int
    signed: bool

    def of(self, data: bytes) -> int | None:
        """Its value, None where the event is too short for it."""
        part = data[self.offset : self.offset + self.size]
        if len(part) < self.size or self.size > 8:
            return None
        return int.from_bytes(part, "little", signed=self.signed)


class EventFormat(NamedTuple):
    """One kind of event of the kernel that wrote the trace."""

    name: str
    number: int
    fields: Mapping[str, Field]

    def values(self, data: bytes) -> dict[str, int]:
        """The numbers in one event, as far as it has them."""
        found = ((name, field.of(data)) for name, field in self.fields.items())
        return {name: value for name, value in found if value is not None}


class PageLayout(NamedTuple):
    """Where on a page the word that says how much is used is, and where the events begin."""

    commit: Field = Field(8, 8, False)
    data: int = 16


class Entry(NamedTuple):
    """One event on a page, or where events were lost (`lost`, 0 if nobody counted)."""

    ts: int
    data: bytes
    lost: int | None = None


def _fields(text: str) -> dict[str, Field]:
    return {
        name: Field(int(offset), int(size), signed == "1")
        for name, offset, size, signed in _FIELD.findall(text)
    }


def event_format(text: str) -> EventFormat | None:
    """What a `format` file of tracefs says, None if it is none."""
    name, number = _NAME.match(text), _ID.search(text)
    if name is None or number is None:
        return None
    return EventFormat(name[1], int(number[1]), _fields(text))


def page_layout(text: str) -> PageLayout:
    """What `header_page` of tracefs says."""
    fields = _fields(text)
    known = PageLayout()
    commit, data = fields.get("commit", known.commit), fields.get("data")
    return PageLayout(commit, known.data if data is None else data.offset)


def entries(page: bytes, layout: PageLayout) -> Iterator[Entry]:
    """The events of one page. What does not fit on it ends it."""
    commit = layout.commit.of(page)
    if commit is None or len(page) < layout.data:
        return
    ts = int.from_bytes(page[:8], "little")
    end = min(layout.data + (commit & _LENGTH), len(page))
    if commit & _MISSED:
        count = int.from_bytes(page[end : end + 8], "little") if commit & _COUNTED else 0
        yield Entry(ts, b"", count)
    at = layout.data
    while at + 4 <= end:
        (head,) = _U32.unpack_from(page, at)
        kind, delta = head & 31, head >> 5
        at += 4
        if kind == _PADDING and delta == 0:
            return
        length = 4 * kind
        if kind == 0 or kind >= _PADDING:
            if at + 4 > end:
                return
            (word,) = _U32.unpack_from(page, at)
            if kind == _EXTENDED:
                ts += word << 27 | delta
                at += 4
                continue
            if kind == _ABSOLUTE:
                ts = ts >> 59 << 59 | word << 27 | delta
                at += 4
                continue
            if kind == _PADDING:
                ts += delta
                at += max(word, 4)
                continue
            at, length = at + 4, (word - 4 + 3) & ~3
        ts += delta
        if length < 0 or at + length > end:
            return
        yield Entry(ts, page[at : at + length])
        at += length
