"""Machine code of small specifications, which have what the large one does not happen to have."""

from __future__ import annotations

from pvhspec.judge import Judging
from pvhspec.judge_columns import judge_columns
from pvhspec.scan.source import ColumnSource
from pvhspec.traces import Complete, Event, Guest, Header, Hypervisor, Origin
from tests.backends.native.agree import differences
from tests.backends.native.traces import Made
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
