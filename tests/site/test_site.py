"""The documentation is built without a warning, and says what the specification says."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pvhspec.ir.cache import load_sources, load_spec
from pvhspec.site.hooks import borrowed
from pvhspec.site.pages import Book, reference

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_clause_has_its_place(site: Path) -> None:
    spec, _ = load_spec()
    assert spec is not None
    pages = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    anchors = re.findall(r'<h4 id="([^"]+)"', pages)
    assert sorted(anchors) == sorted(spec.clauses)
    for clause in spec.clauses.values():
        for citation in clause.citations:
            assert html.escape(citation.path) in pages


def test_a_clause_can_be_read(site: Path) -> None:
    """Prose, formula in colours, authority, citation, what breaks it, what shows it."""
    page = (site / "reference" / "evtchn.fifo.html").read_text()
    assert '<span class="kd">operation</span>' in page
    assert 'class="err"' not in page
    part = page.split('id="evtchn.fifo.EVTCHNOP_init_control.success"')[1].split("<h4")[0]
    assert "documented" in part or "implemented" in part
    assert "blob/c447b7308b1330ec6dcfef37220736c28f41daa0/xen/" in part
    assert "linux6.1-dom0-xen4.17" in part
    assert re.search(r'Uses [^\n]*href="evtchn.channel.html#fifo"', page)


def test_it_can_be_read_without_a_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', path.read_text()
        )
        assert not [url for url in loaded if "canonical" not in url], path


def test_no_text_is_kept_twice(site: Path) -> None:
    """The limits are those of spec/README.md."""
    section = borrowed("spec/README.md", "What is not modelled, and why")
    rows = [row.split("|")[1].strip() for row in section.splitlines() if row.startswith("|")]
    page = (site / "limits.html").read_text()
    cells = [html.unescape(re.sub("<[^>]+>", "", c)) for c in re.findall("<td>(.*?)</td>", page)]
    assert len(rows) > 15
    assert set(row.replace("`", "") for row in rows[2:]) <= set(cells)
    assert not list((ROOT / "docs").glob("limits*"))


def test_names_in_prose_are_no_markup() -> None:
    """`evtchn_pending_sel` and `a < b` stand as they are written."""
    spec, _ = load_spec()
    sources, _ = load_sources()
    assert spec is not None
    assert sources is not None
    text = reference(Book(spec, sources))["evtchn.two_level.md"]
    outside = "".join(re.split(r"^```.*?^```", text, flags=re.M | re.S))
    assert not re.search(r"(?<!\\)[*_]\w+ \w+(?<!\\)[*_]", outside)
