"""A start pays for what it does, and for nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pvhspec import cli
from pvhspec.report import paint
from tests.cli.transcripts import INPUTS, environment

HEAVY = {
    "lark", "z3", "hypothesis", "difflib", "textwrap", "urllib.request", "subprocess", "tempfile",
    "asyncio", "unittest", "pvhspec.syntax.parse", "pvhspec.targets", "pvhspec.report.json",
    "numpy", "zstandard",
}  # fmt: skip
COMMANDS = [name for group in cli.commands().values() for name in group]
CHECK = ["check", "--spec", str(INPUTS / "bell"), str(INPUTS / "conforms.jsonl")]


def test_check_loads_what_it_needs(tmp_path: Path) -> None:
    script = (
        "import sys; from pvhspec.cli import main;"
        f"main({CHECK!r}); print(*sys.modules, file=sys.stderr)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script], env=environment(tmp_path), capture_output=True,
            text=True, check=True,
        ).stderr
        for _ in range(2)  # the second time from the cache
    ]  # fmt: skip
    assert not HEAVY & set(said[1].split())


def test_check_starts_fast(tmp_path: Path) -> None:
    """The best of several, in processor time: others use this machine, too."""
    command = [sys.executable, "-m", "pvhspec", *CHECK]
    best = 10.0
    for _ in range(6):
        before = os.times()
        subprocess.run(command, env=environment(tmp_path), capture_output=True, check=True)
        after = os.times()
        used = after.children_user + after.children_system
        best = min(best, used - before.children_user - before.children_system)
    assert best < 0.3


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert cli.main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: pvhspec {name}")
    assert time.monotonic() - started < 1


def test_help_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert all(name in out for name in COMMANDS)


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint.wants_color(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not paint.wants_color(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not paint.wants_color(Terminal())
    assert not paint.wants_color(None)
