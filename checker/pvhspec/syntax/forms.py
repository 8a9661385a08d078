"""How each construct is written, and the words that begin one: what error messages are made of."""

from __future__ import annotations

__all__ = ["CLAUSE_WORDS", "FORMS", "ITEM_WORDS", "MANIFEST_WORDS"]

MANIFEST_WORDS = frozenset({"mode", "group", "versions", "source", "modules"})
# What begins a declaration, at the start of a line.
_ITEMS = """
    type bits enum struct const context event state predicate function effect every hypercall
    operation on invariant obligation example counterexample
"""
ITEM_WORDS = frozenset(_ITEMS.split())

# What begins a clause of a block.
_CLAUSES = """
    in out let error success always require undefined ensure clause if match for given disturbs
"""
CLAUSE_WORDS = frozenset(_CLAUSES.split())

# How each construct is written; the remedy where nothing better is known.
FORMS = {
    "module": 'module folder.file "prose"',
    "import": "import core.domain, evtchn.channel",
    "abi": 'abi NAME "prose"',
    "mode": 'mode NAME "prose"',
    "group": "group NAME = MODE, MODE",
    "versions": "versions NAME 4.14, 4.17",
    "source": 'source NAME = "owner/repository" at "commit"',
    "modules": "modules { core.domain  evtchn.channel }",
    "type": 'type NAME = u32 below LIMIT "prose" since 4.18 documented xen:path "anchor"',
    "bits": 'bits NAME : u32 "prose" { PE @ 0  level @ 5..3 }',
    "enum": 'enum NAME : u32 { A = 0 "prose" } or enum NAME { a  b(port : Port) "prose" }',
    "struct": 'struct NAME size 8 "prose" { 0 name : u32 "prose"  4 other : u8[4] }',
    "const": 'const NAME : u32 = 5 "prose" documented xen:path "anchor"',
    "context": 'context NAME : u32 "prose"',
    "event": 'event NAME "prose" { field : u32  map[i : u8] : bool }',
    "state": 'state NAME[d : DomId] : bool = false "prose" may rise when CONDITION documented …',
    "predicate": 'predicate NAME(p : Port) = CONDITION "prose" documented xen:path "anchor"',
    "function": 'function NAME(p : Port) : u32 = VALUE "prose" documented xen:path "anchor"',
    "effect": 'effect NAME(p : Port) "prose" { cell[p] := true }',
    "every": "every hypercall { error ENOSYS unknown when CONDITION }",
    "hypercall": 'hypercall NAME = 32 (cmd : u32, arg : pointer) "prose" modes xen documented …',
    "operation": 'operation NAME = HYPERCALL.0 takes STRUCT "prose" since 4.18 documented … { … }',
    "on": 'on EVENT NAME "prose" modes pvh documented … when CONDITION { require … }',
    "invariant": 'invariant NAME "prose" documented xen:path "anchor" : CONDITION using OTHER',
    "obligation": "obligation NAME(p : Port) { when CONDITION then EVENT before EVENT }",
    "example": 'example "prose" on 4.17 pvh_dom0 { OPERATION(field = 0) -> 0 { out = 1 } }',
    "counterexample": 'counterexample "prose" of CLAUSE on 4.17 pvh_dom0 { … }',
    "error": 'error ERRNO name "prose" since 4.18 when CONDITION documented xen:path "anchor"',
    "success": 'success "prose" documented … choose p : Port where CONDITION returns 0 { … }',
    "always": 'always "prose" documented … { cell := true }',
    "choose": 'choose lowest p : Port where CONDITION "prose"',
    "let": "let NAME = VALUE, or let NAME = STRUCT at ADDRESS",
    "require": 'require NAME "prose" : CONDITION since 4.18 documented xen:path "anchor"',
    "ensure": 'ensure NAME "prose" : CONDITION since 4.18 documented xen:path "anchor"',
    "undefined": 'undefined field, field "prose" documented xen:path "anchor"',
    "clause": 'clause NAME "prose" documented xen:path "anchor" { cell := true }',
    "if": "if CONDITION { … } else { … }",
    "match": "match VALUE { variant(x) -> { … } }",
    "for": "for all p : Port where CONDITION { … }",
    "given": "given cell[1] = VALUE",
    "either": "either { … } or { … }",
    "in": "in field, field",
    "out": "out field, field",
    "disturbs": "disturbs state, state",
}
