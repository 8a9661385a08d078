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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pvhspec.targets.errors import MissingTool, TargetError
from pvhspec.targets.probe import cache_dir

__all__ = ["fetch", "fetch_all", "mirrors", "program"]

_CODENAMES = "buster|bullseye|bookworm|trixie|forky|duke|sid|stable|oldstable|testing|unstable"
_RELEASE = re.compile(rf"(?:{_CODENAMES})(-security|-updates)?")
_ARCHIVE = re.compile(r"/debian(-security)?/?$")
_TIME_LIMIT = 240  # seconds for one apt command
#: The keys Debian signs with, where newer releases keep them; older apts trust them anyway.
_KEYS = tuple(
    Path(f"/usr/share/keyrings/debian-archive-keyring.{ending}") for ending in ("pgp", "gpg")
)
_BY_PATH = "or give the path of an image instead of a release"


def fetch(release: str, package: str, member: str, *, by_name_only: bool = False) -> bytes:
    """The bytes of file `member` of `package` as Debian `release` has it (a second or a few).

    `member` may be a pattern. `by_name_only`: the package holds nothing itself and only depends on
    the one that does, as linux-image-amd64. Raises MissingTool where apt or a mirror is missing or
    out of reach.
    """
    return fetch_all(release, package, [member], by_name_only=by_name_only)[0]


def fetch_all(
    release: str, package: str, members: Sequence[str], *, by_name_only: bool = False
) -> list[bytes]:
    """As `fetch`, of several files of one package."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise MissingTool("apt-get and dpkg-deb are needed to fetch by release", _BY_PATH)
    sources = mirrors(apt, release)
    if not sources:
        raise MissingTool(
            "this machine's apt names no Debian mirror to fetch from",
            f"add one to its sources, {_BY_PATH}",
        )
    kept = cache_dir()
    with _only_one(kept), tempfile.TemporaryDirectory(dir=kept, prefix="apt-") as state:
        folder = Path(state)
        options = _private(folder, sources)
        # A source that fails is passed over here; whether the package can be had decides.
        update = _run([apt, *options, "update"], folder)
        if by_name_only:
            package = _dependency(apt, options, package) or package
        download = _run([apt, *options, "download", package], folder)
        found = list(folder.glob("*.deb"))
        if not found:
            raise MissingTool(
                f"{package} of Debian {release} could not be fetched: {update or download}",
                f"check the network and the mirror, {_BY_PATH}",
            )
        unpack = _run([dpkg, "-x", str(found[0]), str(folder / "tree")], folder)
        files = [next(iter(sorted((folder / "tree").glob(member))), None) for member in members]
        if None in files:
            lacking = members[files.index(None)]
            raise TargetError(f"{package} of Debian {release} has no {lacking} {unpack}".strip())
        return [file.read_bytes() for file in files if file is not None]


def _dependency(apt: str, options: list[str], package: str) -> str:
    """The first package that `package` depends on, or "" where apt does not say."""
    told = subprocess.run(
        [Path(apt).with_name("apt-cache"), *options, "depends", package],
        capture_output=True, text=True, timeout=_TIME_LIMIT, check=False,
    ).stdout  # fmt: skip
    found = re.search(r"^ *Depends: (\S+)$", told, re.MULTILINE)
    return found[1] if found else ""


def program(release: str, package: str, member: str) -> Path:
    """A program of a Debian package, kept in the cache, to be run without being installed.

    Raises what `fetch` does.
    """
    kept = cache_dir() / f"{release}-{package}-{Path(member).name}"
    if not kept.exists():
        data = fetch(release, package, member)
        whole = kept.with_suffix(f".{os.getpid()}")
        whole.write_bytes(data)
        whole.chmod(0o755)
        whole.replace(kept)
    return kept


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
