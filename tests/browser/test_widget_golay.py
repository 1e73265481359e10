"""The Golay playground on its page: bits by keyboard and pointer, and the numbers shown are the library's."""

from __future__ import annotations

from typing import Any

import pytest

from llvq_mini import golay
from llvq_mini.widgets import GolayPlayground, golay_playground

PAGE = "book/golay.html"

pytestmark = pytest.mark.browser


def word_of(page: Any) -> int:
    """The word that a screen reader would read from the 24 buttons."""
    pressed = page.locator(".llvq-gp .bit").evaluate_all(
        "all => all.map(b => b.getAttribute('aria-pressed'))"
    )
    assert len(pressed) == 24 and set(pressed) <= {"true", "false"}
    return sum((value == "true") << i for i, value in enumerate(pressed))


def status(page: Any) -> str:
    """What is announced."""
    return page.locator(".llvq-gp .llvq-w-status").inner_text()


def check(page: Any, word: int | None = None) -> int:
    """Everything shown belongs to the word, which is that of the buttons; returns it."""
    shown = word_of(page)
    assert word is None or shown == word
    distance, numbers = golay_playground.nearest(shown)
    nearest = page.locator(".llvq-gp .near:visible")
    assert nearest.count() == len(numbers)
    for text, number in zip(nearest.all_inner_texts(), numbers, strict=True):
        assert str(number) in text
    facts = page.locator(".llvq-gp dd").all_inner_texts()
    assert facts[0] == f"{int(golay.weight(shown))} of 24"
    assert page.locator(".llvq-gp .scale .now").inner_text() == str(distance)
    lit = page.locator(".llvq-gp .lamps span").evaluate_all("all => all.map(s => s.className === 'lit')")
    assert sum(on << n for n, on in enumerate(lit)) == golay_playground.syndrome(shown)
    own = int(golay.WORDS[numbers[0]])
    flips = [i for i in range(24) if (own ^ shown) >> i & 1]
    labels = page.locator(".llvq-gp .bit").evaluate_all("all => all.map(b => b.getAttribute('aria-label'))")
    if distance < 4:
        assert [i for i, text in enumerate(labels) if "decoding flips it" in text] == flips
    else:
        assert [i for i, text in enumerate(labels) if text.endswith("group A")] == flips
        assert sorted(text[-1] for text in labels) == sorted("ABCDEF" * 4)
        assert "sextet" in status(page)
    cells = page.locator(".llvq-gp tbody td:nth-child(3)").all_inner_texts()
    wanted = ["".join(str(own >> 8 * o + i & 1) for i in range(8)) for o in range(3)]
    assert cells == wanted
    return shown


def press(page: Any, name: str) -> None:
    """One of the buttons below the bits, by keyboard."""
    page.locator(".llvq-gp").get_by_role("button", name=name, exact=True).press("Enter")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_bits_by_keyboard(visit: Any, violations: Any, scheme: str, width: int) -> None:
    """One bit is in the tab order; arrow keys move and stop at the rim; Space flips; a sextet is accessible."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    start = golay_playground.START
    check(page, start)
    assert page.locator('.llvq-gp .bit[tabindex="0"]').count() == 1
    page.locator('.llvq-gp .bit[tabindex="0"]').focus()
    page.keyboard.press("Space")
    check(page, start ^ 1)
    assert status(page).startswith("Bit 0 is now zero.")
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)  # ends in the third column, second row
    page.keyboard.press("Space")
    check(page, start ^ 1 ^ 1 << 9)
    assert status(page).startswith("Bit 9 is now one.")
    for _ in range(2):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
    assert golay_playground.nearest(check(page))[0] == 4
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert violations(page) == []  # last, since axe-core makes requests of its own


def test_errors_and_repair(mount: Any) -> None:
    """One to three errors are repaired; five lead to the octad through them, and that is said."""
    page = mount(GolayPlayground())
    press(page, "Random code word")
    sent = check(page)
    assert golay.contains(sent)
    for count in (1, 2, 3):
        for n in range(count):
            press(page, "Add an error")
            assert golay.weight(check(page) ^ sent) == n + 1
        press(page, "Decode")
        check(page, sent)
        assert "Repaired" in status(page)
    press(page, "Clear")
    check(page, 0)
    for i in (0, 1, 3, 4, 9):
        page.locator(".llvq-gp .bit").nth(i).click()
    check(page, sum(1 << i for i in (0, 1, 3, 4, 9)))
    press(page, "Decode")
    assert "another word than before: 5 errors" in status(page)
    check(page, golay_playground.START ^ 1 << 9 ^ 1 << 12)  # the octad of the first picture


def test_a_sextet_and_its_six_words(mount: Any) -> None:
    """Four bits of a column: the groups are the columns; each of the six words can be chosen; marks go off."""
    page = mount(GolayPlayground())
    press(page, "Clear")
    for i in range(4):
        page.locator(".llvq-gp .bit").nth(i).click()
    word = check(page, 15)
    for k, number in enumerate(golay_playground.nearest(word)[1]):
        page.locator(".llvq-gp .near").nth(k).press("Enter")
        check(page, int(golay.WORDS[number]))
        assert page.evaluate("document.activeElement.className") == "near"
        page.evaluate("model.set('word', 15)")
    page.get_by_label("mark what decoding would flip").press("Space")
    assert page.locator(".llvq-gp .hint").all_inner_texts() == [""] * 24
    page.get_by_label("mark what decoding would flip").press("Space")
    press(page, "Decode")
    check(page, 0)
    assert "took A, the one with the smallest number" in status(page)


def test_static_picture_without_javascript(visit: Any) -> None:
    """The 24 bits, the two that decoding flips, and the octads of the nearest word."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-gp.llvq-w-static rect").count() == 24
    assert page.locator(".llvq-gp.llvq-w-static rect.ring").count() == 2
    assert page.locator(".llvq-gp.llvq-w-static tbody tr").count() == 3
