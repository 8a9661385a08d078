"""Known deviations: a file that people review, in which each has a reason and a day it ends.

    [[known]]
    clause = "boot.entry.task_register.limit"
    traces = ["xen-4.17-*"]
    reason = "Reported, and mended in the next release."
    expires = 2027-06-30

`clause` and `traces` are glob patterns; without `traces` it is every trace. What is known does not
fail a gate until its day is over.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from pvhspec.diagnostics import Diagnostic, PvhError, code

__all__ = ["Baseline", "Known", "read_baseline", "updated"]

NO_BASELINE = code("PVH541", "The file of known deviations cannot be read, or is not TOML.")
BAD_ENTRY = code("PVH542", "An entry of the file of known deviations is not as it has to be.")
UNKNOWN_CLAUSE = code("PVH543", "A known deviation names a clause that the specification lacks.")

_HEAD = """\
# Known deviations from the specification, read by pvhspec --baseline. Each fails no gate until its
# day is over: say why it is known, and when it has to be gone.
"""
_KEYS = {"clause": str, "reason": str, "expires": date, "traces": list}
_ENTRY = re.compile(r"^[ \t]*\[\[[ \t]*known[ \t]*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Known:
    """A known deviation. `line` is where it stands in its file."""

    clause: str
    reason: str
    expires: date
    traces: tuple[str, ...] = ("*",)
    line: int | None = None

    def covers(self, clause: str, trace: str) -> bool:
        """Whether it speaks of this clause in this trace."""
        return fnmatchcase(clause, self.clause) and any(_near(trace, p) for p in self.traces)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known deviations of a file, in its order."""

    path: str
    known: tuple[Known, ...] = ()
    text: str = _HEAD

    def place(self, entry: Known) -> str:
        """`file:line` of an entry."""
        return f"{self.path}:{entry.line}" if entry.line else self.path


def _near(trace: str, pattern: str) -> bool:
    """Whether a pattern matches a path, or the end of one after a slash."""
    parts = trace.split("/")
    return any(fnmatchcase("/".join(parts[at:]), pattern) for at in range(len(parts)))


# ---- reading -------------------------------------------------------------------------------------


def read_baseline(path: Path, clauses: Iterable[str], *, may_lack: bool = False) -> Baseline:
    """The baseline in a file; `may_lack`: an empty one where there is no file.

    Raises PvhError with everything that is wrong with it; `clauses` are those there are.
    """
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text)
    except FileNotFoundError:
        if may_lack:
            return Baseline(name)
        remedy = "--update-baseline --reason TEXT writes it"
        raise PvhError(Diagnostic(NO_BASELINE, "there is no such file", remedy, name)) from None
    except OSError as error:
        raise PvhError(Diagnostic(NO_BASELINE, str(error.strerror), path=name)) from None
    except UnicodeDecodeError:
        raise PvhError(Diagnostic(NO_BASELINE, "it is not UTF-8", path=name)) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PvhError(_not_toml(name, error)) from None
    entries = found.get("known", [])
    if set(found) - {"known"} or not isinstance(entries, list):
        what = f"there is `{next(iter(set(found) - {'known'}), 'known')}`"
        remedy = "the file is a list of [[known]] tables, and nothing else"
        raise PvhError(Diagnostic(BAD_ENTRY, what, remedy, name))
    lines = [text.count("\n", 0, m.start()) + 1 for m in _ENTRY.finditer(text)]
    if len(lines) != len(entries):  # written in another way, or within a string
        lines = [0] * len(entries)
    all_, errors = list(clauses), []
    known: list[Known] = []
    for entry, line in zip(entries, lines, strict=True):
        wrong = _wrong(entry, name, line or None)
        errors += wrong
        if not wrong:
            known.append(_known(entry, line or None))
            errors += _no_clause(known[-1], all_, name)
    if errors:
        raise PvhError(*errors)
    return Baseline(name, tuple(known), text)


