"""Machine code of small specifications, which have what the large one does not happen to have."""

from __future__ import annotations

from pvhspec.judge import Judging
from pvhspec.judge_columns import judge_columns
from pvhspec.scan.source import ColumnSource
from pvhspec.traces import Complete, Event, Guest, Header, Hypervisor, Origin
from tests.backends.native.agree import differences
from tests.backends.native.damage import Made
from tests.small import compile_good

HEADER = Header(
    origin=Origin("test", "tests"), synthetic=True, hypervisor=Hypervisor("xen", "4.17.0"),
    guest=Guest("pvh_dom0"), cpu_vendor="AuthenticAMD", from_boot=True,
    complete=Complete(True, True, True, True, True),
)  # fmt: skip


def agrees(text: str, *calls: tuple[tuple[int, ...], int]) -> list[int]:
    """Both engines say the same of these calls of hypercall 1; those left to the interpreter."""
    spec = compile_good(text)
    events = [
        Event(
            "hypercall", n, {"width": 64, "cpl": 0, "nr": 1, "args": args, "ret": ret}, None, 0, 0
        )
        for n, (args, ret) in enumerate(calls)
    ]
    trace = Made(HEADER, events)
    assert not differences(spec, trace)
    left: list[int] = []
    judge_columns(spec, Judging(spec, trace), ColumnSource(trace), on_python=left.append)
    return left


def test_a_search_in_a_state_that_is_not_of_domains() -> None:
    left = agrees(
        """
state used[p : Port] : bool = false
hypercall take = 1 documented xen:a.h "x" {}
operation it = take documented xen:a.h "x" {
  error ENOSPC full when forall p : Port | used[p]
  success choose lowest free : Port where not used[free] returns u64(free) { used[free] := true }
}
""",
        *(((), port) for port in range(64)), ((), -28), ((), 3),
    )  # fmt: skip
    assert left == [65]  # the one that violates


def test_what_is_not_known_is_no_larger_than_its_type() -> None:
    left = agrees(
        """
state held : u32 = any
hypercall ask = 1 (a : u64) documented xen:a.h "x" {}
operation it = ask documented xen:a.h "x" {
  error EINVAL other when u64(held) != a
  success {}
}
""",
        ((1 << 63,), 0), ((1 << 63,), -22), ((7,), 0), ((8,), -22),
    )  # fmt: skip
    assert 0 in left  # it violates: nothing of 32 bits is so large


CHAIN = """
state next[p : Port] : Port = 0
state owner[p : Port] : Port = 0
state marked[p : Port] : bool = false
hypercall chain = 1 (cmd : u32, a : u64, b : u64) documented xen:a.h "x" {}
operation link = chain.1 documented xen:a.h "x" {
  let from = Port(a)
  success returns u64(next[from]) {
    for all p : Port where p == owner[from] { next[p] := from }
    for all p : Port where next[p] == from and p != 0 { next[p] := 0 }
    next[from] := Port(b)
    owner[Port(b)] := from
  }
}
operation mark = chain.2 documented xen:a.h "x" {
  success returns if marked[Port(a)] then 1 else 0 {
    for all p : Port where p >= Port(a) and p < Port(b) { marked[p] := not marked[p] }
  }
}
operation all = chain.3 documented xen:a.h "x" {
  success returns if forall p : Port | not marked[p] then 1 else 0 {
    for all p : Port where not marked[p] { marked[p] := true }
  }
}
"""


def test_writes_for_all_values_read_the_state_before() -> None:
    chain = ((1, 3, 5), 0), ((1, 5, 7), 0), ((1, 7, 3), 0), ((1, 5, 3), 7), ((1, 3, 9), 5)
    # In the third, and the last, both loops write; the second of those they are told of is wrong.
    left = agrees(CHAIN, *chain, ((1, 5, 5), 0), ((1, 7, 7), 0))
    assert len(left) < 5, left


def test_a_loop_between_two_limits() -> None:
    marks = ((2, 3, 9), 0), ((2, 8, 12), 1), ((2, 8, 8), 0), ((2, 3, 4), 1), ((2, 10, 9), 1)
    assert agrees(CHAIN, *marks, ((2, 3, 3), 1)) == [5]


def test_places_that_nobody_touched_are_all_written() -> None:
    assert 0 not in agrees(CHAIN, ((2, 3, 9), 0), ((3, 0, 0), 0), ((3, 0, 0), 0), ((2, 60, 64), 1))


WIDE = """
enum Place { nowhere at(page : u64, age : u16) marked(by : u16) both(first : u64, next : u64) }
state seen[d : DomId, p : Port] : u64 = 0x7fff_ffff_ffff_0010
state place[p : Port] : Place = nowhere
hypercall wide = 1 (cmd : u32, a : u64, b : u64) documented xen:a.h "x" {}
operation swap = wide.1 documented xen:a.h "x" {
  let port = Port(a)
  success returns seen[caller, port] {
    seen[caller, port] := b
    if place[port] == nowhere { place[port] := at(b, u16(seen[caller, port])) }
    if place[port] is at(page, age) {
      if page == b { place[port] := marked(age) }
    }
  }
}
operation ask = wide.2 documented xen:a.h "x" {
  error EBUSY there when place[Port(a)] is at(page, age) and page == b and age == 0x10
  error ENOSPC kept when place[Port(a)] is both(first, next) and next == b and first + 1 == b
  success returns if place[Port(a)] is marked(by) and by == 0x10 then 1 else 0 { }
}
operation keep = wide.3 documented xen:a.h "x" {
  success returns 0 { place[Port(a)] := both(b, b + 1) }
}
"""


def test_values_that_are_wider_than_a_cell() -> None:
    first, other = 0x7FFF_FFFF_FFFF_0010, 0x7EEE_0000_0000_0000
    calls = (
        ((1, 3, other), first), ((2, 3, other), -16), ((2, 3, other + 1), 0), ((1, 3, 5), other),
        ((2, 3, other), -16), ((1, 3, other), 5), ((2, 3, other), 1), ((2, 3, other), 0),
    )  # fmt: skip
    assert agrees(WIDE, *calls) == [7]
    assert agrees(WIDE, ((3, 3, other), 0), ((2, 3, other + 1), -28), ((2, 3, other + 1), 0)) == [2]
