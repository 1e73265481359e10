"""The shell onion on its page: sliders and buttons by keyboard, counts and rates of llvq_mini.shells."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llvq_mini import leech, shells
from llvq_mini.widgets import shell_onion
from llvq_mini.widgets.shell_onion import LABELS, LAST, PRESETS, counts, union

PAGE = "book/leech.html"

pytestmark = pytest.mark.browser


def check(page: Any, first: int, last: int, lattice: str = "leech") -> None:
    """Sentence, table, classes and picture belong to this run of shells."""
    found = union(lattice, first, last)
    said = page.locator(".llvq-so .llvq-w-status").inner_text()
    assert f"{found.points:,} points, {found.rate:.5f} bits a weight" in said
    assert f"needs {math.ceil(24 * found.rate - 1e-9)} bits" in said
    assert f"{100 * counts(lattice)[last] / found.points:.1f} %".replace("100.0 %", "100 %") in said
    rows = page.locator(".llvq-so tbody tr").evaluate_all(
        "rows => rows.map(row => [row.className, ...[...row.cells].map(cell => cell.textContent)])"
    )
    ball, wanted = 0, []
    for m, n in enumerate(counts(lattice)):
        ball += n
        classes = str(len(shells.classes(m))) if lattice == "leech" else "–"
        cells = [str(m), f"{(2 * m) ** 0.5:.4f}", f"{n:,}", classes, f"{math.log2(ball) / 24:.5f}"]
        wanted += [["chosen" if first <= m <= last else "", *cells]] if n else []
    assert rows == wanted
    assert page.locator(".llvq-so .arc.chosen").count() == sum(
        n > 0 for n in counts(lattice)[max(first, 1) : last + 1]
    )


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_keyboard(visit: Any, scheme: str, width: int) -> None:
    """The ball of 13 first; buttons; both sliders, which push each other; the other lattice."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    check(page, 0, 13)
    assert f"{shells.ball_size(13) + 1:,}" in page.locator(".llvq-so .llvq-w-status").inner_text()
    for label, first, last in PRESETS.values():
        page.get_by_role("button", name=label, exact=True).press("Enter")
        check(page, first, last)
    page.get_by_label("To shell", exact=True).focus()
    page.keyboard.press("Home")
    check(page, 0, 2)
    assert f"{leech.theta(2):,}" in page.locator(".llvq-so tbody").inner_text()
    page.get_by_label("From shell", exact=True).focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    check(page, 4, 4)
    top = [f"{leader}: {n:,}" for leader, n in shell_onion.leaders(4)]
    assert page.locator(".llvq-so ol li").all_inner_texts() == top
    page.get_by_label("To shell", exact=True).press("End")
    check(page, 4, LAST)
    page.locator(".llvq-so input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name=LABELS["e8"]).is_checked()
    check(page, 4, LAST, "e8")
    assert page.locator(".llvq-so ol").is_hidden()
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_static_picture_without_javascript(visit: Any) -> None:
    """The onion, described, and a table with exact counts."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-so.llvq-w-static svg[aria-label]").count() == 1
    text = page.locator(".llvq-so.llvq-w-static table").inner_text()
    assert f"{leech.theta(13):,}" in text and f"{shells.ball_size(13) + 1:,}" in text
