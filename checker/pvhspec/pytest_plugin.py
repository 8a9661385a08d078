"""Traces as tests, and a Xen to run programs on, for pytest.

    pytest --pvhspec traces/            every trace there is a test

or for good, in `pytest.ini`, where the options are those of `pvhspec check`::

    pvhspec_traces = traces/*.jsonl captures/*.xentrace
    pvhspec_options = --baseline known.toml --require-seen 20

Nothing is collected unless one of the two is there. The fixture `pvhspec_xen` boots a real Xen
under QEMU with a program, and fails the test where what comes back is not what the specification
allows::

    def test_a_second_binding_is_refused(pvhspec_xen):
        pvhspec_xen('''
            EVTCHNOP_bind_virq(virq = 0, vcpu = 0)
            EVTCHNOP_bind_virq(virq = 0, vcpu = 0)
        ''')

Which Xen is `--pvhspec-xen`, a release or an image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    import argparse

    from pvhspec.conform import Outcome
    from pvhspec.ir.ir import Spec
    from pvhspec.report.gate import Run, Subject

__all__ = ["LiveXen", "pvhspec_xen"]

_SUFFIXES = (".jsonl", ".jsonl.gz", ".xentrace")  # with --pvhspec and no patterns


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the lines of the configuration."""
    group = parser.getgroup("pvhspec", "Xen's guest ABI (pvhspec)")
    group.addoption("--pvhspec", action="store_true", help="traces are tests")
    group.addoption(
        "--pvhspec-xen", metavar="IMAGE|VERSION", help="the Xen of the fixture pvhspec_xen"
    )
    parser.addini("pvhspec_traces", "patterns of files that are traces", "args", default=[])
    parser.addini("pvhspec_options", "options of pvhspec check for traces", "args", default=[])
    parser.addini("pvhspec_xen", "the Xen of the fixture pvhspec_xen", default="4.17")


# ---- traces --------------------------------------------------------------------------------------


class _Gate:
    """The specification and the policy of a session, read when the first trace is judged."""

    def __init__(self, config: pytest.Config) -> None:
        from pvhspec.cli import Parser
        from pvhspec.commands import check
        from pvhspec.commands.common import selection, spec_of
        from pvhspec.commands.gating import policy_of
        from pvhspec.report.gate import Run

        parser: argparse.ArgumentParser = Parser(prog="pvhspec")
        check.add_parser(parser.add_subparsers(dest="command"))
        parser.prog = "pvhspec_options"
        words = ["check", *config.getini("pvhspec_options"), "-"]
        try:
            self.args: argparse.Namespace = parser.parse_args(words)
        except SystemExit:  # argparse has said what is wrong
            raise pytest.UsageError("pvhspec_options: see above") from None
        for name in ("baseline", "spec"):
            if getattr(self.args, name) is not None:
                setattr(self.args, name, config.rootpath / getattr(self.args, name))
        self.spec: Spec = spec_of(self.args.spec)
        self.chosen = selection(self.args, self.spec)
        self.run: Run = Run("check", self.spec, policy_of(self.args, self.spec))

    def judge(self, path: str) -> Subject:
        """The verdict on a trace. Raises PvhError."""
        from pvhspec.commands.common import judged
        from pvhspec.report.gate import Subject

        subject = Subject.of(judged(path, self.args, self.spec, self.chosen), self.run.policy)
        self.run.items.append(subject)
        return subject


_GATE = pytest.StashKey[_Gate]()


def _gate(config: pytest.Config) -> _Gate:
    if _GATE not in config.stash:
        config.stash[_GATE] = _Gate(config)
    return config.stash[_GATE]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> TraceFile | None:
    """A file that is a trace by the patterns, or that was named with --pvhspec."""
    config = parent.config
    patterns = [str(p) for p in config.getini("pvhspec_traces")]
    asked = bool(config.getoption("--pvhspec"))
    near = os.path.relpath(file_path, config.rootpath)
    named = asked and parent.session.isinitpath(file_path) and file_path.suffix != ".py"
    if not patterns and asked:
        patterns = [f"*{suffix}" for suffix in _SUFFIXES]
    if named or any(fnmatchcase(near, pattern) for pattern in patterns):
        file: TraceFile = TraceFile.from_parent(parent, path=file_path)
        return file
    return None


class TraceFile(pytest.File):
    """A trace; its one test is that it conforms."""

    def collect(self) -> Iterator[TraceItem]:
        """The test."""
        yield TraceItem.from_parent(self, name="conforms")


class _NotConforming(Exception):
    """What is wrong, as it is shown; there is no place in a program for it."""


