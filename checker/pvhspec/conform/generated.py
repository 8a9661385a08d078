"""`pvhspec conform` with programs generated from the specification: the run as a whole.

Boots are planned by number, and a plan hangs on the seed, its number and what the plans four and
more before it were to show: so a run can be had again from its seed, however fast the machine is.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from pvhspec.backends.interpreter.compiled import compiled_for
from pvhspec.backends.machine.model import definite_spec
from pvhspec.conform.boots import Boot, boot
from pvhspec.conform.findings import Finding, found_in, save, told
from pvhspec.conform.gated import accepted
from pvhspec.conform.generate import Generated, Plan, Width, generate
from pvhspec.conform.matrix import Matrix, left_over, matrix_text
from pvhspec.conform.pool import Pool
from pvhspec.conform.reach import out_of_reach
from pvhspec.conform.shrink import Shrunk, shrink
from pvhspec.ir.ir import Spec, Version
from pvhspec.names.gates import parse_version
from pvhspec.programs import Layouts
from pvhspec.report.gate import Policy
from pvhspec.report.paint import Paint
from pvhspec.report.verdict import Selection
from pvhspec.targets import Program, TargetError, steps

__all__ = [
    "MODE",
    "Options",
    "Session",
    "heading",
    "plan_of",
    "programs",
    "release_of",
    "run_generated",
    "summary",
]

MODE = "pvh_dom0"
_LAG = 4  # plans between one and the last whose outcome it knows of
_CALLS = 1500
_RACES = (6, 15)  # of sixteen boots, those in which two vCPUs make calls at the same time
_SHRINK_MOST, _SHRINK_FOR = 3, 40.0  # findings that are shrunk, and seconds for each
_FROM_OUTSIDE = 2  # boots, one of each width, whose entry is looked at from outside as well
_PATIENCE, _LEAST_PATIENCE = 60.0, 20.0  # seconds until a boot counts as hanging
_FAILED_MOST = 3  # boots in a row that may come to nothing


@dataclass(slots=True)
class Options:
    """What was asked for. `programs` None: as many as there is time for."""

    image: str
    budget: float = 60.0
    seed: int = 0
    programs: int | None = None
    selection: Selection = field(default_factory=Selection)
    policy: Policy = field(default_factory=Policy)
    out: Path | None = None
    parallel: int | None = None
    calls: int = _CALLS
    races: bool = False
    verbose: bool = False
    say: Callable[[str], None] = lambda text: None


def plan_of(options: Options, number: int) -> Plan:
    """The plan of a boot."""
    width: Width = 64 if number % 2 == 0 else 32
    race = options.races or number % 16 in _RACES
    return Plan(
        options.seed,
        number,
        width,
        vcpus=2 if race else 1 + number // 2 % 2,
        calls=options.calls if number > 1 else min(options.calls, 1000),
        flood=number % 16 == 1,
        latch=number % 4 != 3,
        only=options.selection.only,
        race=race,
    )


@dataclass(slots=True)
class Session:
    """What a run has come to so far."""

    options: Options
    release: str = ""
    text: str = ""
    boots: list[tuple[Plan, Boot]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    generated_for: float = 0.0
    interrupted: bool = False
    version: Version = ()
    beyond: dict[str, str] = field(default_factory=dict)
    matrix: Matrix = field(default_factory=Matrix)

    @property
    def calls(self) -> int:
        """Hypercalls that were judged."""
        return sum(b.calls for _, b in self.boots)


def release_of(spec: Spec, image: str) -> tuple[str, str, Version]:
    """The release a Xen says it is, found out by starting it."""
    first = boot(spec, image, Program(), width=64, vcpus=1, selection=Selection())
    if not first.release:
        raise TargetError(f"{image} did not say which release it is", "")
    return first.release, first.text, parse_version(first.release)


def run_generated(
    spec: Spec, options: Options, paint: Paint | None, keep: Callable[[Session], None] | None = None
) -> int:
    """Generate, run, judge, shrink, and say what came of it, but not where `paint` is None; 1 where
    a finding fails. `keep` is given what came of it before anything can go wrong any more."""
    session = Session(options)
    session.release, session.text, version = release_of(spec, options.image)
    session.version = version
    if paint is not None:
        print(heading(session), flush=True)
    try:
        with Pool(options.parallel) as pool:
            _generate(spec, session, version, pool)
            session.generated_for = time.monotonic() - session.started
            _shrink(spec, session, pool)
    except KeyboardInterrupt:
        session.interrupted = True
    except (TargetError, OSError, RuntimeError) as trouble:  # what was found so far is told first
        if session.boots:
            session.interrupted = True
            _end(spec, session, paint, keep)
        raise trouble
    _end(spec, session, paint, keep)
    if session.interrupted:
        return 130
    if not session.calls:
        raise TargetError("nothing was judged: no boot came as far as its program", "")
    return int(any(f.trouble or not accepted(session, f.name) for f in session.findings))


def _end(
    spec: Spec, session: Session, paint: Paint | None, keep: Callable[[Session], None] | None
) -> None:
    """Save what was found, and tell it."""
    for finding in session.findings:
        if finding.steps:
            try:
                finding.saved = save(finding, session, Layouts(spec, finding.plan.width))
            except OSError as error:
                where = error.filename or session.options.out or "."
                print(f"pvhspec: not saved: {where}: {error.strerror}", file=sys.stderr)
    brief = (
        session.findings and not session.options.verbose
    )  # then the rest is not what it is about
    try:
        session.beyond = {} if brief else _beyond(spec, session, session.version)
    except KeyboardInterrupt:  # what was found is told all the same
        session.interrupted = True
    if keep is not None:
        keep(session)
    if paint is not None:
        print(summary(spec, session, paint), flush=True)


# ---- generating ----------------------------------------------------------------------------------


def _generate(spec: Spec, session: Session, version: Version, pool: Pool) -> None:
    options = session.options
    end = session.started + options.budget
    foretold: dict[int, Counter[str]] = {}
    for each in (spec, definite_spec(spec)):  # once, for all the processes of the pool
        compiled_for(each, version, MODE).make_all()
    number, failed, ended = 0, 0, False
    while True:
        while pool.room and not ended:
            known = max(0, number - _LAG + 1)
            over = options.programs is not None and number >= options.programs
            if over or (number and time.monotonic() + _typical(session) > end):
                ended = True
                break
            if any(n not in foretold for n in range(known)):
                break
            seen: Counter[str] = Counter()
            for n in range(known):
                seen.update(foretold[n])
            plan = plan_of(options, number)
            timeout = _patience(session)
            pool.start(plan, partial(_one, spec, options, version, plan, seen, timeout))
            number += 1
        if not pool.busy:
            return
        for plan, result in pool.next():
            if isinstance(result, Exception):
                failed += 1
                foretold[plan.number] = Counter()
                session.lost.append(f"boot {plan.number}: {result}")
                if failed > _FAILED_MOST or isinstance(result, RuntimeError):
                    raise result
                continue
            made, came = result
            failed = 0
            foretold[plan.number] = made
            _take(spec, session, plan, came)
            failing = any(not accepted(session, f.name) for f in session.findings)
            if failing and time.monotonic() > session.started + 0.6 * options.budget:
                ended = True


def _typical(session: Session) -> float:
    """About how long a boot takes from plan to verdict."""
    return max((b.whole for _, b in session.boots[-6:]), default=0.0)


def _patience(session: Session) -> float:
    """Seconds after which a boot hangs: many times what one has taken so far."""
    ended = [b.seconds for _, b in session.boots if not b.trouble]
    return min(_PATIENCE, max(_LEAST_PATIENCE, 8 * max(ended))) if ended else _PATIENCE


def _one(
    spec: Spec, options: Options, version: Version, plan: Plan, seen: Counter[str], timeout: float
) -> tuple[Counter[str], Boot]:
    """In a process of its own: one boot's program, made, run and judged."""
    started = time.monotonic()
    made = generate(spec, version, MODE, plan, seen)
    came = boot(
        spec, options.image, made.program, width=plan.width, vcpus=plan.vcpus,
        selection=options.selection, timeout=timeout, outside=plan.number < _FROM_OUTSIDE,
    )  # fmt: skip
    if came.names:
        came.steps = made.program.steps
    came.whole = time.monotonic() - started
    return made.counts, came


