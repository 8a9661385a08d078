"""Traces of the small specification of the transcripts: many, short and long, good and bad."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.inputs.make import hang, header, ring
from tests.cli.transcripts import INPUTS

KINDS = ("conforms", "violates", "unseen", "cut", "nameless", "blind", "lossy")


def fill(folder: Path, long: int = 0) -> list[str]:
    """The specification, traces of every kind below `captures`, and `long` long ones; their names
    as they are given."""
    shutil.copytree(INPUTS / "bell", folder / "bell")
    captures = folder / "captures" / "deep"
    captures.mkdir(parents=True)
    for name in KINDS:
        shutil.copy(INPUTS / f"{name}.jsonl", captures / f"{name}.jsonl")
    (captures.parent / "notes.txt").write_text("nothing\n")
    names = [f"captures/deep/{name}.jsonl" for name in KINDS]
    for number in range(long):
        write_long(captures / f"long-{number}.jsonl", 800 + 37 * number, number % 3 == 2)
        names.append(f"captures/deep/long-{number}.jsonl")
    return names


def write_long(path: Path, rings: int, broken: bool = False) -> None:
    """One bell, rung again and again; a broken one is out of tune at the end."""
    events = [hang(440, 0), *(ring(0, 440) for _ in range(rings)), ring(0, 441 if broken else 440)]
    lines = (json.dumps(line) + "\n" for line in (header(), *events))
    path.write_text("".join(lines))
