"""The IR printed: what a specification comes to. `PVHSPEC_PROMOTE=1` accepts what has changed."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from pvhspec.ir import ir
from pvhspec.ir.show import show_clause, show_expr, show_spec
from pvhspec.ir.tidy import tidied
from pvhspec.syntax.format import format_text
from tests.small import compile_good

FOLDER = Path(__file__).parent / "shown"
FILES = sorted(FOLDER.glob("*.abi"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_is_shown_as_recorded(path: Path) -> None:
    found = show_spec(compile_good(path.read_text()))
    recorded = path.with_suffix(".txt")
    if os.environ.get("PVHSPEC_PROMOTE"):
        recorded.write_text(found)
    assert found == recorded.read_text()
    assert all(len(line) <= 100 for line in found.split("\n"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_is_laid_out(path: Path) -> None:
    result, _ = format_text(path.read_text(), str(path))
    if os.environ.get("PVHSPEC_PROMOTE") and result is not None:
        path.write_text(result)
    assert result == path.read_text()


def nodes(node: Any) -> set[str]:
    if isinstance(node, tuple | list):
        return set().union(*map(nodes, node))
    if isinstance(node, dict):
        return nodes(list(node.values()))
    if not is_dataclass(node):
        return set()
    found = {type(node).__name__}
    if isinstance(node, ir.Op):
        found.add(node.op)
    return found.union(*(nodes(getattr(node, f.name)) for f in fields(node)))


def test_every_kind_of_expression_is_among_them() -> None:
    shown = nodes([compile_good(path.read_text()) for path in FILES])
    assert {kind.__name__ for kind in get_args(ir.Expr)} <= shown
    assert {"not", "and", "or", "implies", "ite", "eq", "ult", "ule"} <= shown
    assert {"add", "sub", "bvand", "bvxor", "bvnot", "shl", "extract", "resize"} <= shown


@pytest.mark.parametrize(
    "text",
    [
        "a and (b or c)", "a or b and c", "(a or b) and c", "not (a or b)", "a => b => c",
        "(a => b) => c", "x + 1 == y", "x - (y - 1) != 3", "x < y", "x >= y",
        "x & (y | 3) == 0", "(x == y) == a", "forall v : VcpuId | n == v => b",
        "(forall v : VcpuId | n == v) and b", "not (exists v : VcpuId | n == v)",
        "if a then b else c", "(if a then x else y) == 0", "x * 2 + 1 << y == 4",
        "channel is free", "channel is unbound and x == 1", "w.level == 3", "not w.on",
    ],
)  # fmt: skip
def test_what_is_shown_means_what_was_written(text: str) -> None:
    head = """
        enum Channel { free unbound(peer : DomId) }
        bits Flags : u32 { on @ 0 level @ 5..3 }
        state a : bool = false state b : bool = false state c : bool = false
        state x : u32 = 0 state y : u32 = 0 state n : VcpuId = 0
        state channel : Channel = free state w : Flags = 0
        invariant i documented xen:a.h "x" : """
    (before,) = compile_good(f"{head}{text}").invariants
    shown = show_expr(tidied(before.body)[0])
    if "[" not in shown:  # bits are shown as in a manual, and not written so
        (after,) = compile_good(f"{head}{shown}").invariants
        assert tidied(after.body) == tidied(before.body), shown


def test_a_clause_is_shown_with_what_it_stands_in() -> None:
    spec = compile_good((FOLDER / "calls.abi").read_text())
    whole = show_clause(spec, "a.calls.open")
    assert whole == show_clause(spec, "a.calls.open.odd") == show_clause(spec, "a.calls.open.even")
    assert whole.startswith("operation open: op = 32.7\n")
    assert show_clause(spec, "a.calls.every.no_call").startswith("operation ")
    assert show_clause(spec, "a.calls.nothing") == ""
