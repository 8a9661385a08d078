"""One event against an operation or an `on` block, as machine code.

Each function first finds out, without writing anything, whether the event conforms and every value
it hangs on is known; if not it returns 1, and the event is the interpreter's. Else it writes what
changes, counts what was said, and returns 0.
"""

from __future__ import annotations

from collections.abc import Iterable

from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.native.each import none_holds, note
from pvhspec.backends.native.emit import Text
from pvhspec.backends.native.exprs import Exprs, Unit
from pvhspec.backends.native.inputs import Fields, HypercallFields
from pvhspec.backends.native.search import negated
from pvhspec.backends.native.shown import SharedInfoFields, StoreFields
from pvhspec.backends.native.when import So, gathered
from pvhspec.backends.protocol import Verdict
from pvhspec.ir import ir
from pvhspec.ir.walk import conjuncts

__all__ = ["HEAD", "Step", "Told", "event_function"]

PASSED = "ptr %st, ptr %hints, ptr %cols, i64 %row, i64 %seq"
HEAD = "ptr noalias %st, ptr noalias %hints, ptr noalias %cols, i64 %row, i64 %seq"


class Told:
    """The outcomes that are counted: which clauses each says what of."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[tuple[str, ...], Verdict]] = []

    def number(self, clauses: Iterable[str], verdict: Verdict) -> int:
        """The number of an outcome."""
        made = (tuple(clauses), verdict)
        if made not in self.outcomes:
            self.outcomes.append(made)
        return self.outcomes.index(made)


class Step:
    """What operations and `on` blocks have in common."""

    def __init__(self, unit: Unit, told: Told, clauses: dict[str, int], fields: Fields) -> None:
        self.unit, self.told, self.clauses = unit, told, clauses
        self.text = fields.text
        self.fields = fields
        self.exprs = Exprs(unit, self.text, fields)
        self.bad = "false"
        self._updates: list[tuple[ir.Update, str]] = []
        self._noted = "0"  # how many entries there are in the list

    def wrong(self, bad: str) -> None:
        """The event is for the interpreter where this holds."""
        self.bad = self.text.either(self.bad, self.text.doubt(bad))

    def truth(self, node: ir.Expr, active: str) -> str:
        """Whether something holds; where it is not known the event is the interpreter's."""
        value = self.exprs.expr(node, active)
        self.wrong(self.text.both(active, value.bad))
        return value.text

    # ---- what changes ---------------------------------------------------------------------------

    def update(self, update: ir.Update, active: str) -> None:
        """An update that may be due; all of them are looked at together (`settled`)."""
        if update.target not in self.unit.layout.tables:
            self.wrong(active)
        else:
            self._updates.append((update, active))

    def settled(self) -> None:
        """Find out what the updates write where, and note it. Where a drift may end, or change
        hands, the interpreter says what has drifted."""
        targets = [u.target for u, _ in self._updates]

        def noted(exprs: Exprs, update: ir.Update, so: So) -> None:
            alone = targets.count(update.target) == 1
            clause = self.clauses[update.clause]
            bad, so.count = note(
                self.unit, self.fields, exprs, update, alone, clause, so.count
            )  # fmt: skip
            so.bad = self.text.either(so.bad, bad)

        so = So("false", "0")
        gathered(self.unit, self.fields, self.exprs, self._updates, noted, so)
        self.wrong(so.bad)
        self._noted = so.count

    def write(self) -> None:
        """Write all that was noted."""
        if self._noted == "0":
            return
        t, do, after = self.text, self.text.name("write"), self.text.name("after")
        t.do(f"br i1 {t.op(f'icmp ne i64 {self._noted}, 0')}, label %{do}, label %{after}")
        t.label(do)
        t.do(f"call void @apply(ptr %st, ptr %hints, i64 %seq, i64 {self._noted})")
        t.do(f"br label %{after}")
        t.label(after)

    # ---- what is said ---------------------------------------------------------------------------

    def count(self, number: int | str, when: str = "true") -> None:
        """An outcome came up once more; the order in which they first did is kept."""
        if when == "false":
            return
        t, header = self.text, self.unit.layout.header
        after = t.name("told")
        if when != "true":
            now = t.name("tell")
            t.do(f"br i1 {when}, label %{now}, label %{after}")
            t.label(now)
        at = t.op(f"mul i64 {number}, 8") if isinstance(number, str) else str(8 * number)
        where = t.at("%st", t.op(f"add i64 {at}, {header.counts}"))
        had = t.load(64, where, 8)
        t.store(64, t.op(f"add i64 {had}, 1"), where, 8)
        first = t.name("first")
        t.do(f"br i1 {t.op(f'icmp eq i64 {had}, 0')}, label %{first}, label %{after}, !prof !0")
        t.label(first)
        n = t.load(64, t.at("%st", header.told), 8)
        slot = t.at("%st", t.op(f"add i64 {t.op(f'mul i64 {n}, 4')}, {header.told + 8}"))
        text = number if isinstance(number, str) else str(number)
        t.store(32, t.sized(text, 64, 32), slot, 4)
        t.store(64, t.op(f"add i64 {n}, 1"), t.at("%st", header.told), 8)
        t.do(f"br label %{after}")
        t.label(after)

    def judge(self) -> None:
        """The end of looking: on from here only where nothing was wrong."""
        t = self.text
        if self.bad == "false":
            return
        t.do(f"br i1 {self.bad}, label %escape, label %good, !prof !0")
        t.label("escape")
        t.do("ret i32 1")
        t.label("good")

    def function(self, name: str) -> str:
        """The whole function."""
        t = self.text
        if t.rest is not None:
            t.label(t.rest)
            t.do(f"%others = tail call i32 @{name}.rest({PASSED})")
            t.do("ret i32 %others")
        return "\n".join([f"define internal i32 @{name}({HEAD}) noinline {{", *t.lines, "}"])


