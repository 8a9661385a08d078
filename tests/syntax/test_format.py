"""The formatter changes blanks and where prose is cut, keeps comments, and settles at once."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvhspec.syntax import ast
from pvhspec.syntax import format as formatter
from pvhspec.syntax.format import format_module, format_text
from pvhspec.syntax.layout import WIDTH
from pvhspec.syntax.parse import parse_module
from tests.syntax.texts import (
    ACCEPT,
    SPEC,
    comments,
    name_of,
    respaced,
    spanless,
    tokens,
    tree,
)

FILES = [*ACCEPT, *SPEC]
few = settings(
    max_examples=5, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


def fmt(text: str, path: str = "a.abi") -> str:
    result, errors = format_text(text, path)
    assert result is not None, "\n".join(e.render() for e in errors)
    return result


def module(body: str) -> str:
    """What a module's text after `module m` looks like when formatted."""
    return fmt(f"module a.m\n{body}").removeprefix("module a.m\n").strip("\n")


@pytest.mark.parametrize("path", FILES, ids=name_of)
@few
@given(seed=st.integers(0, 1 << 32))
def test_any_spacing_and_comments(path: Path, seed: int) -> None:
    original = path.read_text()
    text = respaced(original, seed)
    once = fmt(text, str(path))
    assert fmt(once, str(path)) == once
    assert spanless(tree(once, str(path))) == spanless(tree(original, str(path)))
    assert comments(once) == comments(text)
    # only a comment, or a citation that is long by itself, may stand out
    bare = [line for line in once.split("\n") if "#" not in line and "mented " not in line]
    assert max(map(len, bare)) <= WIDTH


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_layout_depends_on_nothing_but_the_tree(path: Path) -> None:
    def lines(text: str) -> list[str]:
        return [line for line in fmt(text, str(path)).split("\n") if line]

    bare = " ".join(tokens(path.read_text()))
    assert lines(respaced(bare, 1, comments=False)) == lines(bare)


def test_comments_and_blank_lines_stay() -> None:
    text = """\
# above the module

module a.m  # the module

# about A

# more about A
type A = u8  # A
type B = u8

effect e() {
  # first
  a := 1

  # second
  b := 2  # beside

  # last
}

# the end
"""
    assert fmt(text) == text
    assert fmt(text.replace("\n\n", "\n\n\n\n")) == text


def test_a_comment_inside_an_expression_goes_above_its_line() -> None:
    assert module("const A : u8 = 1 +\n # why\n 2 # what\n") == (
        "\n# why\nconst A : u8 = 1 + 2  # what".strip("\n")
    )


def test_two_comments_on_one_line_go_above_it() -> None:
    assert module("const A : u8 # one\n = 2 # two\n") == "# one\n# two\nconst A : u8 = 2"


def test_prose_is_cut_into_lines() -> None:
    words = "word " * 40
    lines = module(f'type A = u8 "{words}" "end"').split("\n")
    assert lines[0] == "type A = u8"
    assert all(line.startswith('  "word') and line.endswith('"') for line in lines[1:])
    assert max(map(len, lines)) <= WIDTH
    again, _ = parse_module("module a.m\n" + "\n".join(lines), "a")
    assert again is not None
    assert isinstance(again.items[0], ast.TypeDecl)
    assert again.items[0].prose == words + "end"


def test_long_expressions_break_where_they_bind_loosest() -> None:
    long = "some_predicate(first, second)"
    text = module(f"predicate p() = ({long} or {long}) and {long} and {long} => {long} or {long}")
    assert text == (
        "predicate p() =\n"
        f"  ({long} or {long})\n"
        f"    and {long}\n"
        f"    and {long}\n"
        f"  => {long} or {long}"
    )


def test_parentheses_are_the_authors() -> None:
    assert module("predicate p() = ((a)) and (b or (c))") == (
        "predicate p() = ((a)) and (b or (c))"
    )


def test_errors_without_prose_are_a_table() -> None:
    assert module(
        "hypercall h = 1 { error ESRCH no_domain when a error E2BIG x maybe "
        "error EBUSY y maybe when c "
        'error EINVAL odd "Odd." when b documented xen:a.h "B" }'
    ) == (
        "hypercall h = 1 {\n"
        "  error ESRCH no_domain when a\n"
        "  error E2BIG x         maybe\n"
        "  error EBUSY y         maybe when c\n"
        '  error EINVAL odd "Odd."\n'
        "    when b\n"
        '    documented xen:a.h "B"\n'
        "}"
    )


def test_a_header_of_many_lines_has_its_brace_alone() -> None:
    assert module(
        'struct s size 4 "Prose." documented xen:a.h "s" { 0 a : u8 0x1|2 bcd : u8[3] }'
    ) == (
        "struct s size 4\n"
        '  "Prose."\n'
        '  documented xen:a.h "s"\n'
        "{\n"
        "  0     a   : u8\n"
        "  0x1|2 bcd : u8[3]\n"
        "}"
    )


def test_declarations_of_one_line_may_stand_together() -> None:
    together = "hypercall a = 1\nhypercall b = 2\n\nhypercall c = 3"
    assert module(together) == together
    assert module("hypercall a = 1\nconst B : u8 = 2") == "hypercall a = 1\n\nconst B : u8 = 2"


def test_a_tree_alone_can_be_laid_out() -> None:
    found, _ = parse_module("module a.m # gone\ntype A = u8", "a")
    assert found is not None
    assert format_module(found) == "module a.m\n\ntype A = u8\n"


def test_errors_are_given_back() -> None:
    result, errors = format_text("module a.m\ntype", "a.abi")
    assert result is None
    assert errors


def test_what_would_change_the_text_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatter, "format_module", lambda *_: "module a.n\n")
    result, errors = format_text("module a.m", "a.abi")
    assert result is None
    assert [e.code for e in errors] == ["PVH190"]
