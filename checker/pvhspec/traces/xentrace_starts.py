"""Where the records of a row of words begin, without a loop over every record.

A record's length is in its first word, so where the next begins is known only from the one before.
But whoever starts anywhere soon meets the true beginnings and then stays with them. So the words
are cut into stretches that are walked all at once from their first word on, one step of numpy for
all; then each stretch is entered where the one before it ends, and walked by hand up to the first
word where somebody has been. The result is exact, however the words are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["record_starts"]

_STRETCH = 256  # words
# A record's words by the upper four bits of its head: the head, a time stamp, data.
_LENGTH = np.array([1 + (top & 7) + 2 * (top >> 3) for top in range(16)], np.uint8)


def record_starts(
    words: NDArray[np.uint32], edges: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first words of all records, and for each part where its last whole record ends.

    Part i is `edges[i]` to `edges[i + 1]`. A record that would reach beyond its part is none.
    """
    length = _LENGTH[words >> 28]
    begins = [
        np.arange(first, last, _STRETCH)
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    begin = np.concatenate(begins) if begins else np.empty(0, np.int64)
    of_part = np.repeat(np.arange(len(begins)), [len(b) for b in begins])
    end = np.minimum(begin + _STRETCH, edges[of_part + 1])
    seen = bytearray(len(words))
    left = _walk(length, begin, end, np.frombuffer(seen, np.uint8))
    after = _join(length, seen, begin, end, left, of_part, edges)
    starts = np.flatnonzero(np.frombuffer(seen, np.uint8))
    return starts, after


def _walk(
    length: NDArray[np.uint8],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    seen: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """Walk each stretch from its first word; where each is left."""
    left = end.copy()
    at, until, which = begin, end, np.arange(len(begin))
    while len(at):
        seen[at] = 1
        at = at + length[at]
        inside = at < until
        if not inside.all():
            outside = ~inside
            left[which[outside]] = at[outside]
            at, until, which = at[inside], until[inside], which[inside]
    return left


def _join(
    length: NDArray[np.uint8],
    seen: bytearray,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    left: NDArray[np.int64],
    of_part: NDArray[np.int64],
    edges: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Enter each stretch where the one before it is left; where each part's whole records end."""
    lengths = length.tobytes()
    after = edges[:-1].copy()
    entry, part = 0, -1
    columns = (begin.tolist(), end.tolist(), left.tolist(), of_part.tolist())
    for first, last, out, here in zip(*columns, strict=True):
        if here != part:
            part, entry = here, first
        if entry != first:
            at, found = entry, []
            while at < last and not seen[at]:
                found.append(at)
                at += lengths[at]
            met = min(at, last)
            seen[first:met] = bytes(met - first)
            for start in found:
                seen[start] = 1
            if at >= last:
                out = at
        entry = out
        after[here] = out
    # A record that begins in a part and ends after it is none of it.
    for here, (out, edge) in enumerate(zip(after.tolist(), edges[1:].tolist(), strict=True)):
        if out > edge:
            start = seen.rindex(1, 0, edge)
            seen[start] = 0
            after[here] = start
    return after
