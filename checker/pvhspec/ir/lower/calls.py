"""Hypercalls: every operation becomes one record, with what it inherits written into it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import (
    OWN_RANK,
    STATUS,
    Array,
    Choice,
    Error,
    Expr,
    Hypercall,
    Input,
    Operation,
    Slot,
    Update,
    status_code,
)
from pvhspec.ir.lower.call_parts import (
    bind_let,
    delivered,
    mentions,
    of_none,
    pointer_of,
    unless_empty,
)
from pvhspec.ir.lower.clauses import Clauses, Owner
from pvhspec.ir.lower.effects import Effects, lower_effects
from pvhspec.ir.lower.env import Binding, Context, Env, MapField
from pvhspec.ir.lower.exprs import fit, truth
from pvhspec.names.gates import Gate
from pvhspec.names.report import Stop, closest
from pvhspec.names.symbols import Scope
from pvhspec.syntax import ast
from pvhspec.types.declare import Struct
from pvhspec.types.declare import StructField as Declared
from pvhspec.types.layout import StructField
from pvhspec.types.types import BOOL, BitsType, Type, is_finite

__all__ = ["Calls"]

NO_ERRNO = code("PVH350", "The error is no member of the errno enum.")
NO_SUCH_FIELD = code("PVH351", "The structure has no such field.")
TWO_SUCCESSES = code("PVH352", "An operation has two success blocks, or none.")
SAME_NUMBER = code("PVH353", "Two hypercalls, or two commands of one, have the same number.")
NO_STRUCT = code("PVH354", "in and out need a structure: takes NAME.")
INFINITE_CHOICE = code("PVH355", "A choice ranges over a type without a bound.")
NO_HYPERCALL = code("PVH357", "An operation is of no hypercall.")
NOT_A_STATE = code("PVH356", "What is disturbed is not a state.")
NO_COUNT = code("PVH358", "What counts a hypercall's structures is none of its parameters.")

# What the hypercall convention provides beside the fields of the event.
_NEEDS_COMMAND = "known_command"
_PROVIDED: dict[str, Type] = {
    "readable": BOOL,
    "writable": BOOL,
    "cpl": BitsType(8),
}


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
        maker = _Maker(self._context, self._clauses, owner, decl.name.text, struct)
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
        maker = _Maker(self._context, self._clauses, owner, name, None)
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
        maker = _Maker(self._context, self._clauses, owner, "no hypercall", None)
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
        maker: _Maker,
        known: dict[str, Expr],
        name: str,
    ) -> list[Error]:
        maker.declare((), call.params, known)
        errors = self._shared(self._every, maker, known, 0)
        return errors + self._shared([_Shared(call.items or (), owner)], maker, known, 1000)

    def _shared(
        self, shared: Iterable[_Shared], maker: _Maker, known: dict[str, Expr], rank: int
    ) -> list[Error]:
        found: list[Error] = []
        for s in shared:
            inner = _seen_from(maker, s.owner.scope)
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


@dataclass(slots=True)
class _Success:
    clause: str
    choices: tuple[Choice, ...]
    result: Expr | None
    effects: Effects


class _Maker:
    """Lowers the parts of one operation."""

    def __init__(
        self,
        context: Context,
        clauses: Clauses,
        owner: Owner,
        name: str,
        struct: Struct | None,
    ) -> None:
        self._clauses = clauses
        self._owner = owner
        self._name = name
        self._struct = struct
        self.env = Env(context, owner.scope, {}, [])
        self.params: tuple[Input, ...] = ()
        self.slots: dict[str, Slot] = {}
        self.arrays: dict[str, Array] = {}
        self.status: Slot | None = None

    def declare(
        self,
        items: tuple[ast.CallItem, ...],
        params: tuple[ast.Param, ...],
        known: dict[str, Expr],
    ) -> None:
        """Bring the names of an operation into view: parameters, fields, lets."""
        new: dict[str, Binding] = {n: Input(n, t) for n, t in _PROVIDED.items()}
        new.update(known)
        if params:
            types = self.env.context.types
            self.params = tuple(
                Input(p.name.text, types.of(p.type, self.env.scope)) for p in params
            )
            new.update({p.name: p for p in self.params})
        self.env = self.env.bind(new)
        for item in items:
            match item:
                case ast.InFields(names=names):
                    for name in names:
                        self._field(name, written=False)
                case ast.OutFields(names=names):
                    for name in names:
                        self._field(name, written=True)
                case ast.ArrayFields():
                    self._array(item)
                case ast.Let():
                    self.env = bind_let(item, self.env)
                case _:
                    pass

    def _array(self, node: ast.ArrayFields) -> None:
        scope, types, name = self._owner.scope, self.env.context.types, node.name.text
        for place in (node.handle, node.count):
            self._number_of(place)
        struct = types.struct(node.struct, scope)
        index = types.of(node.index.type, scope)
        plain = tuple(f for f in struct.fields if f.count == 1)
        before = self.arrays.get(name)
        self.arrays[name] = Array(
            name, node.handle.text, node.count.text, index, struct.size,
            tuple(StructField(f.name, f.type, f.offset, f.size, f.count) for f in plain),
            node.written or bool(before and before.written),
            not node.written or bool(before and before.read),
        )  # fmt: skip
        if node.written:
            self.env = self.env.bind({f"{name}.writable": Input(f"{name}.writable", BOOL)})
            return
        new: dict[str, Binding] = {f"{name}.readable": Input(f"{name}.readable", BOOL)}
        for f in plain:
            new[f"{name}.{f.name}"] = MapField(f"{name}.{f.name}", (index,), f.type)
        self.env = self.env.bind(new)

    def _number_of(self, name: ast.Name) -> None:
        """What an array lies at, or how many elements it has: a field that is read, or a
        parameter."""
        slot = self.slots.get(name.text)
        if (slot is None or not slot.read) and all(p.name != name.text for p in self.params):
            known = [s.name for s in self.slots.values() if s.read]
            why = f"{name.text} is not a field that {self._name} reads"
            remedy = closest(name.text, [*known, *(p.name for p in self.params)])
            raise self._owner.scope.stop(NO_SUCH_FIELD, name.span, why, remedy)

    def _field(self, name: ast.Name, written: bool) -> None:
        scope = self._owner.scope
        if self._struct is None:
            why = f"{self._name} takes no structure, so it has no fields"
            raise scope.stop(NO_STRUCT, name.span, why, "write after its number: takes NAME")
        found: Declared | None = self._struct.field(name.text)
        if found is None:
            why = f"{self._struct.name} has no field {name.text}"
            known = [f.name for f in self._struct.fields]
            scope.error(NO_SUCH_FIELD, name.span, why, closest(name.text, known))
            return
        before = self.slots.get(name.text)
        slot = Slot(
            name.text, found.type, found.offset, found.size,
            written or bool(before and before.written), not written or bool(before and before.read),
        )  # fmt: skip
        self.slots[name.text] = slot
        if not written and found.count == 1:
            self.env = self.env.bind({name.text: Input(name.text, found.type)})

    def errors(self, items: tuple[ast.CallItem, ...], owner: Owner, rank: int) -> list[Error]:
        """The errors, ranked: `in order` ones before each other, before those without order."""
        found: list[Error] = []
        last = rank + 999
        for item in items:
            match item:
                case ast.ErrorClause():
                    found += self._error(item, owner, last)
                case ast.InOrder(errors=errors):
                    for e in errors:
                        rank += 1
                        found += self._error(e, owner, rank)
                case _:
                    pass
        return found

    def _error(self, node: ast.ErrorClause, owner: Owner, rank: int) -> list[Error]:
        try:
            scope = owner.scope
            symbol = scope.lookup(node.errno.text, node.errno.span)
            value = symbol.variant.value if symbol.variant else None
            if value is None or not isinstance(symbol.decl, ast.EnumDecl):
                why = f"{node.errno.text} is no error number"
                remedy = "name a member of an enum with numbers: Errno"
                raise scope.stop(NO_ERRNO, node.errno.span, why, remedy)
            tail = ast.Tail(node.gates, node.cites)
            code = self._code(node.errno, value, symbol.decl.name.text, scope)
            clause = self._clauses.add(owner, node.name, "error", node.prose, tail, node.span)
            gate = owner.scope.gate(node.gates)
            test = None if node.test is None else truth(node.test, self.env)
            when, only = (None, test) if node.maybe else (test, None)
            return [Error(clause, code, symbol.name, when, rank, node.after_success, gate, only)]
        except Stop:
            return []

    def _code(self, errno: ast.Name, value: int, enum: str, scope: Scope) -> int:
        """The code of an error: of one that is returned, or of one that an out field delivers."""
        for slot in self.slots.values():
            if slot.written and slot.type.name == enum:
                self.status = slot
                return status_code(value, slot.type.width)
        if 0 < value < STATUS:
            return value
        why = f"{errno.text} cannot be returned, and no out field is a {enum}"
        raise scope.stop(NO_ERRNO, errno.span, why, "name a member of Errno, or write: out status")

    def success(self, node: ast.Success) -> _Success:
        """What happens when no error is returned."""
        clause = self._clauses.add(
            self._owner, "success", "success", node.prose, node.tail, node.span
        )
        choices: list[Choice] = []
        for choose in node.chooses:
            choices.append(self._choice(choose))
        result: Expr | None = build.number(BitsType(64), 0)
        if node.returns is not None:
            result = None
            if node.returns.value is not None:
                result = fit(node.returns.value, self.env, BitsType(64))
        outs: dict[str, Type | MapField] = {
            s.name: s.type for s in self.slots.values() if s.written
        }
        for array in self.arrays.values():
            for f in array.fields if array.written else ():
                name = f"{array.name}.{f.name}"
                outs[name] = MapField(f"out.{name}", (array.index,), f.type)
        seen: dict[str, Binding] = {
            f"out.{s.name}": Input(f"out.{s.name}", s.type) for s in self.slots.values()
        }
        seen["result"] = Input("result", BitsType(64))

        effects = lower_effects(node.body, self.env.bind(seen), clause, outs, self._register)
        effects.updates = [self._own_id(u, clause, node) for u in effects.updates]
        return _Success(clause, tuple(choices), result, effects)

    def always(self, items: tuple[ast.CallItem, ...]) -> tuple[Update, ...]:
        """What happens whatever is returned."""
        updates: list[Update] = []
        for item in items:
            if isinstance(item, ast.Always):
                clause = self._clauses.add(
                    self._owner, "always", "effect", item.prose, item.tail, item.span
                )
                outs: dict[str, Type] = {s.name: s.type for s in self.slots.values() if s.written}
                effects = lower_effects(item.body, self.env, clause, outs, self._register)
                updates += effects.updates
        return tuple(updates)

    def _register(self, name: ast.Name, prose: str | None, tail: ast.Tail, kind: str) -> str:
        """The id of a clause inside a block of effects."""
        return self._clauses.add(
            self._owner, name, "effect" if kind == "effect" else "require", prose, tail, name.span
        )

    def _own_id(self, update: Update, clause: str, node: ast.Success) -> Update:
        """Effects outside a `clause` block get an id of their own: success.TARGET."""
        if update.clause != clause:
            return update
        name = f"success.{update.target.removeprefix('out.')}"
        id_ = self._clauses.add(
            self._owner, name, "effect", node.prose, node.tail, node.span, implicit=True
        )
        return replace(update, clause=id_)

    def _choice(self, node: ast.Choose) -> Choice:
        kind = self.env.context.types.of(node.type, self.env.scope)
        if not is_finite(kind):
            why = f"{node.type.text} has no bound"
            remedy = "choose from a bounded type: type Name = u32 below …"
            raise self._owner.scope.stop(INFINITE_CHOICE, node.type.span, why, remedy)
        variable = self.env.context.variable(node.name.text, kind)
        self.env = self.env.bind({node.name.text: variable})
        when = truth(node.test, self.env)
        if not node.lowest:
            clause = self._clauses.add(
                self._owner, node.name, "choice", node.prose, node.tail, node.span
            )
            return Choice(clause, variable, when, None)
        clause = self._clauses.add(self._owner, node.name, "choice", None, ast.Tail(), node.span)
        lowest = self._clauses.add(
            self._owner, f"{node.name.text}.lowest", "choice", node.prose, node.tail, node.span
        )
        return Choice(clause, variable, when, lowest)

    def frame(self, decl: ast.OperationDecl) -> str:
        """The clause that nothing else of the caller's memory changes."""
        prose = "Only the out fields change, and nothing at all when an error is returned."
        tail = ast.Tail()
        return self._clauses.add(self._owner, "frame", "frame", prose, tail, decl.span)


def _seen_from(maker: _Maker, scope: Scope) -> _Maker:
    """The same operation, seen from the text of a declaration it inherits from."""
    other = _Maker(maker.env.context, maker._clauses, maker._owner, maker._name, None)
    other.env = replace(maker.env, scope=scope)
    other.params = maker.params
    return other
