"""One file of one Debian package, without root and without touching the machine's own apt.

The mirror is the one the machine's apt already uses. A private state folder and a sources list
naming the other Debian release are all apt needs to fetch a package of it; nothing is installed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pvhspec.targets.errors import MissingTool, TargetError
from pvhspec.targets.probe import cache_dir

__all__ = ["fetch", "mirrors"]

_CODENAMES = "buster|bullseye|bookworm|trixie|forky|duke|sid|stable|oldstable|testing|unstable"
_RELEASE = re.compile(rf"(?:{_CODENAMES})(-security|-updates)?")
_ARCHIVE = re.compile(r"/debian(-security)?/?$")
_TIME_LIMIT = 240  # seconds for one apt command
#: The keys Debian signs with, where newer releases keep them; older apts trust them anyway.
_KEYS = tuple(
    Path(f"/usr/share/keyrings/debian-archive-keyring.{ending}") for ending in ("pgp", "gpg")
)
_BY_PATH = "or give the path of a Xen image instead of a release"


def fetch(release: str, package: str, member: str) -> bytes:
    """The bytes of file `member` of `package` as Debian `release` has it (a second or a few).

    Raises MissingTool where apt or a mirror is missing or out of reach.
    """
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise MissingTool("apt-get and dpkg-deb are needed to fetch Xen by release", _BY_PATH)
    sources = mirrors(apt, release)
    if not sources:
        raise MissingTool(
            "this machine's apt names no Debian mirror to fetch Xen from",
            f"add one to its sources, {_BY_PATH}",
        )
    kept = cache_dir()
    with _only_one(kept), tempfile.TemporaryDirectory(dir=kept, prefix="apt-") as state:
        folder = Path(state)
        options = _private(folder, sources)
        # A source that fails is passed over here; whether the package can be had decides.
        update = _run([apt, *options, "update"], folder)
        download = _run([apt, *options, "download", package], folder)
        found = list(folder.glob("*.deb"))
        if not found:
            raise MissingTool(
                f"{package} of Debian {release} could not be fetched: {update or download}",
                f"check the network and the mirror, {_BY_PATH}",
            )
        unpack = _run([dpkg, "-x", str(found[0]), str(folder / "tree")], folder)
        file = folder / "tree" / member
        if not file.is_file():
            raise TargetError(f"{package} of Debian {release} has no {member} {unpack}".strip())
        return file.read_bytes()


def mirrors(apt: str, release: str) -> list[str]:
    """Lines of a sources list for `release`, made from the machine's own Debian sources."""
    form = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    listed = subprocess.run(
        [apt, "indextargets", "--no-release-info", "--format", form, "Created-By: Packages"],
        capture_output=True, text=True, timeout=_TIME_LIMIT, check=False,
    ).stdout  # fmt: skip
    keys = next((f"[signed-by={path}] " for path in _KEYS if path.exists()), "")
    lines = set()
    for line in listed.splitlines():
        uri, suite, component = line.split("|")
        found = _RELEASE.fullmatch(suite)
        if found and component == "main" and _ARCHIVE.search(uri):
            lines.add(f"deb {keys}{uri} {release}{found[1] or ''} main\n")
    return sorted(lines)


def _private(state: Path, sources: list[str]) -> list[str]:
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "sources.list").write_text("".join(sources))
    settings = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        "APT::Architecture": "amd64",
        "APT::Get::List-Cleanup": "false",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Retries": "2",
        "Debug::NoLocking": "true",
    }
    if os.geteuid() == 0:
        settings["APT::Sandbox::User"] = "root"
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _run(command: list[str], folder: Path) -> str:
    """Run a command; its first error line, or "" if it succeeded."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_TIME_LIMIT, check=False, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no end within {_TIME_LIMIT} s"
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if line.startswith(("E:", "Err"))]
    return (errors or done.stderr.splitlines() or ["failed"])[0].removeprefix("E: ")


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two runs at once fetch one after the other."""
    with (folder / "apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