def _not_toml(name: str, error: Exception) -> Diagnostic:
    at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    message = str(error)[: at.start()].strip() if at else "it is nested too deep"
    line, column = (int(at[1]), int(at[2])) if at else (None, None)
    what = f"not TOML: {message[:1].lower()}{message[1:]}"
    return Diagnostic(NO_BASELINE, what, path=name, line=line, column=column)


def _wrong(entry: Any, name: str, line: int | None) -> list[Diagnostic]:
    """What is wrong with an entry."""

    def bad(what: str, remedy: str | None = None) -> Diagnostic:
        return Diagnostic(BAD_ENTRY, what, remedy, name, line)

    if not isinstance(entry, Mapping):
        return [bad("an entry is a table")]
    errors = [
        bad(f"there is no `{key}`", f"the keys are {', '.join(_KEYS)}")
        for key in entry
        if key not in _KEYS
    ]
    for key, kind in _KEYS.items():
        value = entry.get(key)
        if key not in entry:
            if key != "traces":
                errors.append(bad(f"`{key}` is missing", _SAYS[key]))
        elif not isinstance(value, kind) or isinstance(value, datetime) or not value:
            errors.append(bad(f"`{key}` is not right", _SAYS[key]))
        elif key == "traces" and not all(isinstance(glob, str) and glob for glob in entry[key]):
            errors.append(bad("`traces` is not right", _SAYS[key]))
        elif key == "reason" and not entry[key].strip():
            errors.append(bad("`reason` says nothing", _SAYS[key]))
    return errors


_SAYS = {
    "clause": 'the clause, or a pattern: clause = "evtchn.bind.*"',
    "reason": 'why it is known: reason = "Reported upstream."',
    "expires": "the last day it is accepted, without quotes: expires = 2027-06-30",
    "traces": 'patterns of traces: traces = ["xen-4.17-*"]',
}


def _known(entry: Mapping[str, Any], line: int | None) -> Known:
    traces = tuple(entry.get("traces", ("*",)))
    return Known(entry["clause"], entry["reason"], entry["expires"], traces, line)


def _no_clause(entry: Known, clauses: list[str], name: str) -> list[Diagnostic]:
    if any(fnmatchcase(clause, entry.clause) for clause in clauses):
        return []
    from difflib import get_close_matches

    near = get_close_matches(entry.clause, clauses, 1)
    remedy = f"did you mean {near[0]}?" if near else "pvhspec explain '*' lists them all"
    return [
        Diagnostic(UNKNOWN_CLAUSE, f"no clause matches {entry.clause}", remedy, name, entry.line)
    ]


# ---- writing -------------------------------------------------------------------------------------


def updated(baseline: Baseline, drop: Iterable[Known], add: Iterable[Known]) -> str:
    """The file's text without some of its entries, and with others behind them.

    All else stays as people wrote it. An entry is its lines, and the comment right above it.
    """
    dropped = {entry.line for entry in drop}
    lines = baseline.text.splitlines(keepends=True)
    starts = [entry.line - 1 for entry in baseline.known if entry.line]
    kept: list[str] = []
    before = 0
    for start, end in pairwise([*starts, len(lines)]):
        first = _with_comment(lines, start, before)
        last = _with_comment(lines, end, start) if end < len(lines) else end
        kept += lines[before:first]
        if start + 1 not in dropped:
            kept += lines[first:last]
        before = last
    text = "".join([*kept, *lines[before:]]).rstrip("\n")
    return "\n\n".join([text, *(_shown(entry) for entry in add)]).lstrip("\n") + "\n"


def _with_comment(lines: list[str], at: int, floor: int) -> int:
    """The first line of an entry, the comment right above it included."""
    first = at
    while first > floor and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    # A comment that begins the file speaks of all of it.
    return at if first == 0 else first


def _shown(entry: Known) -> str:
    lines = ["[[known]]", f"clause = {_quoted(entry.clause)}"]
    if entry.traces != ("*",):
        lines.append(f"traces = [{', '.join(map(_quoted, entry.traces))}]")
    lines += [f"reason = {_quoted(entry.reason)}", f"expires = {entry.expires.isoformat()}"]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
