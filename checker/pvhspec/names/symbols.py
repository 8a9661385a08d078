"""Every name of the specification: one flat space, visible where its module is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pvhspec.diagnostics import code
from pvhspec.names.gates import Gate, parse_version
from pvhspec.names.load import Sources
from pvhspec.names.report import Reporter, Stop, closest
from pvhspec.syntax import ast

__all__ = ["Decl", "Scope", "Symbol", "Symbols", "collect", "struct_fields"]

TWICE = code("PVH210", "A name is declared twice.")
UNKNOWN = code("PVH211", "Nothing of this name is declared.")
NOT_IMPORTED = code("PVH212", "The name is declared in a module that is not imported.")
UNKNOWN_MODE = code("PVH213", "No mode or group of modes has this name.")
UNKNOWN_RELEASE = code("PVH214", "The manifest does not list this release.")
UNKNOWN_SOURCE = code("PVH215", "The manifest pins no source of this name.")

Decl: TypeAlias = (
    ast.TypeDecl
    | ast.BitsDecl
    | ast.EnumDecl
    | ast.StructDecl
    | ast.ConstDecl
    | ast.ContextDecl
    | ast.EventDecl
    | ast.StateDecl
    | ast.DefDecl
    | ast.MacroDecl
    | ast.HypercallDecl
    | ast.OperationDecl
)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A declared name; for a variant or a member of an enum, `variant` is that one."""

    name: str
    module: str
    decl: Decl
    variant: ast.Variant | None = None


class Symbols:
    """The names of all modules, the modes and the releases."""

    def __init__(self, sources: Sources) -> None:
        self.by_name: dict[str, Symbol] = {}
        self.modes: dict[str, str] = {}
        self.groups: dict[str, frozenset[str]] = {}
        self.releases: tuple[tuple[int, ...], ...] = ()
        self.pinned: dict[str, tuple[str, str]] = {}
        self.imports = {
            m.name.text: {n.text for line in m.imports for n in line} for m in sources.modules
        }


def collect(sources: Sources, report: Reporter) -> Symbols:
    """Gather every declared name; a name declared twice is an error."""
    symbols = Symbols(sources)
    _manifest(sources.manifest, symbols, report)
    for module in sources.modules:
        for item in module.items:
            if isinstance(item, ast.EveryDecl | ast.OnDecl | ast.InvariantDecl):
                continue
            if isinstance(item, ast.ObligationDecl | ast.ExampleDecl):
                continue
            _declare(symbols, report, module, item, item.name, None)
            if isinstance(item, ast.EnumDecl):
                for variant in item.variants:
                    _declare(symbols, report, module, item, variant.name, variant)
            _once(_parts(item), report, module)
    return symbols


def _parts(decl: Decl) -> list[ast.Name]:
    """The names that a declaration has for itself."""
    match decl:
        case ast.BitsDecl(fields=fields) | ast.EventDecl(fields=fields):
            return [f.name for f in fields]
        case ast.StructDecl(items=items):
            return struct_fields(items)
        case ast.StateDecl(params=params) | ast.DefDecl(params=params):
            return [p.name for p in params]
        case ast.MacroDecl(params=params) | ast.HypercallDecl(params=params):
            return [p.name for p in params]
    return []


def struct_fields(items: tuple[ast.StructItem, ...]) -> list[ast.Name]:
    """The names of a structure's fields, in order, whatever they stand in."""
    found: list[ast.Name] = []
    for item in items:
        match item:
            case ast.Field(name=name):
                found.append(name)
            case ast.FieldWhen(items=inner):
                found += struct_fields(inner)
            case ast.Either(alternatives=alternatives):
                found += [n for inner in alternatives for n in struct_fields(inner)]
    return found


def _once(names: list[ast.Name], report: Reporter, module: ast.Module) -> None:
    lines: dict[str, int] = {}
    for name in names:
        line = lines.setdefault(name.text, name.span.line)
        if next(n for n in names if n.text == name.text) is not name:
            why = f"{name.text} is here already, line {line}"
            report.error(TWICE, module.path, name.span, why, "give it another name")


def _declare(
    symbols: Symbols,
    report: Reporter,
    module: ast.Module,
    decl: Decl,
    name: ast.Name,
    variant: ast.Variant | None,
) -> None:
    other = symbols.by_name.get(name.text)
    if other is not None:
        line = other.decl.span.line
        why = f"{name.text} is already declared in {other.module}, line {line}"
        report.error(TWICE, module.path, name.span, why, "names are one space: choose another")
        return
    symbols.by_name[name.text] = Symbol(name.text, module.name.text, decl, variant)


