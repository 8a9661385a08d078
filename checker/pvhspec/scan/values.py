"""Values of JSON: the part of the kernel that takes them one by one.

Compiled together with `kernel.py`, and never run as Python. Each function is given where a value
begins and gives where it ends, -1 if it did not understand it; what it found is in `state`.
"""

# mypy: ignore-errors
# ruff: noqa

from __future__ import annotations

from pvhspec.scan.tables import *


def blank(data: Bytes, at):
    """The first byte that is no blank."""
    while data[at] == 32 or data[at] == 9 or data[at] == 13:
        at += 1
    return at


def number(data: Bytes, hexes: Bytes, at, state: Words):
    """An integer, or a string of one in hex; its value, and whether it is below zero."""
    value = 0
    count = 0
    if data[at] == 34:
        if data[at + 1] != 48 or data[at + 2] | 32 != 120:
            return -1
        at += 3
        digit = hexes[data[at]]
        while digit < 16:
            value = (value << 4) | digit
            count += 1
            at += 1
            digit = hexes[data[at]]
        if count == 0 or count > 16 or data[at] != 34:
            return -1
        state[VALUE] = value
        state[BELOW] = 0
        return at + 1
    below = 0
    if data[at] == 45:
        below = 1
        at += 1
    digit = data[at] - 48
    if digit == 0:
        if below == 1:
            return -1
        state[VALUE] = 0
        state[BELOW] = 0
        return at + 1
    while digit >= 0 and digit <= 9:
        value = value * 10 + digit
        count += 1
        at += 1
        digit = data[at] - 48
    if count == 0 or count > 19 - below:
        return -1
    if below == 1:
        value = -value
    state[VALUE] = value
    state[BELOW] = below
    return at


def text(data: Bytes, at, heap: Bytes, to, state: Words):
    """A string of plain characters, copied; its length."""
    if data[at] != 34:
        return -1
    at += 1
    first = at
    char = data[at]
    while char != 34:
        if char < 32 or char > 126 or char == 92:
            return -1
        heap[to] = char
        to += 1
        at += 1
        char = data[at]
    state[VALUE] = at - first
    return at + 1


def memory(data: Bytes, hexes: Bytes, at, heap: Bytes, to, state: Words):
    """Bytes in hex, as bytes; their number."""
    if data[at] != 34:
        return -1
    at += 1
    first = at
    high = hexes[data[at]]
    while high < 16:
        low = hexes[data[at + 1]]
        if low > 15:
            return -1
        heap[to] = (high << 4) | low
        to += 1
        at += 2
        high = hexes[data[at]]
    if data[at] != 34:
        return -1
    state[VALUE] = (at - first) >> 1
    return at + 1


def choice(data: Bytes, at, words: Bytes, lengths: Words, first, count, state: Words):
    """One of some words; which."""
    if data[at] != 34:
        return -1
    at += 1
    n = 0
    while n < count:
        length = lengths[first + n]
        if data[at + length] == 34:
            same = 0
            from_ = (first + n) * WORD
            while same < length and words[from_ + same] == data[at + same]:
                same += 1
            if same == length:
                state[VALUE] = n
                return at + length + 1
        n += 1
    return -1


def passed(data: Bytes, at):
    """What is of no interest, if it is plain."""
    char = data[at]
    if char == 34:
        at += 1
        char = data[at]
        while char != 34:
            if char < 32 or char > 126 or char == 92:
                return -1
            at += 1
            char = data[at]
        return at + 1
    if char == 45:
        at += 1
        char = data[at]
        if char == 48:
            return -1
    if char == 48:
        return at + 1
    if char >= 49 and char <= 57:
        count = 0
        while char >= 48 and char <= 57:
            at += 1
            count += 1
            char = data[at]
        if count > 300:
            return -1
        return at
    return literal(data, at)


def literal(data: Bytes, at):
    """`true`, `false` or `null`."""
    if data[at] == 116 and data[at + 1] == 114 and data[at + 2] == 117 and data[at + 3] == 101:
        return at + 4
    if data[at] == 110 and data[at + 1] == 117 and data[at + 2] == 108 and data[at + 3] == 108:
        return at + 4
    if (
        data[at] == 102
        and data[at + 1] == 97
        and data[at + 2] == 108
        and data[at + 3] == 115
        and data[at + 4] == 101
    ):
        return at + 5
    return -1


def following(data: Bytes, at):
    """After an item of a list: where the next one is, or the list's end."""
    at = blank(data, at)
    if data[at] == 93:
        return at
    if data[at] != 44:
        return -1
    at = blank(data, at + 1)
    if data[at] == 93:
        return -1
    return at


def arguments(
    data: Bytes, hexes: Bytes, at, row, slot, shape: Words, words: Words, known: Bytes, state: Words
):
    """A list of at most six numbers, each in a column of its own behind the one that counts."""
    if data[at] != 91:
        return -1
    at = blank(data, at + 1)
    count = 0
    if data[at] != 93:
        while True:
            if count == 6:
                return -1
            if data[at] == 110:
                at = literal(data, at)
            else:
                at = number(data, hexes, at, state)
                if at >= 0:
                    if state[BELOW] == 1:
                        return -1
                    words[(slot + 1 + count) * shape[ROWS] + row] = state[VALUE]
                    known[(slot + 1 + count) * shape[ROWS] + row] = 1
            if at < 0:
                return -1
            count += 1
            at = following(data, at)
            if at < 0:
                return -1
            if data[at] == 93:
                break
    state[VALUE] = count
    return at + 1


def items(
    data: Bytes,
    hexes: Bytes,
    at,
    slot,
    pairs,
    shape: Words,
    item_words: Words,
    item_lengths: Words,
    heap: Bytes,
    tails: Words,
    state: Words,
):
    """A list of `[address, bytes]`, or of strings; how many."""
    if data[at] != 91:
        return -1
    at = blank(data, at + 1)
    count = 0
    in_heap = shape[TEXTS] + slot
    in_items = shape[TEXTS] + shape[LISTS] + slot
    if data[at] != 93:
        while True:
            to = slot * shape[ITEMS] + tails[in_items]
            address = 0
            if pairs == 1:
                if data[at] != 91:
                    return -1
                at = number(data, hexes, blank(data, at + 1), state)
                if at < 0:
                    return -1
                if state[BELOW] == 1:
                    return -1
                address = state[VALUE]
                at = blank(data, at)
                if data[at] != 44:
                    return -1
                at = blank(data, at + 1)
                at = memory(data, hexes, at, heap, in_heap * shape[ROOM] + tails[in_heap], state)
                if at < 0:
                    return -1
                at = blank(data, at)
                if data[at] != 93:
                    return -1
                at += 1
            else:
                at = text(data, at, heap, in_heap * shape[ROOM] + tails[in_heap], state)
                if at < 0:
                    return -1
            item_words[to] = address
            item_lengths[to] = state[VALUE]
            tails[in_heap] += state[VALUE]
            tails[in_items] += 1
            count += 1
            at = following(data, at)
            if at < 0:
                return -1
            if data[at] == 93:
                break
    state[VALUE] = count
    return at + 1
