"""All of spec/ and the accepted examples are fixed points of the formatter."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.syntax.format import format_text

FILES = sorted(_data.spec_dir().rglob("*.abi"))
FILES += sorted((_data.grammar_dir() / "examples" / "accept").rglob("*.abi"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_is_formatted(path: Path) -> None:
    text = path.read_text()
    result, errors = format_text(text, str(path))
    assert result is not None, "\n".join(e.render() for e in errors)
    change = "\n".join(unified_diff(text.split("\n"), result.split("\n"), "is", "fmt", lineterm=""))
    assert result == text, f"run `pvhspec fmt`:\n{change}"
