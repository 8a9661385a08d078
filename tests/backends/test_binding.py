"""A trace's fields under the specification's names."""

from __future__ import annotations

from pvhspec.backends.binding import Binder
from pvhspec.ir.cache import load_spec
from pvhspec.traces import Event


def test_arguments_of_a_call_are_seen_as_far_as_they_were() -> None:
    """Also those of calls that no operation describes."""
    spec, _ = load_spec()
    assert spec is not None
    fields = {"nr": 18, "width": 64, "args": (0, None, 0xFFFF_8880_0000_0000), "ret": 0}
    (seen,) = Binder(spec, (4, 17), "pvh_dom0", None).bind([Event("hypercall", 0, fields)])
    arguments = seen.fields["arg"]
    assert [arguments.get((n,)) for n in range(4)] == [0, None, 0xFFFF_8880_0000_0000, None]


def test_a_multicall_is_the_calls_it_was_made_of() -> None:
    """One that failed, or does not show them, is a call like any other."""
    spec, _ = load_spec()
    assert spec is not None
    numbers = [17, 0xEE, 0, 1, 2, 3, 4, 5, 24, 0xEE, 3, 9, 0, 0, 0, 0]
    before = b"".join(n.to_bytes(8, "little") for n in numbers)
    numbers[1], numbers[9] = 0x40011, (1 << 64) - 2
    after = b"".join(n.to_bytes(8, "little") for n in numbers)
    fields = {
        "nr": 13, "width": 64, "cpl": 0, "args": (0x5000, 2), "ret": 0,
        "in": ((0x5000, before),), "out": ((0x5000, after),),
    }  # fmt: skip

    def calls(changed: dict[str, object]) -> list[tuple[str, int | None]]:
        event = Event("hypercall", 0, fields | changed)
        found = Binder(spec, (4, 17), "pvh_dom0", None).bind([event])
        return [(s.call.operation.name, s.call.ret) for s in found if s.call is not None]

    assert calls({}) == [("XENVER_version", 0x40011), ("VCPUOP_is_up", -2)]
    assert calls({"ret": -14}) == [("multicall.other", -14)]
    assert calls({"in": ()}) == [("multicall.other", 0)]
    assert calls({"args": (0x5000, 3)}) == [("multicall.other", 0)]
