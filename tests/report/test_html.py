"""The page: that it says what has to be said, needs nothing else, and looks right in a browser."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pvhspec import _data, cli
from tests.cli.transcripts import INPUTS

BELL = ("--spec", str(INPUTS / "bell"))
REAL = _data.traces_dir() / "corpus" / "real"
FAILS = (*BELL, "--baseline", str(INPUTS / "known.toml"), str(INPUTS / "violates.jsonl"))
MANY = (*BELL, *(str(INPUTS / f"{n}.jsonl") for n in ("conforms", "violates", "unseen", "no")))
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt install chromium")


def page(tmp_path: Path, *words: str) -> Path:
    out = tmp_path / "report.html"
    cli.main(["check", "--format", f"html={out}", *words])
    return out


class Elements(HTMLParser):
    """Every element with its attributes; and that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("words", [FAILS, MANY, (str(REAL / "entry-injected-magic.jsonl"),)])
def test_it_needs_nothing_else_and_is_well_formed(tmp_path: Path, words: tuple[str, ...]) -> None:
    elements = Elements(page(tmp_path, *words).read_text())
    assert elements.open == []
    for tag, attributes in elements.found:
        assert tag not in ("script", "img", "iframe", "object")
        if tag == "link":
            assert attributes["href"] == "data:,"
        assert "src" not in attributes
    css = page(tmp_path, *words).read_text().partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(set(ids)) == len(ids)


def test_it_tells_the_whole_of_a_violation(tmp_path: Path) -> None:
    text = " ".join(Elements(page(tmp_path, *BELL, str(INPUTS / "violates.jsonl")).read_text())
                    .text.split())  # fmt: skip
    card = text.partition("house.bells.BELL_ring.success.tone")[2].partition(" violated house")[0]
    for part in (
        "Seen tone = 441", "Allowed tone = 440",
        "0 BELL_hang(tone = 440) = 0 -> hook = 1, 64-bit caller line 2 made hung[1] = true",
        "2 BELL_ring(hook = 1) = 0 -> tone = 441, 64-bit caller line 4 the violation",
        "bells.abi:67, documented", "tone := pitch[hook]",
        'example/house@0123456789ab bell.h "BELL_ring"',
        "pitch[1] 440 event 0",
        "house.bells.BELL_hang.success.pitch",
    ):  # fmt: skip
        assert part in card, part


def test_what_is_known_comes_after_what_fails(tmp_path: Path) -> None:
    text = " ".join(Elements(page(tmp_path, *FAILS).read_text()).text.split())
    assert "Violates 2 clauses, 2 known deviations" in text
    assert "known until 2999-12-31: The old house is being rebuilt." in text
    assert text.index("too_shrill") < text.index("no_bell")
    assert "Was known until 2020-01-31: It was said to be mended by then." in text


def test_text_of_a_trace_is_only_text(tmp_path: Path) -> None:
    trace = tmp_path / "<script>alert(1)</script>&.jsonl"
    trace.parent.mkdir()

    shutil.copy(INPUTS / "violates.jsonl", trace)
    elements = Elements(page(tmp_path, *BELL, str(trace)).read_text())
    assert "script" not in {tag for tag, _ in elements.found}
    assert "<script>alert(1)</script>&.jsonl" in elements.text


def test_without_the_template_library_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["check", "--format", f"html={tmp_path / 'x'}", *FAILS]) == 3
    assert "pip install 'pvhspec[html]'" in capsys.readouterr().err


# ---- in a browser --------------------------------------------------------------------------------

_MEASURE = """<pre id="measured"></pre><script>
const box = (s) => document.querySelector(s).getBoundingClientRect();
const style = (s) => getComputedStyle(document.querySelector(s));
document.getElementById("measured").textContent = JSON.stringify({
  fold: innerHeight, wide: document.documentElement.scrollWidth - innerWidth,
  clause: box(".card h2").bottom, versus: box(".versus").bottom, event: box(".event").bottom,
  made: box(".line li").top, paper: style("body").backgroundColor, ink: style("body").color});
</script>"""


def opened(path: Path, width: int, dark: bool) -> tuple[dict[str, Any], list[str]]:
    """What a browser makes of the page, and what it has to complain of; there is no network."""
    assert CHROMIUM is not None
    probe = path.with_name("probe.html")
    probe.write_text(path.read_text() + _MEASURE)
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={path.parent / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--window-size={width},800", "--dump-dom", probe.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(found[1]), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_the_violation_above_the_fold(tmp_path: Path, dark: bool) -> None:
    trace = REAL / "entry-linux6.1-qemu72-pc-tcg.jsonl"
    measured, complaints = opened(page(tmp_path, str(trace)), 1280, dark)
    assert complaints == []
    assert 0 < measured["clause"] < measured["event"] < measured["versus"] < measured["fold"]
    assert measured["made"] < measured["fold"], "the timeline begins there, too"
    assert measured["wide"] <= 0, "nothing is wider than the window"
    paper, ink = (sum(map(int, re.findall(r"\d+", measured[k]))) for k in ("paper", "ink"))
    assert (paper < ink) == dark


@needs_chromium
@pytest.mark.slow
def test_a_page_that_is_not_right_is_noticed(tmp_path: Path) -> None:
    good = page(tmp_path, *FAILS)
    text = good.read_text().replace("</h1>", "</h1><script>nothing()</script>")
    good.write_text(text.replace("<main>\n", '<main><p style="height: 900px; width: 2000px">'))
    measured, complaints = opened(good, 1280, False)
    assert any("nothing is not defined" in line for line in complaints)
    assert measured["clause"] > measured["fold"]
    assert measured["wide"] > 0


@needs_chromium
@pytest.mark.slow
def test_on_a_narrow_screen_nothing_is_cut(tmp_path: Path) -> None:
    measured, complaints = opened(page(tmp_path, *FAILS), 500, False)
    assert complaints == []
    assert measured["wide"] <= 0
    assert measured["versus"] < measured["fold"]
