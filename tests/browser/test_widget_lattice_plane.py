"""The lattices of the plane on their page: keys and mouse deform the lattice, and the numbers are the library's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llvq_mini import second_moment
from llvq_mini.widgets import lattice_plane
from llvq_mini.widgets.lattice_plane import PRESETS

PAGE = "book/lattices.html"
KNOWN = {lattice.name: lattice.known for lattice in second_moment.LATTICES}

pytestmark = pytest.mark.browser


def numbers_in(text: str) -> list[float]:
    """All numbers of a text that may have real minus signs."""
    return [float(part) for part in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-"))]


def yours(page: Any) -> list[str]:
    """The table's row of the reader's lattice."""
    return page.locator(".llvq-lp tr.chosen td").all_inner_texts()


def check(page: Any, basis: lattice_plane.Basis, x: tuple[float, float]) -> None:
    """Row, sentence and number of deep holes belong to this lattice and place."""
    found = lattice_plane.facts(basis)
    volume, density, kissing, thickness, moment, gain = (text.replace("−", "-") for text in yours(page))
    for text, value in zip(
        (volume, density, thickness), (found.volume, found.density, found.thickness), strict=True
    ):
        assert abs(float(text) - value) <= 0.501e-4
    assert int(kissing) == found.kissing and abs(float(moment) - found.moment) <= 0.501e-5
    assert float(gain) == pytest.approx(second_moment.gain_db(found.moment), abs=0.00051)
    numbers = numbers_in(page.locator(".llvq-lp .llvq-w-status").inner_text())
    p = lattice_plane.nearest(basis, x)
    error = ((x[0] - p[0]) ** 2 + (x[1] - p[1]) ** 2) / 2
    wanted = [
        *x,
        *p,
        error,
        found.moment * found.volume,
        found.covering**2 / 2,
        found.packing,
        found.covering,
    ]
    assert numbers[-9:] == pytest.approx(wanted, abs=0.00051)
    assert page.locator(".llvq-lp path.hole").count() == len(lattice_plane.cell(basis))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_keyboard(visit: Any, scheme: str, width: int) -> None:
    """Arrow keys move both arrows and x; buttons choose and shorten; a thin lattice is refused."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, PRESETS["skew"][1], (1.1, 1.5))
    two = page.get_by_role("slider", name="Basis vector 2")
    two.focus()
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    assert two.get_attribute("aria-valuetext") == "0.1, 0.95"
    page.get_by_role("slider", name="Place x").focus()
    page.keyboard.press("Shift+ArrowDown")
    check(page, ((1.2, 0.2), (0.1, 0.95)), (1.1, 1.25))
    for key in ("Z2", "D2", "A2"):
        page.get_by_role("button", name=PRESETS[key][0], exact=True).press("Enter")
        check(page, PRESETS[key][1], (1.1, 1.25))
    assert yours(page)[4] == f"{KNOWN['A2']:.5f}"
    page.locator(".llvq-lp input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".llvq-lp circle.packing").count() > 20
    page.keyboard.press("ArrowRight")
    assert (
        page.locator(".llvq-lp circle.packing").count()
        == 0
        < page.locator(".llvq-lp circle.covering").count()
    )
    page.get_by_role("slider", name="Basis vector 1").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert "Not so" in page.locator(".llvq-lp .llvq-w-status").inner_text()
    assert float(yours(page)[0]) >= lattice_plane.LEAST_AREA
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_shortening_keeps_the_lattice(visit: Any) -> None:
    """From the long basis of the hexagons, step by step, with nothing but the arrows changing."""
    page = visit(PAGE).page
    page.get_by_role("button", name=PRESETS["long"][0]).press("Enter")
    row, cells = yours(page), page.locator(".llvq-lp path.home").get_attribute("d")
    assert row[2] == "6" and row[4] == f"{KNOWN['A2']:.5f}"
    button = page.get_by_role("button", name="Shorten the basis")
    for said in ("b₂ became b₂ − 2 b₁", "b₁ became b₁ + b₂", "already short"):
        button.press("Enter")
        assert said in page.locator(".llvq-lp .llvq-w-status").inner_text()
        assert yours(page) == row
        assert len(page.locator(".llvq-lp path.home").get_attribute("d")) == pytest.approx(len(cells), abs=12)


def test_dragging(visit: Any) -> None:
    """The mouse takes the tip of an arrow, or x where no tip is near."""
    page = visit(PAGE).page
    plane = page.locator(".llvq-lp-plane svg")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    unit = box["width"] / 5.3
    place = lambda x, y: (box["x"] + (x + 2.65) * unit, box["y"] + (2.65 - y) * unit)  # noqa: E731
    page.mouse.move(*place(0.3, 0.9))
    page.mouse.down()
    page.mouse.move(*place(0.6, 1.1), steps=3)
    page.mouse.up()
    text = page.get_by_role("slider", name="Basis vector 2").get_attribute("aria-valuetext")
    moved = [float(v) for v in text.split(", ")]
    assert moved == pytest.approx([0.6, 1.1], abs=0.03)
    page.mouse.move(*place(-1.5, -1.5))
    page.mouse.down()
    page.mouse.up()
    x = numbers_in(page.get_by_role("slider", name="Place x").get_attribute("aria-valuetext"))
    assert x == pytest.approx([-1.5, -1.5], abs=0.03)
    check(page, ((1.2, 0.2), (moved[0], moved[1])), (x[0], x[1]))


def test_static_picture_without_javascript(visit: Any) -> None:
    """Three pictures with descriptions, and a table."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-lp.llvq-w-static figure svg[aria-label]").count() == 3
    assert f"{KNOWN['A2']:.5f}" in page.locator(".llvq-lp.llvq-w-static table").inner_text()
