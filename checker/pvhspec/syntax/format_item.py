"""How declarations are laid out.

A header that fits is one line, unless it has both prose and citations: then its first line, its
prose, its gates and each citation have a line each, and `{` stands alone. A clause with prose has
its formula on the next line, so that the prose reads as a title.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from pvhspec.syntax import ast
from pvhspec.syntax.format_body import call_items, on_items, statements
from pvhspec.syntax.format_expr import args_doc, braced, expr_doc, params_doc
from pvhspec.syntax.format_parts import (
    block,
    gates_text,
    head_doc,
    names_doc,
    pad,
    prose_doc,
    table,
)
from pvhspec.syntax.layout import LINE, SOFT, Doc, Group, Nest, cat, fill, join

__all__ = ["item_doc"]


def item_doc(item: ast.Item) -> Doc:
    """One declaration."""
    match item:
        case ast.TypeDecl(name=name, base=base, below=below):
            bound = cat(" below ", expr_doc(below)) if below else ""
            return _line(cat(f"type {name.text} = {base.text}", bound), item.prose, item.tail)
        case ast.ConstDecl(name=name, type=type_, value=value):
            head = cat(f"const {name.text} : {type_.text} =", _value(value))
            return _line(head, item.prose, item.tail)
        case ast.ContextDecl(name=name, type=type_, prose=prose):
            return head_doc(f"context {name.text} : {type_.text}", prose)
        case ast.StateDecl():
            return _state(item)
        case ast.DefDecl(name=name, params=params, result=result, body=body):
            word = "predicate" if result is None else "function"
            kind = f" : {result.text} =" if result else " ="
            head = cat(f"{word} {name.text}", _params("(", params, ")"), kind, _value(body))
            return _line(head, item.prose, item.tail, broken=item.prose is not None)
        case ast.BitsDecl(name=name, base=base, fields=fields):
            head = f"bits {name.text} : {base.text}"
            width = max((len(f.name.text) for f in fields), default=0)
            rows = [f"{pad(f.name.text, width)} @ {'..'.join(f.text)}" for f in fields]
            return _block(head, item.prose, item.tail, rows)
        case ast.EnumDecl(name=name, base=base, variants=variants):
            head = f"enum {name.text} : {base.text}" if base else f"enum {name.text}"
            return _block(head, item.prose, item.tail, _variants(variants))
        case ast.StructDecl(name=name, size=size, items=items):
            head = f"struct {name.text} size {_offset(size)}"
            return _block(head, item.prose, item.tail, _struct_items(items))
        case ast.EventDecl(name=name, prose=prose, fields=fields):
            return _block(f"event {name.text}", prose, ast.Tail(), _event_fields(fields))
        case ast.MacroDecl(name=name, params=params, prose=prose, body=body):
            head = cat(f"effect {name.text}", _params("(", params, ")"))
            return _block(head, prose, ast.Tail(), statements(body))
        case ast.EveryDecl(prose=prose, tail=tail, items=items):
            return _block("every hypercall", prose, tail, call_items(items))
        case ast.HypercallDecl():
            return _hypercall(item)
        case ast.OperationDecl(name=name, hypercall=hypercall, text=text, struct=struct):
            command = f".{text}" if text is not None else ""
            takes = f" takes {struct.text}" if struct else ""
            each = f" each {item.each.text}" if item.each else ""
            head = f"operation {name.text} = {hypercall.text}{command}{takes}{each}"
            return _chapter(head, item.prose, item.tail, call_items(item.items))
        case ast.OnDecl(event=event, name=name, prose=prose, tail=tail, test=test, items=items):
            when = [cat("when ", Nest(expr_doc(test)))] if test else []
            head = f"on {event.text} {name.text}"
            return _chapter(head, prose, tail, on_items(items), when)
        case ast.InvariantDecl():
            return _invariant(item)
        case ast.ObligationDecl():
            return _obligation(item)
        case ast.ExampleDecl():
            return _example(item)
        case _:
            assert_never(item)


def _value(e: ast.Expr) -> Doc:
    return Nest(cat(LINE, expr_doc(e)))


def _params(left: str, params: Sequence[ast.Param], right: str) -> Doc:
    return Group(cat(left, Nest(cat(SOFT, params_doc(params))), SOFT, right))


def _line(head: Doc, prose: str | None, tail: ast.Tail, *, broken: bool = False) -> Doc:
    """A declaration without a block: a table's row where there is only a head and a citation."""
    return head_doc(Group(head), prose, tail, cites_inline=True, broken=broken)


