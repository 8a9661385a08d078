"""Each difference between two readings, and whether a guest can see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import z3

from pvhspec.backends.difference.clauses import Difference, Part, Side, differences, with_clause
from pvhspec.backends.difference.twin import Focus
from pvhspec.backends.difference.twins import Apart, Pair
from pvhspec.backends.solver.combos import expressions
from pvhspec.backends.solver.ground import Frame, Ground, Unsupported
from pvhspec.backends.solver.obligation import Search
from pvhspec.backends.solver.parallel import Job, run_all
from pvhspec.backends.solver.reach import reads_of
from pvhspec.backends.solver.views import AnyState
from pvhspec.ir.ir import Expr, Operation, Var

__all__ = ["DEPTH", "Told", "compare", "foci"]

DEPTH = 3  # calls before the one that tells
_FOR_PROOF = 2.0  # seconds

Status = Literal["prose", "equivalent", "apart", "not visible", "open"]


@dataclass(frozen=True, slots=True)
class Told:
    """A difference, and what a guest sees of it.

    `prose`: only words, authority or citations differ. `equivalent`: what it says is written
    otherwise, and proved to mean the same in every state. `apart`: these calls show it. `not
    visible`: no program can show it, for `why`. `open`: none was found, for `why`.
    """

    difference: Difference
    status: Status
    apart: Apart | None = None
    why: str = ""


def compare(
    a: Side,
    b: Side,
    *,
    only: Collection[str] = (),
    depth: int = DEPTH,
    budget: float = 20.0,
    jobs: int | None = None,
    cache: bool = True,
    done: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Told]:
    """All differences, or those of the clauses that one of the patterns `only` names. `budget` is
    in seconds, for each."""
    pair = Pair(a, b)
    found = differences(a, b)
    if only:
        found = [d for d in found if any(fnmatchcase(d.clause, p) for p in only)]
    whole = tuple(
        (s.where, s.spec.operations, s.spec.observations, s.spec.states, s.spec.hypercalls)
        for s in (a, b)
    )
    work = [
        Job(d.clause, None, (), (whole, d, depth, budget), _asked(pair, d, depth, budget))
        for d in found
    ]
    return [result for result, _, _ in run_all(work, jobs, cache, done)]


def _asked(pair: Pair, d: Difference, depth: int, budget: float) -> Callable[[], Told]:
    return lambda: _visible(pair, d, depth, budget)


def _visible(pair: Pair, d: Difference, depth: int, budget: float) -> Told:
    """A difference is looked for by itself first, so that no other is what a program shows; but
    what is found has to tell the two sides as they are."""
    if d.kind == "prose":
        return Told(d, "prose")
    unseen = _never(d)
    if unseen:
        return Told(d, "not visible", why=unseen)
    if d.kind == "meaning" and _equivalent(pair, d):
        return Told(d, "equivalent")
    alone = with_clause(pair.a, pair.b, d.clause)
    if alone is not None:
        by_itself = _searched(Pair(pair.a, alone), d, depth, budget / 2)
        real = None if by_itself.apart is None else pair.checked(by_itself.apart)
        if real is not None:
            return Told(d, "apart", real)
    return _searched(pair, d, depth, budget / 2)


def _searched(pair: Pair, d: Difference, depth: int, budget: float) -> Told:
    why = "nothing that a program does shows it"
    asked = [(f, least, back) for f, least in foci(pair, d) for back in _ways_round(d, f)]
    sided: Apart | None = None
    for number, (focus, least, back) in enumerate(asked):
        sides = Pair(pair.b, pair.a) if back else pair
        share = budget / (len(asked) - number)
        found = sides.apart(focus, range(least, depth + 1), share)
        if not isinstance(found, Apart):
            why = found
            continue
        apart = found.swapped() if back else found
        if sided is not None and apart.by_second != sided.by_second and sided.last == apart.last:
            apart = replace(apart, both=True)
        if apart.both:
            return Told(d, "apart", apart)
        sided = sided or apart
    if sided is not None:
        return Told(d, "apart", sided)
    answers = {p.kind for p in (*d.before, *d.after)} <= {"error", "ensure", "require"}
    if answers and all((Pair(pair.b, pair.a) if back else pair).never(f, _FOR_PROOF)
                       for f, _, back in asked):  # fmt: skip
        return Told(d, "not visible", why="proved: in no state does any answer differ by it")
    return Told(d, "open", why=why)


def _ways_round(d: Difference, focus: Focus) -> tuple[bool, ...]:
    """Whether to ask what the second side does not allow of the first's answers (False), or the
    other way round: a clause that is of one side only forbids there alone."""
    tests = any(p.kind in ("ensure", "require") for p in (*d.before, *d.after))
    if not tests or focus.clause is None:
        return (False,)
    return {"added": (False,), "removed": (True,)}.get(d.kind, (False, True))


def _never(d: Difference) -> str:
    """Why a guest can never see a difference, by what kind of clause it is of; empty if it may."""
    parts = (*d.before, *d.after)
    kinds = {p.kind for p in parts}
    if kinds == {"error"} and all(p.what[2] for p in parts):
        return "Xen may return it at any time, and need not"
    if kinds == {"invariant"}:
        return "it says nothing that does not follow from what the operations do"
    if kinds == {"undefined"}:
        return "it leaves open what an event shows"
    return ""


def foci(pair: Pair, d: Difference) -> Iterator[tuple[Focus, int]]:
    """Where to look, and how many calls come before at the least."""
    seen: set[Focus] = set()
    targets: set[str] = set()
    for part in (*d.before, *d.after):
        clause = d.clause if part.kind in ("error", "ensure", "require") else None
        if part.kind in ("error", "ensure", "require", "success", "choice", "lowest", "update"):
            focus = Focus(part.item, clause)
            if focus not in seen:
                seen.add(focus)
                yield focus, 0
        if part.kind in ("update", "always") and not str(part.what[0]).startswith("out."):
            targets.add(str(part.what[0]))
            for reader in _readers(pair, targets):
                focus = Focus(reader, None, part.item)
                if focus not in seen:
                    seen.add(focus)
                    yield focus, 1
        if part.kind == "state":
            for reader in _readers(pair, {part.item}):
                yield Focus(reader), 0


def _readers(pair: Pair, states: set[str]) -> Iterator[str]:
    """What may answer otherwise by these states: events that show them first."""
    items = sorted(pair.first.values(), key=lambda i: isinstance(i, Operation))
    for item in items:
        shows = not isinstance(item, Operation) and item.requires
        if (shows or isinstance(item, Operation)) and reads_of(expressions(item)) & states:
            yield item.id


# ---- meaning the same ----------------------------------------------------------------------------


def _equivalent(pair: Pair, d: Difference) -> bool:
    """Whether it is proved that both say the same in every state, of every event."""
    if len(d.before) != len(d.after):
        return False
    ground = Ground(pair.a.spec.states)
    differing = []
    try:
        for x, y in zip(d.before, d.after, strict=True):
            if (x.kind, x.item, x.what) != (y.kind, y.item, y.what):
                return False
            if len(x.tests) != len(y.tests):
                return False
            differing += _differing(ground, x, y)
        ground.constraints.append(z3.Or(*differing))
        answer, _ = Search(ground, _FOR_PROOF).run([])
    except (Unsupported, KeyError, z3.Z3Exception):
        return False
    return answer is False


def _differing(ground: Ground, x: Part, y: Part) -> list[object]:
    names = {}
    frames = []
    view = AnyState(ground, "")
    for a, b in zip(x.tests, y.tests, strict=True):
        if isinstance(a, Var) and isinstance(b, Var) and a.name not in names:
            names[a.name] = names[b.name] = ground.fresh(a.name, a.type)
    frames = [Frame("event.", view, {}, dict(names)) for _ in range(2)]
    frames[1].inputs = frames[0].inputs
    pairs: list[tuple[Expr, Expr]] = [
        (a, b) for a, b in zip(x.tests, y.tests, strict=True) if not isinstance(a, Var)
    ]
    return [ground.expr(a, frames[0]) != ground.expr(b, frames[1]) for a, b in pairs]
