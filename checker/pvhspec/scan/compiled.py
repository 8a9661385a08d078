"""The kernel as machine code, kept on disk by what it is made of."""

from __future__ import annotations

import ctypes
import hashlib
import platform
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from pvhspec.ir.cache import cache_dir, keep, kept
from pvhspec.scan.tables import constants
from pvhspec.scan.translate import translated

__all__ = ["scan"]

_ARGUMENTS = 19  # of `scan` in kernel.py: arrays all of them


@cache
def scan() -> Any:
    """The kernel's function: addresses of arrays in, what came of it out."""
    here = Path(__file__).parent
    source = "\n".join((here / name).read_text() for name in ("values.py", "kernel.py"))
    text = translated(source, constants(), "scan")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        opt=3, cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten()
    )
    about = f"{llvmlite.__version__} {llvm.get_host_cpu_name()} {platform.machine()}\n{text}"
    file = cache_dir() / f"scan-{hashlib.sha256(about.encode()).hexdigest()[:32]}.o"
    code = kept(file)
    if code is None:
        code = _made(text, machine)
        keep(file, code)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * _ARGUMENTS)
    function = kind(engine.get_function_address("scan"))
    function.engine = engine  # type: ignore[attr-defined]
    return function


def _made(text: str, machine: Any) -> bytes:
    module = llvm.parse_assembly(text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))
