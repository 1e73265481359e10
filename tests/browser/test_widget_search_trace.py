"""The search trace on its page: fields, steps and presets by keyboard; what it shows is what Python and library say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llvq_mini import search
from llvq_mini.widgets import SearchTrace, search_trace

PAGE = "book/search.html"

pytestmark = pytest.mark.browser


def block(page: Any) -> list[float]:
    """The 24 number fields."""
    return list(map(float, page.locator(".llvq-st-board input").evaluate_all("all => all.map(i => i.value)")))


def found(page: Any) -> list[str]:
    """The coordinates below them."""
    return [text.replace("−", "-") for text in page.locator(".llvq-st-board output").all_inner_texts()]


def status(page: Any) -> str:
    """What is announced."""
    return page.locator(".llvq-st .llvq-w-status").inner_text().replace("−", "-")


def press(page: Any, name: str) -> None:
    """A button, by keyboard."""
    page.locator(".llvq-st").get_by_role("button", name=name, exact=True).press("Enter")


def check(page: Any, at: int = -1) -> None:
    """Step, sentence, best point, table and marks belong to this step of Python's trace of the shown block."""
    steps, best = search_trace.trace(block(page))
    at %= len(steps)
    slider = page.get_by_label("Step", exact=True)
    assert slider.get_attribute("aria-valuetext") == f"{at + 1} of {len(steps)}"
    better = [s["v"] for s in steps[: at + 1] if s.get("verdict") == "better"]
    assert found(page) == (list(map(str, better[-1])) if better else ["·"] * 24)
    if at == len(steps) - 1:
        assert better[-1] == best == search.nearest_direction(np.array([block(page)]), 12)[0].tolist()
    groups = search_trace._by_group(steps[: at + 1])
    rows = page.locator(".llvq-st tbody tr")
    assert rows.count() == len(groups)
    for row, own in zip(rows.all(), groups, strict=True):
        pairs = [s for s in own if s["kind"] == "pair"]
        looked = len(pairs) + 8 * sum(s["kind"] == "coset" for s in own)
        cells = row.locator("td").all_inner_texts()
        assert cells[3] == f"{sum(s['open'] for s in pairs)} of {looked}"
        assert cells[4] == str(sum(s["words"] for s in pairs))
        assert cells[5] == str(sum(s["kind"] == "point" for s in own))
        proof = [s for s in own if s["kind"] == "certificate" and s["needed"] is not None]
        assert cells[2] == (
            f"{proof[-1]['needed']:.2f}{' ✓' if proof[-1]['holds'] else ''}" if proof else "–"
        )
    step = steps[at]
    if step["kind"] == "point":
        assert f"cosine {step['cosine']:.5f}" in status(page)
    if step["kind"] == "pair":
        assert f"{step['bound']:.2f}" in status(page) and ("dismissed" in status(page)) != step["open"]
    last = max(n for n in range(at + 1) if steps[n]["kind"] == "target")
    points = [s for s in steps[last : at + 1] if s["kind"] == "point"]
    assert page.locator(".llvq-st-right circle.point").count() == len(points)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_trace_by_keyboard(visit: Any, violations: Any, scheme: str, width: int) -> None:
    """From the end to the start, through all steps, to the points; a number changed; no number; accessible."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    steps, _ = search_trace.trace(block(page))
    check(page, next(n for n, step in enumerate(steps) if step.get("holds")))
    assert "Certificate: a better point of shells 8 to 12" in status(page)
    press(page, "End")
    check(page)
    assert "The search is over" in status(page)
    press(page, "Start")
    check(page, 0)
    looks = {"start"}
    for at, step in enumerate(steps[1:], 1):  # every step is taken, the first of each look is checked
        press(page, "Next")
        look = f"{step['kind']} {step.get('open')} {step.get('verdict')}"
        if look not in looks:
            check(page, at)
        looks.add(look)
    assert len(looks) > 4
    press(page, "Start")
    press(page, "Next point")
    check(page, next(n for n, s in enumerate(steps) if s["kind"] == "point"))
    press(page, "Back")
    page.get_by_label("Step", exact=True).press("End")
    check(page)
    field = page.get_by_label("Number 5", exact=True)
    field.fill("-2.75")
    field.press("Tab")
    assert block(page)[5] == -2.75
    press(page, "End")
    check(page)
    field.fill("100")
    field.press("Tab")
    assert "Number 5 must lie between -99 and 99." in status(page)
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert violations(page) == []  # last, since axe-core makes requests of its own


def test_presets_and_draws(mount: Any) -> None:
    """Every preset and random draws end at the library's point; zeros are refused in words; a play runs and stops."""
    page = mount(SearchTrace())
    select = page.get_by_label("Block", exact=True)
    for name, values in search_trace.PRESETS:
        select.select_option(name)
        assert block(page) == list(values)
        press(page, "End")
        check(page)
    for name in ("Draw Gaussian", "Draw heavy tails") * 3:
        press(page, name)
        press(page, "End")
        check(page)
        assert select.input_value() == "your own numbers"
    page.evaluate("model.set('x', Array(24).fill(0))")
    assert status(page).startswith("A block of zeros has no direction")
    select.select_option("the first block")
    press(page, "Start")
    press(page, "Play")
    page.wait_for_function("model.get('step') >= 2")
    press(page, "Pause")
    at = page.evaluate("model.get('step')")
    check(page, at)
    page.evaluate("leave()")


def test_static_picture_without_javascript(visit: Any) -> None:
    """Numbers, point and certificates."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-st.llvq-w-static rect").count() == 24
    assert page.locator(".llvq-st.llvq-w-static table").inner_text().count("✓") == 3
