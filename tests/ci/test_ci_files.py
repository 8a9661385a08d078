"""The files for CI are run: their steps, in a clone of a repository with traces, as a runner would.

What a runner itself brings (checkout, Python, uploads) is played here; apt is only noted. pvhspec
is installed by the files' own commands, from this checkout, in an environment of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema import main as check_jsonschema  # type: ignore[import-untyped]
from click.testing import CliRunner
from ruamel.yaml import YAML

from pvhspec import _data
from tests.cli.transcripts import INPUTS
from tests.real import real_xen

REPO = Path(__file__).resolve().parents[2]
FILES = REPO / "docs" / "ci"
REAL = REPO / "traces" / "corpus" / "real"
KNOWN = """\
[[known]]
clause = "boot.entry.task_register.limit"
traces = ["entry-linux*.jsonl"]
reason = "QEMU leaves the limit that TR has after a reset."
expires = 2999-12-31
"""
LIMIT = 240  # seconds of one step


def loaded(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


@pytest.mark.parametrize(
    "words",
    [
        ["--builtin-schema", "vendor.github-workflows", str(FILES / "github.yml")],
        ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci",
         str(FILES / "gitlab-ci.yml")],
    ],
    ids=["github", "gitlab"],
)  # fmt: skip
def test_a_file_is_what_its_service_takes(words: list[str]) -> None:
    result = CliRunner().invoke(check_jsonschema, words)
    assert result.exit_code == 0, result.output


# ---- a runner ------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a repository with two real traces, one of which has a known deviation."""
    origin = tmp_path / "origin"
    (origin / "traces").mkdir(parents=True)
    for name in ("entry-linux6.1-qemu72-pc-tcg", "xen-4.17-dom0-pvh-18-hypercalls"):
        shutil.copy(REAL / f"{name}.jsonl", origin / "traces")
    (origin / "pvhspec-known.toml").write_text(KNOWN)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Traces"]):
        subprocess.run([*git, *words], cwd=origin, check=True)
    subprocess.run(["git", "clone", "-q", str(origin), "clone"], cwd=tmp_path, check=True)
    return tmp_path / "clone"


