"""Foreign formats, damaged: events of the schema and documented errors, nothing else."""

from __future__ import annotations

import gzip
import io
import random
from typing import Any

import pytest

from pvhspec.diagnostics import CODES, PvhError
from pvhspec.traces import FORMATS, Trace
from pvhspec.traces.decode import decode_event
from pvhspec.traces.encode import encode_event
from tests.traces.foreign_samples import CRASH, EVTCHN, FOREIGN, SINGLESTEP, VMCS
from tests.traces.xentrace_files import some_file

TEXTS = {
    "singlestep": f"{SINGLESTEP}.gz",
    "kvm": "vmmq.ftrace",
    "qemu-trace": "linux-xen.qtrace",
}


def original(name: str) -> bytes:
    if name == "xentrace":
        return some_file(1)
    if name == "console":
        return (EVTCHN + VMCS + CRASH).encode()
    path = FOREIGN / TEXTS[name]
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return data[:20_000]


SPLINTERS = [
    b"\n",
    b"\0",
    b"\xff" * 9,
    b"0x",
    b"9" * 40,
    b"f" * 40,
    b"-1",
    b": ",
    b"[",
    b"\r",
    b"(",
]


def damaged(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randrange(1, 12)):
        at, span = rng.randrange(len(out) + 1), rng.randrange(1, 30)
        match rng.randrange(5):
            case 0:
                out[at : at + span] = rng.choice(SPLINTERS)
            case 1:
                out[at:at] = rng.choice(SPLINTERS)
            case 2:
                del out[at : at + span]
            case 3:
                out[at:at] = out[max(0, at - span) : at]
            case _:
                out[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(out[: rng.randrange(len(out) + 1)] if rng.random() < 0.2 else out)


def read_all(name: str, data: bytes) -> None:
    stream = io.BufferedReader(io.BytesIO(data))
    try:
        trace: Trace = FORMATS[name].read(stream, "t")
        for position, event in enumerate(trace):
            assert event.seq == position
            assert decode_event(encode_event(event), 0) == event
    except PvhError as error:
        undocumented = {d.code for d in error.diagnostics} - set(CODES)
        if undocumented:
            pytest.fail(f"undocumented: {undocumented}")
        return
    assert {n.code for n in trace.notices} <= {"PVH914", "PVH917"}


@pytest.mark.parametrize("name", ["xentrace", "singlestep", "kvm", "qemu-trace", "console"])
def test_damage_gives_events_of_the_schema_and_documented_errors(name: str) -> None:
    rng = random.Random(name)
    whole = original(name)
    for _ in range(60):
        start = rng.randrange(len(whole)) if name != "xentrace" else 0
        part = whole[start : start + 4000]
        read_all(name, damaged(rng, part))


@pytest.mark.parametrize("name", ["xentrace", "singlestep", "kvm", "qemu-trace", "console"])
def test_bytes_of_any_kind_give_documented_errors(name: str) -> None:
    rng = random.Random(name)
    for _ in range(40):
        read_all(name, rng.randbytes(rng.randrange(3000)))


@pytest.mark.parametrize("name", ["singlestep", "kvm", "qemu-trace", "console"])
def test_a_line_without_end_is_passed_over(name: str) -> None:
    class Endless(io.RawIOBase):
        left = 64 << 20

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            count = min(len(buffer), self.left)
            self.left -= count
            buffer[:count] = b"a" * count
            return count

    trace = FORMATS[name].read(io.BufferedReader(Endless()), "t")
    assert [e.kind for e in trace] in ([], ["end"])
    assert trace.notices
