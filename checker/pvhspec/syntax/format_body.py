"""How the inside of hypercalls, effects and observations is laid out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from pvhspec.syntax import ast
from pvhspec.syntax.format_expr import args_doc, expr_doc, params_doc, pattern_doc
from pvhspec.syntax.format_parts import (
    block,
    cite_docs,
    gates_text,
    head_doc,
    names_doc,
    pad,
    prose_doc,
)
from pvhspec.syntax.layout import (
    HARD,
    LINE,
    WIDTH,
    Doc,
    Either,
    Group,
    Nest,
    cat,
    flat_width,
    render,
)

__all__ = ["call_items", "on_items", "statements"]

# Columns are aligned only where the entries differ by no more than this.
_SPREAD = 24


def _aligned(texts: Sequence[str]) -> list[str]:
    """The texts padded to one width, where that reads better."""
    widths = [len(t) for t in texts]
    if not widths or max(widths) - min(widths) > _SPREAD:
        return list(texts)
    return [pad(t, max(widths)) for t in texts]


# ---- statements ---------------------------------------------------------------------------------


def statements(body: Sequence[ast.Statement]) -> list[Doc]:
    """The statements of a block; assignments that follow each other are a table."""
    return on_items(body)


def on_items(items: Sequence[ast.OnItem]) -> list[Doc]:
    """What stands in an observation: definitions, requirements, statements."""
    docs: list[Doc] = []
    start = 0
    while start < len(items):
        end = start
        while end < len(items) and type(items[end]) is type(items[start]):
            end += 1
        run = items[start:end]
        assigns = [i for i in run if isinstance(i, ast.Assign)]
        lets = [i for i in run if isinstance(i, ast.Let)]
        if assigns:
            docs += _assigns(assigns)
        elif lets:
            docs += _lets(lets)
        else:
            docs += [_on_item(i) for i in run]
        start = end
    return docs


def _on_item(item: ast.OnItem) -> Doc:
    match item:
        case ast.Let():
            return _lets([item])[0]
        case ast.Require(name=name, prose=prose, test=test, tail=tail):
            return _formula(f"require {name.text}", prose, test, tail)
        case ast.Undefined(fields=fields, prose=prose, cites=cites):
            head = cat("undefined ", Nest(names_doc(fields)))
            return head_doc(head, prose, ast.Tail((), cites))
        case _:
            return _statement(item)


def _statement(s: ast.Statement) -> Doc:
    match s:
        case ast.Assign():
            return _assigns([s])[0]
        case ast.CallEffect(name=name, args=args):
            return cat(name.text, args_doc("(", args, ")"))
        case ast.If(test=test, yes=yes, no=no):
            if no is None:
                return _guarded("if ", expr_doc(test), yes)
            then = cat(_opening("if ", expr_doc(test)), block(statements(yes)))
            return cat(then, " else ", block(statements(no)))
        case ast.Match(value=value, arms=arms):
            patterns = [render(pattern_doc(a.pattern))[0].text for a in arms]
            if all(_short(a.body) for a in arms):
                patterns = _aligned(patterns)
            rows = [_arm(*row) for row in zip(patterns, arms, strict=True)]
            return cat(_opening("match ", expr_doc(value)), block(rows))
        case ast.ForAll(params=params, test=test, body=body):
            where = Nest(cat(LINE, "where ", Nest(expr_doc(test))))
            return _guarded("for all ", cat(Nest(params_doc(params)), Group(where)), body)
        case ast.ClauseBlock(name=name, prose=prose, tail=tail, body=body):
            return head_doc(f"clause {name.text}", prose, tail, body=block(statements(body)))
        case ast.Ensure(name=name, prose=prose, test=test, tail=tail):
            return _formula(f"ensure {name.text}", prose, test, tail)
        case _:
            assert_never(s)


def _opening(word: str, doc: Doc) -> Doc:
    """What stands before a block's `{`; the brace stands alone under a head of many lines."""
    return Group(cat(word, Nest(doc), LINE))


def _short(body: Sequence[ast.Statement]) -> bool:
    """Whether a block may be on the line of what it belongs to."""
    return not body or (len(body) == 1 and isinstance(body[0], ast.Assign | ast.CallEffect))


def _guarded(word: str, doc: Doc, body: Sequence[ast.Statement]) -> Doc:
    """A block that stands under a condition: on one line with it if it is short."""
    long = cat(_opening(word, doc), block(statements(body)))
    if not body or not _short(body):
        return long
    short = cat(word, doc, " { ", *statements(body), " }")
    return Either(short, long)


def _arm(pattern: str, arm: ast.Arm) -> Doc:
    rows = statements(arm.body)
    if rows and _short(arm.body):
        return Group(cat(f"{pattern} -> ", "{", Nest(cat(LINE, rows[0])), LINE, "}"))
    return cat(f"{pattern} -> ", block(rows))


def _place(place: ast.Place) -> Doc:
    return cat(place.name.text, args_doc("[", place.args, "]") if place.args else "")


def _assigns(assigns: Sequence[ast.Assign]) -> list[Doc]:
    places = [_place(a.place) for a in assigns]
    widths = [flat_width(p) for p in places]
    table = max(widths) <= WIDTH // 2 and max(widths) - min(widths) <= _SPREAD
    pads = [" " * (max(widths) - w) if table else "" for w in widths]
    return [
        Group(cat(place, space, " :=", Nest(cat(LINE, expr_doc(a.value)))))
        for place, space, a in zip(places, pads, assigns, strict=True)
    ]


