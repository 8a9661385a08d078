"""A trace against the specification by machine code: the same report as `pvhspec.judge` makes.

What is told of a violation is made when there is one, from the rows before it, which are kept.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pvhspec.backends.dispatch import Dispatch
from pvhspec.backends.native.cache import program
from pvhspec.backends.native.engine import Columns, Engine
from pvhspec.backends.protocol import Judgement, Verdict
from pvhspec.ir.ir import Spec
from pvhspec.judge import REMEMBERED, Judging
from pvhspec.report.told import event_parts
from pvhspec.report.verdict import Moment, Report
from pvhspec.scan.source import ColumnSource
from pvhspec.traces import Place
from pvhspec.traces.columns import KIND_CODES
from pvhspec.traces.untabulate import events_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["judge_columns"]

_MEM = KIND_CODES["mem"]
_KINDS = {code: name for name, code in KIND_CODES.items()}
_WORTH = 500  # events of one operation that a new program is worth
_MOST_COMMANDS = 256
_NEAR = 9  # events that a violation is told with, its own included


def judge_columns(
    spec: Spec,
    judging: Judging,
    source: ColumnSource,
    on_python: Callable[[int], object] | None = None,
) -> Report:
    """Judge a trace of which nothing was judged yet. `on_python` is told the number of each event
    that is left to the interpreter."""
    whole = _Judge(spec, judging, source)
    whole.on_python = on_python
    for batch in source.batches():
        whole.take(batch)
    return whole.end()


class _Judge:
    def __init__(self, spec: Spec, judging: Judging, source: ColumnSource) -> None:
        self._judging, self._source, self._report = judging, source, judging.report
        self._chosen = judging.chosen
        header = source.header
        given = {name: dict(table) for name, table in header.given.items()}
        self._given = given
        self._spec = spec
        self._dispatch = Dispatch(spec, judging.release, judging.mode)
        self._left: Counter[str] = Counter()  # events by operation, or kind, that no program is for
        self._engine: Engine | None = None
        self._forgets = not header.complete.events
        # With the numbers of its events, and where they stand.
        self._batches: deque[tuple[pa.RecordBatch, Any, Callable[[int], Place]]] = deque()
        self._kept_rows = 0
        self.on_python: Callable[[int], object] | None = None

    @property
    def engine(self) -> Engine:
        """What judges."""
        if self._engine is None:
            self._use(frozenset())
        assert self._engine is not None
        return self._engine

    def _use(self, wanted: frozenset[str]) -> None:
        """Have a program for these operations and kinds."""
        judging = self._judging
        made = program(
            self._spec, judging.compiled, judging.release, judging.mode, frozenset(self._given),
            self._source.header.complete.domains, KIND_CODES, wanted,
        )  # fmt: skip
        if self._engine is None:
            self._engine = Engine(
                made, self._spec, judging.machine,
                constants=judging.binder.constants, given=self._given,
            )  # fmt: skip
        else:
            self._count()
            self._engine.use(made)

    def _wanted(self, batch: pa.RecordBatch) -> frozenset[str]:
        """The kinds and operations of a batch."""
        kinds = batch.column("kind").indices.to_numpy()
        found = {_KINDS[code] for code in np.unique(kinds).tolist()}
        names = batch.schema.names
        if "hypercall" in found and "nr" in names:
            numbers = batch.column("nr").fill_null(1 << 63).to_numpy()
            commands = batch.column("arg0").fill_null(0).to_numpy() if "arg0" in names else None
            for nr in np.unique(numbers).tolist():
                of = [0] if commands is None else np.unique(commands[numbers == nr]).tolist()
                for command in of[:_MOST_COMMANDS]:
                    op = self._dispatch.operation(nr, (command,))
                    if op is not None:
                        found.add(op.id)
        return frozenset(found)

    def take(self, batch: pa.RecordBatch) -> None:
        """Judge a batch."""
        if self._engine is None:
            self._use(self._wanted(batch))
        elif self._left and max(self._left.values()) > _WORTH:
            self._use(self.engine.program.wanted | self._left.keys())
            self._left.clear()
        self._batches.append((batch, batch.column("seq").to_numpy(), self._source.places()))
        self._kept_rows += len(batch)
        while self._kept_rows - len(self._batches[0][0]) > 2 * REMEMBERED:
            self._kept_rows -= len(self._batches.popleft()[0])
        self._report.events += len(batch)
        columns = Columns(batch, self._by_python(batch))
        for j in self.engine.feed(columns, lambda row, phase: self._python(batch, row, phase)):
            self._told(j, batch)

    def _by_python(self, batch: pa.RecordBatch) -> Any:
        """Rows that are not for machine code: lines that no column can hold."""
        if self._forgets:
            return np.ones(len(batch), np.bool_)
        if "json" not in batch.schema.names:
            return None
        found = batch.column("json").is_valid().to_numpy(zero_copy_only=False)
        return found if found.any() else None

    def _python(self, batch: pa.RecordBatch, row: int, phase: int) -> Iterator[Judgement]:
        (event,) = events_of(batch.slice(row, 1))
        if self.on_python is not None:
            self.on_python(event.seq)
        binder = self._judging.binder
        binder.remember(event)
        if event.kind == "mem":
            return
        forget = event.kind == "lost" or self._forgets
        for seen in binder.each(event):
            name = seen.kind if seen.call is None else seen.call.operation.id
            if name not in self.engine.program.wanted:
                self._left[name] += 1
            yield from self.engine.judge(seen, phase, forget)

    def _told(self, judgement: Judgement, batch: Any) -> None:
        self._first()
        kept = self._report.add([judgement], self._chosen)
        for j in kept:
            self._report.keep([j], self._moments(j))

    def _first(self) -> None:
        """Clauses are listed in the order in which they first came up."""
        for clauses, verdict in self.engine.first_told():
            for clause in filter(self._chosen.takes, clauses):
                if verdict is Verdict.CONFORMS:
                    self._report.conforms.setdefault(clause, 0)
                else:
                    self._report.unseen.setdefault(clause, 0)
                    self._report.assumed.setdefault(clause, ())

    def _count(self) -> None:
        """Take in what machine code has counted."""
        self._first()
        for clauses, verdict, count in self.engine.tally():
            told = self._report.conforms if verdict is Verdict.CONFORMS else self._report.unseen
            for clause in filter(self._chosen.takes, clauses):
                told[clause] = told.get(clause, 0) + count

    def _moments(self, judgement: Judgement) -> list[Moment]:
        """What led to a violation, as far as it is told: the last events, and those that made what
        it hangs on."""
        rows = list(self._rows_until(judgement.seq))
        makers = {f.event for f in judgement.state if f.event is not None}
        found: list[Moment] = []
        for at, (batch, row, seq, place) in enumerate(rows):
            if at < _NEAR or seq in makers:
                found[:0] = self._moment(batch, row, place(row))
        return found

    def _rows_until(self, last: int) -> Iterator[tuple[Any, int, int, Callable[[int], Place]]]:
        """Rows of events up to a number, the last first, as far as they are remembered."""
        left = REMEMBERED
        for batch, numbers, places in reversed(self._batches):
            kinds = batch.column("kind").indices.to_numpy()
            stop = int(np.searchsorted(numbers, last, side="right"))
            for row in np.nonzero(kinds[:stop] != _MEM)[0][::-1].tolist():
                if not left:
                    return
                left -= 1
                yield batch, row, int(numbers[row]), places

    def _moment(self, batch: Any, row: int, place: Place) -> list[Moment]:
        (event,) = events_of(batch.slice(row, 1))
        made = []
        for seen in self._judging.binder.each(event):
            parts = event_parts(event, seen)
            made.append(Moment(seen.seq, ", ".join(parts), parts[0], place, event.step))
        return made

    def end(self) -> Report:
        """The report."""
        for j in self.engine.finish():
            self._told(j, None)
        self._count()
        report = self._report
        report.engine = "native"
        debts: Iterable[tuple[str, int]] = self.engine.open_debts()
        report.open_debts = [d for d in debts if self._chosen.takes(d[0])]
        report.truncated = self._source.truncated
        report.notices = [n.headline() for n in self._source.notices]
        return report
