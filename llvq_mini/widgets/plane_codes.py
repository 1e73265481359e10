"""Three ways to put one point on every unit of area, for a pair of numbers (plane_codes.js).

    Z2        round each number for itself: square cells
    A2        the hexagonal lattice, the best of the plane
    pair      a trellis that starts in state 0 and ends after two numbers: again a lattice
    trellis   the same pair in the middle of a sequence, whose other numbers are given

Equal density is equal rate: over a large region all of them need the same number of bits.  What differs is the mean
squared error per number, for a lattice of unit density the second moment of its cell.

The trellis.  The multiples of 1/2 are cut into four cosets D_c = {2 k + c / 2}.  A state is two bits, a step takes one
bit u, and the three bits w = 2 state + u choose the coset D_c, c = COSET[w], and the next state, w mod 4: a bitshift
trellis.  So in every state the numbers of two cosets can be reached, one on each unit of length; but which two is
the encoder's own choice of before, and of all paths it takes the best (Viterbi's algorithm).  For a pair inside a
sequence, what the rest of the best path costs is a handicap W of the classes of points:

    choose the point p of least  |x - p|^2 + W(c_1, c_2),

so its cells are those of a power diagram.  W is 0 or infinite for the pair alone.  All codes here are one or more
offsets, each with a handicap, repeated with the periods of a rectangle; `nearest` and `cell` know nothing else.

The same functions exist in JavaScript; tests/browser/test_widget_plane_codes.py compares the two.  Errors are per
number, |x - p|^2 / 2.  Not here: finite codes, which also have a boundary.  Sources: G. Ungerboeck, IEEE Trans. Inf.
Theory 28 (1982), for the trellis; M. Marcellin, T. Fischer, IEEE Trans. Commun. 38 (1990), for its use as a quantizer;
J. Conway, N. Sloane, Sphere Packings, chapter 21, for second moments.  Tests: tests/test_widgets.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from llvq_mini.widgets._base import Widget
from llvq_mini.widgets._polygons import Point, area_and_moment, cut

COSET = (0, 2, 1, 3, 2, 0, 3, 1)
"""Coset of the window 2 state + u."""
NEIGHBORS = 32
"""Numbers before and after the pair in a sequence; with fewer the free ends would flatter the trellis."""
LABELS = {
    "Z2": "Z²: squares",
    "A2": "A₂: hexagons",
    "pair": "trellis, this pair alone",
    "trellis": "trellis, inside a sequence",
}
_EDGE = (2 / math.sqrt(3)) ** 0.5  # of a hexagonal lattice with one point on each unit of area


class Code(NamedTuple):
    """Points offset + (i, j) period for all integers i, j; handicap[k], >= 0 or inf, belongs to offsets[k]."""

    period: Point
    offsets: tuple[Point, ...]
    handicap: tuple[float, ...]


LATTICES = {
    "Z2": Code((1.0, 1.0), ((0.0, 0.0),), (0.0,)),
    "A2": Code(
        (_EDGE, _EDGE * math.sqrt(3)), ((0.0, 0.0), (_EDGE / 2, _EDGE * math.sqrt(3) / 2)), (0.0, 0.0)
    ),
}
_CLASSES = tuple((a / 2, b / 2) for a in range(4) for b in range(4))


def random_numbers(seed: int) -> Iterator[float]:
    """Uniform numbers in 0 ... 1 from 32 bits of seed, the same in JavaScript (T. Ettinger's mulberry32)."""
    state, mask = seed & 0xFFFFFFFF, 0xFFFFFFFF
    while True:
        state = (state + 0x6D2B79F5) & mask
        t = ((state ^ state >> 15) * (1 | state)) & mask
        t = (t + ((t ^ t >> 7) * (61 | t)) & mask) ^ t
        yield ((t ^ t >> 14) & mask) / 2**32


def _distance(x: float, coset: int) -> float:
    """Squared distance of a number to the coset."""
    t = x - coset / 2
    return (t - 2 * math.floor(t / 2 + 0.5)) ** 2


def handicaps(past: Sequence[float], future: Sequence[float]) -> tuple[float, ...]:
    """W for the 16 classes (c_1, c_2) of a pair, c_2 fastest, with the numbers before and behind it; least 0."""
    before = [0.0] * 4
    for x in past:
        cost = [before[w // 2] + _distance(x, COSET[w]) for w in range(8)]
        before = [min(cost[state], cost[state + 4]) for state in range(4)]
    after = [0.0] * 4
    for x in reversed(future):
        cost = [after[w % 4] + _distance(x, COSET[w]) for w in range(8)]
        after = [min(cost[2 * state], cost[2 * state + 1]) for state in range(4)]
    return _handicaps(before, after)


def _handicaps(before: Sequence[float], after: Sequence[float]) -> tuple[float, ...]:
    """W from the costs of the states before and after the pair."""
    found = [math.inf] * 16
    for first in range(8):
        for u in (0, 1):
            second = 2 * (first % 4) + u
            k = 4 * COSET[first] + COSET[second]
            found[k] = min(found[k], before[first // 2] + after[second % 4])
    least = min(found)
    return tuple(w - least for w in found)


def neighbors(seed: int) -> tuple[list[float], list[float]]:
    """32 numbers before and 32 behind the pair, uniform in -1 ... 1 (the trellis repeats after 2)."""
    draw = random_numbers(seed)
    values = [2 * next(draw) - 1 for _ in range(2 * NEIGHBORS)]
    return values[:NEIGHBORS], values[NEIGHBORS:]


def code(key: str, seed: int = 1) -> Code:
    """The code of that key; the seed draws the neighbors of "trellis"."""
    if key in LATTICES:
        return LATTICES[key]
    if key == "pair":
        return Code((2.0, 2.0), _CLASSES, _handicaps([0.0, math.inf, math.inf, math.inf], [0.0] * 4))
    if key != "trellis":
        raise ValueError(f"Argument 'key' must be one of {list(LABELS)}, got {key!r}.")
    return Code((2.0, 2.0), _CLASSES, handicaps(*neighbors(seed)))


def nearest(found: Code, x: Point) -> tuple[Point, float]:
    """The chosen point of the code and the squared error per number, |x - p|^2 / 2."""
    best, point, error = math.inf, x, 0.0
    for (a, b), handicap in zip(found.offsets, found.handicap, strict=True):
        p = a + found.period[0] * math.floor((x[0] - a) / found.period[0] + 0.5)
        q = b + found.period[1] * math.floor((x[1] - b) / found.period[1] + 0.5)
        square = (x[0] - p) ** 2 + (x[1] - q) ** 2
        if square + handicap < best - 1e-12:
            best, point, error = square + handicap, (p, q), square / 2
    return point, error


def cell(found: Code, k: int) -> list[Point]:
    """Corners of the cell of offsets[k], relative to that point, in order; [] if another point is always better.

    It is the square |x|, |y| <= 2 cut by a half-plane 2 <z, q> <= |q|^2 + W_q - W for each other point q.
    """
    corners = [(-2.0, -2.0), (2.0, -2.0), (2.0, 2.0), (-2.0, 2.0)]
    own, handicap = found.offsets[k], found.handicap[k]
    if math.isinf(handicap):
        return []
    reach = [math.ceil(2 / side) for side in found.period]
    for offset, other in zip(found.offsets, found.handicap, strict=True):
        if math.isinf(other):
            continue
        for i in range(-reach[0], reach[0] + 1):
            for j in range(-reach[1], reach[1] + 1):
                q = (offset[0] - own[0] + i * found.period[0], offset[1] - own[1] + j * found.period[1])
                if math.hypot(*q) > 1e-9:
                    corners = cut(corners, q, (q[0] ** 2 + q[1] ** 2 + other - handicap) / 2)
    return corners


def running_error(key: str, drops: int) -> tuple[float, float]:
    """Mean error per number of the first `drops` random points, and its standard error.

    The points are those that the widget's button draws.  A drop takes two numbers for its place, uniform in some
    periods of the code, and for "trellis" 64 more as neighbors.
    """
    found, draw, values = code(key), random_numbers(0), []
    width, height = (math.floor(4 / side) * side for side in found.period)
    for _ in range(drops):
        x = (width * (next(draw) - 0.5), height * (next(draw) - 0.5))
        if key == "trellis":
            around = [2 * next(draw) - 1 for _ in range(2 * NEIGHBORS)]
            found = found._replace(handicap=handicaps(around[:NEIGHBORS], around[NEIGHBORS:]))
        values.append(nearest(found, x)[1])
    mean = sum(values) / drops
    return mean, (max(sum(v * v for v in values) / drops - mean**2, 0.0) / drops) ** 0.5


@cache
def trellis_error(sequences: int = 500, length: int = 300) -> tuple[float, float]:
    """Error per number of the trellis on long sequences, measured, and its standard error.

    Uniform numbers; counted is what those behind the first 100 add to the cost of the best path: the free ends cancel.
    """
    x = np.random.default_rng(1).uniform(-1, 1, (sequences, 100 + length))
    t = x[:, :, None] - np.arange(4) / 2
    distance = (t - 2 * np.round(t / 2)) ** 2
    cost, early = np.zeros((sequences, 4)), np.zeros(sequences)
    for at in range(x.shape[1]):
        if at == 100:
            early = cost.min(axis=1)
        step = np.repeat(cost, 2, axis=1) + distance[:, at, list(COSET)]
        cost = np.minimum(step[:, :4], step[:, 4:])
    mean = (cost.min(axis=1) - early) / length
    return float(mean.mean()), float(mean.std(ddof=1) / sequences**0.5)


@cache
def moments() -> dict[str, float]:
    """Error per number of each code: exact but for "trellis", which is measured (trellis_error)."""
    found = {}
    for key in ("Z2", "A2", "pair"):
        lattice = code(key)
        polygon = cell(lattice, next(k for k, w in enumerate(lattice.handicap) if w == 0))
        area, moment = area_and_moment(polygon)
        found[key] = moment / area
    return {**found, "trellis": trellis_error()[0]}


class PlaneCodes(Widget):
    """A point to drag over the cells of a code of pairs: mouse, finger or arrow keys.

    Args:
        code: "Z2", "A2", "pair" or "trellis".
        point: where the point starts, both coordinates in -2 ... 2.

    Raises:
        ValueError: another word, or a point outside.
    """

    name = "plane_codes"

    def __init__(self, code: str = "trellis", point: Point = (0.3, 0.4)) -> None:
        if code not in LABELS:
            raise ValueError(f"Argument 'code' must be one of {list(LABELS)}, got {code!r}.")
        if len(point) != 2 or not all(-2 <= v <= 2 for v in point):
            raise ValueError(f"Argument 'point' must be two numbers in -2 ... 2, got {point!r}.")
        super().__init__(
            codes=[_record(key) for key in LABELS],
            coset=list(COSET),
            neighbors=NEIGHBORS,
            limit=1 / (2 * math.pi * math.e),
            code=code,
            point=[float(v) for v in point],
            seed=1,
            drops=0,
        )

    def __repr__(self) -> str:
        return f"PlaneCodes({self.state['code']!r}, {tuple(self.state['point'])})"

    def static_html(self) -> str:
        """The cells of all four codes with the point and the one chosen for it, and a table."""
        x = (self.state["point"][0], self.state["point"][1])
        panels, rows = [], []
        for key, label in LABELS.items():
            found = code(key)
            p, error = nearest(found, x)
            panels.append(f"<figure>{_svg(found, x, p, label)}<figcaption>{label}</figcaption></figure>")
            cells = (f"{error:.4f}", f"{moments()[key]:.5f}", f"{_gain_db(moments()[key]):.2f}")
            inside = "".join(f"<td>{cell}</td>" for cell in cells)
            rows.append(f'<tr><th scope="row">{label}</th>{inside}</tr>')
        columns = ("code", "error here", "mean error", "gain dB")
        head = "".join(f'<th scope="col">{text}</th>' for text in columns)
        caption = f"<caption>Squared error a number, at ({x[0]:g}, {x[1]:g}) and in the mean</caption>"
        return (
            f'<div class="llvq-w llvq-pc llvq-w-static"><div class="llvq-pc-panels">{"".join(panels)}</div>'
            f'<div class="llvq-w-table"><table>{caption}<thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div></div>"
        )


def _gain_db(moment: float) -> float:
    """Gain over rounding each number for itself, in dB."""
    return abs(10 * math.log10(12 * moment))  # none of the codes is worse than Z2


def _record(key: str) -> dict[str, object]:
    """A code as JSON; an infinite handicap is null, and "trellis" has none: it depends on the neighbors."""
    found = code(key)
    handicap = [None if math.isinf(w) else w for w in found.handicap]
    return {
        "key": key,
        "label": LABELS[key],
        "period": list(found.period),
        "offsets": [list(offset) for offset in found.offsets],
        "handicap": handicap if key != "trellis" else [],
        "moment": moments()[key],
    }


def _svg(found: Code, x: Point, p: Point, label: str) -> str:
    """The window -2 ... 2 of the plane: all cells, x, and the chosen point with its cell."""
    parts, chosen = [], ""
    for k, (a, b) in enumerate(found.offsets):
        corners = cell(found, k)
        if not corners:
            continue
        for i in range(-3, 4):
            for j in range(-3, 4):
                at = (a + i * found.period[0], b + j * found.period[1])
                if max(abs(at[0]), abs(at[1])) > 2.9:
                    continue
                path = "L".join(f"{50 * (at[0] + u):.1f} {-50 * (at[1] + v):.1f}" for u, v in corners)
                own = math.dist(at, p) < 1e-9
                if own:
                    chosen = f'<path class="own" d="M{path}Z"/>'
                parts.append(f'<path class="cell" d="M{path}Z"/>')
                parts.append(f'<circle class="point" cx="{50 * at[0]:.1f}" cy="{-50 * at[1]:.1f}" r="2.5"/>')
    (u, v), (a, b) = x, p
    parts.append(
        f'<line class="error" x1="{50 * u:.1f}" y1="{-50 * v:.1f}" x2="{50 * a:.1f}" y2="{-50 * b:.1f}"/>'
    )
    parts.append(f'<circle class="handle" cx="{50 * u:.1f}" cy="{-50 * v:.1f}" r="5"/>')
    alt = f"Cells of the code ({label}); the point ({u:g}, {v:g}) is rounded to ({a:.3g}, {b:.3g})."
    return f'<svg viewBox="-100 -100 200 200" role="img" aria-label="{alt}">{chosen}{"".join(parts)}</svg>'
