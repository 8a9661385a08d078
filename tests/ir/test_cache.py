"""What can be made again is kept, and does not grow without bound."""

from __future__ import annotations

import gc
import os
import pickle
from pathlib import Path

from pvhspec.backends.interpreter.machine import Machine
from pvhspec.ir.cache import keep, kept, load_spec
from pvhspec.ir.packed import Packed

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


def test_examples_are_unpacked_by_who_asks_for_them() -> None:
    things = (("a", 1), ("b", 2))
    packed = pickle.loads(pickle.dumps(Packed(things)))
    assert packed._items is None
    assert packed == things
    assert (len(packed), packed[1], packed[:1], [*packed]) == (2, ("b", 2), (("a", 1),), [*things])
    assert packed == Packed(things) != Packed(things[:1])
    assert gc.isenabled()


def test_no_verdict_unpacks_the_examples() -> None:
    spec, errors = load_spec()
    assert spec is not None, errors
    kept_so = pickle.loads(pickle.dumps(spec))
    Machine(kept_so, (4, 17), "pvh_dom0")
    assert isinstance(kept_so.examples, Packed)
    assert kept_so.examples._items is None
