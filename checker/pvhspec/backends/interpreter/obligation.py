"""Obligations: what is owed, when it is paid, and when it is too late."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

from pvhspec.backends.interpreter.evaluate import Compiler, Fn
from pvhspec.backends.interpreter.observation import Reads
from pvhspec.backends.interpreter.path import Explored, Path, explore
from pvhspec.backends.interpreter.quantify import Plan
from pvhspec.backends.interpreter.store import Store
from pvhspec.backends.protocol import Finding, Judgement, Seen, Verdict
from pvhspec.ir.ir import Moment, Obligation

__all__ = ["Debts"]


class Debts:
    """The open obligations of an execution."""

    def __init__(self, obligations: tuple[Obligation, ...], compiler: Compiler) -> None:
        self._kinds = [
            compiler.once(_Kind, o) for o in obligations if compiler.constant(o.when) is not False
        ]
        self._open: dict[tuple[str, tuple[Any, ...]], int] = {}
        self._idle: dict[str, object] = {}  # what was read when nothing was owed nor came to be

    def fork(self) -> Debts:
        """The same, to go on by themselves."""
        other = copy(self)
        other._open, other._idle = dict(self._open), {}
        return other

    def join(self, other: Debts) -> None:
        """Only what both owe is owed for certain."""
        self._open = {key: since for key, since in self._open.items() if key in other._open}

    def open(self) -> list[tuple[str, int]]:
        """Clause and event of every debt that is still open."""
        return [(clause, seq) for (clause, _), seq in self._open.items()]

    def forget(self) -> None:
        """What was owed may have been paid where nobody looked."""
        self._open.clear()

    def after(self, seen: Seen, store: Store) -> Iterator[Judgement]:
        """What an event pays, what it comes too late for, and what it newly owes."""
        for kind in self._kinds:
            clause = kind.clause
            owed = [values for of, values in self._open if of == clause]
            now = kind.reads.now(store, seen.fields)
            if not owed and now is not None and self._idle.get(clause) == now:
                continue
            idle = not owed
            for values in dict.fromkeys((*owed, *kind.instances(seen, store))):
                key = (clause, values)
                if kind.then.possibly(seen, store, values):
                    # What is owed is paid; whether more is owed shows at the next event.
                    idle = False
                    if self._open.pop(key, None) is not None:
                        paid = kind.then.certainly(seen, store, values)
                        verdict = Verdict.CONFORMS if paid else Verdict.UNSEEN
                        yield Judgement(clause, verdict, seen.seq, seen.origin)
                    continue
                if key in self._open and kind.before.certainly(seen, store, values):
                    since = self._open.pop(key)
                    if kind.unless.possibly(seen, store, values):
                        continue
                    finding = Finding(clause, f"{seen.kind} came first", kind.allowed(since))
                    yield Judgement(clause, Verdict.VIOLATES, seen.seq, seen.origin, finding)
                elif key in self._open:
                    if kind.unless.possibly(seen, store, values):
                        del self._open[key]
                elif kind.when.certainly(seen, store, values) and not kind.unless.possibly(
                    seen, store, values
                ):
                    self._open[key] = seen.seq
                    idle = False
            self._idle[clause] = now if idle else None


class _Test:
    """A condition on the state, the event and the obligation's variables."""

    def __init__(self, run: Fn, names: tuple[str, ...]) -> None:
        self._run, self._names = run, names

    def _explore(self, seen: Seen, store: Store, values: tuple[Any, ...], until: bool) -> Explored:
        def step(path: Any) -> bool:
            path.vars = dict(zip(self._names, values, strict=True))
            return bool(path.decide(self._run(path)))

        return explore(store, seen.fields, step, until=until)

    def certainly(self, seen: Seen, store: Store, values: tuple[Any, ...]) -> bool:
        """Whether it holds whatever was not seen."""
        found = self._explore(seen, store, values, until=False)
        return not found.overflow and all(holds for _, holds in found.ways)

    def possibly(self, seen: Seen, store: Store, values: tuple[Any, ...]) -> bool:
        """Whether it may hold."""
        found = self._explore(seen, store, values, until=True)
        return found.overflow or any(holds for _, holds in found.ways)


class _Moment:
    """An event of a kind."""

    def __init__(self, moment: Moment, names: tuple[str, ...], compiler: Compiler) -> None:
        self.event = moment.event
        self._test = _Test(compiler.expr(moment.test), names)

    def possibly(self, seen: Seen, store: Store, values: tuple[Any, ...]) -> bool:
        """Whether this may be the moment."""
        return seen.kind == self.event and self._test.possibly(seen, store, values)

    def certainly(self, seen: Seen, store: Store, values: tuple[Any, ...]) -> bool:
        """Whether this is the moment, whatever was not seen."""
        return seen.kind == self.event and self._test.certainly(seen, store, values)


class _Kind:
    def __init__(self, obligation: Obligation, compiler: Compiler) -> None:
        names = tuple(v.name for v in obligation.vars)
        self.clause = obligation.clause
        self._plans = [
            compiler.planner.plan(v, (obligation.when,), obligation.vars[i + 1 :])
            for i, v in enumerate(obligation.vars)
        ]
        self.when = _Test(compiler.expr(obligation.when), names)
        self.unless = _Test(compiler.expr(obligation.unless), names)
        self.reads = Reads((obligation.when, obligation.unless), compiler.planner.states)
        self.then = _Moment(obligation.then, names, compiler)
        self.before = _Moment(obligation.before, names, compiler)

    def instances(self, seen: Seen, store: Store) -> Iterator[tuple[int, ...]]:
        """The values of the variables that make a difference."""
        yield from _product(self._plans, Path(store, seen.fields, []))

    def allowed(self, since: int) -> str:
        """What should have come."""
        return f"{self.then.event} before {self.before.event}, owed since event {since}"


def _product(plans: list[Plan], scratch: Path) -> Iterator[tuple[int, ...]]:
    if not plans:
        yield ()
        return
    for first in plans[0].samples(scratch).each():
        scratch.vars[plans[0].variable.name] = first
        for rest in _product(plans[1:], scratch):
            yield (first, *rest)
