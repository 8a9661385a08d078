"""What questions are answered with, run on a real Xen: it does what the answer says.

All of them share one boot. Between two the guest closes its ports and clears the words that both
write; that this is the state at boot again is not taken for granted but asked of the interpreter,
which follows what really happened. Then each call has to return what the answer says, fill in what
the answer says, break no clause, and leave the state that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pvhspec.backends.binding import Binder
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.protocol import Judgement, Seen, Verdict
from pvhspec.backends.solver.query import Answer
from pvhspec.backends.solver.reach import Move
from pvhspec.backends.solver.replay import holds
from pvhspec.backends.solver.rewrite import substitute
from pvhspec.backends.solver.stories import as_program
from pvhspec.ir import build
from pvhspec.ir.ir import Const, Expr, Operation, Quant
from pvhspec.ir.questions import Always, Question, Reach
from pvhspec.programs import Compiled, compile_text
from pvhspec.traces import ObjectTrace
from tests.backends.solver.asking import asked, names

WHERE = ((4, 17), "pvh_dom0")

QUESTIONS = [
    "can send return EPERM",
    "can send return EINVAL when channel[caller, port] == reserved and cpl == 0",
    "can send succeed when channel[caller, port] == ipi and not evtchn_mask[caller, port]",
    "can alloc_unbound return ESRCH",
    "can alloc_unbound succeed when out.port == 2 and dom == DOMID_SELF",
    "can bind_interdomain return EINVAL when remote_port != 0 and remote_dom == DOMID_SELF",
    "can bind_virq return EINVAL when virq < 24",
    "can bind_virq return EINVAL when virq >= 24",
    "can bind_virq return ENOENT",
    "can bind_virq return EEXIST when virq == VIRQ_DEBUG",
    "can bind_virq return EFAULT when readable",
    "can bind_ipi return ENOENT",
    "can bind_ipi return EFAULT when not readable",
    "can bind_pirq return EINVAL",
    "can bind_pirq return EEXIST",
    "can unmask return EINVAL",
    "can bind_vcpu succeed",
    "can status return ESRCH",
    "can status succeed when out.status == EVTCHNSTAT_unbound and out.unbound_dom == 7",
    "can close return EINVAL when port == 5",
    "can close succeed when channel[caller, port] == ipi",
    "can reset_cont return EBUSY",
    "can set_priority return ENOSYS",
    "can XENVER_pagesize return EINVAL",
    "can XENVER_version succeed",
    "can get_features return EINVAL",
    "must not evtchn_pending_sel[caller, 0, 0]",
    "must evtchn_upcall_pending[caller, 0] => evtchn_pending_sel[caller, 0, 0]",
    "must channel[caller, 1] == free",
    "can channel[caller, 1] == ipi",
    "must not evtchn_mask[caller, 5]",
]

AFRESH = """\
EVTCHNOP_reset(dom = SELF)
clear pending 0..63
clear mask 0..63
clear selector
clear upcall
"""


@dataclass
class Told:
    """An answer, the first line of its program in the whole, and of what comes after it."""

    text: str
    question: Question
    answer: Answer
    begin: int
    end: int
    moves: list[Move]
    events: list[tuple[Seen, list[Judgement]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def told() -> tuple[list[Told], Compiled]:
    """The answers, and one program of all of them."""
    lines = ["map shared_info at 0", "snapshot"]
    found: list[Told] = []
    for text in QUESTIONS:
        question, whole = asked(text)
        answers = [a for a in (*whole.parts, whole) if a.execution is not None]
        assert answers, f"{text}: {whole.status}, {whole.why}"
        for answer in answers:
            assert answer.execution is not None
            program = as_program(answer.execution)
            assert program is not None, text
            steps = [line for line in program.splitlines() if not line.startswith("map ")]
            begin = len(lines) + 1
            lines += steps
            moves = [m for m in answer.execution.moves if isinstance(m.item, Operation)]
            found.append(Told(text, question, answer, begin, len(lines) + 1, moves))
            lines += ["snapshot", *AFRESH.splitlines(), "snapshot"]
    compiled, errors = compile_text("\n".join(lines) + "\n", names().spec, 64)
    assert compiled is not None, errors
    return found, compiled


def test_there_are_twenty(told: tuple[list[Told], Compiled]) -> None:
    assert len(told[0]) >= 20
    states = [t for t in told[0] if isinstance(t.question, Reach | Always)]
    assert len(states) >= 5


@pytest.mark.real
def test_a_real_xen_does_what_the_answers_say(
    told: tuple[list[Told], Compiled], one_xen: Path
) -> None:
    from pvhspec.targets import capture_xen

    found, compiled = told
    capture = capture_xen(str(one_xen), compiled.program, width=64)
    assert capture.events[-1]["reason"] == "shutdown"
    trace = ObjectTrace(capture.header, capture.events, "xen")
    spec = names().spec
    machine = Machine(spec, *WHERE, given={n: dict(t) for n, t in trace.header.given.items()})
    binder = Binder(spec, *WHERE, trace.header.cpu_vendor)
    steps = {e["seq"]: e["step"] for e in capture.events if "step" in e}
    waiting = iter(found)
    now = next(waiting)
    begun: Machine | None = None
    checked = 0
    for seen in binder.bind(trace):
        line = compiled.lines[steps[seen.seq]] if seen.seq in steps else 0
        if now.begin <= line < now.end and not now.events:
            begun = begun or machine.fork()
            assert not differing(machine, begun), f"{now.text}: not as at boot"
        judgements = list(machine.feed(seen))
        violated = [j.clause for j in judgements if j.verdict is Verdict.VIOLATES]
        assert not violated, f"{now.text}: violates {violated}"
        if now.begin <= line < now.end:
            now.events.append((seen, judgements))
            if line == now.end - 1:
                check(now, machine)
                checked += 1
        elif line >= now.end and checked < len(found):
            now = next(waiting, now)
    assert checked == len(found)


def differing(machine: Machine, begun: Machine) -> list[tuple[str, tuple[Any, ...]]]:
    """The cells that are not as they were when shared_info had been mapped, before anything was
    asked; but for what nobody can know."""
    now, then = machine.store, begun.store
    return [
        (name, index)
        for name, state in names().spec.states.items()
        if not state.given and state.init is not None
        for index in {*now.keys(name), *then.keys(name)}
        if now.read(name, index) != then.read(name, index)
    ]


def check(told: Told, machine: Machine) -> None:
    """The calls returned what the answer says, and the state is what was asked for."""
    calls = [(seen, judged) for seen, judged in told.events if seen.call is not None]
    assert len(calls) == len(told.moves), told.text
    for (seen, _), move in zip(calls, told.moves, strict=True):
        assert seen.call is not None
        inputs = dict(move.inputs)
        wanted = -move.code if move.code else inputs.get("result", 0)
        assert seen.call.ret == wanted, told.text
        for name, value in shown(move):
            assert seen.fields[name] == value, f"{told.text}: {name}"
    if told.answer.clauses and calls:
        spoken = {j.clause for j in calls[-1][1] if j.verdict is Verdict.CONFORMS}
        assert told.answer.clauses[0] in spoken, told.text
    for wanted_state in asked_for(told):
        assert holds(names().spec, machine.store, wanted_state, *WHERE) is True, told.text


def shown(move: Move) -> Iterator[tuple[str, Any]]:
    """What the call fills in, as the answer has it."""
    op = move.item
    assert isinstance(op, Operation)
    done = move.code == 0 and dict(move.inputs).get("writable", True)
    given = {u.target for u in op.updates}
    yield from ((n, v) for n, v in move.inputs if done and n.startswith("out.") and n in given)


def asked_for(told: Told) -> Iterator[Expr]:
    """The state that the question is about, for the values that the answer gives."""
    assert told.answer.execution is not None
    at = dict(told.answer.execution.at)
    match told.question:
        case Reach(vars=variables, test=test):
            yield substitute(test, {v.name: Const(v.type, at[v.name]) for v in variables})
        case Always(test=test):
            while isinstance(test, Quant) and test.kind == "forall":
                values: dict[str, Expr] = {v.name: Const(v.type, at[v.name]) for v in test.vars}
                test = substitute(test.body, values)
            yield build.negate(test)
