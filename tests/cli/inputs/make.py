"""Writes the traces of the transcripts: `python make.py`. Nobody captured them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
AT = 0x1000


def header(**more: Any) -> dict[str, Any]:
    return {
        "schema": "pvh-trace/1",
        "origin": {"method": "example"},
        "synthetic": True,
        "hypervisor": {"name": "xen", "version": "4.17.7"},
        "guest": {"mode": "pvh_dom0"},
        "from_boot": True,
        "complete": {"events": True, "args": True, "results": True, "memory": True},
        **more,
    }


def call(
    command: int, ret: int | None, before: tuple[int, int], after: tuple[int, int] | None
) -> dict[str, Any]:
    """A call of bell_op with a structure of two words."""
    event: dict[str, Any] = {
        "kind": "hypercall", "dom": 0, "vcpu": 0, "width": 64, "nr": 32,
        "args": [command, AT], "arg_readable": True, "arg_writable": True,
        "in": [[AT, words(before)]],
    }  # fmt: skip
    if ret is not None:
        event["ret"] = ret
    if after is not None:
        event["out"] = [[AT, words(after)]]
    return event


def words(pair: tuple[int, int]) -> str:
    return b"".join(w.to_bytes(4, "little") for w in pair).hex()


def hang(tone: int, hook: int | None, ret: int | None = 0) -> dict[str, Any]:
    return call(0, ret, (tone, 0xEEEE), None if hook is None else (tone, hook))


def ring(hook: int, tone: int | None, ret: int | None = 0) -> dict[str, Any]:
    return call(1, ret, (hook, 0xEEEE), None if tone is None else (hook, tone))


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


def asked(number: int, *args: int, ret: int | None = 0) -> dict[str, Any]:
    """Any hypercall, by its registers."""
    event = {"kind": "hypercall", "dom": 0, "vcpu": 0, "width": 64, "cpl": 0, "nr": number}
    return {**event, "args": [*args], "ret": ret}


def exits(**why: Any) -> dict[str, Any]:
    """An exit, as KVM names it."""
    return {"kind": "vmexit", "dom": 0, "vcpu": 0, "arch": "svm", **why}


TRACES: dict[str, list[dict[str, Any]]] = {
    # One run, as two tools saw it: one has no results, the other not every call.
    "asked": [
        header(complete={"events": True, "args": True}),
        without(hang(440, 0), "ret", "out"),
        without(hang(880, 1), "ret", "out"),
        without(ring(1, 880), "ret", "out"),
    ],
    "answered": [
        header(complete={"results": True, "memory": True}),
        without(hang(440, 0), "dom"),
        without(ring(1, 880), "dom"),
    ],
    "contradicts": [header(), hang(440, 0), hang(880, None, -28), {**ring(1, 880), "width": 32}],
    "conforms": [header(), hang(440, 0), hang(880, 1), ring(1, 880), ring(5, 0xEEEE, -22)],
    "violates": [
        header(),
        hang(440, 1),
        ring(1, 440),
        ring(1, 441),
        ring(5, 1),
        *[hang(9001, 0xEEEE, -16) for _ in range(12)],
    ],
    "unseen": [header(from_boot=False), ring(3, None, None), ring(3, 100)],
    "blind": [header(from_boot=False), {"kind": "note", "text": "nothing to see"}],
    "nameless": [header(hypervisor={"name": "xen"}, guest={}), hang(440, 0)],
}


def port(command: int, memory: str, ret: int | None) -> dict[str, Any]:
    """A call about an event channel of the real specification, its structure not changed by it."""
    shown: dict[str, Any] = {
        "kind": "hypercall", "dom": 0, "vcpu": 0, "width": 64, "cpl": 0, "nr": 32,
        "args": [command, "0x5000"], "arg_readable": True, "arg_writable": True,
        "in": [["0x5000", memory]],
    }  # fmt: skip
    return shown if ret is None else shown | {"ret": ret, "out": [["0x5000", memory]]}


ALONE = {
    "domain_exists": {"*": False, "0": True}, "domain_privileged": {"*": False, "0": True},
    "vcpu_exists": {"*": False, "0,0": True}, "max_evtchn_port": {"*": 0x7FFFFFFF},
    "xen_attached": {"*": False},
}  # fmt: skip
BIND = port(7, "00000000eeeeeeee", None)
CLOSED = port(3, "02000000", 0)
WHOLE = header(given=ALONE, complete={"events": True, "results": False, "domains": True})
TRACES["contradiction"] = [WHOLE, BIND, BIND, CLOSED, port(3, "01000000", -22)]
TRACES["lossy"] = [WHOLE, BIND, BIND, CLOSED, port(3, "01000000", 0)]


# The same work in two modes: a page is mapped, a message sent, the next timer set.
TRACES["paging-pv"] = [
    header(guest={"mode": "pv"}),
    *[asked(1, 0x1000, 1, 0, 0x7FF0) for _ in range(3)],
    asked(14, 0x2000, 0x3063, 2),
    asked(26, 0x1000, 1, 0, 0x7FF0),
    asked(32, 4, 0x5000),
    asked(15, 1_000_000),
    asked(23),
    asked(29, 1, 0),
]
TRACES["paging-pvh"] = [
    header(guest={"mode": "pvh_domu"}),
    exits(code=0x400),
    exits(code=0x81),
    asked(32, 4, 0x5000),
    exits(code=0x7C),
    {"kind": "msr", "dom": 0, "vcpu": 0, "op": "write", "index": 0x6E0, "value": 1000},
    exits(code=0x60),
    exits(reason="hlt"),
    {"kind": "inject", "dom": 0, "vcpu": 0, "what": "interrupt", "vector": 0xF3},
]
TRACES["tables"] = [
    header(),
    asked(1, 0x1000, 1, 0, 0x7FF0, ret=-38),
    asked(13, 0x1000, 0),
]


def main() -> None:
    for name, lines in TRACES.items():
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (HERE / f"{name}.jsonl").write_text(text)
        if name == "conforms":
            (HERE / "cut.jsonl").write_text(text[:-40])


if __name__ == "__main__":
    main()
