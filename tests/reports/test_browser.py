"""The page in Chromium, network off: no console error, no request, nothing cut, nothing runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ablations.statistics.release.gate import gate
from ablations.statistics.release.policy import read_policy
from reports import output as reports
from tests.reports.studies import BENCHMARKS, Planted, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
DESKTOP, PHONE = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Debian's Chromium, started once."""
    path = shutil.which("chromium")
    if path is None:
        assert not os.environ.get("CI"), "CI installs chromium"
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


def opened(browser: Browser, path: Path, size: tuple[int, int] = DESKTOP, **options: Any) -> Page:
    """Open a file with the network off; what the page says and asks for is on the page object."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, offline=True, **options
    )
    page = context.new_page()
    events: list[str] = []
    page.on("console", lambda message: events.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("request", lambda request: events.append(f"request {request.url}"))
    page.goto(path.as_uri())
    page.wait_for_load_state()
    assert events == [f"request {path.as_uri()}"]
    return page


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_disk_silently_and_fits(
    browser: Browser, page: Path, size: tuple[int, int], scheme: str
) -> None:
    tab = opened(browser, page, size, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    # The first screen answers the question.
    box = tab.locator("h1").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < size[1] / 2
    first = tab.locator(".step .verdict").first.bounding_box()
    assert first is not None
    assert first["y"] + first["height"] < size[1]
    assert tab.evaluate(CUT) == []
    assert tab.evaluate(OVERLAPPING) == []
    tab.context.close()


def test_the_answer_is_on_a_phones_first_screen_whatever_the_notes(
    browser: Browser, tmp_path: Path
) -> None:
    small = Planted({"grpo": 0.0, "contextrl": 0.1}, seeds=2, items=60, training=False)
    made, _ = reports.page_of([write(tmp_path / "small", small)], None)
    reports.html(made, tmp_path / "small.html")
    tab = opened(browser, tmp_path / "small.html", PHONE)
    first = tab.locator(".step .verdict").first.bounding_box()
    assert first is not None
    assert first["y"] + first["height"] < PHONE[1]
    notes = tab.locator(".notes li").all_inner_texts()
    assert len(notes) == 1
    assert notes[0].startswith(", ".join(BENCHMARKS) + ": only 20 clusters (fewer than 30)")
    tab.context.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_of_a_gate_states_the_decision_on_the_first_screen(
    browser: Browser, gated: tuple[Path, Path], tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "policy.yaml").write_text("defaults: {max_drop: 0.2, max_relative_drop: 0.9}")
    found = gate(gated[:1], gated[1:], read_policy(tmp_path / "policy.yaml"), 0.01)
    reports.write(found, tmp_path / "gate.html")
    tab = opened(browser, tmp_path / "gate.html", size)
    assert tab.locator("h1").inner_text().startswith("INCONCLUSIVE: not enough data on")
    shown = tab.locator(".step .verdict").first
    box = shown.bounding_box()
    assert shown.inner_text() == "INCONCLUSIVE"
    assert box is not None
    assert box["y"] + box["height"] < size[1]
    assert tab.evaluate("document.documentElement.scrollWidth") <= size[0]
    rows = tab.locator("#benchmarks tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["vstar", "mmstar"]
    assert all("not enough data" in row for row in rows)
    assert tab.locator("#needs tbody tr").count() == 2
    tab.context.close()


# Texts of figures that reach beyond the page.
CUT = """() => [...document.querySelectorAll('svg text')].filter(text => {
  const box = text.getBoundingClientRect();
  return box.width && (box.left < 0 || box.right > document.documentElement.clientWidth);
}).map(text => text.textContent)"""

# Pairs of texts in one figure of which one covers a good part of the other.
OVERLAPPING = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    const texts = [...svg.querySelectorAll('text')].map(
      text => [text.textContent, text.getBoundingClientRect()]);
    for (const [i, [one, a]] of texts.entries()) for (const [other, b] of texts.slice(i + 1)) {
      const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (w > 1 && h > 3) found.push([one, other]);
    }
  }
  return found;
}"""