class TraceItem(pytest.Item):
    """That a trace conforms, and that enough could be seen; xfails for what is known."""

    def runtest(self) -> None:
        """Judge it."""
        from pvhspec.diagnostics import PvhError, render_all
        from pvhspec.report.cases import excuse
        from pvhspec.report.paint import Paint
        from pvhspec.report.text import text_of, unmet_text

        plain = Paint(False)
        try:
            gate = _gate(self.config)
            subject = gate.judge(os.path.relpath(self.path))
        except PvhError as error:
            raise _NotConforming(render_all(error.diagnostics)) from None
        report = subject.report
        self.user_properties.append(("pvhspec.decided", len(report.seen)))
        self.user_properties.append(("pvhspec.applicable", len(report.applicable)))
        text = text_of(report, gate.spec, paint=plain, deviations=subject.deviations)
        unmet = unmet_text(gate.run.require(report.path, [report]), plain)
        if subject.fails or unmet:
            raise _NotConforming("\n".join([text, *unmet]))
        self.add_report_section("call", "pvhspec", text)
        known = [excuse(d) for d in subject.deviations.values() if d.known is not None]
        if known:
            pytest.xfail("; ".join(dict.fromkeys(known)))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> Any:  # what pytest's own is annotated with is private
        """The verdict, not a traceback."""
        if isinstance(excinfo.value, _NotConforming):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """What the summary calls it."""
        return self.path, None, os.path.relpath(self.path, self.config.rootpath)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """How much was seen, and what is mended."""
    gate = config.stash.get(_GATE, None)
    if gate is None or not gate.run.subjects:
        return
    from pvhspec.report.paint import Paint
    from pvhspec.report.text import baseline_text

    reports = [subject.report for subject in gate.run.subjects]
    applicable = {c for r in reports for c in r.applicable}
    seen = {c for r in reports for c in r.seen}
    traces = f"{len(reports)} trace{'s' if len(reports) != 1 else ''}"
    terminalreporter.section("pvhspec", sep="-")
    terminalreporter.line(f"{len(seen)} of {len(applicable)} clauses decided in {traces}")
    for line in baseline_text(gate.run, Paint(False)):
        terminalreporter.line(line)


# ---- a live Xen ----------------------------------------------------------------------------------


class LiveXen:
    """A Xen that runs programs, each in a boot of its own, as a PVH dom0 under QEMU."""

    def __init__(self, image: str, folder: Path) -> None:
        from pvhspec.commands.common import spec_of

        self.image = image
        self._folder = folder
        self._spec = spec_of(None)
        self._count = 0

    def __call__(
        self, program: str | Path, *, width: Literal[32, 64] = 64, check: bool = True
    ) -> Outcome:
        """Run a program: its text, a file, or the name of one that comes with pvhspec.

        Fails the test where a clause is violated or the run does not end by itself; with `check`
        False the caller looks at the outcome's `report` and `ended`.
        """
        from pvhspec.conform import run_job, xen_jobs
        from pvhspec.conform.tell import subject_of, target_text
        from pvhspec.diagnostics import PvhError, render_all
        from pvhspec.report.gate import Policy
        from pvhspec.report.paint import Paint

        wrong = ""
        try:
            jobs = xen_jobs(self._spec, self.image, [self._file(program)], domu=False)
        except PvhError as error:
            jobs, wrong = [], render_all(error.diagnostics)
        if wrong:
            pytest.fail(wrong, pytrace=False)
        job = next((job for job in jobs if job.width == width), None)
        if job is None:
            pytest.fail(f"the program is not for a {width}-bit guest", pytrace=False)
        outcome = run_job(job, self._spec)
        if check and outcome.failed:
            title = f"Xen {outcome.report.release} ({self.image}), a PVH dom0 under QEMU"
            runs = [(outcome, subject_of(outcome, Policy()))]
            text = target_text(
                title, runs, self._spec, Paint(False), verbose=False, seconds=outcome.seconds
            )
            pytest.fail(text, pytrace=False)
        return outcome

    def _file(self, program: str | Path) -> Path:
        from pvhspec.conform import bundled_programs

        included = {path.stem: path for path in bundled_programs()}
        if isinstance(program, Path):
            return program
        if program in included:
            return included[program]
        self._count += 1
        path = self._folder / f"program{self._count}.prog"
        path.write_text("".join(f"{line.strip()}\n" for line in program.strip().splitlines()))
        return path


@pytest.fixture(scope="session")
def pvhspec_xen(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> LiveXen:
    """A Xen to run programs on. Skips where there is no QEMU, no compiler, or no such Xen;
    PVHSPEC_REQUIRE_REAL=1 makes that a failure."""
    from pvhspec.targets import MissingTool, locate_xen, probe, qemu

    image = str(pytestconfig.getoption("--pvhspec-xen") or pytestconfig.getini("pvhspec_xen"))
    try:
        qemu.find()
        for width in (32, 64):
            probe.build(width)
        locate_xen(image)
    except MissingTool as missing:
        if os.environ.get("PVHSPEC_REQUIRE_REAL") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    return LiveXen(image, tmp_path_factory.mktemp("pvhspec"))
