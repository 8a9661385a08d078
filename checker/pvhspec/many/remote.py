"""What a worker of a cluster does: a trace comes as bytes and is judged, the report goes back."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import sys
import tempfile
import threading
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from pvhspec import __version__
from pvhspec.ir.ir import Spec
from pvhspec.many import Result
from pvhspec.many.jobs import packed

__all__ = ["Kind", "Other", "Task", "done", "packed_work", "this_kind"]

_ZSTD = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20

# One trace at a time in a process: Python runs no two at once, and the solver takes no two.
_alone = threading.Lock()
_specs: dict[bytes, Spec] = {}


@dataclass(frozen=True, slots=True)
class Kind:
    """What has to be the same on both sides for the same report: the code, and Python."""

    version: str
    code: str
    python: str

    def __str__(self) -> str:
        return f"pvhspec {self.version} (code {self.code}), Python {self.python}"


@dataclass(frozen=True, slots=True)
class Other:
    """The answer of a worker that is of another kind."""

    kind: Kind
    host: str


@dataclass(frozen=True, slots=True)
class Task:
    """A trace, and all that it takes to judge it. `spec` is a pickled specification behind its
    digest; `judge` is a function that both sides import."""

    path: str
    content: bytes
    spec: tuple[bytes, bytes]
    judge: Callable[[str, BinaryIO, Spec, Namespace], Result]
    args: Namespace


@lru_cache(maxsize=1)
def this_kind() -> Kind:
    """What runs here."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    python = ".".join(map(str, sys.version_info[:2]))
    return Kind(__version__, digest.hexdigest()[:12], f"{python} ({platform.machine()})")


def packed_work(task: Task | None) -> bytes:
    """A trace to be judged; None: nothing, only whether the worker could."""
    kind = this_kind()
    header = pickle.dumps((kind.version, kind.code, kind.python))
    body = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
    return len(header).to_bytes(4, "little") + header + body


def done(work: bytes) -> bytes:
    """Do it. Nothing of it is unpacked that another kind of pvhspec may have packed."""
    at = 4 + int.from_bytes(work[:4], "little")
    if Kind(*pickle.loads(work[4:at])) != this_kind():
        return pickle.dumps(Other(this_kind(), platform.node()))
    task = pickle.loads(work[at:])
    if not isinstance(task, Task):
        return pickle.dumps(None)
    with _alone:
        return packed(_judged(task))


def _spec(digest: bytes, text: bytes) -> Spec:
    if digest not in _specs:
        _specs.clear()
        _specs[digest] = pickle.loads(text)
    return _specs[digest]


def _judged(task: Task) -> Result:
    try:
        with _stream(task.content) as stream:
            return task.judge(task.path, stream, _spec(*task.spec), task.args)
    except MemoryError:
        os._exit(1)  # as if killed: the cluster starts it again, with all its memory
    except Exception as error:
        return error


def _stream(content: bytes) -> BinaryIO:
    """The content as a file of its own, which is gone with the process however that ends."""
    stream = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
    if content.startswith(_ZSTD):
        import zstandard

        for piece in zstandard.ZstdDecompressor().read_to_iter(content, write_size=_PIECE):
            stream.write(piece)
    else:
        stream.write(content)
    stream.seek(0)
    return stream
