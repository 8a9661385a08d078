"""Programs of two domains that act in turn."""

from __future__ import annotations

import pytest

from pvhspec.programs import Layouts, show_program
from pvhspec.targets.program import Hypercall, Slot, Step
from pvhspec.targets.steps import Turn
from pvhspec.targets.toolstack import MADE, TURNS_IN_DOM0, TURNS_IN_DOMU
from tests.programs.spec import compiled_spec as spec
from tests.programs.test_compile import compiled, refused

TEXT = """\
$0 = EVTCHNOP_alloc_unbound(dom = SELF, remote_dom = $63) -> port
domu {
  EVTCHNOP_bind_interdomain(remote_dom = 0, pad = 0, remote_port = $0)
  hand over
  SCHEDOP_shutdown(reason = 2)
}
EVTCHNOP_send(port = $0)
domu {
  EVTCHNOP_send(port = 1)
}
"""


def turns(steps: tuple[Step, ...] | None) -> list[tuple[int, int]]:
    return [(step.give, step.take) for step in steps or () if isinstance(step, Turn)]


def test_they_act_in_turn() -> None:
    program = compiled(TEXT).program
    assert turns(program.steps) == [(1, 2), (3, 4)]
    assert turns(program.beside) == [(0, 1), (2, 0), (0, 3), (4, 0), (0, 7)]
    kinds = [type(step) for step in program.beside or ()]
    assert kinds == [Turn, Hypercall, Turn, Hypercall, Turn, Hypercall, Turn, Turn]
    for steps, page in ((program.steps, TURNS_IN_DOM0), (program.beside or (), TURNS_IN_DOMU)):
        assert {step.page for step in steps if isinstance(step, Turn)} == {page}


def test_lines_are_those_of_both() -> None:
    found = compiled(TEXT)
    assert found.lines[:3] == (1, 2, 7)
    assert found.lines[len(found.program.steps) :][:4] == (2, 3, 4, 5)


def test_a_program_is_read_back_as_it_is_shown() -> None:
    assert show_program(compiled(TEXT).program, Layouts(spec(), 64)) == TEXT


def test_values_have_names_in_both() -> None:
    names = "a = EVTCHNOP_alloc_unbound(dom = DOMU, remote_dom = 0) -> port\n"
    program = compiled(f"{names}domu {{\n  EVTCHNOP_send(port = a)\n}}\n").program
    call = (program.beside or ())[1]
    assert isinstance(call, Hypercall)
    assert [patch.value for patch in call.buffers[0].patches] == [Slot(0)]
    first = program.steps[0]
    assert isinstance(first, Hypercall)
    assert MADE in [patch.value for patch in first.buffers[0].patches]


def test_what_each_has_mapped_is_its_own() -> None:
    program = compiled("use shared_info area 0 width 32\ndomu {\n  set pending 32\n}\n").program
    assert getattr((program.beside or ())[1], "index", None) == 0  # 64 ports to a word


@pytest.mark.parametrize(
    "text, code",
    [
        ("domu {\n  domu {\n  }\n}\n", "PVH606"),
        ("hand over\n", "PVH606"),
        ("domu {\n  hand over\n  hand over\n}\n", "PVH606"),
        ("EVTCHNOP_close(port = DOMU)\n", "PVH603"),
        ("domu two {\n}\n", "PVH602"),
    ],
)
def test_what_does_not_fit(text: str, code: str) -> None:
    assert [error[0] for error in refused(text)] == [code]
