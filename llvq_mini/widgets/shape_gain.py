"""Shape and gain at a fixed budget: what a bit of length costs in directions (shape_gain.js).

A block x of 24 numbers is coded as one of 2^s directions and one of 2^g lengths, s + g bits in all.  For an ideal set
of directions (limits.cap_bound) the error per number splits into two parts that compete:

    D  =  (1 - m^2)  +  m^2 (1 - E[g^2] / 24)
          direction     length

m is the mean cosine inside a cap of measure 2^-s, E[g^2] the energy of the best 2^g lengths of a chi variable with 24
degrees of freedom.  A gain bit more shrinks the second part about fourfold and widens every cap by 2^(1/23), 3 percent.

The widget shows the bound and the shape-gain codes that ``llvq bench rd`` measured; both are in its state, so that the
page computes nothing but sums.  A measured code stands at a budget if it needs that many bits or up to two fewer: the
shells of the lattice do not come in powers of two.  Formulas: limits.py.  Tests: tests/test_widgets.py,
tests/browser/test_widget_shape_gain.py.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import betaincinv

from llvq_mini import gain, limits
from llvq_mini.widgets._base import Widget
from llvq_mini.widgets.distortion_bitrate import load_results

DIM = gain.DIM
FAMILY = "Leech shape-gain"
TOTALS = (24, 96)
"""Least and largest budget, bits a block: 1 to 4 bits a number."""
MAX_GAIN_BITS = 4
_SLACK = 2
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 300, 56, 24, 42


def half_angle(shape_bits: int) -> float:
    """Half-angle, in degrees, of a cap of measure 2^-shape_bits on the sphere in 24 dimensions."""
    square = float(betaincinv((DIM - 1) / 2, 0.5, 2.0 ** (1 - shape_bits)))
    return math.degrees(math.asin(math.sqrt(square)))


@cache
def _tables() -> tuple[list[float], list[float], list[list[float]], list[float]]:
    """m^2 and half-angles for s = 0 ... 96 (0 where no budget leads), levels and E[g^2] / 24 for g = 0 ... 4."""
    low = TOTALS[0] - MAX_GAIN_BITS
    bits = range(low, TOTALS[1] + 1)
    square = [0.0] * low + [limits.mean_cosine(DIM, s) ** 2 for s in bits]
    angle = [0.0] * low + [half_angle(s) for s in bits]
    levels = [gain.lloyd_max(np.ones(1), g).tolist() for g in range(MAX_GAIN_BITS + 1)]
    energy = [limits.gain_energy(DIM, g) for g in range(MAX_GAIN_BITS + 1)]
    return square, angle, levels, energy


class ShapeGainSplit(Widget):
    """Budget and gain bits by slider; the cells, the two parts of the bound, and the measured codes.

    Args:
        data: path of the benchmark's JSON, or its content.
        total: bits a block at which the budget starts, 24 ... 96.
        gain_bits: of these for the length, 0 ... 4.

    Raises:
        LLVQError: the file is missing or is not such a file.
        ValueError: `total` or `gain_bits` is out of range.
    """

    name = "shape_gain"

    def __init__(self, data: str | Path | Mapping[str, Any], total: int = 48, gain_bits: int = 1) -> None:
        if total not in range(TOTALS[0], TOTALS[1] + 1):
            raise ValueError(f"Argument 'total' must be in {TOTALS[0]} ... {TOTALS[1]}, got {total!r}.")
        if gain_bits not in range(MAX_GAIN_BITS + 1):
            raise ValueError(f"Argument 'gain_bits' must be in 0 ... {MAX_GAIN_BITS}, got {gain_bits!r}.")
        square, angle, levels, energy = _tables()
        super().__init__(
            square=square,
            angle=angle,
            levels=levels,
            energy=energy,
            measured=_measured(load_results(data)["points"]),
            totals=list(TOTALS),
            slack=_SLACK,
            total=int(total),
            gain_bits=int(gain_bits),
        )

    def __repr__(self) -> str:
        return f"ShapeGainSplit({self.state['total']} bits, {self.state['gain_bits']} for the gain)"

    def parts(self, total: int, gain_bits: int) -> tuple[float, float]:
        """The bound's two parts, direction and length; their sum is limits.cap_bound(total - gain_bits, gain_bits)."""
        square = self.state["square"][total - gain_bits]
        return 1 - square, square * (1 - self.state["energy"][gain_bits])

    def code(self, total: int, gain_bits: int) -> dict[str, Any] | None:
        """The measured code of that many gain bits that uses most of the budget, or None."""
        fits = [
            p
            for p in self.state["measured"]
            if p["gain_bits"] == gain_bits and total - _SLACK <= p["bits"] <= total
        ]
        return max(fits, key=lambda p: p["bits"], default=None)

    def static_html(self) -> str:
        """The bars of the chosen budget as SVG, and their table."""
        total = self.state["total"]
        splits = range(MAX_GAIN_BITS + 1)
        rows = [(g, *self.parts(total, g), self.code(total, g)) for g in splits]
        body = "".join(
            _row(total, self.state["angle"][total - g], row) for g, row in zip(splits, rows, strict=True)
        )
        columns = ("split", "angle", "direction", "length", "bound", "measured")
        head = "".join(f'<th scope="col">{text}</th>' for text in columns)
        caption = f"<caption>The splits of {total} bits a block: gain + direction</caption>"
        return (
            f'<div class="llvq-w llvq-sg llvq-w-static"><div class="llvq-w-plot">{_bars(total, rows)}</div>'
            '<p class="llvq-w-key">Lower, filled part of a bar: error of the direction. Upper, open part: error of the '
            "length. Together: a bound for any code of this form. Diamond: a measured code.</p>"
            f'<div class="llvq-w-table"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
            "</table></div></div>"
        )


