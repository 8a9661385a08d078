"""Machine code of a module's text, kept on disk by content."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm

__all__ = ["compiled", "loaded"]


def _target() -> Any:
    """One for each use: an engine takes it over."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        opt=2,
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
    )


def compiled(text: str) -> bytes:
    """The object file of LLVM's text."""
    machine = _target()
    module = llvm.parse_assembly(text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_module_pass_manager()
    # Few and quick: more of them would take twice as long, for a fifth less of a run.
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    passes.add_jump_threading_pass()
    passes.add_simplify_cfg_pass()
    passes.add_dead_code_elimination_pass()
    passes.run(module, builder)
    return bytes(machine.emit_object(module))


@lru_cache(maxsize=32)
def loaded(code: bytes) -> tuple[Any, Any]:
    """The function `run` of an object file, and what must be kept as long as it is used."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
        ctypes.c_int64, ctypes.c_void_p,
    )  # fmt: skip
    return kind(engine.get_function_address("run")), engine
