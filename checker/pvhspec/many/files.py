"""Which traces a list of files and folders names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pvhspec.diagnostics import Diagnostic, code
from pvhspec.traces import is_trace

__all__ = ["NO_TRACES", "Folder", "named"]

NO_TRACES = code("PVH531", "A folder holds no file that is a trace.")


@dataclass(slots=True)
class Folder:
    """What a folder holds, in order: traces, and files that are none, each with the reason."""

    path: str
    traces: list[str] = field(default_factory=list)
    passed_over: list[tuple[str, str]] = field(default_factory=list)

    def empty(self) -> Diagnostic | None:
        """What is wrong with a folder that holds no trace."""
        if self.traces:
            return None
        count = len(self.passed_over)
        holds = "it is empty" if not count else f"{count} file{'s' * (count > 1)} passed over"
        return Diagnostic(NO_TRACES, f"there is no trace in this folder: {holds}", path=self.path)


def named(paths: Iterable[str], format: str | None = None) -> Iterator[str | Folder]:
    """The files as they are given, and each folder with all that is below it. `format`: what
    every file is said to be, so that none is passed over for what is in it."""
    for path in paths:
        if path != "-" and os.path.isdir(path):
            yield _folder(path, format)
        else:
            yield path


def _folder(path: str, format: str | None) -> Folder:
    found = Folder(path)
    for where, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            file = os.path.join(where, name)
            why = _no_trace(file, format)
            if why is None:
                found.traces.append(file)
            else:
                found.passed_over.append((file, why))
    return found


def _no_trace(file: str, format: str | None) -> str | None:
    """Why a file is no trace; None where it is one, or where only reading it can tell."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return "no regular file"
        if format is not None:
            return None
        return None if is_trace(file) else "no trace format that is known"
    except FileNotFoundError:  # a link to nowhere
        return "it leads nowhere"
    except OSError:
        return None
