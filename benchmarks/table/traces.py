"""The traces of the table: one of each shape, in all the forms that somebody reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.protocol import CLOSE, OPEN, SEND, Block, Shape, blocks, header, write

__all__ = ["Traces", "broken"]

_ROW = np.dtype([
    ("number", "<u8"), ("command", "<u4"), ("width", "u1"), ("cpl", "u1"), ("readable", "u1"),
    ("writable", "u1"), ("pointer", "<u8"), ("ret", "<i8"), ("before", "<u4", 2),
    ("after", "<u4", 2), ("domain", "<u4"), ("vcpu", "<u4"), ("rest", "<u8"),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traces:
    """A trace of one shape; `last` is what comes after it."""

    folder: Path
    shape: Shape
    last: Block | None = None

    @property
    def events(self) -> int:
        """How many there are."""
        return self.shape.events + (0 if self.last is None else len(self.last.command))

    def jsonl(self) -> Path:
        """As JSON Lines."""
        return self._made("jsonl", self._written)

    def columnar(self, form: str) -> Path:
        """As `parquet` or `arrow`."""
        return self._made(form, self._written)

    def rows(self) -> Path:
        """As rows of 64 bytes."""
        return self._made("rows", self._as_rows)

    def _blocks(self) -> Iterable[Block]:
        yield from blocks(self.shape)
        if self.last is not None:
            yield self.last

    def _made(self, form: str, make: Callable[[Path], None]) -> Path:
        name = "-".join(map(str, self.shape)) + ("" if self.last is None else "-broken")
        file = self.folder / f"{name}.{form}"
        if not file.exists():
            make(file)
        return file

    def _written(self, file: Path) -> None:
        write(str(file), header(self.shape), self._blocks())

    def _as_rows(self, file: Path) -> None:
        with file.open("wb") as stream:
            for block in self._blocks():
                rows = np.zeros(len(block.command), _ROW)
                rows["number"], rows["width"] = 32, 64
                rows["readable"] = rows["writable"] = 1
                rows["command"], rows["domain"] = block.command, block.domain
                opens = block.command == OPEN
                rows["before"][:, 0] = np.where(opens, 0, block.port)
                rows["before"][opens, 1] = 0xEEEEEEEE
                rows["after"] = rows["before"]
                rows["after"][opens, 1] = block.port[opens]
                stream.write(rows.tobytes())


def broken(folder: Path, shape: Shape) -> Traces:
    """A short trace with what no checker may let pass: a closed channel is closed, and sent on."""
    last = Block(
        2000,
        np.zeros(3, np.uint32),
        np.array([CLOSE, CLOSE, SEND], np.uint8),
        np.ones(3, np.uint32),
        np.zeros(3, np.bool_),
    )
    return Traces(folder, shape._replace(events=2000), last)
