"""Small specifications: one module, or a few, on top of `grammar/examples/base`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pvhspec import _data
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.protocol import Call, Judgement, Seen, Verdict
from pvhspec.diagnostics import Diagnostic, render_all
from pvhspec.ir.ir import Spec
from pvhspec.ir.lower import lower
from pvhspec.names.load import Sources
from pvhspec.syntax.parse import parse_manifest, parse_module

BASE = _data.grammar_dir() / "examples" / "base"
RELEASE, MODE = (4, 17), "pvh_dom0"


def compile_text(text: str, path: str = "small.abi") -> tuple[Spec | None, list[Diagnostic]]:
    """A module on top of the base. Without a `module` line it gets one that imports core.base."""
    if not re.search(r"^module ", text, re.MULTILINE):
        text = f"module a.m\nimport core.base\n{text}"
    name = re.findall(r"^module (\S+)", text, re.MULTILINE)[0]
    manifest_path = BASE / "pvh.abi"
    manifest_text = manifest_path.read_text().replace("core.other\n", f"core.other\n  {name}\n")
    manifest, errors = parse_manifest(manifest_text, str(manifest_path))
    assert manifest is not None, render_all(errors)
    modules = []
    texts = {str(manifest_path): manifest_text.split("\n"), path: text.split("\n")}
    for file in (BASE / "core" / "base.abi", BASE / "core" / "other.abi"):
        texts[str(file)] = file.read_text().split("\n")
        module, errors = parse_module(file.read_text(), str(file))
        assert module is not None, render_all(errors)
        modules.append(module)
    module, errors = parse_module(text, path)
    if module is None:
        return None, errors
    spec, found = lower(Sources(manifest, (*modules, module), texts))
    return (None if found else spec), [*errors, *found]


def compile_good(text: str) -> Spec:
    spec, errors = compile_text(text)
    assert spec is not None, render_all(errors)
    return spec


class Run:
    """An execution of a small specification, event by event."""

    def __init__(self, spec: Spec | str, **options: Any) -> None:
        self.spec = compile_good(spec) if isinstance(spec, str) else spec
        self.machine = Machine(self.spec, RELEASE, MODE, **options)
        self._operations = {o.name: o for o in self.spec.operations}
        self._seq = 0

    def call(
        self,
        name: str,
        ret: int | None,
        out: dict[str, int] | None = None,
        memory: tuple[bytes, bytes] | None = None,
        strayed: tuple[int, ...] = (),
        **fields: Any,
    ) -> list[Judgement]:
        """A hypercall. A field that is None was not seen."""
        values: dict[str, Any] = {
            "caller": 0, "current": 0, "width": 64, "cpl": 0, "readable": True, "writable": True,
        }  # fmt: skip
        values |= fields | {f"out.{k}": v for k, v in (out or {}).items()}
        if ret is not None:
            values["ret"] = ret & (1 << 64) - 1
        before, after = memory or (None, None)
        call = Call(self._operations[name], ret, before, after, strayed)
        return self._feed("hypercall", values, call)

    def event(self, kind: str, **fields: Any) -> list[Judgement]:
        """Another event."""
        return self._feed(kind, {"caller": 0, "current": 0, **fields}, None)

    def _feed(self, kind: str, fields: dict[str, Any], call: Call | None) -> list[Judgement]:
        seen = {k: v for k, v in fields.items() if v is not None}
        self._seq += 1
        return list(self.machine.feed(Seen(kind, self._seq, None, seen, call)))


def verdicts(judgements: list[Judgement]) -> dict[str, str]:
    """Clause names (the last words of their ids) and what was said of them."""
    return {".".join(j.clause.split(".")[2:]): j.verdict.value for j in judgements}


def broken(judgements: list[Judgement]) -> list[str]:
    """The clauses that were violated."""
    return [".".join(j.clause.split(".")[2:]) for j in judgements if j.verdict is Verdict.VIOLATES]


def spec_file(folder: Path, name: str, text: str) -> None:
    """Write a file of a specification folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
