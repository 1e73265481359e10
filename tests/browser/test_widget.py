"""The distortion-bitrate explorer on its page: driven by keyboard, it shows the numbers of the JSON."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from llvq_mini.widgets import DistortionBitrate
from llvq_mini.widgets.distortion_bitrate import SOURCES

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "benchmarks" / "results" / "rd.json"
PAGE = "book/rate.html"
TOLERANCE = 0.02
LIMITS = ("24-dimensional floor", "Shannon's limit", "Shannon's lower bound", "The Gaussian limit")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def explorer() -> DistortionBitrate:
    """The explorer of the page."""
    return DistortionBitrate(DATA)


def curve(source: str, rate: float) -> float:
    """The limit, bound or reference of a source."""
    return SOURCES[source][1] * 4**-rate


def expected(
    widget: DistortionBitrate, rate: float, source: str = "gaussian", hidden: Any = None
) -> list[Any]:
    """The rows of the table at a rate, worked out anew: for each family the best code that the rate covers."""
    off = widget.state["hidden"] if hidden is None else hidden
    rows = []
    for look in widget.state["families"]:
        codes = [
            p
            for p in widget.data["points"]
            if p["family"] == look["family"] and p["source"] == source and p["rate"] <= rate + TOLERANCE
        ]
        if codes and look["family"] not in off:
            best = min(codes, key=lambda p: p["mse"])
            ratio = best["mse"] / curve(source, best["rate"])
            numbers = (-10 * math.log10(best["mse"]), 10 * math.log10(ratio), 100 * (ratio - 1))
            rows.append([best["name"], best["rate"], best["mse"], *numbers])
    return rows


def shown(page: Any) -> list[list[str]]:
    """The table's rows without the limits."""
    cells = page.locator(".llvq-rd tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )
    return [row for row in cells if row[0] not in LIMITS]


def check(page: Any, wanted: list[Any]) -> None:
    """The rows shown are the rows expected, to the last printed digit."""
    actual = shown(page)
    assert [row[0] for row in actual] == [row[0] for row in wanted]
    for have, want in zip(actual, wanted, strict=True):
        for text, value, digits in zip(have[1:], want[1:], (3, 5, 2, 2, 1), strict=False):
            assert abs(float(text) - value) <= 0.5000001 * 10**-digits


def slider(page: Any) -> Any:
    """The rate slider, found by its label as a screen reader would."""
    return page.get_by_label("Rate", exact=True)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_keyboard_moves_the_numbers(visit: Any, explorer: DistortionBitrate, scheme: str, width: int) -> None:
    """Arrow keys change the rate, and with it the table; nothing is requested and nothing goes wrong."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, expected(explorer, 2.0))
    before = page.locator(".llvq-rd .llvq-w-status").inner_text()
    slider(page).focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert slider(page).get_attribute("aria-valuetext") == "1.50 bits a number"
    check(page, expected(explorer, 1.5))
    assert page.locator(".llvq-rd .llvq-w-status").inner_text() != before
    page.keyboard.press("End")
    check(page, expected(explorer, float(slider(page).get_attribute("max"))))
    page.keyboard.press("Home")
    check(page, expected(explorer, float(slider(page).get_attribute("min"))))
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_families_and_view_by_keyboard(visit: Any, explorer: DistortionBitrate) -> None:
    """The space bar switches a family off and on; the buttons show all and none; the second view shows the gap."""
    page = visit(PAGE).page
    hidden = explorer.state["hidden"]
    first = next(look["family"] for look in explorer.state["families"] if look["shown"])
    page.get_by_role("checkbox", name=first, exact=True).focus()
    page.keyboard.press("Space")
    check(page, expected(explorer, 2.0, hidden=[*hidden, first]))
    page.keyboard.press("Space")
    check(page, expected(explorer, 2.0))
    for name, off in (("All", []), ("None", [look["family"] for look in explorer.state["families"]])):
        page.get_by_role("button", name=name, exact=True).focus()
        page.keyboard.press("Enter")
        check(page, expected(explorer, 2.0, hidden=off))
    page.get_by_role("button", name="Main", exact=True).press("Enter")
    check(page, expected(explorer, 2.0))
    page.locator(".llvq-rd input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    assert "gap to Shannon's limit" in page.locator(".llvq-rd-plot svg").text_content()


@pytest.mark.parametrize("source", [name for name in SOURCES if name != "gaussian"])
def test_other_sources(visit: Any, explorer: DistortionBitrate, source: str) -> None:
    """Another source shows its own codes against its own curve, and calls the curve what it is."""
    page = visit(PAGE).page
    page.get_by_label("Source", exact=True).select_option(source)
    check(page, expected(explorer, 2.0, source))
    kind, name = SOURCES[source][2:]
    assert page.locator(f".llvq-rd-plot polyline.{kind}").count() == 1
    assert page.locator(".llvq-rd-plot polyline.floor").count() == 0
    last = page.locator(".llvq-rd tbody tr").last.inner_text()
    assert name.lower() in last.lower() and f"{curve(source, 2):.5f}" in last


def facts(page: Any) -> str:
    """What the card says about the chosen code."""
    return " ".join(page.locator(".llvq-rd-card").inner_text().split())


def promised(point: dict[str, Any]) -> list[str]:
    """Parts of the card that a measured code must have."""
    return [
        point["name"],
        f"{point['rate']:.4f} bits a number",
        f"{point['mse']:.5f} ± {point['stderr']:.5f}",
        f"{point['table_bytes']:,} bytes",
        f"{point['encode_blocks_per_s']:,} blocks/s",
        f"{point['decode_blocks_per_s']:,} blocks/s",
    ]


def focused(page: Any) -> str:
    """What a screen reader hears of the mark that has the focus."""
    return page.evaluate("document.activeElement.getAttribute('aria-label')")


def test_marks_by_arrow_keys(visit: Any, explorer: DistortionBitrate) -> None:
    """One mark is in the tab order; arrow keys go through a family and to the next; Enter pays for the code."""
    page = visit(PAGE).page
    marks = page.locator(".llvq-rd-plot [role=option]")
    assert page.locator('.llvq-rd [role=option][tabindex="0"]').count() == 1
    families = [
        sorted(
            (
                p
                for p in explorer.data["points"]
                if (p["family"], p["source"]) == (look["family"], "gaussian")
            ),
            key=lambda p: (p["rate"], -p["mse"]),
        )
        for look in explorer.state["families"]
        if look["shown"]
    ]
    best = min((p for p in sum(families, []) if p["rate"] <= 2 + TOLERANCE), key=lambda p: p["mse"])
    row = next(n for n, family in enumerate(families) if best in family)
    page.locator('.llvq-rd [role=option][tabindex="0"]').focus()
    for key, column in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", -1)):
        page.keyboard.press(key)
        assert focused(page).startswith(families[row][column]["name"] + ": Rate")
    page.keyboard.press("ArrowUp")
    label, rate = focused(page), families[row][-1]["rate"]
    code = min(families[row - 1], key=lambda p: abs(p["rate"] - rate))
    for part in promised(code):
        assert part in facts(page) and part in label
    page.keyboard.press("Enter")
    assert code["rate"] - TOLERANCE - 1e-9 <= float(slider(page).input_value()) <= code["rate"] + 0.05
    assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    assert marks.count() == sum(
        p["source"] == "gaussian" and p["family"] not in explorer.state["hidden"]
        for p in explorer.data["points"]
    )


def test_pointing_and_clicking(visit: Any, explorer: DistortionBitrate) -> None:
    """Pointing at a mark describes its code; a click into the plot sets the rate."""
    page = visit(PAGE).page
    mark = page.locator(".llvq-rd-plot [role=option]").first
    name = mark.get_attribute("aria-label").split(": Rate")[0]
    mark.hover(force=True)
    code = next(p for p in explorer.data["points"] if p["name"] == name and p["source"] == "gaussian")
    assert all(part in facts(page) for part in promised(code))
    before = slider(page).input_value()
    box = page.locator(".llvq-rd-plot svg").bounding_box()
    page.mouse.click(box["x"] + 0.85 * box["width"], box["y"] + 20)
    assert slider(page).input_value() != before


def test_limits_are_those_of_the_file(visit: Any, explorer: DistortionBitrate) -> None:
    """At 2 bits the last rows are the floor of the file and 2^-4."""
    floor = next(row["floor24"] for row in explorer.data["limits"] if abs(row["rate"] - 2) < 1e-9)
    text = visit(PAGE).page.locator(".llvq-rd tbody").inner_text()
    assert f"{2**-4:.5f}" in text
    assert floor is None or f"{floor:.5f}" in text


def test_the_module_as_anywidget_loads_it(mount: Any) -> None:
    """Imported as an ES module, with Python changing the rate: the form that Jupyter and Colab use."""
    explorer = DistortionBitrate(DATA, view="gap")
    page = mount(explorer)
    check(page, expected(explorer, 2.0))
    page.evaluate("model.set('rate', 1.25)")
    check(page, expected(explorer, 1.25))
    page.evaluate("leave()")
    assert page.evaluate("Object.keys(calls).length") == 0


def test_static_picture_without_javascript(visit: Any, explorer: DistortionBitrate) -> None:
    """A reader without JavaScript sees a plot of all codes, its key, and all numbers."""
    page = visit(PAGE, java_script_enabled=False).page
    points = [p for p in explorer.data["points"] if p["source"] == "gaussian"]
    assert page.locator(".llvq-rd.llvq-w-static .llvq-w-plot path").count() == len(points)
    text = page.locator(".llvq-rd.llvq-w-static table").text_content()
    assert all(p["name"] in text and f"{p['mse']:.5f}" in text for p in points)
    key = page.locator(".llvq-rd.llvq-w-static .llvq-w-key").text_content()
    assert all(p["family"] in key for p in points)
