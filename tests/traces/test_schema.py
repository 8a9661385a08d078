"""`traces/format.md` is the contract; the schema table says the same."""

from __future__ import annotations

import re

from pvhspec import _data
from pvhspec.traces.schema import COMMON, HEADER, KINDS, SCHEMA, Choice, Record, Table, Type


def rows_under(heading: str) -> dict[str, str]:
    text = (_data.traces_dir() / "format.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            names, meaning = line.strip("| ").split(" | ", 1)
            for name in re.findall(r"`(\w+)`", names):
                rows[name] = meaning
    return rows


def names_in(type: Type) -> set[str]:
    """Every name a field of this type is made of."""
    match type:
        case Record(fields):
            return {f.name for f in fields}.union(*(names_in(f.type) for f in fields))
        case Table(value):
            return names_in(value)
        case Choice(words):
            return set(words)
        case _:
            return set()


def test_the_version_is_that_of_the_document() -> None:
    assert f"`{SCHEMA}`" in (_data.traces_dir() / "format.md").read_text().splitlines()[0]


def test_header_fields_are_those_of_the_document() -> None:
    assert set(rows_under("Header")) == {f.name for f in HEADER.fields}


def test_common_fields_are_those_of_the_document() -> None:
    assert set(rows_under("Every event")) == {f.name for f in COMMON} | {"kind"}


def test_kinds_are_those_of_the_document() -> None:
    assert list(rows_under("Kinds")) == list(KINDS)


def test_fields_of_each_kind_are_in_the_document() -> None:
    for name, meaning in rows_under("Kinds").items():
        said = set(re.findall(r"`(\w+)`", meaning))
        fields = KINDS[name].fields
        assert {f.name for f in fields} <= said, name
        known = {f.name for f in fields}.union(*(names_in(f.type) for f in fields))
        assert said - known <= {"ts", "true"}, name