def _measured(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The shape-gain codes on the Gaussian source, with their bits a block."""
    return [
        {
            "name": p["name"],
            "bits": round(p["rate"] * DIM),
            "gain_bits": int(p["parameters"]["gain_bits"]),
            "mse": p["mse"],
            "stderr": p["stderr"],
        }
        for p in points
        if p["family"] == FAMILY and p["source"] == "gaussian"
    ]


def _row(total: int, angle: float, row: tuple[int, float, float, dict[str, Any] | None]) -> str:
    """One split as a table row."""
    g, direction, length, code = row
    found = "–" if code is None else f"{code['mse']:.5f}"
    cells = (f"{angle:.1f}°", f"{direction:.5f}", f"{length:.5f}", f"{direction + length:.5f}")
    inside = "".join(f"<td>{cell}</td>" for cell in (*cells, found))
    return f'<tr><th scope="row">{g} + {total - g}</th>{inside}</tr>'


def _bars(total: int, rows: list[tuple[int, float, float, dict[str, Any] | None]]) -> str:
    """One stacked bar for each number of gain bits."""
    high = 1.12 * max(max(a + b, code["mse"] if code else 0) for _, a, b, code in rows)
    step = (_WIDTH - _LEFT - 10) / len(rows)
    bottom = _HEIGHT - _BOTTOM

    def y(value: float) -> float:
        return _TOP + (1 - value / high) * (bottom - _TOP)

    parts = [f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{bottom}" y2="{bottom}"/>']
    for g, direction, length, code in rows:
        left, middle, width = _LEFT + (g + 0.2) * step, _LEFT + (g + 0.5) * step, 0.6 * step
        whole, low = y(direction + length), y(direction)
        box = f'x="{left:.1f}" width="{width:.1f}"'
        parts.append(f'<rect class="direction" {box} y="{low:.1f}" height="{bottom - low:.1f}"/>')
        parts.append(f'<rect class="length" {box} y="{whole:.1f}" height="{low - whole:.1f}"/>')
        label = f"{direction + length:.5f}"
        parts.append(f'<text x="{middle:.1f}" y="{_TOP - 8}" text-anchor="middle">{label}</text>')
        parts.append(f'<text x="{middle:.1f}" y="{bottom + 17}" text-anchor="middle">{g}</text>')
        if code:
            place = f"translate({middle:.1f} {y(code['mse']):.1f})"
            title = f"<title>{html.escape(code['name'])}: {code['mse']:.5f}</title>"
            parts.append(f'<path class="measured" d="M0 -6L6 0L0 6L-6 0Z" transform="{place}">{title}</path>')
    caption = f"gain bits out of {total}"
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{caption}</text>')
    at = f'x="13" y="{_HEIGHT / 2}" transform="rotate(-90 13 {_HEIGHT / 2})"'
    parts.append(f'<text {at} text-anchor="middle">error a number (MSE)</text>')
    label = f"Error against gain bits at {total} bits a block; the table has the numbers."
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