def _take(spec: Spec, session: Session, plan: Plan, came: Boot) -> None:
    session.boots.append((plan, came))
    session.matrix.add(came)
    if came.cut:
        session.lost.append(f"boot {plan.number} was cut short: {came.cut}")
    known = {f.name for f in session.findings}
    new = found_in(plan, came, known, partial(accepted, session))
    session.findings += new
    more = f", {len(session.findings)} findings" if session.findings else ""
    session.options.say(f"{session.calls:,} hypercalls in {len(session.boots)} boots{more}")


# ---- shrinking -----------------------------------------------------------------------------------


def _shrink(spec: Spec, session: Session, pool: Pool) -> None:
    failing = [f for f in session.findings if f.trouble or not accepted(session, f.name)]
    for finding in failing[:_SHRINK_MOST]:
        session.options.say(f"shrinking the program that shows {finding.name}")
        plan, timeout = finding.plan, _patience(session) / 2

        def run(
            candidate: Sequence[steps.Step], plan: Plan = plan, timeout: float = timeout
        ) -> Boot:
            return boot(
                spec, session.options.image, Program(tuple(candidate)), width=plan.width,
                vcpus=plan.vcpus, selection=session.options.selection, timeout=timeout,
            )  # fmt: skip

        until = time.monotonic() + _SHRINK_FOR
        because = finding.broken.because if finding.broken is not None else ()

        def better(shrunk: Shrunk, finding: Finding = finding) -> None:
            finding.shrunk = shrunk

        shrink(finding.steps, finding.name, run, pool, until, because, better)
        finding.tried = True


