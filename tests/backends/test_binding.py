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
