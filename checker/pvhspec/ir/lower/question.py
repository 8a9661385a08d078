"""Questions: from text to IR, by the names and types of a whole specification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches

from pvhspec.diagnostics import Diagnostic, code
from pvhspec.ir import build
from pvhspec.ir.ir import (
    Cell,
    EventKind,
    Expr,
    Gate,
    Input,
    Operation,
    Quant,
    Spec,
    Var,
    status_code,
)
from pvhspec.ir.lower.call_parts import bind_let
from pvhspec.ir.lower.env import Binding, Context, Env, MapField
from pvhspec.ir.lower.exprs import truth
from pvhspec.ir.questions import (
    Always,
    AtEvent,
    CanReturn,
    Place,
    Question,
    Reach,
    Rules,
    WhichErrors,
)
from pvhspec.names.gates import parse_version
from pvhspec.names.load import Sources
from pvhspec.names.report import Reporter, Stop, closest
from pvhspec.names.symbols import Scope, Symbol, collect
from pvhspec.syntax import ast
from pvhspec.syntax.ast import questions as asked
from pvhspec.syntax.question import PATH, parse_question
from pvhspec.types.declare import TypeTable
from pvhspec.types.types import BOOL, BitsType, EnumType, Type

__all__ = ["Lexicon", "short_name"]

NO_OPERATION = code("PVH380", "A question names no operation of the specification.")
AMBIGUOUS = code("PVH381", "A name in a question stands for several things.")
NO_ERRNO = code("PVH382", "A question names an error that is none.")
NOT_HERE = code("PVH383", "A part of a question does not go with what is asked.")
NOT_THERE = code("PVH384", "A question describes what the specification does not know.")

_AT = "says at which event: at entry"
_NEAR = 4  # names that are offered in place of one that is unknown
_PROVIDED: dict[str, Type] = {"readable": BOOL, "writable": BOOL, "cpl": BitsType(8)}


def short_name(name: str) -> str:
    """`send` for EVTCHNOP_send: the name without what all of its kind begin with."""
    head, _, rest = name.partition("_")
    return rest if rest and head.isupper() else name


class Lexicon:
    """The names of a specification, as its questions may use them: those of all modules."""

    def __init__(self, spec: Spec, sources: Sources) -> None:
        self.spec = spec
        silent = Reporter(sources.texts)
        self.symbols = collect(sources, silent)
        self.symbols.imports[PATH] = {m.name.text for m in sources.modules}
        scopes = {m.name.text: Scope(self.symbols, m, silent) for m in sources.modules}
        self.context = Context(scopes, TypeTable(self.symbols, scopes))

    def lower(self, text: str) -> tuple[Question | None, list[Diagnostic]]:
        """A question; None and what is wrong with it."""
        parsed, errors = parse_question(text)
        if parsed is None:
            return None, errors
        report = Reporter({PATH: text.split("\n")})
        made: Question | None = None
        with suppress(Stop):
            made = _Asked(self, parsed, report).question()
        return (None if report.errors else made), report.errors

    # ---- what there is to name, for completion -------------------------------------------------

    def operations(self) -> list[str]:
        """The operations by their short names."""
        names = [op.name for op in self.spec.operations if " " not in op.name]
        return sorted({short_name(n) for n in names if not n.endswith(".other")})

    def of_kind(self, *kinds: type) -> list[str]:
        """The names that declarations of these kinds have."""
        return sorted(n for n, s in self.symbols.by_name.items() if isinstance(s.decl, kinds))


class _Asked:
    """One question."""

    def __init__(self, lexicon: Lexicon, node: asked.Question, report: Reporter) -> None:
        self.spec, self.context, self.node = lexicon.spec, lexicon.context, node
        nowhere = ast.Span(1, 1, 1, 1)
        module = ast.Module(PATH, nowhere, ast.Name(nowhere, PATH), None, (), ())
        self.scope = Scope(lexicon.symbols, module, report)

    def question(self) -> Question:
        """What is asked. Raises Stop."""
        place, ask = self._place(), self.node.ask
        match ask:
            case asked.CanReturn(operation=name, error=error):
                operations = self._operations(name)
                when = self._when(operations, name)
                return CanReturn(
                    tuple(o.name for o in operations), *self._errno(error), when, place
                )
            case asked.WhichErrors(operation=name):
                operations = self._operations(name)
                return WhichErrors(
                    tuple(o.name for o in operations), self._when(operations, name), place
                )
            case asked.CanBe(test=test) | asked.MustBe(test=test):
                return self._truth(test, isinstance(ask, asked.MustBe), place)
            case asked.MustHold(field=field):
                return self._rules(field, place)

    # ---- where ---------------------------------------------------------------------------------

    def _parts(self, kind: type) -> list[asked.Where]:
        return [w for w in self.node.wheres if isinstance(w, kind)]

    def _place(self) -> Place:
        gate, on = Gate(), None
        for where in self.node.wheres:
            match where:
                case ast.Gate():
                    gate = gate.also(self.scope.gate((where,)))
                case asked.InModes(span=span, names=names):
                    modes = self.scope.modes(tuple(n.text for n in names), span)
                    gate = gate.also(Gate(modes=modes))
                case asked.OnRelease(span=span, version=version):
                    self.scope.version(version, span)
                    on = parse_version(version)
        return Place(gate, on)

    def _refuse(self, kind: type, why: str, remedy: str | None = None) -> None:
        for where in self._parts(kind):
            raise self.scope.stop(NOT_HERE, where.span, why, remedy)

    # ---- operations ----------------------------------------------------------------------------

    def _operations(self, name: ast.Name) -> list[Operation]:
        """The operation a name stands for, or all those of a hypercall."""
        known = self.spec.operations
        text = name.text.lower()
        own = [o for o in known if o.name.lower() == text]
        own = own or [o for o in known if o.hypercall.lower() == text]
        found = own or [o for o in known if o.name.lower().endswith(f"_{text}")]
        found = found or [o for o in known if f"_{text}_" in o.name.lower()]
        if len(found) > 1 and not own:
            names = ", ".join(o.name for o in found)
            why = f"{name.text} may be one of several operations"
            raise self.scope.stop(AMBIGUOUS, name.span, why, f"say which: {names}")
        if not found:
            names_ = [n for o in known for n in (o.name, short_name(o.name))]
            near = _near(name.text, names_)
            remedy = near or "an operation is called as in the text, or without its prefix: send"
            raise self.scope.stop(NO_OPERATION, name.span, f"no operation {name.text}", remedy)
        return found

    def _errno(self, name: ast.Name | None) -> tuple[int, str]:
        if name is None:
            return 0, "success"
        known = self.spec.enums.get("Errno", {})
        text = name.text.upper()
        for slot in (o.status for o in self.spec.operations if o.status is not None):
            for status, value in self.spec.enums.get(slot.type.name or "", {}).items():
                if status.upper() == text and value:
                    return status_code(value, slot.type.width), status
        if text not in known:
            near = _near(text, known) or f"there are {', '.join(known)}"
            raise self.scope.stop(NO_ERRNO, name.span, f"no error is called {name.text}", near)
        return known[text], text

    def _when(self, operations: list[Operation], name: ast.Name) -> Expr:
        """What has to hold of the call and of the state before it."""
        self._refuse(asked.AtEvent, f"{name.text} is an operation: nothing else has to happen")
        parts: list[Expr] = []
        for where in self.node.wheres:
            match where:
                case asked.When(test=test):
                    parts.append(truth(test, self._inside(operations)))
                case asked.ToDomain(which=which):
                    parts.append(self._caller(which))
        return build.all_of(parts)

    def _inside(self, operations: list[Operation]) -> Env:
        """What names stand for in a call: fields, `out.` fields, `result`, the text's own lets."""
        names: dict[str, Binding] = {n: Input(n, t) for n, t in _PROVIDED.items()}
        first = operations[0]
        names |= {p.name: p for p in first.params}
        names["result"] = Input("result", BitsType(64))
        for slot in first.slots:
            if slot.written:
                names[f"out.{slot.name}"] = Input(f"out.{slot.name}", slot.type)
            if slot.read:
                names[slot.name] = Input(slot.name, slot.type)
        symbol = self.scope.symbols.by_name.get(first.name)
        if symbol is not None and isinstance(symbol.decl, ast.OperationDecl):
            home = Env(self.context, self.context.scopes[symbol.module], names, [])
            for item in symbol.decl.items:
                if isinstance(item, ast.Let):
                    home = bind_let(item, home)
            names = dict(home.locals)
        return Env(self.context, self.scope, names, [])

    def _caller(self, which: ast.Name) -> Expr:
        """`unprivileged`: of the states `domain_…` that are true or false of a domain."""
        kinds = [
            s.name.removeprefix("domain_")
            for s in self.spec.states.values()
            if s.name.startswith("domain_") and s.type == BOOL and len(s.indices) == 1
        ]
        text = which.text.lower()
        plain = text if text in kinds else text.removeprefix("un").removeprefix("not_")
        if plain not in kinds:
            words = [w for k in kinds if k != "exists" for w in (k, f"un{k}")]
            remedy = _near(text, words) or f"there are {', '.join(words)}"
            why = f"no domain is {which.text}"
            raise self.scope.stop(NOT_THERE, which.span, why, remedy)

        def of_caller(state: str) -> Cell:
            index = self.spec.states[state].indices[0].type
            return Cell(state, (Input("caller", index),), BOOL)

        said: Expr = of_caller(f"domain_{plain}")
        parts = [said if plain == text else build.negate(said)]
        if "exists" in kinds:
            parts.append(of_caller("domain_exists"))
        return build.all_of(parts)

    # ---- states and events ---------------------------------------------------------------------

    def _truth(self, test: ast.Expr | asked.Described, must: bool, place: Place) -> Question:
        self._refuse(asked.ToDomain, "nobody calls here", "can OPERATION return … to …")
        events = self._parts(asked.AtEvent)
        if events:
            if isinstance(test, asked.Described):
                why = "an event is not described in these words"
                raise self.scope.stop(NOT_HERE, test.span, why, "can EXPR at EVENT")
            kind, env = self._event()
            return AtEvent(kind.name, truth(test, env), must, self._conditions(env), place)
        caller, current = (
            self.context.variable(n, self.spec.contexts[n]) for n in ("caller", "current")
        )
        env = Env(self.context, self.scope, {"caller": caller, "current": current}, [])
        if isinstance(test, asked.Described):
            test = self._described(test)
        said = truth(test, env)
        when = self._conditions(env)
        for name in _inputs((said, when)):
            why = f"{name} is of an event, and this is about the state"
            raise self.scope.stop(NOT_HERE, self.node.ask.span, why, "say at which event: at …")
        used = tuple(v for v in (caller, current) if _uses((said, when), v))
        if must:
            whole = build.implies(when, said)
            return Always(Quant("forall", used, whole, BOOL) if used else whole, place)
        while isinstance(said, Quant) and said.kind == "exists":
            used, said = (*used, *said.vars), said.body
        return Reach(used, build.all_of((when, said)), place)

    def _conditions(self, env: Env) -> Expr:
        tests = (w.test for w in self.node.wheres if isinstance(w, asked.When))
        return build.all_of([truth(t, env) for t in tests])

    def _event(self) -> tuple[EventKind, Env]:
        """The event that is asked about, and its fields."""
        events = [w for w in self.node.wheres if isinstance(w, asked.AtEvent)]
        if len(events) != 1:
            known = ", ".join(self.spec.events)
            why = "nothing says at which event" if not events else "it is about one event"
            raise self.scope.stop(NOT_HERE, self.node.ask.span, why, f"at one of {known}")
        name = events[0].event
        kind = self.spec.events.get(name.text)
        if kind is None:
            remedy = _near(name.text, self.spec.events)
            remedy = remedy or f"there are {', '.join(self.spec.events)}"
            raise self.scope.stop(NOT_THERE, name.span, f"no event is called {name.text}", remedy)
        fields: dict[str, Binding] = {
            field: MapField(field, index, type_) if index else Input(field, type_)
            for field, index, type_ in kind.fields
        }
        return kind, Env(self.context, self.scope, fields, [])

    def _rules(self, field: ast.Name, place: Place) -> Rules:
        self._refuse(asked.ToDomain, "nobody calls here")
        kind, env = self._event()
        known = [f for f, _, _ in kind.fields]
        if field.text not in known:
            inner = [f for f in known if f.startswith(f"{field.text}.")]
            remedy = f"there are {', '.join(inner)}" if inner else _near(field.text, known)
            why = f"{kind.name} has no field {field.text}"
            remedy = remedy or f"it has {', '.join(known[:12])}"
            raise self.scope.stop(NOT_THERE, field.span, why, remedy)
        return Rules(kind.name, field.text, self._conditions(env), place)

    def _described(self, node: asked.Described) -> ast.Expr:
        """`two ports bound to one VIRQ` written out: a state by port, its values, two of them."""
        text = node.what.text.lower()
        found: list[tuple[Symbol, ast.StateDecl, ast.Param, str]] = []
        for symbol in self.scope.symbols.by_name.values():
            if not isinstance(symbol.decl, ast.StateDecl):
                continue
            home = self.context.scopes[symbol.module]
            kind = self.context.types.of(symbol.decl.type, home)
            variants = [v.name for v in kind.variants] if isinstance(kind, EnumType) else []
            for param in symbol.decl.params:
                if param.type.text.lower() in (text, text.removesuffix("s")):
                    found += [
                        (symbol, symbol.decl, param, v)
                        for v in variants
                        if v.lower() == node.bound.text.lower()
                    ]
        if len(found) != 1:
            why = f"no {node.what.text} are bound to {node.bound.text}"
            remedy = "name an index and a variant of one state: two ports bound to one virq"
            raise self.scope.stop(NOT_THERE, node.span, why, remedy)
        symbol, decl, param, variant = found[0]
        return self._spelled(node, symbol, decl, param, variant)

    def _spelled(
        self,
        node: asked.Described,
        symbol: Symbol,
        decl: ast.StateDecl,
        param: ast.Param,
        variant: str,
    ) -> ast.Expr:
        span = node.span

        def name(text: str) -> ast.Name:
            return ast.Name(span, text)

        def numbered(i: int) -> str:
            return param.name.text if node.count == 1 else f"{param.name.text}_{i + 1}"

        def cell(i: int) -> ast.Expr:
            args = (numbered(i) if p is param else p.name.text for p in decl.params)
            return ast.Index(
                span, ast.Ref(span, symbol.name), tuple(ast.Ref(span, a) for a in args)
            )

        kind = self.context.types.of(decl.type, self.context.scopes[symbol.module])
        assert isinstance(kind, EnumType)
        payload = kind.variants[kind.index(variant)].payload
        carried = tuple(f"{variant}_{part}" for part, _ in payload)
        tests: list[ast.Expr] = []
        for i in range(node.count):
            if i and node.one and carried:
                same = ast.Call(span, name(variant), tuple(ast.Ref(span, c) for c in carried))
                tests.append(ast.Binary(span, "==", cell(i), same))
            else:
                binders = tuple(name(c) for c in carried) if node.one else ()
                shape = ast.VariantPattern(span, name(variant), binders)
                tests.append(ast.Is(span, cell(i), shape))
            for j in range(i):
                a, b = ast.Ref(span, numbered(j)), ast.Ref(span, numbered(i))
                tests.append(ast.Binary(span, "!=", a, b))
        whole = tests[0]
        for test in tests[1:]:
            whole = ast.Binary(span, "and", whole, test)
        others = [p for p in decl.params if p is not param]
        ports = [replace(param, name=name(numbered(i))) for i in range(node.count)]
        return ast.Quantified(span, "exists", (*others, *ports), whole)


def _near(name: str, known: Iterable[str]) -> str | None:
    """Several names that may have been meant."""
    exact = closest(name, known)
    names = {n.lower(): n for n in known}
    near = [names[n] for n in get_close_matches(name.lower(), names, _NEAR, 0.6)]
    return f"did you mean {' or '.join(near)}?" if near else exact


def _walk(node: Expr) -> Iterator[Expr]:
    yield node
    for name in ("indices", "args", "address", "value", "body"):
        inner = getattr(node, name, ())
        for child in inner if isinstance(inner, tuple) else (inner,):
            if hasattr(child, "type"):
                yield from _walk(child)


def _inputs(nodes: Iterable[Expr]) -> list[str]:
    return [n.name for node in nodes for n in _walk(node) if isinstance(n, Input)]


def _uses(nodes: Iterable[Expr], variable: Var) -> bool:
    return any(n == variable for node in nodes for n in _walk(node))
