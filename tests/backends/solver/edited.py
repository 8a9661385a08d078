"""The specification with an edit, as somebody might make it by mistake."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pvhspec import _data
from pvhspec.backends.solver.prove import Proof, steps_of
from pvhspec.backends.solver.tell_proofs import tell_proof
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Observation, Operation, Spec
from pvhspec.ir.lower import compile_folder


@cache
def real_spec() -> Spec:
    """The specification as it is."""
    spec, errors = load_spec()
    assert spec is not None, errors
    return spec


@cache
def edited(module: str, old: str, new: str) -> Spec:
    """The specification without its examples, one place of a module changed; the place must be
    there, once, however it is laid out."""
    with TemporaryDirectory() as where:
        folder = Path(where) / "spec"
        shutil.copytree(_data.spec_dir(), folder, ignore=shutil.ignore_patterns("*_examples.abi"))
        manifest = folder / "pvh.abi"
        manifest.write_text(re.sub(r"\S+_examples\n", "\n", manifest.read_text()))
        path = folder.joinpath(*module.split(".")).with_suffix(".abi")
        text = path.read_text()
        pattern = r"\s+".join(re.escape(word) for word in old.split())
        text, count = re.subn(pattern, lambda _: new, text)
        assert count == 1, f"{old!r} stands {count} times in {module}"
        path.write_text(text)
        spec, errors = compile_folder(folder)
    assert spec is not None, errors
    return spec


def told_of_step(spec: Spec, invariant: str, operation: str) -> list[str]:
    """What is told of an invariant and one operation, up to the first release that breaks it."""
    (claim,) = (i for i in spec.invariants if i.name == invariant)

    def touched(item: Operation | Observation | str) -> bool:
        return isinstance(item, Operation) and item.name == operation

    proof = Proof(claim)
    for step in steps_of(spec, claim, touched):
        proof.steps.append(step)
        if step.outcome.status == "refuted":
            break
    return list(tell_proof(spec, proof))
