"""Answers to questions: an execution that shows it, or the clauses that forbid it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import z3

from pvhspec.backends.interpreter.evaluate import Compiler
from pvhspec.backends.interpreter.machine import Machine
from pvhspec.backends.interpreter.path import explore
from pvhspec.backends.solver.combos import Combo, alike, combos, expressions, shown_combos
from pvhspec.backends.solver.goals import Goal, Where, specials
from pvhspec.backends.solver.ground import Unsupported
from pvhspec.backends.solver.parallel import Job, run_all
from pvhspec.backends.solver.reach import Chain, Execution, Move, reads_of
from pvhspec.backends.solver.rewrite import decide_gates
from pvhspec.backends.solver.search import Sought, broken_by, played, rank, seen, shortest
from pvhspec.backends.solver.step import special_operation
from pvhspec.backends.solver.tracked import TrackedCall
from pvhspec.ir.ir import Error, Expr, Operation, Spec
from pvhspec.ir.questions import CanReturn, Place, WhichErrors

__all__ = [
    "Answer",
    "Cells",
    "Options",
    "Status",
    "can_return",
    "places",
    "state_after",
    "which_errors",
]

_FOR_POSSIBLE = 2.0  # seconds to look whether any state at all lets it happen

Status = Literal["yes", "no", "open", "told"]
Cells = tuple[tuple[str, tuple[Any, ...], Any], ...]


@dataclass(frozen=True, slots=True)
class Options:
    """`depth`: calls before the last; `budget`: seconds for each single question."""

    depth: int = 4
    budget: float = 20.0
    jobs: int | None = None
    cache: bool = True
    done: Callable[[int, int], None] = lambda _done, _of: None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked of one operation, one state or one event.

    `subject` is what it is about, `clauses` those that let it be (yes), forbid it (no) or say what
    is told, `also` others that may let it be. `holds_in` are the releases and modes in which it is
    so, in words; `where` is that of the execution, `state` the cells it hangs on. `why` says what
    is open; `parts` are answers to the same question of several.
    """

    status: Status
    subject: str
    clauses: tuple[str, ...] = ()
    holds_in: str = ""
    where: Where | None = None
    execution: Execution | None = None
    state: Cells = ()
    lines: tuple[str, ...] = ()
    why: str = ""
    maybe: bool = False
    also: tuple[str, ...] = ()
    parts: tuple[Answer, ...] = field(default=())


def places(spec: Spec, place: Place) -> tuple[Combo, ...]:
    """The releases and modes that are asked about, point releases at a gate's edge among them."""
    found = [c for c in combos(spec) if place.admits(*c)]
    if not found and place.on is not None:
        found = [(place.on, m) for m in spec.modes if place.admits(place.on, m)]
    return tuple(found)


# ---- what a call may return --------------------------------------------------------------------


def can_return(spec: Spec, question: CanReturn, options: Options) -> Answer:
    """Whether a call may return it; of several operations the first that may."""
    work = [
        _job(spec, name, question.code, question.name, question.when, question.place, options)
        for name in question.operations
    ]
    answers: list[Answer] = [
        a for a, _, _ in run_all(work, options.jobs, options.cache, options.done)
    ]
    if len(answers) == 1:
        return answers[0]
    best = sorted(answers, key=lambda a: ("yes", "open", "told", "no").index(a.status))[0]
    return Answer(best.status, question.name, parts=tuple(answers))


def which_errors(spec: Spec, question: WhichErrors, options: Options) -> Answer:
    """Of every error that the operations' clauses name, whether it may be returned."""
    every = places(spec, question.place)
    work: list[Job] = []
    names: list[str] = []
    for op in _named(spec, question.operations):
        codes = {e.code: e.name for e in op.errors if any(e.gate.open(*c) for c in every)}
        for code, name in codes.items():
            work.append(_job(spec, op.name, code, name, question.when, question.place, options))
            names.append(name)
    answers = [a for a, _, _ in run_all(work, options.jobs, options.cache, options.done)]
    subject = ", ".join(question.operations)
    return Answer("told", subject, holds_in=_all_of(every, spec), parts=tuple(answers))


def _named(spec: Spec, names: tuple[str, ...]) -> list[Operation]:
    return [op for op in spec.operations if op.name in names]


def _all_of(group: tuple[Combo, ...], spec: Spec) -> str:
    return shown_combos(group, combos(spec)) if group else ""


