"""Index and point on their page: fields, bits and keys; everything shown is what the library says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llvq_mini import index, shells
from llvq_mini.widgets import PointIndex, point_index

PAGE = "book/index.html"

pytestmark = pytest.mark.browser


def shown_point(page: Any) -> list[int]:
    """The 24 number fields."""
    return page.locator(".llvq-pi .coordinate input").evaluate_all("all => all.map(i => Number(i.value))")


def status(page: Any) -> str:
    """What is announced."""
    return page.locator(".llvq-pi .llvq-w-status").inner_text()


def check(page: Any, code: int) -> None:
    """Field, shell, coordinates, filled places, bits, rules, table and sentence belong to this index."""
    assert int(page.get_by_label("Index", exact=True).input_value().replace(",", "")) == code
    point = index.decode(np.array([code]), 13)[0].tolist()
    assert shown_point(page) == point
    parts = point_index.parts(code)
    leader = point_index.leader(point)
    assert page.locator(".llvq-pi select").input_value() == str(parts.shell)
    filled = page.locator(".llvq-pi .coordinate").evaluate_all(
        "all => all.map(c => c.classList.contains('on'))"
    )
    assert filled == [bool(v - (point[0] & 1) >> 1 & 1) for v in point]
    bits = page.locator(".llvq-pi-bits .bit").evaluate_all(
        "all => all.map(b => b.getAttribute('aria-pressed') === 'true' ? 1 : 0).join('')"
    )
    assert bits == "".join(page.locator(".llvq-pi-bits .bit").all_inner_texts()) == f"{code:048b}"
    assert page.locator(".llvq-pi-rules li.yes").count() == 4
    cells = page.locator(".llvq-pi tbody td").all_inner_texts()
    assert cells[0] == str(parts.shell) and cells[1] == f"{shells.size(parts.shell):,}"
    assert cells[5] == f"{parts.words:,}" and f"number {parts.number}" in cells[4]
    signs = f"{parts.signs:0{parts.bits}b}" if parts.bits else "none"
    assert cells[6:] == [signs, f"{2**parts.bits:,}", f"{parts.rank:,}", f"{parts.shapes:,}"]
    assert f"Index {code:,} is on shell {parts.shell}, one of {leader.cardinality:,} points" in status(page)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_index_by_keyboard(visit: Any, violations: Any, scheme: str, width: int) -> None:
    """A typed index, steps across the border of a shell, the shell's list, no index; accessible without one."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, PointIndex()._code())
    field = page.get_by_label("Index", exact=True)
    field.fill("196 560")
    field.press("Enter")
    check(page, 196_560)
    field.press("ArrowUp")
    check(page, 196_561)
    page.locator(".llvq-pi").get_by_role("button", name="One less").press("Enter")
    check(page, 196_560)
    page.locator(".llvq-pi select").select_option("13")
    check(page, index.size(12))
    for text in (str(index.size(13)), "-1", "1e3"):
        field.fill(text)
        field.press("Enter")
        assert "Index" not in status(page) and ("from 0 to" in status(page) or "whole number" in status(page))
        assert shown_point(page) == index.decode(np.array([index.size(12)]), 13)[0].tolist()
    page.locator(".llvq-pi").get_by_role("button", name="Random index").press("Enter")
    check(page, int(field.input_value().replace(",", "")))
    page.get_by_label("Coordinate 7", exact=True).press("ArrowUp")
    assert status(page).startswith("No lattice point. One parity")
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert violations(page) == []  # last, since axe-core makes requests of its own


def test_coordinates_and_rules(mount: Any) -> None:
    """Four more in one place breaks the sum, four less in another repairs it; one more breaks the parity; and back."""
    page = mount(PointIndex(0))
    first, second = (page.get_by_label(f"Coordinate {i}", exact=True) for i in (0, 23))
    first.fill("4")
    verdicts = "all => all.map(item => item.className)"
    rules = page.locator(".llvq-pi-rules li")
    assert rules.evaluate_all(verdicts) == ["yes", "yes", "no", "yes"]
    assert status(page).startswith("No lattice point. Sum: 4 is not ≡ 0 (mod 8)")
    assert page.get_by_label("Index", exact=True).input_value() == ""
    assert page.locator(".llvq-pi-bits .bit:disabled").count() == 48
    second.fill("-4")
    point = [4, *[0] * 22, -4]
    code = int(index.encode(np.array([point]), 13)[0])
    check(page, code)
    second.press("ArrowUp")
    assert shown_point(page)[23] == -3
    assert rules.evaluate_all(verdicts) == ["no", "open", "open", "yes"]
    page.get_by_role("button", name="Back to the last lattice point").press("Enter")
    check(page, code)
    first.fill("12")
    second.fill("12")
    assert rules.evaluate_all(verdicts) == ["yes", "yes", "yes", "no"]
    assert status(page).startswith("Outside the ball")


def test_bits_by_keyboard(mount: Any) -> None:
    """One bit is in the tab order; arrow keys move by bits and bytes; a bit beyond the last index is refused."""
    last = index.size(13) - 1
    page = mount(PointIndex(last))
    check(page, last)
    bits = page.locator(".llvq-pi-bits .bit")
    assert page.locator('.llvq-pi-bits .bit[tabindex="0"]').count() == 1
    bits.first.focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Bit 38"
    assert not last >> 38 & 1
    page.keyboard.press("Space")
    assert f"{last | 1 << 38:,} is none" in status(page)
    assert shown_point(page) == index.decode(np.array([last]), 13)[0].tolist()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    check(page, last ^ 1 << 46)


def test_many_indices_in_the_page(mount: Any) -> None:
    """In the browser as in Node: 1,000 random indices there and back, through the fields."""
    page = mount(PointIndex())
    codes = np.random.default_rng(48).integers(0, index.size(13), 1000)
    points = index.decode(codes, 13).tolist()
    found = page.evaluate(
        """points => points.map(point => {
            model.set("point", point);
            return document.querySelector(".llvq-pi-choose input").value.replaceAll(",", "");
        })""",
        points,
    )
    assert [int(text) for text in found] == codes.tolist()


def test_static_picture_without_javascript(visit: Any) -> None:
    """Coordinates, bits and parts of the first index."""
    page = visit(PAGE, java_script_enabled=False).page
    code = PointIndex()._code()
    assert page.locator(".llvq-pi.llvq-w-static rect").count() == 24
    assert page.locator(".llvq-pi-code").inner_text().replace(" ", "") == f"{code:048b}"
    assert f"{point_index.parts(code).rank:,}" in page.locator(".llvq-pi.llvq-w-static table").inner_text()
