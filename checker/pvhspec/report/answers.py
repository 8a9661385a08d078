"""Answers to questions: for people, and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvhspec.backends.solver.query import Answer
from pvhspec.backends.solver.stories import as_program, tell_execution
from pvhspec.backends.solver.tell import cell_shown
from pvhspec.ir.ir import STATUS, Spec
from pvhspec.ir.questions import Always, AtEvent, CanReturn, Question, Rules, WhichErrors
from pvhspec.names.gates import shown_version
from pvhspec.report.paint import Paint, wrapped
from pvhspec.report.source import clause_place

__all__ = ["answer_object", "answer_text", "programs"]

_COLORS = {"yes": "green", "no": "red", "undecided": "yellow"}


def answer_text(spec: Spec, question: Question, answer: Answer, paint: Paint) -> Iterator[str]:
    """An answer, line by line."""
    match question:
        case CanReturn() if answer.parts:
            yield from _several(spec, answer, paint)
        case WhichErrors():
            yield from _errors(spec, answer, paint)
        case Rules():
            yield from _rules(spec, answer, paint)
        case _:
            yield from _one(spec, question, answer, paint)


def _word(answer: Answer) -> str:
    return {"open": "undecided", "told": "not said"}.get(answer.status, answer.status)


def _headline(question: Question, answer: Answer) -> str:
    subject, _, name = answer.subject.partition(": ")
    yes = answer.status == "yes"
    match question:
        case CanReturn() if answer.status in ("yes", "no"):
            if not question.code:
                return f"{subject} can succeed" if yes else f"{subject} never succeeds"
            how = "may at any time return" if answer.maybe else "can return"
            return f"{subject} {how if yes else 'never returns'} {_shown(question.code, name)}"
        case CanReturn():
            return f"{subject}, {_shown(question.code, name)}" if question.code else subject
        case Always():
            return "it always holds" if yes else "it does not always hold"
        case AtEvent(must=True):
            return f"every {answer.subject} has to" if yes else f"{_an(answer.subject)} need not"
        case AtEvent():
            return f"the clauses allow it of {_an(answer.subject)}" if yes else "clauses forbid it"
        case _:
            return "it can be reached" if yes else "it is never reached"


def _shown(code: int, name: str) -> str:
    """An error as it is answered: negated, unless it is delivered in a field."""
    return name if code >= STATUS else f"-{name}"


def _an(word: str) -> str:
    return f"an {word}" if word[:1] in "aeiou" else f"a {word}"


def _one(spec: Spec, question: Question, answer: Answer, paint: Paint) -> Iterator[str]:
    word = _word(answer)
    if answer.status in ("open", "told"):
        yield f"{paint(word, 'yellow')}: {answer.why}"
    else:
        yield f"{paint(word, _COLORS[word])}: {_headline(question, answer)}"
        if answer.why:
            yield f"  {answer.why}"
    yield from _body(spec, question, answer, "  ")


def _body(spec: Spec, question: Question, answer: Answer, margin: str) -> Iterator[str]:
    if answer.holds_in:
        yield f"{margin}in  {answer.holds_in}"
    for line in answer.lines:
        yield f"{margin}{line}"
    shown = answer.execution is not None
    label = "by" if shown or isinstance(question, AtEvent | Always) else "forbidden by"
    if answer.status == "open":
        label = "it would be by" if isinstance(question, CanReturn) else "it hangs on"
    if answer.clauses:
        yield f"{margin}{label}"
        yield from _clauses(spec, answer.clauses, margin + "  ")
    if answer.also:
        yield f"{margin}or by"
        yield from _clauses(spec, answer.also, margin + "  ")
    if answer.execution is None or answer.where is None:
        return
    version, mode = answer.where
    steps = list(tell_execution(spec, answer.execution))
    yield f"{margin}{_how(question, answer)} {shown_version(version)}, {mode}"
    yield from (f"{margin}{line.rstrip()}" for line in steps)
    for line in _state(spec, question, answer):
        yield f"{margin}   {line}"


def _how(question: Question, answer: Answer) -> str:
    if isinstance(question, AtEvent):
        return "as on"
    assert answer.execution is not None
    return "from boot, on" if answer.execution.moves else "at boot, on"


def _state(spec: Spec, question: Question, answer: Answer) -> Iterator[str]:
    """The cells it hangs on, and the values of what was asked for."""
    assert answer.execution is not None
    when = "before the last call" if isinstance(question, CanReturn | WhichErrors) else "then"
    for number, cell in enumerate(answer.state):
        yield f"{when if number == 0 else '':{len(when)}}  {cell_shown(spec, *cell)}"
    at = [f"{n.split('.')[0]} = {v}" for n, v in answer.execution.at]
    if at:
        yield f"{'for':{len(when)}}  {', '.join(at)}"


def _clauses(spec: Spec, clauses: tuple[str, ...], margin: str) -> Iterator[str]:
    for name in clauses:
        clause = spec.clauses.get(name)
        prose = "" if clause is None else clause.prose or ""
        yield f"{margin}{name}"
        if prose:
            yield f"{margin}  {wrapped(prose, len(margin) + 2)}"


def _several(spec: Spec, answer: Answer, paint: Paint) -> Iterator[str]:
    """Of several operations: those that may, and how; the others by name."""
    for status in ("yes", "open", "told", "no"):
        found = [a for a in answer.parts if a.status == status]
        if not found:
            continue
        word = _word(found[0])
        names = ", ".join(a.subject.partition(": ")[0] for a in found)
        told = wrapped(names, 2, first=len(word) + 2)
        yield f"{paint(word, _COLORS.get(word, 'yellow'))}: {told}"
        if status == "yes":
            for part in found:
                assert part.execution is not None
                yield f"  {part.clauses[0]}"
                yield from (f"  {line}" for line in tell_execution(spec, part.execution))


def _errors(spec: Spec, answer: Answer, paint: Paint) -> Iterator[str]:
    yield f"{answer.subject}, {answer.holds_in}" if answer.holds_in else answer.subject
    if not answer.parts:
        yield "  no clause names an error of it there"
    for part in sorted(answer.parts, key=lambda a: ("yes", "open", "told", "no").index(a.status)):
        word, error = _word(part), part.subject.partition(": ")[2]
        if len({p.subject.partition(": ")[0] for p in answer.parts}) > 1:
            error = f"{error} of {part.subject.partition(': ')[0]}"
        told = "at any time" if part.maybe else part.why
        yield f"{paint(f'{word:9}', _COLORS.get(word, 'yellow'))} {error}  {told}".rstrip()
        for name in part.clauses:
            clause = spec.clauses[name]
            yield f"    {name}"
            if clause.prose and part.status != "no":
                yield f"      {wrapped(clause.prose, 6)}"
        if part.execution is not None:
            yield from (f"    {line.rstrip()}" for line in tell_execution(spec, part.execution))


def _rules(spec: Spec, answer: Answer, paint: Paint) -> Iterator[str]:
    yield answer.subject if not answer.why else f"{answer.subject}: {answer.why}"
    for part in answer.parts:
        clause = spec.clauses[part.clauses[0]]
        yield paint(clause.id, "bold")
        if clause.prose:
            yield f"  {wrapped(clause.prose, 2)}"
        for line in part.lines:
            head, rest = line[:9], line[9:]
            yield f"  {head}{wrapped(rest, 11)}"
        yield f"  in       {wrapped(part.holds_in, 11)}"
        yield f"  where    {clause_place(clause)}, {clause.authority}"


# ---- for machines ------------------------------------------------------------------------------


def answer_object(spec: Spec, answer: Answer) -> dict[str, Any]:
    """An answer as `--format json` has it."""
    place = None
    if answer.where is not None:
        place = {"release": shown_version(answer.where[0]), "mode": answer.where[1]}
    execution = answer.execution
    prose = {c: spec.clauses[c].prose for c in answer.clauses if c in spec.clauses}
    return {
        "answer": {"open": "undecided"}.get(answer.status, answer.status),
        "subject": answer.subject,
        "holds_in": answer.holds_in,
        "clauses": [{"id": c, "prose": prose.get(c)} for c in answer.clauses],
        "also": list(answer.also),
        "any_time": answer.maybe,
        "where": place,
        "steps": [] if execution is None else [s.strip() for s in tell_execution(spec, execution)],
        "state": [cell_shown(spec, *cell) for cell in answer.state],
        "for": {} if execution is None else {n.split(".")[0]: v for n, v in execution.at},
        "program": None if execution is None else as_program(execution),
        "lines": list(answer.lines),
        "why": answer.why,
        "parts": [answer_object(spec, part) for part in answer.parts],
    }


def programs(answer: Answer) -> Iterator[tuple[str, str]]:
    """The programs that show it, each with a name: of several answers that of the part."""
    for part in answer.parts or (answer,):
        text = None if part.execution is None else as_program(part.execution)
        if text is not None:
            yield part.subject.replace(": ", "-"), text
