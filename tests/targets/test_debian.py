"""Fetching by release, with an apt-get and a dpkg-deb of our own in PATH."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pvhspec.targets import MissingTool, TargetError, debian, xen
from tests.targets.test_images import XEN

LISTED = """\
http://mirror.example/debian/|bookworm|main
http://mirror.example/debian/|bookworm|contrib
http://mirror.example/debian/|bookworm-updates|main
http://mirror.example/debian-security/|bookworm-security|main
http://other.example/linux/debian/|bookworm|stable
http://other.example/node|nodistro|main
http://other.example/apt|tools-bookworm|main
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "_KEYS", (tmp_path / "none", tmp_path / "keys"))
    return folder


def _script(path: Path, body: str) -> None:
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)


def _apt(tools: Path, *, listed: str = LISTED, download: str = "touch xen.deb") -> None:
    (tools / "listed").write_text(listed)
    (tools / "xen.gz").write_bytes(gzip.compress(XEN))
    _script(
        tools / "apt-get",
        f"""case "$*" in
        indextargets*) cat {tools}/listed ;;
        *update) echo "$@" >> {tools}/calls; echo "E: one source failed" >&2; exit 100 ;;
        *download*) {download} ;;
        esac
        """,
    )
    _script(
        tools / "dpkg-deb",
        f'mkdir -p "$3/boot"; cp {tools}/xen.gz "$3/boot/xen-4.20-amd64.gz"\n',
    )


def test_mirrors_are_the_machines_own_for_another_release(tools: Path) -> None:
    _apt(tools)
    keys = tools.parent / "keys"
    keys.touch()
    signed = f"[signed-by={keys}]"
    assert debian.mirrors(str(tools / "apt-get"), "trixie") == [
        f"deb {signed} http://mirror.example/debian-security/ trixie-security main\n",
        f"deb {signed} http://mirror.example/debian/ trixie main\n",
        f"deb {signed} http://mirror.example/debian/ trixie-updates main\n",
    ]


def test_a_release_is_fetched_once(tools: Path) -> None:
    """Even where one of the sources fails: whether the package can be had decides."""
    _apt(tools)
    found = xen.locate("4.20")
    assert found.read_bytes() == XEN
    calls = (tools / "calls").read_text()
    assert "Dir::State::Lists=" in calls
    (tools / "apt-get").unlink()
    assert xen.locate("4.20") == found
    assert sorted(path.name for path in found.parent.iterdir()) == ["apt.lock", found.name]


def test_no_mirror(tools: Path) -> None:
    _apt(tools, listed="http://archive.example/ubuntu|noble|main\n")
    with pytest.raises(MissingTool, match="no Debian mirror") as caught:
        xen.locate("4.20")
    assert caught.value.status == 3


def test_no_network(tools: Path) -> None:
    _apt(tools, download="echo 'E: Unable to locate package x' >&2; exit 100")
    with pytest.raises(MissingTool, match="one source failed"):
        xen.locate("4.20")


def test_a_package_without_the_file(tools: Path) -> None:
    _apt(tools)
    _script(tools / "dpkg-deb", "exit 0\n")
    with pytest.raises(TargetError, match=r"has no boot/xen-4\.20"):
        xen.locate("4.20")


def test_not_debian(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(MissingTool, match="apt-get"):
        xen.locate("4.20")
