"""Every slide of the course in Chromium, from file://: offline, quiet, inside its 1280 x 720, accessible."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "book" / "course" / "slides"
sys.path.insert(0, str(ROOT / "book" / "_tools"))

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: what sticks out of the slide, or is wider than its box
OUTSIDE = """() => {
    const found = [];
    for (const e of Reveal.getCurrentSlide().querySelectorAll("*")) {
        if (e.closest("aside, mjx-container, svg")) continue;
        const box = e.getBoundingClientRect();
        if (box.width && (box.right > 1225 || box.bottom > 700 || box.left < 0)) {
            found.push(`${e.tagName} ends at ${Math.round(box.right)}, ${Math.round(box.bottom)}`);
        }
        if (e.tagName === "PRE" && e.scrollWidth > e.clientWidth + 1) found.push(`PRE ${e.textContent.slice(0, 40)}`);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def decks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All decks, freshly built."""
    pytest.importorskip("sphinx_revealjs", reason="reveal.js is missing; run 'make env'")
    import course_slides

    folder = tmp_path_factory.mktemp("slides")
    course_slides.build(folder)
    return folder


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page of the size of a slide that remembers what went wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(180_000)  # machines may be busy
    page.wrong = []
    page.on("console", lambda m: page.wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("requestfailed", lambda request: page.wrong.append(request.url))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else page.wrong.append(r.url),
    )
    yield page
    context.close()


def show(page: Any, deck: Path, query: str) -> None:
    """Open a deck and wait until its formulas are set."""
    page.goto(deck.as_uri() + query)
    page.wait_for_function("window.Reveal && Reveal.isReady() && window.MathJax && MathJax.startup.promise")
    page.evaluate("MathJax.startup.promise.then(() => 1)")


@pytest.mark.parametrize("week", [1, 2, 3, 4])
def test_slides(decks: Path, page: Any, violations: Any, week: int) -> None:
    """Fifteen slides or more; each fits, has a figure, code, table or question, and notes for the speaker."""
    show(page, decks / f"week{week}.html", "?theme=light")
    count = page.evaluate("Reveal.getTotalSlides()")
    assert 15 <= count <= 25
    outside = {}
    for number in range(count):
        page.evaluate(f"Reveal.slide({number})")
        outside[number] = page.evaluate(OUTSIDE)
        if number in (0, 2, count - 1):
            found = violations(page)
            assert found == []
    assert {number: found for number, found in outside.items() if found} == {}
    slides = page.locator(".slides > section")
    for number in range(1, count):
        assert slides.nth(number).locator("figure, .code, table, .ask, .big").count() > 0
    assert page.locator("aside.notes").count() == count
    assert page.locator("mjx-merror").count() == 0
    page.wrong = [text for text in page.wrong if "axe" not in text]
    assert page.wrong == []


def test_keys_and_dark(decks: Path, page: Any, violations: Any) -> None:
    """Arrow keys turn pages, D changes the theme, O shows all; figures follow the theme."""
    show(page, decks / "week1.html", "?theme=light")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getIndices().h") == 1
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    color = "getComputedStyle(document.querySelector('.llvq-figure')).backgroundColor"
    assert page.evaluate(color) == "rgb(24, 32, 41)"
    page.evaluate("Reveal.slide(4)")
    assert violations(page) == []
    page.keyboard.press("o")
    assert page.evaluate("Reveal.isOverview()")
