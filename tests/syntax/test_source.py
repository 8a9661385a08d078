"""Files that are no specification at all: one clear error each, at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pvhspec.syntax.format import format_text
from pvhspec.syntax.parse import parse_manifest, parse_module
from pvhspec.syntax.source import MOST_CHARACTERS, read_text

HEAD = "module a.b\npredicate p() = "


@pytest.mark.parametrize(
    "data, code, line, column",
    [
        (b"module a.b\n# \xe9t\xe9", "PVH105", 2, 3),
        (b"\xff\xfe\0m\0o", "PVH105", 1, 1),
        (b"module a.b\0", "PVH106", 1, 11),
        (b"module a.b\n# \x1b[2J", "PVH106", 2, 3),
        ("module a.b\n# \u2028".encode(), "PVH106", 2, 3),
        (b"x" * (MOST_CHARACTERS + 1), "PVH104", None, None),
        (b"x" * (10 << 20), "PVH104", None, None),
    ],
)
def test_no_text(tmp_path: Path, data: bytes, code: str, line: int, column: int) -> None:
    path = tmp_path / "a.abi"
    path.write_bytes(data)
    text, (error,) = read_text(path)
    assert text is None
    assert (error.code, error.line, error.column) == (code, line, column)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path("a\0b")):
        text, (error,) = read_text(path)
        assert text is None
        assert error.code == "PVH103"


def test_a_byte_order_mark_and_carriage_returns_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.abi"
    path.write_bytes(b"\xef\xbb\xbfmodule a.b\r\n\r\ntype A = u8 # a\r\n")
    text, errors = read_text(path)
    assert text == "module a.b\n\ntype A = u8 # a\n"
    assert not errors


DEEP = {
    "parentheses": HEAD + "(" * 30_000 + "a" + ")" * 30_000,
    "open parentheses": HEAD + "(" * 100_000,
    "blocks": "module a.b\neffect e() {" + "if a {" * 20_000 + "}" * 20_001,
    "signs": HEAD + "-" * 20_000 + "a",
    "not": HEAD + "not " * 20_000 + "a",
    "or": HEAD + "a or " * 20_000 + "a",
    "implications": HEAD + "a => " * 20_000 + "a",
    "braces": "module a.b\n" + "{" * 100_000,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_nested_deeply(text: str) -> None:
    start = time.process_time()
    module, errors = parse_module(text, "a.abi")
    assert module is None
    assert [e.code for e in errors] == ["PVH102"]
    assert time.process_time() - start < 5


ODD = {
    "empty": "",
    "blank": " \n\n\t\n",
    "a comment": "# nothing",
    "an open string": 'module a.b\ntype A = u8 "' + "q" * 200_000,
    "quotes": "module a.b\n" + '"' * 50_001,
    "closing braces": "module a.b\n" + "}" * 50_000,
    "many mistakes": "module a.b\n" + "type A := u8\n" * 15_000,
    "many mistakes in a block": "module a.b\noperation a = b.0 {\n" + "  error E x if\n" * 10_000,
    "a long number": HEAD + "9" * 200_000,
    "a long word": HEAD + "q" * 200_000 + " =",
    "words": "module a.b\n" + "type = { on error ( success := \n" * 5_000,
    "another language": "int main(void) { return 0; }\n" * 1_000,
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_texts(text: str) -> None:
    start = time.process_time()
    for path in ("a.abi", "pvh.abi"):
        result, errors = format_text(text, path)
        assert result is None
        assert 1 <= len(errors) <= 30
        assert all(e.render() for e in errors)
    assert time.process_time() - start < 10


def test_a_manifest_has_its_mistakes_told_apart() -> None:
    text = 'abi pvh\nmode pv\ngroup pvh = a b\nversions xen 4\nmode x "Prose\nmodules { core }\n'
    manifest, errors = parse_manifest(text, "pvh.abi")
    assert manifest is None
    assert [(e.line, e.code) for e in errors] == [
        (2, "PVH132"),
        (3, "PVH101"),
        (4, "PVH120"),
        (5, "PVH113"),
        (6, "PVH101"),
    ]
