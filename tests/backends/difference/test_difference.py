"""Edits of the specification are told apart by the shortest program, or it is said why not."""

from __future__ import annotations

import pytest

from pvhspec.backends.difference.clauses import Side, differences
from pvhspec.backends.difference.compare import Told, compare
from pvhspec.backends.difference.tell import program_of, tell, tell_summary
from pvhspec.backends.difference.twin import Focus
from pvhspec.backends.difference.twins import Apart, Pair
from pvhspec.ir.ir import Spec
from pvhspec.programs import compile_text
from tests.backends.solver.edited import edited, real_spec

PLACE = ((4, 17), "pvh_dom0")


def sides(spec: Spec) -> tuple[Side, Side]:
    return Side("old", real_spec(), PLACE), Side("new", spec, PLACE)


def compared(module: str, old: str, new: str, depth: int = 1) -> tuple[Told, tuple[Side, Side]]:
    """The one difference that an edit makes."""
    a, b = sides(edited(module, old, new))
    found = compare(a, b, depth=depth, budget=30, cache=False)
    (told,) = (t for t in found if t.difference.clause.startswith(module))
    return told, (a, b)


def test_nothing_differs_from_itself() -> None:
    assert differences(*sides(real_spec())) == []


def test_comments_and_names_of_variables_do_not_count() -> None:
    spec = edited(
        "evtchn.channel",
        "invariant two_ends",
        "# nothing that means anything\ninvariant two_ends",
    )
    assert differences(*sides(spec)) == []
    spec = edited(
        "evtchn.channel",
        ": forall d : DomId, p : Port | channel[d, p] != interdomain(d, p)",
        ": forall e : DomId, q : Port | channel[e, q] != interdomain(e, q)",
    )
    assert differences(*sides(spec)) == []


def test_words_alone() -> None:
    told, (a, b) = compared("evtchn.fifo", '"There are 16 queues."', '"There are sixteen queues."')
    assert (told.status, told.difference.aspects) == ("prose", ("its words",))
    assert "the meaning is the same" in "\n".join(tell(told, a, b))


def test_written_otherwise() -> None:
    told, _ = compared("evtchn.fifo", "when priority > 15", "when not priority <= 15")
    assert (told.difference.kind, told.status) == ("meaning", "equivalent")


def test_another_condition() -> None:
    told, (a, b) = compared("evtchn.bind", "when virq >= 24", "when virq >= 23")
    assert told.status == "apart"
    assert told.apart is not None
    assert told.apart.both
    assert dict(told.apart.first.moves[-1].inputs)["virq"] == 23
    text = program_of(told, a, b)
    assert text is not None
    assert "EVTCHNOP_bind_virq(virq = 0x17" in text
    compiled, errors = compile_text(text, real_spec(), 64)
    assert compiled is not None, errors


def test_an_effect_that_is_gone() -> None:
    """Two calls: a port is opened, and the next one to open gets its number again."""
    told, (a, b) = compared(
        "evtchn.bind",
        "channel[caller, chosen] := ipi",
        "channel[caller, chosen] := pirq(0)",
        depth=2,
    )
    assert told.status == "apart", told.why
    assert told.apart is not None
    assert len(told.apart.first.moves) == 2
    assert program_of(told, a, b) is not None


def test_what_xen_may_always_do_shows_nothing() -> None:
    told, _ = compared(
        "evtchn.use",
        'error EBUSY already_resetting "Another vCPU resets the same domain." maybe',
        'error EEXIST already_resetting "Another vCPU resets the same domain." maybe',
    )
    assert told.status == "not visible"


def test_what_another_error_hides_is_proved_so() -> None:
    """An added error that is due only where another of the same code is."""
    spec = edited(
        "evtchn.fifo",
        "when priority > 15",
        'when priority > 15 error EINVAL far_too_high "Too high by far." when priority > 99',
    )
    a, b = sides(spec)
    found = {t.difference.clause: t for t in compare(a, b, depth=1, budget=30, cache=False)}
    told = found["evtchn.fifo.EVTCHNOP_set_priority.far_too_high"]
    assert (told.difference.kind, told.status) == ("added", "not visible")
    assert "proved" in told.why
    assert "1 that none can" in tell_summary([told], a, b)


@pytest.mark.slow
def test_releases() -> None:
    a, b = (Side(str(v[1]), real_spec(), (v, "pvh_dom0")) for v in ((4, 14), (4, 20)))
    told = compare(a, b, only=["hypercall.*"], depth=1, budget=30, cache=False)  # all take an hour
    found = {t.difference.clause: t for t in told}
    assert {c.partition(".")[0] for c in found} == {"hypercall"}
    by = {s: [c for c, t in found.items() if t.status == s] for s in ("apart", "open")}
    assert len(by["apart"]) >= 25
    assert by["open"] == ["hypercall.small.physdev_op.not_for_pvh"]  # none but this
    assert found["hypercall.version_text.XENVER_build_id.unreadable"].status == "not visible"


def test_what_is_told_of_elements() -> None:
    """XENMEM_add_to_physmap_batch says of each page how it went."""
    a, b = (Side(str(v[1]), real_spec(), (v, "pvh_dom0")) for v in ((4, 14), (4, 20)))
    batch = next(o for o in real_spec().operations if o.name == "XENMEM_add_to_physmap_batch")
    found = Pair(a, b).apart(Focus(batch.id), range(1), 60.0)
    assert isinstance(found, Apart)
    assert "out.told.code" in dict(found.first.moves[-1].maps)
