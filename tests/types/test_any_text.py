"""Whatever is done to a specification, it is compiled or has errors, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvhspec.backends.examples import run_examples
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.ir.show import show_spec
from tests.agreement.executions import ALL
from tests.small import MODE, RELEASE, compile_text
from tests.syntax.texts import tokens

SHOWN = Path(__file__).parents[1] / "ir" / "shown"
TEXTS = [path.read_text() for path in sorted(SHOWN.glob("*.abi"))]
TEXTS += [f"module a.m\nimport core.base\n{text}" for text in dict.fromkeys(e.text for e in ALL)]
TEXTS.append("""module a.m
import core.base
enum Channel { free unbound(peer : DomId) }
state channel[p : Port] : Channel = free
struct args size 8 { 0 port : Port 4 flag : u32 }
event look { at : Port bit[p : Port] : bool }
on look one documented xen:a.h "x" { require r : bit[at] => channel[at] != free }
hypercall op = 1 (cmd : u32, arg : pointer) documented xen:a.h "x"
operation one = op.1 takes args documented xen:a.h "x" {
  in port
  out flag
  error EINVAL odd when channel[port] is free
  success returns 3 { flag := 0x10 }
}
example "First." on 4.17 pvh_dom0 {
  given channel[3] = unbound(7)
  one(port = 3, caller = 1) -> 3 { flag = 16 }
  look(at = 3, bit[3] = true, bit[4] = false)
  one(port = 4) -> EINVAL
}
counterexample "Second." of a.m.one.odd on 4.17 pvh_domu {
  one(port = 3) -> unseen
  one(port = 3) -> 3 { flag = 16 }
}
""")
WORDS = ["Port", "DomId", "u8", "0", "0x1_0000_0000", "true", "caller", "channel", "not", "EINVAL"]
WORDS += ["forall p : Port |", "a", "op", "args", "port", "( )", "[ 1 ]", ".x", "is", "=="]


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    words = tokens(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(4, len(words) - 1))
        match draw(st.sampled_from(["remove", "repeat", "swap", "word", "other"])):
            case "remove":
                del words[at]
            case "repeat":
                words.insert(at, words[at])
            case "swap":
                words[at], words[at - 1] = words[at - 1], words[at]
            case "word":
                words[at] = draw(st.sampled_from(WORDS))
            case "other":
                words[at] = words[draw(st.integers(4, len(words) - 1))]
    return " ".join(words)


@settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(spoilt())
def test_spoilt_text(text: str) -> None:
    spec, errors = compile_text(text)
    for error in errors:
        assert error.line, error
        assert error.column, error
        assert error.render()
    if spec is not None:
        assert show_spec(spec)
        Machine(spec, RELEASE, MODE)
        assert len(list(run_examples(spec))) == len(spec.examples)


@pytest.mark.parametrize("text", TEXTS)
def test_unspoilt_text(text: str) -> None:
    _, errors = compile_text(" ".join(tokens(text)))
    assert not errors
