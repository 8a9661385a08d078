"""The module of one specification, release and mode: every operation and block, and the loop."""

from __future__ import annotations

from pvhspec.backends.dispatch import Dispatch
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.native.calls import call_function
from pvhspec.backends.native.columns import HELPERS
from pvhspec.backends.native.emit import Text, Val
from pvhspec.backends.native.exprs import NOWHERE, Exprs, Unit
from pvhspec.backends.native.inputs import Fields
from pvhspec.backends.native.layout import Layout
from pvhspec.backends.native.step import Told, event_function
from pvhspec.backends.native.writes import applied, writers
from pvhspec.ir import ir
from pvhspec.ir.walk import conjuncts, vars_of
from pvhspec.names.gates import Version

__all__ = ["CONSTANTS", "MOST_OUTCOMES", "Module"]

MOST_OUTCOMES = 4096
CONSTANTS = {"release": 0, "vendor": 1}
_PYTHON = ("mem", "hypercall_page", "lost")  # kinds that Python looks at in any case


class Module:
    """LLVM's text of it. `operations` are numbered as in the code, `watched` says how many blocks
    there are for a kind of event, `told` what the counted outcomes say. `wanted`: kinds of events
    and operations; all others are the interpreter's."""

    def __init__(
        self,
        spec: ir.Spec,
        version: Version,
        mode: str,
        compiled: Compiled,
        layout: Layout,
        all_domains: bool,
        kinds: dict[str, int],
        wanted: frozenset[str],
    ) -> None:
        self._wanted = wanted
        self.told = Told()
        self.operations: list[ir.Operation] = []
        self._unit = unit = Unit(spec, compiled.compiler, layout, all_domains)
        self._compiled, self._kinds = compiled, kinds
        self._clauses = {c: n for n, c in enumerate(spec.clauses)}
        self._functions: list[str] = []
        self._names: dict[tuple[str, int], str] = {}
        self.watched: dict[str, int] = {}
        dispatch = Dispatch(spec, version, mode)
        run = self._run(dispatch)
        hints = max(len(unit.hints), 1)
        parts = [
            "declare i64 @llvm.umin.i64(i64, i64)", "declare i64 @llvm.umax.i64(i64, i64)",
            HELPERS, *unit.functions, *self._functions, run, applied(unit), *writers(unit),
            '!0 = !{!"branch_weights", i32 1, i32 100000}',
        ]  # fmt: skip
        self.hints = hints
        self.text = "\n".join(parts).replace("@HINTS@", str(hints))

    def _operation(self, op: ir.Operation, narrow: int) -> str:
        if (op.id, narrow) not in self._names:
            name = self._names[op.id, narrow] = f"call{len(self._names)}"
            if op not in self.operations:
                self.operations.append(op)
            self._functions.append(
                call_function(
                    self._unit, self._compiled, self.told, self._clauses, CONSTANTS, op,
                    self.operations.index(op), name, narrow,
                )
            )  # fmt: skip
        return self._names[op.id, narrow]

    def _run(self, dispatch: Dispatch) -> str:
        self._operations_used = False
        self._ends: list[str] = []
        self._outs: list[str] = []
        t = Text()
        t.label("entry")
        t.do("br label %head")
        t.label("head")
        t.lines.append("  %row = phi i64 [ %from, %entry ], [ %next, %done ]")
        t.do("%more = icmp ult i64 %row, %to")
        t.do("br i1 %more, label %look, label %end")
        t.label("look")
        fields = Fields(t, CONSTANTS, self._unit.layout.header.constants, "%row")
        kind, seq = fields.column("kind"), fields.column("seq")
        t.do(f"%seq = add i64 {seq.text}, 0")
        known = [k for k in self._kinds if k not in _PYTHON and k in self._wanted]
        cases = " ".join(f"i8 {self._kinds[k]}, label %kind.{k}" for k in known)
        t.do(f"switch i8 {kind.text}, label %python [ {cases} ]")
        for k in known:
            t.label(f"kind.{k}")
            if k == "hypercall":
                self._hypercalls(t, dispatch)
            self._watches(t, k)
        if not self._ends:
            self._ends.append("0, %never")
            t.label("never")
            t.do("br label %owed")
        t.label("owed")
        t.lines.append(f"  %phase = phi i32 [ {' ], [ '.join(self._ends)} ]")
        self._debts(t)
        t.label("done")
        t.do("%next = add i64 %row, 1")
        t.do("br label %head")
        t.label("python")
        t.do("br label %out")
        t.label("out")
        ways = ["-1, %python", *self._outs]
        t.lines.append(f"  %why = phi i32 [ {' ], [ '.join(ways)} ]")
        t.do("store i32 %why, ptr %status, align 4")
        t.do("ret i64 %row")
        t.label("end")
        t.do("ret i64 %to")
        head = (
            "define i64 @run(ptr noalias %st, ptr noalias %hints, ptr noalias %cols, i64 %from, "
            "i64 %to, ptr noalias %status)"
        )
        return "\n".join([f"{head} {{", *t.lines, "}"])

    def _hypercalls(self, t: Text, dispatch: Dispatch) -> None:
        fields = Fields(t, CONSTANTS, self._unit.layout.header.constants, "%row")
        nr, begin, end = (fields.column(n) for n in ("nr", "begin", "end"))
        spans = t.both(t.invert(begin.bad), t.invert(end.bad))
        t.do(f"br i1 {t.either(nr.bad, spans)}, label %python, label %nr")
        t.label("nr")
        numbers = dispatch._numbers
        cases = " ".join(f"i64 {n}, label %nr.{n}" for n in numbers)
        t.do(f"switch i64 {nr.text}, label %nr.none [ {cases} ]")
        t.label("nr.none")
        self._to(t, dispatch._nobody)
        for n, entry in numbers.items():
            t.label(f"nr.{n}")
            if entry.direct is not None:
                self._to(t, entry.direct)
                continue
            if not entry.commands:
                self._to(t, entry.other)
                continue
            own = Fields(t, CONSTANTS, 0, "%row")
            count, arg = own.column("args"), own.column("arg0")
            none = t.op(f"icmp eq i8 {count.text}, 0")
            unseen = t.either(t.either(count.bad, arg.bad), none)
            t.do(f"br i1 {unseen}, label %python, label %cmd.{n}")
            t.label(f"cmd.{n}")
            command = t.op(f"and i64 {t.op(f'lshr i64 {arg.text}, {entry.low}')}, {entry.mask}")
            cases = " ".join(f"i64 {c}, label %cmd.{n}.{c}" for c in entry.commands)
            t.do(f"switch i64 {command}, label %cmd.{n}.other [ {cases} ]")
            for c, op in entry.commands.items():
                t.label(f"cmd.{n}.{c}")
                self._to(t, op)
            t.label(f"cmd.{n}.other")
            self._to(t, entry.other)
        if not self._operations_used:
            t.label("nr.never")
            t.do("br label %called")
        t.label("called")

    def _to(self, t: Text, op: ir.Operation | None) -> None:
        if op is None or op.id not in self._wanted:
            t.do("br label %python")
            return
        self._operations_used = True
        if _one_layout(op):
            self._call(t, self._operation(op, 0))
            return
        width = Fields(t, CONSTANTS, 0, "%row").column("width")
        known, wide, narrow = (t.name(n) for n in ("known", "wide", "narrow"))
        t.do(f"br i1 {width.bad}, label %python, label %{known}")
        t.label(known)
        test = t.op(f"icmp eq i8 {width.text}, 32")
        t.do(f"br i1 {test}, label %{narrow}, label %{wide}")
        for label, layout in ((wide, 0), (narrow, 1)):
            t.label(label)
            self._call(t, self._operation(op, layout))

    def _call(self, t: Text, name: str) -> None:
        failed = t.op(f"call i32 @{name}(ptr %st, ptr %hints, ptr %cols, i64 %row, i64 %seq)")
        test = t.op(f"icmp ne i32 {failed}, 0")
        t.do(f"br i1 {test}, label %python, label %called, !prof !0")

    def _watches(self, t: Text, kind: str) -> None:
        watchers = self._compiled.watchers(kind)
        self.watched[kind] = len(watchers)
        label = "called" if kind == "hypercall" else f"kind.{kind}"
        for n, watcher in enumerate(watchers):
            name = f"on.{kind}.{n}"
            self._functions.append(
                event_function(
                    self._unit, self._compiled, self.told, self._clauses, CONSTANTS,
                    watcher.block, name,
                )
            )  # fmt: skip
            failed = t.op(f"call i32 @{name}(ptr %st, ptr %hints, ptr %cols, i64 %row, i64 %seq)")
            test = t.op(f"icmp ne i32 {failed}, 0")
            after = f"seen.{kind}.{n}"
            t.do(f"br i1 {test}, label %out, label %{after}, !prof !0")
            self._outs.append(f"{n}, %{label}")
            label = after
            t.label(label)
        self._ends.append(f"{len(watchers)}, %{label}")
        t.do("br label %owed")

    def _debts(self, t: Text) -> None:
        """What is owed: nothing to see where nothing it hangs on has changed."""
        header = self._unit.layout.header
        compiler = self._compiled.compiler
        owed = [o for o in self._unit.spec.obligations if compiler.constant(o.when) is not False]
        fields = Fields(t, CONSTANTS, header.constants, "%row")
        if not owed:
            t.do("br label %done")
            return
        dirty = t.load(64, t.at("%st", header.owed), 8)
        before = t.load(64, t.at("%st", header.owed + 8), 8)
        open_ = t.load(64, t.at("%st", header.owed + 16), 8)
        caller = fields.column("dom")
        wide = t.op(f"add i64 {t.sized(caller.text, 32, 64)}, 1")
        same = t.both(t.invert(caller.bad), t.op(f"icmp eq i64 {wide}, {before}"))
        clean = t.both(t.op(f"icmp eq i64 {dirty}, 0"), same)
        kind, none = fields.column("kind"), t.op(f"icmp eq i64 {open_}, 0")
        other = "true"  # than those that pay a debt, or come too late for one
        for k in sorted({m.event for o in owed for m in (o.then, o.before)}):
            other = t.both(other, t.op(f"icmp ne i8 {kind.text}, {self._kinds[k]}"))
        clean = t.both(clean, t.either(none, other))
        t.do(f"br i1 {clean}, label %done, label %owes")
        t.label("owes")
        fields = Fields(t, CONSTANTS, header.constants, "%row")
        exprs = Exprs(self._unit, t, fields)
        t.do(f"br i1 {t.op(f'icmp ne i64 {open_}, 0')}, label %owing, label %owed.0")
        kept = fields.made()
        for n, o in enumerate(owed):
            t.label(f"owed.{n}")
            fields.made(kept)
            after = "paid" if n + 1 == len(owed) else f"owed.{n + 1}"
            self._may_owe(exprs.inside_of(), o, after)
        t.label("owing")
        t.do("br label %out")
        self._outs.append("%phase, %owing")
        t.label("paid")
        t.store(64, "0", t.at("%st", header.owed), 8)
        t.store(64, t.choose(caller.bad, 64, "0", wide), t.at("%st", header.owed + 8), 8)
        t.do("br label %done")

    def _may_owe(self, exprs: Exprs, owed: ir.Obligation, after: str) -> None:
        """On to `after` where nothing can be owed: where one of the conditions holds for no value,
        which is mostly known from the last time it was asked."""
        t, parts = exprs.text, list(conjuncts(owed.when))

        def needed(value: Val, holds: str) -> None:
            sure, on = t.name("sure"), t.name("on")
            t.do(f"br i1 {value.bad}, label %owing, label %{sure}")
            t.label(sure)
            t.do(f"br i1 {holds}, label %{on}, label %{after}")
            t.label(on)

        free = [p for p in parts if not vars_of(p) & set(owed.vars)]
        for part in free:
            value = exprs.expr(part)
            needed(value, value.text)
        bound = [p for p in parts if p not in free]
        if bound and len(owed.vars) == 1:
            whole = () if len(bound) == 1 else (ir.Op("and", tuple(bound), bound[0].type),)
            for part in (*bound, *whole):
                found = exprs.search(owed.vars[0], part, "true")
                needed(found, t.op(f"icmp ult i64 {found.text}, {NOWHERE}"))
        t.do("br label %owing")


def _one_layout(op: ir.Operation) -> bool:
    """Whether callers of 32 and of 64 bits have one layout of its structure."""
    sizes = [op.struct_size or (0, 0), *(pair for s in op.slots for pair in (s.offset, s.size))]
    return all(wide == narrow for wide, narrow in sizes)
