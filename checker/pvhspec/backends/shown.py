"""What events show of tables: shared_info, FIFO words, stores and images as total maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvhspec.traces import Event

__all__ = ["STORED", "Map", "fifo_words", "image", "shared_info", "store"]

_LINK = (1 << 17) - 1  # bits of an event word that are its link
STORED = {
    "evtchn_pending": "PENDING_WORD",
    "evtchn_mask": "MASK_WORD",
    "evtchn_pending_sel": "SELECTOR_WORD",
    "evtchn_upcall_pending": "UPCALL_FLAG",
    "fifo_word": "FIFO_WORD",
    "fifo_ready": "FIFO_READY",
    "fifo_head": "FIFO_HEAD",
}


class Map(dict[tuple[int, ...], Any]):
    """A field that is a total map: what is listed, and `rest` for everything else (None where it
    was not seen)."""

    def __init__(self, rest: Any = None) -> None:
        super().__init__()
        self.rest = rest

    def get(self, index: Any, default: Any = None) -> Any:
        """The value at an index, None if it was not seen."""
        found = super().get(index)
        return self.rest if found is None else found


def shared_info(event: Event, fields: dict[str, Any]) -> None:
    """The words of shared_info, as single bits."""
    width = event.get("width") or 64
    fields["in_64"] = width == 64
    rest = False if event.get("all") else None
    for name in ("pending", "mask"):
        words = event.get(name)
        if words is not None:
            bits = Map(rest)
            for at, word in words.items():
                _bits(bits, (), at * width, width, word)
            fields[name] = bits
    upcall, selector = Map(), Map()
    for vcpu, info in (event.get("vcpus") or {}).items():
        if info is None:
            continue
        if info.get("upcall_pending") is not None:
            upcall[(vcpu,)] = bool(info["upcall_pending"])
        _bits(selector, (vcpu,), 0, 64, info.get("sel"))
    fields["upcall_pending"], fields["selector"] = upcall, selector


def fifo_words(event: Event, fields: dict[str, Any]) -> None:
    """The words of FIFO event channels and the vCPUs' control blocks."""
    bits = {"pending": 31, "masked": 30, "in_queue": 29, "busy": 28}
    maps: dict[str, Map] = {name: Map(False) for name in bits}
    link = fields["link"] = Map(0)
    for port, word in (event.get("words") or {}).items():
        for name, bit in bits.items():
            if word >> bit & 1:
                maps[name][(port,)] = True
        if word & _LINK:
            link[(port,)] = word & _LINK
    blocks, ready, heads = Map(False), Map(False), Map(0)
    for vcpu, block in (event.get("blocks") or {}).items():
        if block is None or block.get("ready") is None:
            continue
        blocks[(vcpu,)] = True
        _bits(ready, (vcpu,), 0, 16, block["ready"])
        for queue, port in (block.get("heads") or {}).items():
            heads[(vcpu, queue)] = port
    fields |= {**maps, "blocks": blocks, "ready_bits": ready, "heads": heads}


def store(words: Mapping[str, int], event: Event, fields: dict[str, Any]) -> None:
    """A word that Xen or the guest stored, by the name `words` (an enum) has for it."""
    width = event.get("width") or 64
    fields["in_64"] = width == 64
    what = event.get("what")
    fields["what"] = words.get(STORED.get(what, ""), 0)
    index, value = event.get("index"), event.get("value")
    fields["word"] = value
    if what == "fifo_word":
        fields["first"] = index
    elif what == "fifo_head" and index is not None:
        fields["vcpu"], fields["first"] = divmod(index, 16)
    elif what in ("evtchn_pending", "evtchn_mask") and index is not None:
        fields["first"], fields["last"] = index * width, index * width + width - 1
        fields["bits"] = bits = Map()
        _bits(bits, (), index * width, width, value)
    elif index is not None:
        fields["vcpu"] = index
        fields["words"] = words_map = Map(False if value is not None else None)
        _bits(words_map, (), 0, width, value)
        if value is not None:
            fields["flag"] = bool(value)


def image(event: Event, fields: dict[str, Any]) -> None:
    """The segments of a guest's image."""
    segments = event.get("segments")
    if segments is None:
        fields.pop("segments", None)
        return
    fields["segments"] = len(segments)
    for at, name in enumerate(("segment_gpa", "segment_size")):
        fields[name] = table = Map()
        for number, segment in enumerate(segments):
            table[(number,)] = segment[at]


def _bits(table: Map, before: tuple[int, ...], first: int, width: int, word: int | None) -> None:
    """A word as single bits."""
    for bit in range(width):
        if word is None:
            continue
        value = bool(word >> bit & 1)
        if value or table.rest is not False:
            table[(*before, first + bit)] = value
