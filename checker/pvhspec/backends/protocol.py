"""What every backend is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pvhspec.ir.ir import Operation

__all__ = ["Call", "Fact", "Finding", "Judgement", "Seen", "Verdict"]


class Verdict(Enum):
    """What can be said of a clause at an event."""

    CONFORMS = "conforms"
    VIOLATES = "violates"
    UNSEEN = "cannot be seen"


@dataclass(slots=True)
class Seen:
    """An event as backends take it: its fields by the names the specification uses.

    A field that is missing from `fields` was not seen. `known` in the store's sense: a field is
    a value, or a map with `get(index)` for fields that are maps. `span` is where a call began and
    ended, where others may have been made at the same time: numbers of one order for all.
    """

    kind: str
    seq: int
    origin: str | None
    fields: dict[str, Any]
    call: Call | None = None
    span: tuple[int, int] | None = None


@dataclass(slots=True)
class Call:
    """What a hypercall event has beside its fields.

    `ret` is the signed result, None if not seen. `before` and `after` are the bytes of the
    caller's structure; `strayed` are addresses outside it whose bytes changed.
    """

    operation: Operation
    ret: int | None
    before: bytes | None
    after: bytes | None
    strayed: tuple[int, ...] = ()


@dataclass(slots=True)
class Finding:
    """Why something seen is not allowed: the clause, what was seen, and what was allowed."""

    clause: str
    seen: str
    allowed: str
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """A cell of the state as the specification writes it, its value (None: not known), and the
    event and clause that made it so (None: so since the start)."""

    cell: str
    value: str | None
    event: int | None = None
    clause: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.cell} is not known"
        since = "the start" if self.event is None else f"event {self.event} ({self.clause})"
        return f"{self.cell} = {self.value}, since {since}"


@dataclass(slots=True)
class Judgement:
    """A clause at an event. `state` says what the verdict hangs on."""

    clause: str
    verdict: Verdict
    seq: int
    origin: str | None = None
    finding: Finding | None = None
    state: tuple[Fact, ...] = ()
    assumed: tuple[str, ...] = field(default=())
