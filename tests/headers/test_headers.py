"""Every structure and constant of the specification is what Xen's public headers say, compiled."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pvhspec.ir.cache import load_sources, load_spec
from pvhspec.ir.ir import Spec, Struct, StructField
from pvhspec.syntax import ast
from tests.headers import headers
from tests.headers.headers import Layout
from tests.real import lacking

NAMES = tomllib.loads(Path(__file__).with_name("names.toml").read_text())
ELSEWHERE = NAMES["ours"] | NAMES["elsewhen"]
HOW = "if it is the specification's own or of another release, tests/headers/names.toml says so"


@pytest.fixture(scope="module", autouse=True)
def _there() -> None:
    why = headers.missing()
    if why is not None:
        lacking(f"Xen's public headers cannot be compiled here: {why}")


@cache
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


# ---- structures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [64, 32])
def test_structures_lie_as_the_headers_say(width: int) -> None:
    known, wrong = headers.layouts(width), list[str]()
    for name, struct in spec().structs.items():
        if name in ELSEWHERE:
            continue
        real = NAMES["structures"].get(name, name)
        layout = known.get(real) or known.get(f"{real}_t")
        if layout is None:
            wrong.append(f"{name}: the headers have no {real}; {HOW}")
        else:
            wrong += _differences(struct, layout, int(width == 32))
    assert not wrong, "\n".join(wrong)


def _differences(struct: Struct, layout: Layout, narrow: int) -> Iterator[str]:
    if struct.size[narrow] != layout.size:
        yield f"{struct.name}: {struct.size[narrow]} bytes, in the headers {layout.size}"
    for field in struct.fields:
        at, size = field.offset[narrow], field.size[narrow]
        named = NAMES["fields"].get(f"{struct.name}.{field.name}")
        places = [
            (offset, one * count)
            for path, (offset, one, count) in layout.members.items()
            if (_is(field.name, path) if named is None else path == named)
        ]
        if named is not None:  # a part of it
            fine = any(offset <= at and at + size <= offset + most for offset, most in places)
        elif places:
            fine = any(
                offset == at and (_fits(field, size, most) or _and_padding(layout, at, size, most))
                for offset, most in places
            )
        else:
            fine = at + size <= layout.size and not _used(layout, at, size)
        if not fine:
            there = ", ".join(f"{size} bytes at {at}" for at, size in places) or "no such member"
            yield f"{struct.name}.{field.name}: {size} bytes at {at}, in the headers {there}"


def _is(name: str, path: str) -> bool:
    """`interdomain_dom` is `u.interdomain.dom`; `pad` is `_pad`, wherever it stands."""
    parts = path.split(".")
    return any("_".join(parts[i:]).lstrip("_") == name for i in range(len(parts)))


def _fits(field: StructField, size: int, most: int) -> bool:
    """A text is all of its letters but for the last, which is a field of its own."""
    return size == most or (field.count > 1 and size == most - 1)


def _and_padding(layout: Layout, at: int, size: int, most: int) -> bool:
    """What is wider than the member takes in what pads it, and nothing else."""
    return size > most and not _used(layout, at + most, size - most)


def _used(layout: Layout, at: int, size: int) -> bool:
    """Whether a byte is one of the headers' members; else it is padding."""
    return any(
        offset < at + size and at < offset + one * count
        for offset, one, count in layout.members.values()
    )


# ---- constants -----------------------------------------------------------------------------------


def _constants() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Names of the specification, the headers' for them, and their values: of a bit its number, or
    the word that has it alone."""
    sources, errors = load_sources()
    assert sources is not None, errors
    prefixes = NAMES["prefixes"]
    for module in sources.modules:
        for item in module.items:
            match item:
                case ast.ConstDecl(name=name, value=ast.Number(value=value)):
                    yield name.text, NAMES["constants"].get(name.text, name.text), (value,)
                case ast.EnumDecl(name=name, variants=variants) if name.text not in ELSEWHERE:
                    before = prefixes.get(name.text, "")
                    for each in variants:
                        if each.value is not None:
                            # Of a narrow type the headers may have the same as a negative number.
                            values = (each.value, (each.value - (1 << 16)) % (1 << 64))
                            yield each.name.text, f"{before}{each.name.text}", values
                case ast.BitsDecl(name=name, fields=fields) if name.text not in ELSEWHERE:
                    before = prefixes.get(name.text, "")
                    for bit in fields:
                        if bit.high == bit.low:
                            there = f"{before}{bit.name.text}"
                            there = NAMES["constants"].get(bit.name.text, there)
                            yield bit.name.text, there, (bit.low, 1 << bit.low)
    for op in spec().operations:
        if op.command is not None:
            yield op.name, NAMES["constants"].get(op.name, op.name), (op.command,)
    for call in spec().hypercalls.values():
        called = f"__HYPERVISOR_{call.name}"
        yield called, NAMES["constants"].get(called, called), (call.number,)


def test_constants_are_the_headers() -> None:
    wanted = [each for each in _constants() if each[0] not in ELSEWHERE]
    real = headers.constants({there for _, there, _ in wanted})
    wrong = []
    for name, there, values in wanted:
        found = real[there]
        if found is None:
            wrong.append(f"{name}: the headers have no {there}; {HOW}")
        elif found not in values:
            wrong.append(f"{name} = {values[0]}, in the headers {found}")
    assert not wrong, "\n".join(wrong)


def test_what_is_listed_is_there() -> None:
    """No line of names.toml is left over."""
    sources, _ = load_sources()
    assert sources is not None
    named = {
        item.name.text
        for module in sources.modules
        for item in module.items
        if isinstance(item, ast.ConstDecl | ast.EnumDecl | ast.BitsDecl | ast.StructDecl)
    }
    named |= {name for name, _, _ in _constants()} | {op.name for op in spec().operations}
    named |= {f"{s.name}.{f.name}" for s in spec().structs.values() for f in s.fields}
    listed = {name for part in NAMES.values() for name in part}
    assert not listed - named
    assert not NAMES["ours"].keys() & NAMES["elsewhen"].keys()
