"""Hypercalls: every operation becomes one record, with what it inherits written into it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import OWN_RANK, Error, Expr, Hypercall, Operation
from pvhspec.ir.lower.call_parts import delivered, mentions, of_none, pointer_of, unless_empty
from pvhspec.ir.lower.clauses import Clauses, Owner
from pvhspec.ir.lower.env import Context
from pvhspec.ir.lower.operation import Maker, seen_from
from pvhspec.names.gates import Gate
from pvhspec.names.report import Stop, closest
from pvhspec.names.symbols import Scope
from pvhspec.syntax import ast

__all__ = ["Calls"]

TWO_SUCCESSES = code("PVH352", "An operation has two success blocks, or none.")
SAME_NUMBER = code("PVH353", "Two hypercalls, or two commands of one, have the same number.")
NO_HYPERCALL = code("PVH357", "An operation is of no hypercall.")
NOT_A_STATE = code("PVH356", "What is disturbed is not a state.")
NO_COUNT = code("PVH358", "What counts a hypercall's structures is none of its parameters.")

# What an error that every hypercall has asks of a command: whether there is one.
_NEEDS_COMMAND = "known_command"


@dataclass(frozen=True, slots=True)
class _Shared:
    """`every hypercall` or the body of a hypercall: what its operations inherit."""

    items: tuple[ast.CallItem, ...]
    owner: Owner


class Calls:
    """Gathers the declarations about hypercalls and makes operations of them."""

    def __init__(self, context: Context, clauses: Clauses) -> None:
        self._context = context
        self._clauses = clauses
        self._every: list[_Shared] = []
        self._hypercalls: dict[str, tuple[ast.HypercallDecl, Owner]] = {}
        self._operations: list[tuple[ast.OperationDecl, Owner]] = []
        self.table: dict[int, Hypercall] = {}

    # ---- gathering ----------------------------------------------------------------------------

    def every(self, decl: ast.EveryDecl, owner: Owner) -> None:
        """What holds of every hypercall."""
        self._every.append(_Shared(decl.items, owner))

    def hypercall(self, decl: ast.HypercallDecl, owner: Owner) -> None:
        """A number of the table."""
        scope = owner.scope
        if decl.number in self.table:
            why = f"number {decl.number} is {self.table[decl.number].name}"
            scope.error(SAME_NUMBER, decl.name.span, why, "each hypercall has its own number")
        clause = self._clauses.add(owner, "", "table", decl.prose, decl.tail, decl.span)
        self.table[decl.number] = Hypercall(decl.name.text, decl.number, clause, owner.gate)
        self._hypercalls[decl.name.text] = (decl, owner)

    def operation(self, decl: ast.OperationDecl, owner: Owner) -> None:
        """A command."""
        self._operations.append((decl, owner))

    # ---- making ---------------------------------------------------------------------------------

    def make(self) -> tuple[Operation, ...]:
        """All operations, with those that stand for what nobody declared."""
        made: list[Operation] = []
        taken: dict[str, dict[int, str]] = {}
        for decl, owner in self._operations:
            scope = owner.scope
            if decl.hypercall.text not in self._hypercalls:
                what = decl.hypercall
                why, remedy = f"{what.text} is no hypercall", closest(what.text, self._hypercalls)
                scope.error(NO_HYPERCALL, what.span, why, remedy)
                continue
            self._context.enter(decl.name.text)
            commands = taken.setdefault(decl.hypercall.text, {})
            if decl.command is not None:
                if decl.command in commands:
                    why = f"command {decl.command} is {commands[decl.command]}"
                    scope.error(SAME_NUMBER, decl.name.span, why, "each command has its own number")
                commands[decl.command] = decl.name.text
            try:
                made.append(self._operation(decl, owner))
            except Stop:
                continue
        for name, (call, owner) in self._hypercalls.items():
            direct = any(
                d.hypercall.text == name and d.command is None for d, _ in self._operations
            )
            if not direct:
                self._context.enter(f"{name}.other")
                with suppress(Stop):
                    made.append(self._other(call, owner, tuple(taken.get(name, {}))))
        if self._every:
            self._context.enter("nobody")
            with suppress(Stop):
                made.append(self._nobody(self._every[0].owner))
        return tuple(made)

    def _operation(self, decl: ast.OperationDecl, owner: Owner) -> Operation:
        call, call_owner = self._hypercalls[decl.hypercall.text]
        scope = owner.scope
        struct = None if decl.struct is None else self._context.types.struct(decl.struct, scope)
        params = [p.name.text for p in call.params]
        each = decl.each.text if decl.each is not None else None
        if decl.each is not None and each not in params:
            why = f"{call.name.text} has no parameter {each}"
            raise scope.stop(NO_COUNT, decl.each.span, why, closest(decl.each.text, params))
        known = of_none(call, each, self._context.types, call_owner.scope)
        known["known_hypercall"] = build.gate_test(call_owner.gate)
        known[_NEEDS_COMMAND] = build.gate_test(owner.gate)
        maker = Maker(self._context, self._clauses, owner, decl.name.text, struct)
        errors = self._inherited(call, call_owner, maker, known, decl.name.text)
        maker.declare(decl.items, call.params, known)
        errors += maker.errors(decl.items, owner, rank=OWN_RANK)
        successes = [i for i in decl.items if isinstance(i, ast.Success)]
        if len(successes) != 1:
            if not successes:
                why, remedy = f"{decl.name.text} does not say what success is", "add: success { … }"
                raise scope.stop(TWO_SUCCESSES, decl.name.span, why, remedy)
            why = f"{decl.name.text} says twice what success is"
            remedy = "make it one block: clause NAME { … } gives a part an id of its own"
            raise scope.stop(TWO_SUCCESSES, successes[1].span, why, remedy)
        success = maker.success(successes[0])
        always = maker.always(decl.items)
        made = Operation(
            owner.id, decl.name.text, call.name.text, call.number, decl.command, (),
            owner.gate.also(call_owner.gate), maker.params, struct.name if struct else None,
            struct.size if struct else None, tuple(maker.slots.values()), tuple(errors),
            success.clause, maker.frame(decl), success.choices, success.result,
            tuple(success.effects.ensures), tuple(success.effects.updates),
            tuple(u for u in always if u.target[:4] != "out."), True,
            self._disturbed(decl.items, scope), pointer_of(call),
            each, maker.status,
            tuple(maker.arrays.values()), tuple(u for u in always if u.target[:4] == "out."),
        )  # fmt: skip
        made = delivered(made)
        count = next((p for p in made.params if p.name == made.each), None)
        return made if count is None else unless_empty(made, count)

    def _other(self, call: ast.HypercallDecl, owner: Owner, commands: tuple[int, ...]) -> Operation:
        """Every command of a hypercall that no operation takes."""
        known = {"known_hypercall": build.gate_test(owner.gate), _NEEDS_COMMAND: build.FALSE}
        name = f"{call.name.text}.other"
        maker = Maker(self._context, self._clauses, owner, name, None)
        errors = self._inherited(call, owner, maker, known, name)
        told = any(mentions(item, _NEEDS_COMMAND) for item in call.items or ())
        disturbs = self._disturbed(call.items or (), owner.scope)
        if call.items is None:
            disturbs = ("*",)
        return Operation(
            f"{owner.id}.other", name, call.name.text, call.number, None, commands, Gate(),
            maker.params, None, None, (), tuple(errors), owner.id, owner.id, (), None, (), (), (),
            told, disturbs,
        )  # fmt: skip

    def _nobody(self, owner: Owner) -> Operation:
        """Every number that no hypercall has."""
        maker = Maker(self._context, self._clauses, owner, "no hypercall", None)
        known: dict[str, Expr] = {"known_hypercall": build.FALSE, _NEEDS_COMMAND: build.FALSE}
        errors = self._shared(self._every, maker, known, 0)
        return Operation(
            f"{owner.id}.nobody", "no hypercall", "", None, None, (), Gate(), (), None, None, (),
            tuple(errors), owner.id, owner.id, (), None, (), (), (), True, (),
        )  # fmt: skip

    def _inherited(
        self,
        call: ast.HypercallDecl,
        owner: Owner,
        maker: Maker,
        known: dict[str, Expr],
        name: str,
    ) -> list[Error]:
        maker.declare((), call.params, known)
        errors = self._shared(self._every, maker, known, 0)
        return errors + self._shared([_Shared(call.items or (), owner)], maker, known, 1000)

    def _shared(
        self, shared: Iterable[_Shared], maker: Maker, known: dict[str, Expr], rank: int
    ) -> list[Error]:
        found: list[Error] = []
        for s in shared:
            inner = seen_from(maker, s.owner.scope)
            inner.declare(s.items, (), known)
            found += inner.errors(s.items, s.owner, rank)
        return found

    def _disturbed(self, items: tuple[ast.CallItem, ...], scope: Scope) -> tuple[str, ...]:
        names: list[str] = []
        for item in items:
            if isinstance(item, ast.Disturbs):
                for name in item.names:
                    symbol = scope.lookup(name.text, name.span)
                    if not isinstance(symbol.decl, ast.StateDecl):
                        why, remedy = f"{name.text} is not a state", "name states, or give none"
                        scope.error(NOT_A_STATE, name.span, why, remedy)
                    names.append(name.text)
        return tuple(names)
