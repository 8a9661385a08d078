"""Invariants that one step does not show to hold are proved by two or three, or not at all."""

from __future__ import annotations

import pytest

from pvhspec.backends.solver.prove import Proof, prove
from pvhspec.backends.solver.tell_proofs import proof_as_json, tell_proof
from tests.backends.solver.small import bells

# A lamp goes from stage to stage; to some of them it is never come. There is one: of two, either
# may take any number of steps while the other stands still.
LAMP = """type Lamp = u32 below 1
  "There is one."
  documented house:bell.h "lamp_t"

state stage[l : Lamp] : u32 = 0
  "How bright it is."

struct lamp_turn size 4
  documented house:bell.h "struct lamp_turn"
{
  0 lamp : Lamp
}

hypercall lamp_op = 32 (cmd : u32, arg : pointer)
  "Everything about lamps."
  documented house:bell.h "lamp_op"

operation LAMP_turn = lamp_op.0 takes lamp_turn
  "Turns a lamp."
  documented house:bell.h "LAMP_turn"
{
  in lamp

  error EINVAL no_lamp "There is none."
    when lamp >= 1

  success {
    TURNS
  }
}

invariant never_5
  "No lamp bursts."
  documented house:bell.h "never"
  : forall l : Lamp | stage[l] != 5
"""


def never_5(turns: dict[int, int]) -> Proof:
    text = "\n    ".join(
        f"if stage[lamp] == {one} {{ stage[lamp] := {other} }}" for one, other in turns.items()
    )
    (proof,) = prove(bells(LAMP.replace("TURNS", text)), cache=False)
    return proof


@pytest.mark.parametrize(
    "turns, k",
    [
        pytest.param({0: 1, 1: 0}, 1, id="nothing leads there"),
        pytest.param({0: 1, 1: 0, 7: 5}, 2, id="nothing leads to what leads there"),
        pytest.param({0: 1, 1: 0, 8: 7, 7: 5}, 3, id="one step further"),
    ],
)
def test_it_is_proved_by_as_many_steps_as_it_takes(turns: dict[int, int], k: int) -> None:
    proof = never_5(turns)
    assert proof.status == "proved"
    assert max(s.k for s in proof.steps) == k


@pytest.mark.parametrize(
    "turns",
    [
        pytest.param({0: 1, 1: 0, 9: 8, 8: 7, 7: 5}, id="further than is looked"),
        pytest.param({0: 1, 1: 7, 7: 5}, id="it is come to from boot"),
        pytest.param({0: 7, 7: 5}, id="it is come to at once"),
        pytest.param({0: 5}, id="by the first step"),
    ],
)
def test_what_more_steps_do_not_show_is_not_proved(turns: dict[int, int]) -> None:
    proof = never_5(turns)
    assert proof.status == "open"
    assert [s.what for s in proof.steps if s.outcome.status == "refuted"] == ["LAMP_turn"]


def test_the_answer_says_so() -> None:
    text = "if stage[lamp] == 7 { stage[lamp] := 5 }"
    spec = bells(LAMP.replace("TURNS", text))
    (proof,) = prove(spec, cache=False)
    told = " ".join("\n".join(tell_proof(spec, proof)).split())
    assert "by 2-induction, as one step does not show it of LAMP_turn" in told
    assert proof_as_json(spec, proof)["k"] == 2
