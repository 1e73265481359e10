"""The shape-gain split on its page: sliders by keyboard, numbers of the library and of the JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llvq_mini import limits
from llvq_mini.widgets import ShapeGainSplit
from llvq_mini.widgets.shape_gain import half_angle

ROOT = Path(__file__).resolve().parents[2]
PAGE = "book/rate.html"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def widget() -> ShapeGainSplit:
    """The widget of the page."""
    return ShapeGainSplit(ROOT / "benchmarks" / "results" / "rd.json")


def check(page: Any, widget: ShapeGainSplit, total: int, chosen: int) -> None:
    """Table, sentence and picture belong to this budget and split."""
    rows = page.locator(".llvq-sg tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )
    assert len(rows) == 5
    for g, cells in enumerate(rows):
        direction, length = widget.parts(total, g)
        code = widget.code(total, g)
        measured = "–" if code is None else f"{code['mse']:.5f}" + ("*" if code["bits"] < total else "")
        assert cells[0] == ("▸ " if g == chosen else "") + f"{g} + {total - g}"
        assert cells[1] == f"{half_angle(total - g):.1f}°" and cells[5] == measured
        for text, value in zip(cells[2:5], (direction, length, direction + length), strict=True):
            assert abs(float(text) - value) <= 0.5000001e-5
    status = page.locator(".llvq-sg .llvq-w-status").inner_text()
    assert f"{sum(widget.parts(total, chosen)):.5f}" in status
    assert page.locator(".llvq-sg .bar.chosen").count() == 1
    assert page.locator(".llvq-sg path.level").count() == 2**chosen
    dots = sum(widget.code(total, g) is not None for g in range(5))
    assert page.locator(".llvq-sg .bar .measured").count() == dots


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_sliders_by_keyboard(visit: Any, widget: ShapeGainSplit, scheme: str, width: int) -> None:
    """Both sliders answer to arrow keys, Home and End."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    gain = page.get_by_label("Gain bits", exact=True)
    budget = page.get_by_label("Budget", exact=True)
    check(page, widget, 48, 1)
    gain.focus()
    page.keyboard.press("ArrowRight")
    check(page, widget, 48, 2)
    assert "the best split of this budget" in page.locator(".llvq-sg .llvq-w-status").inner_text()
    page.keyboard.press("End")
    check(page, widget, 48, 4)
    budget.focus()
    page.keyboard.press("ArrowRight")
    assert budget.get_attribute("aria-valuetext") == "49 bits a block"
    check(page, widget, 49, 4)
    page.keyboard.press("Home")
    check(page, widget, 24, 4)
    page.keyboard.press("End")
    gain.press("Home")
    check(page, widget, 96, 0)
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_a_click_on_a_bar_chooses_it(visit: Any, widget: ShapeGainSplit) -> None:
    """The bars are buttons for the pointer; the slider is their equal for the keyboard."""
    page = visit(PAGE).page
    page.locator(".llvq-sg .bar").nth(3).click()
    check(page, widget, 48, 3)


def test_static_picture_without_javascript(visit: Any, widget: ShapeGainSplit) -> None:
    """Bars and table of 48 bits."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-sg.llvq-w-static rect.direction").count() == 5
    text = page.locator(".llvq-sg.llvq-w-static table").inner_text()
    assert all(f"{limits.cap_bound(48 - g, g):.5f}" in text for g in (0, 1, 2))
