"""One trace of two domains."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pvhspec.targets.two_domains import together

Event = dict[str, Any]


def at(step: int, what: str) -> Event:
    return {"kind": "turn", "step": step} if what == "turn" else {"kind": what, "step": step}


def test_parts_are_put_in_order_by_turns() -> None:
    dom0 = [{"kind": "entry"}, at(0, "made"), at(1, "a"), at(2, "turn"), at(3, "d"), at(4, "turn"),
            at(5, "f"), {"kind": "end"}]  # fmt: skip
    domu = [{"kind": "mem"}, at(0, "b"), at(0, "c"), at(1, "turn"), at(2, "e"), {"kind": "end"}]
    found = together(dom0, domu, 1, 5)
    assert [e["kind"] for e in found] == ["mem", "a", "b", "c", "d", "e", "f", "end"]
    assert [e.get("step") for e in found] == [None, 0, 5, 5, 2, 7, 4, None]


def test_what_comes_after_a_turn_belongs_to_the_next() -> None:
    dom0 = [at(0, "turn"), at(1, "resumes"), at(2, "turn"), {"kind": "end"}]
    domu = [at(0, "shuts down"), at(1, "turn"), at(2, "comes back"), at(3, "goes on")]
    found = together(dom0, domu, 0, 3)
    assert [e["kind"] for e in found] == ["shuts down", "resumes", "comes back", "goes on", "end"]


def test_how_dom0_ended_stays() -> None:
    dom0 = [at(0, "a"), {"kind": "note", "text": "why"}, {"kind": "end", "reason": "crash"}]
    assert [e["kind"] for e in together(dom0, [], 0, 1)] == ["a", "note", "end"]


def domctl(command: int, ret: int) -> Event:
    head = struct.pack("<IIH", command, 0x15, 1).ljust(144, b"\0")
    return {
        "kind": "hypercall", "step": 0, "seq": 0, "ts": 1, "dom": 0, "vcpu": 0, "origin": "here",
        "nr": 36, "args": ["0x1010"], "ret": ret, "in": [["0x1000", (bytes(16) + head).hex()]],
    }  # fmt: skip


@pytest.mark.parametrize(
    "command, ret, kind, what",
    [
        (27, 0, "toolstack", "resumedomain"),
        (79, -22, "toolstack", "soft_reset"),
        (79, -3, "hypercall", None),  # about no domain: the call's own error
        (1, 0, "hypercall", None),  # not one that is described
    ],
)
def test_a_domctl_is_told_as_what_it_asked(
    command: int, ret: int, kind: str, what: str | None
) -> None:
    (event, _) = together([domctl(command, ret), {"kind": "end"}], [], 0, 1)
    assert (event["kind"], event.get("command")) == (kind, what)
    assert event["ret"] == ret
    assert what is None or event["domain"] == 1
