"""One hypercall against its operation: may it have returned this, and what is so afterwards?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NoReturn

from pvhspec.backends.interpreter.evaluate import Compiler, Fn
from pvhspec.backends.interpreter.path import Inconsistent, Path
from pvhspec.backends.interpreter.quantify import Samples
from pvhspec.backends.interpreter.updates import Writer
from pvhspec.backends.interpreter.values import Sym, equal, is_known
from pvhspec.backends.protocol import Call, Finding
from pvhspec.ir.ir import (
    OWN_RANK,
    STATUS,
    Choice,
    Error,
    Op,
    Operation,
    Update,
    Var,
    status_code,
    status_value,
)

__all__ = ["Outcome", "Stepper", "answered", "shows"]


def answered(op: Operation, ret: int | None, fields: Mapping[str, Any]) -> int | None:
    """The code that a call answered: 0, or that of an error, returned or in its status field. None:
    it was not seen."""
    if ret is None or -4096 < ret < 0 or op.status is None:
        return None if ret is None else -ret if -4096 < ret < 0 else 0
    if op.each is not None and fields.get(op.each) == 0:
        return 0
    value = fields.get(f"out.{op.status.name}")
    return status_code(value, op.status.type.width) if isinstance(value, int) else None


@dataclass(slots=True)
class Outcome:
    """How one run of the step ended: the clauses that were seen to hold. `result` is what was
    returned, None where that is open."""

    code: int | None
    result: int | None
    clauses: list[str]
    effects: bool
    assigned: set[str]


class Stepper:
    """The step function of one operation."""

    def __init__(
        self, op: Operation, compiler: Compiler, errno: dict[int, str], disregard: set[str]
    ) -> None:
        self.op = op
        self._errno = errno
        self._disregard = disregard
        self._compiler = compiler
        offered = [e for e in op.errors if compiler.open(e.gate)]
        plain = [e for e in offered if not e.after_success]
        late = [e for e in offered if e.after_success]
        ranked = sorted((e for e in plain if e.when is not None), key=lambda e: e.rank)
        self._ranks = [self._tests(group) for _, group in groupby(ranked, key=lambda e: e.rank)]
        self._late = self._tests(e for e in late if e.when is not None)
        self._maybe = [e for e in plain if e.when is None]
        self._maybe_late = [e for e in late if e.when is None]
        self._late_codes = {e.code for e in self._maybe_late}
        self._only = {e.clause: compiler.expr(e.only) for e in offered if e.only is not None}
        self._shown = [shows(op, c.var) for c in op.choices]
        self._choices = [self._choice(c) for c in op.choices]
        self._result = None if op.result is None else compiler.expr(op.result)
        self._ensures = [(e.clause, compiler.expr(e.test)) for e in op.ensures]
        outs = [u for u in op.updates if u.target.startswith("out.")]
        self._outs = self._out_fields(u for u in outs if not u.indices)
        self._elements = [
            (u, [compiler.expr(e) for e in (u.guard, u.value, *u.indices)])
            for u in outs if u.indices
        ]  # fmt: skip
        self._told = self._out_fields(op.told)
        states = [u for u in op.updates if not u.target.startswith("out.")]
        self._writer = Writer(states, compiler)
        self._always = Writer(op.always, compiler)

    # ---- the step ------------------------------------------------------------------------------

    def step(self, path: Path, call: Call, *, changes: bool = True, named: bool = False) -> Outcome:
        """One run. Raises Inconsistent with a Finding if it cannot have been so.

        `changes` False: only whether it may have been so, and nothing of the state after it.
        `named`: an error that was not seen but supposed has its clause among the outcome's, too.
        """
        clauses: list[str] = []
        code = answered(self.op, call.ret, path.inputs)
        due = self._due(path)
        # What an out field would deliver, an error that comes after all hides.
        told = not due or due[0][0].code >= STATUS
        late = [(e, f) for e, f in self._late if path.decide(f(path))] if told else []
        owed = late or due
        if code is None:
            code = self._suppose(path, bool(due), owed, call.ret)
            if named and code:
                self._refused(path, code, bool(due), owed, clauses)
        elif code:
            if code >= STATUS and call.ret:
                self._fail(self.op.success, _number(call.ret), "0")
            self._refused(path, code, bool(due), owed, clauses)
        elif owed:
            error = owed[0][0]
            others = tuple(e.clause for e, _ in owed[1:])
            self._fail(error.clause, "success", _told(error), others)
        done = code == 0 or code in self._late_codes or any(e.code == code for e, _ in late)
        effects = not due and done
        assigned: set[str] = set()
        if code >= STATUS and self.op.status is not None:
            assigned.add(self.op.status.name)
        result = None if not code else -code if code < STATUS else 0
        if effects and self.op.modelled:
            returned = self._succeed(path, call, clauses, assigned, judged=code == 0)
            result = result if code else returned
            if changes:
                self._writer.run(path)
        if not due or due[0][0].rank >= OWN_RANK:
            for name, updates in self._told.items():
                if name not in assigned:
                    self._out(path, name, updates, clauses, assigned, judged=True)
            if changes:
                self._always.run(path)
        return Outcome(code, result, clauses, effects, assigned)

    def _tests(self, errors: Iterable[Error]) -> list[tuple[Error, Fn]]:
        return [(e, self._compiler.expr(e.when)) for e in errors if e.when is not None]

    def force(self, path: Path, call: Call) -> None:
        """What success changes, without asking whether it was right."""
        for choice, name in zip(self.op.choices, self._shown, strict=True):
            seen = None if name is None else _chosen(path, name, call.ret)
            kind = choice.var.type
            path.vars[choice.var.name] = Sym(kind, choice.var.name) if seen is None else seen
        self._writer.run(path)
        self._always.run(path)

    def _due(self, path: Path) -> list[tuple[Error, Fn]]:
        """The errors of the first rank that has one whose condition holds."""
        for rank in self._ranks:
            due = [(e, f) for e, f in rank if path.decide(f(path))]
            if due:
                return due
        return []

    def _suppose(self, path: Path, due: bool, owed: list[tuple[Error, Fn]], ret: int | None) -> int:
        """What it answered was not seen: all that is allowed is supposed in its turn."""
        codes = list(dict.fromkeys(e.code for e, _ in owed))
        for error in self._timely(due, owed):
            if error.code not in codes and self._may(path, error):
                codes.append(error.code)
        if not owed:
            codes.insert(0, 0)
        if ret is not None:  # the status alone was not seen
            told = [c for c in codes if not 0 < c < STATUS]
            if not told:
                self._fail(owed[0][0].clause, str(ret), _told(owed[0][0]))
            codes = told
        return codes[path.choose(len(codes))] if len(codes) > 1 else codes[0]

    def _timely(self, due: bool, owed: list[tuple[Error, Fn]]) -> list[Error]:
        """The errors that may come, as far as nothing that is due comes before them."""
        if not due:
            return [*self._maybe, *self._maybe_late]
        return [e for e in self._maybe if e.rank <= owed[0][0].rank]

    def _may(self, path: Path, error: Error) -> bool:
        """Whether an error that may come might have come now."""
        only = self._only.get(error.clause)
        return only is None or path.decide(only(path))

    def _refused(
        self, path: Path, code: int, due: bool, owed: list[tuple[Error, Fn]], clauses: list[str]
    ) -> None:
        """An error was returned: it must be one that is due, or may always be."""
        for error, _ in owed:
            if error.code == code:
                clauses.append(error.clause)
                return
        for error in self._timely(due, owed):
            if error.code == code and self._may(path, error):
                clauses.append(error.clause)
                return
        if not self.op.modelled and not (due and owed[0][0].rank < OWN_RANK):
            return  # an error of its own, of which nothing is known
        got = self._name(code)
        listed = tuple(e.clause for e in self.op.errors if e.code == code)
        if owed:
            names = " or ".join(dict.fromkeys(_told(e) for e, _ in owed))
            others = (*(e.clause for e, _ in owed[1:]), *listed)
            self._fail(owed[0][0].clause, got, names, others)
        own = [e for e in listed if e.startswith(self.op.id)]
        if len(own) == 1:
            self._fail(own[0], got, "success: this error is not due", (self.op.success,))
        self._fail(self.op.success, got, "success: no error is due", listed)

    def _name(self, code: int) -> str:
        """What was answered, in words."""
        if code < STATUS or self.op.status is None:
            return f"-{self._errno.get(code, str(code))}"
        name = next((e.name for e in self.op.errors if e.code == code), None)
        return name or f"{self.op.status.name} = {status_value(code, self.op.status.type.width):#x}"

    def _fail(
        self, clause: str, seen: str, allowed: str, related: tuple[str, ...] = ()
    ) -> NoReturn:
        raise Inconsistent(Finding(clause, seen, allowed, related))

    # ---- success -------------------------------------------------------------------------------

    def _succeed(
        self, path: Path, call: Call, clauses: list[str], assigned: set[str], judged: bool
    ) -> int | None:
        """What success does; the result, where it is known."""
        result = call.ret
        for choice in self._choices:
            choice(path, call.ret if judged else None, judged, clauses)
        if judged:
            clauses.append(self.op.success)
            if self._result is not None:
                want = path.resolve(self._result(path))
                self._returned(path, call, want)
                result = want if result is None and is_known(want) else result
        for name, updates in self._outs.items():
            self._out(path, name, updates, clauses, assigned, judged)
        for element in self._elements:
            self._element(path, *element, clauses, judged)
        for clause, test in self._ensures if judged else ():
            if clause in self._disregard:
                continue
            if not path.decide(test(path)):
                self._fail(clause, "not so", "see the clause")
            clauses.append(clause)
        return result

    def _returned(self, path: Path, call: Call, want: Any) -> None:
        """The value success returns; what the state does not know is learned from it."""
        if call.ret is None:
            return
        wide = path.inputs.get("width") == 64
        mask = (1 << 64) - 1 if wide else 0xFFFFFFFF
        if isinstance(want, Sym):
            if wide or getattr(want.type, "width", 64) <= 32:  # half of a value settles nothing
                path.bind(want, call.ret & mask)
        elif (call.ret ^ want) & mask:
            self._fail(self.op.success, _number(call.ret), _number(want))

    def _out(
        self,
        path: Path,
        name: str,
        updates: list[tuple[Update, Fn, Fn]],
        clauses: list[str],
        assigned: set[str],
        judged: bool,
    ) -> None:
        """A field of the caller's structure: the last assignment whose guard holds counts."""
        for update, guard, value in reversed(updates):
            if not path.decide(guard(path)):
                continue
            assigned.add(name)
            seen = path.inputs.get(f"out.{name}")
            if seen is None or not judged:
                return
            want = path.resolve(value(path))
            if isinstance(want, Sym):  # nobody knew: this tells
                path.bind(want, seen)
                return
            if not path.decide(equal(want, seen)):
                if update.clause in self._disregard:
                    return
                self._fail(update.clause, f"{name} = {_number(seen)}", f"{name} = {_number(want)}")
            clauses.append(update.clause)
            return

    def _element(
        self, path: Path, update: Update, made: list[Fn], clauses: list[str], judged: bool
    ) -> None:
        """A field of the elements of an array: `for all i` of those that were seen."""
        guard, value, *indices = made
        table = path.inputs.get(update.target)
        for at in table if judged and isinstance(table, dict) else {}:
            for binder, number in zip(update.binders, at, strict=False):
                path.vars[binder.name] = number
            index = tuple(path.resolve(i(path)) for i in indices)
            seen = table[at] if isinstance(table, dict) else None
            if index != at or seen is None or not path.decide(guard(path)):
                continue
            want = path.resolve(value(path))
            if update.clause in self._disregard or isinstance(want, Sym):
                continue
            if not path.decide(equal(want, seen)):
                name = f"{update.target.removeprefix('out.')}[{at[0]}]"
                self._fail(update.clause, f"{name} = {_number(seen)}", f"{name} = {_number(want)}")
            if update.clause not in clauses:
                clauses.append(update.clause)

    def _out_fields(self, updates: Iterable[Update]) -> dict[str, list[tuple[Update, Fn, Fn]]]:
        found: dict[str, list[tuple[Update, Fn, Fn]]] = {}
        for u in updates:
            name = u.target.removeprefix("out.")
            made = (u, self._compiler.expr(u.guard), self._compiler.expr(u.value))
            found.setdefault(name, []).append(made)
        return found

    # ---- choices -------------------------------------------------------------------------------

    def _choice(self, choice: Choice) -> Callable[[Path, int | None, bool, list[str]], None]:
        """Finds the value the implementation chose, and whether it might."""
        name = choice.var.name
        when = self._compiler.expr(choice.when)
        plan = self._compiler.planner.plan(choice.var, (choice.when,), (), "exists")
        shown = shows(self.op, choice.var)
        lowest = choice.lowest if choice.lowest not in self._disregard else None
        wide = getattr(choice.var.type, "width", 64)

        def holds(p: Path, value: int) -> bool:
            p.vars[name] = value
            return p.decide(when(p))

        def run(p: Path, ret: int | None, judged: bool, clauses: list[str]) -> None:
            seen = _chosen(p, shown, ret) if judged and shown is not None else None
            samples = plan.samples(p)
            if seen is None:
                p.vars[name] = _supposed(
                    p, choice.clause, holds, samples, lowest is not None, choice.var
                )
                return
            if seen >> wide or not holds(p, seen):  # no value of its type is so large
                self._fail(
                    choice.clause, f"{shown} = {_number(seen)}", "one that is free to choose"
                )
            if lowest is not None:
                below = next((v for v in samples.each() if v < seen and holds(p, v)), None)
                if below is not None:
                    free = f"{shown} = {_number(below)}, the lowest"
                    self._fail(lowest, f"{shown} = {_number(seen)}", free)
                clauses.append(lowest)
            clauses.append(choice.clause)
            p.vars[name] = seen

        return run


