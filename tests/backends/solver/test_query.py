"""Questions and their answers: what shows it, what forbids it, what is left open."""

from __future__ import annotations

import pytest

from pvhspec.backends.solver.combos import shown_combos
from pvhspec.backends.solver.search import broken_by, run_moves
from pvhspec.commands.query import status_of
from pvhspec.report.answers import answer_object, answer_text, programs
from pvhspec.report.paint import Paint
from tests.backends.solver.asking import ask, asked, names
from tests.backends.solver.edited import edited

BIND = "evtchn.bind"
USE = "evtchn.use"

# Question, and clauses that let it be.
YES = {
    "can send return EPERM": ["hypercall.convention.every.user_mode"],
    "can send return EINVAL when valid(caller, port)": [f"{USE}.EVTCHNOP_send.not_a_sender"],
    "can alloc_unbound return EPERM when owner != caller and cpl == 0": [
        f"{BIND}.EVTCHNOP_alloc_unbound.not_allowed"
    ],
    "can bind_ipi return ENOMEM": [f"{BIND}.EVTCHNOP_bind_ipi.no_memory"],
    "can bind_ipi succeed when out.port == 1": [f"{BIND}.EVTCHNOP_bind_ipi.success"],
    "can XENVER_version succeed when result == 0x40011": [
        "hypercall.version.XENVER_version.success"
    ],
    "can channel[caller, 1] == ipi": [],
    "can cr0.ET at entry when current == 0": [],
}

# Question, and the clauses that forbid it: no more than are needed.
NO = {
    "can send return EPERM when cpl == 0": ["hypercall.convention.every.user_mode"],
    "can send return ENOENT": [f"{USE}.EVTCHNOP_send.success"],
    "can bind_ipi return ENOENT when vcpu_exists[caller, vcpu]": [
        f"{BIND}.EVTCHNOP_bind_ipi.no_such_vcpu"
    ],
    "can bind_ipi succeed when not vcpu_exists[caller, vcpu]": [
        f"{BIND}.EVTCHNOP_bind_ipi.no_such_vcpu"
    ],
    "can XENVER_version succeed when result == 5": [],
    "can exists p : Port | channel[caller, p] == interdomain(caller, p)": [
        "evtchn.channel.two_ends"
    ],
    "is there a reachable state with two ports bound to one pirq": [
        f"{BIND}.EVTCHNOP_bind_pirq.already_bound"
    ],
    "can cr4 != 0 at entry when view == guest and current == 0": ["boot.entry.control.cr4"],
}


@pytest.mark.parametrize("text", YES)
def test_yes_comes_with_what_shows_it(text: str) -> None:
    got = ask(text)
    assert got.status == "yes", got.why
    assert list(got.clauses) == YES[text]
    assert got.execution is not None
    assert got.where is not None
    if got.clauses:
        told = run_moves(names().spec, got.execution, got.where)
        assert not any(broken_by(judgements) for judgements in told)
        if "ENOMEM" not in text:
            assert any(j.clause == got.clauses[0] for j in told[-1])


@pytest.mark.parametrize("text", NO)
def test_no_comes_with_what_forbids_it(text: str) -> None:
    got = ask(text)
    assert got.status == "no", got.why
    if NO[text]:
        assert list(got.clauses) == NO[text]
    assert got.execution is None


def test_without_the_clause_that_forbids_it_it_can_be() -> None:
    clause = 'error EEXIST already_bound "The interrupt has a port already." when bound'
    without = edited(BIND, clause, f"{clause} and false")
    got = ask("is there a reachable state with two ports bound to one pirq", without)
    assert got.status == "yes"
    assert got.execution is not None
    assert len(got.execution.moves) == 2


def test_no_hangs_on_invariants_that_are_proved() -> None:
    """An effect dropped: the two ends of a channel need not be alike any more."""
    wrong = edited(
        BIND,
        "channel[peer, remote_port] := interdomain(caller, chosen)",
        "channel[peer, remote_port] := unbound(caller)",
    )
    text = "can exists p : Port, q : Port, d : DomId | channel[caller, p] == interdomain(d, q)"
    text += " and channel[d, q] == free"
    assert ask(text).status == "no"
    got = ask(text, wrong, depth=1)
    assert got.status == "open"
    assert "evtchn.channel.symmetric" in got.why


def test_which_errors() -> None:
    question, got = asked("which errors can bind_ipi return to an unprivileged domain")
    status = {part.subject.partition(": ")[2]: part.status for part in got.parts}
    assert status == {
        "EPERM": "yes", "ENOSYS": "no", "EFAULT": "yes", "ENOENT": "yes", "ENOSPC": "yes",
        "ENOMEM": "yes",
    }  # fmt: skip
    for part in got.parts:
        if part.execution is not None:
            assert ("domain_privileged", (0,), False) in part.execution.given
    text = "\n".join(answer_text(names().spec, question, got, Paint(False)))
    assert "ENOMEM  at any time" in text


