"""The tutorials are true: their commands are run in their order, and print what is shown.

Numbers may differ; a line `…` stands for any lines. A block after `<!-- write: FILE -->` is that
file.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pvhspec.targets.xen_symbols import read_symbols
from tests.cli.transcripts import environment
from tests.targets.conftest import machine, one_xen  # noqa: F401 - fixtures

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"(?:<!-- write: (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VMRUN = b"\x0f\x01\xd8"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the tutorials use of a checkout."""
    for part in ("spec", "docs/ci", "traces/corpus/real"):
        shutil.copytree(ROOT / part, tmp_path / part)
    return tmp_path


def run_all(name: str, folder: Path) -> int:
    """Every block of a tutorial; how many commands were run."""
    count = 0
    for file, kind, body in _BLOCK.findall((ROOT / "docs" / name).read_text()):
        if file:
            (folder / file).write_text(body)
        elif kind == "console":
            for step in re.split(r"^(?=\$ )", body, flags=re.MULTILINE)[1:]:
                first, _, expected = step.partition("\n")
                check(first[2:], expected, folder)
                count += 1
    return count


def check(command: str, expected: str, folder: Path) -> None:
    """Run one command, and compare."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False, text=True,
    )  # fmt: skip
    status = f"[status {done.returncode}]\n" if done.returncode else ""
    wanted = "".join(
        ".*" if line == "…\n" else re.escape(same_numbers(line))
        for line in expected.splitlines(keepends=True)
    )
    printed = same_numbers(done.stdout) + same_numbers(status)
    assert re.fullmatch(wanted, printed, re.DOTALL), f"$ {command}\n{done.stdout}{status}"


def same_numbers(text: str) -> str:
    """Without what a machine or an edit elsewhere changes; an exit status stays."""
    if text.startswith("[status"):
        return text
    return re.sub(r" +", " ", re.sub(r"\d[\d,.]*", "0", text))


def test_write_your_first_clause(checkout: Path) -> None:
    assert run_all("first-clause.md", checkout) == 8


def test_gate_your_ci(checkout: Path) -> None:
    assert run_all("gate-your-ci.md", checkout) == 15


@pytest.mark.real
def test_check_your_xen_patch(one_xen: Path, checkout: Path) -> None:  # noqa: F811
    """With a Xen in which -EEXIST became -EBUSY, as in the tutorial's patch."""
    image = bytearray(one_xen.read_bytes())
    symbols = read_symbols(bytes(image))
    assert symbols.vmrun is not None
    start = image.index(_VMRUN) + symbols.address("evtchn_bind_virq") - symbols.vmrun
    image[image.index((-17).to_bytes(4, "little", signed=True), start)] = -16 & 0xFF
    for name, data in (("patched", bytes(image)), ("mended", one_xen.read_bytes())):
        (checkout / name).mkdir()
        (checkout / name / "xen").write_bytes(data)
    assert run_all("check-your-patch.md", checkout) == 3