def _block(head: Doc, prose: str | None, tail: ast.Tail, rows: Sequence[Doc]) -> Doc:
    return head_doc(head, prose, tail, body=block(rows))


def _chapter(
    head: Doc, prose: str | None, tail: ast.Tail, rows: Sequence[Doc], extra: Iterable[Doc] = ()
) -> Doc:
    """A declaration long enough for its prose to have its own lines."""
    return head_doc(head, prose, tail, extra, body=block(rows), broken=prose is not None)


# ---- types --------------------------------------------------------------------------------------


def _offset(offset: ast.Offset) -> str:
    return "|".join(offset.text)


def _variants(variants: Sequence[ast.Variant]) -> list[Doc]:
    width = max((len(v.name.text) for v in variants if v.text is not None), default=0)
    rows: list[tuple[Doc, str | None]] = []
    for v in variants:
        inner = ", ".join(f"{p.name.text} : {p.type.text}" for p in v.params)
        payload = f"({inner})" if v.params else ""
        number = f"{pad(v.name.text, width)} = {v.text}"
        rows.append((f"{v.name.text}{payload}" if v.text is None else number, v.prose))
    return table(rows)


def _struct_items(items: Sequence[ast.StructItem]) -> list[Doc]:
    fields = [i for i in items if isinstance(i, ast.Field)]
    first = max((len(_offset(f.offset)) for f in fields), default=0)
    second = max((len(f.name.text) for f in fields), default=0)
    docs: list[Doc] = []
    rows: list[tuple[Doc, str | None]] = []
    for item in items:
        match item:
            case ast.Field(offset=offset, name=name, type=type_, prose=prose, gates=gates):
                start = f"{pad(_offset(offset), first)} {pad(name.text, second)} : "
                count = "" if type_.count is None else args_doc("[", [type_.count], "]")
                text = cat(start, type_.name.text, count)
                gate = gates_text(gates)
                if gate and prose is None:
                    rows.append((cat(text, f" {gate}"), None))
                elif gate:
                    gated = Group(cat(text, prose_doc(prose or ""), Nest(cat(LINE, gate))))
                    docs += [*table(rows), gated]
                    rows = []
                else:
                    rows.append((text, prose))
            case ast.FieldWhen(test=test, items=inner):
                docs += [*table(rows), _when(test, inner)]
                rows = []
            case ast.Either(alternatives=alternatives):
                both: list[Doc] = [block(_struct_items(a)) for a in alternatives]
                docs += [*table(rows), cat("either ", join(" or ", both))]
                rows = []
            case _:
                assert_never(item)
    return [*docs, *table(rows)]


def _when(test: ast.Expr, items: Sequence[ast.StructItem]) -> Doc:
    head = Group(cat("when ", Nest(expr_doc(test)), LINE))
    return cat(head, block(_struct_items(items)))


def _event_fields(fields: Sequence[ast.EventField]) -> list[Doc]:
    names: list[str] = []
    for f in fields:
        inner = ", ".join(f"{p.name.text} : {p.type.text}" for p in f.params)
        names.append(f"{f.name.text}[{inner}]" if f.params else f.name.text)
    width = max((len(n) for n in names), default=0)
    return [f"{pad(n, width)} : {f.type.text}" for n, f in zip(names, fields, strict=True)]


