"""The projection of the minimal vectors: planes, colors and groups by keyboard; its numbers are the library's."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llvq_mini import leech
from llvq_mini.widgets import SphereProjection, sphere_projection
from llvq_mini.widgets.sphere_projection import CLASSES, PRODUCTS

PAGE = "book/spherical.html"

pytestmark = pytest.mark.browser


def degrees(product: int) -> str:
    """An angle as the page writes it."""
    return f"{math.degrees(math.acos(product / 32)):.1f}°"


def check(page: Any, center: int) -> None:
    """The table holds the library's numbers for this vector, and the vector is shown."""
    rows = page.locator(".llvq-sp tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )
    counts = sphere_projection.by_angle(center).tolist()
    assert rows == [
        [degrees(product), str(product).replace("-", "−"), *(f"{n:,}" for n in (sum(row), *row))]
        for product, row in zip(PRODUCTS, counts, strict=True)
    ]
    coordinates = " ".join(str(c) for c in leech.minimal_vectors()[center]).replace("-", "−")
    assert f"number {center:,}, ({coordinates})" in page.locator(".llvq-sp-side").inner_text()


def painted(page: Any) -> str:
    """The picture, as the browser would save it."""
    return page.locator(".llvq-sp canvas").evaluate("canvas => canvas.toDataURL()")


def status(page: Any) -> str:
    """What is announced."""
    return page.locator(".llvq-sp .llvq-w-status").inner_text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_groups_by_keyboard(visit: Any, violations: Any, scheme: str, width: int) -> None:
    """Arrow keys choose plane, coloring and group; the sentence has the library's count of each of the angles."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, 0)
    whole = painted(page)
    assert len(whole) > 20_000  # an empty canvas is much shorter
    page.get_by_label("all", exact=True).focus()
    for name, count in zip(CLASSES, (1104, 97152, 98304), strict=True):
        page.keyboard.press("ArrowDown")
        assert status(page).startswith(f"{count:,} {name}")
    assert painted(page) != whole
    page.get_by_label("class", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("all", exact=True).is_checked() and status(page).startswith(
        "All 196,560 vectors"
    )
    page.get_by_label("all", exact=True).focus()
    for product, count in zip(PRODUCTS, (1, 4600, 47104, 93150, 47104, 4600, 1), strict=True):
        page.keyboard.press("ArrowDown")
        assert status(page).startswith(f"{count:,} vector") and degrees(product)[:-3] in status(page)
        chosen = page.locator(".llvq-sp tr.chosen th").all_inner_texts()
        assert chosen == [degrees(product)]
    page.get_by_role("radio", name="78-fold rings").focus()
    told = set()
    for _ in range(4):
        told.add(page.locator(".llvq-sp canvas").get_attribute("aria-label"))
        page.keyboard.press("ArrowRight")
    assert len(told) == 4 and all(text.startswith("196,560 vectors, ") for text in told)
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert violations(page) == []  # last, since axe-core makes requests of its own


def test_another_vector_and_the_pointer(mount: Any) -> None:
    """Totals do not depend on the vector; what lies under the pointer is counted; leaving takes the listeners away."""
    page = mount(SphereProjection("hexagon", "angle", 150_000))
    check(page, 150_000)
    page.get_by_role("button", name="Choose another vector").press("Enter")
    center = page.evaluate("model.get('center')")
    check(page, center)
    box = page.locator(".llvq-sp canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    middle = page.locator(".llvq-sp-reading").inner_text()
    v = leech.minimal_vectors().astype(int)
    first = v[(v @ v[center] == 16).argmax()]
    count = int(((v @ v[center] == 0) & (v @ first == 0)).sum())
    assert middle == f"Under the pointer: {count:,} vectors; {count:,} at 90.0°."
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    assert page.locator(".llvq-sp-reading").inner_text() == "Under the pointer: none."
    page.evaluate("leave()")
    assert page.evaluate("Object.keys(calls)") == []


def test_the_picture_follows_the_theme(mount: Any) -> None:
    """A canvas keeps its colors, so it must be painted again."""
    page = mount(SphereProjection("hexagon"))
    color = """() => {
        const c = document.querySelector(".llvq-sp canvas");
        return c.getContext("2d").getImageData(c.width / 2 + 6, c.height / 2, 1, 1).data.join();
    }"""
    light = page.evaluate(color)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"({color})() !== '{light}'")


def test_static_picture_without_javascript(visit: Any) -> None:
    """The rings and the table of angles."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-sp.llvq-w-static svg image").count() == 1
    text = page.locator(".llvq-sp.llvq-w-static table").inner_text()
    assert all(number in text for number in ("4,600", "47,104", "93,150", "2,464", "60.0°"))
