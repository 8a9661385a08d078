"""Ways to damage a file: what bad disks, bad tools and hostile people do to it."""

from __future__ import annotations

import random
from struct import pack

__all__ = ["damaged"]

_TEXT = (
    *(b"\n", b"\0", b"\r", b"\xff" * 9, b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"\xc3\xa9"),
    *(b"0x", b"9" * 40, b"f" * 40, b"-1", b"1e999", b"NaN", b"null", b"true", b"0"),
    *(b": ", b"[", b"]", b"{", b"}", b"(", b")", b'"', b",", b"//", b"/*", b"  "),
    *(b'"kind":', b'"0x0"', b'"0x' + b"f" * 80 + b'"', b"false"),
    *(b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"(" * 3000, b"{" * 400, b"not " * 2000),
)
_HOSTILE = (
    *(pack("<Q", number) for number in (0, 1, 3, 7, 0x7F, 0xFF, 0xFFFF, 1 << 31, 1 << 40, 1 << 63)),
    *(pack("<Q", (1 << bits) - back) for bits in (31, 32, 63, 64) for back in (1, 12)),
)
_GIGANTIC = 200 << 10


def damaged(rng: random.Random, data: bytes, text: bool) -> bytes:
    """The data with up to a dozen faults, and perhaps without its end."""
    out = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        at, span = rng.randrange(len(out) + 1), rng.randrange(1, 40)
        what = rng.randrange(8)
        if what == 0:
            out[at : at + span] = rng.choice(_TEXT)
        elif what == 1:
            out[at:at] = rng.choice(_TEXT)
        elif what == 2:
            del out[at : at + span]
        elif what == 3:
            out[at:at] = out[max(0, at - span) : at]
        elif what == 4 and not text:  # a length, an offset, a count
            at -= at % 4
            size = rng.choice((2, 4, 8))
            out[at : at + size] = rng.choice(_HOSTILE)[:size]
        elif what == 5:  # two places change their contents
            other = rng.randrange(len(out) + 1)
            out[at : at + span], out[other : other + span] = (
                out[other : other + span], out[at : at + span],
            )  # fmt: skip
        elif what == 6 and rng.random() < 0.02:
            out[at:at] = rng.choice((b"a", b"0", b" ", b"[", b"\0")) * _GIGANTIC
        else:
            out[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(out[: rng.randrange(len(out) + 1)] if rng.random() < 0.2 else out)