def programs(
    spec: Spec, options: Options, version: Version, mode: str = MODE
) -> Iterator[Generated]:
    """The programs of a run, one boot's worth after the other: what its seed says they are."""
    made: list[Counter[str]] = []
    while True:
        seen: Counter[str] = Counter()
        for counts in made[: max(0, len(made) - _LAG + 1)]:
            seen.update(counts)
        result = generate(spec, version, mode, plan_of(options, len(made)), seen)
        made.append(result.counts)
        yield result


# ---- telling -------------------------------------------------------------------------------------


def _beyond(spec: Spec, session: Session, version: Version) -> dict[str, str]:
    """The clauses that the guest cannot come to, with the reasons; only after a whole run."""
    if session.interrupted or session.options.programs is not None:
        return {}
    givens = [boot.given for _, boot in session.boots]
    same = {
        name: table
        for name, table in (givens[0] if givens else {}).items()
        if all(given.get(name) == table for given in givens)
    }
    left = left_over(spec, session.matrix, version, MODE, session.options.selection)
    session.options.say(f"looking for a way to {len(left)} clauses that never came up")
    same.pop("vcpu_exists", None)  # a run makes guests with one vCPU and with more
    matrix = session.matrix
    exercised = matrix.conforms + matrix.violates + matrix.shown
    vendor = next((b.vendor for _, b in session.boots if b.vendor is not None), None)
    return out_of_reach(spec, left, version, MODE, same, exercised, vendor)


def heading(session: Session) -> str:
    """What is run, from which seed, and for how long."""
    options = session.options
    much = f"{options.budget:g} s" if options.programs is None else f"{options.programs} programs"
    return f"{session.text}: seed {options.seed}, {much}"


def summary(spec: Spec, session: Session, paint: Paint) -> str:
    """What came of a run, for people."""
    options = session.options
    lines: list[str] = []
    for finding in session.findings:
        layouts = Layouts(spec, finding.plan.width) if finding.steps else None
        lines += [*told(finding, session, spec, layouts, paint), ""]
        if finding.saved is not None:
            lines[-1:] = [f"  {paint('again', 'blue')}     pvhspec conform --xen {options.image} "
                          f"--replay {finding.saved}", ""]  # fmt: skip
    lines += [paint(f"lost: {text}", "yellow") for text in session.lost]
    cover = matrix_text(spec, session.matrix, session.version, MODE, options.selection,
                        session.beyond, paint, verbose=options.verbose)  # fmt: skip
    lines += islice(cover, 1) if session.findings and not options.verbose else cover
    seconds = session.generated_for or time.monotonic() - session.started
    count = len(session.findings)
    verdict = f"{count} finding{'s' if count != 1 else ''}" if count else "no violation"
    stopped = ", interrupted" if session.interrupted else ""
    lines.append(
        f"{paint(verdict, 'red' if count else 'green')}: {session.calls:,} hypercalls in "
        f"{len(session.boots)} boots, {seconds:.0f} s{stopped}; again with --seed {options.seed}"
    )
    return "\n".join(lines)
