"""A short run over everything; long ones are started by hand: `python -m tests.fuzz`."""

from __future__ import annotations

import signal

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz.readers import TARGETS, Target

SEED = 2026


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
def test_damaged_files_give_documented_errors_only(target: Target) -> None:
    before = signal.signal(signal.SIGPROF, fuzz._alarm)
    try:
        for number in range(12 * target.share):
            problem = fuzz.one(target, SEED, number)
            assert problem is None, f"{target.name} --seed {SEED} --first {number}\n{problem}"
    finally:
        signal.signal(signal.SIGPROF, before)


def _raises(data: bytes) -> None:
    raise ValueError("not documented")


def _grows(data: bytes) -> None:
    del [bytearray(b"x") * (200 << 20)][0]


def _never_ends(data: bytes) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "said"), [(_raises, "not documented"), (_grows, "memory"), (_never_ends, "no end")]
)
def test_what_is_wrong_is_seen(read: object, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "_PATIENCE", 0.05 if said == "no end" else 60)
    before = signal.signal(signal.SIGPROF, fuzz._alarm)
    try:
        bad = Target("bad", lambda: [b"data"], read)  # type: ignore[arg-type]
        problem = fuzz.one(bad, SEED, 0)
    finally:
        signal.signal(signal.SIGPROF, before)
    assert problem is not None
    assert said in problem


def test_every_run_has_its_share() -> None:
    counts = fuzz.shares(1000, list(TARGETS.values()))
    assert sum(counts.values()) == 1000
    assert min(counts.values()) > 0


def test_a_run_can_be_had_again() -> None:
    target = TARGETS["kvm"]
    assert fuzz.input_of(target, 7, 3) == fuzz.input_of(target, 7, 3)
    assert fuzz.input_of(target, 7, 3) != fuzz.input_of(target, 7, 4)
