"""What holds because it speaks of nothing is reported, by `prove` and by `complete`."""

from __future__ import annotations

import pytest

from pvhspec.backends.solver.complete import complete
from pvhspec.backends.solver.prove import Proof, prove
from pvhspec.backends.solver.tell_proofs import proof_as_json, tell_proof
from pvhspec.backends.solver.vacuity import mark
from pvhspec.ir.ir import Spec
from tests.backends.solver.edited import edited, real_spec
from tests.backends.solver.small import bells
from tests.backends.solver.test_deeper import LAMP


def marked(spec: Spec, name: str) -> Proof:
    (proof,) = prove(spec, [name], cache=False)
    mark(spec, [proof], cache=False)
    return proof


def lamp(says: str, more: str = "") -> Spec:
    turns = "if stage[lamp] == 0 { stage[lamp] := 1 }"
    text = LAMP.replace("TURNS", turns).replace("stage[l] != 5", says)
    return bells(text + more)


def test_what_is_proved_of_xen_speaks_of_something() -> None:
    for name in ("port_0_reserved", "upcall_comes"):
        assert marked(real_spec(), name).status == "proved"


@pytest.mark.parametrize(
    "says, more, why",
    [
        pytest.param("stage[l] == 1 => stage[l] < 2", "", "", id="it is come to"),
        pytest.param(
            "stage[l] == 9 => stage[l] > 8", "", "never the case, from boot on", id="nothing leads"
        ),
        pytest.param(
            "stage[l] == 9 => stage[l] > 8",
            "\ninvariant dim\n"
            '  "It is never bright."\n  documented house:bell.h "dim"\n'
            "  : forall m : Lamp | stage[m] < 2\n",
            "the invariants rule out what it speaks of",
            id="another rules it out",
        ),
    ],
)
def test_a_premise_that_is_never_the_case(says: str, more: str, why: str) -> None:
    spec = lamp(says, more)
    proof = marked(spec, "never_5")
    assert proof.status == ("vacuous" if why else "proved")
    assert why in proof.vacuous
    told = "\n".join(tell_proof(spec, proof))
    assert ("it says nothing: " in told) == bool(why)
    assert proof_as_json(spec, proof)["vacuous"] == proof.vacuous
    found = [f.subject for f in complete(spec, cache=False) if f.kind == "vacuous"]
    assert found == ([proof.invariant.clause] if why else [])


def test_what_is_owed_for_good() -> None:
    """An obligation's `unless` that nothing brings about."""
    spec = edited(
        "evtchn.delivery",
        "unless not evtchn_upcall_pending[caller, v]",
        "unless not callback_set[caller]",
    )
    assert marked(spec, "upcall_comes").vacuous == "its `unless` never comes"
