"""The interpreter on the list of executions: it is the oracle of every other backend."""

from __future__ import annotations

import pytest

from pvhspec.ir.ir import Spec
from tests.agreement.executions import ALL, Execution
from tests.small import Run, compile_good, verdicts

_MADE: dict[str, Spec] = {}
_SAID = {"yes": "conforms", "no": "violates", "?": "cannot be seen"}


def spec_of(execution: Execution) -> Spec:
    if execution.text not in _MADE:
        _MADE[execution.text] = compile_good(execution.text)
    return _MADE[execution.text]


@pytest.mark.parametrize("execution", ALL, ids=lambda s: s.name.replace(" ", "_"))
def test_execution(execution: Execution) -> None:
    run = Run(
        spec_of(execution),
        given=execution.given,
        from_boot=execution.from_boot,
        authority=execution.authority,
    )
    for number, step in enumerate(execution.steps, 1):
        if step.is_call:
            said = run.call(step.name, step.ret, step.out, step.memory, step.strayed, **step.fields)
        else:
            said = run.event(step.name, **step.fields)
        expected = {clause: _SAID[what] for clause, what in step.expect.items()}
        assert verdicts(said) == expected, f"step {number}, {step.name}: {said}"
    open_ = [clause.split(".", 2)[2] for clause, _ in run.machine.open_debts()]
    assert tuple(open_) == execution.debts
