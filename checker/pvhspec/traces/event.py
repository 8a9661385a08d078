"""A trace in memory: the header, and one event at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pvhspec.traces.schema import SCHEMA

__all__ = ["Complete", "Event", "Guest", "Header", "Hypervisor", "Origin", "Place"]


# Named tuples rather than dataclasses: a trace may hold millions of events, and a tuple is made
# in a quarter of the time.
class Event(NamedTuple):
    """One event. `fields` are those of its kind that are known, by the names of the schema.

    Numbers are `int`, memory is `bytes`, lists are tuples. A field that is not there is unknown.
    """

    kind: str
    seq: int
    fields: Mapping[str, Any]
    ts: int | None = None
    dom: int | None = None
    vcpu: int | None = None
    origin: str | None = None
    step: int | None = None

    def get(self, name: str) -> Any:
        """The field, or None where it is unknown."""
        return self.fields.get(name)


class Place(NamedTuple):
    """Where an event stands in the file that is read: a line, from 1, or a byte, from 0; of a
    compressed file, in what is in it. Both None where it is not known."""

    line: int | None = None
    byte: int | None = None


class Origin(NamedTuple):
    """How a trace was recorded, by what, from which file."""

    method: str | None = None
    tool: str | None = None
    file: str | None = None


class Hypervisor(NamedTuple):
    """Which hypervisor was running."""

    name: str | None = None
    version: str | None = None
    sha256: str | None = None


class Guest(NamedTuple):
    """Which guest was running; `mode` is one of the modes of spec/pvh.abi."""

    mode: str | None = None
    sha256: str | None = None


class Complete(NamedTuple):
    """Whether all events of the kinds recorded, all arguments, results and memory are there, and
    whether every domain that acts is shown."""

    events: bool = False
    args: bool = False
    results: bool = False
    memory: bool = False
    domains: bool = False


class Header(NamedTuple):
    """What is known of the whole trace."""

    schema: str = SCHEMA
    origin: Origin = Origin()
    synthetic: bool = False
    hypervisor: Hypervisor = Hypervisor()
    guest: Guest = Guest()
    cpu_vendor: str | None = None
    clock: str = "none"
    from_boot: bool = False
    complete: Complete = Complete()
    given: Mapping[str, Mapping[str, Any]] = {}
