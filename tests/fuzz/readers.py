"""What is fuzzed: each reader of a trace format, the specification's parser, the judge."""

from __future__ import annotations

import gzip
import io
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pvhspec import _data
from pvhspec.diagnostics import CODES, Diagnostic, PvhError
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.syntax.format import format_module
from pvhspec.syntax.parse import parse_manifest, parse_module
from pvhspec.traces import FORMATS, Header, Trace
from pvhspec.traces.decode import decode_event
from pvhspec.traces.encode import encode_event
from pvhspec.traces.merge import Merge
from tests.traces.foreign_samples import CRASH, EVTCHN, FOREIGN, SINGLESTEP, VMCB, VMCS, hvmctx
from tests.traces.test_round_trip import every_kind
from tests.traces.trace_dat_files import RUN, trace_dat
from tests.traces.xentrace_files import some_file, ties

__all__ = ["TARGETS", "Target", "Wrong"]

_PIECE = 4000  # bytes of a longer file that are read at a time
CORPUS = _data.traces_dir() / "corpus"


class Wrong(AssertionError):
    """A reader did what it never may."""


@dataclass(frozen=True)
class Target:
    """One thing that reads: pieces of good input, and how it is read. `share` says how often."""

    name: str
    good: Callable[[], Sequence[bytes]]
    read: Callable[[bytes], None]
    share: int = 10
    text: bool = True
    whole: bool = False  #: a piece of it would be refused at once

    def piece(self, rng: random.Random) -> bytes:
        """Good input, or a piece of it: its first line and some that follow one another."""
        data = rng.choice(self.good())
        if self.whole or len(data) <= _PIECE:
            return data
        head = data[: min(data.find(b"\n") + 1, 400)]
        start = rng.randrange(len(data))
        if rng.random() < 0.8:
            start = data.find(b"\n", start) + 1
        return head + data[start : start + _PIECE]


def _documented(errors: Sequence[Diagnostic]) -> None:
    undocumented = {d.code for d in errors} - set(CODES)
    if undocumented or not errors:
        raise Wrong(f"undocumented: {undocumented}")


def _opened(name: str, data: bytes) -> Trace | None:
    for form in FORMATS.values():
        form.recognise(data[:4096])
    stream = io.BufferedReader(io.BytesIO(data))
    try:
        return FORMATS[name].read(stream, "t")
    except PvhError as error:
        _documented(error.diagnostics)
        return None


