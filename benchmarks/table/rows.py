"""The checkers of the table: how each is run, on which trace, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.protocol import Shape
from benchmarks.table.byhand_columns import SOURCE, places
from benchmarks.table.traces import Traces

__all__ = ["SECTIONS", "Measured", "Row", "Skipped", "rows"]

HERE = Path(__file__).parent
_PEERS = "python3 -m venv DIR && DIR/bin/pip install reelay rtamt, then --peers DIR/bin/python"

SECTIONS = {
    "checkers": "Checkers side by side",
    "hidden": "Results that nobody saw: machine code, the whole specification, Arrow",
    "length": "Growth with the length of a trace",
    "domains": "Growth with domains",
    "ports": "Growth with ports",
    "start": "From start to verdict on a small trace",
}


class Measured(NamedTuple):
    """Events, seconds of the processor, most memory in KiB, and whether a fault was told."""

    events: int
    seconds: float
    memory: int
    wrong: bool


class Skipped(Exception):
    """A checker that is not here, and how to get it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A checker, what it is given, what its time covers, the shape of its trace, and how it is
    run."""

    section: str
    name: str
    given: str
    timed: str
    shape: Shape
    run: Callable[[Traces], Measured]


# A process of its own measures: what a process has used counts what it was forked from, too.
_MEASURE = """
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(pid, 0)
print()
seconds = used.ru_utime + used.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss]))
"""


def _ran(words: list[str], events: int | None = None) -> Measured:
    """A process. It says what it measured itself, or all of it is what is measured (`events`)."""
    measure = [sys.executable, "-I", "-S", "-c", _MEASURE, *words]
    done = subprocess.run(measure, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    *told, last = done.stdout.decode(errors="replace").splitlines()
    status, seconds, memory = json.loads(last)
    said = [line for line in told if line]
    if status not in ((0,) if events is None else (0, 1)):
        raise Skipped(said[-1] if said else f"status {status}")
    if events is not None:
        return Measured(events, seconds, memory, status == 1)
    found = json.loads(said[-1])
    return Measured(found["events"], found["seconds"], memory, found["wrong"] > 0)


def rows(peers: str | None, spec: Path | None, folder: Path, events: int) -> Iterator[Row]:
    """All of them, the plainest first. What is slow gets the beginning of the trace."""

    def by_hand(how: str) -> Callable[[Traces], Measured]:
        program = str(HERE / "byhand.py")
        return lambda traces: _ran([sys.executable, program, how, str(traces.jsonl())])

    def packed(what: str) -> Callable[[Traces], Measured]:
        def run(traces: Traces) -> Measured:
            program = _compiled(folder, HERE / "byhand.c")
            return _ran([program, what, str(traces.rows()), str(traces.events), _times(traces)])

        return run

    def columnar(traces: Traces) -> Measured:
        library = _compiled(folder, SOURCE, "-fPIC", "-shared", *places())
        program = [sys.executable, "-m", "benchmarks.table.byhand_columns", library]
        return _ran([*program, str(traces.columnar("arrow")), _times(traces)])

    def peer(which: str) -> Callable[[Traces], Measured]:
        def run(traces: Traces) -> Measured:
            if peers is None:
                raise Skipped(_PEERS)
            words = [os.path.abspath(peers), str(HERE / "peers.py"), which, str(traces.jsonl())]
            return _ran(words)

        return run

    def check(form: str, *words: str) -> Callable[[Traces], Measured]:
        def run(traces: Traces) -> Measured:
            file = traces.jsonl() if form == "jsonl" else traces.columnar(form)
            more = () if spec is None else ("--spec", str(spec))
            command = [sys.executable, "-m", "pvhspec", "check", *words, *more, str(file)]
            return _ran(command, traces.events)

        return run

    def alone(of: Path | None) -> Callable[[Traces], Measured]:
        more = () if of is None else (str(of),)
        program = [sys.executable, "-m", "benchmarks.table.ours"]
        return lambda traces: _ran([*program, str(traces.columnar("arrow")), *more])

    native = ("--engine", "native")
    slowly = ("--engine", "interpreter", "--jobs", "1")

    def first(most: int) -> Shape:
        return Shape(min(most, events))

    long, whole, short = Shape(10 * events), Shape(events), Shape(1000)
    one, all_of_it = "one property", "the whole specification"
    memory, lines = "columns in memory", "JSON Lines"
    ours = "pvhspec, machine code, "
    by_hand_in_c, part = "C by hand, ", "the part of the specification that comes up"
    yield from (
        Row("checkers", by_hand_in_c + part, memory, "check", long, columnar),
        Row("checkers", ours + all_of_it, memory, "check", long, alone(spec)),
        Row("checkers", by_hand_in_c + part, "packed rows in memory", "check", long,
            packed("whole")),
        Row("checkers", by_hand_in_c + one, "packed rows in memory", "check", long,
            packed("one")),
        Row("checkers", ours + one, memory, "check", long, alone(HERE / "one")),
        Row("checkers", f"Python by hand, {one}", "tuples in memory", "check", whole,
            by_hand("tuples")),
        Row("checkers", f"Python by hand, {one}", lines, "all", whole, by_hand("jsonl")),
        Row("checkers", "reelay, send alone", "dicts in memory", "check", first(200_000),
            peer("reelay-send")),
        Row("checkers", f"reelay, {one}", "dicts in memory", "check", first(200_000),
            peer("reelay")),
        Row("checkers", "RTAMT, one port of 64", "tuples in memory", "check", first(50_000),
            peer("rtamt")),
        Row("checkers", f"pvhspec, interpreter, {all_of_it}", lines, "all", first(10_000),
            check("jsonl", *slowly)),
    )  # fmt: skip
    for form, name in (("jsonl", lines), ("parquet", "Parquet"), ("arrow", "Arrow")):
        yield Row("checkers", ours + all_of_it, name, "all", whole, check(form, *native))
    run = check("arrow", *native)
    for rate in (0.0, 0.1, 0.5, 0.9):
        yield Row("hidden", f"{rate:.0%} hidden", "Arrow", "all", whole._replace(hidden=rate), run)
    for count in (events // 10, events, 10 * events):
        yield Row("length", f"{count:,} events", "Arrow", "all", Shape(count), run)
    for domains in (1, 4, 16, 64):
        shape = whole._replace(domains=domains)
        yield Row("domains", f"{domains} domains", "Arrow", "all", shape, run)
    for ports in (16, 64, 512, 4000):
        yield Row("ports", f"{ports} ports", "Arrow", "all", whole._replace(ports=ports), run)
    yield from (
        Row("start", "Python by hand", lines, "all", short, by_hand("jsonl")),
        Row("start", "pvhspec, interpreter", lines, "all", short, check("jsonl", *slowly)),
        Row("start", "pvhspec, machine code", lines, "all", short, check("jsonl", *native)),
        Row("start", "pvhspec, machine code", "Arrow", "all", short, run),
    )


def _times(traces: Traces) -> str:
    """How often C goes over a trace, so that there is something to measure."""
    return str(max(1, 20_000_000 // traces.events))


def _compiled(folder: Path, source: Path, *words: str) -> str:
    made = folder / source.stem
    if not made.exists():
        if shutil.which("gcc") is None:
            raise Skipped("apt install gcc")
        line = ["gcc", "-O2", "-march=native", *words, "-o", str(made), str(source)]
        subprocess.run(line, check=True)
    return str(made)
