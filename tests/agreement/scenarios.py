"""One list for every backend: a state, a call, and every result it may have.

The state is that of boot with some cells set. A backend agrees if it allows these results and no
others, and if it comes to the same cells afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FREE, RESERVED, UNBOUND, INTERDOMAIN, PIRQ, VIRQ, IPI = range(7)
SELF = 0x7FF0

Cell = tuple[str, tuple[Any, ...], Any]


@dataclass(frozen=True)
class Scenario:
    """`codes`: what may be returned, 0 for success with `outs`; `after`: cells after `code`."""

    name: str
    operation: str
    inputs: dict[str, Any]
    codes: frozenset[int]
    cells: tuple[Cell, ...] = ()
    outs: dict[str, int] = field(default_factory=dict)
    after: tuple[Cell, ...] = ()
    where: tuple[tuple[int, ...], str] = ((4, 17), "pvh_dom0")
    code: int = 0


def codes(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


DOM1: tuple[Cell, ...] = (("domain_exists", (1,), True), ("vcpu_exists", (1, 0), True))
JOINED: tuple[Cell, ...] = (
    ("channel", (0, 3), (INTERDOMAIN, 1, 5)),
    ("channel", (1, 5), (INTERDOMAIN, 0, 3)),
)


def taken(below: int) -> tuple[Cell, ...]:
    """Every port below a number is in use."""
    return tuple(("channel", (0, port), (IPI,)) for port in range(1, below))


NO_MEMORY: Cell = ("memory_to_spare", (), False)


SCENARIOS = [
    Scenario(
        "open a port", "EVTCHNOP_alloc_unbound", {"dom": SELF, "remote_dom": 1},
        codes(0), outs={"port": 1}, after=(("channel", (0, 1), (UNBOUND, 1)),),
    ),
    Scenario(
        "not the lowest", "EVTCHNOP_alloc_unbound", {"dom": SELF, "remote_dom": 1},
        codes(), outs={"port": 2},
    ),
    Scenario(
        "the lowest is taken", "EVTCHNOP_alloc_unbound", {"dom": SELF, "remote_dom": 1},
        codes(0), cells=(("channel", (0, 1), (IPI,)),), outs={"port": 2},
        after=(("channel", (0, 1), (IPI,)), ("channel", (0, 2), (UNBOUND, 1))),
    ),
    Scenario(
        "no such domain", "EVTCHNOP_alloc_unbound", {"dom": 7, "remote_dom": 1}, codes(3),
        outs={"port": 1},
    ),
    Scenario(
        "a port of another, without the right",
        "EVTCHNOP_alloc_unbound", {"dom": 0, "remote_dom": 1, "caller": 1}, codes(1),
        cells=DOM1, outs={"port": 1},
    ),
    Scenario(
        "no port is spare", "EVTCHNOP_alloc_unbound", {"dom": SELF, "remote_dom": 1},
        codes(28), cells=(("max_evtchn_port", (0,), 0),), outs={"port": 1},
    ),
    Scenario(
        "the number cannot be written back",
        "EVTCHNOP_alloc_unbound", {"dom": SELF, "remote_dom": 1, "writable": False},
        codes(14), outs={"port": 1},
    ),
    Scenario(
        "join", "EVTCHNOP_bind_interdomain", {"remote_dom": 1, "remote_port": 5}, codes(0),
        cells=(*DOM1, ("channel", (1, 5), (UNBOUND, 0))), outs={"local_port": 1},
        after=(
            ("channel", (0, 1), (INTERDOMAIN, 1, 5)),
            ("channel", (1, 5), (INTERDOMAIN, 0, 1)),
        ),
    ),
    Scenario(
        "it waits for somebody else",
        "EVTCHNOP_bind_interdomain", {"remote_dom": 1, "remote_port": 5}, codes(22),
        cells=(*DOM1, ("channel", (1, 5), (UNBOUND, 2))), outs={"local_port": 1},
    ),
    Scenario(
        "a timer of vCPU 0", "EVTCHNOP_bind_virq", {"virq": 0, "vcpu": 0}, codes(0),
        outs={"port": 1}, after=(("channel", (0, 1), (VIRQ, 0)), ("notify", (0, 1), 0)),
    ),
    Scenario(
        "bound already", "EVTCHNOP_bind_virq", {"virq": 3, "vcpu": 0}, codes(17),
        cells=(("channel", (0, 9), (VIRQ, 3)),), outs={"port": 1},
    ),
    Scenario(
        "no such virtual interrupt", "EVTCHNOP_bind_virq", {"virq": 24, "vcpu": 0},
        codes(22), outs={"port": 1},
    ),
    Scenario(
        "close one end", "EVTCHNOP_close", {"port": 3}, codes(0), cells=(*DOM1, *JOINED),
        after=(("channel", (0, 3), (FREE,)), ("channel", (1, 5), (UNBOUND, 0))),
    ),
    Scenario("close nothing", "EVTCHNOP_close", {"port": 3}, codes(22)),
    Scenario("close what Xen does not know", "EVTCHNOP_close", {"port": 64}, codes(22)),
    Scenario(
        "from ring 3", "EVTCHNOP_close", {"port": 3, "cpl": 3}, codes(1), cells=(*DOM1, *JOINED)
    ),
    Scenario(
        "who is refused at once makes no records", "EVTCHNOP_bind_ipi", {"vcpu": 0, "cpl": 3},
        codes(1), cells=(*taken(64),), outs={"port": 64}, code=1,
        after=(("valid_ports", (0,), 64),),
    ),
    Scenario(
        "who is refused by the operation has looked for a port", "EVTCHNOP_bind_ipi",
        {"vcpu": 0, "writable": False}, codes(12, 14), cells=(*taken(64), NO_MEMORY),
        outs={"port": 64}, code=12, after=(("valid_ports", (0,), 128),),
    ),
    Scenario(
        "send to oneself", "EVTCHNOP_send", {"port": 4}, codes(0),
        cells=(("channel", (0, 4), (IPI,)),), after=(("evtchn_pending", (0, 4), True),),
    ),
    Scenario(
        "unmask what waits", "EVTCHNOP_unmask", {"port": 4}, codes(0),
        cells=(
            ("channel", (0, 4), (IPI,)),
            ("evtchn_mask", (0, 4), True),
            ("evtchn_pending", (0, 4), True),
        ),
        after=(
            ("evtchn_mask", (0, 4), False),
            ("evtchn_pending_sel", (0, 0, 0), True),
            ("evtchn_upcall_pending", (0, 0), True),
        ),
    ),
    Scenario(
        "move what stays", "EVTCHNOP_bind_vcpu", {"port": 4, "vcpu": 0}, codes(22),
        cells=(("channel", (0, 4), (IPI,)),),
    ),
    Scenario(
        "reset", "EVTCHNOP_reset", {"dom": SELF}, codes(0, 11, 16), cells=(*DOM1, *JOINED),
        after=(("channel", (0, 3), (FREE,)), ("channel", (1, 5), (UNBOUND, 0))),
    ),
    Scenario(
        "reset leaves what is Xen's", "EVTCHNOP_reset", {"dom": SELF}, codes(0, 11, 16),
        cells=(*DOM1, *JOINED, ("xen_attached", (0, 3), True)),
        after=(
            ("channel", (0, 3), (INTERDOMAIN, 1, 5)),
            ("channel", (1, 5), (INTERDOMAIN, 0, 3)),
        ),
    ),
]  # fmt: skip
