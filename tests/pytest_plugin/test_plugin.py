"""Traces as tests: what a user of the plugin sees."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.transcripts import INPUTS

# pytester has a home of its own, and what is kept from run to run would be made again there.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
OPTIONS = f"--spec {INPUTS / 'bell'}"


@pytest.fixture(autouse=True)
def kept(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept is found."""
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with traces and an ordinary test."""
    (pytester.path / "traces").mkdir()
    for name in ("conforms", "violates", "blind"):
        shutil.copy(INPUTS / f"{name}.jsonl", pytester.path / "traces")
    shutil.copy(INPUTS / "known.toml", pytester.path)
    pytester.makepyfile(test_other="def test_other(): pass")
    pytester.makeini(f"[pytest]\npvhspec_options = {OPTIONS}")
    return pytester


def test_nothing_is_collected_that_nobody_asked_for(project: pytest.Pytester) -> None:
    project.runpytest().assert_outcomes(passed=1)


def test_a_trace_is_a_test(project: pytest.Pytester) -> None:
    result = project.runpytest("--pvhspec", "-v")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "traces/blind.jsonl::conforms FAILED*",
            "traces/conforms.jsonl::conforms PASSED*",
            "traces/violates.jsonl::conforms FAILED*",
            "gate not met: 0 clauses decided, 1 required (--require-seen)",
            "violated house.bells.BELL_ring.no_bell",
            "  clause    *bells.abi:64, documented",
            "10 of 13 clauses decided in 3 traces",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()


def test_the_configuration_says_which_and_how(project: pytest.Pytester) -> None:
    project.makeini(
        "[pytest]\npvhspec_traces = traces/*s.jsonl\n"
        f"pvhspec_options = {OPTIONS} --baseline known.toml --severity '*BELL_hang*=note'"
    )
    result = project.runpytest("-rx")
    result.assert_outcomes(passed=2, xfailed=1)
    result.stdout.fnmatch_lines(["*known until 2999-12-31: The old house is being rebuilt.*"])


def test_what_is_mended_is_told(project: pytest.Pytester) -> None:
    project.makeini(f"[pytest]\npvhspec_options = {OPTIONS} --baseline known.toml")
    result = project.runpytest("--pvhspec", "traces/conforms.jsonl")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["known deviations:", "  mended    house.bells.BELL_ring.no_bell*"])


def test_a_file_that_is_named_is_a_trace_whatever_its_name(project: pytest.Pytester) -> None:
    (project.path / "traces" / "conforms.jsonl").rename(project.path / "run.log")
    project.runpytest("--pvhspec", "run.log").assert_outcomes(passed=1)


def test_a_file_that_is_none_fails_with_its_place(project: pytest.Pytester) -> None:
    whole = (project.path / "traces" / "conforms.jsonl").read_text()
    (project.path / "traces" / "broken.jsonl").write_text(whole + "{]\n")
    result = project.runpytest("--pvhspec", "traces/broken.jsonl")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["traces/broken.jsonl:6:*PVH9*not JSON*"])
    assert "Traceback" not in result.stdout.str()


def test_a_mistake_in_the_options_is_told(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\npvhspec_options = --frobnicate")
    result = project.runpytest("--pvhspec", "traces/conforms.jsonl")
    assert result.ret != 0
    assert "--frobnicate" in result.stdout.str() + result.stderr.str()


def test_how_much_was_seen_is_in_the_junit_report(project: pytest.Pytester) -> None:
    project.runpytest("--pvhspec", "traces/conforms.jsonl", "--junitxml=out.xml")
    text = (project.path / "out.xml").read_text()
    assert '<property name="pvhspec.decided" value="9"' in text


# ---- the fixture ---------------------------------------------------------------------------------

LIVE = '''
def test_refused(pvhspec_xen):
    outcome = pvhspec_xen("""
        EVTCHNOP_bind_virq(virq = 0, vcpu = 0)
        EVTCHNOP_bind_virq(virq = 0, vcpu = 0)
    """)
    assert "evtchn.bind.EVTCHNOP_bind_virq.already_bound" in outcome.report.conforms

def test_included(pvhspec_xen):
    assert pvhspec_xen("entry", width=32).report.conforms

def test_misspelt(pvhspec_xen):
    pvhspec_xen("EVTCHNOP_sned(port = 1)")
'''


@pytest.mark.real
@pytest.mark.slow
def test_a_program_runs_on_a_real_xen(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LIVE)
    result = pytester.runpytest("--pvhspec-xen", "4.17", "-rs")
    if result.parseoutcomes().get("skipped") == 3:  # the fixture: it says what is missing
        pytest.skip(result.stdout.str())
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*program*.prog:1:1: PVH603*EVTCHNOP_sned*"])


def test_without_qemu_the_fixture_skips_and_says_why(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("PVHSPEC_REQUIRE_REAL", raising=False)
    pytester.makepyfile("def test_it(pvhspec_xen): pass")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*qemu-system-x86_64 is not installed*"])
