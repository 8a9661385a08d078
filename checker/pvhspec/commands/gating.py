"""What `check` and `conform` share as gates: reports, severities, known deviations, how much has
to be seen."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pvhspec.diagnostics import Diagnostic, PvhError, code, printable

if TYPE_CHECKING:
    from pvhspec.ir.ir import Spec
    from pvhspec.report.gate import Level, Policy, Required, Run, Subject
    from pvhspec.report.paint import Paint

__all__ = ["FORMATS", "Output", "add_gating", "finish", "policy_of", "required_of", "to_stdout"]

NO_REASON = code("PVH544", "A known deviation is to be written, and no reason is given.")
BAD_GATE = code("PVH545", "A severity, requirement or date of a gate is not one.")
TWICE = code("PVH546", "Two reports are to be written to the same place.")

FORMATS = ("text", "json", "sarif", "junit", "tap", "github", "html")
_ACCEPTED_FOR = timedelta(days=180)  # where --expires is not given


class Output(NamedTuple):
    """A form of the report, and the file it goes to; None is standard output."""

    form: str
    file: Path | None = None


def _output(text: str) -> Output:
    form, given, file = text.partition("=")
    if form not in FORMATS:
        known = ", ".join(FORMATS)
        raise argparse.ArgumentTypeError(f"no format {form!r}: there are {known}")
    if given and not file:
        raise argparse.ArgumentTypeError(f"{text} names no file")
    return Output(form, Path(file) if given and file != "-" else None)


def add_gating(parser: argparse.ArgumentParser, required: str) -> None:
    """The options; `required` says what --require-seen is asked of."""
    add = parser.add_argument_group("the gate").add_argument
    add(
        "--format", action="append", type=_output, default=[], metavar="FORMAT[=FILE]",
        help=f"{', '.join(FORMATS)}; to a file, or to standard output; may be given again "
        "(default: text)",
    )  # fmt: skip
    add(
        "--require-seen", action="append", default=[], metavar="N|N%|GLOB",
        help=f"fail where fewer clauses could be decided, {required}: so many, so many of a "
        "hundred that apply, or one that matches is missing; may be given again (default: 1)",
    )  # fmt: skip
    add(
        "--severity", action="append", default=[], metavar="GLOB=LEVEL",
        help="how bad a violation of these clauses is: error, warning or note; only errors fail; "
        "the last that matches counts",
    )  # fmt: skip
    add("--baseline", type=Path, metavar="FILE", help="known deviations, which do not fail")
    add(
        "--update-baseline", action="store_true",
        help="take out of FILE what is mended, and put in what fails now, with --reason",
    )  # fmt: skip
    add("--reason", metavar="TEXT", help="why what fails now is accepted (asked for on a terminal)")
    add(
        "--expires", metavar="YYYY-MM-DD",
        help=f"the last day it is (default: {_ACCEPTED_FOR.days} days from now)",
    )  # fmt: skip


def to_stdout(args: argparse.Namespace) -> str | None:
    """The form that goes to standard output, None if every report goes to a file."""
    here = [o.form for o in args.format if o.file is None]
    return here[0] if here else None if args.format else "text"


# ---- what a gate goes by -------------------------------------------------------------------------


def policy_of(args: argparse.Namespace, spec: Spec) -> Policy:
    """The policy that the options say. Raises PvhError for one that makes no sense."""
    from pvhspec.report.baseline import read_baseline
    from pvhspec.report.gate import Policy

    _possible(args)
    severities = tuple(_severity(text, spec) for text in args.severity)
    baseline = None
    if args.baseline is not None:
        baseline = read_baseline(args.baseline, spec.clauses, may_lack=args.update_baseline)
    return Policy(required_of(args.require_seen, spec), severities, baseline)


def _possible(args: argparse.Namespace) -> None:
    places = [o.file for o in args.format]
    for place in places:
        if places.count(place) > 1:
            where = "standard output" if place is None else str(place)
            remedy = "--format FORMAT=FILE writes a report to a file of its own"
            raise PvhError(Diagnostic(TWICE, f"two reports go to {where}", remedy))
    if args.update_baseline and args.baseline is None:
        remedy = "--baseline FILE says which file"
        raise PvhError(Diagnostic(BAD_GATE, "there is no baseline to update", remedy))
    if args.expires is not None:
        _date(args.expires)
    if any(o.form == "html" for o in args.format):
        _need_jinja()


def _need_jinja() -> None:
    from importlib.util import find_spec

    if find_spec("jinja2") is None:
        from pvhspec.targets.errors import MissingTool

        raise MissingTool("--format html needs Jinja", "pip install 'pvhspec[html]'")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        what = f"--expires: {text!r} is not a day"
        raise PvhError(Diagnostic(BAD_GATE, what, "as in --expires 2027-06-30")) from None


def _severity(text: str, spec: Spec) -> tuple[str, Level]:
    from pvhspec.report.gate import LEVELS

    glob, given, word = text.rpartition("=")
    for level in LEVELS:
        if given and word == level:
            _matches(glob, spec)
            return glob, level
    remedy = "as in --severity 'evtchn.*=warning'; the levels are error, warning and note"
    raise PvhError(Diagnostic(BAD_GATE, f"--severity: {text!r} is not GLOB=LEVEL", remedy))


def required_of(texts: Iterable[str], spec: Spec) -> Required:
    """What --require-seen asks for: of numbers the last one counts, patterns add up."""
    from pvhspec.report.gate import Required

    required = Required()
    for text in texts:
        number = text.removesuffix("%")
        try:
            value = float(number) if text.endswith("%") else int(number)
        except ValueError:
            _matches(text, spec)
            required = replace(required, globs=(*required.globs, text))
            continue
        if value < 0 or (text.endswith("%") and not value <= 100):
            raise PvhError(Diagnostic(BAD_GATE, f"--require-seen: {text} cannot be met"))
        if text.endswith("%"):
            required = replace(required, percent=float(value))
        else:
            required = replace(required, count=int(value))
    return required


def _matches(glob: str, spec: Spec) -> None:
    from pvhspec.commands.common import no_such_clause
    from pvhspec.report.verdict import Selection

    one = Selection((glob,))
    if not any(one.takes(name) for name in spec.clauses):
        raise PvhError(no_such_clause(glob, spec))


# ---- what comes of it ----------------------------------------------------------------------------


def finish(
    args: argparse.Namespace, run: Run, json: Callable[[], str], text: Callable[[Paint], str]
) -> None:
    """Write every report that is asked for, but text to standard output, which is there already;
    bring the baseline up to date."""
    from pvhspec.report.files import written
    from pvhspec.report.paint import Paint

    forms: dict[str, Callable[[], str]] = {
        "text": lambda: text(Paint(False)) + "\n", "json": lambda: json() + "\n",
        "sarif": lambda: _sarif(run), "junit": lambda: _junit(run), "tap": lambda: _tap(run),
        "github": lambda: _github(run), "html": lambda: _html(run),
    }  # fmt: skip
    for output in args.format:
        if output.file is not None:
            written(output.file, forms[output.form]())
        elif output.form != "text":
            sys.stdout.write(forms[output.form]())
    if args.update_baseline:
        _update(args, run)


def _sarif(run: Run) -> str:
    from pvhspec.report.sarif import sarif_text

    return sarif_text(run)


def _junit(run: Run) -> str:
    from pvhspec.report.junit import junit_text

    return junit_text(run)


def _tap(run: Run) -> str:
    from pvhspec.report.tap import tap_text

    return tap_text(run)


def _github(run: Run) -> str:
    from pvhspec.report.github import github_text

    return github_text(run)


def _html(run: Run) -> str:
    from pvhspec.report.html import html_text

    return html_text(run)


# ---- the baseline --------------------------------------------------------------------------------


def _update(args: argparse.Namespace, run: Run) -> None:
    """Write what is known now; says what was changed on standard error."""
    from pvhspec.report.baseline import Known, updated
    from pvhspec.report.files import written

    baseline = run.policy.baseline
    assert baseline is not None
    failing: dict[str, list[str]] = {}
    for subject in run.subjects:
        for deviation in subject.deviations.values():
            if deviation.fails:
                names = failing.setdefault(deviation.clause, [])
                names += [name for name in [_pattern(subject)] if name not in names]
    drop = [*run.fixed, *run.lapsed]
    add: list[Known] = []
    if failing:
        expires = _date(args.expires) if args.expires else run.policy.today + _ACCEPTED_FOR
        reason = args.reason or _asked(failing)
        add = [Known(c, reason, expires, tuple(names)) for c, names in failing.items()]
    if not (drop or add):
        print(f"{baseline.path}: nothing to change", file=sys.stderr)
        return
    written(args.baseline, updated(baseline, drop, add))
    sys.stdout.flush()
    for word, entries in (("out", drop), ("in", add)):
        for entry in entries:
            print(f"{baseline.path}: {word}: {printable(entry.clause)}", file=sys.stderr)


def _pattern(subject: Subject) -> str:
    """The traces an entry speaks of: this one, or all of the image that was booted."""
    name = subject.family or os.path.normpath(subject.name)
    return "".join(f"[{c}]" if c in "*?[" else c for c in name) + ("*" if subject.family else "")


def _asked(failing: Iterable[str]) -> str:
    """The reason, from whoever sits at the terminal."""
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        print(
            f"to be accepted: {', '.join(failing)}\nreason: ", end="", file=sys.stderr, flush=True
        )
        reason = sys.stdin.readline().strip()
        if reason:
            return reason
    remedy = "say why with --reason TEXT"
    raise PvhError(Diagnostic(NO_REASON, "what fails now is accepted only for a reason", remedy))
