"""llvq_mini.plots: the style, and figures as SVG that follows the page's theme."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET

import pytest

from llvq_mini import plots


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb as WCAG 2 defines it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colors, 1 to 21."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def example() -> plots.Picture:
    """A figure with every kind of thing: lines, filled area, text, formula, legend."""
    fig, ax = plots.figure()
    for k, style in enumerate(plots.STYLES):
        ax.plot([0, 1, 2], [k, k + 1, k], label=f"line {k}", **style)
    ax.fill_between([0, 1], [0, 1], color=plots.COLORS["sand"])
    ax.set_title("title")
    ax.set_xlabel("$2^{-2R}$")
    ax.legend()
    return plots.show(fig, "Six lines & a triangle")


def test_picture_is_well_formed_and_themed() -> None:
    """The SVG parses, names its content, and has no palette color left outside a variable."""
    html = example()._repr_html_()
    root = ET.fromstring(html)
    svg = root[0][0]
    assert svg.get("role") == "img" and svg.get("aria-label") == "Six lines & a triangle"
    assert "<style" not in html and "<metadata" not in html
    bare = re.sub(r"var\(--llvq-[a-z]+, #[0-9a-f]{6}\)", "", html)
    for name, color in plots.COLORS.items():
        assert color not in bare, f"{name} stands outside a variable"
    for name in plots.SERIES:
        assert f"var(--llvq-{name}, " in html


def test_ids_are_local_and_references_resolve() -> None:
    """Two figures share no id, and every reference points into its own figure."""
    fig, ax = plots.figure()
    ax.plot([0, 1], [1, 0])
    first, second = example()._repr_html_(), plots.show(fig, "another")._repr_html_()
    ids = [set(re.findall(r'\bid="([^"]+)"', html)) for html in (first, second)]
    assert not ids[0] & ids[1]
    for html, own in zip((first, second), ids, strict=True):
        used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html))
        assert {a or b for a, b in used} <= own


def test_equal_figures_are_equal_bytes() -> None:
    """Building the book twice gives the same page."""
    assert example()._repr_html_() == example()._repr_html_()


def test_caption_is_plain_text_below_the_figure() -> None:
    """The caption is escaped, follows the drawing, and is absent when there is none."""
    fig, _ = plots.figure()
    root = ET.fromstring(plots.show(fig, "empty axes", "x < y & z")._repr_html_())
    assert [child.tag for child in root] == ["div", "figcaption"] and root[1].text == "x < y & z"
    assert "figcaption" not in example()._repr_html_()


def test_letters_are_the_books() -> None:
    """Text is set in Inter in both weights, and a letter that Inter lacks is found elsewhere, without a warning."""
    from matplotlib import font_manager

    plots.use_style()
    for weight, file in (("normal", "Inter-Regular.ttf"), ("bold", "Inter-Bold.ttf")):
        found = font_manager.findfont(font_manager.FontProperties(weight=weight))
        assert found.endswith(f"llvq_mini/fonts/{file}")
    fig, ax = plots.figure()
    ax.set_title(r"Λ and → and ≤, $\Lambda_{24} \leq \frac{1}{2}\sqrt{x}$", fontweight="normal")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.show(fig, "a title")


def test_alt_text_is_required() -> None:
    """A figure without description is refused."""
    fig, _ = plots.figure()
    with pytest.raises(ValueError, match="Argument 'alt' must describe the figure"):
        plots.show(fig, " ")


def test_palette_contrast_in_both_themes() -> None:
    """Text has 4.5:1 and every series 3:1 on its card, in the light theme here and the dark one of the style sheet."""
    from pathlib import Path

    css = (Path(__file__).parents[1] / "book/_static/llvq/llvq.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--llvq-([a-z]+): (#[0-9a-f]{6})", css.split("html[data-theme=")[i])) for i in (1, 2)
    )
    assert {name: light[name] for name in plots.COLORS} == plots.COLORS
    for palette in (light, dark):
        for name in ("ink", "muted"):
            assert contrast(palette[name], palette["card"]) >= 4.5
        for name in plots.SERIES:
            assert contrast(palette[name], palette["card"]) >= 3
