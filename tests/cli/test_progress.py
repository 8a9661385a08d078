"""Whoever waits at a terminal is told how far a trace has been read."""

from __future__ import annotations

import gzip
import io
import re
import sys
from pathlib import Path

import pytest

from pvhspec.commands import common
from pvhspec.traces import open_trace
from tests.traces.foreign_samples import FOREIGN
from tests.traces.trace_dat_files import RUN, trace_dat
from tests.traces.xentrace_files import some_file


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Events, and what a terminal got."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(common, "_QUIET_FOR", -1.0)
    monkeypatch.setattr(common, "_EVERY", -1.0)
    return sum(1 for _ in common.watched(open_trace(path))), terminal.getvalue()


def test_every_source_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = (FOREIGN / "linux-xen.qtrace").read_bytes()
    files = {
        "t.qtrace": log,
        "t.qtrace.gz": gzip.compress(log),
        "t.bin": some_file(3),
        "t.dat": trace_dat(RUN),
        "t.jsonl": (FOREIGN.parent / "real/entry-injected-none.jsonl").read_bytes(),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        events, text = told(path, monkeypatch)
        portions = [int(part) for part in re.findall(r"events, (\d+)%", text)]
        assert len(portions) == events > 0, name
        assert portions == sorted(portions), name
        assert portions[-1] == 100, name
        assert text.endswith("\r\x1b[K"), name


def test_a_file_that_is_not_a_terminal_gets_nothing() -> None:
    trace = open_trace(FOREIGN / "linux-xen.qtrace")
    assert common.watched(trace) is trace
    trace.close()
