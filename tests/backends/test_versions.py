"""All releases and modes at once say what each of them says by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pvhspec.backends.places import Places
from pvhspec.cli import main
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.judge import judge
from pvhspec.traces import Event, open_trace
from pvhspec.versions import Answer, versions
from tests.cli.transcripts import INPUTS
from tests.report.schema import problems

CORPUS = Path(__file__).parents[2] / "traces" / "corpus"
TRACES = [
    "real/linux6.1-dom0-xen4.17.jsonl.gz",
    "real/entry-linux6.1-qemu72-pc-tcg.jsonl",
    "probe/xen-4.17-entry-64.jsonl.gz",
    "probe/xen-4.20-entry-64.jsonl.gz",
    "foreign/vmmq.ftrace",
]
#: Of the places, every ninth is judged by itself, in each trace others.
_STEP = 9


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


@pytest.mark.parametrize("number", range(len(TRACES)))
def test_it_is_what_each_says(spec: Spec, number: int) -> None:
    path = str(CORPUS / TRACES[number])
    answers = versions(spec, open_trace(path))
    assert [(a.release, a.mode) for a in answers] == [
        (release, mode) for mode in spec.modes for release in spec.releases
    ]
    for answer in answers[number::_STEP]:
        if answer.mode not in spec.groups["xen"] and answer.release != spec.releases[-1]:
            continue
        assert _told(answer) == _alone(spec, path, answer)


def _told(answer: Answer) -> tuple[str, int] | None:
    return None if answer.denial is None else (answer.denial.clause, answer.denial.seq)


def _alone(spec: Spec, path: str, answer: Answer) -> tuple[str, int] | None:
    trace = open_trace(path)
    release: tuple[int, ...] | None = answer.release
    own = trace.header.hypervisor.version
    if own is not None and own.startswith(".".join(map(str, answer.release)) + "."):
        release = tuple(map(int, own.split(".")))
    if answer.mode not in spec.groups["xen"]:  # which may show its guest any release
        assert answer.release == spec.releases[-1]
        kvm = trace.header.hypervisor._replace(name="kvm", version=None)
        trace.header, release = trace.header._replace(hypervisor=kvm), None
    report = judge(spec, trace, version=release, mode=answer.mode)
    if not report.violations:
        return None
    first = report.violations[0]
    return first.clause, first.seq


def test_its_own_place_allows_what_conforms(spec: Spec) -> None:
    path = str(CORPUS / "probe/xen-4.20-evtchn_fifo-64.jsonl.gz")
    allowing = {(a.release, a.mode) for a in versions(spec, open_trace(path)) if a.denial is None}
    assert ((4, 20), "pvh_dom0") in allowing
    assert all(mode != "kvm_xen" for _, mode in allowing)  # which has no FIFO queues


def test_places_are_together_until_an_event_tells_them_apart(spec: Spec) -> None:
    places = [(release, mode) for mode in ("pv", "pvh_dom0") for release in spec.releases]
    kinds = Places(spec)
    nothing = Event("note", 0, {"text": ""})
    assert kinds.apart(places, nothing) == [places]
    version = Event("hypercall", 0, {"nr": 17, "args": (0, 0)})
    assert len(kinds.apart(places, version)) >= len(spec.releases)  # each tells its own number
    assert kinds.apart(places, version)[0][0] == places[0]


def test_json_is_what_its_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["versions", "--format", "json", str(INPUTS / "paging-pv.jsonl")]) == 0
    assert not problems(json.loads(capsys.readouterr().out), "versions-1.json")
