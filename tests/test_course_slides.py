"""Texts of the slides: every figure exists, numbers come from results, directives are balanced."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "book" / "course" / "slides"
sys.path.insert(0, str(ROOT / "book" / "_tools"))

import course_facts  # noqa: E402
import course_figures  # noqa: E402
import course_slides  # noqa: E402

DECKS = sorted(SOURCES.glob("week*.md"))


def test_every_figure_is_used_and_exists() -> None:
    """No deck asks for a figure that is not there, and none is drawn for nothing."""
    used = {name for deck in DECKS for name in re.findall(r"!\[\]\(fig:(\w+)\)", deck.read_text())}
    drawn = set(course_figures.drawings())
    assert used == drawn and len(DECKS) == 4


def test_facts_refuse_what_was_not_measured() -> None:
    """A family or a rate without a measurement is an error; one with it is what rd.json says."""
    assert course_facts.mse("Lloyd-Max scalar", 2) == pytest.approx(0.1174, abs=2e-4)
    assert course_facts.gap("Lloyd-Max scalar", 2) == "2.74"
    for name, bits in (("Lloyd-Max scalar", 2.3), ("no such code", 2)):
        with pytest.raises(KeyError, match=name):
            course_facts.mse(name, bits)


def test_facts_that_are_computed() -> None:
    """The weights of the model, the floor of 24 dimensions, cosets near a block; every slide has notes."""
    assert course_facts.weights() == 106_168_320
    assert course_facts.floor_gap(24, 48) == "0.59"
    assert 1 <= course_facts.cosets_within(16) < course_facts.cosets_within(40) < 8192
    for deck in DECKS:
        assert set(course_slides.Deck(deck).head) == {"week", "title", "subtitle", "notes"}
        for slide in deck.read_text().split("\n## ")[1:]:
            assert "::: notes" in slide, slide[:40]


def test_a_slide_in_all_its_parts(tmp_path: Path) -> None:
    """Code runs once and shows its output, numbers are filled in, boxes nest, formulas survive."""
    path = tmp_path / "week9.md"
    path.write_text("---\nweek: 9\ntitle: T\nsubtitle: S\nnotes: N\n---\n")
    deck = course_slides.Deck(path)
    deck.names["calls"] = []
    made = deck.slide(
        "Title $x_1$\n\n:::: left\n```run\ncalls.append(1)\nn = 6\nprint('n <', n)\n```\n\n::: ask\nWhy {{ n + 1 }}?\n"
        ":::\n::::\n\n:::: right\n$$a < b$$\n::::\n\n::: notes\nSay it.\n:::\n"
    )
    assert deck.names["calls"] == [1]
    assert '<pre class="output">n &lt; 6</pre>' in made and "Why 7?" in made
    assert '<div class="content columns">' in made and '<aside class="notes">' in made
    assert r"\(x_1\)" in made and r"\[a &lt; b\]" in made
    assert made.count("<div") == made.count("</div>") and made.count("<aside") == made.count("</aside>")
    with pytest.raises(ValueError, match="fig:NAME"):
        deck.slide("T\n\n![](picture.png)\n")
