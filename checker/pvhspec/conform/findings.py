"""What a generated run found wrong: told in full, and saved so that it can be run again."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pvhspec.conform.boots import Boot, Broken
from pvhspec.conform.generate import Plan
from pvhspec.conform.shrink import Shrunk
from pvhspec.ir.ir import Spec
from pvhspec.programs import Layouts, show_program
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.source import citation_text, clause_place
from pvhspec.targets.steps import Program, Step

if TYPE_CHECKING:
    from pvhspec.conform.generated import Session

__all__ = ["Finding", "found_in", "save", "told"]

_CONSOLE = 14  # last lines of the console that are shown
_PROGRAM = 40  # lines of a program that are shown


@dataclass(slots=True)
class Finding:
    """A clause that was violated, or a crash or a hang (`name`), and the steps up to there.

    `tried`: shortening them has come to its end. `saved`: the file that has the program."""

    name: str
    plan: Plan
    step: int | None
    broken: Broken | None
    also: tuple[str, ...] = ()
    trouble: str = ""
    console: str = ""
    steps: tuple[Step, ...] = ()
    shrunk: Shrunk | None = None
    tried: bool = False
    saved: Path | None = None

    @property
    def program(self) -> tuple[Step, ...]:
        """The shortest program known to show it."""
        return self.shrunk.steps if self.shrunk is not None else self.steps

    @property
    def shown(self) -> Broken | None:
        """The violation, as the shortest program shows it."""
        again = self.shrunk.boot.broken if self.shrunk is not None else ()
        return next((b for b in again if b.clause == self.name), self.broken)


def found_in(
    plan: Plan, boot: Boot, known: set[str], passes: Callable[[str], bool]
) -> list[Finding]:
    """What a boot shows that was not known: the first violation, and how it ended if not well.

    What is violated after the first may only be its consequence, and is told beside it; but the
    first of a clause that `passes` does not hide the first of one that does not.
    """
    found: list[Finding] = []
    firsts = boot.broken[:1] + [b for b in boot.broken if not passes(b.clause)][:1]
    others = tuple(c for c in boot.violates if c not in {b.clause for b in firsts})
    for first in firsts:
        if first.clause not in {*known, *(f.name for f in found)}:
            steps = _up_to(boot, first.step)
            found.append(Finding(first.clause, plan, first.step, first, others, steps=steps))
    name = boot.trouble.partition(":")[0]
    if name and name not in known:
        steps = _up_to(boot, None if boot.last_step is None else boot.last_step + 1)
        trouble, console = boot.trouble, boot.console
        found.append(Finding(name, plan, boot.last_step, None, others, trouble, console, steps))
    return found


def _up_to(boot: Boot, step: int | None) -> tuple[Step, ...]:
    """The steps as far as one of them, which itself may have shown nothing any more."""
    return boot.steps if step is None else boot.steps[: step + 1]


def told(
    finding: Finding, session: Session, spec: Spec, layouts: Layouts | None, paint: Paint
) -> Iterator[str]:
    """A finding as it can be put into a report of a bug."""
    shrunk, seen = finding.shrunk, finding.shown
    clause = spec.clauses.get(finding.name)
    title = "violated" if clause is not None else "Xen did not survive"
    yield f"{paint(title, 'red')} {paint(finding.name, 'bold')}"
    if clause is not None and clause.prose:
        yield f"  {wrapped(clause.prose, 2)}"
    plan = finding.plan
    yield _line("xen", session.text, paint)
    yield _line("guest", f"PVH dom0, {plan.width}-bit, {plan.vcpus} vCPU"
                f"{'s' if plan.vcpus > 1 else ''}", paint)  # fmt: skip
    if seen is not None:
        yield _line("event", seen.event, paint)
        yield _line("seen", seen.seen, paint)
        yield _line("allowed", seen.allowed, paint)
        if seen.concerns:
            yield _line("also", "concerns " + ", ".join(seen.concerns), paint)
        for fact in seen.state[:6]:
            yield _line("state", str(fact), paint)
    if finding.trouble:
        yield _line("ended", finding.trouble, paint)
    if clause is not None:
        yield _line("clause", f"{clause_place(clause)}, {clause.authority}", paint)
        for citation in clause.citations:
            yield _line("cited", citation_text(spec, citation), paint)
    also = [c for c in finding.also if shrunk is None or c in shrunk.boot.violates]
    if also:
        more = ", …" if len(also) > 6 else ""
        yield _line("also", "violates " + ", ".join(also[:6]) + more, paint)
    if layouts is not None:
        yield from _program(finding, layouts, paint)
    for text in finding.console.strip().splitlines()[-_CONSOLE:]:
        yield f"  | {text}"


def _program(finding: Finding, layouts: Layouts, paint: Paint) -> Iterator[str]:
    shrunk = finding.shrunk
    if shrunk is None:
        how = "did not show it again by itself" if finding.tried else "as it was run"
    elif shrunk.minimal:
        how = "every step is needed"
    else:
        how = "there was no time to make it shorter"
    lines = show_program(Program(finding.program), layouts).splitlines()
    yield _line("program", f"{len(lines)} step{'s' if len(lines) != 1 else ''}; {how}", paint)
    yield from (f"    {text}" for text in lines[-_PROGRAM:])


def _line(label: str, text: str, paint: Paint) -> str:
    return f"  {paint(f'{label:<10}', 'blue')}{wrapped(text, 12)}"


def save(finding: Finding, session: Session, layouts: Layouts) -> Path:
    """The program as a file that `--replay` takes; it is there whole or not at all."""
    folder = session.options.out or Path(f"conform-{session.options.seed}")
    folder.mkdir(parents=True, exist_ok=True)
    plan = finding.plan
    head = [
        f"# {session.text}",
        f"# {finding.name}",
        f"# pvhspec conform --seed {plan.seed}, boot {plan.number}",
        f"needs width {plan.width}",
    ]
    if plan.vcpus > 1:
        head.append(f"needs vcpus {plan.vcpus}")
    text = "\n".join(head) + "\n\n" + show_program(Program(finding.program), layouts)
    name = re.sub(r"[^\w.-]", "_", finding.name)
    path = folder / f"{name}-{plan.width}.prog"
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text)
        part.replace(path)
        if finding.console:
            path.with_suffix(".console.txt").write_text(finding.console)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    return path
