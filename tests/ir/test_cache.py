"""What can be made again is kept, and does not grow without bound."""

from __future__ import annotations

import os
from pathlib import Path

from pvhspec.ir.cache import keep, kept

MOST = 64


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    files = [tmp_path / f"thing-{n:03}.pickle" for n in range(MOST)]
    other = tmp_path / "other-1.pickle"
    for at, file in enumerate((other, *files)):
        keep(file, file.name.encode())
        os.utime(file, (1000 + at, 1000 + at))
    assert kept(files[0]) == b"thing-000.pickle"
    keep(tmp_path / "thing-999.pickle", b"new")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f.name for f in (other, *files)} - {files[1].name} | {"thing-999.pickle"}


def test_what_is_not_whole_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "thing-1.pickle"
    assert kept(file) is None
    keep(file, b"held")
    assert kept(file) == b"held"
    file.write_bytes(file.read_bytes()[:-1])
    assert kept(file) is None
