"""Figures of weeks 1 and 2: codes, cells, the Leech lattice. course_figures.py shows them.

Each function returns a Matplotlib figure and what it shows in words.  Tests: tests/test_course_slides.py.
"""

from __future__ import annotations

from functools import cache
from math import comb, log2, log10
from typing import Any

import course_facts as facts
import numpy as np
from matplotlib.patches import Polygon, Rectangle

from llvq_mini import golay, leech, plots, shells
from llvq_mini.baselines.scalar import LloydMax
from llvq_mini.plots import COLORS, STYLES

Drawn = tuple[Any, str]


# ---- week 1 ----
def draw_speed() -> Drawn:
    """Bandwidth over bytes."""
    memories = {"phone": 64 * 8533e6 / 8, "laptop": 128 * 5600e6 / 8, "graphics card": 384 * 21e9 / 8}
    widths = (16, 8, 4, 3, 2)
    fig, ax = plots.figure(width=6.6, height=4.4)
    for (name, speed), style in zip(memories.items(), STYLES, strict=False):
        ax.plot(widths, [speed / (8e9 * bits / 8) for bits in widths], label=name, **style)
    ax.set(
        xlabel="bits a weight", ylabel="tokens a second, at most", yscale="log", xscale="log", xticks=widths
    )
    ax.set_xticklabels(widths)
    ax.minorticks_off()
    ax.set_yticks([1, 10, 100])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.invert_xaxis()
    ax.legend(loc="upper left")
    return (
        fig,
        "Upper bounds on tokens a second of a model of 8 billion weights; from 16 bits to 2 they grow eightfold.",
    )


def draw_levels() -> Drawn:
    """Four levels of Lloyd and Max."""
    levels = LloydMax(2).levels
    edges = (levels[1:] + levels[:-1]) / 2
    x = np.linspace(-3.4, 3.4, 400)
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    fig, ax = plots.figure(width=6.6, height=4.2)
    ax.plot(x, density, color=COLORS["blue"])
    ax.fill_between(x, density, color=COLORS["sand"])
    for edge in edges:
        ax.plot([edge, edge], [0, 0.44], color=COLORS["muted"], linestyle="--", linewidth=1.2)
    ax.plot(levels, 0 * levels, "o", color=COLORS["orange"], markersize=11, clip_on=False, zorder=5)
    for level in levels:
        ax.annotate(f"{level:.3f}", (level, 0), xytext=(0, 12), textcoords="offset points", ha="center")
    ax.set(xlabel="weight", yticks=[], ylim=(0, 0.46))
    ax.grid(False)
    return (
        fig,
        "A bell curve cut by three thresholds into four cells, with the best level of each cell below it.",
    )


def draw_two_bits() -> Drawn:
    """What two bits buy."""
    names = {
        "uniform scalar": "uniform scalar", "Lloyd-Max scalar": "best scalar", "pyramid": "pyramid",
        "E8P12": "E8P, 8 numbers", "entropy-coded scalar": "entropy-coded scalar",
        "Leech tapered": "Leech, 24 numbers", "trellis L = 16": "trellis, 16-bit states",
    }  # fmt: skip
    rows = sorted(((facts.mse(name, 2.0), label) for name, label in names.items()), reverse=True)
    fig, ax = plots.figure(width=6.6, height=4.4)
    values = [10 * log10(mse * 16) for mse, _ in rows]
    colors = [COLORS["blue"] if "Leech" in label else COLORS["grid"] for _, label in rows]
    ax.barh(range(len(rows)), values, color=colors)
    for y, value in enumerate(values):
        ax.text(value + 0.04, y, f"{value:.2f}", va="center")
    ax.set(
        yticks=range(len(rows)),
        yticklabels=[label for _, label in rows],
        xlabel="dB above Shannon's limit, 2 bits",
    )
    ax.set_xlim(0, max(values) * 1.14)
    ax.invert_yaxis()
    ax.grid(False)
    return (
        fig,
        "Bars: distance to Shannon's limit in decibels at two bits, from the uniform scalar down to the trellis.",
    )


