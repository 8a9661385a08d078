"""What every name in a module stands for: the ground of definition, references and rename.

The rules are those of the language: names of a specification are one space; parameters, `let`,
`choose`, what a pattern binds and the fields of a structure or an event hide them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from pvhspec.names.symbols import Symbols, struct_fields
from pvhspec.syntax import ast

__all__ = ["Occurrence", "Target", "field_names", "in_manifest", "occurrences"]


class Target(NamedTuple):
    """What a name stands for.

    `kind`: `name` (declared for all), `clause` (`owner` is the id of what it stands in), `field`
    (`owner` the structure, event or bits; "" where only the type would tell), `local` (`owner` the
    place of its definition), `module`, `mode`, `source`.
    """

    kind: str
    owner: str
    name: str


class Occurrence(NamedTuple):
    """One place where a name stands; `defines` where it is declared there."""

    span: ast.Span
    target: Target
    defines: bool


_Scope = dict[str, Target]
_OPERATION_EVENT = "hypercall"


def occurrences(module: ast.Module, symbols: Symbols) -> list[Occurrence]:
    """All of a module, in the order of the text."""
    found = list(_Walk(module, symbols).module())
    return sorted(found, key=lambda o: (o.span.line, o.span.column))


def in_manifest(manifest: ast.Manifest) -> list[Occurrence]:
    """All of the manifest: it declares modes, groups and sources, and lists the modules."""
    found: list[Occurrence] = []
    for item in manifest.items:
        match item:
            case ast.ModeDecl(name=name) | ast.GroupDecl(name=name):
                found.append(Occurrence(name.span, Target("mode", "", name.text), True))
            case ast.SourceDecl(name=name):
                found.append(Occurrence(name.span, Target("source", "", name.text), True))
            case ast.ModulesDecl(names=names):
                found += [Occurrence(n.span, Target("module", "", n.text), False) for n in names]
            case _:
                pass
        if isinstance(item, ast.GroupDecl):
            found += [Occurrence(n.span, Target("mode", "", n.text), False) for n in item.members]
    return found


class _Walk:
    def __init__(self, module: ast.Module, symbols: Symbols) -> None:
        self._module = module
        self._symbols = symbols

    def module(self) -> Iterator[Occurrence]:
        name = self._module.name
        yield Occurrence(name.span, Target("module", "", name.text), True)
        for each in (n for line in self._module.imports for n in line):
            yield Occurrence(each.span, Target("module", "", each.text), False)
        for item in self._module.items:
            yield from self._item(item)

    # ---- declarations --------------------------------------------------------------------------

    def _item(self, item: ast.Item) -> Iterator[Occurrence]:
        scope: _Scope = {}
        owner = f"{self._module.name.text}.{_label(item)}"
        name = getattr(item, "name", None)
        if isinstance(name, ast.Name):
            made = Target("name", "", name.text)
            if isinstance(item, ast.OnDecl | ast.InvariantDecl | ast.ObligationDecl):
                made = Target("clause", self._module.name.text, name.text)
            yield Occurrence(name.span, made, True)
        match item:
            case ast.StructDecl(name=own):
                scope |= self._fields_of(own.text)
            case ast.OperationDecl(hypercall=call, struct=struct):
                scope |= self._fields_of(_OPERATION_EVENT)
                scope |= self._parameters_of(call.text)
                if struct is not None:
                    scope |= self._fields_of(struct.text)
            case ast.HypercallDecl() | ast.EveryDecl():
                scope |= self._fields_of(_OPERATION_EVENT)
            case ast.OnDecl(event=event):
                scope |= self._fields_of(event.text)
            case ast.ExampleDecl(violates=violates) if violates is not None:
                yield from self._violated(violates)
            case _:
                pass
        yield from self._parts(item, scope, owner, skip=("name", "violates"))

    def _violated(self, name: ast.Name) -> Iterator[Occurrence]:
        """The parts of a clause's id, each as what it names."""
        parts = name.text.split(".")
        if len(parts) < 3 or name.span.line != name.span.end_line:
            return
        at = name.span.column
        owner = ".".join(parts[:2])
        pieces = [(owner, Target("module", "", owner))]
        for part in parts[2:]:
            declared = len(pieces) == 1 and part in self._symbols.by_name
            pieces.append((part, Target("name", "", part) if declared
                           else Target("clause", owner, part)))  # fmt: skip
            owner = f"{owner}.{part}"
        for text, target in pieces:
            line = name.span.line
            yield Occurrence(ast.Span(line, at, line, at + len(text)), target, False)
            at += len(text) + 1

    def _fields_of(self, owner: str) -> _Scope:
        symbol = self._symbols.by_name.get(owner)
        names = () if symbol is None else field_names(symbol.decl)
        return {n.text: Target("field", owner, n.text) for n in names}

    def _parameters_of(self, hypercall: str) -> _Scope:
        symbol = self._symbols.by_name.get(hypercall)
        if symbol is None or not isinstance(symbol.decl, ast.HypercallDecl):
            return {}
        return {p.name.text: _local(symbol.module, p.name) for p in symbol.decl.params}

    # ---- nodes ---------------------------------------------------------------------------------

    def _parts(
        self, node: Any, scope: _Scope, owner: str, skip: tuple[str, ...] = ()
    ) -> Iterator[Occurrence]:
        """The parts of a node, in the order of their places; they share its scope."""
        for field in fields(node):
            if field.name not in skip:
                yield from self._any(getattr(node, field.name), scope, owner)

    def _any(self, node: Any, scope: _Scope, owner: str) -> Iterator[Occurrence]:
        match node:
            case tuple():
                for each in node:
                    yield from self._any(each, scope, owner)
            case ast.Name():
                yield from self._use(node, scope)
            case ast.Ref(span=span, name=name):
                yield from self._use(ast.Name(span, name), scope)
            case ast.Param(name=name, type=type_):
                yield from self._bind(name, scope)
                yield from self._use(type_, {})
            case ast.Cite(span=span, source=source):
                end = span.column + len(node.authority) + 1
                place = ast.Span(span.line, end, span.line, end + len(source))
                yield Occurrence(place, Target("source", "", source), False)
            case ast.Member(value=value, name=name):
                yield from self._any(value, scope, owner)
                yield Occurrence(name.span, Target("field", "", name.text), False)
            case ast.BitRule(field=field, value=value):
                if field is not None:
                    yield Occurrence(field.span, Target("field", "", field.text), False)
                yield from self._any(value, scope, owner)
            case ast.ModeIs(mode=mode):
                yield Occurrence(mode.span, Target("mode", "", mode.text), False)
            case ast.Field(name=name) | ast.BitField(name=name) | ast.EventField(name=name):
                target = Target("field", owner.rpartition(".")[2], name.text)
                yield Occurrence(name.span, target, True)
                yield from self._parts(node, dict(scope), owner, skip=("name",))
            case ast.Variant(name=name):
                yield Occurrence(name.span, Target("name", "", name.text), True)
                yield from self._parts(node, dict(scope), owner, skip=("name",))
            case _ if is_dataclass(node):
                yield from self._node(node, scope, owner)

    def _node(self, node: Any, scope: _Scope, owner: str) -> Iterator[Occurrence]:
        match node:
            case ast.Quantified(params=params, body=body):
                inner = dict(scope)
                yield from self._any((params, body), inner, owner)
            case ast.VariantPattern(name=name, binders=binders):
                yield from self._use(name, {})
                for binder in binders:
                    if binder.text != "_":
                        yield from self._bind(binder, scope)
            case ast.If(test=test, yes=yes, no=no):
                inner = dict(scope)
                yield from self._any((test, yes), inner, owner)
                yield from self._any(no, dict(scope), owner)
            case ast.Arm(pattern=pattern, body=body):
                yield from self._any((pattern, body), dict(scope), owner)
            case ast.ForAll() | ast.Success() | ast.Always():
                yield from self._parts(node, dict(scope), owner)
            case ast.Choose(name=name, type=type_):
                yield from self._bind(name, scope)
                yield from self._use(type_, {})
                yield from self._parts(node, scope, owner, skip=("name", "type"))
            case ast.Let(name=name, struct=struct, value=value):
                if struct is not None:
                    yield from self._use(struct, {})
                yield from self._any(value, dict(scope), owner)
                yield from self._bind(name, scope)
            case ast.ArrayFields(name=name, struct=struct, index=index):
                yield from self._use(index.type, {})
                yield from self._use(struct, {})
                yield from self._bind(name, scope)
            case ast.ErrorClause(name=name) | ast.Require(name=name) | ast.Ensure(name=name):
                yield Occurrence(name.span, Target("clause", owner, name.text), True)
                yield from self._parts(node, dict(scope), owner, skip=("name",))
            case ast.ClauseBlock(name=name):
                yield Occurrence(name.span, Target("clause", owner, name.text), True)
                yield from self._parts(node, dict(scope), f"{owner}.{name.text}", skip=("name",))
            case ast.Moment(event=event, test=test):
                yield from self._use(event, {})
                yield from self._any(test, scope | self._fields_of(event.text), owner)
            case ast.StepEvent(name=name, fields=given, outcome=outcome, outs=outs):
                yield from self._use(name, {})
                inner = self._step_fields(name.text)
                for bind in (*given, *outs):
                    yield from self._use(bind.field, inner)
                    yield from self._any((bind.args, bind.value), scope, owner)
                yield from self._any(outcome, scope, owner)
            case ast.Call(name=name, args=args) | ast.CallEffect(name=name, args=args):
                yield from self._use(name, scope)
                yield from self._any(args, scope, owner)
            case ast.Binary():
                # What a pattern on the left binds is seen on the right, and in what follows.
                yield from self._parts(node, scope, owner)
            case _:
                yield from self._parts(node, scope, owner)

    def _step_fields(self, step: str) -> _Scope:
        symbol = self._symbols.by_name.get(step)
        if symbol is not None and isinstance(symbol.decl, ast.OperationDecl):
            struct = symbol.decl.struct
            inner = self._parameters_of(symbol.decl.hypercall.text)
            return inner | ({} if struct is None else self._fields_of(struct.text))
        return self._fields_of(step)

    def _use(self, name: ast.Name, scope: Mapping[str, Target]) -> Iterator[Occurrence]:
        target = scope.get(name.text)
        if target is None and name.text in self._symbols.by_name:
            target = Target("name", "", name.text)
        if target is None and (name.text in self._symbols.modes or
                               name.text in self._symbols.groups):  # fmt: skip
            target = Target("mode", "", name.text)
        if target is None and self._is_invariant(name.text):
            target = Target("clause", self._invariants()[name.text], name.text)
        if target is not None:
            yield Occurrence(name.span, target, False)

    def _invariants(self) -> dict[str, str]:
        items = self._module.items
        return {i.name.text: self._module.name.text for i in items
                if isinstance(i, ast.InvariantDecl)}  # fmt: skip

    def _is_invariant(self, name: str) -> bool:
        return name in self._invariants()

    def _bind(self, name: ast.Name, scope: _Scope) -> Iterator[Occurrence]:
        target = scope[name.text] = _local(self._module.name.text, name)
        yield Occurrence(name.span, target, True)


def _local(module: str, name: ast.Name) -> Target:
    return Target("local", f"{module}:{name.span.line}:{name.span.column}", name.text)


def _label(item: ast.Item) -> str:
    if isinstance(item, ast.EveryDecl):
        return "every"
    return "" if isinstance(item, ast.ExampleDecl) else item.name.text


def field_names(decl: object) -> list[ast.Name]:
    """The fields that a structure, bits or an event declares."""
    match decl:
        case ast.BitsDecl(fields=fields_) | ast.EventDecl(fields=fields_):
            return [f.name for f in fields_]
        case ast.StructDecl(items=items):
            return struct_fields(items)
    return []
