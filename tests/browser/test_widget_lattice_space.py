"""The lattices of space on their page: slider, buttons and turning by keyboard and mouse, numbers in closed form."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llvq_mini import second_moment
from llvq_mini.widgets import lattice_space
from llvq_mini.widgets.lattice_space import NAMED

PAGE = "book/lattices.html"
#: G and packing density in closed form
EXACT = {
    "bcc": (19 / (192 * 2 ** (1 / 3)), math.pi * 3**0.5 / 8),
    "Z3": (second_moment.LATTICES[0].known, math.pi / 6),
    "fcc": (2 ** (-11 / 3), math.pi / 18**0.5),
}

pytestmark = pytest.mark.browser


def check(page: Any, step: int) -> None:
    """Chosen row, sentence and curves belong to this stretch."""
    found = lattice_space.facts(lattice_space.basis(step))
    row = page.locator(".llvq-ls tr.chosen td").all_inner_texts()
    assert [int(row[0]), int(row[2])] == [found.faces, found.kissing]
    values = (found.density, found.thickness, found.moment, second_moment.gain_db(found.moment))
    for text, value in zip((row[1], row[3], row[4], row[5]), values, strict=True):
        digits = len(text.partition(".")[2])
        assert abs(float(text) - abs(value)) <= 0.501 / 10**digits
    said = page.locator(".llvq-ls .llvq-w-status").inner_text()
    assert f"{found.faces} faces" in said and f"G = {found.moment:.5f}" in said
    named = {at: solid for _, at, solid in NAMED.values()}
    assert named.get(step, "Between the named lattices") in said
    for css, text in (("f0", f"{found.density:.4f}"), ("f1", f"{found.moment:.5f}")):
        assert text in page.locator(f".llvq-ls text.name.{css}").text_content()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_keyboard(visit: Any, scheme: str, width: int) -> None:
    """The three named lattices have their closed forms; the slider leads from one to the next."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, 20)
    for key, (label, step, _) in NAMED.items():
        page.get_by_role("button", name=label).press("Enter")
        check(page, step)
        row = page.locator(".llvq-ls tr.chosen td").all_inner_texts()
        assert (row[4], row[1]) == (f"{EXACT[key][0]:.5f}", f"{EXACT[key][1]:.4f}")
        front = page.locator(".llvq-ls-stage .face").count()
        assert front <= int(row[0]) / 2 + 0.5 and page.locator(".llvq-ls-stage .point").count() == int(row[0])
    slider = page.get_by_label("Stretch", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    check(page, -30)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    check(page, -27)
    assert slider.get_attribute("aria-valuetext") == f"× {2 ** (-27 / 20):.2f}"
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_views(visit: Any) -> None:
    """Turning changes the picture and not the numbers; cells come with a slider; touching balls are told apart."""
    page = visit(PAGE).page
    view = page.get_by_role("slider", name="View of the lattice")
    first = page.locator(".llvq-ls-stage .face").first.get_attribute("d")
    view.focus()
    for key in ("ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
    assert view.get_attribute("aria-valuetext") == "turned 15°, seen from 3° above"
    assert page.locator(".llvq-ls-stage .face").first.get_attribute("d") != first
    check(page, 20)
    pull = page.get_by_label("Pull apart", exact=True)
    assert pull.is_hidden()
    page.get_by_role("radio", name="with its neighbors").check()
    assert page.locator(".llvq-ls-stage .neighbor, .llvq-ls-stage .near").count() == 12
    before = page.locator(".llvq-ls-stage .neighbor .face").first.get_attribute("d")
    pull.focus()
    page.keyboard.press("End")
    assert page.locator(".llvq-ls-stage .neighbor .face").first.get_attribute("d") != before
    page.get_by_role("button", name=NAMED["bcc"][0]).press("Enter")
    page.get_by_role("radio", name="balls", exact=True).check()
    fills = page.locator(".llvq-ls-stage .ball").evaluate_all(
        "balls => balls.map(b => b.getAttribute('fill').slice(-2, -1))"
    )
    assert [fills.count(kind) for kind in "012"] == [1, 8, 6]


def test_dragging(visit: Any) -> None:
    """The mouse turns the solid by half a degree for each pixel."""
    page = visit(PAGE).page
    view = page.get_by_role("slider", name="View of the lattice")
    view.scroll_into_view_if_needed()
    box = view.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 20, steps=3)
    page.mouse.up()
    page.mouse.move(x, y)
    assert view.get_attribute("aria-valuetext") == "turned 50°, seen from 28° above"


def test_static_picture_without_javascript(visit: Any) -> None:
    """Three solids, each with a description, and a table."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-ls.llvq-w-static figure svg[aria-label]").count() == 3
    assert f"{EXACT['bcc'][0]:.5f}" in page.locator(".llvq-ls.llvq-w-static table").inner_text()
