"""One number, one trace: calls of every chapter, words of event channels, parts of captures; as
they should be, broken, or with parts that nobody saw."""

from __future__ import annotations

import random
from pathlib import Path

from pvhspec.ir.ir import Spec
from pvhspec.traces import open_trace
from tests.backends.native.channels import made
from tests.backends.native.damage import KINDS, Made, hurt
from tests.backends.native.drawn import WHERE, World

__all__ = ["CAPTURES", "Generator"]

_CORPUS = Path(__file__).parents[3] / "traces" / "corpus"
CAPTURES = sorted((*_CORPUS.glob("probe/*.gz"), *_CORPUS.glob("real/*")))
_IN_A_ROW = (
    1000  # traces for one release and mode: what is compiled for one is there for the others
)


class Generator:
    """Makes them."""

    def __init__(self, spec: Spec, length: int = 40) -> None:
        self._spec, self._length = spec, length
        self._worlds: dict[int, World] = {}
        self._captures: dict[Path, Made] = {}

    def __call__(self, seed: int) -> Made:
        """The trace of a number; the third of them as it should be, the next broken, then lossy."""
        which, number = seed // 3 % 4, seed // 12
        if which == 0:
            return made(seed, self._length)
        rng = random.Random(seed)
        whole = (
            self._part(number, rng)
            if which == 1
            else self._world(seed).drawn(number, rng, self._length)
        )
        return hurt(whole, KINDS[seed % 3], rng)

    def _world(self, seed: int) -> World:
        at = seed // _IN_A_ROW % len(WHERE)
        if at not in self._worlds:
            self._worlds[at] = World(self._spec, *WHERE[at])
        return self._worlds[at]

    def _part(self, number: int, rng: random.Random) -> Made:
        """Some events of a capture, and nothing of what was before them."""
        path = CAPTURES[number % len(CAPTURES)]
        if path not in self._captures:
            trace = open_trace(str(path))
            self._captures[path] = Made(trace.header, list(trace))
        whole = self._captures[path]
        at = rng.randrange(len(whole.events)) if rng.random() < 0.8 else 0
        header = whole.header._replace(from_boot=whole.header.from_boot and not at)
        return Made(header, whole.events[at : at + rng.randrange(2, self._length)])
