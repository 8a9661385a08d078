"""Compiled specifications by the content of their text, so that a second start is fast."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pvhspec import __version__, _data
from pvhspec.diagnostics import Diagnostic
from pvhspec.ir.ir import Spec
from pvhspec.ir.packed import Packed, unpickled

if TYPE_CHECKING:
    from pvhspec.names.load import Sources

__all__ = ["cache_dir", "keep", "kept", "key_of", "load_sources", "load_spec"]

T = TypeVar("T")
Made: TypeAlias = tuple[T | None, list[Diagnostic]]

_MOST = 64  # files of one kind that are kept

# What the IR depends on besides the text: the passes before it.
_PASSES = ("syntax", "names", "types", "ir")

_known: dict[int, tuple[object, str]] = {}  # what was made of folders, by where it is in memory


def cache_dir() -> Path:
    """Where everything that can be made again is kept: `$XDG_CACHE_HOME/pvhspec`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pvhspec"


def load_spec(folder: Path | None = None) -> tuple[Spec | None, list[Diagnostic]]:
    """The specification in a folder (by default the one that comes with the package), compiled.

    A specification with errors is never cached; neither is one where the cache cannot be written.
    """

    def compiled(where: Path) -> Made[Spec]:
        from pvhspec.ir.lower import compile_folder  # Lark is loaded only where it is needed

        spec, errors = compile_folder(where)
        if spec is not None:
            spec.examples = Packed(spec.examples)
        return spec, errors

    return _kept("spec", folder or _data.spec_dir(), Spec, compiled)


def load_sources(folder: Path | None = None) -> tuple[Sources | None, list[Diagnostic]]:
    """The syntax trees of a specification, kept likewise: what it takes to ask in its words."""
    from pvhspec.names.load import Sources, load

    return _kept("text", folder or _data.spec_dir(), Sources, load)


def _kept(name: str, folder: Path, kind: type[T], make: Callable[[Path], Made[T]]) -> Made[T]:
    """What is made of a folder's text, or was before; with errors it is never kept."""
    file = cache_dir() / f"{name}-{_key(folder)}.pickle"
    found = _read(file)
    if isinstance(found, kind):
        _known[id(found)] = (found, file.stem)
        return found, []
    made, errors = make(folder)
    if made is not None and not errors:
        _write(file, made)
        _known[id(made)] = (made, file.stem)
    return made, errors


def key_of(spec: Spec) -> str | None:
    """What a specification of a folder is told from all others by; None where it was changed, or
    made otherwise."""
    found = _known.get(id(spec))
    return found[1] if found is not None and found[0] is spec else None


def _key(folder: Path) -> str:
    # As given, too: it is what the places in it are told by.
    digest = hashlib.sha256(f"{__version__}\0{folder}\0{folder.resolve()}".encode())
    package = Path(__file__).resolve().parent.parent
    sources = [p for name in _PASSES for p in sorted((package / name).rglob("*.py"))]
    for path in (*sources, _data.grammar_dir() / "pvh.lark"):
        stat = path.stat()
        digest.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    for path in sorted(folder.rglob("*.abi")):
        digest.update(path.relative_to(folder).as_posix().encode())
        try:
            digest.update(path.read_bytes())
        except OSError:
            digest.update(b"unreadable")
    return digest.hexdigest()[:32]


def _read(file: Path) -> Any:
    """What was kept; whatever is wrong with it, it is only made again."""
    try:
        return unpickled(kept(file) or b"")
    except Exception:
        return None


def _write(file: Path, made: object) -> None:
    keep(file, pickle.dumps(made, protocol=pickle.HIGHEST_PROTOCOL))


def kept(file: Path) -> bytes | None:
    """What is kept in a file, which counts as used now; None where it is not whole."""
    try:
        held = file.read_bytes()
        os.utime(file)
    except OSError:
        return None
    return held[32:] if hashlib.sha256(held[32:]).digest() == held[:32] else None


def keep(file: Path, held: bytes) -> None:
    """Keep this in a file; of all whose names begin likewise, as far as a hyphen, those that were
    not used for longest make room."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(hashlib.sha256(held).digest() + held)
        part.replace(file)
        alike = file.parent.glob(f"{file.name.split('-', 1)[0]}-*{file.suffix}")
        used = sorted(((path.stat().st_mtime_ns, path) for path in alike), reverse=True)
        for _, path in used[_MOST:]:
            path.unlink(missing_ok=True)
