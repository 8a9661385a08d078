"""What mkdocs is given besides docs/: the reference, and pages that stand elsewhere in the project.

No text is kept twice: the limits are a section of spec/README.md, the language is
grammar/README.md, and so on. Links between them are turned into links between pages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvhspec.ir.cache import load_sources, load_spec
from pvhspec.judge import judge
from pvhspec.site.facts import facts_page
from pvhspec.site.pages import Book, reference
from pvhspec.traces import open_trace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

    from pvhspec.ir.ir import Spec

__all__ = ["borrowed", "on_files", "shown_by"]

ROOT = Path(__file__).resolve().parents[3]
_LIMITS = "What is not modelled, and why"
#: Pages that are files of the project: where they stand, and the section, if it is one.
PAGES = {
    "limits.md": ("spec/README.md", _LIMITS),
    "reading.md": ("spec/README.md", ""),
    "language.md": ("grammar/README.md", ""),
    "traces.md": ("traces/format.md", ""),
    "readers.md": ("traces/readers.md", ""),
    "probe.md": ("traces/capture/README.md", ""),
    "corpus.md": ("traces/corpus/README.md", ""),
    "editors.md": ("editors/README.md", ""),
    "contributing.md": ("CONTRIBUTING.md", ""),
    "changelog.md": ("CHANGELOG.md", ""),
}
#: Captures of what really ran; of the probe, one release and width, for the others show the same.
_CORPUS = ("real/*.jsonl*", "probe/xen-4.17-*-64.jsonl*")
#: Pygments' styles, for a light and a dark page.
_STYLES = {"light": "default", "dark": "github-dark"}
_LINK = re.compile(r"\[([^\]\n]+)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """mkdocs asks for the files of the site."""
    from mkdocs.structure.files import File
    from pygments.formatters import HtmlFormatter

    book = _book()
    made = {f"reference/{name}": text for name, text in reference(book).items()}
    made["facts.md"] = facts_page(book.spec, book.shown_by)
    made |= {name: borrowed(*where) for name, where in PAGES.items()}
    for mode, style in _STYLES.items():
        colours: Any = HtmlFormatter(style=style)
        made[f"colours-{mode}.css"] = colours.get_style_defs(".codehilite")
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def _book() -> Book:
    spec, errors = load_spec()
    sources, _ = load_sources()
    if spec is None or sources is None:
        raise SystemExit("\n".join(e.headline() for e in errors))
    corpus = ROOT / "traces" / "corpus"
    traces = [path for pattern in _CORPUS for path in sorted(corpus.glob(pattern))]
    return Book(spec, sources, shown_by(spec, traces))


def shown_by(spec: Spec, traces: Iterable[Path]) -> dict[str, list[str]]:
    """Names of the traces that decide each clause."""
    found: dict[str, list[str]] = {}
    for path in traces:
        trace = open_trace(str(path))
        try:
            for clause in judge(spec, trace).seen:
                found.setdefault(clause, []).append(path.name.partition(".jsonl")[0])
        finally:
            trace.close()
    return found


def borrowed(path: str, section: str) -> str:
    """A text of the project as a page, or one section of it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if section:
        found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        if found is None:
            raise SystemExit(f"{path} has no section {section!r}")
        text = f"# {section}\n{found[1]}"
    return _relinked(text, Path(path).parent)


def _relinked(text: str, folder: Path) -> str:
    """Links between files as links between pages; to what is no page, the words alone."""
    pages = {where: name for name, (where, section) in PAGES.items() if not section}

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        if "://" in target or target.startswith("#"):
            return found[0]
        place, _, anchor = target.partition("#")
        page = pages.get(_plain(folder / place))
        return f"[{words}]({page}{'#' if anchor else ''}{anchor})" if page else words

    return _LINK.sub(link, text)


def _plain(path: Path) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
