"""The state machines made of the specification hold against the model they are made of."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from pvhspec.backends.machine.draw import Drawer, offered
from pvhspec.backends.machine.model import Ask, Model
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.testing import spec_machine

RELEASE, MODE = (4, 17, 7), "pvh_dom0"


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


@pytest.mark.parametrize("chapter", ["evtchn", "hypercall", None])
@pytest.mark.parametrize("width", [32, 64])
def test_the_model_conforms_to_itself(chapter: str | None, width: int) -> None:
    machine = spec_machine(chapter, width=32 if width == 32 else 64)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=6,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_what_is_foretold_is_what_the_text_says(spec: Spec) -> None:
    model = Model(spec, RELEASE, MODE, width=64)
    by_name = {op.name: op for op in spec.operations}
    bind = Ask(by_name["EVTCHNOP_bind_virq"], {"virq": 3, "vcpu": 0})
    first = model.foretell(bind)
    assert first is not None
    assert first.code == 0
    model.commit(first)
    again = model.foretell(bind)
    assert again is not None
    assert again.code == 17
    assert again.clauses[0].endswith("already_bound")


def test_a_few_hundred_calls_meet_most_errors(spec: Spec) -> None:
    model = Model(spec, RELEASE, MODE, width=64)
    counts: Counter[str] = Counter()
    operations = offered(spec, RELEASE, MODE)
    drawer = Drawer(model, Random(5), counts, operations)
    of_channels = [op for op in operations if op.id.startswith("evtchn.")]
    for _ in range(3000):
        drawer.best(4, of_channels)
    names = {"not_on_vcpu_0", "already_bound", "not_waiting", "closed_port", "fixed_vcpu",
             "not_a_sender", "no_such_pirq", "crosses_page", "user_mode", "far_end"}  # fmt: skip
    assert names <= {clause.rpartition(".")[2] for clause in counts}