def test_where_it_is_so() -> None:
    got = ask("can bind_virq return EBUSY since 4.20 modes pvh_dom0")
    assert got.status == "yes"
    assert got.holds_in == "4.21 to 4.22, pvh_dom0"
    assert ask("can bind_virq return EBUSY on 4.20").status == "no"
    gone = ask("can reset_cont return EBUSY on 4.4")
    assert gone.status == "no"
    assert "since 4.14.1" in gone.why


def test_releases_and_modes_in_words_are_exact() -> None:
    every = tuple((v, m) for v in ((4, 4), (4, 14), (4, 15)) for m in ("a", "b", "c", "d"))
    assert shown_combos(every, every) == "4.4 to 4.15, every mode"
    assert shown_combos(every[:4], every) == "4.4, every mode"
    assert (
        shown_combos(tuple(c for c in every if c[1] != "a"), every)
        == "4.4 to 4.15, every mode but a"
    )
    some = (*every[:2], every[8])
    assert shown_combos(some, every) == "4.4 and 4.15, a; 4.4, b"


def test_a_stated_property() -> None:
    question, got = asked("must channel[caller, 0] == reserved")
    assert (got.status, status_of(question, got)) == ("yes", 0)
    assert f"{USE}.EVTCHNOP_close.closed_port" in got.clauses
    question, got = asked("must not evtchn_pending[caller, 1]")
    assert (got.status, status_of(question, got)) == ("no", 1)
    assert [text for _, text in programs(got)] == ["map shared_info at 0\nset pending 1\n"]
    (line,) = ask("must channel[caller, 1] == interdomain(caller, 1) => fifo[caller]").lines
    assert "speaks of nothing" in line


def test_what_is_not_decided_says_what_would_lead_there() -> None:
    question, got = asked("can channel[caller, 3] == ipi", depth=1, budget=180)
    assert (got.status, status_of(question, got)) == ("open", 1)
    assert got.why == "not reached within 1 steps of boot"
    assert got.lines[0].startswith("EVTCHNOP_bind_ipi would make it so")


def test_what_must_hold_of_a_field() -> None:
    got = ask("what must hold of cr0 at entry")
    (part,) = got.parts
    assert part.clauses == ("boot.entry.control.cr0",)
    allows = next(line for line in part.lines if line.startswith("allows"))
    assert "PE = 1" in allows
    assert "PG = 0" in allows
    assert allows.endswith("any ET")
    left = ask("what must hold of eax at entry in pvh_domu")
    assert [p.clauses for p in left.parts] == [("boot.entry.bsp.undefined",)]
    assert left.parts[0].lines == ("allows   any value",)


def test_must_at_an_event() -> None:
    got = ask("must cr4 == 0 at entry")
    assert got.status == "no"
    assert got.execution is not None
    assert dict(got.execution.moves[0].inputs) == {"current": 0, "view": 1, "cr4": 1}
    assert ask("must cr4 == 0 at entry when current == 0 and view == guest").status == "yes"
    (line,) = ask("must cr0.PE at entry when current == 0 and tr.limit == 0").lines
    assert "speaks of no event" in line


def test_what_is_not_modelled_is_not_said() -> None:
    got = ask("can argo_op return ENOMEM")
    assert got.status == "told"
    assert got.why == "the text does not say what it returns"


def test_for_machines() -> None:
    got = ask("can bind_ipi return ENOENT")
    told = answer_object(names().spec, got)
    assert told["answer"] == "yes"
    assert told["program"] == "EVTCHNOP_bind_ipi(vcpu = 0x1)\n"
    assert told["where"] == {"release": "4.17", "mode": "pvh_dom0"}
    assert told["clauses"][0]["id"] == f"{BIND}.EVTCHNOP_bind_ipi.no_such_vcpu"


def test_a_status_that_a_field_delivers() -> None:
    question, answer = asked("can map_grant_ref return GNTST_bad_domain")
    assert answer.status == "yes"
    assert answer.clauses == ("grant.map.GNTTABOP_map_grant_ref.no_such_domain",)
    told = next(answer_text(names().spec, question, answer, Paint(False)))
    assert told == "yes: GNTTABOP_map_grant_ref can return GNTST_bad_domain"
    question, answer = asked("can bind_ipi return ENOENT")
    told = next(answer_text(names().spec, question, answer, Paint(False)))
    assert told == "yes: EVTCHNOP_bind_ipi can return -ENOENT"
