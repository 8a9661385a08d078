"""Interpreter and solver say the same, of a list of scenarios and of whatever is generated."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.values import is_known
from pvhspec.backends.protocol import Call, Seen, Verdict
from pvhspec.backends.solver.decide import Question
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Operation, Spec
from tests.agreement.scenarios import SCENARIOS, Cell, Scenario

CONTEXT: dict[str, Any] = {
    "caller": 0, "current": 0, "width": 64, "cpl": 0, "readable": True, "writable": True,
}  # fmt: skip
STRANGE = 5  # a code no clause names


@cache
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


def operation(name: str) -> Operation:
    return next(o for o in spec().operations if o.name == name)


def interpreted(scenario: Scenario, code: int) -> tuple[bool, Machine]:
    """Whether the interpreter lets it pass, and its state afterwards."""
    machine = Machine(spec(), *scenario.where)
    for state, index, value in scenario.cells:
        machine.store.write(state, index, value)
    op = operation(scenario.operation)
    fields = {**CONTEXT, **dict.fromkeys((p.name for p in op.params), 0), **scenario.inputs}
    if code == 0:
        fields |= {f"out.{n}": v for n, v in scenario.outs.items()}
    seen = Seen("hypercall", 0, None, fields, Call(op, -code, None, None))
    found = list(machine.feed(seen))
    return not any(j.verdict is Verdict.VIOLATES for j in found), machine


def question(scenario: Scenario) -> Question:
    op = operation(scenario.operation)
    inputs = {**CONTEXT, **dict.fromkeys((p.name for p in op.params), 0), **scenario.inputs}
    return Question(spec(), op, scenario.where, scenario.cells, inputs)


def all_codes(scenario: Scenario) -> set[int]:
    return {0, STRANGE, *(e.code for e in operation(scenario.operation).errors)}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_scenarios(scenario: Scenario) -> None:
    asked = question(scenario)
    by_interpreter = {c for c in all_codes(scenario) if interpreted(scenario, c)[0]}
    by_solver = {c for c in all_codes(scenario) if asked.legal(c, scenario.outs)}
    assert by_interpreter == scenario.codes
    assert by_solver == scenario.codes
    if scenario.code in scenario.codes:
        _, machine = interpreted(scenario, scenario.code)
        for cell in scenario.after:
            state, index, value = cell
            told = machine.store.read(state, index)
            assert not is_known(told) or told == value
            assert asked.forced(scenario.code, scenario.outs, cell)


# ---- generated ---------------------------------------------------------------------------------

PORTS = st.integers(0, 4) | st.sampled_from((63, 64, 65))
DOMAINS = st.sampled_from((0, 1, 2))
CHANNELS = st.one_of(
    st.just((0,)),
    st.tuples(st.just(2), DOMAINS),
    st.tuples(st.just(3), DOMAINS, PORTS),
    st.tuples(st.just(4), st.integers(0, 3)),
    st.tuples(st.just(5), st.sampled_from((0, 1, 3, 23))),
    st.just((6,)),
)


def cells_of(state: str, value: st.SearchStrategy[Any], *index: st.SearchStrategy[int]) -> Any:
    return st.tuples(st.just(state), st.tuples(*index), value)


CELLS = st.lists(
    st.one_of(
        cells_of("channel", CHANNELS, DOMAINS, PORTS.filter(bool)),
        cells_of("channel", CHANNELS, DOMAINS, PORTS.filter(bool)),
        cells_of("notify", st.integers(0, 1), DOMAINS, PORTS.filter(bool)),
        cells_of("xen_attached", st.booleans(), DOMAINS, PORTS),
        cells_of("domain_exists", st.booleans(), DOMAINS),
        cells_of("domain_privileged", st.booleans(), DOMAINS),
        cells_of("domain_paused", st.booleans(), DOMAINS),
        cells_of("vcpu_exists", st.booleans(), DOMAINS, st.integers(0, 2)),
        cells_of("max_evtchn_port", st.integers(0, 5), DOMAINS),
        cells_of("valid_ports", st.sampled_from((64, 128)), DOMAINS),
        cells_of("evtchn_mask", st.booleans(), DOMAINS, PORTS),
        cells_of("shared_info_64", st.booleans(), DOMAINS),
    ),
    max_size=8,
    unique_by=lambda c: c[:2],
).map(tuple)

NUMBERS: dict[str, st.SearchStrategy[int]] = {
    "dom": st.sampled_from((0, 1, 2, 0x7FF0)),
    "remote_dom": st.sampled_from((0, 1, 2, 0x7FF0)),
    "port": PORTS,
    "remote_port": PORTS,
    "vcpu": st.integers(0, 2),
    "virq": st.sampled_from((0, 1, 3, 23, 24)),
    "pirq": st.sampled_from((0, 1, 207, 208)),
    "priority": st.sampled_from((0, 15, 16)),
}

# FIFO's queues are not modelled, so that what is unknown of them would differ in kind.
COMMANDS = (
    "alloc_unbound", "bind_interdomain", "bind_virq", "bind_ipi", "bind_pirq", "send", "unmask",
    "bind_vcpu", "status", "close", "reset", "reset_cont", "expand_array", "set_priority",
)  # fmt: skip


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    op = operation(f"EVTCHNOP_{draw(st.sampled_from(COMMANDS))}")
    inputs = {s.name: draw(NUMBERS.get(s.name, st.integers(0, 3))) for s in op.slots if s.read}
    inputs["caller"] = draw(st.sampled_from((0, 0, 0, 1)))
    inputs["cpl"] = draw(st.sampled_from((0, 0, 0, 0, 3)))
    inputs["readable"] = draw(st.sampled_from((True, True, True, False)))
    inputs["writable"] = draw(st.sampled_from((True, True, False)))
    shown = {"port", "local_port"} & {s.name for s in op.slots if s.written}
    outs = {name: draw(st.integers(0, 3)) for name in shown}
    version = draw(st.sampled_from(((4, 14), (4, 17), (4, 20), (4, 21))))
    mode = draw(st.sampled_from(("pvh_dom0", "pvh_domu", "pv")))
    cells: tuple[Cell, ...] = draw(CELLS)
    return Scenario("generated", op.name, inputs, frozenset(), cells, outs, where=(version, mode))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(scenario=scenarios())
def test_generated(scenario: Scenario) -> None:
    asked = question(scenario)
    for code in sorted(all_codes(scenario)):
        passes, machine = interpreted(scenario, code)
        assert asked.legal(code, scenario.outs) == passes, f"code {code}"
        if not passes or code not in (0, 14):
            continue
        outs = scenario.outs if code == 0 else {}
        for state, index, _ in scenario.cells:
            told = machine.store.read(state, index)
            if is_known(told) and code == 0:
                assert asked.forced(0, outs, (state, index, told)), f"{state}{index} = {told}"