def _reading(name: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        trace = _opened(name, data)
        if trace is None:
            return
        try:
            last = -1
            for event in trace:
                if event.seq <= last:
                    raise Wrong(f"seq {event.seq} after {last}")
                last = event.seq
                if decode_event(encode_event(event), 0) != event:
                    raise Wrong(f"not of the schema: {event}")
        except PvhError as error:
            _documented(error.diagnostics)
            return
        if trace.notices:
            _documented(trace.notices)

    return read


@cache
def _spec() -> Spec:
    spec, _ = load_spec(None)
    assert spec is not None
    return spec


def _judged(data: bytes) -> None:
    trace = _opened("jsonl", data)
    if trace is None:
        return
    try:
        judge(_spec(), trace, version=(4, 17), mode="pvh_dom0")
    except PvhError as error:
        _documented(error.diagnostics)


def _joined(data: bytes) -> None:
    """Merged with what is left of it after more damage."""
    less = data.replace(b"a0 0x1", b"a0 0x2").replace(b"ret 0x0", b"ret 0x1")

    def opened(index: int) -> Trace:
        return FORMATS["qemu-trace"].read(io.BufferedReader(io.BytesIO((less, data)[index])), "t")

    merge = Merge(opened)
    try:
        merge.prepare()
        for position, event in enumerate(merge.events()):
            if event.seq != position or decode_event(encode_event(event), 0) != event:
                raise Wrong(f"not of the schema: {event}")
    except PvhError as error:
        _documented(error.diagnostics)


def _parsed(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    module, errors = parse_module(text, "t.abi")
    if module is None:
        _documented(errors)
    else:
        format_module(module, text)


def _manifest(data: bytes) -> None:
    manifest, errors = parse_manifest(data.decode("utf-8", "replace"), "pvh.abi")
    if manifest is None:
        _documented(errors)


# ---- good input ---------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def _files(*patterns: str) -> Callable[[], Sequence[bytes]]:
    @cache
    def good() -> Sequence[bytes]:
        return [_bytes(path) for pattern in patterns for path in sorted(CORPUS.glob(pattern))]

    return good


@cache
def _consoles() -> Sequence[bytes]:
    serial = FOREIGN / "xen-4.17-dom0-pvh-18-hypercalls.serial.txt"
    return [(EVTCHN + VMCS + VMCB + CRASH).encode(), serial.read_bytes()]


@cache
def _paused() -> Sequence[bytes]:
    return [hvmctx(vcpus=2).encode(), hvmctx(efer=0xD01).encode()]


@cache
def _modules() -> Sequence[bytes]:
    folders = (_data.spec_dir(), _data.grammar_dir())
    return [
        p.read_bytes() for f in folders for p in sorted(f.rglob("*.abi")) if p.name != "pvh.abi"
    ]


@cache
def _manifests() -> Sequence[bytes]:
    return [(_data.spec_dir() / "pvh.abi").read_bytes()]


@cache
def _windows() -> Sequence[bytes]:
    return [make(seed) for seed in range(10) for make in (_some_windows, ties)]


def _some_windows(seed: int) -> bytes:
    return some_file(seed, cpus=3, rounds=2)


@cache
def _trace_dats() -> Sequence[bytes]:
    forms = ((6, "none"), (7, "none"), (7, "zlib"), (7, "zstd"))
    return [trace_dat(RUN, version, compression) for version, compression in forms]


def _columns(format: str) -> Callable[[], Sequence[bytes]]:
    @cache
    def files() -> Sequence[bytes]:
        from pvhspec.traces.column_writer import ArrowWriter, ParquetWriter
        from pvhspec.traces.tabulate import batches

        kind = ArrowWriter if format == "arrow" else ParquetWriter
        made = []
        with tempfile.TemporaryDirectory() as folder:
            for rows in (8, 1 << 12):
                path = Path(folder) / f"{rows}.{format}"
                with kind(path, Header()) as writer:
                    for batch in batches(every_kind(), rows):
                        writer.write(batch)
                made.append(path.read_bytes())
        return made

    return files


def _reader(
    name: str, good: Callable[[], Sequence[bytes]], share: int = 10, text: bool = True,
    whole: bool = False,
) -> Target:  # fmt: skip
    return Target(name, good, _reading(name), share, text, whole)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        _reader("small-vmm", _files("raw/entry-injected-*.jsonl", "foreign/vmmq.jsonl"), 5),
        _reader("kept-steps", _files("raw/xen-*.jsonl"), 5),
        _reader("debugcon", _files("raw/*.debugcon.bin"), 2, text=False, whole=True),
        _reader("hvmctx", _paused, 5),
        _reader("jsonl", _files("real/*.jsonl")),
        _reader("qemu-gdbstub", _files("raw/entry-*.json"), whole=True),
        _reader("singlestep", _files(f"foreign/{SINGLESTEP}.gz")),
        _reader("kvm", _files("foreign/*.ftrace*")),
        _reader("qemu-trace", _files("foreign/*.qtrace")),
        _reader("console", _consoles),
        _reader("xentrace", _windows, text=False, whole=True),
        _reader("trace-dat", _trace_dats, text=False, whole=True),
        _reader("arrow", _columns("arrow"), text=False, whole=True),
        _reader("parquet", _columns("parquet"), text=False, whole=True),
        Target("module", _modules, _parsed, 4),
        Target("manifest", _manifests, _manifest, 2),
        Target("judge", _files("real/*.jsonl"), _judged, 1),
        Target("merge", _files("foreign/*.qtrace"), _joined, 2),
    )
}
