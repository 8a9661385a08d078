"""The protocol checked by hand in C over columns: `python -m benchmarks.table.byhand_columns
LIBRARY TRACE.arrow TIMES`.

It is given the tables of pointers that the machine code of the specification is given, and goes
over a trace so many times. Says how many events there were, how many were wrong, how many it could
say nothing of, and the processor's seconds.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path

from pvhspec.backends.native.columns import WORDS, Columns
from pvhspec.scan.source import ColumnSource
from pvhspec.traces import open_trace
from pvhspec.traces.columns import KIND_CODES

__all__ = ["SOURCE", "places"]

SOURCE = Path(__file__).with_suffix(".c")


def places() -> list[str]:
    """For the compiler: where the table of pointers has which column."""
    at = {name: number for name, number in WORDS.items() if name.isidentifier()}
    return [
        f"-DHYPERCALL={KIND_CODES['hypercall']}",
        *(f"-DAT_{name.upper()}={number}" for name, number in at.items()),
    ]


def main() -> None:
    """The command."""
    library, trace, times = sys.argv[1:]
    code = ctypes.CDLL(library)
    code.begin.restype = ctypes.c_void_p
    code.check.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
    code.end.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    batches = [Columns(batch) for batch in ColumnSource(open_trace(trace)).batches()]
    events, seconds = 0, 0.0
    told = (ctypes.c_int64 * 3)()
    for _ in range(int(times)):
        began = time.process_time()
        state = code.begin()
        for batch in batches:
            code.check(state, batch.words.ctypes.data, batch.rows)
            events += batch.rows
        code.end(state, told)
        seconds += time.process_time() - began
    wrong, left, first = told
    said = {"events": events, "wrong": wrong, "left": left, "first": first, "seconds": seconds}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
