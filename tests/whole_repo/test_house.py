"""Rules no single package owns."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pvhspec

REPO = Path(__file__).resolve().parents[2]
MOST_LINES = 450


def tracked() -> list[Path]:
    if not (REPO / ".git").exists():
        pytest.skip("not a git checkout")
    out = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, check=True)
    return [p for name in out.stdout.decode().split("\0") if name and (p := REPO / name).is_file()]


def test_a_module_says_one_thing() -> None:
    long = {
        str(path.relative_to(REPO)): count
        for path in (*(REPO / "checker").rglob("*.py"), *(REPO / "spec").rglob("*.abi"))
        if (count := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert not long, f"look for a seam; over {MOST_LINES} lines: {long}"


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert "\n## Unreleased\n" in (REPO / "CHANGELOG.md").read_text()


def test_there_is_one_version() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert project["version"] == pvhspec.__version__


def test_nothing_names_this_machine_or_a_registry() -> None:
    forbidden = re.compile(
        "|".join(["py" + r"pi\.org", "/" + "work/", "/" + "opt/", "/" + "root/"])
    )
    named = [
        f"{path.relative_to(REPO)}: {found.group()}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".abi", ".lark", ".c", ".h", ".S", ".yml", ""}
        for found in [forbidden.search(path.read_text(errors="replace"))]
        if found
    ]
    assert not named


def test_the_test_machine_gets_every_package_the_makefile_asks_for() -> None:
    needs = re.findall(
        r"=([\w.-]+)", (REPO / "Makefile").read_text().split("PROGRAMS :=")[1].split("\n")[0]
    )
    installed = re.search(r"packages=\((.*?)\n\)", (REPO / ".ci/run").read_text(), re.DOTALL)
    assert installed
    words = re.sub(r"#.*", "", installed.group(1)).split()
    assert set(needs) | {"python3-venv"} <= set(words)


@pytest.mark.parametrize("module", ["pvhspec", "pvhspec.diagnostics", "pvhspec.traces"])
def test_starting_costs_little(module: str) -> None:
    heavy = {"z3", "hypothesis", "pytest", "lark", "importlib.metadata", "asyncio", "unittest"}
    heavy |= {"numpy", "zstandard"}
    script = f"import sys, {module}; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert not heavy & set(out.split())