def _lets(lets: Sequence[ast.Let]) -> list[Doc]:
    names = _aligned([let.name.text for let in lets])
    return [_let(let, name) for let, name in zip(lets, names, strict=True)]


def _let(let: ast.Let, name: str) -> Doc:
    value = expr_doc(let.value)
    struct = let.struct.text if let.struct else ""
    match let.kind:
        case "value":
            return Group(cat(f"let {name} =", Nest(cat(LINE, value))))
        case "struct":
            return cat(f"let {name} = {struct} at ", Nest(value))
        case "array":
            return cat(f"let {name} = array {struct} at ", Nest(value))
        case _:
            assert_never(let.kind)


def _formula(head: str, prose: str | None, test: ast.Expr, tail: ast.Tail) -> Doc:
    """`require` and `ensure`: a line of prose, a line of formula."""
    formula = cat(": ", Nest(expr_doc(test)))
    if prose is None:
        first: Doc = Group(cat(head, Nest(cat(LINE, formula))))
    else:
        first = cat(head, prose_doc(prose), Nest(cat(HARD, formula)))
    parts: list[Doc] = [gates_text(tail.gates)] if tail.gates else []
    parts += cite_docs(tail.cites)
    return cat(first, *(Nest(cat(HARD, part)) for part in parts))


# ---- hypercalls ---------------------------------------------------------------------------------


def call_items(items: Sequence[ast.CallItem]) -> list[Doc]:
    """What stands in a hypercall; short errors that follow each other are a table."""
    docs: list[Doc] = []
    start = 0
    while start < len(items):
        end = start
        while end < len(items) and type(items[end]) is type(items[start]):
            end += 1
        run = items[start:end]
        lets = [i for i in run if isinstance(i, ast.Let)]
        errors = [i for i in run if isinstance(i, ast.ErrorClause)]
        if lets:
            docs += _lets(lets)
        elif errors:
            docs += _errors(errors)
        else:
            docs += [_call_item(i) for i in run]
        start = end
    return docs


def _call_item(item: ast.CallItem) -> Doc:
    match item:
        case ast.InFields(names=names):
            return cat("in ", Nest(names_doc(names)))
        case ast.OutFields(names=names):
            return cat("out ", Nest(names_doc(names)))
        case ast.ArrayFields(name=name, index=index, struct=struct, written=written):
            which = f"{name.text}[{index.name.text} : {index.type.text}] : {struct.text}"
            where = f"at {item.handle.text} for {item.count.text}"
            return cat(f"{'out' if written else 'in'} array {which} {where}")
        case ast.Disturbs(names=names):
            return cat("disturbs ", Nest(names_doc(names)))
        case ast.Let():
            return _lets([item])[0]
        case ast.ErrorClause():
            return _errors([item])[0]
        case ast.InOrder(errors=errors):
            return cat("in order ", block(_errors(errors)))
        case ast.Success():
            return _success(item)
        case ast.Always(prose=prose, tail=tail, body=body):
            return head_doc(_titled("always", prose), None, tail, body=block(statements(body)))
        case _:
            assert_never(item)


def _errors(errors: Sequence[ast.ErrorClause]) -> list[Doc]:
    docs: list[Doc] = []
    start = 0
    while start < len(errors):
        end = start
        while end < len(errors) and errors[end].prose is None:
            end += 1
        run = errors[start:end]
        if run:
            errnos = _aligned([e.errno.text for e in run])
            names = _aligned([e.name.text for e in run])
            docs += [_error(*row) for row in zip(run, errnos, names, strict=True)]
        else:
            docs.append(_error(errors[start], errors[start].errno.text, errors[start].name.text))
            end += 1
        start = end
    return docs


def _error(e: ast.ErrorClause, errno: str, name: str) -> Doc:
    cause: Doc = "maybe" if e.maybe else ""
    if e.test is not None:
        cause = cat("maybe when " if e.maybe else "when ", Nest(expr_doc(e.test)))
    if e.after_success:
        cause = cat("after success ", cause)
    if e.gates:
        cause = Group(cat(gates_text(e.gates), LINE, cause))
    cites = [Nest(cat(HARD, c)) for c in cite_docs(e.cites)]
    head = f"error {errno} {name}"
    if e.prose is None:
        return cat(Group(cat(head, Nest(cat(LINE, cause)))), *cites)
    first = cat(f"error {errno} {e.name.text}", prose_doc(e.prose))
    if e.test is None:
        return cat(Group(cat(first, Nest(cat(LINE, cause)))), *cites)
    return cat(first, Nest(cat(HARD, cause)), *cites)


def _success(s: ast.Success) -> Doc:
    parts = [_choose(c) for c in s.chooses]
    if s.returns is not None:
        value = "any" if s.returns.value is None else expr_doc(s.returns.value)
        parts.append(cat("returns ", Nest(value)))
    broken = bool(s.chooses) or (s.prose is not None and bool(parts))
    head = _titled("success", s.prose)
    return head_doc(head, None, s.tail, parts, body=block(statements(s.body)), broken=broken)


def _titled(word: str, prose: str | None) -> Doc:
    return word if prose is None else cat(word, prose_doc(prose))


def _choose(c: ast.Choose) -> Doc:
    lowest = "lowest " if c.lowest else ""
    where = cat("where ", Nest(expr_doc(c.test)))
    head = Group(cat(f"choose {lowest}{c.name.text} : {c.type.text}", Nest(cat(LINE, where))))
    return head_doc(head, c.prose, c.tail)
