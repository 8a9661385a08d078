"""The specification's examples, made for real: they lead to their clauses, and end no guest."""

from __future__ import annotations

from collections import Counter

import pytest

from pvhspec.backends.machine.careful import ENDS, ONLY, SLEEPS
from pvhspec.conform.generated import MODE
from pvhspec.conform.grants import Grants
from pvhspec.conform.render import step_of
from pvhspec.conform.seeds import Seeds
from pvhspec.conform.writer import Plan, Width, Writer
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.targets import steps as st

RELEASE = (4, 17, 7)
MAP = "grant.map.GNTTABOP_map_grant_ref"


def writer(width: Width = 64) -> Writer:
    spec, errors = load_spec()
    assert isinstance(spec, Spec), errors
    made = Writer(spec, RELEASE, MODE, Plan(1, 0, width, 2, 300, False, False), Counter())
    made.begin()
    return made


@pytest.mark.parametrize(
    "clause",
    [
        f"{MAP}.not_granted",
        f"{MAP}.granted_readonly",
        f"{MAP}.not_mapped",
        "grant.copy.GNTTABOP_copy.beyond_dest",
        "grant.copy.GNTTABOP_copy.dest_readonly",
        "grant.copy.GNTTABOP_copy.source_not_granted",
        "vcpu.context.VCPUOP_initialise.stack_of_another_ring",
        "vcpu.context.VCPUOP_initialise.no_such_efer",
        "evtchn.delivery.vector_comes",
        "vcpu.time.page.counted",
        "vcpu.wallclock.page.counted",
    ],
)
def test_an_example_is_a_way_to_its_clause(clause: str) -> None:
    made = writer()
    Seeds(made, Grants(made)).play(clause)
    met = {c for c, count in made.counts.items() if count}
    assert clause in met or clause.startswith(("evtchn.delivery", "vcpu.time", "vcpu.wall"))
    kinds = {"evtchn.delivery": st.Apic, "vcpu.time.page": st.Read, "vcpu.wallclock": st.Read}
    wanted = next((k for prefix, k in kinds.items() if clause.startswith(prefix)), st.Hypercall)
    assert any(isinstance(step, wanted) for step in made.steps)


@pytest.mark.parametrize("width", [64, 32])
def test_no_example_ends_the_guest_or_leaves_its_frames(width: Width) -> None:
    made = writer(width)
    seeds = Seeds(made, Grants(made))
    calls = [ask for clause in seeds.clauses() for ask in seeds.calls(clause)]
    assert len(calls) > 500
    for ask in calls:
        name = ask.op.name
        assert ask.memory == "unreadable" or name not in ENDS
        assert ask.cpl == 3 or name not in SLEEPS
        assert all(
            ask.values[field] in allowed
            for (op, field), allowed in ONLY.items()
            if op == name and field in ask.values
        )
        if ask.op.hypercall == "memory_op":
            asked = [ask.values[n] for n in ("gpfn", "pfn") if n in ask.values]
            asked += [gfn for values in ask.arrays.values() for gfn in values]
            assert all(gfn in st.SPARE_FRAMES or gfn >= (1 << 32) - 1 for gfn in asked), ask


def test_granted_pages_are_mapped_where_a_trace_says_that_nothing_is() -> None:
    made = writer()
    grants, op = Grants(made), made.named("GNTTABOP_map_grant_ref")
    assert op is not None
    for ref in range(8, 20):
        grants.write(ref, 1, 0)
        made.ask(made.drawer.call(op))
    assert len(made.model.mapped) == 12
    assert all(at >> 12 in st.EMPTY_FRAMES for at in made.model.mapped)


def test_what_is_mapped_is_let_go_by_the_handle_that_xen_gave() -> None:
    made = writer()
    grants, seeds = Grants(made), Seeds(made, Grants(made))
    grants.write(9, 1, 0)
    (ask,) = [a for a in seeds.calls(f"{MAP}.no_kind")][:1]
    given = {**ask.values, "flags": 2, "ref": 9, "dom": 0, "host_addr": 1 << 30}
    told = made.ask(type(ask)(ask.op, given))
    assert told is not None
    assert not told.code
    assert made.model.held
    grants.release()
    assert not made.model.held
    saves = [step.saves for step in made.steps if isinstance(step, st.Hypercall) and step.saves]
    last = made.steps[-1]
    assert isinstance(last, st.Hypercall)
    used = [p.value for p in last.buffers[0].patches if isinstance(p.value, st.Slot)]
    assert [s.index for s in used] == [saves[-1][0].slot]


@pytest.mark.parametrize("width", [64, 32])
def test_of_bytes_that_forms_share_the_model_has_what_the_call_has(width: Width) -> None:
    made = writer(width)
    seeds = Seeds(made, Grants(made))
    shared = ("GNTTABOP_copy", "VCPUOP_initialise")
    calls = [a for c in seeds.clauses() for a in seeds.calls(c) if a.op.name in shared]
    calls += [made.varied(op) for name in shared for _ in range(20) if (op := made.named(name))]
    assert len(calls) > 60
    for ask in calls:
        if ask.memory == "unreadable" or ask.op.pointer in ask.values:
            continue
        said = step_of(ask, made.layouts).buffers[0].data
        for slot in ask.op.slots:
            at, size = slot.offset[width == 32], slot.size[width == 32]
            if slot.name in ask.values and not slot.name.endswith("_gfn"):
                number = int.from_bytes(said[at : at + size], "little")
                assert ask.values[slot.name] == number, (ask.op.name, slot.name)
