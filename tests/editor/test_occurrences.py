"""Every name is found, where it stands; renaming one renames it everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pvhspec import _data
from pvhspec.diagnostics import PvhError
from pvhspec.editor.answers import edited, rename
from pvhspec.editor.occurrences import Target, occurrences
from pvhspec.editor.project import Project
from pvhspec.ir.cache import load_sources
from pvhspec.names.report import Reporter
from pvhspec.names.symbols import collect
from pvhspec.syntax.forms import ITEM_WORDS

_HIDDEN = re.compile(r'"[^"]*"|#.*|[a-z][a-z0-9]*:[A-Za-z0-9_./+-]+')
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def test_no_name_of_the_specification_is_missed() -> None:
    """Each word of the text that is a declared name, and no keyword there, is an occurrence."""
    sources, _ = load_sources()
    assert sources is not None
    symbols = collect(sources, Reporter(sources.texts))
    missed, wrong, seen = [], [], 0
    for module in sources.modules:
        text = sources.texts[module.path]
        found = {(o.span.line, o.span.column): o for o in occurrences(module, symbols)}
        for (line, column), each in found.items():
            word = text[line - 1][column - 1 : each.span.end_column - 1]
            wrong += [] if word == each.target.name else [(module.path, line, word)]
        seen += len(found)
        for number, line_text in enumerate(text, 1):
            shown = _HIDDEN.sub(lambda m: " " * len(m.group()), line_text)
            for match in _NAME.finditer(shown):
                begins = match.start() == 0 and match.group() in ITEM_WORDS | {"every"}
                keyword = begins or shown.startswith("every hypercall")
                known = match.group() in symbols.by_name and not keyword
                if known and (number, match.start() + 1) not in found:
                    missed.append((module.path, number, match.group()))
    assert (missed, wrong) == ([], [])
    assert seen > 5000


@pytest.fixture(scope="module")
def project() -> Project:
    """The specification itself, as an editor has it."""
    made = Project(_data.spec_dir())
    assert not [d for d in made.check() if d.severity == "error"]
    return made


@pytest.mark.parametrize(
    "target, files",
    [
        (Target("name", "", "Port"), 6),
        (Target("name", "", "closed"), 2),
        (Target("name", "", "interdomain"), 4),
        (Target("name", "", "EVTCHNOP_bind_virq"), 3),
        (Target("clause", "evtchn.bind.EVTCHNOP_bind_virq", "already_bound"), 2),
    ],
)
def test_a_rename_leaves_a_specification(project: Project, target: Target, files: int) -> None:
    """`rename` itself reads and checks the new text; here, that nothing else is touched."""
    assert project.whole is not None
    path, here = project.all_of(target)[0]
    places = rename(project, here, f"{target.name}_renamed")
    texts = edited(project, places, f"{target.name}_renamed")
    assert len(texts) >= files
    for changed, text in texts.items():
        assert text.replace(f"{target.name}_renamed", target.name) == project.text(changed)
    assert here.defines
    assert (path, here.span) == places[0]


def test_what_cannot_be_renamed(project: Project) -> None:
    """A field is the trace's or the header's; another's name means another thing."""
    field = next(p for p in project.all_of(Target("field", "start_info", "magic")))[1]
    with pytest.raises(PvhError, match="PVH560 magic cannot be renamed here"):
        rename(project, field, "number")
    closed = project.all_of(Target("name", "", "closed"))[0][1]
    with pytest.raises(PvhError, match="PVH560 closed cannot be called valid"):
        rename(project, closed, "valid")


def test_a_file_belongs_to_the_nearest_specification(tmp_path: Path) -> None:
    from pvhspec.editor.project import folder_of

    (tmp_path / "inner").mkdir()
    (tmp_path / "pvh.abi").touch()
    assert folder_of(tmp_path / "inner" / "a.abi") == tmp_path
    (tmp_path / "inner" / "pvh.abi").touch()
    assert folder_of(tmp_path / "inner" / "a.abi") == tmp_path / "inner"
