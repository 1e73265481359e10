"""Same prompt, fewer bits: tokens by keyboard, marks and numbers as in the committed file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_widgets import prompts

from llvq_mini.widgets import SamePrompt, same_prompt

PAGE = "book/llm.html"
DATA = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "llm_prompts.json"

pytestmark = pytest.mark.browser


def check(page: Any, state: dict[str, Any], prompt: int) -> None:
    """Every text, every mark, and the table belong to this prompt."""
    cards = page.locator(".llvq-sp-card")
    assert cards.count() == len(state["arms"])
    for card, arm in zip(cards.all(), state["arms"], strict=True):
        own = arm["texts"][prompt]
        marks = card.locator(".token").evaluate_all("all => all.map(t => [t.textContent, t.className])")
        if own["pieces"]:
            assert [text for text, _ in marks] == [piece.replace("\n", "↵ ") for piece in own["pieces"]]
            levels = [f"s{same_prompt.level(value)}" for value in own["surprise"]]
            assert [css.split()[1] for _, css in marks] == levels
            leaves = [n for n, (_, css) in enumerate(marks) if "leaves" in css]
            assert leaves == (
                [own["same"]] if arm is not state["arms"][0] and own["same"] < len(marks) else []
            )
    rows = page.locator(".llvq-sp tbody tr").evaluate_all(
        "all => all.map(r => [...r.cells].map(c => c.textContent))"
    )
    for row, arm in zip(rows, state["arms"], strict=True):
        own = arm["texts"][prompt]
        assert row[0] == arm["label"] and row[2] == str(own["same"])
        assert float(row[3]) == pytest.approx(same_prompt.mean(own["surprise"]), abs=0.00501)
        assert float(row[4]) == pytest.approx(own["missed"], abs=0.00501)


def test_tokens_by_keyboard(mount: Any) -> None:
    """Left, right, up, down, Home, End; the sentence names token, surprise and what the original would have said."""
    page = mount(SamePrompt(prompts()))
    said = page.locator(".llvq-sp [role=status]")
    assert page.locator('.llvq-sp .token[tabindex="0"]').count() == 1
    page.locator('.llvq-sp .token[tabindex="0"]').focus()
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert "2 bits, Leech, token 2 of 3, “steam”" in said.inner_text()
    assert (
        "one chance in 64, 6.0 bits" in said.inner_text()
        and "it would say “so” with 50 %" in said.inner_text()
    )
    page.keyboard.press("End")
    assert "token 3 of 3" in said.inner_text() and "It is what the original would say" in said.inner_text()
    page.keyboard.press("ArrowDown")  # the text below is empty
    assert "2 bits, Leech, token 3 of 3" in said.inner_text()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    assert said.inner_text().startswith("the original, token 1 of 3")
    check(page, SamePrompt(prompts()).state, 0)
    page.get_by_label("Prompt", exact=True).select_option("1")
    check(page, SamePrompt(prompts()).state, 1)
    assert page.locator(".llvq-sp b", has_text="bold").count() == 0


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_texts_on_their_page(visit: Any, violations: Any, scheme: str, width: int) -> None:
    """Every prompt of the committed file; nothing is requested; accessible."""
    seen = visit(PAGE, scheme, width)
    page = seen.page
    state = SamePrompt(json.loads(DATA.read_text(encoding="utf-8"))).state
    select = page.locator(".llvq-sp").get_by_label("Prompt", exact=True)
    for prompt in range(len(state["prompts"])):
        select.select_option(str(prompt))
        check(page, state, prompt)
    assert seen.outside == [] and seen.console == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert violations(page) == []  # last, since axe-core makes requests of its own


def test_static_texts_without_javascript(visit: Any) -> None:
    """The texts of one prompt with their marks."""
    page = visit(PAGE, java_script_enabled=False).page
    assert page.locator(".llvq-sp.llvq-w-static p.llvq-sp-text").count() == len(
        json.loads(DATA.read_text())["arms"]
    )
    assert page.locator(".llvq-sp.llvq-w-static .s3").count() > 0
