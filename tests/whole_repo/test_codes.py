"""Every error code is documented where it is defined, and raised by some test."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pvhspec
from pvhspec.diagnostics import CODES

REPO = Path(__file__).resolve().parents[2]


def load_everything() -> None:
    for module in pkgutil.walk_packages(pvhspec.__path__, "pvhspec."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_every_code_has_a_sentence() -> None:
    load_everything()
    for name, meaning in CODES.items():
        assert len(meaning.split()) > 2, f"{name}: {meaning}"
        assert meaning.endswith((".", ")")), f"{name}: {meaning}"


def test_every_code_is_raised_by_a_test() -> None:
    load_everything()
    tests = [p for p in (REPO / "tests").rglob("*") if p.suffix in {".py", ".md", ".txt"}]
    tests += [p for p in (REPO / "grammar").rglob("*") if p.is_file()]
    text = "\n".join(path.read_text() for path in tests)
    unseen = sorted(set(CODES) - set(re.findall(r"PVH\d{3}", text)))
    assert not unseen


def test_no_code_is_used_that_is_not_registered() -> None:
    load_everything()
    for path in (REPO / "checker").rglob("*.py"):
        for name in re.findall(r"PVH\d{3}", path.read_text()):
            assert name in CODES, f"{path.relative_to(REPO)} uses {name}"
