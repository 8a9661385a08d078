"""`pvhspec lsp` as an editor meets it: a process, two pipes, text that is not saved."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.cli import main
from tests.editor.client import Editor

DOOR = """\
module core.door
  "A door, and who may open it."

import core.base

state open[p : Port] : bool = false "𝒜, outside the first plane." may rise when not open[1]

predicate may_open(d : DomId, p : Port) = d == 0 or open[p]
  "The initial domain may, and everybody where it stands open."
  documented xen:xen/include/public/event_channel.h "EVTCHNOP_status"

invariant port_0
  "Door 0 is shut."
  implemented xen:xen/common/event_channel.c "evtchn_from_port(d, 0)"
  : forall p : Port | p == 0 => not open[p]
"""
BELL = """\
module core.bell
  "A bell."

import core.base, core.door

hypercall bell_op = 50 (cmd : u32, which : Port)
  "Rings."
  documented xen:xen/include/public/xen.h "__HYPERVISOR_event_channel_op"
{
  error EPERM shut "The door is shut."
    when not may_open(caller, which)
    implemented xen:xen/common/event_channel.c "static int evtchn_status("
}
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A specification of four modules."""
    base = _data.grammar_dir() / "examples" / "base"
    shutil.copytree(base, tmp_path / "house")
    manifest = tmp_path / "house" / "pvh.abi"
    text = manifest.read_text()
    manifest.write_text(text.replace("  core.other\n", "  core.other\n  core.door\n  core.bell\n"))
    (tmp_path / "house" / "core" / "door.abi").write_text(DOOR)
    (tmp_path / "house" / "core" / "bell.abi").write_text(BELL)
    return tmp_path / "house"


def test_a_session(house: Path) -> None:
    """One start of the server for what it answers: starting is what takes time."""
    door, bell = house / "core" / "door.abi", house / "core" / "bell.abi"
    with Editor(house) as editor:
        editor.open(door)
        editor.open(bell)

        # Definition, across files; of what another module declares, a mode, a source.
        found = editor.at("definition", bell, BELL, "not may|_open")
        assert found[0]["uri"] == door.as_uri()
        assert found[0]["range"]["start"] == {"line": 7, "character": 10}
        assert editor.at("definition", bell, BELL, "import core.ba|se")[0]["uri"].endswith(
            "base.abi"
        )
        assert editor.at("definition", bell, BELL, "implemented x|en:")[0]["uri"].endswith(
            "pvh.abi"
        )
        assert editor.at("definition", bell, BELL, "bell|.") == []

        manifest = house / "pvh.abi"
        found = editor.at("definition", manifest, manifest.read_text(), "  core.d|oor")
        assert found[0]["uri"] == door.as_uri()
        used = editor.at("references", manifest, manifest.read_text(), "source x|en",
                         context={"includeDeclaration": True})  # fmt: skip
        assert {place["uri"] for place in used} >= {bell.as_uri(), manifest.as_uri()}

        # Hover: the text, the prose, the authority and the citation.
        said = editor.at("hover", bell, BELL, "not may|_open")["contents"]["value"]
        assert "predicate may_open(d : DomId, p : Port)" in said
        assert "The initial domain may" in said
        assert (
            "documented: `xen-project/xen@c447b7308b13 xen/include/public/event_channel.h`" in said
        )
        said = editor.at("hover", bell, BELL, "EPERM sh|ut")["contents"]["value"]
        assert "core.bell.bell_op.shut" in said
        assert "*implemented*" in said
        assert '"static int evtchn_status("' in said

        # Completion: error names after `error`, names in scope and not those out of it, keywords.
        assert names(editor.at("completion", bell, BELL, "error E|")) == ERRNOS
        offered = names(editor.at("completion", bell, BELL, "when not may|"))
        assert {"may_open", "open", "which", "Port", "forall"} <= offered
        assert "ELSEWHERE" not in offered
        assert names(editor.at("completion", bell, BELL, "import core.|")) == {
            "core.base", "core.other", "core.door",
        }  # fmt: skip

        # Symbols, of a file and of all.
        outline = editor.ask(
            "textDocument/documentSymbol", {"textDocument": {"uri": bell.as_uri()}}
        )
        assert [(s["name"], [c["name"] for c in s["children"]]) for s in outline] == [
            ("bell_op", ["shut"])
        ]
        everywhere = editor.ask("workspace/symbol", {"query": "open"})
        assert {s["name"] for s in everywhere} == {"open", "may_open"}

        # Errors in text that is not saved: many, in the file that they are in, and gone again.
        broken = DOOR.replace("d == 0", "d == nobody").replace("when not open", "when not closed")
        editor.type(door, broken)
        first, second = editor.told(door, ["PVH211", "PVH211"])
        assert second["message"].startswith("nothing is called nobody")
        # Columns are UTF-16 units: 𝒜 is two of them.
        line = broken.split("\n")[5]
        assert first["range"]["start"] == {"line": 5, "character": line.index("closed") + 1}
        editor.type(door, broken.replace("state open", "stat open"))
        assert editor.told(door, ["PVH101"])
        # While the text does not parse, the last that did answers.
        assert editor.at("definition", bell, BELL, "not may|_open")[0]["uri"] == door.as_uri()
        editor.type(door, DOOR)
        editor.told(door, [])

        # Rename, across files; into what means something else, not at all.
        edits = editor.at("rename", bell, BELL, "not may|_open", newName="lets_in")["changes"]
        assert {uri: len(found) for uri, found in edits.items()} == {
            door.as_uri(): 1, bell.as_uri(): 1,
        }  # fmt: skip
        edits = editor.at("rename", door, DOOR, "forall p|", newName="port")["changes"]
        assert [e["range"]["start"]["line"] for e in edits[door.as_uri()]] == [14, 14, 14]
        for new, why in (("which", "cannot be called which"), ("when", "is not a name")):
            refused = editor.at("rename", bell, BELL, "not may|_open", newName=new)
            assert why in refused["message"], refused

        # Formatting.
        editor.type(bell, BELL.replace("  error EPERM", "      error   EPERM"))
        edit = editor.ask("textDocument/formatting", {
            "textDocument": {"uri": bell.as_uri()}, "options": {"tabSize": 2, "insertSpaces": True},
        })  # fmt: skip
        assert edit[0]["newText"] == BELL


ERRNOS = {"EPERM", "ENOENT", "ENOMEM", "EFAULT", "EBUSY", "EINVAL", "ENOSPC", "ENOSYS"}


def names(items: list[dict[str, str]]) -> set[str]:
    return {item["label"] for item in items}


def test_without_pygls_the_command_that_brings_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    monkeypatch.delitem(sys.modules, "pvhspec.editor.server", raising=False)
    assert main(["lsp"]) == 3
    assert "pip install 'pvhspec[editor]'" in capsys.readouterr().err
