"""Squares against hexagons on the first page: its means are Python's, by keyboard, with and without motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llvq_mini.widgets import SquaresHexagons, squares_hexagons

PAGE = "book/intro.html"

pytestmark = pytest.mark.browser


def check(page: Any, drops: int) -> None:
    """Dots, bars and sentence show this many points."""
    assert page.locator(".llvq-sh circle.dot").count() == 2 * drops
    means = []
    for key in squares_hexagons.LABELS:
        fallen = squares_hexagons.dots(key, drops)
        means.append(f"{sum(error for _, error in fallen) / drops:.4f}")
    values = page.locator(".llvq-sh-bar .value").all_inner_texts()
    assert [text[:6] for text in values[:2]] == means
    said = page.locator(".llvq-sh [role=status]").inner_text()
    assert f"of {drops:,} points: squares {means[0]}, hexagons {means[1]}." in said


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_drops_by_keyboard(visit: Any, violations: Any, scheme: str, width: int) -> None:
    """Above the fold; more points, and from the beginning; nothing is requested; accessible."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, 200)
    if width == 1280:  # all of it, buttons too, on a screen of 1280 x 800
        box = page.locator(".llvq-sh").bounding_box()
        assert box["y"] + box["height"] < 800
    widget = page.locator(".llvq-sh")
    widget.get_by_role("button", name="Drop 200 more").press("Enter")
    check(page, 400)
    widget.get_by_role("button", name="Start again").press("Enter")
    check(page, 200)
    widget.get_by_role("button", name="Start again").press("Enter")
    check(page, 200)
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert violations(page) == []  # last, since axe-core makes requests of its own


def test_times_of_the_chapters(visit: Any, html: Path) -> None:
    """Each chapter of the table has its minutes and seconds, those below its own title; above stand their sums."""
    page = visit(PAGE).page
    rows = page.locator(".llvq-time").evaluate_all("all => all.map(s => [s.dataset.page, s.textContent])")
    assert len(rows) > 10 and rows[0][0] == "all" and "hours to read" in rows[0][1]
    for name, text in rows[1:]:
        facts = (
            (html / "book" / f"{name}.html").read_text(encoding="utf-8").split('class="llvq-facts"')[1][:300]
        )
        assert f"<li>{text.split()[0]} minutes to read</li>" in facts and " min, runs " in text


def test_points_fall_one_after_another(mount: Any) -> None:
    """With motion allowed the same points come in time; leaving stops them."""
    page = mount(SquaresHexagons(0.0657, 10))
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate("model.set('drops', 60)")
    page.wait_for_function("document.querySelectorAll('.llvq-sh .dot').length >= 28")
    page.wait_for_function("document.querySelectorAll('.llvq-sh .dot').length === 120")
    check(page, 60)
    page.evaluate("model.set('drops', 2000); leave()")
    count = page.locator(".llvq-sh .dot").count()
    page.wait_for_timeout(200)
    assert page.locator(".llvq-sh .dot").count() == count


def test_static_picture_without_javascript(visit: Any) -> None:
    """Both planes and the table."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-sh.llvq-w-static circle.dot").count() == 400
    assert "Leech lattice, 24 at a time" in page.locator(".llvq-sh table").inner_text()
