"""Who judges where nobody says: machine code, if the trace is long."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvhspec import _data, judge
from pvhspec.cli import main

CAPTURE = _data.traces_dir() / "corpus" / "probe" / "xen-4.17-entry-64.jsonl.gz"


@pytest.mark.parametrize(("length", "engine"), [(1, "interpreter"), (0, "native")])
def test_a_long_trace_is_judged_by_machine_code(
    length: int, engine: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llvmlite")
    size = Path(CAPTURE).stat().st_size
    monkeypatch.setattr(judge, "_LARGE", 16 * (size + length) - 8)
    assert main(["check", "--stats", str(CAPTURE)]) == 0
    assert f"judged by: {engine}" in "".join(capsys.readouterr())