def _job(
    spec: Spec, name: str, code: int, error: str, when: Expr, place: Place, options: Options
) -> Job:
    (op,) = _named(spec, (name,))
    whole = (spec.operations, spec.observations, spec.states, spec.invariants, spec.events)
    limits = (options.depth, options.budget)
    key = (*whole, "can return", name, code, error, when, str(place), limits)
    return Job(
        f"{name} {error}", op, (), key,
        lambda: _Call(spec, op, code, error, when).answer(place, options),
    )  # fmt: skip


@dataclass(slots=True)
class _Call:
    """Whether one operation may return one code."""

    spec: Spec
    op: Operation
    code: int
    name: str
    when: Expr
    maybe: set[str] = field(default_factory=set)

    @property
    def subject(self) -> str:
        return f"{self.op.name}: {self.name}"

    def answer(self, place: Place, options: Options) -> Answer:
        """In all of the places."""
        every = places(self.spec, place)
        groups = list(alike(self.op, every))
        if not groups:
            why = "no release and mode is asked about"
            if every:
                why = f"{self.op.name} is there {self.op.gate}"
            return Answer("no", self.subject, why=why)
        end = time.process_time() + options.budget
        possible: list[tuple[Combo, ...]] = []
        forbidding: dict[str, None] = {}
        trouble = ""
        for group in groups:
            try:
                clauses = self._impossible(group[0], min(_FOR_POSSIBLE, options.budget))
            except Unsupported as what:
                trouble, clauses = str(what), None
            if clauses is None:
                possible.append(group)
            else:
                forbidding.update(dict.fromkeys(clauses))
        if not possible:
            named = any(e.code == self.code for e in self.op.errors)
            lines = () if named or not self.code else (f"no clause of it names -{self.name}",)
            clauses = tuple(forbidding)
            return Answer("no", self.subject, clauses, _all_of(every, self.spec), lines=lines)
        whole = tuple(c for g in possible for c in g)
        holds_in = _all_of(whole, self.spec)
        for group in sorted(possible, key=lambda g: min(map(rank, g))):
            if not any(self._ways(special) for special in self._specials(group)):
                return Answer("told", self.subject, holds_in=holds_in, why=_UNSAID)
            left = end - time.process_time()
            if left <= 0:
                break
            found = self._found(min(group, key=rank), options.depth, left)
            if isinstance(found, str):
                trouble = found
                continue
            shown = self._shown(found, min(group, key=rank), holds_in)
            return replace(shown, also=self._also(min(group, key=rank), shown, end))
        return Answer("open", self.subject, self._clauses(possible), holds_in, why=trouble)

    def _specials(self, group: tuple[Combo, ...]) -> Iterator[Operation]:
        special = special_operation(self.op, *group[0])
        if special is not None:
            yield special

    def _clauses(self, groups: list[tuple[Combo, ...]]) -> tuple[str, ...]:
        """The clauses that would let it be."""
        specials_ = [s for g in groups for s in self._specials(g)]
        return tuple(dict.fromkeys(e.clause for s in specials_ for e in self._ways(s) if e))

    def _ways(self, special: Operation) -> list[Error | None]:
        """The errors of this code, those that have a condition first; None is success."""
        if self.code == 0:
            return [None] if special.modelled else []
        own = [e for e in special.errors if e.code == self.code]
        return [*(e for e in own if e.when is not None), *(e for e in own if e.when is None)]

    def _impossible(self, where: Where, budget: float) -> tuple[str, ...] | None:
        """The clauses that forbid it; None where nothing does, or that is not known."""
        special = special_operation(self.op, *where)
        assert special is not None
        tracked = TrackedCall(self.spec, special, where)
        wanted = [*tracked.returned(self.code), *tracked.so(self.when, where)]
        wanted += _here(tracked.call.frame.inputs, where)
        possible, _ = tracked.possible(budget, wanted)
        if possible is not False:
            return None
        named = {e.clause for e in special.errors if e.code == self.code}
        forbidding = tracked.forbidding(wanted)
        return forbidding or tuple(named) or (special.success,)

    def _also(self, where: Where, shown: Answer, end: float) -> tuple[str, ...]:
        """The other clauses by which it may be: some state lets each be the one that is due."""
        special = special_operation(self.op, *where)
        assert special is not None
        others = [e for e in self._ways(special) if e and e.clause not in shown.clauses]
        found: list[str] = []
        if not others:
            return ()
        tracked = TrackedCall(self.spec, special, where)
        for error in others:
            left = min(_FOR_POSSIBLE, end - time.process_time())
            wanted = [*tracked.by(error), *tracked.so(self.when, where)]
            with suppress(Unsupported):
                if left > 0 and tracked.possible(left, wanted)[0] is False:
                    continue
            found.append(error.clause)
        return tuple(found)

    def _found(
        self, where: Where, depth: int, budget: float
    ) -> tuple[Error | None, Execution] | str:
        special = special_operation(self.op, *where)
        assert special is not None
        when = decide_gates(self.when, *where)
        against = partial(self._against, where, when)
        ways: dict[int, Error | None] = {}
        sought: list[Sought] = []
        for error in self._ways(special):
            goal = self._goal(special, error, when, where)
            ways[id(goal)] = error
            sought.append(Sought(goal, against))
        found = shortest(
            self.spec, sought, specials(self.spec, where), where, range(depth + 1), budget
        )
        return found if isinstance(found, str) else (ways[id(found[0].goal)], found[1])

    def _goal(self, special: Operation, error: Error | None, when: Expr, where: Where) -> Goal:
        def ask(chain: Chain) -> None:
            made = chain.last(special)
            wanted = [made.code == self.code, chain.ground.expr(when, made.frame)]
            wanted += [d for e, d in made.due if error is not None and e.clause == error.clause]
            wanted += _here(made.frame.inputs, where)
            chain.ground.constraints.append(z3.And(*wanted))

        return Goal(special, ask, (*expressions(special), when))

    def _against(self, where: Where, when: Expr, execution: Execution) -> str:
        """What the interpreter has against an execution."""
        last = execution.moves[-1]
        for number, (machine, told) in enumerate(played(self.spec, execution, where)):
            broken = broken_by(told)
            if broken:
                return f"step {number} violates {broken[0]}"
            if number == len(execution.moves) - 1 and not _holds(
                self.spec, machine, when, where, last
            ):
                return "the condition does not hold before the call"
        return ""

    def _shown(self, found: tuple[Error | None, Execution], where: Where, holds_in: str) -> Answer:
        error, execution = found
        reads = [self.when]
        if error is not None and error.when is not None:
            reads.append(error.when)
        before = state_after(self.spec, execution, where, reads_of(iter(reads)), last=False)
        clause = self.op.success if error is None else error.clause
        maybe = error is not None and error.when is None
        return Answer(
            "yes", self.subject, (clause,), holds_in, where, execution, before, maybe=maybe
        )  # fmt: skip


