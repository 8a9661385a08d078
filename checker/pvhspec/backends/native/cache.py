"""Programs that were made before: in this process, and on disk by all that they hang on."""

from __future__ import annotations

import hashlib
import pickle
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from pvhspec import __version__
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.native.engine import Program
from pvhspec.ir.cache import cache_dir, keep, kept, key_of
from pvhspec.ir.ir import Spec
from pvhspec.ir.packed import unpickled
from pvhspec.names.gates import Version

__all__ = ["program"]

_MOST = 32
_MOST_GROWTHS = 3  # of a program; then it is made for everything
_made: dict[Any, Program] = {}
_growths: dict[Any, int] = {}


def program(
    spec: Spec,
    compiled: Compiled,
    version: Version,
    mode: str,
    given: frozenset[str],
    all_domains: bool,
    kinds: Mapping[str, int],
    wanted: frozenset[str],
) -> Program:
    """The program for a specification, release, mode, authority and kind of trace; `wanted`: the
    operations and kinds of events it is for."""
    told = frozenset(name for name in given if name in spec.states and not spec.states[name].given)
    authority = "documented" if compiled.disregard else "implemented"
    place = (id(spec), version, mode, authority, told, all_domains)
    found = _made.get(place)
    if found is not None and found.spec is spec:
        if wanted <= found.wanted:
            return found
        wanted |= found.wanted  # many short traces come to one program soon
        growths = _growths[place] = _growths.get(place, 0) + 1
        if growths > _MOST_GROWTHS:
            wanted = frozenset({*kinds, *(op.id for op in spec.operations)})
    where = (*place, wanted)
    of = key_of(spec)
    file = None if of is None else cache_dir() / f"native-{_key(of, where[1:])}.pickle"
    made = None if file is None else _read(file)
    if made is None:
        made = Program(
            spec, version, mode, compiled, given=told, all_domains=all_domains, kinds=kinds,
            wanted=wanted,
        )  # fmt: skip
        if file is not None:
            keep(file, pickle.dumps(made, protocol=pickle.HIGHEST_PROTOCOL))
    made.spec = spec
    if len(_made) >= _MOST:
        _made.clear()
    _made[place] = made
    return made


def _key(of: str, where: tuple[Any, ...]) -> str:
    about = (
        __version__, llvmlite.__version__, llvm.get_host_cpu_name(), platform.machine(),
        where[0], where[1], where[2], sorted(where[3]), where[4],
        sorted(where[5]), of,
    )  # fmt: skip
    digest = hashlib.sha256(repr(about).encode())
    package = Path(__file__).resolve().parent
    for path in sorted((*package.glob("*.py"), *package.parent.glob("interpreter/*.py"))):
        stat = path.stat()
        digest.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:32]


def _read(file: Path) -> Program | None:
    """What was kept; whatever is wrong with it, it is only made again."""
    try:
        found = unpickled(kept(file) or b"")
    except Exception:
        return None
    return found if isinstance(found, Program) else None
