"""Every page of the built book, light and dark, wide and narrow: offline, quiet, accessible, never wider than
the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HTML = Path(__file__).resolve().parents[2] / "book" / "_build" / "html"
PAGES = sorted(path.relative_to(HTML).as_posix() for path in HTML.glob("book/*.html")) or ["index.html"]
EXTRA = ["index.html", "search.html", "genindex.html"]

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES + EXTRA)
def test_page(visit: Any, violations: Any, name: str, scheme: str, width: int) -> None:
    """No request leaves the disk, the console stays empty, nothing is too wide, axe-core is content."""
    seen = visit(name, scheme, width)
    assert seen.outside == []
    assert seen.failed == []
    assert seen.console == []
    assert (
        seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    )
    theme = seen.page.evaluate("document.documentElement.dataset.theme")
    assert theme == (scheme if name != "index.html" else theme)
    assert violations(seen.page) == []


def test_index_leads_to_the_first_page(visit: Any) -> None:
    """index.html, opened from disk, shows the introduction."""
    page = visit("index.html").page
    page.wait_for_url("**/book/intro.html")
    assert "Golay" in page.locator(".bd-article h1").inner_text()


@pytest.mark.parametrize("name", PAGES)
def test_every_chapter_is_executed(visit: Any, name: str) -> None:
    """Each code cell ran: none shows a traceback, and a page with cells shows outputs."""
    page = visit(name).page
    assert page.locator("div.cell_output .traceback, div.cell_output .output.error").count() == 0
    if page.locator("div.cell_input").count():
        assert page.locator("div.cell_output").count() > 0


@pytest.mark.parametrize("name", PAGES)
def test_formulas_are_set(visit: Any, name: str) -> None:
    """MathJax turned every formula into a picture with assistive MathML, and none into an error."""
    page = visit(name).page
    assert page.locator("mjx-merror").count() == 0
    assert page.locator(".math").count() == 0 or page.locator("mjx-assistive-mml").count() > 0


def test_search_finds_a_chapter(visit: Any) -> None:
    """Searching works from disk."""
    page = visit("search.html?q=dodecads").page
    page.wait_for_selector("#search-results li a", timeout=15_000)
    assert any("golay" in (a.get_attribute("href") or "") for a in page.locator("#search-results li a").all())


def test_links_between_pages_exist(visit: Any, html: Path) -> None:
    """Each relative link of each page leads to a file of the book."""
    broken = []
    for name in PAGES:
        page = visit(name).page
        for target in page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)"):
            path = target.split("#")[0].split("?")[0]
            if path.startswith("file:") and not Path(path.removeprefix("file://")).exists():
                broken.append(f"{name} -> {target}")
    assert broken == []


def test_colab_opens_the_notebook(visit: Any) -> None:
    """The rocket of a chapter points at notebooks/*.ipynb."""
    page = visit("book/golay.html").page
    links = page.evaluate("[...document.querySelectorAll('a[href*=colab]')].map(a => a.href)")
    assert links and all(link.endswith("/notebooks/golay.ipynb") for link in links)
