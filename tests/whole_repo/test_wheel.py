"""What is installed has the specification in it, and finds it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(REPO)], check=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_the_standard(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = REPO / "checker"
    expected = {str(p.relative_to(package)) for p in package.rglob("*.py")}
    for folder in ("spec", "grammar", "traces/capture"):
        expected |= {
            f"pvhspec/_data/{path.relative_to(REPO)}"
            for path in (REPO / folder).rglob("*")
            if path.suffix in {".abi", ".lark", ".md", ".c", ".h", ".S", ".lds"}
        }
    expected |= {"pvhspec/_data/traces/format.md", "pvhspec/py.typed"}
    expected |= {f"pvhspec/report/schema/{of}-1.json" for of in ("check", "conform", "coverage")}
    expected |= {"pvhspec/report/html/page.html"}
    assert expected <= names
    assert not [n for n in names if "corpus/" in n or "__pycache__" in n]


def test_what_is_installed_finds_the_standard(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    script = (
        "import pvhspec._data as d; print(d.in_checkout());"
        "print((d.spec_dir() / 'pvh.abi').is_file(), (d.grammar_dir() / 'pvh.lark').is_file(),"
        " (d.traces_dir() / 'format.md').is_file())"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True", "True", "True"]
