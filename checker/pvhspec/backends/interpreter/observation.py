"""Events other than hypercalls: what they must show, and what they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pvhspec.backends.interpreter.evaluate import Compiler, Fn
from pvhspec.backends.interpreter.path import Explored, Path, TooMuch, explore
from pvhspec.backends.interpreter.quantify import Plan
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.interpreter.updates import Writer
from pvhspec.backends.interpreter.values import is_large
from pvhspec.ir.ir import (
    Cell,
    Expr,
    Input,
    Load,
    MapInput,
    Observation,
    Op,
    Quant,
    State,
    Var,
)
from pvhspec.ir.walk import children, vars_of

__all__ = ["MOST_OPEN", "MOST_WAYS", "Instance", "Reads", "Requirement", "Watcher"]

MOST_WAYS = 16  # ways one instance of a requirement is looked at
MOST_OPEN = 16  # instances of one requirement left open in full; the rest is tried in one way


@dataclass(slots=True)
class Instance:
    """A requirement for certain values of its outermost variables."""

    values: dict[str, Any]
    explored: Explored

    @property
    def possible(self) -> bool:
        """Whether it may hold."""
        return any(holds for _, holds in self.explored.ways) or self.explored.overflow

    @property
    def certain(self) -> bool:
        """Whether it holds whatever was not seen."""
        return not self.explored.overflow and all(holds for _, holds in self.explored.ways)


class Requirement:
    """A clause about an event. `forall` in front is judged value by value, so that what is
    unknown of one says nothing of another."""

    def __init__(self, clause: str, test: Expr, compiler: Compiler) -> None:
        self.clause = clause
        self.text = test
        self.closed = compiler.constant(test) is True
        self._reads = Reads((test,), compiler.planner.states)
        self._held: object = None  # what was read when every instance simply held
        guards: list[Fn] = []
        plans: list[Plan] = []
        while True:
            if isinstance(test, Op) and test.op == "implies":
                if _under_quantifier(test):
                    guards.append(compiler.expr(test.args[0]))
                    test = test.args[1]
                    continue
            elif isinstance(test, Quant) and test.kind == "forall":
                for i, v in enumerate(test.vars):
                    plans.append(compiler.planner.plan(v, (test.body,), test.vars[i + 1 :]))
                test = test.body
                continue
            break
        self._guards, self._plans, self._test = guards, plans, compiler.expr(test)
        self._early = _early(test, [p.variable for p in plans], compiler)

    def instances(
        self, store: Store, inputs: dict[str, Any], thorough: Callable[[], bool]
    ) -> Iterator[Instance]:
        """Every instance that does not simply hold; where it is not `thorough` any more, every one
        that does not hold in the first way that is tried.

        As long as nothing unknown has to be decided, one run serves all instances. Where all held
        and nothing of what they read is otherwise now, they hold.
        """
        now = self._reads.now(store, inputs)
        if now is not None and self._held == now:
            return
        self._held = None
        all_hold = True
        scratch, shared = Path(store, inputs, []), Path(store, inputs, [])
        for values in self._values(scratch, 0):
            shared.vars.update(values)
            if self._simply_holds(shared):
                continue
            all_hold = False
            if not thorough() and self._may_hold(values, store, inputs):
                shared = Path(store, inputs, [])
                continue
            yield Instance(values, explore(store, inputs, partial(self._run, values), MOST_WAYS))
            shared = Path(store, inputs, [])  # the store may know more now
        if all_hold:
            self._held = now

    def _may_hold(self, values: dict[str, Any], store: Store, inputs: dict[str, Any]) -> bool:
        """Whether it holds in the first way that is tried."""
        try:
            return self._run(values, Path(store, inputs, []))
        except TooMuch:
            return True

    def _simply_holds(self, shared: Path) -> bool:
        """Whether it holds with nothing unknown to decide."""
        for guard in self._guards:
            truth = guard(shared)
            if truth is False and not shared.arity:
                return True
            if truth is not True:
                return False
        return self._test(shared) is True and not shared.arity

    def rerun(self, store: Store, inputs: Mapping[str, Any], instance: Instance) -> Explored:
        """Judge an instance once more: for what it reads, or in another state."""
        return explore(store, inputs, partial(self._run, instance.values), MOST_WAYS)

    def _values(self, scratch: Path, depth: int) -> Iterator[dict[str, Any]]:
        if depth == len(self._plans):
            yield {p.variable.name: scratch.vars[p.variable.name] for p in self._plans}
            return
        plan, early = self._plans[depth], self._early[depth]
        name = plan.variable.name
        if len(self._plans) == 1 and not early:
            for value in plan.samples(scratch).each():
                yield {name: value}
            return
        for value in plan.samples(scratch).each():
            scratch.vars[name] = value
            if not any(_fails(test, scratch) for test in early):
                yield from self._values(scratch, depth + 1)

    def _run(self, values: dict[str, Any], path: Path) -> bool:
        path.vars.update(values)
        if not all(path.decide(g(path)) for g in self._guards):
            return True
        truth = path.resolve(self._test(path))
        if not isinstance(truth, bool) and is_large(truth):
            raise TooMuch
        return path.decide(truth)


class Reads:
    """What expressions may read: fields of the event, and states with all that their initial
    value and drift hang on."""

    def __init__(self, tests: tuple[Expr, ...], states: Mapping[str, State]) -> None:
        self._states: dict[str, None] = {}
        self._fields: dict[str, None] = {}
        self._memory = False
        for test in tests:
            self._walk(test, states)

    def _walk(self, node: Expr, states: Mapping[str, State]) -> None:
        if isinstance(node, Input | MapInput):
            self._fields[node.name] = None
        elif isinstance(node, Load):
            self._memory = True
        elif isinstance(node, Cell) and node.state not in self._states:
            self._states[node.state] = None
            state = states[node.state]
            for expr in (state.init, state.drift):
                if expr is not None:
                    self._walk(expr, states)
        for child in children(node):
            self._walk(child, states)

    def now(self, store: Store, inputs: Mapping[str, Any]) -> object:
        """What is read, to be compared with what was; None where it is memory, and too much."""
        if self._memory:
            return None
        changes = [store.changes[s] for s in self._states]
        return store, changes, [inputs.get(f) for f in self._fields]


def _early(test: Expr, variables: list[Var], compiler: Compiler) -> list[list[Fn]]:
    """By variable: conditions of a requirement that speak of no later one. Where one is known not
    to hold, nothing is required whatever the later ones are."""
    found: list[list[Fn]] = [[] for _ in variables]
    if isinstance(test, Op) and test.op == "implies" and len(variables) > 1:
        left = test.args[0]
        for part in left.args if isinstance(left, Op) and left.op == "and" else (left,):
            used = vars_of(part)
            last = max((i for i, v in enumerate(variables) if v in used), default=-1)
            if 0 <= last < len(variables) - 1 and used <= set(variables):
                found[last].append(compiler.expr(part))
    return found


def _fails(test: Fn, scratch: Path) -> bool:
    """Whether a condition is false, whatever is unknown."""
    path = Path(scratch.store, scratch.inputs, [])
    path.vars = scratch.vars
    return path.resolve(test(path)) is False and not path.arity


def _under_quantifier(node: Op) -> bool:
    """Whether the right side of an implication is, after more of them, a forall."""
    right = node.args[1]
    while isinstance(right, Op) and right.op == "implies":
        right = right.args[1]
    return isinstance(right, Quant) and right.kind == "forall"


class Watcher:
    """An `on` block."""

    def __init__(self, block: Observation, compiler: Compiler) -> None:
        self.block = block
        self.never = compiler.constant(block.when) is False or not _gate_open(block, compiler)
        self._when = compiler.expr(block.when)
        self.requirements = [Requirement(r.clause, r.test, compiler) for r in block.requires]
        self.undefined = [clause for clause, _ in block.undefined]
        self._writer = Writer(block.updates, compiler)

    def applies(self, store: Store, inputs: dict[str, Any]) -> bool | None:
        """Whether the block is about this event; None where that cannot be seen."""
        found = explore(store, inputs, lambda p: p.decide(self._when(p)))
        answers = {holds for _, holds in found.ways}
        return answers.pop() if len(answers) == 1 and not found.overflow else None

    def changes(self, store: Store, inputs: Mapping[str, Any]) -> Explored:
        """What the event changes, in each way it may have gone."""
        return explore(store, inputs, self._writer.run)


def _gate_open(block: Observation, compiler: Compiler) -> bool:
    return compiler.open(block.gate)
