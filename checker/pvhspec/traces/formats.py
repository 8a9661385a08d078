"""Opens a trace in whatever format it is; the format is told by content, not by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors, recognise
from pvhspec.traces.errors import is_read_error, reason
from pvhspec.traces.event import Event, Header, Place

__all__ = ["FORMATS", "Format", "Trace", "is_trace", "open_trace"]

_HEAD = 4096  # bytes a format may look at to recognise itself


class Trace(Protocol):
    """A trace being read: its header at once, its events as they are asked for, once."""

    path: str
    header: Header
    truncated: bool
    notices: list[Diagnostic]

    def __iter__(self) -> Iterator[Event]: ...

    def place(self, event: Event) -> Place:
        """Where the event that was given last stands in the file."""
        ...

    def portion(self) -> float | None: ...

    def close(self) -> None: ...


class Format(NamedTuple):
    """One format: its name for `--from`, a sentence, how it is recognised, what reads it."""

    name: str
    about: str
    recognise: Callable[[bytes], bool]
    reader: str

    def read(self, stream: BinaryIO, path: str) -> Trace:
        """The trace in a stream; its reader is imported now: most files are our own."""
        module, _, name = self.reader.partition(".")
        made = getattr(import_module(f"pvhspec.traces.{module}"), name)
        return cast(Trace, made(stream, path))


# The first that recognises a file reads it: a console may hold anything, and comes last.
FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "qemu-gdbstub",
            "entry state as JSON",
            recognise.is_gdbstub_json,
            "qemu_gdbstub.read_gdbstub_json",
        ),
        Format(
            "small-vmm",
            "a small VMM on KVM, JSON",
            recognise.is_small_vmm,
            "json_logs.SmallVmmReader",
        ),
        Format(
            "kept-steps",
            "a kept single-step log, JSON",
            recognise.is_kept_steps,
            "json_logs.KeptStepsReader",
        ),
        Format(
            "jsonl", "pvhspec's own JSON Lines", recognise.is_json_lines, "reader.JsonLinesReader"
        ),
        Format("arrow", "its twin, columns", recognise.is_arrow, "column_files.ArrowReader"),
        Format("parquet", "the twin, too", recognise.is_parquet, "column_files.ParquetReader"),
        Format("xentrace", "Xen's binary trace", recognise.is_xentrace, "xentrace.XentraceReader"),
        Format(
            "trace-dat", "trace-cmd's binary", recognise.is_trace_dat, "trace_dat.TraceDatReader"
        ),
        Format(
            "debugcon",
            "a guest's dump by port 0x402",
            recognise.is_debugcon,
            "debugcon.DebugconReader",
        ),
        Format("hvmctx", "xen-hvmctx", recognise.is_hvmctx, "hvmctx.HvmctxReader"),
        Format(
            "hvmctx-entry",
            "xen-hvmctx of a domain that never ran",
            recognise.said_only,
            "hvmctx.HvmctxEntryReader",
        ),
        Format(
            "singlestep",
            "QEMU -d in_asm,cpu",
            recognise.is_singlestep,
            "singlestep.SinglestepReader",
        ),
        Format(
            "kvm", "ftrace, trace-cmd or perf text", recognise.is_kvm_text, "kvm_text.KvmTextReader"
        ),
        Format(
            "qemu-trace",
            "QEMU -trace kvm_xen_*",
            recognise.is_qemu_trace,
            "qemu_trace.QemuTraceReader",
        ),
        Format(
            "console", "Xen's or a guest's console", recognise.is_console, "console.ConsoleReader"
        ),
    )
}


def open_trace(
    path: str | Path, format: str | None = None, content: BinaryIO | None = None
) -> Trace:
    """The trace in this file (`-` is standard input, gzip is unpacked), its header already read.

    Raises PvhError if the file cannot be read or is no trace. `format` forces one of FORMATS.
    The file is closed when the events are through, or by `close`. `content`: what is in the file,
    where the file itself is elsewhere.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    stream = _open(str(path), name) if content is None else cast(BufferedReader, content)
    try:
        unpacked = _unpacked(stream)
        head = unpacked.peek(_HEAD)[:_HEAD]
        chosen = FORMATS[format] if format is not None else _recognised(name, head)
        return chosen.read(unpacked, name)
    except PvhError:
        stream.close()
        raise
    except Exception as error:
        stream.close()
        if not is_read_error(error):
            raise
        raise PvhError(_cannot_read(name, error)) from None


def is_trace(path: str | Path) -> bool:
    """Whether a file begins as a trace does. JSON may be anything: our own says what it is. Raises
    OSError where it cannot be read."""
    with Path(path).open("rb") as stream:
        try:
            head = _unpacked(stream).peek(_HEAD)[:_HEAD]
        except EOFError:
            return False
        except Exception as error:
            if not is_read_error(error):
                raise
            return False
    found = next((f.name for f in FORMATS.values() if head and f.recognise(head)), None)
    return found is not None and (found != "jsonl" or b'"pvh-trace/' in head)


def _open(path: str, name: str) -> BufferedReader:
    try:
        if path == "-":
            return cast(BufferedReader, sys.stdin.buffer)
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        raise PvhError(_cannot_read(name, error)) from None


def _unpacked(stream: BufferedReader) -> BufferedReader:
    if not stream.peek(2).startswith(b"\x1f\x8b"):
        return stream
    import gzip

    class Unpacking(gzip.GzipFile):
        def close(self) -> None:
            super().close()
            stream.close()

    return BufferedReader(cast(BufferedReader, Unpacking(fileobj=stream)))


def _recognised(name: str, head: bytes) -> Format:
    if not head:
        remedy = "it starts with its header, a JSON line"
        raise PvhError(Diagnostic(errors.EMPTY, "the trace is empty", remedy, name))
    for format in FORMATS.values():
        if format.recognise(head):
            return format
    listed = ", ".join(f"{f.name} ({f.about})" for f in FORMATS.values())
    what = "binary data" if b"\0" in head else "no trace format that is known"
    raise PvhError(Diagnostic(errors.NOT_A_TRACE, f"this is {what}", f"formats: {listed}", name, 1))


def _cannot_read(name: str, error: Exception) -> Diagnostic:
    if isinstance(error, EOFError):
        return Diagnostic(errors.EMPTY, "the compressed file is cut at its start", path=name)
    return Diagnostic(errors.CANNOT_READ, reason(error), path=name)