def draw_turyn() -> Drawn:
    """A Golay word is built."""
    a, b, x = 4, 10, 6
    h, g = golay.HAMMING, golay.HAMMING_INVERTED

    def bits(*octads: int) -> np.ndarray:
        return np.concatenate([octad >> np.arange(8) & 1 for octad in octads])

    rows = {
        "$(h(a), 0, h(a))$": bits(h[a], 0 * h[a], h[a]),
        "$(0, h(b), h(b))$": bits(0 * h[b], h[b], h[b]),
        "$(g(x), g(x), g(x))$": bits(g[x], g[x], g[x]),
        "sum": golay.to_bits(golay.WORDS[x << 8 | a << 4 | b]),
    }
    fig, ax = plots.figure(width=10.6, height=3.3)
    colors = [COLORS[name] for name in plots.SERIES[:3]]
    for y, (label, row) in enumerate(rows.items()):
        top = y + 0.45 * (label == "sum")
        for i, bit in enumerate(row):
            color = colors[i // 8]
            face = color if bit else "none"
            ax.add_patch(Rectangle((i + 0.6 * (i // 8), top), 0.88, 0.86, facecolor=face, edgecolor=color))
        ax.text(-0.5, top + 0.45, label, ha="right", va="center")
    for octad in range(3):
        ax.text(8.6 * octad + 4, -0.35, f"octad {octad}", ha="center", color=colors[octad])
    ax.set(xlim=(-7.2, 25.6), ylim=(4.6, -0.8))
    ax.axis("off")
    return fig, "Three rows of 24 cells in octads and their sum, a Golay word; filled cells are ones."


def draw_weights() -> Drawn:
    """Weights of the code against random words."""
    weights, counts = np.unique(golay.weight(golay.WORDS), return_counts=True)
    fig, ax = plots.figure(width=6.6, height=4.2)
    ax.bar(weights, counts, color=COLORS["blue"], label="Golay code")
    w = np.arange(25)
    ax.plot(w, [comb(24, n) / 4096 for n in w], "o-", color=COLORS["orange"], label="random words")
    for weight, count in zip(weights, counts, strict=True):
        ax.annotate(f"{count}", (weight, count), xytext=(0, 5), textcoords="offset points", ha="center")
    ax.set(xlabel="number of ones", ylabel="words", xticks=range(0, 25, 4), ylim=(0, 2900))
    ax.legend(loc="upper right")
    return fig, "Golay words have 0, 8, 12, 16 or 24 ones; random words would crowd around twelve."


def draw_cells() -> Drawn:
    """Squares and hexagons with the same number of points."""
    fig, axes = plots.figure(1, 2, width=7.6, height=4.2)
    rng = np.random.default_rng(4)
    side = (2 / 3**0.5) ** 0.5
    for ax, name in zip(axes, ("squares", "hexagons"), strict=True):
        for i in range(-4, 5):
            for j in range(-4, 5):
                x, y = (i, j) if name == "squares" else (side * (i + j / 2), side * j * 3**0.5 / 2)
                radius, corners, turn = (
                    (0.5**0.5, 4, np.pi / 4) if name == "squares" else (side / 3**0.5, 6, np.pi / 6)
                )
                angles = turn + 2 * np.pi * np.arange(corners) / corners
                cell = np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])
                ax.add_patch(Polygon(cell, facecolor="none", edgecolor=COLORS["muted"], linewidth=1))
                ax.plot(x, y, "o", color=COLORS["blue"], markersize=5)
        cloud = rng.normal(size=(90, 2)) * 0.75
        ax.plot(*cloud.T, ".", color=COLORS["orange"], markersize=4)
        moment = facts.moment("Z" if name == "squares" else "A2")
        ax.set(title=f"{name}: {moment}", xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), aspect="equal")
        ax.axis("off")
    return (
        fig,
        "The same cloud of samples on squares and on hexagons of equal area, with their second moments.",
    )


def draw_moments() -> Drawn:
    """Second moments over dimensions."""
    rows = facts.result("second_moments")["rows"]
    fig, ax = plots.figure(width=6.6, height=4.3)
    ax.plot([r["dim"] for r in rows], [r["moment"] for r in rows], label="measured", **STYLES[0])
    ax.plot([r["dim"] for r in rows], [r["ball"] for r in rows], label="ball, a bound", **STYLES[1])
    ax.axhline(1 / (2 * np.pi * np.e), color=COLORS["muted"], linewidth=1.2, label=r"$1/(2\pi e)$")
    for row in rows:
        ax.annotate(row["lattice"], (row["dim"], row["moment"]), xytext=(7, 7), textcoords="offset points")
    ax.set(xlabel="dimension", ylabel="second moment of the cell", xlim=(0, 27))
    ax.legend()
    return (
        fig,
        "Second moments fall from Z through A2, D4 and E8 to the Leech lattice, close to the bound of balls.",
    )


# ---- week 2 ----
@cache
def _minimal() -> np.ndarray:
    return leech.minimal_vectors().astype(np.int32)


def draw_projection() -> Drawn:
    """All minimal vectors on a plane."""
    powers = [1, 2, 4, 3, 6, 7, 5]
    z = np.zeros(24, dtype=complex)
    for octad in range(3):
        for j, position in enumerate(powers):
            z[8 * octad + position] = np.exp(2j * np.pi * (octad / 3 + j / 7))
    image = _minimal() @ (z / np.sqrt((abs(z) ** 2).sum() / 2)) / 32**0.5
    spots, hits = np.unique(np.round(image, 5) + 0, return_counts=True)
    order = np.argsort(hits)
    fig, ax = plots.figure(width=5.2, height=5.2)
    color = np.log(hits[order])
    size = 0.2 + 2.2 * np.sqrt(hits[order] / hits.max())
    ax.scatter(
        spots.real[order], spots.imag[order], s=size, c=color, cmap="plasma", linewidths=0, rasterized=True
    )
    ax.set(aspect="equal")
    ax.axis("off")
    fig.set_dpi(200)
    return fig, "196,560 vectors projected to a plane: fine rings with 42-fold symmetry."


def draw_angles() -> Drawn:
    """Inner products of one minimal vector with all."""
    values, counts = np.unique(_minimal() @ _minimal()[5000], return_counts=True)
    fig, ax = plots.figure(width=6.6, height=4.2)
    ax.bar(range(len(values)), counts, color=COLORS["blue"])
    for place, count in enumerate(counts):
        ax.annotate(
            f"{count:,}",
            (place, count),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=11.5,
        )
    angles = np.degrees(np.arccos(values / 32))
    ax.set(xticks=range(len(values)), ylabel="vectors", ylim=(0, 108_000))
    ax.set_xticklabels([f"{angle:.0f}°" for angle in angles])
    ax.set_xlabel("angle to a fixed minimal vector")
    return (
        fig,
        "Seven angles occur among minimal vectors, none below 60 degrees; 93,150 vectors are at right angles.",
    )


def draw_balls() -> Drawn:
    """Bits a weight of balls of shells."""
    caps = np.arange(2, 20)
    bits = [log2(shells.ball_size(int(cap)) + 1) / 24 for cap in caps]
    fig, ax = plots.figure(width=6.6, height=4.3)
    ax.plot(caps, bits, **STYLES[0])
    ax.axhline(2, color=COLORS["muted"], linewidth=1.2)
    ax.annotate(
        "shell 13: 48 bits", (13, bits[11]), xytext=(11.6, 1.35),
        arrowprops={"arrowstyle": "-", "color": COLORS["muted"]},
    )  # fmt: skip
    ax.set(xlabel="largest shell", ylabel="bits a weight", xticks=range(2, 20, 2))
    return fig, "Bits a weight of the ball of shells up to a largest one; two bits at shell 13."


@cache
def cosets() -> tuple[np.ndarray, float]:
    """Distance to the nearest point in each of the 8192 cosets, for one Gaussian block."""
    x = 6.0 * np.random.default_rng(24).standard_normal(24)
    found = []
    for e in (0, 1):
        t = (x - 2.0 * golay.to_bits(golay.WORDS) - e) / 4
        k = np.rint(t)
        off = np.abs(t - k)
        odd = (k.sum(axis=1) - e) % 2
        found.append(16 * ((off**2).sum(axis=1) + odd * (1 - 2 * off.max(axis=1))))
    squared = np.sort(np.concatenate(found))
    return squared, float(squared[0])


def draw_cosets() -> Drawn:
    """Most cosets are hopeless."""
    squared, best = cosets()
    fig, ax = plots.figure(width=6.6, height=4.3)
    ax.hist(squared, bins=70, color=COLORS["grid"])
    ax.axvline(best, color=COLORS["orange"], linewidth=3)
    ax.axvline(16, color=COLORS["blue"], linestyle="--")
    ax.annotate("nearest", (best, 300), xytext=(best - 3, 330), ha="right", color=COLORS["orange"])
    ax.annotate(
        "16: no point is farther\nfrom the lattice", (16, 230), xytext=(19, 330), color=COLORS["blue"]
    )
    ax.set(
        xlabel="squared distance to the nearest point of a coset",
        ylabel="cosets",
        xlim=(0, None),
        ylim=(0, 400),
    )
    return (
        fig,
        "Histogram of 8192 cosets by their distance to a sample: the nearest one stands far to the left.",
    )
