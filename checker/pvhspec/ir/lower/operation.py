"""One operation's parts: its fields and arrays, its errors, and what success does."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pvhspec.diagnostics import code
from pvhspec.ir import build
from pvhspec.ir.ir import STATUS, Array, Choice, Error, Expr, Input, Slot, Update, status_code
from pvhspec.ir.lower.call_parts import bind_let
from pvhspec.ir.lower.clauses import Clauses, Owner
from pvhspec.ir.lower.effects import Effects, lower_effects
from pvhspec.ir.lower.env import Binding, Context, Env, MapField
from pvhspec.ir.lower.exprs import fit, truth
from pvhspec.names.report import Stop, closest
from pvhspec.names.symbols import Scope
from pvhspec.syntax import ast
from pvhspec.types.declare import Struct
from pvhspec.types.declare import StructField as Declared
from pvhspec.types.layout import StructField
from pvhspec.types.types import BOOL, BitsType, Type, is_finite

__all__ = ["Maker", "Success", "seen_from"]

NO_ERRNO = code("PVH350", "The error is no member of the errno enum.")
NO_SUCH_FIELD = code("PVH351", "The structure has no such field.")
NO_STRUCT = code("PVH354", "in and out need a structure: takes NAME.")
INFINITE_CHOICE = code("PVH355", "A choice ranges over a type without a bound.")

# What the hypercall convention provides beside the fields of the event.
_PROVIDED: dict[str, Type] = {
    "readable": BOOL,
    "writable": BOOL,
    "cpl": BitsType(8),
}


@dataclass(slots=True)
class Success:
    """What happens when no error is returned."""

    clause: str
    choices: tuple[Choice, ...]
    result: Expr | None
    effects: Effects


class Maker:
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

    def success(self, node: ast.Success) -> Success:
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
        return Success(clause, tuple(choices), result, effects)

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


def seen_from(maker: Maker, scope: Scope) -> Maker:
    """The same operation, seen from the text of a declaration it inherits from."""
    other = Maker(maker.env.context, maker._clauses, maker._owner, maker._name, None)
    other.env = replace(maker.env, scope=scope)
    other.params = maker.params
    return other