def _here(inputs: dict[str, Any], where: Where) -> list[Any]:
    """What an event is told of the release it happens on: major and minor number, 16 bits each."""
    term = inputs.get("release")
    return [] if term is None else [term == (where[0][0] << 16 | where[0][1])]


_UNSAID = "the text does not say what it returns"


def _holds(spec: Spec, machine: Machine, node: Expr, where: Where, move: Move) -> bool:
    """Whether a condition holds of a call in the state before it."""
    fields = dict(seen(spec, move).fields)
    fields["result"] = 0 if move.code is None else -move.code & ((1 << 64) - 1)
    fields.update(move.inputs)
    test = Compiler(spec.states, *where).expr(node)
    found = explore(machine.store, fields, lambda p: p.decide(test(p)))
    return {answer for _, answer in found.ways} == {True} and not found.overflow


def state_after(
    spec: Spec, execution: Execution, where: Where, states: set[str], *, last: bool = True
) -> Cells:
    """The cells of some states that are not as at boot, after all steps or before the last one."""
    count = len(execution.moves) + (1 if last else 0)
    steps = iter(played(spec, execution, where))
    machine = next(steps)[0]
    for _ in range(count - 1):
        machine = next(steps)[0]
    plain = Machine(spec, *where).store
    found: list[tuple[str, tuple[Any, ...], Any]] = []
    for state in sorted(states):
        for index in sorted(machine.store.keys(state)):
            value = machine.store.read(state, index)
            given = any((state, index) == (s, i) for s, i, _ in execution.given)
            if value != plain.read(state, index) and not given:
                found.append((state, index, value))
    return tuple(found)