class Runner:
    """Runs scripts in a clone; apt and sudo only note what they were asked."""

    def __init__(self, clone: Path, *, python: bool) -> None:
        self.clone = clone
        tools = clone.parent / "tools"
        tools.mkdir()
        self.noted = clone.parent / "noted"
        self.noted.touch()
        for name, body in (("apt-get", f'echo "$@" >> {self.noted}'), ("sudo", 'exec "$@"')):
            (tools / name).write_text(f"#!/bin/sh\n{body}\n")
            (tools / name).chmod(0o755)
        path = [str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]
        if python:  # what actions/setup-python brings
            venv.create(clone.parent / "python", with_pip=True)
            path.insert(0, str(clone.parent / "python" / "bin"))
        keep = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "XDG_CACHE_HOME")}
        self.environment = {
            **keep,
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": site.getsitepackages()[0],  # dependencies, without a network
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, script: str, variables: dict[str, str]) -> tuple[int, str]:
        """Status and output of a script, as `bash -e` runs it."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=self.clone,
            env={**self.environment, **variables}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


def github(clone: Path, name: str, **instead: str) -> tuple[int, str]:
    """Run a job of the workflow; `instead` are values for its variables."""
    workflow = loaded(FILES / "github.yml")
    job = workflow["jobs"][name]
    uses = [step.get("uses", "") for step in job["steps"]]
    assert uses[0].startswith("actions/checkout@")
    runner = Runner(clone, python=any(u.startswith("actions/setup-python@") for u in uses))
    variables = {**workflow["env"], **job["env"], "PVHSPEC": f"{REPO}[html]", **instead}
    status, output = 0, ""
    for step in job["steps"]:
        if status and step.get("if") != "always()":
            continue
        if "run" in step:
            came, said = runner.run(step["run"], variables)
            status, output = status or came, output + said
        elif "upload" in step["uses"]:
            for path in (step["with"].get("path") or step["with"]["sarif_file"]).split():
                assert (clone / path).exists(), f"{path} is uploaded, and is not there: {output}"
    return status, output


def gitlab(clone: Path, name: str, **instead: str) -> tuple[int, str]:
    """Run a job of the GitLab file."""
    jobs = loaded(FILES / "gitlab-ci.yml")
    job, base = jobs[name], jobs[jobs[name]["extends"]]
    runner = Runner(clone, python=False)
    variables = {**base["variables"], **job["variables"], "PVHSPEC": f"{REPO}[html]", **instead}
    status, output = runner.run("\n".join([*base["before_script"], *job["script"]]), variables)
    for path in [*job["artifacts"]["paths"], *job["artifacts"]["reports"].values()]:
        assert (clone / path).exists(), f"{path} is an artifact, and is not there: {output}"
    return status, output


JOBS = {"github": (github, "xen"), "gitlab": (gitlab, "pvhspec xen")}


@pytest.mark.slow
def test_what_is_known_passes(clone: Path) -> None:
    status, output = gitlab(clone, "pvhspec traces")
    assert status == 0, output
    assert "conforms but for 1 known deviation" in output


@pytest.mark.slow
def test_what_is_not_fails_and_is_shown_beside_its_line(clone: Path) -> None:
    (clone / "pvhspec-known.toml").write_text("")
    status, output = github(clone, "traces")
    assert status == 1, output
    assert "violated boot.entry.task_register.limit" in output
    assert re.search(r"^::error file=traces/entry-linux.*,line=8,title=boot", output, re.M)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("service", JOBS)
def test_a_xen_is_booted(service: str, clone: Path) -> None:
    real_xen()
    run, job = JOBS[service]
    status, output = run(clone, job, OPTIONS="--program entry --require-seen 10%")
    assert status == 0, output
    assert re.search(r"conforms: 1\d\d of \d{3,4} clauses decided", output)
    assert "qemu-system-x86" in (clone.parent / "noted").read_text()


# ---- pre-commit ----------------------------------------------------------------------------------


def hooks() -> dict[str, Any]:
    return {hook["id"]: hook for hook in loaded(REPO / ".pre-commit-hooks.yaml")}


def hook_run(hook: dict[str, Any], folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Run a hook as pre-commit does: its entry, then the files it is for."""
    taken = [f for f in files if re.search(hook["files"], f)]
    names = taken if hook.get("pass_filenames", True) else []
    words = [*shlex.split(hook["entry"]), *hook.get("args", []), *names]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        timeout=LIMIT, check=False,
    )  # fmt: skip


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A file of the specification, laid out."""
    path = tmp_path / "bind.abi"
    shutil.copy(_data.spec_dir() / "evtchn" / "bind.abi", path)
    return path


def test_the_hook_for_layout_fails_where_a_file_is_not_laid_out(text: Path) -> None:
    hook = hooks()["pvhspec-fmt"]
    assert hook_run(hook, text.parent, text.name, "README.md").returncode == 0
    text.write_text(text.read_text().replace("  in vcpu\n", "    in   vcpu\n", 1))
    done = hook_run(hook, text.parent, text.name)
    assert done.returncode == 1
    assert "bind.abi" in done.stdout


def test_the_hook_for_traces_judges_what_it_is_given(tmp_path: Path) -> None:
    hook = hooks()["pvhspec-check"]
    shutil.copy(REAL / "entry-injected-magic.jsonl", tmp_path / "bad.pvhtrace")
    shutil.copy(REAL / "entry-injected-none.jsonl", tmp_path / "good.pvhtrace")
    assert hook_run(hook, tmp_path, "good.pvhtrace", "x.py").returncode == 0
    assert hook_run(hook, tmp_path, "good.pvhtrace", "bad.pvhtrace").returncode == 1


def test_the_hook_for_gaps_is_a_command_with_its_solver() -> None:
    hook = hooks()["pvhspec-complete"]
    assert hook["pass_filenames"] is False
    assert any(need.startswith("z3-solver") for need in hook["additional_dependencies"])
    done = hook_run({**hook, "args": ["--spec", "bell"]}, INPUTS, "bell/house/bells.abi")
    assert "operations looked at: 3; findings: 0" in done.stdout, done.stderr
    assert done.returncode == 0


def test_every_hook_has_what_pre_commit_needs() -> None:
    assert set(hooks()) == {"pvhspec-fmt", "pvhspec-complete", "pvhspec-check"}
    for hook in hooks().values():
        assert {"id", "name", "entry", "language", "files"} <= set(hook)
        assert hook["language"] == "python"
