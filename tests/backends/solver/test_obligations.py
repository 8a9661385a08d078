"""What is owed stays owed: proved of the text, and refuted of texts that lose it or forbid it."""

from __future__ import annotations

import pytest

from pvhspec.backends.solver.prove import Proof, prove
from pvhspec.backends.solver.tell_proofs import proof_as_json, tell_proof
from pvhspec.ir.ir import Spec
from tests.backends.solver.edited import edited, real_spec

MODULE = "evtchn.delivery"


def upcall(spec: Spec, from_boot: float = 0.0) -> Proof:
    (proof,) = prove(spec, ["upcall_comes"], from_boot=from_boot, cache=False)
    return proof


def breaks(proof: Proof) -> set[str]:
    return {s.what for s in proof.steps if s.outcome.status == "refuted"}


def test_a_delivery_that_is_owed_is_never_lost() -> None:
    proof = upcall(real_spec())
    assert proof.status == "proved"
    # The guest alone lowers it, unless a toolstack has its domain begin anew.
    assert proof.ends == ("evtchn.two_level.upcall_flag", "sched.toolstack.soft_reset")
    what = {s.what for s in proof.steps}
    assert {"HVMOP_set_param", "evtchn.delivery.asked_for, when it is owed,"} <= what
    assert "at boot" not in what
    assert "no longer owed after" in "\n".join(tell_proof(real_spec(), proof))
    assert proof_as_json(real_spec(), proof)["ends"] == list(proof.ends)


@pytest.mark.parametrize(
    "old, new, step",
    [
        pytest.param(
            "callback_set[d] := true",
            "callback_set[d] := u8(value) >= 16",
            "HVMOP_set_param",
            id="a call that loses it",
        ),
        pytest.param(
            ": evtchn_upcall_pending[caller, current]",
            ": not evtchn_upcall_pending[caller, current]",
            "evtchn.delivery.asked_for, when it is owed,",
            id="a clause that forbids it",
        ),
    ],
)
def test_a_text_that_loses_it_is_refuted(old: str, new: str, step: str) -> None:
    spec = edited(MODULE, old, new)
    proof = upcall(spec)
    assert breaks(proof) == {step}
    text = "\n".join(tell_proof(spec, proof))
    assert f"{step} breaks it" in text
    assert "evtchn_upcall_pending[" in text
    assert "so it fails for" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "old, new, last",
    [
        (
            "callback_set[d] := true",
            "callback_set[d] := u8(value) >= 16",
            "     3. domain 0: HVMOP_set_param(",
        ),
        (
            ": evtchn_upcall_pending[caller, current]",
            ": not evtchn_upcall_pending[caller, current]",
            "     3. event upcall(",
        ),
    ],
)
def test_the_shortest_way_there_from_boot_is_told(old: str, new: str, last: str) -> None:
    spec = edited(MODULE, old, new)
    proof = upcall(spec, from_boot=200.0)
    assert proof.status == "refuted"
    text = "\n".join(tell_proof(spec, proof))
    assert last in text
    assert "     4." not in text
