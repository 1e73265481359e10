"""The codes of the plane on their page: JavaScript and Python agree on points, cells and means; keys and mouse work."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from llvq_mini.widgets import PlaneCodes, plane_codes

PAGE = "book/rate.html"

pytestmark = pytest.mark.browser


def number(text: str) -> float:
    """A number as the page prints it, with a real minus sign."""
    return float(text.replace("−", "-"))


def said(text: str) -> tuple[list[float], float]:
    """Coordinates of the point and of the code's point, and the error, as the sentence has them."""
    *places, error = re.findall(r"[−-]?\d+(?:\.\d+)?", text)
    assert len(places) == 4
    return [number(place) for place in places], float(error)


def status(page: Any) -> tuple[list[float], float]:
    """What the page says now."""
    return said(page.locator(".llvq-pc .llvq-w-status").inner_text())


def agree(found: tuple[list[float], float], code: plane_codes.Code, x: tuple[float, float]) -> None:
    """The sentence is what plane_codes.nearest finds."""
    point, wanted = plane_codes.nearest(code, x)
    assert found[0] == pytest.approx([*x, *point], abs=0.00051)
    assert abs(found[1] - wanted) <= 0.5001e-4


def check(page: Any, key: str, x: tuple[float, float], seed: int = 1) -> None:
    """The page says what plane_codes.nearest finds."""
    agree(status(page), plane_codes.code(key, seed), x)


def choose(page: Any, key: str) -> None:
    """Select a code by its radio button."""
    page.locator(".llvq-pc").get_by_role("radio", name=plane_codes.LABELS[key]).check()


SHOW = """([key, seed, points]) => {
    model.set("code", key);
    model.set("seed", seed);
    return points.map((point) => {
        model.set("point", point);
        return document.querySelector(".llvq-pc .llvq-w-status").textContent;
    });
}"""


def test_javascript_equals_python(mount: Any) -> None:
    """Shared vectors, for each code and three draws of neighbors: 60 points, and all cells of the window."""
    page = mount(PlaneCodes())
    rng = np.random.default_rng(11)
    for key, seed in [("Z2", 1), ("A2", 1), ("pair", 1), ("trellis", 1), ("trellis", 2), ("trellis", 77)]:
        points = np.round(rng.uniform(-2, 2, (60, 2)), 3).tolist()
        code = plane_codes.code(key, seed)
        for text, (x, y) in zip(page.evaluate(SHOW, [key, seed, points]), points, strict=True):
            agree(said(text), code, (x, y))
        drawn = page.locator(".llvq-pc path.cell").evaluate_all(
            "paths => paths.map(p => p.getAttribute('d'))"
        )
        wanted = cells_in_window(code)
        assert len(drawn) == len(wanted)
        for corners in map(corners_of, drawn):  # each drawn cell is one of Python's, corner by corner
            assert any(len(corners) == len(own) and np.abs(corners - own).max() < 0.0011 for own in wanted)


def corners_of(path: str) -> np.ndarray:
    """Corners of a cell from its path, which is in hundredths and points down."""
    numbers = [float(part) for part in re.findall(r"-?\d+\.?\d*", path)]
    return np.array(numbers).reshape(-1, 2) * (0.01, -0.01)


def cells_in_window(code: plane_codes.Code) -> list[np.ndarray]:
    """Corners of all cells that the window shows, from plane_codes.cell."""
    found = []
    for k, offset in enumerate(code.offsets):
        corners = plane_codes.cell(code, k)
        for steps in np.ndindex(7, 7):
            at = np.array(offset) + (np.array(steps) - 3) * code.period
            if corners and np.abs(at).max() < 2.9:
                found.append(at + corners)
    return found


@pytest.mark.parametrize("key", list(plane_codes.LABELS))
def test_random_points_are_the_same(mount: Any, key: str) -> None:
    """The button's mean and standard error, in two steps of 200, are Python's."""
    page = mount(PlaneCodes())
    page.evaluate(
        "(key) => { model.set('code', key); model.set('drops', 200); model.set('drops', 400); }", key
    )
    text = page.locator(".llvq-pc tr.chosen td").last.inner_text()
    assert [float(part) for part in text.split(" ± ")] == pytest.approx(
        plane_codes.running_error(key, 400), abs=0.51e-5
    )


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_keyboard(visit: Any, scheme: str, width: int) -> None:
    """Arrow keys move the point, with Shift ten times as far, up to the window's edge; radios and buttons work."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, "trellis", (0.3, 0.4))
    handle = page.get_by_role("slider", name="Point")
    handle.focus()
    for key in ("ArrowLeft", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
    assert handle.get_attribute("aria-valuetext") == "x 0.75, y 0.85"
    check(page, "trellis", (0.75, 0.85))
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    check(page, "trellis", (2.0, 0.85))
    page.get_by_role("button", name="Other neighbors").press("Enter")
    check(page, "trellis", (2.0, 0.85), seed=2)
    choose(page, "pair")
    check(page, "pair", (2.0, 0.85))
    assert page.get_by_role("button", name="Other neighbors").is_hidden()
    page.locator(".llvq-pc input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    check(page, "A2", (2.0, 0.85))
    assert page.locator(".llvq-pc-trellis svg").count() == 0
    page.get_by_role("button", name="Drop 200 random points").press("Enter")
    mean, _ = plane_codes.running_error("A2", 200)
    assert f"{mean:.5f}" in page.locator(".llvq-pc tr.chosen").inner_text()
    page.get_by_role("button", name="Clear").press("Enter")
    assert "±" not in page.locator(".llvq-pc table").inner_text()
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_dragging(visit: Any) -> None:
    """The mouse takes the point along, and lets go of it."""
    page = visit(PAGE).page
    plane = page.locator(".llvq-pc-plane svg").first
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    unit = box["width"] / 4.24
    place = lambda x, y: (box["x"] + (x + 2.12) * unit, box["y"] + (2.12 - y) * unit)  # noqa: E731
    page.mouse.move(*place(0.3, 0.4))
    page.mouse.down()
    page.mouse.move(*place(-1.2, 1.1), steps=3)
    places, _ = status(page)
    assert places[:2] == pytest.approx([-1.2, 1.1], abs=0.02)
    check(page, "trellis", (places[0], places[1]))
    page.mouse.up()
    page.mouse.move(*place(1, 1))
    assert status(page)[0] == places


def test_table_has_the_means(visit: Any) -> None:
    """Every code's mean error and its gain over the integers."""
    text = visit(PAGE).page.locator(".llvq-pc table").inner_text()
    for key, mean in plane_codes.moments().items():
        assert f"{mean:.5f}" in text and plane_codes.LABELS[key] in text


def test_static_picture_without_javascript(visit: Any) -> None:
    """Four pictures, each with a description, and a table."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-pc.llvq-w-static figure svg[aria-label]").count() == 4
    assert f"{plane_codes.moments()['A2']:.5f}" in page.locator(".llvq-pc.llvq-w-static table").inner_text()
