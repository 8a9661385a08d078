"""By the documented clauses alone: what only an implementation promises is left free."""

from __future__ import annotations

from pvhspec.backends.solver.authority import documented, is_free
from pvhspec.backends.solver.complete import complete
from pvhspec.backends.solver.prove import Proof, prove
from pvhspec.ir.ir import Authority, Spec
from tests.backends.solver.small import bells

# Who promises that a bell too large is refused, and what it is left with, is put in.
BELL = """struct bell_tune size 4
  documented house:bell.h "struct bell_tune"
{
  0 tone : u32
}

state pitch[d : DomId] : u32 = 0
  "Its tone."

hypercall bell_op = 32 (cmd : u32, arg : pointer)
  "Everything about bells."
  documented house:bell.h "bell_op"

operation BELL_tune = bell_op.0 takes bell_tune
  "Tunes a bell."
  documented house:bell.h "BELL_tune"
{
  in tone

  in order {
    error EINVAL shrill "Nobody can bear it."
      when tone > 9000
      ERROR
    error EBUSY shriller "It would break."
      when tone > 9500
      documented house:bell.h "EBUSY"
  }

  success "It has the tone."
    EFFECT
  {
    pitch[caller] := tone
  }
}

invariant bearable
  "No bell is too shrill."
  documented house:bell.h "tone"
  : forall d : DomId | pitch[d] <= 9000
"""
DOCUMENTED, IMPLEMENTED = 'documented house:bell.h "x"', 'implemented house:bell.c "x"'


def spec(error: str, effect: str) -> Spec:
    return bells(BELL.replace("ERROR", error).replace("EFFECT", effect))


def bearable(spec: Spec, authority: Authority) -> Proof:
    (proof,) = prove(spec, authority=authority, cache=False)
    return proof


def test_what_is_documented_is_proved_by_either() -> None:
    for authority in ("implemented", "documented"):
        assert bearable(spec(DOCUMENTED, DOCUMENTED), authority).status == "proved"


def test_an_error_that_is_implemented_alone_may_stay_away() -> None:
    text = spec(IMPLEMENTED, DOCUMENTED)
    assert bearable(text, "implemented").status == "proved"
    proof = bearable(text, "documented")
    assert proof.status == "open"
    (why,) = {s.outcome.why for s in proof.steps if s.outcome.status == "open"}
    assert why.startswith("the documented clauses alone do not rule it out; with all: ")
    assert "house.bells.BELL_tune.shrill" in why


def test_an_effect_that_is_implemented_alone_leaves_any_value() -> None:
    text = spec(DOCUMENTED, IMPLEMENTED)
    (op,) = (o for o in documented(text).operations if o.updates)
    assert [is_free(u) for u in op.updates] == [True]
    assert bearable(text, "implemented").status == "proved"
    assert bearable(text, "documented").status == "open"


def test_what_shadows_an_error_must_be_documented() -> None:
    """By all clauses an error never comes, another being first; by documented ones it may."""
    text = spec(IMPLEMENTED, DOCUMENTED)
    dead = [f.subject for f in complete(text, cache=False) if f.kind == "dead error"]
    assert dead == ["house.bells.BELL_tune.shriller"]
    found = complete(text, authority="documented", cache=False)
    assert not [f for f in found if f.kind == "dead error"]