def _supposed(
    p: Path,
    clause: str,
    holds: Callable[[Path, int], bool],
    samples: Samples,
    lowest: bool,
    var: Var,
) -> Any:
    """The value of a choice that was not seen; unknown where it might be several."""
    found: list[int] = []
    unsure = False
    for value in samples.each():
        doubts, choices = p.doubts, len(p.arity)
        free = holds(p, value)
        known = len(p.arity) == choices
        unsure |= samples.unsure(value, p.doubts > doubts, known) and not (free and lowest)
        if free:
            if lowest and not unsure:
                return value
            found.append(value)
            if unsure or len(found) > 1 or samples.stands_for_more(value):
                return Sym(var.type, var.name)
    if not found and not unsure:
        raise Inconsistent(Finding(clause, "success", "nothing was free to choose"))
    return found[0] if found and not unsure else Sym(var.type, var.name)


def _told(error: Error) -> str:
    """An error as reports name it: what is returned is negated."""
    return error.name if error.code >= STATUS else f"-{error.name}"


def shows(op: Operation, var: Var) -> str | None:
    """The out field that shows a chosen value as it is; `result` where that is what is returned."""
    for u in op.updates:
        if u.target.startswith("out.") and u.value == var and not u.indices:
            return u.target.removeprefix("out.")
    returned = op.result
    while isinstance(returned, Op) and returned.op == "resize":
        (returned,) = returned.args
    return "result" if returned == var else None


def _chosen(path: Path, shown: str, ret: int | None) -> Any:
    """A chosen value, where it was seen."""
    if shown != "result":
        return path.inputs.get(f"out.{shown}")
    return None if ret is None or ret < 0 else ret


def _number(value: Any) -> str:
    if isinstance(value, int) and is_known(value):
        return str(value) if -4096 < value < 4096 else hex(value)
    return str(value)
