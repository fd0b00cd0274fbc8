"""The page of ``harness view`` in Chromium: on disk and served, wide and narrow, by keyboard."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from reports.view.page import write
from tests.commands import PROGRAM, ROOT
from tests.reports.test_browser import CONTRAST, DESKTOP, PHONE, browser  # noqa: F401
from tests.reports.viewed import ITEMS, SCRIPT, opened, silent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def page(viewed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of both runs."""
    path = tmp_path_factory.mktemp("view") / "items.html"
    write(*opened(viewed), path, silent)
    return path


@pytest.fixture(params=[DESKTOP, PHONE], ids=["wide", "narrow"])
def tab(request: pytest.FixtureRequest, browser: Browser, page: Path) -> Iterator[Page]:  # noqa: F811
    """Open the page with the network off; nothing but the page and its images is asked for."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    tab = context.new_page()
    events: list[str] = []
    tab.on("console", lambda message: events.append(message.text))
    tab.on("pageerror", lambda error: events.append(str(error)))
    tab.on("dialog", lambda dialog: events.append(dialog.message))
    tab.on("request", lambda request: events.append(request.url))
    tab.goto(page.as_uri())
    has(tab, f"{ITEMS} of {ITEMS} items")
    yield tab
    beside = page.with_name("items_files").as_uri()
    assert events.pop(0) == page.as_uri()
    assert [event for event in events if not event.startswith(beside)] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.title() == "Items: one and two"
    context.close()


def has(tab: Page, count: str) -> None:
    """Wait for the line that says how many items are listed."""
    from playwright.sync_api import expect

    expect(tab.locator("#count")).to_have_text(count)


def chosen(tab: Page, name: str) -> None:
    """Wait for an item to be shown."""
    from playwright.sync_api import expect

    expect(tab.locator("#item h2")).to_have_text(name)


def loaded(tab: Page) -> list[tuple[int, int]]:
    """Return the sizes of the item's images once they are loaded."""
    for image in tab.locator("#item img").all():
        image.scroll_into_view_if_needed()
        image.evaluate("image => image.decode()")
    sizes = (
        "[...document.querySelectorAll('#item img')].map(i => [i.naturalWidth, i.naturalHeight])"
    )
    return [(width, height) for width, height in tab.evaluate(sizes)]


def test_an_item_with_everything(tab: Page) -> None:
    tab.locator("#list button", has_text="own/q11").click()
    chosen(tab, "own/q11")
    assert loaded(tab) == [(64, 64), (640, 480), (1600, 900)]
    text = tab.locator("#item").inner_text()
    for piece in ("Which colour is 11?", "Target A", "one", "two", "wrong, read as B", "strict 0"):
        assert piece in text
    assert "Item 11" not in text  # the thought is folded
    tab.locator("#item summary", has_text="Thought").first.click()
    assert f"Item 11 {SCRIPT}" in tab.locator("#item").inner_text()
    assert "\\u001b[31m" in tab.locator("#item").inner_text()
    assert tab.evaluate("document.querySelectorAll('#item script, #list script').length") == 0


def test_filters_and_search(tab: Page) -> None:
    lost = tab.locator("select").last
    options = lost.locator("option").all_inner_texts()
    assert options == ["Disagreement: all", "gained (18)", "lost (9)", "in one run alone (5)"]
    lost.select_option("lost")
    has(tab, f"9 of {ITEMS} items")
    for text in tab.locator("#list button").all_inner_texts():
        assert text.startswith("right → wrong own/")
    tab.get_by_label("Verdict of one").select_option("wrong")
    has(tab, f"0 of {ITEMS} items")
    tab.get_by_label("Verdict of one").select_option("")
    lost.select_option("")
    tab.locator("#words").fill("ITEM 12 ")  # of a thought, which is in the chunks alone
    has(tab, f"1 of {ITEMS} items")
    assert "own/q12" in tab.locator("#list").inner_text()
    tab.locator("#words").fill("no such text")
    has(tab, f"0 of {ITEMS} items")


def test_by_keyboard(tab: Page) -> None:
    tab.keyboard.press("n")
    assert tab.locator("#page").inner_text() == "Page 2 of 3"
    tab.keyboard.press("p")
    tab.keyboard.press("/")
    tab.keyboard.type("item 2")
    has(tab, f"11 of {ITEMS} items")
    tab.keyboard.press("Escape")  # out of the field, to the list
    assert tab.evaluate("document.activeElement.closest('#list') !== null")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "item"
    first = tab.locator("#item h2").inner_text()
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    tab.keyboard.press("k")
    assert tab.locator("#item h2").inner_text() != first
    tab.keyboard.press("k")
    chosen(tab, first)
    tab.keyboard.press("Escape")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert tab.evaluate(outline) == "solid"
    for _ in range(8):  # by tab alone: every stop is to be seen
        tab.keyboard.press("Tab")
        stop = tab.evaluate("document.activeElement.id || document.activeElement.tagName")
        assert stop == "item" or tab.evaluate(outline) != "none", stop


def test_an_address_names_its_item(tab: Page) -> None:
    tab.locator("#list button").nth(4).click()
    chosen(tab, f"own/{SCRIPT}")
    address = tab.url
    tab.evaluate("location.hash = encodeURIComponent('own/q55')")
    chosen(tab, "own/q55")
    assert "not asked" in tab.locator("#item").inner_text()
    tab.goto(address)
    chosen(tab, f"own/{SCRIPT}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_verdicts_stand_out(browser: Browser, page: Path, scheme: str) -> None:  # noqa: F811
    tab = browser.new_page(color_scheme=scheme)
    tab.goto(page.as_uri())
    for name in ("gain", "loss", "muted"):
        assert tab.evaluate(CONTRAST, [name, "band"]) >= 4.5, name
    tab.close()


def test_without_javascript_it_says_what_to_do(browser: Browser, page: Path) -> None:  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    assert "harness show RUN" in tab.locator("noscript").inner_text()
    context.close()


def test_the_command_serves_until_it_is_interrupted(browser: Browser, viewed: Path) -> None:  # noqa: F811
    words = ("view", viewed / "runs" / "one", "--serve", "--suite", viewed / "own.jsonl")
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert re.match(f"{ITEMS} items", child.stdout.readline())
    address = child.stdout.readline().strip()
    tab = browser.new_page()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address)
    tab.locator("#list button", has_text="own/q6").first.click()
    chosen(tab, "own/q6")
    tab.locator("#item img").nth(1).wait_for()
    assert loaded(tab) == [(64, 64), (640, 480)]
    tab.locator("#words").fill("item 59 ")
    has(tab, f"1 of {ITEMS} items")
    assert {urlsplit(each).hostname for each in asked} == {"127.0.0.1"}
    tab.close()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in errors) == (0, False), errors
