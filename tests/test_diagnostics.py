"""The one shape of every error: how it prints, and that it prints anything safely."""

import pytest

from pvhspec import diagnostics
from pvhspec.diagnostics import Diagnostic, PvhError, render_all


def at(message: str = "unknown name `prot`", **fields: object) -> Diagnostic:
    values: dict[str, object] = {
        "code": "PVH201",
        "message": message,
        "path": "evtchn/send.abi",
        "line": 7,
        "column": 9,
        "end_column": 13,
        "source_line": "    let prot = 1",
    }
    values.update(fields)
    return Diagnostic(**values)  # type: ignore[arg-type]


def test_prints_place_code_message_source_caret_and_remedy() -> None:
    assert at(remedy="did you mean `port`?").render() == (
        "evtchn/send.abi:7:9: PVH201 unknown name `prot`\n"
        "  |     let prot = 1\n"
        "  |         ^^^^\n"
        "  help: did you mean `port`?"
    )


def test_prints_what_is_known_of_the_place() -> None:
    assert Diagnostic("PVH902", "no header").render() == "PVH902 no header"
    assert Diagnostic("PVH902", "no header", path="a").render() == "a: PVH902 no header"
    assert Diagnostic("PVH902", "no header", path="a", line=3).render() == "a:3: PVH902 no header"


def test_a_warning_says_so() -> None:
    assert at(severity="warning", source_line=None).render() == (
        "evtchn/send.abi:7:9: PVH201 warning: unknown name `prot`"
    )


def test_a_remedy_may_have_lines() -> None:
    assert at(source_line=None, remedy="one\ntwo").render().splitlines()[1:] == [
        "  help: one",
        "        two",
    ]


def test_a_long_line_is_cut_around_the_caret() -> None:
    text = "x" * 5000 + "HERE" + "y" * 5000
    source, caret = at(source_line=text, column=5001, end_column=5005).render().split("\n")[1:]
    assert len(source) < 110
    assert source[caret.index("^") : caret.index("^") + 4] == "HERE"
    assert "…" in source[:6]
    assert source.endswith("…")


def test_a_part_of_a_line_keeps_its_columns() -> None:
    lines = at(source_line="let prot", source_start=5000, column=5004, end_column=5008).render()
    source, caret = lines.split("\n")[1:]
    assert source[caret.index("^") : caret.rindex("^") + 1] == "prot"


def test_the_caret_stands_under_wide_and_control_characters() -> None:
    source, caret = (
        at(source_line="日本 \x1b[2J é prot", column=11, end_column=15).render().split("\n")[1:]
    )
    assert "\x1b" not in source
    # two wide characters take two columns each, ESC prints as four characters
    assert caret.index("^") == source.index("prot") + 2


def test_nothing_in_a_file_drives_the_terminal() -> None:
    text = at("\x1b]0;owned\x07", path="a\nb\x1b", source_line="\x9b\r\0").render()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "\n" not in text.split(" PVH201")[0]


def test_color_changes_nothing_but_color() -> None:
    plain, colored = at(remedy="r").render(), at(remedy="r").render(color=True)
    for escape in ("\x1b[31m", "\x1b[34m", "\x1b[1m", "\x1b[0m"):
        colored = colored.replace(escape, "")
    assert colored == plain


def test_all_are_printed_in_source_order_once() -> None:
    first, second = at(line=2, source_line=None), at(line=10, source_line=None)
    assert render_all([second, first, second]) == f"{first.headline()}\n{second.headline()}"


def test_an_error_carries_its_diagnostics() -> None:
    error = PvhError(at(), at(line=9))
    assert error.diagnostics[1].line == 9
    assert str(error).count("PVH201") == 2


@pytest.mark.parametrize("bad", ["PVH1", "ABC123", "PVH12x", "PVH1234"])
def test_a_code_has_one_form(bad: str) -> None:
    with pytest.raises(ValueError, match="PVHnnn"):
        diagnostics.code(bad, "…")


def test_a_code_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "CODES", {})
    assert diagnostics.code("PVH001", "first") == "PVH001"
    with pytest.raises(ValueError, match="first"):
        diagnostics.code("PVH001", "second")
