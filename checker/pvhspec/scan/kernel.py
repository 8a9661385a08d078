"""Lines of JSON into the columns of a block: what is compiled, and never run as Python.

It takes what the project's own writer makes and what is like it, in any order of fields after
`kind`, with any blanks. Where it is not sure that a line is an event, and which, it says so, and
`pvhspec.traces.reader` has the say: a line is understood here as it is there, or not at all. All
positions are indices; -1 stands for what was not understood.
"""

# mypy: ignore-errors
# ruff: noqa

from __future__ import annotations

from pvhspec.scan.tables import *
from pvhspec.scan.values import *


def name(data: Bytes, at, guess, names: Words, state: Words):
    """The name of a field and what is behind it; which name, or NAMES for one that is not known."""
    if data[at] != 34:
        return -1
    at += 1
    low = word(data, at)
    high = word(data, at + 8)
    found = NAMES
    length = 0
    if (
        low & names[guess * NAME + MASK_LOW] == names[guess * NAME + LOW]
        and high & names[guess * NAME + MASK_HIGH] == names[guess * NAME + HIGH]
        and data[at + names[guess * NAME + LENGTH]] == 34
    ):
        found = guess
        at += names[guess * NAME + LENGTH]
    else:
        first = at
        char = data[at]
        while char != 34:
            if char < 32 or char > 126 or char == 92:
                return -1
            at += 1
            char = data[at]
        length = at - first
        if length > LONGEST:
            return -1
        n = 0
        while n < NAMES:
            if (
                names[n * NAME + LENGTH] == length
                and low & names[n * NAME + MASK_LOW] == names[n * NAME + LOW]
                and high & names[n * NAME + MASK_HIGH] == names[n * NAME + HIGH]
            ):
                found = n
                break
            n += 1
    at = blank(data, at + 1)
    if data[at] != 58:
        return -1
    state[NAME_FOUND] = found
    return blank(data, at + 1)


