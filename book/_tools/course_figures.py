"""Figures of the slides, drawn from the library and from committed results; course_slides.py shows them.

    picture(name)      a figure as inline SVG in the book's style, made once

Each function draw_NAME returns a Matplotlib figure and what it shows in words: weeks 3 and 4 here, weeks 1 and 2 in
course_lattice_figures.py.  Letters are larger than in the book: slides are read from the back row.
Tests: tests/test_course_slides.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import course_facts as facts
import course_lattice_figures
import matplotlib as mpl
import numpy as np
from matplotlib.patches import Rectangle

from llvq_mini import codebook, llm_plots, plots, rd_plots
from llvq_mini.plots import COLORS

Drawn = tuple[Any, str]
_SIZES = {"font.size": 13, "axes.labelsize": 13.5, "legend.fontsize": 12, "axes.titlesize": 14}


def drawings() -> dict[str, Callable[[], Drawn]]:
    """All figures by name."""
    found = {**vars(course_lattice_figures), **globals()}
    return {name[5:]: value for name, value in found.items() if name.startswith("draw_")}


@cache
def picture(name: str) -> plots.Picture:
    """The figure `name` for a slide; KeyError if there is none."""
    draw = drawings()[name]
    plots.use_style()
    with mpl.rc_context(_SIZES):
        # plots.figure sets the style again; keep the letters large
        original, plots.use_style = plots.use_style, lambda: None
        try:
            fig, alt = draw()
            return plots.show(fig, alt)
        finally:
            plots.use_style = original


# ---- week 3 ----
def draw_gaps() -> Drawn:
    """The rate-distortion comparison."""
    fig = rd_plots.gaps(facts.result("rd"))
    fig.axes[0].set_ylim(0, 5.2)
    return fig, "Gap to Shannon's limit in dB over the rate for all families of codes."


def draw_gains() -> Drawn:
    """Lengths of Gaussian blocks and the gains of a code."""
    code = codebook.ShapeGain()
    lengths = np.linalg.norm(np.random.default_rng(1).standard_normal((40_000, 24)), axis=1)
    fig, ax = plots.figure(width=6.6, height=4.2)
    ax.hist(lengths, bins=80, density=True, color=COLORS["grid"])
    for level in code.levels:
        ax.axvline(level, color=COLORS["orange"], linewidth=2.5)
    ax.set(xlabel="length of a block of 24 Gaussian numbers", yticks=[], title=f"gains of {code.name}")
    ax.grid(False)
    return fig, "Histogram of block lengths around 4.85 and the gain levels of the default shape-gain code."


def draw_counting() -> Drawn:
    """A tree of choices: how the minimal vectors are numbered."""
    fig, ax = plots.figure(width=10.4, height=3.4)
    start = 0
    parts = (("(±4², 0²²)", 1104, "276 pairs × 4 signs"), ("(±2⁸, 0¹⁶)", 97_152, "759 octads × 128 signs"),
             ("(∓3, ±1²³)", 98_304, "4096 words × 24 places"))  # fmt: skip
    for number, (shape, count, choices) in enumerate(parts):
        width = max(count / 196_560, 0.03)
        color = COLORS[plots.SERIES[number]]
        ax.add_patch(Rectangle((start, 0.42), width, 0.28, facecolor=color, edgecolor=COLORS["card"]))
        left = number == 0
        x = start if left else start + width / 2
        ax.text(x, 0.80, shape, ha="left" if left else "center", color=color, fontsize=15)
        ax.text(x, 0.28 if not left else 0.13, choices, ha="left" if left else "center")
        ax.text(
            x, 0.02 if left else 0.17, f"{count:,}", ha="left" if left else "center", color=COLORS["muted"]
        )
        start += width
    ax.set(xlim=(-0.01, start + 0.01), ylim=(-0.05, 0.95))
    ax.axis("off")
    return (
        fig,
        "The numbers from 0 to 196,559 in three ranges, one for each shape, each a product of choices.",
    )


# ---- week 4 ----
def draw_valley() -> Drawn:
    """Two weights, an elongated error, rounding and feedback."""
    hessian = np.array([[1.0, 0.82], [0.82, 1.0]])
    weight = np.array([0.30, 0.42])  # feedback then finds the best of the four points
    grid = np.linspace(-0.75, 1.6, 240)
    u, v = np.meshgrid(grid, grid)
    e = np.stack([u - weight[0], v - weight[1]])
    loss = np.einsum("iab,ij,jab->ab", e, hessian, e)
    first = np.rint(weight[0])
    target = weight[1] + (weight[0] - first) * hessian[0, 1] / hessian[1, 1]
    fig, ax = plots.figure(width=5.6, height=5.0)
    ax.contour(u, v, loss, levels=[0.02, 0.08, 0.2, 0.4, 0.7, 1.1], colors=COLORS["grid"])
    points = np.stack(np.meshgrid([0, 1], [0, 1]), -1).reshape(-1, 2)
    ax.plot(*points.T, "s", color=COLORS["muted"], markersize=8)
    ax.plot(*weight, "o", color=COLORS["blue"], markersize=10)
    ax.annotate("weights", weight, xytext=(10, -16), textcoords="offset points", color=COLORS["blue"])
    ax.plot(*np.rint(weight), "X", color=COLORS["red"], markersize=14)
    ax.annotate(
        "rounded one by one", (0, 0), xytext=(-10, -26), textcoords="offset points", color=COLORS["red"]
    )
    ax.plot(first, np.rint(target), "*", color=COLORS["green"], markersize=20)
    ax.annotate(
        "with feedback",
        (first, np.rint(target)),
        xytext=(-6, 16),
        textcoords="offset points",
        color=COLORS["green"],
    )
    ax.set(xlabel="first weight", ylabel="second weight", aspect="equal", xlim=(-0.7, 1.5), ylim=(-0.7, 1.5))
    return (
        fig,
        "Contours of the output error form a valley; feedback chooses a grid point in it, plain rounding does not.",
    )


def draw_spikes() -> Drawn:
    """A row with outliers before and after a rotation."""
    from llvq_mini.rotate import Rotation

    rng = np.random.default_rng(6)
    row = rng.standard_normal(576) * 0.6
    row[rng.integers(0, 576, 9)] *= 11
    turned = Rotation(576, seed=1).apply(row[None].astype(np.float32))[0]
    fig, axes = plots.figure(2, 1, width=6.6, height=4.6, sharex=True, sharey=True)
    for ax, values, title in zip(axes, (row, turned), ("before", "after the rotation"), strict=True):
        ax.vlines(range(576), 0, values, color=COLORS["blue"], linewidth=1)
        ax.set(title=f"{title}: largest {np.abs(values).max():.1f}")
    axes[1].set_xlabel("weight of a row")
    return (
        fig,
        "A row with a few large weights, and the same row after a rotation: no weight stands out any more.",
    )


def draw_rates() -> Drawn:
    """The rivals."""
    fig = llm_plots.rates(facts.found_arms())
    fig.axes[0].legend(loc="lower left", fontsize=10.5)
    return fig, "Excess against measured bits for all methods, on the embedded model."


def draw_changes() -> Drawn:
    """What each step brings."""
    fig = llm_plots.changes(facts.found_arms(), "leech-2")
    fig.axes[0].xaxis.label.set_size(10.5)
    return fig, "What each change of one step costs or brings, with intervals."


def draw_windows() -> Drawn:
    """Nats on windows of text."""
    fig = llm_plots.windows(facts.found_arms(), ["leech-2", "e8p-2", "descent-1"])
    return fig, "Nats a token on sixteen windows: windows differ more than the three methods do."


def draw_instructions() -> Drawn:
    """Instructions a block against the budget."""
    sizes = facts.result("kernel_sizes")
    found = {}
    for row in sizes["kernels"]:
        if row["sm"] == 90 and "instructions_a_block" in row:
            found[row["kernel"]] = row["instructions_a_block"]["all"]
    rows = [("index of the file", found["matvec_1"]), ("index for a GPU", found["matvec_padded_1"])]
    fig, ax = plots.figure(width=6.6, height=4.0)
    ax.barh([0, 1], [value for _, value in rows], color=[COLORS["grid"], COLORS["blue"]], height=0.55)
    for y, (_, value) in enumerate(rows):
        ax.text(value + 8, y, f"{value:.0f}", va="center")
    budgets = sizes["instructions_a_block_allowed_on_h100"]
    for name, color, height in (("3 x fp16", "orange", -0.38), ("8 x fp16", "red", -0.7)):
        ax.plot([budgets[name]] * 2, [height - 0.12, 1.6], color=COLORS[color], linestyle="--")
        ax.text(budgets[name] + 8, height, name.replace("x", "×"), color=COLORS[color], fontsize=12)
    ax.set(
        yticks=[0, 1], yticklabels=[name for name, _ in rows], xlabel="instructions for a block of 24 weights"
    )
    ax.set(ylim=(1.6, -0.85), xlim=(0, 760))
    ax.grid(False)
    return (
        fig,
        "Instructions a block of both kernels against what an H100 allows for 3 and 8 times the speed of fp16.",
    )
