"""Two builds, the same programs: every difference a guest can see, and what is to be said of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pvhspec.backends.protocol import Verdict
from pvhspec.conform.boots import Boot, judged
from pvhspec.conform.generate import Plan, generate
from pvhspec.conform.generated import MODE, Options, plan_of, release_of
from pvhspec.conform.pool import Pool
from pvhspec.ir.ir import Spec, Version
from pvhspec.report.paint import Paint, wrapped
from pvhspec.targets import Program, capture_xen
from pvhspec.traces import Event

__all__ = ["Difference", "differences", "run_against"]

_TIME_LEAF = 0x40000003  # CPUID: the TSC, other at every boot
# Times; and argument registers need not survive a call.
_NOT_COMPARED = ("ts_call", "clobbered")
_CLOCKS = ("HVMOP_get_time", "VCPUOP_get_runstate_info")  # what they answer is a time

_GENERAL = "hypercall.convention.result."  # what is said of every call

Key = tuple[int, int, str]


@dataclass(slots=True)
class _Seen:
    """An event as the guest saw it, the clauses it was judged by, and those it violates."""

    what: str
    fields: dict[str, Any]
    clauses: tuple[str, ...]
    broken: tuple[str, ...]


@dataclass(slots=True)
class Difference:
    """What one build shows and the other does not: how often, and the first time in words.

    `broken` are the clauses violated by the first and by the second build; where there are none
    the specification allows both, by `clauses`.
    """

    what: str
    first: str
    second: str
    clauses: tuple[str, ...]
    broken: tuple[tuple[str, ...], tuple[str, ...]]
    where: str = ""
    count: int = 1


def run_against(spec: Spec, options: Options, other: str, paint: Paint) -> int:
    """Run the same programs on two builds and tell where they differ; 1 where one violates."""
    names = (options.image, other)
    releases = [release_of(spec, image) for image in names]
    for name, (_, text, _) in zip(names, releases, strict=True):
        print(f"{name}: {text}", flush=True)
    print(f"seed {options.seed}", flush=True)
    found: dict[tuple[Any, ...], Difference] = {}
    ends: list[str] = []
    calls = boots = number = 0
    end, longest, stopped = time.monotonic() + options.budget, 0.0, False
    try:
        with Pool(options.parallel) as pool:
            while True:
                while pool.room:
                    over = options.programs is not None and number >= options.programs
                    if over or (number and time.monotonic() + longest > end):
                        break
                    # Two vCPUs at once differ from run to run; here only builds are to.
                    plan = replace(plan_of(options, number), race=False)
                    work = partial(_pair, spec, plan, names, releases[0][2])
                    pool.start(plan, work)
                    number += 1
                if not pool.busy:
                    break
                for plan, result in pool.next():
                    if isinstance(result, Exception):
                        raise result
                    new, count, trouble, took = result
                    calls, boots, longest = calls + count, boots + 1, max(longest, took)
                    ends += [f"boot {plan.number}: {text}" for text in trouble]
                    for difference in new:
                        _merge(found, difference)
                    options.say(f"{boots} programs on each, {len(found)} differences")
    except KeyboardInterrupt:
        stopped = True
    bad = any(any(d.broken) for d in found.values()) or bool(ends)
    for line in _told(found, ends, paint):
        print(line)
    how = ", interrupted" if stopped else ""
    print(
        f"{len(found)} kinds of difference; {boots} programs on each, {calls:,} hypercalls "
        f"compared{how}; again with --seed {options.seed}"
    )
    return 130 if stopped else int(bad)


def _pair(
    spec: Spec, plan: Plan, images: tuple[str, str], version: Version
) -> tuple[list[Difference], int, list[str], float]:
    """In a process of its own: one program on both builds."""
    started = time.monotonic()
    made = generate(spec, version, MODE, plan, Counter())
    first, ended = _one(spec, images[0], made.program, plan)
    second, ended_too = _one(spec, images[1], made.program, plan)
    found = list(differences(first, second, f"boot {plan.number}"))
    trouble = [f"{i}: {t}" for i, t in zip(images, (ended, ended_too), strict=True) if t]
    calls = sum(1 for key in first if key in second and key[2] == "hypercall")
    return found, calls, trouble, time.monotonic() - started


def _one(spec: Spec, image: str, program: Program, plan: Plan) -> tuple[dict[Key, _Seen], str]:
    from pvhspec.report.verdict import Selection

    capture = capture_xen(image, program, width=plan.width, vcpus=plan.vcpus, outside=False,
                          timeout=60.0)  # fmt: skip
    boot, seen = Boot(), dict[Key, _Seen]()
    count: Counter[tuple[int, str]] = Counter()
    names = {(op.number, op.command): op.name for op in spec.operations}
    for event, said in judged(spec, capture, Selection(), boot):
        if event.step is None or event.kind in ("note", "end"):
            continue
        count[event.step, event.kind] += 1
        key = (event.step, count[event.step, event.kind], event.kind)
        broken = tuple(j.clause for j in said if j.verdict is Verdict.VIOLATES)
        general = tuple(j.clause for j in said if j.clause.startswith(_GENERAL))
        clauses = tuple(dict.fromkeys(j.clause for j in said if j.clause not in general))
        what = _what(event, names)
        seen[key] = _Seen(what, _fields(event, what), clauses or general, broken)
    return seen, boot.trouble or boot.cut


def _what(event: Event, names: dict[tuple[int | None, int | None], str]) -> str:
    if event.kind == "hypercall":
        number, args = event.get("nr"), event.get("args") or (None,)
        return names.get((number, args[0]), f"hypercall {number}")
    leaf = event.get("leaf") if event.kind == "cpuid" else event.get("index")
    return event.kind if leaf is None else f"{event.kind} {leaf:#x}"


def _fields(event: Event, what: str) -> dict[str, Any]:
    if event.kind in ("time", "wallclock") or (
        event.kind == "cpuid" and event.get("leaf") == _TIME_LEAF
    ):
        return {}
    left_out = {*_NOT_COMPARED, *(("out",) if what in _CLOCKS else ())}
    return {name: v for name, v in event.fields.items() if name not in left_out}


def differences(
    first: dict[Key, _Seen], second: dict[Key, _Seen], where: str
) -> Iterator[Difference]:
    """What differs between two runs of one program, as far as both were judged."""
    for key, one in first.items():
        other = second.get(key)
        if other is None or one.fields == other.fields:
            continue
        kept = dict.fromkeys(
            n for n in (*one.fields, *other.fields) if one.fields.get(n) != other.fields.get(n)
        )
        texts = ["; ".join(_short(n, s.fields.get(n), o.fields.get(n)) for n in kept)
                 for s, o in ((one, other), (other, one))]  # fmt: skip
        clauses = tuple(dict.fromkeys((*one.clauses, *other.clauses)))
        yield Difference(one.what, texts[0], texts[1], clauses, (one.broken, other.broken),
                         f"{where}, step {key[0]}")  # fmt: skip


def _short(name: str, value: Any, other: Any) -> str:
    """A field, of memory only what differs."""
    if name == "out" and value and other and len(value) == len(other):
        for (start, mine), (_, theirs) in zip(value, other, strict=True):
            at = [i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b]
            if at:
                part = mine[at[0] : at[-1] + 1][:24]
                return f"memory at {start + at[0]:#x} = {part.hex()}"
    text = f"{name} = {value:#x}" if isinstance(value, int) and value > 9 else f"{name} = {value}"
    return text if len(text) <= 100 else f"{text[:97]}…"


def _merge(found: dict[tuple[Any, ...], Difference], new: Difference) -> None:
    key = (new.what, new.broken, new.first if "ret =" in new.first[:6] else "", tuple(new.clauses))
    if key in found:
        found[key].count += 1
    else:
        found[key] = new


def _told(found: dict[tuple[Any, ...], Difference], ends: list[str], paint: Paint) -> Iterator[str]:
    for text in ends:
        yield paint(f"did not end well: {text}", "red")
    for d in sorted(found.values(), key=lambda d: (not any(d.broken), d.what)):
        mark = paint("violation", "red") if any(d.broken) else paint("allowed", "green")
        times = f"{d.count} time{'s' if d.count > 1 else ''}"
        yield f"{mark} {paint(d.what, 'bold')}, {times}, first in {d.where}"
        yield f"  {wrapped(f'first build:  {d.first}', 4)}"
        yield f"  {wrapped(f'second build: {d.second}', 4)}"
        for name, broken in zip(("first", "second"), d.broken, strict=True):
            if broken:
                yield f"  the {name} violates {', '.join(broken)}"
        if not any(d.broken):
            more = ", …" if len(d.clauses) > 4 else ""
            by = ", ".join(d.clauses[:4]) + more if d.clauses else "nothing says what it has to be"
            yield f"  {wrapped(f'by: {by}', 4)}"