def _manifest(manifest: ast.Manifest, symbols: Symbols, report: Reporter) -> None:
    for item in manifest.items:
        match item:
            case ast.ModeDecl(name=name, prose=prose):
                symbols.modes[name.text] = prose
            case ast.GroupDecl(name=name, members=members):
                known: set[str] = set()
                for member in members:
                    if member.text in symbols.modes:
                        known.add(member.text)
                    elif member.text in symbols.groups:
                        known |= symbols.groups[member.text]
                    else:
                        why = f"no mode or group {member.text} comes before this"
                        known_names = [*symbols.modes, *symbols.groups]
                        remedy = closest(member.text, known_names) or "declare it before the group"
                        report.error(UNKNOWN_MODE, manifest.path, member.span, why, remedy)
                symbols.groups[name.text] = frozenset(known)
            case ast.VersionsDecl(releases=releases):
                symbols.releases = tuple(parse_version(r) for r in releases)
            case ast.SourceDecl(name=name, repository=repository, commit=commit):
                symbols.pinned[name.text] = (repository, commit)
            case ast.ModulesDecl():
                pass


class Scope:
    """What one module sees."""

    def __init__(self, symbols: Symbols, module: ast.Module, report: Reporter) -> None:
        self.symbols = symbols
        self.module = module
        self.report = report

    def find(self, name: str) -> Symbol | None:
        """A name this module declares or imports, or None."""
        symbol = self.symbols.by_name.get(name)
        if symbol is None or not self._sees(symbol):
            return None
        return symbol

    def lookup(self, name: str, span: ast.Span, locals_: tuple[str, ...] = ()) -> Symbol:
        """As `find`, but reports what is missing and raises Stop."""
        symbol = self.symbols.by_name.get(name)
        if symbol is None:
            visible = [s for s, v in self.symbols.by_name.items() if self._sees(v)]
            remedy = closest(name, [*locals_, *visible])
            raise self.stop(UNKNOWN, span, f"nothing is called {name}", remedy)
        if not self._sees(symbol):
            why = f"{name} is declared in {symbol.module}, which this module does not import"
            raise self.stop(NOT_IMPORTED, span, why, f"add: import {symbol.module}")
        return symbol

    def _sees(self, symbol: Symbol) -> bool:
        me = self.module.name.text
        return symbol.module == me or symbol.module in self.symbols.imports[me]

    def stop(self, code: str, span: ast.Span, message: str, remedy: str | None = None) -> Stop:
        """Report an error of this module; raise what is returned."""
        return self.report.stop(code, self.module.path, span, message, remedy)

    def error(self, code: str, span: ast.Span, message: str, remedy: str | None = None) -> None:
        """Report an error of this module and go on."""
        self.report.error(code, self.module.path, span, message, remedy)

    def gate(self, gates: tuple[ast.Gate, ...]) -> Gate:
        """The gate that `since`, `until` and `modes` make together."""
        gate = Gate()
        for g in gates:
            match g.kind:
                case "since":
                    gate = gate.also(Gate(since=self.version(g.values[0], g.span)))
                case "until":
                    gate = gate.also(Gate(until=self.version(g.values[0], g.span)))
                case "modes":
                    gate = gate.also(Gate(modes=self.modes(g.values, g.span)))
        return gate

    def version(self, text: str, span: ast.Span) -> tuple[int, ...]:
        """A release; the manifest must list its series."""
        version = parse_version(text)
        if version[:2] not in self.symbols.releases:
            known = [".".join(map(str, r)) for r in self.symbols.releases]
            why = f"pvh.abi does not list release {text}"
            self.error(UNKNOWN_RELEASE, span, why, f"it lists {', '.join(known)}")
        return version

    def modes(self, names: tuple[str, ...], span: ast.Span) -> frozenset[str]:
        """The modes that names of modes and groups stand for."""
        found: set[str] = set()
        for name in names:
            if name in self.symbols.modes:
                found.add(name)
            elif name in self.symbols.groups:
                found |= self.symbols.groups[name]
            else:
                known = [*self.symbols.modes, *self.symbols.groups]
                why = f"no mode or group is called {name}"
                self.error(UNKNOWN_MODE, span, why, closest(name, known))
        return frozenset(found)

    def ever(self, gate: Gate) -> bool:
        """Whether a gate is open for some release and mode."""
        modes, releases = self.symbols.modes, self.symbols.releases
        return gate.always or any(gate.open(r, m) for r in releases for m in modes)

    def check_cites(self, cites: tuple[ast.Cite, ...]) -> None:
        """Every citation names a source that the manifest pins."""
        for cite in cites:
            if cite.source not in self.symbols.pinned:
                known = ", ".join(self.symbols.pinned)
                why = f"no source is called {cite.source}"
                self.error(UNKNOWN_SOURCE, cite.span, why, f"pvh.abi pins {known}")
