"""The checkers of the table: how each is run, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks.protocol import Block, blocks, header, lines
from benchmarks.table.byhand import in_memory

from pvhspec.traces.writer import dump_header

__all__ = ["Measured", "Row", "Skipped", "Traces", "broken", "rows"]

HERE = Path(__file__).parent
_CLOSE, _SEND = 3, 4
_FIELDS = 8  # words in a row of 64 bytes
_PEERS = "python3 -m venv DIR && DIR/bin/pip install reelay rtamt, then --peers DIR/bin/python"


class Measured(NamedTuple):
    """Events, seconds of the processor, most memory in KiB, and whether a fault was told."""

    events: int
    seconds: float
    memory: int
    wrong: bool


class Skipped(Exception):
    """A checker that is not here, and how to get it."""


@dataclass(frozen=True, slots=True)
class Traces:
    """One trace, in all the forms that somebody reads."""

    folder: Path
    events: int

    @property
    def jsonl(self) -> Path:
        """As JSON Lines."""
        return self.folder / f"{self.events}.jsonl"

    def cut(self, events: int) -> Traces:
        """Its beginning, for those who take long."""
        return Traces(self.folder, min(events, self.events))

    def made(self) -> Traces:
        """The same, written."""
        if not self.jsonl.exists():
            with self.jsonl.open("wb") as stream:
                stream.write(dump_header(header()))
                for block in blocks(self.events):
                    stream.write(lines(block))
        return self

    def columnar(self, form: str) -> Path:
        """As `parquet` or `arrow`, by the project's own converter."""
        file = self.jsonl.with_suffix(f".{form}")
        if not file.exists():
            words = [sys.executable, "-m", "pvhspec", "convert", str(self.jsonl), str(file)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Skipped(f"pvhspec convert: {(done.stderr or done.stdout).splitlines()[0]}")
        return file

    def rows(self) -> Path:
        """As rows of 64 bytes."""
        file = self.jsonl.with_suffix(".rows")
        if not file.exists():
            with file.open("wb") as stream:
                row = np.zeros((self.events, _FIELDS), np.uint64)
                row[:, :2] = in_memory(str(self.jsonl))
                stream.write(row.tobytes())
        return file


def broken(folder: Path) -> Traces:
    """A short trace with what no checker may let pass: a closed channel is closed, and sent on."""
    traces = Traces(folder, 2003)
    last = Block(
        2000,
        np.array([_CLOSE, _CLOSE, _SEND], np.uint8),
        np.array([1, 1, 1], np.uint32),
        np.zeros(3, np.bool_),
    )
    with traces.jsonl.open("wb") as stream:
        stream.write(dump_header(header()))
        for block in (*blocks(2000), last):
            stream.write(lines(block))
    return traces


@dataclass(frozen=True, slots=True)
class Row:
    """A checker, what it is given, what its time covers, how many events it gets at most, and how
    it is run."""

    name: str
    given: str
    timed: str
    most: int
    run: Callable[[Traces], Measured]


# ---- running -----------------------------------------------------------------------------------


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


def rows(peers: str | None, spec: Path | None, folder: Path) -> list[Row]:
    """All of them, the plainest first."""

    def by_hand(how: str) -> Callable[[Traces], Measured]:
        program = str(HERE / "byhand.py")
        return lambda traces: _ran([sys.executable, program, how, str(traces.jsonl)])

    def by_hand_in_c(traces: Traces) -> Measured:
        times = str(max(1, 20_000_000 // traces.events))
        return _ran([_compiled(folder), str(traces.rows()), str(traces.events), times])

    def peer(which: str) -> Callable[[Traces], Measured]:
        def run(traces: Traces) -> Measured:
            if peers is None:
                raise Skipped(_PEERS)
            return _ran([os.path.abspath(peers), str(HERE / "peers.py"), which, str(traces.jsonl)])

        return run

    def pvhspec(form: str, *words: str) -> Callable[[Traces], Measured]:
        def run(traces: Traces) -> Measured:
            _takes(words)
            file = traces.jsonl if form == "jsonl" else traces.columnar(form)
            more = () if spec is None else ("--spec", str(spec))
            command = [sys.executable, "-m", "pvhspec", "check", *words, *more, str(file)]
            return _ran(command, traces.events)

        return run

    native = ("--engine", "native")
    interpreter = ("--engine", "interpreter", "--jobs", "1")
    every = 1 << 62
    return [
        Row("C, by hand", "rows of 64 bytes in memory", "check", every, by_hand_in_c),
        Row("Python, by hand", "tuples in memory", "check", every, by_hand("tuples")),
        Row("Python, by hand", "JSON Lines", "all", every, by_hand("jsonl")),
        Row("reelay, send alone", "dicts in memory", "check", 200_000, peer("reelay-send")),
        Row("reelay, all three clauses", "dicts in memory", "check", 200_000, peer("reelay")),
        Row("RTAMT, one port of 64", "tuples in memory", "check", 50_000, peer("rtamt")),
        Row("pvhspec, interpreter", "JSON Lines", "all", 20_000, pvhspec("jsonl", *interpreter)),
        Row("pvhspec, native", "JSON Lines", "all", every, pvhspec("jsonl", *native)),
        Row("pvhspec, native", "Parquet", "all", every, pvhspec("parquet", *native)),
        Row("pvhspec, native", "Arrow", "all", every, pvhspec("arrow", *native)),
    ]


def _takes(words: tuple[str, ...]) -> None:
    """Whether `check` has these options."""
    from pvhspec.commands import check

    for word in words:
        if word.startswith("--") and f'"{word}"' not in _text_of(check.__file__):
            raise Skipped(f"`pvhspec check` has no {word} here")


def _text_of(file: str) -> str:
    return "".join(path.read_text() for path in sorted(Path(file).parent.glob("*.py")))


def _compiled(folder: Path) -> str:
    program = folder / "byhand"
    if not program.exists():
        if shutil.which("gcc") is None:
            raise Skipped("apt install gcc")
        words = ["gcc", "-O2", "-o", str(program), str(HERE / "byhand.c")]
        subprocess.run(words, check=True)
    return str(program)
