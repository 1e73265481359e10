"""Every page of the built book: offline, quiet, executed, accessible and never wider than the screen.

One visit a page, since loading and setting its formulas is what takes time: light at 1280 pixels, dark by the page's
own switch, dark at 390, light at 390. Links are checked without a browser, in test_links.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HTML = Path(__file__).resolve().parents[2] / "book" / "_build" / "html"
PAGES = sorted(path.relative_to(HTML).as_posix() for path in HTML.glob("book/*.html")) or ["index.html"]
EXTRA = ["search.html", "genindex.html"]
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
#: what reaches beyond its widget or beyond the text, and neither scrolls nor is meant to be clipped there
STICKS_OUT = """() => {
    const found = [];
    for (const box of document.querySelectorAll(".bd-article .llvq-w, .bd-article")) {
        const edge = box.getBoundingClientRect().right - parseFloat(getComputedStyle(box).paddingRight) + 2;
        for (const part of box.querySelectorAll("*")) {
            if (part.getBoundingClientRect().right <= edge || part.closest("mjx-assistive-mml")) continue;
            let inside = part.parentElement;
            while (inside !== box && getComputedStyle(inside).overflowX === "visible") inside = inside.parentElement;
            if (inside === box) found.push(`${part.tagName}.${part.className} ${part.textContent.slice(0, 40)}`);
        }
    }
    return found.slice(0, 5);
}"""

pytestmark = pytest.mark.browser


def resize(page: Any, width: int) -> None:
    """Another width, and the frame in which the page has answered to it."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def switch_theme(page: Any, theme: str) -> None:
    """Press the page's own button until it shows the theme."""
    for _ in range(3):
        if page.evaluate("document.documentElement.dataset.theme") == theme:
            return
        page.evaluate("document.querySelector('.theme-switch-button').click()")
    assert page.evaluate("document.documentElement.dataset.theme") == theme


@pytest.mark.parametrize("name", PAGES + EXTRA)
def test_page(visit: Any, violations: Any, name: str) -> None:
    """No request leaves the disk, the console stays empty, cells ran, formulas are set, nothing is too wide, and
    axe-core is content."""
    seen = visit(name)
    page = seen.page
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.locator("div.cell_output .traceback, div.cell_output .output.error").count() == 0
    assert page.locator("div.cell_input").count() == 0 or page.locator("div.cell_output").count() > 0
    assert page.locator("mjx-merror").count() == 0
    assert page.locator(".math").count() == 0 or page.locator("mjx-assistive-mml").count() > 0
    found = []
    for theme, width in (("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)):
        resize(page, width)
        switch_theme(page, theme)
        assert page.evaluate(TOO_WIDE) == 0, f"{theme}, {width} pixels"
        assert page.evaluate(STICKS_OUT) == [], f"{theme}, {width} pixels"
        if (theme, width) in (
            ("light", 1280),
            ("dark", 390),
        ):  # each theme and each width once: axe-core is slow
            found += [f"{theme}, {width} pixels: {line}" for line in violations(page)]
    assert found == []
    assert (seen.outside, seen.failed, seen.console) == ([], [], [])


def test_a_dark_screen_gets_a_dark_page(visit: Any, violations: Any) -> None:
    """Without a choice of the reader the page follows the system, also on a phone; formulas and figures are accessible
    to their last node."""
    seen = visit("book/golay.html", "dark", 390)
    assert seen.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert seen.page.evaluate(TOO_WIDE) == 0
    assert violations(seen.page, whole=True) == []
    assert (seen.outside, seen.failed, seen.console) == ([], [], [])


def test_paper_shows_solutions_and_pictures(visit: Any) -> None:
    """Printing opens solutions, turns the page light and shows static widgets; afterwards all is as it was."""
    page = visit("book/golay.html", "dark").page
    state = """() => [document.querySelectorAll(".toggle-hidden").length,
        document.documentElement.dataset.theme, document.querySelectorAll(".llvq-widget .llvq-w-static").length,
        document.querySelectorAll(".llvq-widget button").length > 0]"""
    before = page.evaluate(state)
    assert before[0] > 3 and before[1:] == ["dark", 0, True]
    page.evaluate(f"window.addEventListener('beforeprint', () => (window.printed = ({state})()))")
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    printed = page.evaluate("window.printed")
    assert printed[:2] == [0, "light"] and printed[2] > 0 and printed[3] is False
    assert page.evaluate(state) == before


def test_the_reader_is_told_what_a_page_takes(visit: Any) -> None:
    """Minutes, exercises and seconds stand below the title; the number of exercises is that of the page."""
    page = visit("book/golay.html").page
    facts = page.locator(".llvq-facts li").all_inner_texts()
    assert facts[0].endswith("minutes to read") and 10 < int(facts[0].split()[0]) < 90
    assert facts[1] == f"{page.locator('.bd-article div.exercise').count()} exercises with solutions"
    assert page.evaluate(
        "document.fonts.check('1rem Inter') && document.fonts.check('1rem \"Source Serif 4\"')"
    )
    assert (
        page.locator('meta[property="og:image"]').get_attribute("content").endswith("/_static/llvq/card.png")
    )


def test_index_leads_to_the_first_page(visit: Any) -> None:
    """index.html, opened from disk, shows the introduction."""
    page = visit("index.html").page
    page.wait_for_url("**/book/intro.html")
    assert "Golay" in page.locator(".bd-article h1").inner_text()


def test_search_finds_a_chapter(visit: Any) -> None:
    """Searching works from disk."""
    page = visit("search.html?q=dodecads").page
    page.wait_for_selector("#search-results li a", timeout=15_000)
    assert any("golay" in (a.get_attribute("href") or "") for a in page.locator("#search-results li a").all())
