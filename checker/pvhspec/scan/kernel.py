"""Lines of JSON into the columns of a block: what is compiled, and never run as Python.

It takes what the project's own writer makes and what is like it, in any order of fields after
`kind`, with any blanks. Where it is not sure that a line is an event, and which, it says so, and
`pvhspec.traces.reader` has the say: a line is understood here as it is there, or not at all. All
positions are indices; -1 stands for what was not understood.
"""

# mypy: ignore-errors
# ruff: noqa

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
            at = blank(data, at)
            if data[at] == 93:
                break
            if data[at] != 44:
                return -1
            at = blank(data, at + 1)
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
            at = blank(data, at)
            if data[at] == 93:
                break
            if data[at] != 44:
                return -1
            at = blank(data, at + 1)
    state[VALUE] = count
    return at + 1


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
