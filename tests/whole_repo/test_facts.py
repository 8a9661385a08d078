"""Every fact that the project knows of is said by clauses, or by a reason; nothing is left out."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from tests.headers import headers
from tests.real import lacking

from pvhspec import _data
from pvhspec.cli import main
from pvhspec.facts import LISTS, Fact, backends, examples_of, facts
from pvhspec.ir.cache import load_spec
from pvhspec.ir.ir import Spec
from pvhspec.site.facts import facts_page

FOLDER = _data.spec_dir() / "facts"
CALLS = tomllib.loads((FOLDER / "calls.toml").read_text())


@pytest.fixture(scope="module")
def spec() -> Spec:
    found, errors = load_spec()
    assert found is not None, errors
    return found


@pytest.fixture(scope="module")
def rows(spec: Spec) -> list[Fact]:
    return facts(spec)  # raises where a clause does not exist, or a row says nothing


def test_every_row_says_where_or_why_not(rows: list[Fact]) -> None:
    assert all(row.what and bool(row.clauses) != bool(row.reason) for row in rows)
    twice = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
    assert not twice


def test_numbers_go_on(rows: list[Fact]) -> None:
    """Of a kind of fact, none is missing between the first and the last."""
    gaps = {"AP", "EC", "ENTRY", "HC", "XSA"}  # numbered by section, with room between
    for name in ("inventory.toml", "seeds.toml", "versions.toml", "failures.toml"):
        found: dict[str, list[int]] = {}
        for row in rows:
            if row.source == name:
                kind, number = row.id.rsplit("-", 1)
                found.setdefault(kind, []).append(int(number))
        for kind, numbers in found.items():
            if kind not in gaps:
                assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1)), kind


def test_a_reason_beside_clauses_is_over(rows: list[Fact]) -> None:
    """A row that clauses say needs no reason any more."""
    said = {row.id for row in rows if row.clauses}
    both = []
    for name in ("inventory.toml", "seeds.toml", "versions.toml", "failures.toml"):
        for table in tomllib.loads((FOLDER / name).read_text()).values():
            both += [n for n, row in table.items() if n in said and any(map(_reason, row))]
    assert not both


def _reason(text: str) -> bool:
    return text.startswith("- ")


def test_every_call_of_the_headers_is_listed() -> None:
    why = headers.missing()
    if why is not None:
        lacking(f"Xen's public headers cannot be compiled here: {why}")
    known = headers.macros()
    for family, row in CALLS.items():
        prefix = row.get("prefix", "__HYPERVISOR_")
        others = (*row.get("others", ()), "VIRT_")
        there = {
            name.removeprefix(prefix)
            for name in known
            if name.startswith(prefix) and not name.removeprefix(prefix).startswith(others)
        }
        if not row.get("upper_case", True):
            there = {name for name in there if name.islower()}
        # What other releases have may be there or not: libxen-dev is of one of them.
        assert set(row["names"].split()) == there - set(row.get("more", ())), family


def test_what_holds_a_clause_is_told(spec: Spec) -> None:
    assert backends(spec, ["evtchn.channel.symmetric"]) == ["proof"]
    assert backends(spec, ["boot.entry.control.cr0"]) == ["traces"]
    assert backends(spec, ["evtchn.use.EVTCHNOP_send.success"]) == ["traces", "calls", "proof"]
    assert "calls" not in backends(spec, ["pv.tables.update_entry.success"])  # no PV guest is run
    assert examples_of(spec, ["boot.entry.control.cr0"]) > 0


def test_the_page_has_every_row(spec: Spec, rows: list[Fact]) -> None:
    page = facts_page(spec, {"boot.entry.control.cr0": ["a", "b"]})
    for row in rows:
        assert f"| {row.id.replace('_', chr(92) + '_')} |" in page
    assert all(title in page for title in LISTS.values())


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("seeds.toml", "[S0", "PVH580"),
        ("seeds.toml", "[S0]\nS0-01 = 3\n", "PVH581"),
        ("seeds.toml", '[S0]\nS0-01 = ["a", "no.such.clause"]\n', "PVH582"),
        ("calls.toml", "[event_channel_op]\n", "PVH581"),
        ("calls.toml", '[x]\nnames = ""\nmore = "new"\n', "PVH581"),
        ("calls.toml", '[x]\nprefix = "X_"\nnames = "new"\n', "PVH582"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, code: str
) -> None:
    shutil.copytree(_data.spec_dir(), tmp_path / "spec")
    (tmp_path / "spec" / "facts" / name).write_text(text)
    assert main(["facts", "--spec", str(tmp_path / "spec")]) == 2
    assert code in capsys.readouterr().err


def test_later_commands_say_when_they_came(rows: list[Fact]) -> None:
    told = {row.id: row for row in rows}
    assert told["XEN_DOMCTL_gsi_permission"].what == "a command of domctl, since 4.20"
    assert "hypercall.table.domctl.not_privileged" in told["XEN_DOMCTL_gsi_permission"].clauses
    assert (
        told["XENVER_changeset2"].clauses[0].startswith("hypercall.version_text.XENVER_changeset2")
    )


def test_facts_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["facts", "EC-10", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["facts"]
    assert "evtchn.use.EVTCHNOP_send.success" in row["clauses"]
    assert row["reason"] is None
    assert main(["facts", "ENTRY-1?"]) == 0
    assert "boot.entry.control.cr0" in capsys.readouterr().out
    assert main(["facts", "no-such-fact"]) == 1