# WCAG's contrast of two of the page's colours.
CONTRAST = """([one, other]) => {
  const of = name => {
    const probe = document.createElement('i');
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const rgb = getComputedStyle(probe).color.match(/[0-9]+/g).slice(0, 3).map(v => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    probe.remove();
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2] + 0.05;
  };
  const [a, b] = [of(one), of(other)];
  return Math.max(a, b) / Math.min(a, b);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser: Browser, page: Path, scheme: str) -> None:
    tab = opened(browser, page, color_scheme=scheme)
    for name in ("ink", "muted", "gain", "loss"):
        for ground in ("page", "soft"):
            assert tab.evaluate(CONTRAST, [name, ground]) >= 4.5, (name, ground)
    tab.context.close()


def test_what_a_model_wrote_stays_text(browser: Browser, page: Path) -> None:
    tab = opened(browser, page)
    assert tab.title() != "owned"
    assert tab.evaluate("document.scripts.length") == 1
    assert tab.evaluate("document.images.length") == 0
    written = tab.locator("pre", has_text='<script>document.title="owned"</script>')
    assert written.count() > 0
    tab.context.close()


def test_every_number_says_where_it_is_from_and_every_link_leads_somewhere(
    browser: Browser, study: Path, page: Path
) -> None:
    tab = opened(browser, page)
    silent = "[...document.querySelectorAll('td[data-v]:not([data-v=\"\"])')].filter(c => !c.title)"
    assert tab.evaluate(f"{silent}.map(c => c.closest('figure').id)") == []
    dead = "[...document.querySelectorAll('a[href^=\"#\"]')].filter(a => " \
        "!document.getElementById(a.getAttribute('href').slice(1)))"  # fmt: skip
    assert tab.evaluate(f"{dead}.map(a => a.href)") == []
    doubled = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    ids = tab.evaluate(doubled)
    assert len(ids) == len(set(ids))
    shown = tab.evaluate(
        "[...document.querySelectorAll('#contrasts tbody tr')].map(r => "
        "[r.cells[1].textContent.trim(), Number(r.cells[2].dataset.v)])"
    )
    stored = json.loads((study / "analysis.json").read_text())["analysis"]["contrasts"]
    assert [name for name, _ in shown] == [line["name"] for line in stored]
    assert [delta for _, delta in shown] == pytest.approx([line["delta"] for line in stored])
    tab.context.close()


def test_tables_have_headers_and_figures_have_names(browser: Browser, page: Path) -> None:
    tab = opened(browser, page)
    bare = "[...document.querySelectorAll('thead th')].filter(h => h.scope !== 'col').length"
    assert tab.evaluate(bare) == 0
    rows = (
        "[...document.querySelectorAll('tbody tr')].filter(r => r.cells[0].scope !== 'row').length"
    )
    assert tab.evaluate(rows) == 0
    named = "[...document.querySelectorAll('svg')].map(s => [s.getAttribute('role'), " \
        "...s.getAttribute('aria-labelledby').split(' ').map(" \
        "i => document.getElementById(i).textContent.length > 9)])"  # fmt: skip
    figures = tab.evaluate(named)
    assert figures
    assert {tuple(figure) for figure in figures} == {("img", True, True)}
    tab.context.close()


def test_it_reads_without_javascript(browser: Browser, page: Path) -> None:
    tab = opened(browser, page, java_script_enabled=False)
    assert tab.locator("h1").inner_text().startswith("The gain of contextrl over grpo is real")
    assert tab.locator("#contrasts tbody tr").count() == 8
    assert tab.locator("input").count() == 0
    tab.context.close()


def test_filters(browser: Browser, page: Path) -> None:
    tab = opened(browser, page)
    rows = tab.locator("#delta-0 tbody tr:visible")
    assert rows.count() == 12
    benchmark, word = tab.locator("#delta-0 select").all()
    benchmark.select_option("vstar")
    assert [text.split()[0] for text in rows.all_inner_texts()] == ["vstar"]
    benchmark.select_option("")
    verdict = rows.last.locator("td").last.inner_text()
    word.select_option(verdict)
    assert {text.endswith(verdict) for text in rows.all_inner_texts()} == {True}
    tab.locator("#delta-0 input").fill("no such row")
    assert rows.count() == 0
    models = tab.locator("#seeds-table tbody tr:visible")
    tab.locator("#seeds-table input").fill("da-rl")
    assert models.count() == 3
    questions = tab.locator("#contrasts tbody tr:visible")
    tab.locator("#contrasts select").first.select_option("objective")
    assert questions.count() == 3
    items = tab.locator("#flips .item:visible h3")
    change, benchmark = tab.locator("#flips .filters select").all()
    change.select_option("gained")
    benchmark.select_option("blink")
    headings = items.all_inner_texts()
    assert headings
    assert {text.startswith("▲ gained blink/") for text in headings} == {True}
    tab.context.close()


def test_sorting_and_search(browser: Browser, page: Path) -> None:
    tab = opened(browser, page)
    cells = (
        "[...document.querySelectorAll('#delta-0 tbody tr')].map(r => Number(r.cells[6].dataset.v))"
    )
    heads = tab.locator("#delta-0 thead th")
    heads.nth(6).locator("button").click()
    up = tab.evaluate(cells)
    assert up == sorted(up)
    assert heads.nth(6).get_attribute("aria-sort") == "ascending"
    heads.nth(6).locator("button").click()
    assert tab.evaluate(cells) == up[::-1]
    items = tab.locator("#flips .item:visible")
    before = items.count()
    tab.locator("#flips input").fill("gained")
    after = items.count()
    assert 0 < after < before
    assert "lost" not in items.first.inner_text()
    tab.context.close()


def test_it_prints(browser: Browser, page: Path) -> None:
    tab = opened(browser, page, (718, 1000))  # A4 without its margins
    tab.emulate_media(media="print")
    wide = "[...document.querySelectorAll('table, svg')].filter(t => " \
        "t.getBoundingClientRect().right > 718).map(t => t.closest('figure').id)"  # fmt: skip
    assert tab.evaluate(wide) == []
    pdf = tab.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 50_000
    tab.context.close()
