"""The map of the error: by keyboard from linear to linear; each shows what the report says."""

from __future__ import annotations

from typing import Any

import pytest
from model_widgets import report

from llvq_mini.widgets import ErrorMap, error_map

PAGE = "book/llm.html"

pytestmark = pytest.mark.browser


def rgb(code: str) -> str:
    """#rrggbb as a browser says it."""
    return f"rgb({', '.join(str(int(code[i : i + 2], 16)) for i in (1, 3, 5))})"


def chosen(page: Any) -> str:
    """The label of the focused cell."""
    return str(page.evaluate("document.activeElement.getAttribute('aria-label')"))


def test_cells_by_keyboard(mount: Any) -> None:
    """Arrow keys, Home and End; the card has shape, error, condition and path of the report's row."""
    made = report()["layers"]
    page = mount(ErrorMap(report()))
    cells = page.locator(".llvq-em .cell")
    assert cells.count() == 6 and page.locator('.llvq-em .cell[tabindex="0"]').count() == 1
    page.locator('.llvq-em .cell[tabindex="0"]').focus()
    walk = (("Home", 1), ("ArrowUp", 0), ("ArrowRight", 2), ("End", 4), ("ArrowRight", 4), ("ArrowDown", 5))
    for key, number in walk:
        page.keyboard.press(key)
        entry = made[number]
        kind, layer = entry["name"].rpartition(".")[2], entry["name"].split(".")[2]
        assert chosen(page).startswith(f"{kind} of layer {layer}: lost output ")
        card = page.locator(".llvq-em-card").inner_text().replace("\n", " ")
        assert f"{entry['rows']} × {entry['columns']}, {entry['rows'] * entry['columns']:,} weights" in card
        assert entry["path"] in card and f"{entry['sqnr_db']:.2f} dB" in card
        assert f"{entry['bits_per_weight']:.4f} bits a weight" in card and f"{entry['seconds']:.2f} s" in card
        said = page.locator(".llvq-em [role=status]").inner_text()
        shown = float(said.split("lost output ")[1].split(" %")[0])
        assert shown == pytest.approx(100 * entry["proxy_error"], rel=5e-3)
        place = 1 + sum(other["proxy_error"] > entry["proxy_error"] for other in made)
        assert f"number {place} of 6" in said
    page.get_by_role("button", name="Smallest").press("Enter")
    assert "q_proj of layer 1" in page.locator(".llvq-em [role=status]").inner_text()


def test_colors_and_table_follow_the_measure(mount: Any) -> None:
    """Every color is that of Python's scale; the table has the extremes of each kind."""
    widget = ErrorMap(report())
    page = mount(widget)
    for key, text, log, low, high in widget.state["measures"]:
        page.get_by_role("radio", name=text, exact=True).check()
        colors = page.locator(".llvq-em .cell").evaluate_all(
            "all => all.map(c => getComputedStyle(c).backgroundColor)"
        )
        found = {
            (c["kind"], c["layer"]): rgb(error_map.color(c[key], low, high, log))
            for c in widget.state["cells"]
        }
        order = sorted(found, key=lambda place: (widget.state["kinds"].index(place[0]), place[1]))
        assert colors == [found[place] for place in order]
        assert page.locator(".llvq-em caption").inner_text().lower().startswith(text.lower())
        for kind, row in zip(widget.state["kinds"], page.locator(".llvq-em tbody tr").all(), strict=True):
            own = [c for c in widget.state["cells"] if c["kind"] == kind]
            worst = max(own, key=lambda c: c[key])
            assert row.locator("td").last.inner_text() == str(worst["layer"])


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_map_on_its_page(visit: Any, scheme: str, width: int) -> None:
    """All linears of the model of the chapter, walked through without a request or an error."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    assert page.locator(".llvq-em .cell").count() == 210
    page.locator('.llvq-em .cell[tabindex="0"]').focus()
    page.keyboard.press("Home")
    assert chosen(page).split(":")[0].endswith("of layer 0")
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_static_map_without_javascript(visit: Any) -> None:
    """A rectangle for every linear and the table of kinds."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-em.llvq-w-static rect").count() == 210
    assert page.locator(".llvq-em.llvq-w-static tbody tr").count() == 7