# ---- values -------------------------------------------------------------------------------------


def _state(item: ast.StateDecl) -> Doc:
    init: Doc
    match item.init.kind:
        case "any":
            init = " any"
        case "given":
            inner = expr_doc(item.init.value) if item.init.value else ""
            init = Nest(cat(LINE, "given (", inner, ")"))
        case "value":
            init = _value(item.init.value) if item.init.value else ""
        case _:
            assert_never(item.init.kind)
    params = _params("[", item.params, "]") if item.params else ""
    head = cat(f"state {item.name.text}", params, f" : {item.type.text} =", init)
    drift = item.drift
    drifts = [cat(f"may {drift.kind} when ", Nest(expr_doc(drift.test)))] if drift else []
    broken = item.prose is not None
    return head_doc(
        Group(head),
        item.prose,
        item.tail,
        drifts,
        cites_inline=True,
        extras_first=True,
        broken=broken,
    )


# ---- hypercalls, and what always holds ----------------------------------------------------------


def _hypercall(item: ast.HypercallDecl) -> Doc:
    params = cat(" ", _params("(", item.params, ")")) if item.params else ""
    head = cat(f"hypercall {item.name.text} = {item.text}", params)
    if item.items is None:
        return _line(head, item.prose, item.tail)
    return _chapter(head, item.prose, item.tail, call_items(item.items))


def _invariant(item: ast.InvariantDecl) -> Doc:
    formula = cat(": ", Nest(expr_doc(item.body)))
    using = [cat("using ", Nest(names_doc(item.using)))] if item.using else []
    return head_doc(
        f"invariant {item.name.text}", item.prose, item.tail, last=[formula, *using], broken=True
    )


def _obligation(item: ast.ObligationDecl) -> Doc:
    rows: list[Doc] = [
        cat("when   ", Nest(expr_doc(item.test))),
        cat("then   ", _moment(item.then)),
        cat("before ", _moment(item.before)),
    ]
    if item.unless is not None:
        rows.append(cat("unless ", Nest(expr_doc(item.unless))))
    head = cat(f"obligation {item.name.text}", _params("(", item.params, ")"))
    return _block(head, item.prose, item.tail, rows)


def _moment(moment: ast.Moment) -> Doc:
    if moment.test is None:
        return moment.event.text
    return Group(cat(moment.event.text, Nest(cat(LINE, "where ", Nest(expr_doc(moment.test))))))


# ---- examples -----------------------------------------------------------------------------------


def _example(item: ast.ExampleDecl) -> Doc:
    word = "example" if item.violates is None else "counterexample"
    extra: list[Doc] = [] if item.violates is None else [f"of {item.violates.text}"]
    extra.append(f"on {item.version} {item.mode.text}")
    return head_doc(word, item.prose, ast.Tail(), extra, body=block([_step(s) for s in item.steps]))


def _step(step: ast.Step) -> Doc:
    match step:
        case ast.StepGiven(place=place, value=value):
            cell = args_doc("[", place.args, "]") if place.args else ""
            return Group(cat(f"given {place.name.text}", cell, " =", _value(value)))
        case ast.StepEvent(name=name, fields=fields, outcome=outcome, outs=outs):
            given = Group(cat("(", Nest(cat(SOFT, fill(map(_bind, fields)))), SOFT, ")"))
            result: Doc = ""
            if outcome is not None:
                result = cat(" -> ", "unseen" if isinstance(outcome, str) else expr_doc(outcome))
            seen = cat(" ", braced(map(_bind, outs))) if outs else ""
            return cat(name.text, given, result, seen)
        case _:
            assert_never(step)


def _bind(bind: ast.Bind) -> Doc:
    cell = args_doc("[", bind.args, "]") if bind.args else ""
    return cat(bind.field.text, cell, " = ", expr_doc(bind.value))
