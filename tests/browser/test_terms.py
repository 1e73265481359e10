"""Definitions on hover: shown for the pointer and the keyboard, gone with Escape, inside the window, and axe-clean."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_definition_on_focus_and_hover(visit: Any, violations: Any, scheme: str, width: int) -> None:
    """The note has the glossary's text, describes the link, fits the window, and hides with Escape and on leaving."""
    seen = visit("book/honest.html", scheme, width)
    page = seen.page
    link, tip = page.locator("a.llvq-term", has_text="pairing").first, page.locator("#llvq-tip")
    assert tip.is_hidden() and link.get_attribute("aria-describedby") is None

    link.focus()
    assert tip.inner_text().startswith("pairing. Comparing two methods on the same windows of text")
    assert link.get_attribute("aria-describedby") == "llvq-tip" and tip.get_attribute("role") == "tooltip"
    box = tip.bounding_box()
    assert (
        box["x"] >= 0
        and box["x"] + box["width"] <= width
        and 0 <= box["y"]
        and box["y"] + box["height"] <= 900
    )
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.keyboard.press("Escape")
    assert tip.is_hidden() and link.get_attribute("aria-describedby") is None

    page.evaluate("document.activeElement.blur()")
    link.hover()
    assert tip.is_visible()
    tip.hover()  # the pointer may go from the word to the note
    page.wait_for_timeout(400)
    assert tip.is_visible()
    page.mouse.move(1, 1)
    page.wait_for_timeout(400)
    assert tip.is_hidden()
    assert seen.outside == [] and seen.console == [] and seen.failed == []
    link.focus()
    assert tip.is_visible() and violations(page) == []  # last: axe-core itself makes requests


def test_every_term_has_a_definition(visit: Any) -> None:
    """Each link to the glossary leads to an entry and has its text; a page without terms loads nothing for them."""
    page = visit("book/glossary.html").page
    anchors = page.evaluate("[...document.querySelectorAll('dl.glossary dt')].map(dt => dt.id)")
    assert len(anchors) > 40 and page.locator("#llvq-tip").count() == 0
    for name in ("book/golay.html", "book/llm.html"):
        page = visit(name).page
        used = page.evaluate("[...document.querySelectorAll('a.llvq-term')].map(a => a.hash.slice(1))")
        marked = page.locator(".bd-article a .std-term").count()
        assert used and len(used) == marked and set(used) <= set(anchors)


def test_without_script_a_term_is_a_link(visit: Any) -> None:
    """The glossary is one click away where nothing runs."""
    page = visit("book/golay.html", java_script_enabled=False).page
    link = page.locator("a .std-term").first.locator("..")
    assert "glossary.html#term-" in link.get_attribute("href")