def line(
    data: Bytes,
    at,
    row,
    hexes: Bytes,
    names: Words,
    fields: Words,
    choices: Bytes,
    lengths: Words,
    kinds: Words,
    follows: Words,
    shape: Words,
    words: Words,
    known: Bytes,
    text_lengths: Words,
    counts: Words,
    item_words: Words,
    item_lengths: Words,
    heap: Bytes,
    tails: Words,
    state: Words,
):
    """One event; what is behind its line."""
    rows = shape[ROWS]
    if data[at] != 123:
        return -1
    at = name(data, blank(data, at + 1), KIND_NAME, names, state)
    if at < 0:
        return -1
    if state[NAME_FOUND] != KIND_NAME:
        return -1
    at = choice(data, at, choices, lengths, 0, KINDS, state)
    if at < 0:
        return -1
    kind = state[VALUE]
    words[KIND_SLOT * rows + row] = kind
    known[KIND_SLOT * rows + row] = 1
    seen = 0
    told = 0
    strange = 0
    seq = state[POSITION]
    width = 0
    ret = 0
    before = KIND_NAME
    at = blank(data, at)
    while data[at] == 44:
        guess = follows[kind * (NAMES + 1) + before]
        at = name(data, blank(data, at + 1), guess, names, state)
        if at < 0:
            return -1
        which = state[NAME_FOUND]
        follows[kind * (NAMES + 1) + before] = which
        before = which
        field = (kind * (NAMES + 1) + which) * FIELD
        what = fields[field + WHAT]
        slot = fields[field + SLOT]
        bit = fields[field + BIT]
        if what == NOTHING:
            strange += 1
            if strange > 1:
                return -1
            at = passed(data, at)
            if at < 0:
                return -1
        else:
            if seen & bit != 0:
                return -1
            seen = seen | bit
            if data[at] == 110:
                at = literal(data, at)
                if at < 0:
                    return -1
            else:
                told = told | bit
                if what <= LAST_NUMBER:
                    at = number(data, hexes, at, state)
                    if at < 0:
                        return -1
                    value = state[VALUE]
                    if what == NUMBER:
                        limit = fields[field + LIMIT]
                        if state[BELOW] == 1 or limit >= 0 and (value < 0 or value > limit):
                            return -1
                    elif what == SEQ:
                        if value < seq:
                            return -1
                        seq = value
                    elif what == WIDTH:
                        if value != 32 and value != 64:
                            return -1
                        width = value
                    else:
                        if state[BELOW] == 0 and value < 0:
                            return -1
                        ret = value
                    words[slot * rows + row] = value
                    known[slot * rows + row] = 1
                elif what == FLAG:
                    value = 0
                    if data[at] == 116:
                        value = 1
                    at = literal(data, at)
                    if at < 0:
                        return -1
                    words[slot * rows + row] = value
                    known[slot * rows + row] = 1
                elif what == CHOICE:
                    at = choice(
                        data,
                        at,
                        choices,
                        lengths,
                        fields[field + LIMIT],
                        fields[field + MORE],
                        state,
                    )
                    if at < 0:
                        return -1
                    words[slot * rows + row] = lengths[CODES + fields[field + LIMIT] + state[VALUE]]
                    known[slot * rows + row] = 1
                elif what == TEXT or what == MEMORY:
                    to = slot * shape[ROOM] + tails[slot]
                    if what == TEXT:
                        at = text(data, at, heap, to, state)
                    else:
                        at = memory(data, hexes, at, heap, to, state)
                    if at < 0:
                        return -1
                    tails[slot] += state[VALUE]
                    text_lengths[slot * rows + row] = state[VALUE]
                    known[(shape[WORDS] + slot) * rows + row] = 1
                elif what == ARGUMENTS:
                    at = arguments(data, hexes, at, row, slot, shape, words, known, state)
                    if at < 0:
                        return -1
                    words[slot * rows + row] = state[VALUE]
                    known[slot * rows + row] = 1
                elif what == PAIRS or what == STRINGS:
                    pairs = 0
                    if what == PAIRS:
                        pairs = 1
                    at = items(
                        data,
                        hexes,
                        at,
                        slot,
                        pairs,
                        shape,
                        item_words,
                        item_lengths,
                        heap,
                        tails,
                        state,
                    )
                    if at < 0:
                        return -1
                    counts[slot * rows + row] = state[VALUE]
                    known[(shape[WORDS] + shape[TEXTS] + slot) * rows + row] = 1
                else:
                    return -1
        at = blank(data, at)
    if data[at] != 125:
        return -1
    at = blank(data, at + 1)
    if data[at] != 10:
        return -1
    if told & kinds[kind] != kinds[kind]:
        return -1
    if width == 32 and kind == HYPERCALL and (ret < -2147483648 or ret > 2147483647):
        return -1
    words[SEQ_SLOT * rows + row] = seq
    known[SEQ_SLOT * rows + row] = 1
    state[POSITION] = seq + 1
    return at + 1


def scan(
    data: Bytes,
    hexes: Bytes,
    names: Words,
    fields: Words,
    choices: Bytes,
    lengths: Words,
    kinds: Words,
    follows: Words,
    shape: Words,
    words: Words,
    known: Bytes,
    text_lengths: Words,
    counts: Words,
    item_words: Words,
    item_lengths: Words,
    heap: Bytes,
    tails: Words,
    lines: Words,
    state: Words,
):
    """Lines from `state[AT]` to `state[STOP]`, until one is not understood or the block is full."""
    at = state[AT]
    row = state[ROW]
    kept = shape[TEXTS] + 2 * shape[LISTS]
    while at < state[STOP]:
        if row == shape[ROWS]:
            state[AT] = at
            state[ROW] = row
            return FULL
        n = 0
        while n < kept:
            tails[kept + n] = tails[n]
            n += 1
        next = line(
            data,
            at,
            row,
            hexes,
            names,
            fields,
            choices,
            lengths,
            kinds,
            follows,
            shape,
            words,
            known,
            text_lengths,
            counts,
            item_words,
            item_lengths,
            heap,
            tails,
            state,
        )
        if next < 0:
            n = 0
            while n < kept:
                tails[n] = tails[kept + n]
                n += 1
            n = 0
            while n < shape[WORDS] + shape[TEXTS] + shape[LISTS]:
                known[n * shape[ROWS] + row] = 0
                n += 1
            state[AT] = at
            state[ROW] = row
            return UNSURE
        state[LINE] += 1
        lines[row] = state[LINE]
        row += 1
        at = next
    state[AT] = at
    state[ROW] = row
    return DONE
