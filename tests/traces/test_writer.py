"""What was captured stays, whatever happens to the one who captures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pvhspec.diagnostics import PvhError
from pvhspec.traces import Event, Header, TraceWriter, open_trace


def test_events_are_numbered_and_stable(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with TraceWriter(path, Header()) as writer:
        writer.emit("cpuid", leaf=0x40000000, eax=0x40000005, ebx=None)
        writer.emit("shared_info", width=64, pending={1: 2, 0: 1}, ts=7)
    assert path.read_text().splitlines()[1:] == [
        '{"kind": "cpuid", "seq": 0, "leaf": "0x40000000", "eax": "0x40000005"}',
        '{"kind": "shared_info", "seq": 1, "ts": 7, "width": 64, '
        '"pending": {"0": "0x1", "1": "0x2"}}',
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_ends_the_trace_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with pytest.raises(KeyboardInterrupt), TraceWriter(path, Header()) as writer:
        writer.emit("note", text="one")
        raise KeyboardInterrupt
    events = list(open_trace(path))
    assert [e.kind for e in events] == ["note", "end"]
    assert events[1].fields["reason"] == "cut"


def test_a_killed_process_leaves_what_it_saw_and_the_older_trace(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("older")
    script = (
        "import os, sys; from pvhspec.traces import *\n"
        "with TraceWriter(sys.argv[1], Header()) as w:\n"
        "    for i in range(100): w.emit('note', text=str(i))\n"
        f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "older"
    part = tmp_path / "t.jsonl.part"
    assert len(list(open_trace(part))) == 100
    with TraceWriter(path, Header()) as writer:
        writer.emit("note")
    assert len(list(open_trace(part))) == 100
    assert len(list(open_trace(path))) == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "no" / "t", tmp_path / "a\0b"):
        with pytest.raises(PvhError) as raised:
            TraceWriter(bad, Header())
        assert raised.value.diagnostics[0].code == "PVH916"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_not_a_traceback() -> None:
    with pytest.raises(PvhError, match="no space left"):
        TraceWriter("/dev/full", Header())


def test_a_field_the_kind_does_not_have_is_a_mistake_of_the_program(tmp_path: Path) -> None:
    path = tmp_path / "t"
    with pytest.raises(ValueError, match="no field txt"), TraceWriter(path, Header()) as writer:
        writer.emit("note", txt="t")
    assert [e.kind for e in open_trace(path)] == ["end"]


def test_half_a_surrogate_pair_survives(tmp_path: Path) -> None:
    path = tmp_path / "t"
    event = Event("note", 0, {"text": "\ud800 é"})
    with TraceWriter(path, Header()) as writer:
        writer.write(event)
    assert list(open_trace(path)) == [event]
