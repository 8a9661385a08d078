"""Every citation of a specification, looked up in the source it names; what was found is on record.

The record, `citations.json` beside the manifest, lets anybody see without the sources that each
anchor was found, at which commit and in which line.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pvhspec.diagnostics import Diagnostic, PvhError, code
from pvhspec.names.load import Sources, load
from pvhspec.syntax import ast

__all__ = ["RECORD", "Cited", "check_record", "citations", "dumped", "look_up"]

NO_ANCHOR = code("PVH411", "A citation's words do not stand in the file it names.")
NO_FILE = code("PVH412", "A citation names a file that its source does not have.")
NOT_RECORDED = code("PVH413", "A citation has not been looked up in the source it names.")
STALE = code("PVH414", "The record of citations has an entry that nothing cites any more.")
BAD_RECORD = code("PVH415", "The record of citations cannot be read.")
NO_SOURCES = code("PVH416", "There is no clone that has the commit a source is pinned to.")

RECORD = "citations.json"
_VERSION = 1
_TIME_LIMIT = 120  # seconds for git

Key: TypeAlias = tuple[str, str, str]  # source, path, anchor ("" for the file itself)


@dataclass(frozen=True, slots=True)
class Cited:
    """All citations: where each first stands, and what the sources are pinned to."""

    places: dict[Key, tuple[str, ast.Span]]
    pinned: dict[str, tuple[str, str]]
    sources: Sources

    def error(self, kind: str, key: Key, message: str, remedy: str | None = None) -> Diagnostic:
        """What is wrong with a citation, at its place."""
        path, span = self.places[key]
        line = self.sources.texts[path][span.line - 1]
        return Diagnostic(
            kind, message, remedy, path, span.line, span.column, span.end_column, line
        )


def citations(folder: Path) -> Cited:
    """The citations in a specification folder. Raises PvhError where it cannot be parsed."""
    sources, errors = load(folder)
    if sources is None:
        raise PvhError(*errors)
    found: dict[Key, tuple[str, ast.Span]] = {}
    for module in sources.modules:
        for cite in _walk(module):
            key = (cite.source, cite.path, cite.anchor or "")
            found.setdefault(key, (module.path, cite.span))
    items = sources.manifest.items
    pinned = {i.name.text: (i.repository, i.commit) for i in items if isinstance(i, ast.SourceDecl)}
    return Cited(dict(sorted(found.items())), pinned, sources)


def _walk(node: object) -> Iterator[ast.Cite]:
    if isinstance(node, ast.Cite):
        yield node
    elif isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif is_dataclass(node):
        for f in fields(node):
            yield from _walk(getattr(node, f.name))


# ---- the record ----------------------------------------------------------------------------------


def check_record(cited: Cited, file: Path) -> list[Diagnostic]:
    """What the record does not have, or has and should not."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        sources = {
            name: (s["repository"], s["commit"], s["files"])
            for name, s in record["sources"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "pvhspec cite --sources CLONE makes it anew"
        why = error.strerror if isinstance(error, OSError) else error
        return [Diagnostic(BAD_RECORD, f"cannot be read: {why}", remedy, str(file))]
    remedy = "look it up: pvhspec cite --sources CLONE"
    errors: list[Diagnostic] = []
    for key in cited.places:
        source, path, anchor = key
        repository, commit, files = sources.get(source, ("", "", {}))
        fresh = (repository, commit) == cited.pinned.get(source)
        if not fresh or anchor not in files.get(path, {}):
            what = "this citation has not been looked up"
            errors.append(cited.error(NOT_RECORDED, key, what, remedy))
    for source, (_, _, files) in sources.items():
        for path, anchors in files.items():
            for anchor in anchors:
                if (source, path, anchor) not in cited.places:
                    what = f"{source}:{path} {json.dumps(anchor)} is cited no more"
                    errors.append(Diagnostic(STALE, what, remedy, str(file)))
    return errors


def dumped(record: dict[str, Any]) -> str:
    """The record's text: the same for the same citations."""
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


# ---- looking up ----------------------------------------------------------------------------------


def look_up(cited: Cited, folder: Path) -> tuple[dict[str, Any], list[Diagnostic]]:
    """A record made from git clones in `folder` (or from the one that it is), and what is wrong.

    Raises PvhError where no clone has a commit that is needed, FileNotFoundError without git.
    """
    errors: list[Diagnostic] = []
    sources: dict[str, Any] = {}
    used = sorted({source for source, _, _ in cited.places})
    texts = {name: _Source(*cited.pinned[name], folder) for name in used if name in cited.pinned}
    for key in cited.places:
        source, path, anchor = key
        if source not in texts:
            errors.append(cited.error(NO_FILE, key, f"no source is called {source}"))
            continue
        repository, commit = cited.pinned[source]
        line = texts[source].line_of(path, anchor)
        if line is None:
            what = f"{repository} has no {path} at {commit[:12]}"
            errors.append(cited.error(NO_FILE, key, what))
        elif not line:
            what = f"these words do not stand in {path} at {commit[:12]}"
            errors.append(cited.error(NO_ANCHOR, key, what))
        else:
            empty = {"repository": repository, "commit": commit, "files": {}}
            entry = sources.setdefault(source, empty)
            entry["files"].setdefault(path, {})[anchor] = line
    return {"version": _VERSION, "sources": sources}, errors


class _Source:
    """One source at its pinned commit."""

    def __init__(self, repository: str, commit: str, folder: Path) -> None:
        self._repository, self._commit = repository, commit
        self._clone = self._find(folder)
        self._texts: dict[str, str | None] = {}

    def line_of(self, path: str, anchor: str) -> int | None:
        """The first line that the anchor stands in; 0 if none, None if there is no such file."""
        if path not in self._texts:
            done = _git(self._clone, "show", f"{self._commit}:{path}")
            text = done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
            self._texts[path] = text
        text = self._texts[path]
        if text is None:
            return None
        at = text.find(anchor)
        return 0 if at < 0 else text.count("\n", 0, at) + 1

    def _find(self, folder: Path) -> Path:
        owner, _, name = self._repository.partition("/")
        for place in (
            folder,
            folder / name,
            folder / owner / name,
            folder / f"{owner}+{name}",
            folder / f"{owner}+{name}" / "repo",
        ):
            if place.is_dir():
                done = _git(place, "cat-file", "-e", f"{self._commit}^{{commit}}")
                if done.returncode == 0:
                    return place
        remedy = f"clone {self._repository}, or fetch that commit into the clone there"
        what = f"no clone with {self._repository} at {self._commit[:12]}"
        raise PvhError(Diagnostic(NO_SOURCES, what, remedy, str(folder)))


def _git(clone: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", "-C", str(clone), "-c", "safe.directory=*", *words],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIME_LIMIT, check=False,
    )  # fmt: skip
