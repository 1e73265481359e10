"""The distortion-bitrate explorer on its page: driven by keyboard, it shows the numbers of the JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "benchmarks" / "results" / "rd_gaussian.json"
PAGE = "book/rate.html"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def points() -> list[dict[str, Any]]:
    """The measured codes."""
    return json.loads(DATA.read_text(encoding="utf-8"))["points"]


def expected(points: list[dict[str, Any]], rate: float) -> list[list[str]]:
    """The rows of the table at a rate, worked out anew: for each family the best code that the rate covers."""
    rows = []
    for family in dict.fromkeys(p["family"] for p in points):
        codes = [p for p in points if p["family"] == family and p["rate"] <= rate + 1e-6]
        if codes:
            best = min(codes, key=lambda p: p["mse"])
            ratio = best["mse"] * 4 ** best["rate"]
            decibels = (-10 * math.log10(best["mse"]), 10 * math.log10(ratio))
            rows.append(
                [best["name"], f"{best['rate']:.3f}", f"{best['mse']:.5f}", *decibels, 100 * (ratio - 1)]
            )
        else:
            rows.append([family.replace("_", " ")])
    return rows


def shown(page: Any) -> list[list[str]]:
    """The table's rows without the two limits."""
    rows = page.locator(".llvq-rd tbody tr").all()
    cells = [[cell.inner_text().strip() for cell in row.locator("th, td").all()] for row in rows]
    return [row for row in cells if row[0] not in ("Shannon's limit", "24-dimensional floor")]


def check(page: Any, points: list[dict[str, Any]], rate: float) -> None:
    """The rows shown are the rows expected, to the last printed digit."""
    actual, wanted = shown(page), expected(points, rate)
    assert len(actual) == len(wanted)
    for have, want in zip(actual, wanted, strict=True):
        assert have[:3] == want[:3] if len(want) > 1 else have[0] == want[0]
        for text, value, digits in zip(have[3:], want[3:], (2, 2, 1), strict=False):
            assert abs(float(text) - value) <= 0.5000001 * 10**-digits


def slider(page: Any) -> Any:
    """The rate slider, found by its label as a screen reader would."""
    return page.get_by_label("Rate", exact=True)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keyboard_moves_the_numbers(
    visit: Any, points: list[dict[str, Any]], scheme: str, width: int
) -> None:
    """Arrow keys change the rate, and with it the table; nothing is requested and nothing goes wrong."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, points, 2.0)
    before = page.locator(".llvq-rd-status").inner_text()
    slider(page).focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert slider(page).get_attribute("aria-valuetext") == "1.50 bits a number"
    check(page, points, 1.5)
    assert page.locator(".llvq-rd-status").inner_text() != before
    page.keyboard.press("End")
    check(page, points, float(slider(page).get_attribute("max")))
    page.keyboard.press("Home")
    check(page, points, float(slider(page).get_attribute("min")))
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_families_and_view_by_keyboard(visit: Any, points: list[dict[str, Any]]) -> None:
    """The space bar switches a family off and on; the second view shows the gap."""
    page = visit(PAGE).page
    rows = len(shown(page))
    box = page.locator(".llvq-rd input[type=checkbox]").first
    box.focus()
    page.keyboard.press("Space")
    assert len(shown(page)) == rows - 1
    page.keyboard.press("Space")
    check(page, points, 2.0)
    page.locator(".llvq-rd input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    assert "gap to Shannon's limit" in page.locator(".llvq-rd-plot svg").text_content()


def test_limits_are_those_of_the_file(visit: Any) -> None:
    """At 2 bits the last rows are the floor of the file and 2^-4."""
    limits = json.loads(DATA.read_text(encoding="utf-8"))["limits"]
    floor = next(row["floor24"] for row in limits if abs(row["rate"] - 2) < 1e-9)
    text = visit(PAGE).page.locator(".llvq-rd tbody").inner_text()
    assert f"{2**-4:.5f}" in text
    assert floor is None or f"{floor:.5f}" in text


def test_pointing_and_clicking(visit: Any) -> None:
    """Pointing at a mark names its code; a click into the plot sets the rate."""
    page = visit(PAGE).page
    page.locator(".llvq-rd-plot svg path").first.hover(force=True)
    assert "MSE" in page.locator(".llvq-rd-hint").inner_text()
    before = slider(page).input_value()
    box = page.locator(".llvq-rd-plot svg").bounding_box()
    page.mouse.click(box["x"] + 0.85 * box["width"], box["y"] + 20)
    assert slider(page).input_value() != before


def test_the_module_as_anywidget_loads_it(visit: Any, points: list[dict[str, Any]]) -> None:
    """Imported as an ES module, with Python changing the rate: the form that Jupyter and Colab use."""
    page = visit("book/references.html").page
    source = (ROOT / "llvq_mini/widgets/distortion_bitrate.js").read_text(encoding="utf-8")
    state = {"data": json.loads(DATA.read_text(encoding="utf-8")), "rate": 2, "view": "gap", "hidden": []}
    page.evaluate(
        """async ([source, state]) => {
            const module = await import("data:text/javascript," + encodeURIComponent(source));
            const calls = {};
            window.model = {
                get: (key) => state[key], save_changes: () => {},
                set: (key, value) => { state[key] = value; calls["change:" + key](); },
                on: (event, callback) => (calls[event] = callback),
                off: (event) => delete calls[event],
            };
            document.body.replaceChildren();
            window.leave = module.default.render({ model: window.model, el: document.body });
            window.calls = calls;
        }""",
        [source, state],
    )
    check(page, points, 2.0)
    page.evaluate("model.set('rate', 1.25)")
    check(page, points, 1.25)
    page.evaluate("leave()")
    assert page.evaluate("Object.keys(calls).length") == 0


def test_static_picture_without_javascript(visit: Any, points: list[dict[str, Any]]) -> None:
    """A reader without JavaScript sees a plot and all numbers."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-rd-static svg path").count() == len(points)
    text = page.locator(".llvq-rd-static table").inner_text()
    assert all(p["name"] in text and f"{p['mse']:.5f}" in text for p in points)
