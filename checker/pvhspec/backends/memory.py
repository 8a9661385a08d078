"""Guest memory as far as a trace shows it."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["MemoryImage"]


class MemoryImage:
    """Pieces of memory by guest-physical address; what was recorded last counts."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[bytes] = []

    def add(self, address: int | None, raw: bytes | None) -> None:
        """Record a piece; pieces it covers in whole are dropped, others are cut."""
        if address is None or not raw:
            return
        end = address + len(raw)
        kept: list[tuple[int, bytes]] = [(address, raw)]
        for start, piece in zip(self._starts, self._pieces, strict=True):
            if start + len(piece) <= address or start >= end:
                kept.append((start, piece))
                continue
            if start < address:
                kept.append((start, piece[: address - start]))
            if start + len(piece) > end:
                kept.append((end, piece[end - start :]))
        kept.sort()
        self._starts = [s for s, _ in kept]
        self._pieces = [p for _, p in kept]

    def extended(self, address: int | None, raw: bytes | None) -> MemoryImage:
        """Another image with one more piece; this one stays as it is."""
        other = MemoryImage()
        other._starts, other._pieces = list(self._starts), list(self._pieces)
        other.add(address, raw)
        return other

    def read(self, address: int, size: int) -> bytes | None:
        """`size` bytes, None if any of them was not recorded."""
        found = b""
        while len(found) < size:
            at = address + len(found)
            i = bisect_right(self._starts, at) - 1
            if i < 0:
                return None
            piece = self._pieces[i][at - self._starts[i] :]
            if not piece:
                return None
            found += piece[: size - len(found)]
        return found
