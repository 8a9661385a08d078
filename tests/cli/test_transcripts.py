"""Every transcript says what the command prints."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import pytest

from tests.cli.transcripts import replayed

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.md"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda p: p.stem)
def test_transcript(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    now = replayed(text, tmp_path)
    if os.environ.get("PROMOTE"):
        path.write_text(now)
        return
    change = unified_diff(text.split("\n"), now.split("\n"), "is", "prints now", lineterm="")
    assert now == text, "PROMOTE=1 makes it so:\n" + "\n".join(change)
