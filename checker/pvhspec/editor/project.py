"""One specification while it is being written: files, and what is in an editor and not saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pvhspec.diagnostics import Diagnostic
from pvhspec.editor.occurrences import Occurrence, Target, in_manifest, occurrences
from pvhspec.ir.ir import Spec
from pvhspec.ir.lower import lower
from pvhspec.names.load import Sources, load
from pvhspec.names.report import Reporter
from pvhspec.names.symbols import Symbols, collect
from pvhspec.syntax import ast
from pvhspec.syntax.parse import parse_module
from pvhspec.syntax.source import check_text, read_text

__all__ = ["Project", "Whole", "folder_of"]


def folder_of(file: Path) -> Path | None:
    """The specification that a file belongs to: the nearest folder above it with a pvh.abi."""
    return next((above for above in file.parents if (above / "pvh.abi").is_file()), None)


@dataclass(frozen=True, slots=True)
class Whole:
    """The specification as it was when all of its files could last be read."""

    sources: Sources
    symbols: Symbols
    spec: Spec
    modules: dict[str, ast.Module]  #: by path


class Project:
    """A folder of specification text. `whole` is the last state that parsed, None before any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole: Whole | None = None
        self._unsaved: dict[str, str] = {}
        self._parsed: dict[str, tuple[str, tuple[ast.Module | None, list[Diagnostic]]]] = {}
        self._found: dict[str, list[Occurrence]] = {}

    def copy(self) -> Project:
        """Another of the same text, to try something on."""
        other = Project(self.folder)
        other._unsaved, other._parsed = dict(self._unsaved), dict(self._parsed)
        return other

    # ---- text ----------------------------------------------------------------------------------

    def edit(self, path: str, text: str | None) -> None:
        """What an editor holds of a file; None: what is on the disk counts again."""
        if text is None:
            self._unsaved.pop(path, None)
        else:
            self._unsaved[path] = text.replace("\r\n", "\n")

    def text(self, path: str) -> str:
        """A file as it is being written; "" where it cannot be read."""
        return self._read(Path(path))[0] or ""

    def _read(self, path: Path) -> tuple[str | None, list[Diagnostic]]:
        text = self._unsaved.get(str(path))
        if text is None:
            return read_text(path)
        errors = check_text(text, str(path))
        return (None if errors else text), errors

    def _parse(self, text: str, path: str) -> tuple[ast.Module | None, list[Diagnostic]]:
        """As the parser, which is not asked again for text it has seen."""
        kept = self._parsed.get(path)
        if kept is None or kept[0] != text:
            kept = self._parsed[path] = (text, parse_module(text, path))
        module, errors = kept[1]
        return module, list(errors)

    # ---- meaning -------------------------------------------------------------------------------

    def check(self) -> list[Diagnostic]:
        """Everything that is wrong, in all files: syntax, or, where there is none, meaning."""
        sources, errors = load(self.folder, self._read, self._parse)
        if sources is None:
            return errors
        symbols = collect(sources, Reporter(sources.texts))
        spec, found = lower(sources)
        self.whole = Whole(sources, symbols, spec, {m.path: m for m in sources.modules})
        self._found = {}
        return [*errors, *found]

    def occurrences(self, path: str) -> list[Occurrence]:
        """What every name in a file stands for, by the text as it last parsed."""
        whole = self.whole
        kept = self._found.get(path)
        if kept is None and whole is not None:
            module = whole.modules.get(path)
            if module is not None:
                kept = occurrences(module, whole.symbols)
            elif path == whole.sources.manifest.path:
                kept = in_manifest(whole.sources.manifest)
            self._found[path] = kept or []
        return kept or []

    def at(self, path: str, line: int, column: int) -> Occurrence | None:
        """The name at a place (from 1), by the text as it last parsed."""
        for each in self.occurrences(path):
            span = each.span
            if span.line == line and span.column <= column <= span.end_column:
                return each
        return None

    def all_of(self, target: Target) -> list[tuple[str, Occurrence]]:
        """Every place where a target is named, with its file; definitions first."""
        if self.whole is None:
            return []
        paths = [self.whole.sources.manifest.path, *self.whole.modules]
        found = [
            (path, each)
            for path in paths
            for each in self.occurrences(path)
            if each.target == target or _field_of(each.target, target)
        ]
        return sorted(found, key=lambda pair: not pair[1].defines)


def _field_of(one: Target, wanted: Target) -> bool:
    """A field whose owner only its type would tell may be of any."""
    return (
        one.kind == wanted.kind == "field"
        and one.name == wanted.name
        and "" in (one.owner, wanted.owner)
    )
