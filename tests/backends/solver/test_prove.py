"""Invariants are proved, and edits that break one are refuted by a story that can be read."""

from __future__ import annotations

import pytest

from pvhspec.backends.solver import steps
from pvhspec.backends.solver.claims import claims
from pvhspec.backends.solver.combos import callable_in, combos
from pvhspec.backends.solver.prove import Proof, prove
from pvhspec.backends.solver.tell_proofs import tell_proof
from pvhspec.ir.ir import Spec
from tests.backends.solver.edited import edited, real_spec


def only(spec: Spec, name: str) -> Proof:
    (proof,) = prove(spec, [name], cache=False)
    return proof


def refuted(spec: Spec, name: str) -> str:
    """What is told of an invariant that an execution from boot breaks."""
    (proof,) = prove(spec, [name], from_boot=240.0, cache=False)
    assert proof.status == "refuted"
    return "\n".join(tell_proof(spec, proof))


def test_every_invariant_is_proved() -> None:
    proofs = prove(real_spec(), budget=60.0, cache=False)  # of a machine that is at work
    assert [(p.invariant.name, p.status) for p in proofs if p.status != "proved"] == []
    assert len(proofs) >= 14


@pytest.mark.parametrize(
    "module, old, new, invariant, step",
    [
        pytest.param(
            "evtchn.bind",
            "channel[peer, remote_port] := interdomain(caller, chosen)",
            "channel[peer, remote_port] := interdomain(caller, remote_port)",
            "symmetric",
            "EVTCHNOP_bind_interdomain",
            id="the far end names the wrong port",
        ),
        pytest.param(
            "evtchn.bind",
            "channel[caller, chosen] := interdomain(peer, remote_port)",
            "notify[caller, chosen] := 0",
            "symmetric",
            "EVTCHNOP_bind_interdomain",
            id="an effect dropped on one side",
        ),
        pytest.param(
            "evtchn.use",
            "        and peer == owner and not xen_attached[owner, remote]\n",
            "        and peer == owner\n",
            "symmetric",
            "EVTCHNOP_reset",
            id="a port that is Xen's loses its far end",
        ),
        pytest.param(
            "evtchn.use",
            "    channel[caller, port] := free\n    notify[caller, port] := 0\n",
            "    channel[caller, port] := free\n",
            "free_notifies_vcpu_0",
            "EVTCHNOP_close",
            id="a closed port keeps its vCPU",
        ),
        pytest.param(
            "evtchn.bind",
            "when virq_bound(caller, vcpu, q)",
            "when virq < 16 and virq_bound(caller, vcpu, q)",
            "one_port_per_virq",
            "EVTCHNOP_bind_virq",
            id="an error that misses some arguments",
        ),
    ],
)
def test_an_edit_is_refuted(module: str, old: str, new: str, invariant: str, step: str) -> None:
    spec = edited(module, old, new)
    proof = only(spec, invariant)
    assert proof.status == "open"  # nobody looked for a way there from boot
    assert step in {s.what for s in proof.steps if s.outcome.status == "refuted"}
    text = "\n".join(tell_proof(spec, proof))
    assert f"{step}(" in text
    assert "before" in text
    assert "after" in text
    assert "so it fails for" in text


@pytest.mark.slow
def test_an_effect_dropped_on_one_side_of_a_bind() -> None:
    spec = edited(
        "evtchn.bind",
        "channel[peer, remote_port] := interdomain(caller, chosen)",
        "notify[peer, remote_port] := 0",
    )
    story = refuted(spec, "symmetric").split("\n")[1:8]
    assert story[:6] == [
        "  from boot, on 4.14, pvh_dom0:",
        "     1. domain 0: EVTCHNOP_alloc_unbound(dom = 0, remote_dom = 0) -> 0, port = 1",
        "     2. domain 0: EVTCHNOP_bind_interdomain(remote_dom = 0, remote_port = 1) -> 0, "
        "local_port = 2",
        "     then channel[0, 1] = unbound(0)",
        "     then channel[0, 2] = interdomain(0, 1)",
        "     so it fails for d = 0, p = 2",
    ]
    # On a machine at work some release may not be decided in time.
    assert story[6].startswith("  EVTCHNOP_bind_interdomain breaks it (4.4 to ")


@pytest.mark.slow
def test_a_missing_error() -> None:
    spec = edited(
        "evtchn.bind", "when virq_bound(caller, vcpu, q)", "when virq_bound(caller, 1, 9)"
    )
    text = refuted(spec, "one_port_per_virq")
    assert text.count("domain 0: EVTCHNOP_bind_virq(virq = ") >= 2
    assert "     2. domain 0: EVTCHNOP_bind_virq" in text
    assert "     3." not in text


def test_the_story_has_only_cells_that_matter() -> None:
    spec = edited(
        "evtchn.use",
        "    channel[caller, port] := free\n    notify[caller, port] := 0\n",
        "    channel[caller, port] := free\n",
    )
    stories = [s.outcome.broken for s in only(spec, "free_notifies_vcpu_0").steps]
    found = [b for b in stories if b is not None]
    assert found
    for broken in found:
        assert {state for state, _, _ in broken.before} == {"channel", "notify"}
        assert len(broken.before) <= 3  # a joined port needs its far end


def test_what_is_known_is_not_proved_again(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    spec = real_spec()
    first = prove(spec, ["port_0_reserved"])
    for name in ("special_operation", "special_observation"):  # nor looked at for its name
        monkeypatch.setattr(steps, name, None)
    again = prove(spec, ["port_0_reserved"])
    assert not any(s.cached for s in first[0].steps)
    assert all(s.cached for s in again[0].steps)
    assert [s.outcome for s in first[0].steps] == [s.outcome for s in again[0].steps]


def test_nobody_is_asked_where_there_is_no_guest() -> None:
    spec = real_spec()
    places = callable_in(spec, combos(spec))
    assert ((4, 17), "pvh_dom0") in places
    assert ((4, 4), "pv") in places
    assert ((4, 4), "pvh_dom0") not in places
    assert ((4, 14), "pvh_v1") not in places


def test_every_step_that_may_let_go_of_what_is_owed_is_decided() -> None:
    """What is open is asked again each time."""
    spec = real_spec()
    (claim,) = (c for c in claims(spec) if c.name == "vector_comes")
    ends = list(steps.Steps(spec, combos(spec), 60.0).ends(claim))
    assert len({job.what for job in ends}) == len(ends) > 10
    found = {job.what: job.run()[0].status for job in ends}
    assert set(found.values()) <= {"proved", "refuted"}
    assert found["set_timer"] == "refuted"


def test_a_change_proves_only_what_hangs_on_it(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    prove(real_spec(), ["port_0_reserved"])
    other = edited("evtchn.bind", "channel[caller, chosen] := ipi", "notify[caller, chosen] := 1")
    (proof,) = prove(other, ["port_0_reserved"])
    anew = {s.what for s in proof.steps if not s.cached}
    assert anew == set()
    third = edited("evtchn.bind", "channel[caller, chosen] := ipi", "channel[caller, 5] := ipi")
    (proof,) = prove(third, ["port_0_reserved"])
    assert {s.what for s in proof.steps if not s.cached} == {"EVTCHNOP_bind_ipi"}
