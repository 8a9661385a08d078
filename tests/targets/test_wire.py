"""The numbers that the probe's C and our Python both know are the same numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pvhspec._data import traces_dir
from pvhspec.targets import steps, wire

CAPTURE = traces_dir() / "capture"


def _source(name: str) -> str:
    return (CAPTURE / name).read_text(encoding="utf-8")


def _enum(file: str, name: str) -> list[str]:
    found = re.search(rf"enum {name} \{{(.*?)\}}", _source(file), re.DOTALL)
    assert found, name
    return [part.split("=")[0].strip() for part in found[1].split(",") if part.strip()]


def _defined(file: str, name: str) -> int:
    found = re.search(rf"^#define {name}\s+(\w+)", _source(file), re.MULTILINE)
    assert found, name
    return int(found[1].rstrip("u"), 0)


@pytest.mark.parametrize(
    "file, enum, prefix, ours, first",
    [
        ("probe.h", "record", "REC_", wire.Record, 1),
        ("run.c", "step_type", "STEP_", wire.StepType, 1),
        ("run.c", "operand_kind", "OP_", wire.OperandKind, 0),
    ],
)
def test_enums(file: str, enum: str, prefix: str, ours: type[wire.Record], first: int) -> None:
    names = [name.removeprefix(prefix) for name in _enum(file, enum)]
    expected = [member.name for member in sorted(ours, key=int)]
    assert [_same(name) for name in names] == [_same(name) for name in expected]
    assert [int(member) for member in ours] == list(range(first, first + len(names)))


def _same(name: str) -> str:
    return name.replace("_", "")


def test_labels_and_remarks_are_as_many() -> None:
    assert len(_enum("probe.h", "label")) == len(wire.LABELS)
    assert len(_enum("probe.h", "remark")) == len(wire.REMARKS)


def test_entry_words() -> None:
    for number, name in enumerate(wire.ENTRY_WORDS):
        assert _defined("layout.h", f"E_{name.upper()}") == number
    assert _defined("layout.h", "E_WORDS") == len(wire.ENTRY_WORDS)


def test_sizes() -> None:
    assert _defined("probe.h", "SLOTS") == steps.SLOTS
    assert _defined("probe.h", "BUFFER_SPACE") == steps.BUFFER_SPACE
    assert _defined("probe.h", "AREA_SIZE") == steps.AREA_SIZE
    assert _defined("probe.h", "PROGRAM_FALLBACK") == wire.PROGRAM_FALLBACK


def test_sources_fit_their_layout() -> None:
    """No line runs past 100 columns, and every file says what it is for in its first line."""
    for path in sorted(CAPTURE.iterdir()):
        if Path(path).suffix not in (".c", ".h", ".S", ".ld"):
            continue
        text = path.read_text(encoding="utf-8")
        assert text.startswith("/*"), path.name
        assert max(map(len, text.splitlines())) <= 100, path.name
