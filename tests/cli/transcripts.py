"""Markdown transcripts: commands as a user types them, and what they print.

A block marked `console` holds commands after `$ `, each followed by everything it prints, standard
error included, and by `[status N]` where its exit status is not 0. Text around the blocks is for
readers. `PROMOTE=1 pytest tests/cli` writes what is printed now.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

INPUTS = Path(__file__).parent / "inputs"
TIME_LIMIT = 60  # seconds for one command
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def environment(folder: Path) -> dict[str, str]:
    """No terminal, no colours, this Python's commands first, and nothing of the user's."""
    keep = {k: v for k, v in os.environ.items() if k in ("LANG", "XDG_CACHE_HOME", "HOME")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**keep, "PATH": path, "TMPDIR": str(folder), "PYTHONWARNINGS": "error"}


def replayed(text: str, folder: Path) -> str:
    """The transcript with what its commands print now, run in a copy of the inputs."""
    shutil.copytree(INPUTS, folder, dirs_exist_ok=True)

    def block(found: re.Match[str]) -> str:
        commands = [line for line in found[1].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(_run(c[2:], folder) for c in commands) + "```"

    return _BLOCK.sub(block, text)


def _run(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIME_LIMIT, check=False,
    )  # fmt: skip
    printed = done.stdout.decode("utf-8", "backslashreplace").replace(str(folder), "DIR")
    if printed and not printed.endswith("\n"):
        printed += "\n"
    status = f"[status {done.returncode}]\n" if done.returncode else ""
    return f"$ {command}\n{printed}{status}"
