"""The verdict as workflow commands, which GitHub shows beside the lines they name."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pvhspec.backends.protocol import Judgement
from pvhspec.report.cases import excuse, message
from pvhspec.report.gate import Run, Subject

__all__ = ["github_text"]

_WORDS = {"error": "error", "warning": "warning", "note": "notice"}


def github_text(run: Run) -> str:
    """Annotations, errors first: GitHub shows only the first ten of a step."""
    lines = [line for line in _all(run)]
    order = {f"::{word}": place for place, word in enumerate(_WORDS.values())}
    lines.sort(key=lambda line: order[line.partition(" ")[0]])
    return "".join(f"{line}\n" for line in lines)


def _all(run: Run) -> Iterator[str]:
    for item in run.unreadable:
        for error in item.errors:
            yield _command("error", error.message, item.name, error.line, error.code)
    for unmet in run.unmet:
        yield _command("error", f"{unmet.where}: {unmet.what}", title="gate not met")
    for subject in run.subjects:
        if subject.ended:
            yield _command("error", f"{subject.title}: {subject.ended}", title="did not end well")
        for clause, found in subject.report.broken.items():
            yield _violation(run, subject, clause, found[0])
    baseline = run.policy.baseline
    for entry in run.fixed if baseline else ():
        assert baseline is not None
        told = f"{entry.clause} is mended: take it out of the known deviations"
        yield _command("notice", told, baseline.path, entry.line, "known deviation")


def _violation(run: Run, subject: Subject, clause: str, first: Judgement) -> str:
    deviation = subject.deviations[clause]
    told = f"{subject.title}: {message(subject, first, run.spec)}"
    word = _WORDS[deviation.level]
    if deviation.known is not None:
        word, told = "notice", f"{excuse(deviation)}; {told}"
    elif deviation.lapsed is not None:
        told += f" (was known until {deviation.lapsed.expires.isoformat()})"
    file, place = subject.place(first)
    return _command(word, told, file, place.line, clause)


def _command(
    word: str, text: str, file: str | None = None, line: int | None = None, title: str = ""
) -> str:
    parts = {"file": os.path.relpath(file) if file else None, "line": line, "title": title or None}
    given = ",".join(f"{n}={_property(str(v))}" for n, v in parts.items() if v is not None)
    return f"::{word} {given}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
