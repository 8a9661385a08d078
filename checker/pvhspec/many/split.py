"""One long trace in pieces that are judged at the same time, where that comes out the same.

A trace is a run of one machine, and what is said of an event hangs on the state that all before
it have left. So a piece can be judged by itself only where that state is known without judging
what was before. There is one such place: where events may be missing. There everything is
forgotten that an unseen event could have changed, which is every state that is not `given` and
every debt (`Machine.forget`). In a trace whose header does not say that all events are there (all
captures that other tools made: xentrace, ftrace, QEMU's and Xen's logs) this is so before every
event. A piece begins at an event that is no call which others may overlap with, so that no order
is left open either. What is not forgotten has to be handed on:

- The bytes of memory that `mem` events showed. Each process reads the trace from its beginning,
  and takes in those.
- The events before a violation, for its timeline: each process remembers as many as one process
  would (`pass_over`), without judging them.
- Cells of `given` states, which an observation may have made known, and what is remembered to
  tell whose doing a violation is (`Carried`). Each piece begins as if nothing of these had
  happened before it, and says what it has left. Then its true beginning is what the one before it
  left. Where that is not what it was judged from, and it makes a difference (a `given` cell is
  other; or there is a violation to be told), it is judged again, from its true beginning. Each
  round makes at least one more piece right, so that this ends.

What pieces say is then put together as one process would have come to say it: counts are added,
and violations are counted and kept in the order of events. `tests/many/test_split.py` holds that
to what one process says.

Other places have been looked at, and are not used. *A snapshot* makes known only what it shows:
shared words and the status of channels, a few of the states; the rest hangs on calls before it,
and so do debts. *One domain beside the other* is sound only if no event reaches into another
domain, and an event whose arguments are hidden may reach anywhere; where none are hidden, what an
event may read is found out only by judging it. A *forward pass* that only carries the state on
would make every cut possible, but for a call the ways it may have gone are both what it is judged
by and what it does to the state: such a pass is most of the work, and pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from pvhspec.backends.interpreter.machine import Carried
from pvhspec.backends.interpreter.store import Kept
from pvhspec.backends.protocol import Judgement
from pvhspec.diagnostics import PvhError
from pvhspec.judge import Judging, Source
from pvhspec.many import KILLED, Result, Watch, killed
from pvhspec.many.jobs import judged_here
from pvhspec.many.pace import Waiting
from pvhspec.report.verdict import Moment, Report, Selection

__all__ = ["Open", "judged_in_pieces", "places"]

_LEAST = 1000  # events in a piece: fewer are not worth a process
_STEP = 64  # of the places where a trace may be cut, one in so many is remembered
_BEFORE = 9  # moments that `Report.keep` looks at, the violation's own among them

#: Opens the trace anew, to be judged.
Open = Callable[[Watch | None], AbstractContextManager[Judging]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Events of a trace by their place in it, from `first` up to `last` (None: all that follow),
    and what was left of those before; None: as if there were none."""

    first: int
    last: int | None
    start: Carried | None = None
    sure: bool = False  # whether it does begin with that

    @property
    def cells(self) -> Kept:
        """The cells it is judged from."""
        return ({}, {}, set(), {}) if self.start is None else self.start.cells


@dataclass(slots=True)
class _Said:
    """What is said of a piece: a report on its events alone; its violations, as far as they may be
    kept, with the moments that tell of them, event by event; what it has left."""

    report: Report
    violations: list[tuple[list[Judgement], list[Moment]]]
    left: Carried


