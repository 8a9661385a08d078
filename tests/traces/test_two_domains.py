"""Captures of two domains: what one does is held against the other."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from pvhspec import _data
from pvhspec.judge import judge
from pvhspec.traces import ObjectTrace
from tests.programs.spec import compiled_spec

CORPUS = _data.traces_dir() / "corpus" / "probe"
Event = dict[str, Any]


def violated(name: str, change: Callable[[list[Event]], None] = lambda events: None) -> set[str]:
    with gzip.open(CORPUS / f"xen-4.17-{name}-64.jsonl.gz", "rt") as file:
        header, *events = map(json.loads, file)
    change(events)
    return set(judge(compiled_spec(), ObjectTrace(header, events)).violates)


def of(events: list[Event], kind: str, dom: int) -> list[Event]:
    return [e for e in events if e["kind"] == kind and e.get("dom") == dom]


def lost_event(events: list[Event]) -> None:
    """dom0 has sent, and nothing is pending in the domU."""
    seen = next(e for e in of(events, "shared_info", 1) if e["pending"])
    seen["pending"] = {}


def other_content(events: list[Event]) -> None:
    """dom0 finds something else in the domU's page than what was left there."""
    touch = next(e for e in of(events, "touch", 0) if e["before"] == "0xaaaa")
    touch["before"] = "0xaaab"


def not_granted(events: list[Event]) -> None:
    """An entry that dom0 has mapped shows no sign of it."""
    entries = of(events, "grant_entry", 1)
    next(e for e in entries if not e["stored"] and e["flags"] == "0x19")["flags"] = "0x1"


def still_joined(events: list[Event]) -> None:
    """A domU that was soft reset does not find an ordinary page where shared_info was."""
    seq = next(e["seq"] for e in events if e.get("command") == "soft_reset" and e["ret"] == 0)
    touch = next(e for e in of(events, "touch", 1) if e["seq"] > seq)
    touch["after"] = touch["before"]


@pytest.mark.parametrize(
    "name, change, clause",
    [
        ("two_evtchn", lost_event, "evtchn.two_level.words.pending"),
        ("two_memory", other_content, "memory.p2m.of_other.shares_content"),
        ("two_grants", other_content, "memory.p2m.of_other.shares_content"),
        ("two_grants", not_granted, "grant.table.as_it_is.flags"),
        ("two_suspend", still_joined, "memory.p2m.memory.takes_stores"),
    ],
)
def test_what_does_not_fit_is_found(
    name: str, change: Callable[[list[Event]], None], clause: str
) -> None:
    assert violated(name) == set()
    assert clause in violated(name, change)
