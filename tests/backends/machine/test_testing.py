"""`pvhspec.testing` as others use it: the model, a target of theirs, a trace, a real Xen."""

from __future__ import annotations

import gzip
import json
import shutil
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pvhspec import _data
from pvhspec.backends.machine.draw import offered
from pvhspec.backends.machine.model import Ask, Model
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.testing import assert_conforms, chapters, spec_machine
from tests.real import real_xen

RELEASE, MODE = (4, 17), "pvh_dom0"
CORPUS = _data.traces_dir() / "corpus" / "probe"
RECORDED = CORPUS / "xen-4.17-evtchn_vcpus-64.jsonl.gz"


def run(machine: Any, examples: int = 6, steps: int = 20) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def loaded() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


@lru_cache
def fresh() -> Model:
    return Model(loaded(), RELEASE, MODE, width=64)


class Emulator:
    """A hypervisor of somebody's own: here it does what the model foretells."""

    def __init__(self) -> None:
        self.model = fresh().fork()
        self.operations = offered(self.model.spec, RELEASE, MODE)

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        op = next(
            o for o in self.operations
            if o.number == request["nr"] and o.command in (None, request["args"][0])
        )  # fmt: skip
        memory = bytes.fromhex(request["in"][0][1]) if request.get("in") else b""
        values = {
            s.name: int.from_bytes(memory[s.offset[0] : s.offset[0] + s.size[0]], "little")
            for s in op.slots
        }
        values |= {p.name: v for p, v in zip(op.params, request["args"], strict=False)}
        kind: Any = "unreadable" if not request["arg_readable"] else "readonly"
        kind = "ordinary" if request["arg_writable"] else kind
        told = self.model.foretell(Ask(op, values, kind, request["cpl"]))
        if told is None:
            return {}
        self.model.commit(told)
        if told.code:
            return {"ret": -told.code, "out": request.get("in", [])}
        return {} if op.result is not None else {"ret": 0}


class Careless(Emulator):
    """It knows no vCPUs, and so misses none."""

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = super().call(request)
        return {"ret": 0} if answer.get("ret") == -2 else answer


def test_every_chapter_by_itself() -> None:
    assert {"evtchn", "hypercall"} <= set(chapters())
    for chapter in chapters():
        run(spec_machine(chapter), examples=2, steps=10)
    with pytest.raises(ValueError, match="no chapter nonsense: "):
        spec_machine("nonsense")


def test_a_target_of_ones_own() -> None:
    run(spec_machine("evtchn", target=Emulator))
    with pytest.raises(AssertionError, match=r"seen (0|success), allowed"):
        run(spec_machine("evtchn", target=Careless), examples=40)


def test_it_is_one_thing_that_is_tested() -> None:
    with pytest.raises(ValueError, match="one of xen, target and trace"):
        spec_machine(xen="4.17", target=Emulator)


def recorded(events: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The beginning of a capture of Xen 4.17: ports are open where it stops."""
    with gzip.open(RECORDED, "rt") as file:
        header, *lines = [json.loads(line) for line in islice(file, events + 1)]
    return header, lines


def test_on_from_a_recorded_trace() -> None:
    machine: Any = spec_machine("evtchn", trace=recorded(150))
    run(machine, examples=3)
    store = machine().model.store
    assert any(store.read("channel", (0, port)) != (0,) for port in range(1, 12))
    assert store.read("vcpu_exists", (0, 1)) is True, "as its header says"


def test_a_trace_that_does_not_conform() -> None:
    assert_conforms(CORPUS / "xen-4.17-entry-64.jsonl.gz")
    header, events = recorded(150)
    assert_conforms((header, events))
    failed = next(e for e in events if e.get("ret") == -17)
    failed["ret"] = -16
    with pytest.raises(AssertionError, match=r"violated evtchn\.bind\..*already_bound"):
        assert_conforms((header, events))
    with pytest.raises(AssertionError, match="the trace does not conform"):
        spec_machine("evtchn", trace=(header, events))


@pytest.fixture(scope="module")
def xen() -> str:
    return real_xen()


@pytest.mark.real
def test_a_real_xen(xen: str) -> None:
    run(spec_machine("evtchn", xen=xen), examples=2, steps=30)
    run(spec_machine(xen=xen, width=32), examples=1, steps=30)


@pytest.mark.real
def test_a_real_xen_that_does_otherwise(xen: str, tmp_path: Path) -> None:
    """By a specification that wants another error, Xen is at fault."""
    other = tmp_path / "spec"
    shutil.copytree(_data.spec_dir(), other)
    bind = other / "evtchn" / "bind.abi"
    text = bind.read_text()
    assert "error ENOENT no_such_vcpu" in text
    bind.write_text(text.replace("error ENOENT no_such_vcpu", "error ESRCH no_such_vcpu"))
    one: Any = spec_machine("evtchn", xen=xen, spec=other)()
    op = next(o for o in one.model.spec.operations if o.name == "EVTCHNOP_bind_ipi")
    ask = Ask(op, {"vcpu": 7})
    assert not one.system.call(ask, one.model.foretell(ask)), "it is judged when all is over"
    with pytest.raises(AssertionError, match=r"no_such_vcpu.*seen -ENOENT, allowed -ESRCH"):
        one.teardown()
