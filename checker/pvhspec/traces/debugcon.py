"""What the first guest of this project wrote to port 0x402, after the firmware's text.

From the magic of start_info on: 56 bytes of start_info, 192 bytes of what its memmap_paddr pointed
at, 18 rows of 7 words (number, five arguments, result) for the hypercalls it made, and the
structures these gave, at the addresses they had, as they were at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import iter_unpack
from typing import BinaryIO

from pvhspec.diagnostics import Diagnostic, PvhError
from pvhspec.traces import errors
from pvhspec.traces.event import Event
from pvhspec.traces.foreign import ForeignReader

__all__ = ["DebugconReader"]

_MAGIC = bytes.fromhex("78c56e33")
_MOST = 1 << 20  # bytes; such a dump has five thousand
_START_INFO, _LOW_MEMORY, _ROW, _ROWS = 56, 192, 28, 18
_STRUCTS_AT = 0x1011F8


class DebugconReader(ForeignReader):
    """The calls with their results, and memory at the end of the run."""

    method = "debugcon"
    _cut_text = "the dump is not whole"

    def __init__(self, stream: BinaryIO, path: str) -> None:
        header = {
            "hypervisor": {"name": "xen"},
            "complete": {"events": True, "args": True, "results": True, "memory": False},
        }
        super().__init__(stream, path, header)

    def events(self) -> Iterator[Event]:
        """The events in the order of the dump."""
        try:
            data = self.stream.read(_MOST)
        except Exception as error:
            self.failed(error)
            return
        start = data.find(_MAGIC)
        if start < 0:
            message = "the firmware's text is not followed by the guest's dump"
            raise PvhError(Diagnostic(errors.NOT_A_TRACE, message, path=self.path))
        rows = start + _START_INFO + _LOW_MEMORY
        structs = rows + _ROWS * _ROW
        if len(data) < structs:
            self.cut(self._cut_text)
        whole = (min(len(data), structs) - rows) // _ROW
        for index, words in enumerate(
            iter_unpack("<6Ii", data[rows : rows + max(0, whole) * _ROW])
        ):
            nr, *args, ret = words
            fields = {"width": 32, "nr": nr, "args": tuple(args), "ret": ret}
            yield self.event("hypercall", fields, rows + index * _ROW, None, 0)
        if data[structs:]:
            memory = {"view": "guest", "gpa": _STRUCTS_AT, "bytes": data[structs:]}
            yield self.event("mem", {**memory, "what": "structures, at the end"}, structs)
