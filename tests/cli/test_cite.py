"""Citations, looked up in a clone made for the purpose."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pvhspec import cli
from tests.cli.transcripts import INPUTS

FILES = {
    "errno.h": "/* ENOBELL */\n",
    "house.h": "typedef domid_t;\n\ntypedef vcpuid_t;\n",
    "bell.h": "hook_t\nstruct bell_hang {};\nstruct bell_ring {};\nbell_op\nBELL_hang\nBELL_ring\n",
    "porter.c": "\n\n    for ( h = 0; h < 16; h++ )\n",
}


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=porter", "-c", "user.email=porter@house"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with the specification and a clone that it is pinned to."""
    clone = tmp_path / "clones" / "house"
    clone.mkdir(parents=True)
    for name, text in FILES.items():
        (clone / name).write_text(text)
    git(clone, "init", "-q")
    git(clone, "add", ".")
    git(clone, "commit", "-q", "-m", "the house")
    shutil.copytree(INPUTS / "bell", tmp_path / "bell")
    pin(tmp_path, git(clone, "rev-parse", "HEAD"))
    return tmp_path


def pin(house: Path, commit: str) -> None:
    manifest = house / "bell" / "pvh.abi"
    before, _, after = manifest.read_text().partition(' at "')
    manifest.write_text(f'{before} at "{commit}"{after[after.index(chr(34)) + 1 :]}')


def cite(house: Path, *words: str) -> int:
    return cli.main(["cite", "--spec", str(house / "bell"), *words])


def test_what_is_found_is_recorded_and_the_record_is_the_same_again(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clones = ["--sources", str(house / "clones")]
    assert cite(house, *clones) == 0
    text = (house / "bell" / "citations.json").read_text()
    assert json.loads(text)["sources"]["house"]["files"]["porter.c"] == {"for ( h = 0;": 3}
    assert cite(house, *clones) == 0
    assert (house / "bell" / "citations.json").read_text() == text
    assert cite(house) == 0
    assert "each found in its source" in capsys.readouterr().out


def test_a_citation_that_is_not_found(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bells = house / "bell" / "house" / "bells.abi"
    bells.write_text(
        bells.read_text()
        .replace('porter.c "for ( h = 0;"', 'porter.c "while ( h )"')
        .replace('house:bell.h "hook_t"', 'house:hook.h "hook_t"')
    )
    assert cite(house, "--sources", str(house / "clones")) == 1
    err = capsys.readouterr().err
    assert "PVH411 these words do not stand in porter.c" in err
    assert "PVH412 example/house has no hook.h" in err
    assert not (house / "bell" / "citations.json").exists()


def test_a_record_that_is_old(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cite(house, "--sources", str(house / "clones")) == 0
    bells = house / "bell" / "house" / "bells.abi"
    bells.write_text(bells.read_text().replace('"for ( h = 0;"', '"h < 16"'))
    assert cite(house) == 1
    err = capsys.readouterr().err
    assert "bells.abi:49:7: PVH413" in err
    assert 'PVH414 house:porter.c "for ( h = 0;" is cited no more' in err


def test_another_commit_has_to_be_looked_up_anew(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cite(house, "--sources", str(house / "clones")) == 0
    pin(house, "f" * 40)
    assert cite(house) == 1
    assert "PVH413" in capsys.readouterr().err
    assert cite(house, "--sources", str(house / "clones")) == 2
    assert "PVH416" in capsys.readouterr().err


def test_a_record_that_cannot_be_read(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("", "[]", '{"sources": 5}', '{"sources": {"house": {}}}'):
        (house / "bell" / "citations.json").write_text(text)
        assert cite(house) == 1
        assert "PVH415" in capsys.readouterr().err
