"""A hypercall against its operation, as machine code."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.operation import shows
from pvhspec.backends.native.columns import LISTS, WORDS
from pvhspec.backends.native.emit import Text, Val
from pvhspec.backends.native.exprs import Unit
from pvhspec.backends.native.inputs import HypercallFields
from pvhspec.backends.native.layout import bits_of
from pvhspec.backends.native.step import Step, Told
from pvhspec.backends.protocol import Verdict
from pvhspec.ir import ir

__all__ = ["call_function"]


def call_function(
    unit: Unit,
    compiled: Compiled,
    told: Told,
    clauses: dict[str, int],
    constants: dict[str, int],
    op: ir.Operation,
    number: int,
    name: str,
    narrow: int,
) -> str:
    """The functions of an operation; `narrow`: with its structure as 32-bit callers have it.

    Most calls succeed, and are recorded with everything. For these there is one with few words,
    that leaves the row to the other as soon as anything is not so.
    """
    made = []
    plain = op.modelled and op.each is None and op.status is None
    for name_, rest in ((name, "rest"), (f"{name}.rest", None)) if plain else ((name, None),):
        t = Text(rest)
        t.label("entry")
        at = unit.layout.header.constants
        fields = HypercallFields(t, constants, at, "%row", op, narrow)
        made.append(_Call(unit, compiled, told, clauses, fields, op, number).make(name_))
    return "\n".join(made)


class _Call(Step):
    def __init__(
        self,
        unit: Unit,
        compiled: Compiled,
        told: Told,
        clauses: dict[str, int],
        fields: HypercallFields,
        op: ir.Operation,
        number: int,
    ) -> None:
        super().__init__(unit, told, clauses, fields)
        self.op, self.number = op, number
        self.call = fields
        self.disregard = compiled.disregard
        self._segments: list[tuple[str, list[str]]] = []

    def make(self, name: str) -> str:
        """Its text."""
        op, t, compiler = self.op, self.text, self.unit.compiler
        if op.each is not None or op.status is not None:  # several calls in one
            t.do("ret i32 1")
            return self.function(name)
        offered = [e for e in op.errors if compiler.open(e.gate)]
        plain = [e for e in offered if not e.after_success]
        late = [e for e in offered if e.after_success]
        ranked = sorted((e for e in plain if e.when is not None), key=lambda e: e.rank)
        ret = self.fields.column("ret")
        seen = t.invert(ret.bad)
        negative = t.op(f"icmp slt i64 {ret.text}, 0")
        small = t.op(f"icmp sgt i64 {ret.text}, -4096")
        failed = t.doubt(t.both(seen, t.both(negative, small)))
        code = t.op(f"sub i64 0, {ret.text}")

        # Which errors are due.
        alive, due_any, always = "true", "false", "true"
        outcome, matched = "0", "false"
        hidden_code, hidden_several = "0", "false"
        for rank, group in groupby(ranked, key=lambda e: e.rank):
            errors = list(group)
            here = "false"
            for e in errors:
                assert e.when is not None
                holds = t.doubt(t.both(alive, self.truth(e.when, alive)))
                if holds == "false":
                    continue
                here = t.either(here, holds)
                is_it = t.both(holds, t.op(f"icmp eq i64 {code}, {e.code}"))
                number = str(self.told.number([e.clause], Verdict.CONFORMS))
                outcome = t.choose(t.both(is_it, t.invert(matched)), 64, number, outcome)
                matched = t.either(matched, is_it)
                differs = t.op(f"icmp ne i64 {hidden_code}, {e.code}")
                had = t.op(f"icmp ne i64 {hidden_code}, 0")
                hidden_several = t.either(hidden_several, t.both(holds, t.both(differs, had)))
                hidden_code = t.choose(holds, 64, str(e.code), hidden_code)
            due_any = t.either(due_any, here)
            if rank < ir.OWN_RANK:
                always = t.both(always, t.invert(here))
            alive = t.both(alive, t.invert(here))
        owed = due_any
        for e in late:
            if e.when is not None:
                owed = t.either(owed, t.doubt(t.both(alive, self.truth(e.when, alive))))

        # What may come besides, where the result was not seen; or came.
        hidden = ret.bad
        maybe = [e for e in plain if e.when is None and (hidden, failed) != ("false", "false")]
        maybe_late = [e for e in late if e.when is None]
        came = t.both(failed, t.invert(matched))
        for e in maybe:
            if e.only is None:
                self.wrong(hidden)
                may = "true"
            else:
                is_it = t.both(came, t.op(f"icmp eq i64 {code}, {e.code}"))
                may = self.truth(e.only, t.either(hidden, is_it))
                self.wrong(t.both(hidden, may))
            is_it = t.both(t.both(came, alive), t.op(f"icmp eq i64 {code}, {e.code}"))
            hit = t.both(t.both(is_it, may), t.invert(owed))
            number = str(self.told.number([e.clause], Verdict.CONFORMS))
            outcome = t.choose(t.both(hit, t.invert(matched)), 64, number, outcome)
            matched = t.either(matched, hit)
        if maybe_late:
            self.wrong(t.both(hidden, alive))

        # Success only where no error is due.
        succeeded = t.both(alive, t.invert(failed))
        if op.modelled:
            self.wrong(t.both(failed, t.invert(matched)))
            own = "false"
        else:
            own = t.both(t.both(failed, alive), t.invert(matched))
            self.wrong(t.both(t.both(failed, due_any), t.invert(matched)))
        self.wrong(t.both(t.invert(failed), t.both(seen, owed)))
        self.wrong(t.both(hidden, t.both(alive, owed)))
        self.wrong(t.both(hidden, hidden_several))
        if op.disturbs:
            self.wrong(t.either(t.invert(failed), own))
        assigned = self._success(succeeded, seen) if op.modelled else {}
        if op.modelled:
            for u in op.updates:
                if not u.target.startswith("out."):
                    self.update(u, succeeded)
        also = list(self._assigns(op.told, always, assigned))
        for u in op.always:
            self.update(u, always)
        framed = self._frame(succeeded, assigned) if op.modelled else "false"
        self.settled()
        self.judge()

        self.write()
        header = self.unit.layout.header
        t.store(64, "%seq", t.at("%st", header.blame), 8)
        t.store(64, str(self.number), t.at("%st", header.blame + 8), 8)
        t.store(64, t.sized(t.invert(failed), 1, 64), t.at("%st", header.blame + 16), 8)
        said = [(framed, [op.frame], Verdict.CONFORMS)] if op.struct is not None else []
        if matched != "false":  # apart from success: which error it was is found out above
            self._count(said)
            said = []
            self.count(outcome, t.both(failed, matched))
        yes, no = t.both(succeeded, seen), t.both(succeeded, hidden)
        for when, clauses in self._segments:
            said.append((t.both(yes, when), clauses, Verdict.CONFORMS))
            said.append((t.both(no, when), clauses, Verdict.UNSEEN))
        for look, u in also:
            said.append((t.both(look, seen), [u.clause], Verdict.CONFORMS))
            said.append((t.both(look, hidden), [u.clause], Verdict.UNSEEN))
        self._count(said)
        t.do("ret i32 0")
        return self.function(name)

    def _count(self, said: list[tuple[str, list[str], Verdict]]) -> None:
        """Count what was said where: a clause once, and what is said in the same case is one
        outcome."""
        cases: dict[tuple[str, Verdict], str] = {}
        for when, clauses, verdict in said:
            for clause in clauses:
                one = clause, verdict
                cases[one] = self.text.either(cases.get(one, "false"), when)
        there = (one for one in cases if cases[one] != "false")
        for (when, verdict), some in groupby(there, key=lambda one: (cases[one], one[1])):
            self.count(self.told.number([clause for clause, _ in some], verdict), when)

    def _say(self, when: str, *clauses: str) -> None:
        """These clauses hold, where a condition does."""
        if self._segments and self._segments[-1][0] == when:
            self._segments[-1][1].extend(clauses)
        else:
            self._segments.append((when, list(clauses)))

    def _success(self, active: str, seen: str) -> dict[str, str]:
        """What success shows; by out field, when it is assigned."""
        op, t = self.op, self.text
        for choice in op.choices:
            shown = shows(op, choice.var)
            lowest = choice.lowest if choice.lowest not in self.disregard else None
            if lowest is None:
                self.wrong(active)
                self.exprs.vars[choice.var.name] = Val("0", bits_of(choice.var.type) or 1, "true")
                continue
            found = self.exprs.search(choice.var, choice.when, active)
            bits = bits_of(choice.var.type) or 64
            none = (
                t.op(f"icmp ugt i64 {found.text}, {(1 << bits) - 1}")
                if found.bad != "true"
                else "true"
            )
            self.wrong(t.both(active, t.either(found.bad, none)))
            value = t.sized(found.text, 64, bits)
            self.exprs.vars[choice.var.name] = Val(value, bits)
            told = "false"
            if shown == "result":
                ret = self.fields.column("ret")
                told = t.both(seen, t.op(f"icmp sge i64 {ret.text}, 0"))
                differs = t.op(f"icmp ne i64 {ret.text}, {found.text}")
                self.wrong(t.both(t.both(active, told), differs))
            elif shown is not None:
                out = self.call.get(f"out.{shown}", choice.var.type)
                told = self._was_seen(shown)
                self.wrong(t.both(t.both(active, told), out.bad))
                differs = (
                    t.op(f"icmp ne i{bits} {out.text}, {value}") if out.bits == bits else "true"
                )
                self.wrong(t.both(t.both(active, told), differs))
            self._say(told, lowest, choice.clause)
        self._say("true", op.success)
        if op.result is not None:
            want = self.exprs.expr(op.result, active)
            ret, width = self.fields.column("ret"), self.fields.column("width")
            is_wide = t.both(t.invert(width.bad), t.op(f"icmp eq i8 {width.text}, 64"))
            mask = t.choose(is_wide, 64, "-1", "4294967295")
            differs = t.op(f"xor i64 {t.sized(want.text, want.bits, 64)}, {ret.text}")
            differs = t.op(f"icmp ne i64 {t.op(f'and i64 {differs}, {mask}')}, 0")
            self.wrong(t.both(t.both(active, seen), t.either(want.bad, differs)))
            self.wrong(t.both(active, want.bad))
        assigned: dict[str, str] = {}
        for look, u in self._assigns(op.updates, active, assigned):
            self._say(look if look != active else "true", u.clause)
        for ensure in op.ensures:
            if ensure.clause in self.disregard:
                continue
            self.wrong(t.both(active, t.invert(self.truth(ensure.test, active))))
            self._say("true", ensure.clause)
        return assigned

    def _assigns(
        self, updates: tuple[ir.Update, ...], active: str, assigned: dict[str, str]
    ) -> Iterator[tuple[str, ir.Update]]:
        """Out fields are what they are to be; gives when each assignment was seen to count.
        `assigned`, by out field: when it is; those that are already are passed over."""
        t = self.text
        by_field: dict[str, list[ir.Update]] = {}
        for u in updates:
            if u.target.startswith("out.") and u.indices:  # of the elements of an array
                self.wrong(t.both(active, self._any_memory()))
            elif u.target.startswith("out."):
                by_field.setdefault(u.target.removeprefix("out."), []).append(u)
        for name, of in by_field.items():
            before = assigned.setdefault(name, "false")
            left = t.both(active, t.invert(before))
            for u in reversed(of):
                holds = t.both(left, self.truth(u.guard, left))
                assigned[name] = t.either(assigned[name], holds)
                left = t.both(left, t.invert(holds))
                look = t.both(holds, self._was_seen(name))
                if look == "false":
                    continue
                slot = next(s for s in self.op.slots if s.name == name)
                out, want = self.call.get(u.target, slot.type), self.exprs.expr(u.value, look)
                differs = (
                    t.op(f"icmp ne i{out.bits} {out.text}, {want.text}")
                    if out.bits == want.bits
                    else "true"
                )
                self.wrong(t.both(look, t.either(t.either(out.bad, want.bad), differs)))
                yield look, u

    def _was_seen(self, name: str) -> str:
        """Whether an out field was seen. Where that is not sure the event is the interpreter's."""
        slot = next((s for s in self.op.slots if s.name == name), None)
        if slot is None or slot.size[self.call.narrow] > 8:
            return "false"
        _, unsure = self.call.bytes("out")
        if unsure == "true":
            self.wrong(self._any_memory())
            return "false"
        self.wrong(t := self.text.both(unsure, self._any_memory()))
        return self.text.both(self.call.seen("out"), self.text.invert(t))

    def _any_memory(self) -> str:
        """Whether any memory was recorded with the call."""
        found = "false"
        for what in LISTS:
            bitmap = self.fields.word(WORDS[what] + 1)
            known = self.fields._once(f"any {what}", lambda b=bitmap: Val(self.fields.bit(b), 1))
            found = self.text.either(found, known.text)
        return found

    def _frame(self, succeeded: str, assigned: dict[str, str]) -> str:
        """Whether the frame is judged; a byte that should not change makes it the interpreter's."""
        op, t, call = self.op, self.text, self.call
        if call.size is None:
            return "false"
        _, unsure = call.bytes("in")
        if unsure == "true":
            self.wrong(self._any_memory())
            return "false"
        self.wrong(t.both(unsure, self._any_memory()))
        self.wrong(call.strays())
        both = t.both(call.seen("in"), call.seen("out"))
        if call.size > 64:
            if any(s.written for s in op.slots):
                self.wrong(both)
                return "false"
            pair = f"ptr {call.safe('in')}, ptr {call.safe('out')}"
            size = t.choose(both, 64, str(call.size), "0")
            self.wrong(t.op(f"call i1 @differ({pair}, i64 {size})"))
            return both
        updated = {u.target.removeprefix("out.") for u in op.updates}
        at, differs = 0, "false"
        while at < call.size:
            step = next(s for s in (8, 4, 2, 1) if at + s <= call.size)
            bits = 8 * step
            a = t.load(bits, t.at(call.safe("in"), at))
            b = t.load(bits, t.at(call.safe("out"), at))
            change = t.op(f"xor i{bits} {a}, {b}")
            for slot in op.slots:
                if not slot.written:
                    continue
                free = 0
                for byte in range(step):
                    start = slot.offset[call.narrow]
                    if start <= at + byte < start + slot.size[call.narrow]:
                        free |= 0xFF << 8 * byte
                if not free:
                    continue
                when = assigned.get(slot.name, "false")
                if slot.name not in updated:
                    when = t.either(when, succeeded)
                mask = ~free & ((1 << bits) - 1)
                change = t.op(f"and i{bits} {change}, {t.choose(when, bits, str(mask), '-1')}")
            differs = t.either(differs, t.op(f"icmp ne i{bits} {change}, 0"))
            at += step
        self.wrong(t.both(both, differs))
        return both
