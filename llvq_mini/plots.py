"""Figures of one style, legible on a light and on a dark page.

Matplotlib draws in a fixed palette; `show` turns a finished figure into inline SVG and replaces each palette
color by a CSS variable with that color as fallback. The book's style sheet (book/_static/llvq/llvq.css) gives
the variables one value for the light and one for the dark theme, so the same figure follows the reader's
choice, scales without blur, and needs no second copy. In a plain notebook, where no variable is set, the
fallback colors stand on a white card.

The palette is told apart by color-blind readers and has a contrast of at least 3:1 on its background in both
themes; lines should differ in marker or dash as well (`STYLES`).

The letters are the book's: Inter (two weights, the Latin part, SIL Open Font License, in fonts/); formulas are set in
STIX and what Inter lacks in DejaVu, both part of Matplotlib. Letters are drawn as paths, so a reader needs no font.

What this module does not do: it draws no particular figure, and nothing in the library below imports it.
Tests: tests/test_plots.py.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib import font_manager

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: name -> color in the light theme. The CSS variable of a color is ``--llvq-<name>``.
COLORS = {
    "ink": "#1f2933",  # text, axes
    "muted": "#5b6875",  # secondary text, limits
    "grid": "#d5dbe1",  # grid lines
    "card": "#fdfdfe",  # figure background
    "blue": "#1d5fbf",
    "orange": "#b85c00",
    "green": "#0f7b5f",
    "purple": "#8036a8",
    "red": "#c0303f",
    "teal": "#0e7490",
    "sand": "#e9edf1",  # filled areas
}

#: Colors of data series, in the order in which a figure uses them.
SERIES = ("blue", "orange", "green", "purple", "red", "teal")

#: Keyword arguments for the first, second, ... line of a figure: color, marker and dash differ together.
STYLES = tuple(
    {"color": COLORS[name], "marker": marker, "linestyle": dash}
    for name, marker, dash in zip(
        SERIES,
        ("o", "s", "^", "D", "v", "P"),
        ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1))),
        strict=True,
    )
)

_RC: dict[Any, Any] = {
    "figure.facecolor": COLORS["card"],
    "figure.figsize": (7.0, 3.8),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": COLORS["card"],
    "axes.facecolor": COLORS["card"],
    "axes.edgecolor": COLORS["muted"],
    "axes.labelcolor": COLORS["ink"],
    "axes.titlecolor": COLORS["ink"],
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=[COLORS[name] for name in SERIES]),
    "grid.color": COLORS["grid"],
    "grid.linewidth": 0.8,
    "text.color": COLORS["ink"],
    "xtick.color": COLORS["muted"],
    "ytick.color": COLORS["muted"],
    "xtick.labelcolor": COLORS["ink"],
    "ytick.labelcolor": COLORS["ink"],
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.9,
    "lines.markersize": 5.5,
    "patch.edgecolor": COLORS["card"],
    "font.size": 10,
    "font.family": ["Inter", "DejaVu Sans"],  # the first that has the letter
    "mathtext.fontset": "custom",
    "mathtext.rm": "Inter",
    "mathtext.bf": "Inter:bold",
    "mathtext.it": "STIXGeneral:italic",
    "mathtext.cal": "STIXGeneral:italic",  # the default is a font that few machines have
    "mathtext.fallback": "stix",
    "image.cmap": "viridis",
    "svg.fonttype": "path",
    "svg.hashsalt": "llvq_mini",  # ids then depend on the drawing alone: equal runs give equal pages
}


def use_style() -> None:
    """Set Matplotlib's defaults to the book's style. Call it once, before the first figure."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in map(str, sorted((Path(__file__).parent / "fonts").glob("*.ttf"))):
        if path not in known:
            font_manager.fontManager.addfont(path)
    for key, value in _RC.items():
        mpl.rcParams[key] = value


def figure(
    rows: int = 1, cols: int = 1, width: float = 7.0, height: float = 3.8, **kwargs: Any
) -> tuple[Figure, Any]:
    """A new figure in the book's style and its axes.

    Args:
        rows, cols: grid of axes, as in ``plt.subplots``.
        width, height: inches; 7 fills the text column of the book.
        **kwargs: passed on to ``plt.subplots`` (``sharex``, ``gridspec_kw``, ...).

    Returns:
        (figure, axes): axes is one Axes or an array of them, as ``plt.subplots`` returns it.
    """
    use_style()
    return plt.subplots(rows, cols, figsize=(width, height), **kwargs)


class Picture:
    """A finished figure as inline SVG that follows the page's theme; make it a cell's last line."""

    def __init__(self, svg: str, alt: str, caption: str = "") -> None:
        self.svg = svg
        self.alt = alt
        self.caption = caption

    def _repr_html_(self) -> str:
        line = "margin:0.45rem 0.2rem 0;font-size:0.84em;line-height:1.45"
        text = html.escape(self.caption, quote=False)
        below = f'<figcaption style="{line}">{text}</figcaption>' if text else ""
        box = "overflow-x:auto;border-radius:8px;background:var(--llvq-card, #fdfdfe)"
        return (
            '<figure class="llvq-figure" style="margin:0.5rem 0">'
            f'<div class="llvq-drawing" style="{box}">{self.svg}</div>{below}</figure>'
        )

    def __repr__(self) -> str:
        return f"Figure: {self.caption or self.alt}"


def show(fig: Figure, alt: str, caption: str = "") -> Picture:
    """Close `fig` and return it as a picture for the page.

    Args:
        fig: a Matplotlib figure drawn with the colors of `COLORS`.
        alt: one or two sentences that tell a reader who cannot see the figure what it shows.
        caption: the line below the figure, for all readers: what to look for. Plain text; the page numbers it.

    Raises:
        ValueError: `alt` is empty.
    """
    if not alt.strip():
        raise ValueError(f"Argument 'alt' must describe the figure, got {alt!r}; say what it shows")
    buffer = io.StringIO()
    # hashsalt makes the ids reproducible and an absent date keeps two builds identical
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "llvq_mini"}):
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    return Picture(_themed(buffer.getvalue(), alt), alt, caption)


def _themed(svg: str, alt: str) -> str:
    """Matplotlib's SVG file made fit for a page: no prolog, unique ids, palette colors as variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # its style sheet would apply to every SVG of the page; the root's style attribute below takes its place
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    prefix = "f" + hashlib.sha256((alt + svg).encode()).hexdigest()[:8] + "-"
    # every id is local to its figure: two figures in one page must not share clip paths or glyphs
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{prefix}", svg)
    for name, color in COLORS.items():
        svg = re.sub(rf"{color}\b", f"var(--llvq-{name}, {color})", svg, flags=re.IGNORECASE)
    points = re.search(r'<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    width = f"{float(points.group(1)) * 4 / 3:.0f}px" if points else "100%"
    label = html.escape(alt, quote=True)
    # on a phone a wide figure scrolls in its box rather than shrink until nobody can read it
    size = f"width:100%;max-width:{width};min-width:min({width}, 32rem);height:auto"
    style = f"display:block;{size};stroke-linejoin:round"
    opening = f'<svg role="img" aria-label="{label}" style="{style}" '
    svg = re.sub(r'(<svg [^>]*?)width="[\d.]+pt" height="[\d.]+pt" ?', r"\1", svg, count=1)
    return svg.replace("<svg ", opening, 1)
