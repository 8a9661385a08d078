"""A specification is a folder: what its manifest, its files and its imports may have wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvhspec.diagnostics import Diagnostic, render_all
from pvhspec.ir.lower import compile_folder
from tests.small import spec_file

MANIFEST = """abi small
mode pvh "The mode."
versions xen 4.17
source xen = "xen-project/xen" at "c447b7308b1330ec6dcfef37220736c28f41daa0"
modules {
  core.a
  core.b
}
"""
GOOD = {
    "pvh.abi": MANIFEST,
    "core/a.abi": "module core.a\n\ntype Port = u32 below 8\n",
    "core/b.abi": "module core.b\n\nimport core.a\n\ntype Other = Port\n",
}


def errors_of(folder: Path, changes: dict[str, str | None]) -> list[Diagnostic]:
    for name, text in {**GOOD, **changes}.items():
        if text is not None:
            spec_file(folder, name, text)
    spec, errors = compile_folder(folder)
    assert (spec is None) == bool(errors), render_all(errors)
    return errors


def test_a_folder_that_is_one(tmp_path: Path) -> None:
    assert errors_of(tmp_path, {}) == []


@pytest.mark.parametrize(
    "changes, code, place, words",
    [
        ({"pvh.abi": None}, "PVH201", None, "pvh.abi"),
        ({"core/b.abi": None}, "PVH202", "pvh.abi:7:3", "core/b.abi"),
        ({"core/c.abi": "module core.c\n"}, "PVH203", "core/c.abi", "modules { … }"),
        ({"core/a.abi": "module core.aa\n"}, "PVH204", "core/a.abi:1:8", "core.a"),
        ({"core/a.abi": "module core.a\nimport core.b\n"}, "PVH205", "core/a.abi:2:8", "before"),
        ({"core/b.abi": "module core.b\nimport core.aa\n"}, "PVH205", "core/b.abi:2:8", "core.a"),
        (
            {"pvh.abi": MANIFEST.replace("  core.b\n", "  core.b\n  core.a\n")},
            "PVH206", "pvh.abi:8:3", "twice",
        ),
        (
            {"pvh.abi": MANIFEST.replace("versions", "group all = pvh, hvm\nversions")},
            "PVH213", "pvh.abi:3:18", "hvm",
        ),
        ({"core/b.abi": "module core.b\ntype Other = Port\n"}, "PVH212", "core/b.abi:2:14",
         "add: import core.a"),
    ],
)  # fmt: skip
def test_one_clear_error(
    tmp_path: Path, changes: dict[str, str | None], code: str, place: str | None, words: str
) -> None:
    errors = errors_of(tmp_path, changes)
    mine = [e for e in errors if e.code == code]
    assert mine, render_all(errors)
    if place is not None:
        assert mine[0].where == str(tmp_path / place)
    assert words in mine[0].render()
    assert mine[0].remedy


def test_a_module_that_is_not_text_is_named(tmp_path: Path) -> None:
    for name, text in GOOD.items():
        spec_file(tmp_path, name, text)
    (tmp_path / "core" / "b.abi").write_bytes(b"module core.b\n\xff\n")
    spec, errors = compile_folder(tmp_path)
    assert spec is None
    assert [e.code for e in errors] == ["PVH105"]


def test_errors_of_many_modules_come_together(tmp_path: Path) -> None:
    errors = errors_of(
        tmp_path,
        {
            "core/a.abi": "module core.a\ntype Port = u3\nconst A : u8 = 300\n",
            "core/b.abi": "module core.b\nimport core.a\nconst B : Port = true\n",
        },
    )
    assert {(Path(e.path or "").name, e.code) for e in errors} >= {
        ("a.abi", "PVH211"), ("a.abi", "PVH314"),
    }  # fmt: skip
