"""From a folder to modules in reading order: the manifest says which, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pvhspec.diagnostics import Diagnostic, code
from pvhspec.names.report import Reporter, closest
from pvhspec.syntax import ast
from pvhspec.syntax.parse import parse_manifest, parse_module
from pvhspec.syntax.source import read_text

__all__ = ["Sources", "load"]

NO_MANIFEST = code("PVH201", "The folder holds no manifest.")
NO_MODULE = code("PVH202", "The manifest names a module that has no file.")
UNLISTED = code("PVH203", "A .abi file is not named by the manifest.")
WRONG_NAME = code("PVH204", "The module line does not say what the file's place says.")
LISTED_TWICE = code("PVH206", "The manifest lists a module twice.")
BAD_IMPORT = code("PVH205", "An import names no module, or one that comes later.")


@dataclass(frozen=True, slots=True)
class Sources:
    """The manifest and the modules in reading order, with the text of each file by lines."""

    manifest: ast.Manifest
    modules: tuple[ast.Module, ...]
    texts: dict[str, list[str]]


Reader = Callable[[Path], tuple[str | None, list[Diagnostic]]]
Parser = Callable[[str, str], tuple[ast.Module | None, list[Diagnostic]]]


def load(
    folder: Path, read: Reader = read_text, parse: Parser = parse_module
) -> tuple[Sources | None, list[Diagnostic]]:
    """Read and parse a specification folder.

    `read` and `parse` stand in where text is not in files, or is parsed already. Returns None with
    the errors if a file cannot be read or parsed; errors that leave the tree usable (an unlisted
    file, a wrong import) come back beside it.
    """
    path = folder / "pvh.abi"
    if not path.is_file():
        why = f"{folder} holds no pvh.abi"
        return None, [Diagnostic(NO_MANIFEST, why, "give the folder of a specification")]
    text, errors = read(path)
    if text is None:
        return None, errors
    manifest, errors = parse_manifest(text, str(path))
    if manifest is None:
        return None, errors
    texts = {str(path): text.split("\n")}
    report = Reporter(texts)
    listed = [n for i in manifest.items if isinstance(i, ast.ModulesDecl) for n in i.names]
    modules: list[ast.Module] = []
    for position, name in enumerate(listed):
        if name.text in [n.text for n in listed[:position]]:
            why, remedy = f"{name.text} is listed twice", "a module has one place: remove one"
            report.error(LISTED_TWICE, str(path), name.span, why, remedy)
            continue
        file = folder.joinpath(*name.text.split(".")).with_suffix(".abi")
        if not file.is_file():
            remedy = f"write it, beginning with: module {name.text}; or remove it from the list"
            report.error(NO_MODULE, str(path), name.span, f"there is no {file}", remedy)
            continue
        text, unreadable = read(file)
        if text is None:
            errors += unreadable
            continue
        texts[str(file)] = text.split("\n")
        module, found = parse(text, str(file))
        errors += found
        if module is not None:
            modules.append(module)
            names = [n.text for n in listed]
            _check_module(module, name, names[:position], names, report)
    known = {f"{n.text.replace('.', '/')}.abi" for n in listed} | {"pvh.abi"}
    for file in sorted(folder.rglob("*.abi")):
        if file.relative_to(folder).as_posix() not in known:
            remedy = "add it to modules { … } in pvh.abi, or remove the file"
            errors.append(
                Diagnostic(UNLISTED, "the manifest does not name this", remedy, str(file))
            )
    errors += report.errors
    complete = len(modules) == len(listed)
    return (Sources(manifest, tuple(modules), texts) if complete else None), errors


def _check_module(
    module: ast.Module,
    expected: ast.Name,
    before: list[str],
    listed: list[str],
    report: Reporter,
) -> None:
    if module.name.text != expected.text:
        why = f"this file is {expected.text}, not {module.name.text}"
        report.error(
            WRONG_NAME, module.path, module.name.span, why, f"write: module {expected.text}"
        )
    for name in (n for line in module.imports for n in line):
        if name.text not in before:
            why = f"no module {name.text} comes before this one in pvh.abi"
            remedy = closest(name.text, before)
            if name.text in listed:
                remedy = f"list {name.text} before {expected.text} in pvh.abi"
            report.error(
                BAD_IMPORT, module.path, name.span, why, remedy or "see modules in pvh.abi"
            )