def places(trace: Source, pieces: int) -> list[int]:
    """Where to cut a trace into so many pieces, or fewer; it is read to its end for that."""
    if trace.header.complete.events:
        return []
    found: list[int] = []
    allowed = count = 0
    for count, event in enumerate(trace, 1):
        if event.kind == "mem" or event.get("begin") is not None or event.get("end") is not None:
            continue
        if allowed % _STEP == 0:
            found.append(count - 1)
        allowed += 1
    pieces = min(pieces, count // _LEAST)
    cuts: list[int] = []
    for wanted in (count * n // pieces for n in range(1, pieces)):
        near = min(found, key=lambda at: abs(at - wanted), default=0)
        if near > (cuts[-1] if cuts else 0):
            cuts.append(near)
    return cuts


def judged_in_pieces(
    path: str, cuts: Sequence[int], open_: Open, jobs: int, waiting: Waiting
) -> Result:
    """The report on a trace that is cut at these places."""
    pieces = [_Piece(a, b) for a, b in pairwise((0, *cuts, None)) if a is not None]
    said: list[_Said | None] = [None] * len(pieces)
    while True:
        wrong = [n for n, one in enumerate(said) if one is None]
        if not wrong:
            break

        def work(number: str, watch: Watch | None) -> Result:
            return _judge(pieces[int(number)], open_, watch)

        names = [str(n) for n in wrong]
        order = range(len(wrong))
        for n, result in zip(wrong, judged_here(names, work, jobs, waiting, order), strict=True):
            if isinstance(result, _Said):
                said[n] = result
            elif isinstance(result, PvhError) and result.diagnostics[0].code == KILLED:
                return PvhError(killed(path, "a piece of it"))
            else:
                return result
        _begin_anew(pieces, said)
    return _together([one for one in said if one is not None])


def _begin_anew(pieces: list[_Piece], said: list[_Said | None]) -> None:
    """Take back what was said of pieces that began otherwise than they were judged from."""
    left: Carried | None = None
    for n, one in enumerate(said):
        assert one is not None
        if left is not None:
            if pieces[n].cells != left.cells:
                _take_back(pieces, said, n, left)
                return
            if one.violations and not pieces[n].sure:
                # Only who is to blame may be another; what it leaves is right already.
                pieces[n], said[n] = replace(pieces[n], start=left, sure=True), None
        blame = one.left.blame if left is None else one.left.blame.after(left.blame)
        left = Carried(one.left.cells, blame)


def _take_back(pieces: list[_Piece], said: list[_Said | None], first: int, left: Carried) -> None:
    """Judge a piece from what is left to it; those behind it most likely begin alike."""
    pieces[first], said[first] = replace(pieces[first], start=left, sure=True), None
    for n in range(first + 1, len(pieces)):
        if pieces[n].cells != left.cells:
            pieces[n], said[n] = replace(pieces[n], start=left, sure=False), None


# ---- one piece ---------------------------------------------------------------------------------


def _judge(piece: _Piece, open_: Open, watch: Watch | None) -> _Said:
    violations: list[tuple[list[Judgement], list[Moment]]] = []
    with open_(watch) as judging:

        def told(kept: list[Judgement]) -> None:
            if kept:
                makers = {fact.event for j in kept for fact in j.state}
                latest = [m for j in kept for m in [*_until(judging, j.seq)][-_BEFORE:]]
                more = [m for m in judging.moments if m.seq in makers]
                violations.append((kept, sorted({*latest, *more})))

        if piece.start is not None:
            judging.machine.carry(piece.start)
        events = iter(judging.trace)
        for seen in judging.seen(events if piece.last is None else islice(events, piece.last)):
            if judging.report.events <= piece.first:
                judging.pass_over(seen)
            else:
                told(judging.take(seen))
        told(judging.finish())
        left = judging.machine.carried()
        report = judging.end()
    report.events -= min(piece.first, report.events)
    return _Said(report, violations, left)


def _until(judging: Judging, seq: int) -> Iterator[Moment]:
    return (moment for moment in judging.moments if moment.seq <= seq)


# ---- all of them -------------------------------------------------------------------------------


def _together(said: Sequence[_Said]) -> Report:
    """What one process would have said."""
    last = said[-1].report
    whole = replace(
        last, events=0, violations=[], violates={}, conforms={}, unseen={}, assumed={}, moments={}
    )
    for one in said:
        report = one.report
        told: dict[str, int] = {}
        for kept, moments in one.violations:
            for j in kept:
                told[j.clause] = told.get(j.clause, 0) + 1
            whole.keep(whole.add(kept, Selection()), moments)
        for clause, count in report.violates.items():
            whole.violates[clause] += count - told[clause]
        for into, counts in ((whole.conforms, report.conforms), (whole.unseen, report.unseen)):
            for clause, count in counts.items():
                into[clause] = into.get(clause, 0) + count
        for clause, assumed in report.assumed.items():
            whole.assumed.setdefault(clause, assumed)
        whole.events += report.events
    return whole
