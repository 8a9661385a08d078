"""The ways a PVH loader is asked to start its guest: memory, vCPUs, a module, a command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

__all__ = ["Start", "all_starts", "few_starts"]

#: MiB of RAM: little; the most that QEMU's q35 keeps in one piece; cut by the hole below 4 GiB;
#: most of it above 4 GiB. None of it is touched, so that none has to be there.
MEMORY = (128, 2815, 3584, 5120)
VCPUS = (1, 2, 4)
#: Nothing, one byte, and more than a page.
INITRDS = (None, b"i", b"an initrd\n" * 1000)
CMDLINES = ("", "pvhspec", "long " * 400)


@dataclass(frozen=True, slots=True)
class Start:
    """What a loader is given beside the kernel. `memory_mib` is MiB of RAM; no module where
    `initrd` is None. `deviation` names what our own loader does wrong on purpose."""

    memory_mib: int = 256
    vcpus: int = 1
    initrd: bytes | None = b"an initrd"
    cmdline: str = "pvhspec"
    deviation: str = ""

    @property
    def name(self) -> str:
        """In words, for people and for the names of files."""
        module = f"{len(self.initrd)} B" if self.initrd is not None else "none"
        parts = [
            f"{self.memory_mib} MiB",
            f"{self.vcpus} vCPU{'s' if self.vcpus > 1 else ''}",
            f"initrd {module}",
            f"cmdline {len(self.cmdline)} B",
        ]
        return self.deviation or ", ".join(parts)


def all_starts() -> list[Start]:
    """Every combination."""
    return [Start(*values) for values in product(MEMORY, VCPUS, INITRDS, CMDLINES)]


def few_starts() -> list[Start]:
    """So few that every two values that can meet do: of memory and module, of module and command
    line, and so on. Chosen greedily, always the same."""
    left = {pair for start in all_starts() for pair in _pairs(start)}
    found: list[Start] = []
    while left:
        best = max(all_starts(), key=lambda start: len(left & set(_pairs(start))))
        found.append(best)
        left -= set(_pairs(best))
    return found


def _pairs(start: Start) -> Iterator[tuple[int, object, int, object]]:
    values = (start.memory_mib, start.vcpus, start.initrd, start.cmdline)
    for i, one in enumerate(values):
        for j in range(i):
            yield j, values[j], i, one
