"""A multicall as the calls that it was made of."""

from __future__ import annotations

from typing import Any

from pvhspec.traces import Event

__all__ = ["entries"]

_MULTICALL = 13
_MOST = 1024  # entries that are looked at
_OF_ALL = frozenset({"arg_readable", "arg_writable", "unreadable", "unwritable", "clobbered"})


def entries(event: Event) -> list[Event]:
    """The calls of a multicall that succeeded and shows all of them, each with its own result; of
    anything else none. What memory held between them was not seen: it counts only at a place that
    one of them alone names."""
    if event.kind != "hypercall" or event.get("nr") != _MULTICALL or event.get("ret") != 0:
        return []
    args: tuple[Any, ...] = event.get("args") or ()
    word = 4 if event.get("width") == 32 else 8
    if event.get("cpl") or len(args) < 2 or None in args[:2] or not 0 < args[1] <= _MOST:
        return []
    start, length = args[0], 8 * word * args[1]
    before, after = _bytes(event.get("in"), start, length), _bytes(event.get("out"), start, length)
    if before is None or after is None:
        return []
    size = 8 * word
    words = [
        [int.from_bytes(before[i : i + word], "little") for i in range(at, at + size, word)]
        for at in range(0, length, size)
    ]
    return [
        event._replace(fields=_part(event, words, number, after[number * size :], word))
        for number in range(len(words))
    ]


def _part(
    event: Event, words: list[list[int]], number: int, after: bytes, word: int
) -> dict[str, Any]:
    """The fields of one of the calls."""
    call, _, *args = words[number]
    others = {value for n, entry in enumerate(words) if n != number for value in entry[2:]}
    pointers = {value for value in args if _bytes(event.get("out"), value, 1) is not None}
    part = {k: v for k, v in event.fields.items() if k not in _OF_ALL}
    part |= {"nr": call, "args": tuple(args)}
    part["ret"] = int.from_bytes(after[word : 2 * word], "little", signed=True)
    if others & pointers:
        del part["in"], part["out"]
    elif event.get("arg_writable") and pointers:
        part |= {"arg_readable": True, "arg_writable": True}
    return part


def _bytes(ranges: Any, start: int, length: int) -> bytes | None:
    for at, raw in ranges or ():
        if at <= start and start + length <= at + len(raw):
            return bytes(raw[start - at : start - at + length])
    return None
