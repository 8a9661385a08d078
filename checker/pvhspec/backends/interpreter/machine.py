"""The reference interpreter: an execution, event by event, against the specification.

Obvious before fast: every other backend must agree with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from pvhspec.backends.interpreter.blame import Blame, related
from pvhspec.backends.interpreter.compiled import Compiled
from pvhspec.backends.interpreter.explain import assumptions, cells_shown, instance_shown
from pvhspec.backends.interpreter.initial import initial_store
from pvhspec.backends.interpreter.obligation import Debts
from pvhspec.backends.interpreter.observation import MOST_OPEN, Requirement, Watcher
from pvhspec.backends.interpreter.operation import Outcome, Stepper, answered
from pvhspec.backends.interpreter.path import Explored, Path, explore
from pvhspec.backends.interpreter.store import Kept, Store
from pvhspec.backends.interpreter.values import ANY
from pvhspec.backends.protocol import Call, Finding, Judgement, Seen, Verdict
from pvhspec.ir.ir import Operation, Spec, Update
from pvhspec.names.gates import Version

__all__ = ["Carried", "Look", "Machine"]

# A part of a step, which can be looked at again in another state, with other fields of the event.
Look: TypeAlias = Callable[[Store, Mapping[str, Any]], Explored]


@dataclass(slots=True)
class Carried:
    """What is left of an execution where events are missing: cells of states that are given, and
    what is remembered for telling whose doing a violation is."""

    cells: Kept
    blame: Blame


class Machine:
    """One execution under judgement.

    `authority` `documented` passes over clauses that only an implementation promises. `given`
    are facts of the state at the start, as in the header of a trace; None in an example, where
    the specification's own hold. `from_boot` False: the state at the start is unknown.
    `all_domains` False: other domains do what is not shown here.
    `compiled` saves making the same anew for every execution.
    """

    def __init__(
        self,
        spec: Spec,
        version: Version,
        mode: str,
        *,
        authority: str = "implemented",
        given: dict[str, dict[str, Any]] | None = None,
        from_boot: bool = True,
        all_domains: bool = True,
        compiled: Compiled | None = None,
    ) -> None:
        self.spec = spec
        self._compiled = compiled or Compiled(spec, version, mode, authority)
        self._disregard = self._compiled.disregard
        self.store = initial_store(spec, self._compiled.compiler, given, from_boot, all_domains)
        self._debts = Debts(spec.obligations, self._compiled.compiler)
        self._blame = Blame()

    def feed(self, seen: Seen, done: int = 0) -> Iterator[Judgement]:
        """Judge one event, and go on to the state after it. `done`: so many of its parts, the call
        and then the `on` blocks, were judged elsewhere."""
        if seen.call is not None and not done:
            yield from self._call(seen, seen.call)
        for watcher in self._compiled.watchers(seen.kind)[max(done - 1, 0) :]:
            yield from self._watch(seen, watcher)
        yield from self._debts.after(seen, self.store)

    def fork(self, compiled: Compiled | None = None) -> Machine:
        """Another execution that is like this one so far, and goes on by itself; `compiled`: where
        other rules hold, and the state at the start would have been the same."""
        other = copy(self)
        if compiled is not None:
            other._compiled, other._disregard = compiled, compiled.disregard
        other.store = self.store.fork()
        other._debts = self._debts.fork()
        other._blame = self._blame.fork()
        return other

    def is_as(self, other: Machine) -> bool:
        """Whether the same is known, so that the same will be said of whatever comes."""
        return (
            self.store.saved() == other.store.saved() and self._debts.open() == other.open_debts()
        )

    def join(self, other: Machine) -> None:
        """Go on as whichever of the two it was that happened."""
        self.store.join(other.store)
        self._debts.join(other._debts)

    def forget(self) -> None:
        """Events may be missing here: nothing that could have changed is known any more."""
        self._lost(name for name, state in self.spec.states.items() if not state.given)
        self.store.unwrite()
        self._debts.forget()

    def carried(self) -> Carried:
        """What is known that not even missing events make unknown."""
        given = {name for name, state in self.spec.states.items() if state.given}
        return Carried(self.store.kept(given), self._blame.fork())

    def carry(self, carried: Carried) -> None:
        """Begin with what an execution before this one has left."""
        self.store.keep(carried.cells)
        self._blame = carried.blame.fork()

    def open_debts(self) -> list[tuple[str, int]]:
        """Obligations that were still open at the end: clause, and the event that opened it."""
        return self._debts.open()

    def _looked(self, seen: Seen, clause: str | None, look: Look, found: Explored) -> None:
        """Whatever hangs on the state is told here before it counts, for those who keep a record:
        a call, what an event changes, and what a clause requires of it."""

    def _lost(self, states: Iterable[str]) -> None:
        """Nothing is known of these states any more."""
        for state in states:
            self.store.lose(state)

    # ---- hypercalls ----------------------------------------------------------------------------

    def _call(self, seen: Seen, call: Call) -> Iterator[Judgement]:
        op, stepper = call.operation, self._compiled.stepper(call.operation)

        def run(store: Store, fields: Mapping[str, Any]) -> Explored:
            return explore(store, fields, lambda p: stepper.step(p, call))

        found = run(self.store, seen.fields)
        if found.overflow:
            found = self._overflowed(seen, call, found)
        self._looked(seen, None, run, found)
        self._blame.called(seen.seq, op, not answered(op, call.ret, seen.fields))
        if found.overflow:
            self._left_open(stepper, seen, call)
            yield self._unseen(op.success, seen, ("too many possibilities",))
            return
        if not found.ways:
            path, why = _most_blamed(found)
            state = cells_shown(path, self.spec, self.store)
            why = related(why, self._blame.of_answer(op, path, self.store))
            self._doubt(path)
            self._resume(stepper, seen, call)
            if why.clause not in self._disregard:
                yield Judgement(why.clause, Verdict.VIOLATES, seen.seq, seen.origin, why, state)
            return
        if op.modelled:
            yield from self._frame(seen, call, [outcome for _, outcome in found.ways])
        self._take_over(found, seen.seq)
        if op.disturbs and not (call.ret is not None and call.ret < 0 and found.ways[0][1].clauses):
            self._disturb(op)
        yield from self._told(seen, call, found)

    def _left_open(self, stepper: Stepper, seen: Seen, call: Call) -> None:
        """It stays open which way a call went: what it answered tells what it changed."""
        self._resume(stepper, seen, call)
        if call.operation.disturbs:
            self._disturb(call.operation)

    def _overflowed(self, seen: Seen, call: Call, found: Explored) -> Explored:
        """There are too many ways to follow: what is made of that."""
        return found

    def _told(self, seen: Seen, call: Call, found: Explored) -> Iterator[Judgement]:
        """What the event says of each clause it was about."""
        if not call.operation.modelled and not found.ways[0][1].clauses:
            return
        code = answered(call.operation, call.ret, seen.fields)
        settled = code is not None and not found.overflow and not found.failed
        clauses = dict.fromkeys(c for _, outcome in found.ways for c in outcome.clauses)
        for clause in clauses:
            if settled and all(clause in outcome.clauses for _, outcome in found.ways):
                yield Judgement(clause, Verdict.CONFORMS, seen.seq, seen.origin)
            else:
                ways = [p for p, outcome in found.ways if clause in outcome.clauses]
                yield self._unseen(clause, seen, assumptions(ways))

    def _unseen(self, clause: str, seen: Seen, assumed: tuple[str, ...]) -> Judgement:
        return Judgement(clause, Verdict.UNSEEN, seen.seq, seen.origin, assumed=assumed)

    def _take_over(self, found: Explored, seq: int) -> None:
        self.store.merge([p.outcome() for p, _ in found.ways], seq)
        self.store.blur(p for p, _ in found.ways)

    def _resume(self, stepper: Stepper, seen: Seen, call: Call) -> None:
        """Go on from what was answered, right or wrong, and forget what that makes doubtful."""
        op = call.operation
        code = answered(op, call.ret, seen.fields)
        if code is None or code in {e.code for e in op.errors if e.after_success}:
            self._lose(op, seen)
            return
        if code or (call.ret is not None and call.ret < 0):
            self._lose_all(op.always)
            return
        found = explore(self.store, seen.fields, lambda p: stepper.force(p, call))
        if found.ways and not found.overflow:
            self._take_over(found, seen.seq)
        else:
            self._lose(call.operation, seen)

    def _doubt(self, path: Path) -> None:
        """What a violation contradicts may not be so: the cells it hangs on are unknown now."""
        for state, index in path.cells:
            if not self.spec.states[state].given:
                self.store.write(state, index, ANY)

    def _lose(self, op: Operation, seen: Seen) -> None:
        """Nothing is known of what the operation may have changed."""
        self._lose_all((*op.updates, *op.always))

    def _lose_all(self, updates: tuple[Update, ...]) -> None:
        self._lost({u.target for u in updates if not u.target.startswith("out.")})

    def _disturb(self, op: Operation) -> None:
        self._lost(self.spec.states if "*" in op.disturbs else op.disturbs)

    def _frame(self, seen: Seen, call: Call, outcomes: list[Outcome]) -> Iterator[Judgement]:
        """The caller's memory: only what the operation writes may have changed."""
        op = call.operation
        if call.strayed:
            places = ", ".join(f"{a:#x}" for a in call.strayed[:4])
            finding = Finding(op.frame, f"changed outside the structure: {places}", "no change")
            yield Judgement(op.frame, Verdict.VIOLATES, seen.seq, seen.origin, finding)
            return
        if call.before is None or call.after is None:
            return
        free = [self._free(op, o, seen.fields.get("width") == 32) for o in outcomes]
        pairs = enumerate(zip(call.before, call.after, strict=False))
        changed = [i for i, (a, b) in pairs if a != b]
        least = min(([i for i in changed if i not in f] for f in free), key=len)
        if least:
            changed = least
            what = f"bytes {', '.join(map(str, changed[:8]))} of the structure changed"
            finding = Finding(op.frame, what, "no change")
            yield Judgement(op.frame, Verdict.VIOLATES, seen.seq, seen.origin, finding)
        elif any(i not in f for f in free for i in changed):
            yield self._unseen(op.frame, seen, ())
        elif op.struct is not None:
            yield Judgement(op.frame, Verdict.CONFORMS, seen.seq, seen.origin)

    @staticmethod
    def _free(op: Operation, outcome: Outcome, narrow: bool) -> set[int]:
        """The bytes of the structure that an operation may change, if it went that way."""
        free: set[int] = set()
        updated = {u.target.removeprefix("out.") for u in op.updates}
        for slot in op.slots:
            left = outcome.effects and slot.name not in updated
            if slot.written and (slot.name in outcome.assigned or left):
                at = slot.offset[narrow]
                free.update(range(at, at + slot.size[narrow]))
        return free

    # ---- other events --------------------------------------------------------------------------

    def _watch(self, seen: Seen, watcher: Watcher) -> Iterator[Judgement]:
        applies = watcher.applies(self.store, seen.fields)
        if applies is False:
            return
        for requirement in watcher.requirements:
            if requirement.clause in self._disregard or requirement.closed:
                continue
            if applies is None:
                yield self._unseen(requirement.clause, seen, ())
                continue
            yield self._required(seen, requirement)
        if applies is None:
            self._lost({u.target for u in watcher.block.updates})
            return
        for clause in watcher.undefined:
            yield Judgement(clause, Verdict.CONFORMS, seen.seq, seen.origin)
        if not watcher.block.updates:
            return
        found = watcher.changes(self.store, seen.fields)
        self._looked(seen, None, watcher.changes, found)
        if found.overflow:
            self._lost({u.target for u in watcher.block.updates})
        else:
            self._take_over(found, seen.seq)

    def _required(self, seen: Seen, requirement: Requirement) -> Judgement:
        worst = Judgement(requirement.clause, Verdict.CONFORMS, seen.seq, seen.origin)
        left_open = 0

        def thorough() -> bool:
            return left_open <= MOST_OPEN

        for instance in requirement.instances(self.store, seen.fields, thorough):
            look = partial(requirement.rerun, instance=instance)
            self._looked(seen, requirement.clause, look, instance.explored)
            if not instance.certain and instance.possible:
                left_open += 1
            if not instance.possible:
                path = instance.explored.ways[0][0]
                state = cells_shown(path, self.spec, self.store)
                finding = instance_shown(self.spec, seen, self.store, requirement, instance)
                to_blame = self._blame.of_look(requirement, path, self.store)
                finding = related(finding, to_blame)
                self._doubt(path)
                if worst.verdict is not Verdict.VIOLATES:
                    worst = Judgement(
                        requirement.clause, Verdict.VIOLATES, seen.seq, seen.origin, finding, state
                    )
                continue
            kept = [p for p, holds in instance.explored.ways if holds]
            if kept and not instance.explored.overflow:
                self.store.merge([p.outcome() for p in kept], seen.seq)
            if not instance.certain and worst.verdict is Verdict.CONFORMS:
                worst = self._unseen(requirement.clause, seen, assumptions(kept))
        if worst.verdict is not Verdict.VIOLATES:
            self._blame.held(requirement.clause, seen.seq)
        return worst


def _most_blamed(found: Explored) -> tuple[Path, Finding]:
    """The way to tell a violation by: of the clause that most of the ways fail at."""
    blame = Counter(why.clause for _, why in found.failed)
    return max(found.failed, key=lambda way: blame[way[1].clause])
