"""A clause as it stands in the text of the specification."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pvhspec import _data
from pvhspec.ir.ir import Citation, Clause, Spec

__all__ = ["citation_text", "clause_lines", "clause_place", "repository", "shown_path"]

_MOST_LINES = 40


@lru_cache(maxsize=64)
def _lines(path: str) -> tuple[str, ...]:
    try:
        return tuple(Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


def clause_lines(clause: Clause) -> list[str]:
    """The lines of a clause, outdented; none where the text is not there any more.

    The formatter's layout is what makes this simple: a clause goes on while lines are indented
    deeper than its first, or are the brackets of its block.
    """
    lines = _lines(clause.path)
    if not 0 < clause.line <= len(lines):
        return []
    first = lines[clause.line - 1]
    margin = len(first) - len(first.lstrip())
    found = [first[margin:]]
    for line in lines[clause.line : clause.line - 1 + _MOST_LINES]:
        inner = line[margin:]
        if line.strip() and (line[:margin].strip() or inner[0] not in " {}"):
            break
        found.append(inner)
        if inner.startswith("}"):
            break
    while found and not found[-1].strip():
        found.pop()
    return found


def clause_place(clause: Clause) -> str:
    """`spec/evtchn/bind.abi:91`: where a clause stands."""
    return f"{shown_path(clause.path)}:{clause.line}"


def shown_path(path: str | Path) -> str:
    """A path from here, where that is shorter; of what is included, from its folder."""
    text = str(path)
    if not os.path.isabs(text):
        return text
    near = os.path.relpath(text)
    if not near.startswith(os.pardir):
        return near
    for name, folder in (("spec", _data.spec_dir()), ("traces", _data.traces_dir())):
        if text.startswith(f"{folder}{os.sep}"):
            return os.path.join(name, os.path.relpath(text, folder))
    return text


def repository(spec: Spec, source: str) -> tuple[str, str]:
    """The repository and commit that a citation's source stands for."""
    return spec.sources.get(source, (source, ""))


def citation_text(spec: Spec, citation: Citation) -> str:
    """`xen-project/xen@c447b7308b xen/include/public/xen.h "anchor"`."""
    name, commit = repository(spec, citation.source)
    at = f"@{commit[:12]}" if commit else ""
    anchor = f' "{citation.anchor}"' if citation.anchor else ""
    return f"{name}{at} {citation.path}{anchor}"