# ---- other events ------------------------------------------------------------------------------


def event_function(
    unit: Unit,
    compiled: Compiled,
    told: Told,
    clauses: dict[str, int],
    constants: dict[str, int],
    block: ir.Observation,
    name: str,
) -> str:
    """The function of an `on` block."""
    t = Text()
    t.label("entry")
    header = unit.layout.header
    fields = _fields_of(unit.spec, block.event, t, constants, header.constants)
    step = Step(unit, told, clauses, fields)
    applies = step.truth(block.when, "true")
    said: list[tuple[str, str]] = []  # a clause, and whether it can be seen
    for requirement in block.requires:
        closed = compiled.compiler.constant(requirement.test) is True
        if requirement.clause in compiled.disregard or closed:
            continue
        if _differs_from_one(requirement.test):
            value = step.exprs.expr(requirement.test, applies)
            seen = t.invert(value.bad)
            step.wrong(t.both(t.both(applies, seen), t.invert(value.text)))
            said.append((requirement.clause, seen))
            continue
        said.append((requirement.clause, "true"))
        variables, parts = _against(requirement.test)
        if variables:
            step.wrong(none_holds(unit, fields, step.exprs, variables, parts, applies))
        else:
            holds = step.truth(requirement.test, applies)
            step.wrong(t.both(applies, t.invert(holds)))
    held = [clause for clause, _ in said]
    said += [(clause, "true") for clause, _ in block.undefined]
    for u in block.updates:
        step.update(u, applies)
    step.settled()
    step.judge()
    step.write()
    for clause in held:
        where = t.at("%st", header.held + 8 * clauses[clause])
        had = t.load(64, where, 8)
        now = t.op("add i64 %seq, 1")
        t.store(64, t.choose(applies, 64, now, had), where, 8)
    # Where all was seen, as mostly, that is one outcome.
    together = applies
    for _, seen in said:
        together = t.both(together, seen)
    if said:
        step.count(told.number([clause for clause, _ in said], Verdict.CONFORMS), together)
    for clause, seen in said:
        apart = t.both(applies, t.invert(together))
        step.count(told.number([clause], Verdict.CONFORMS), t.both(apart, seen))
        step.count(told.number([clause], Verdict.UNSEEN), t.both(apart, t.invert(seen)))
    t.do("ret i32 0")
    return step.function(name)


def _fields_of(spec: ir.Spec, kind: str, t: Text, constants: dict[str, int], at: int) -> Fields:
    """How the fields of a kind of event are read."""
    match kind:
        case "hypercall":
            return HypercallFields(t, constants, at, "%row", None)
        case "shared_info":
            return SharedInfoFields(t, constants, at, "%row")
        case "store":
            return StoreFields(t, constants, at, "%row", spec.enums.get("SharedWord", {}))
    return Fields(t, constants, at, "%row", kind, spec.enums)


def _against(test: ir.Expr) -> tuple[list[ir.Var], list[ir.Expr]]:
    """What a requirement says of all values: the variables, and conditions that hold together only
    where it does not."""
    variables: list[ir.Var] = []
    parts: list[ir.Expr] = []
    while True:
        if isinstance(test, ir.Quant) and test.kind == "forall":
            variables += test.vars
            test = test.body
        elif isinstance(test, ir.Op) and test.op == "implies":
            parts += conjuncts(test.args[0])
            test = test.args[1]
        else:
            return variables, [*parts, negated(test)]


def _differs_from_one(test: ir.Expr) -> bool:
    """Whether a requirement is that a field is not some value: not seen, it can be so for all that
    is known, and nothing follows for anything else."""
    if not isinstance(test, ir.Op) or test.op != "not":
        return False
    inner = test.args[0]
    if not isinstance(inner, ir.Op) or inner.op != "eq":
        return False
    return {isinstance(a, ir.Input) or not _fixed(a) for a in inner.args} == {True, False} and any(
        isinstance(a, ir.Input) for a in inner.args
    )


def _fixed(node: ir.Expr) -> bool:
    """Whether an expression is made of constants."""
    from pvhspec.ir.walk import children

    return isinstance(node, ir.Const) or (
        isinstance(node, ir.Op) and all(_fixed(c) for c in children(node))
    )
