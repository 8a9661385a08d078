"""The check alone: `python -m benchmarks.table.ours TRACE.arrow [SPEC]` judges columns in memory.

The first time over compiles, or reads what was compiled; the second is what is measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import Judging
from pvhspec.judge_columns import judge_columns
from pvhspec.report.verdict import Report
from pvhspec.scan.source import ColumnSource
from pvhspec.traces import Place, open_trace

if TYPE_CHECKING:
    import pyarrow as pa


class _Memory(ColumnSource):
    """Batches that were read already."""

    def __init__(self, trace: Any) -> None:
        super().__init__(trace)
        self.held = list(super().batches())

    def batches(self, events: range | None = None) -> Iterator[pa.RecordBatch]:
        return iter(self.held)

    def places(self) -> Callable[[int], Place]:
        return lambda row: Place(row)


def _judged(spec: Spec, source: _Memory) -> tuple[Report, float, list[int]]:
    judging, left = Judging(spec, source.trace), list[int]()
    began = time.process_time()
    report = judge_columns(spec, judging, source, on_python=left.append)
    return report, time.process_time() - began, left


def main() -> None:
    """The command."""
    path, *where = sys.argv[1:]
    spec, errors = load_spec(Path(where[0]) if where else None)
    assert spec is not None, errors
    source = _Memory(open_trace(path))
    _judged(spec, source)
    report, seconds, left = _judged(spec, source)
    wrong = sum(report.violates.values())
    said = {"events": report.events, "wrong": wrong, "seconds": seconds, "interpreted": len(left)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
