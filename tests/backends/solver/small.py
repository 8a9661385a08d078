"""Small specifications, for what the real one has no case of."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pvhspec.ir.ir import Spec
from pvhspec.ir.lower import compile_folder

_BELL = Path(__file__).parents[2] / "cli" / "inputs" / "bell"


@cache
def bells(text: str) -> Spec:
    """A specification whose one module beside its core is this text."""
    with TemporaryDirectory() as where:
        folder = Path(where) / "spec"
        shutil.copytree(_BELL, folder)
        head = 'module house.bells\n  "Bells."\n\nimport house.core\n\n'
        (folder / "house" / "bells.abi").write_text(head + text)
        spec, errors = compile_folder(folder)
    assert spec is not None, errors
    return spec
