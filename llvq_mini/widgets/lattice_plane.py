"""Lattices of the plane to deform: two basis vectors, the cell of the origin, its deep holes (lattice_plane.js).

The reader drags the basis b_1, b_2 and a place x.  Everything else follows and is computed in the page:

    short basis     Lagrange's algorithm: subtract from the longer vector the nearest multiple of the shorter one
    cell            cut by the bisectors of +-b_1, +-b_2 and +-(b_1 - b_2), or the sum if <b_1, b_2> < 0, for short b_i
    rho, R          half the least length; the farthest corner of the cell (in the plane every corner is a deep hole)
    density         pi rho^2 / V;  thickness  pi R^2 / V
    G               E|U|^2 / (2 V), exactly, from the polygon

A short basis with 0 <= <b_1, b_2> and |b_1| <= |b_2| has a shape (<b_1, b_2>, V) / |b_1|^2 in the strip 0 ... 1/2 above
the unit circle; there every lattice of the plane occurs once, up to size, turns and reflections.  The widget draws it
as a map, shaded by G, with the reader's lattice as a dot.

The same functions exist in JavaScript; tests/test_widgets_lattices.py compares the two.  Not here: lattices in
space (lattice_space.py).  Source: J. Conway, N. Sloane, Sphere Packings, chapters 1, 2 and 21.  Tests:
tests/test_widgets_lattices.py, tests/browser/test_widget_lattice_plane.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from llvq_mini.second_moment import gain_db
from llvq_mini.widgets._base import Widget
from llvq_mini.widgets._polygons import Point, area_and_moment, cut

Basis = tuple[Point, Point]

REACH = 2.4
"""Basis vectors and x stay in a square of twice this side."""
LEAST_AREA = 0.25
SHORTEST = 0.3
"""Bases below either are refused: their lattice points would run together in the picture."""
_HIGH = 3**0.5 / 2
PRESETS: dict[str, tuple[str, Basis]] = {
    "Z2": ("Z²: squares", ((1.0, 0.0), (0.0, 1.0))),
    "A2": ("A₂: hexagons", ((1.0, 0.0), (0.5, _HIGH))),
    "D2": ("D₂: squares, turned", ((1.0, 1.0), (1.0, -1.0))),
    "skew": ("skewed", ((1.2, 0.2), (0.3, 0.9))),
    "long": ("A₂, a long basis", ((1.5, _HIGH), (2.0, 2 * _HIGH))),
}
CIRCLES = {"none": "none", "packing": "packing", "covering": "covering"}


def shortened(basis: Basis) -> Basis:
    """A basis of the same lattice, |b_1| <= |b_2|, with |<b_1, b_2>| <= |b_1|^2 / 2 (Lagrange's algorithm)."""
    b, c = basis
    while True:
        if _dot(c, c) < _dot(b, b) * (1 - 1e-12):
            b, c = c, b
        share = _dot(b, c) / _dot(b, b)
        if abs(share) <= 0.5 + 1e-9:
            return b, c
        k = math.floor(share + 0.5)
        c = (c[0] - k * b[0], c[1] - k * b[1])


def _dot(p: Point, q: Point) -> float:
    return p[0] * q[0] + p[1] * q[1]


def relevant(basis: Basis) -> list[Point]:
    """The vectors whose bisectors bound the cell: six, of which two only touch it if the cell is a rectangle."""
    b, c = shortened(basis)
    sign = -1 if _dot(b, c) > 0 else 1
    half = [b, c, (b[0] + sign * c[0], b[1] + sign * c[1])]
    return [*half, *((-x, -y) for x, y in half)]


def cell(basis: Basis) -> list[Point]:
    """Corners of the Voronoi cell of the origin, in order."""
    vectors = relevant(basis)
    side = sum(math.hypot(*v) for v in vectors[:2])
    corners = [(-side, -side), (side, -side), (side, side), (-side, side)]
    for v in vectors:
        corners = cut(corners, v, _dot(v, v) / 2)
    return corners


def nearest(basis: Basis, x: Point) -> Point:
    """The lattice point nearest to x: from the rounded coordinates in a short basis, a step in each direction."""
    b, c = shortened(basis)
    volume = b[0] * c[1] - b[1] * c[0]
    i = math.floor((x[0] * c[1] - x[1] * c[0]) / volume + 0.5)
    j = math.floor((b[0] * x[1] - b[1] * x[0]) / volume + 0.5)
    best, found = math.inf, x
    for p in range(i - 1, i + 2):
        for q in range(j - 1, j + 2):
            v = (p * b[0] + q * c[0], p * b[1] + q * c[1])
            square = (x[0] - v[0]) ** 2 + (x[1] - v[1]) ** 2
            if square < best - 1e-12:
                best, found = square, v
    return found


class Facts(NamedTuple):
    """What the table shows: volume, rho, R, packing density, covering thickness, kissing number, G, and the shape."""

    volume: float
    packing: float
    covering: float
    density: float
    thickness: float
    kissing: int
    moment: float
    shape: Point


def facts(basis: Basis) -> Facts:
    """All numbers of a lattice of the plane, from its cell."""
    corners = cell(basis)
    volume, integral = area_and_moment(corners)
    b, c = shortened(basis)
    norms = [_dot(v, v) for v in relevant(basis)]
    least = min(norms)
    rho, far = least**0.5 / 2, max(math.hypot(*corner) for corner in corners)
    return Facts(
        volume,
        rho,
        far,
        math.pi * rho**2 / volume,
        math.pi * far**2 / volume,
        sum(norm < least * (1 + 1e-6) for norm in norms),
        integral / volume**2,
        (abs(_dot(b, c)) / least, volume / least),
    )


def allowed(basis: Basis) -> bool:
    """Whether the widget takes this basis."""
    (a, b), (c, d) = basis
    inside = all(abs(v) <= REACH + 1e-9 for v in (a, b, c, d))
    return inside and abs(a * d - b * c) >= LEAST_AREA and math.hypot(*shortened(basis)[0]) >= SHORTEST


class LatticePlane(Widget):
    """A lattice of the plane whose basis vectors and a place x can be moved: mouse, finger or arrow keys.

    Args:
        basis: "Z2", "A2", "D2", "skew", "long", or two vectors.
        point: where x starts, both coordinates in -2.4 ... 2.4.
        circles: "none", "packing" or "covering", the circles that are drawn at first.

    Raises:
        ValueError: another word, a basis that is nearly dependent, or a place outside.
    """

    name = "lattice_plane"

    def __init__(self, basis: str | Basis = "skew", point: Point = (1.1, 1.5), circles: str = "none") -> None:
        if isinstance(basis, str):
            if basis not in PRESETS:
                raise ValueError(
                    f"Argument 'basis' must be one of {list(PRESETS)} or two vectors, got {basis!r}."
                )
            basis = PRESETS[basis][1]
        if not allowed(basis):
            raise ValueError(
                f"Argument 'basis' must be two vectors in -{REACH} ... {REACH} that span at least {LEAST_AREA}, "
                f"got {basis!r}."
            )
        if len(point) != 2 or not all(-REACH <= v <= REACH for v in point):
            raise ValueError(f"Argument 'point' must be two numbers in -{REACH} ... {REACH}, got {point!r}.")
        if circles not in CIRCLES:
            raise ValueError(f"Argument 'circles' must be one of {list(CIRCLES)}, got {circles!r}.")
        super().__init__(
            presets=[[key, label, [list(v) for v in vectors]] for key, (label, vectors) in PRESETS.items()],
            reach=REACH,
            least_area=LEAST_AREA,
            shortest=SHORTEST,
            basis=[[float(v) for v in vector] for vector in basis],
            point=[float(v) for v in point],
            circles=circles,
        )

    def __repr__(self) -> str:
        return f"LatticePlane({self.state['basis']})"

    def static_html(self) -> str:
        """Three lattices with their cells, side by side, and a table of their numbers."""
        panels, rows = [], []
        for key in ("Z2", "A2", "skew"):
            label, basis = PRESETS[key]
            panels.append(f"<figure>{_svg(basis, label)}<figcaption>{label}</figcaption></figure>")
            found = facts(basis)
            cells = (
                f"{found.volume:.4f}",
                f"{found.density:.4f}",
                str(found.kissing),
                f"{found.thickness:.4f}",
                f"{found.moment:.5f}",
                f"{abs(gain_db(found.moment)):.3f}",
            )
            inside = "".join(f"<td>{text}</td>" for text in cells)
            rows.append(f'<tr><th scope="row">{label}</th>{inside}</tr>')
        columns = ("lattice", "volume", "density", "kissing", "thickness", "G", "gain dB")
        head = "".join(f'<th scope="col">{text}</th>' for text in columns)
        return (
            f'<div class="llvq-w llvq-lp llvq-w-static"><div class="llvq-lp-panels">{"".join(panels)}</div>'
            f'<div class="llvq-w-table"><table><caption>Three lattices of the plane</caption><thead><tr>{head}</tr>'
            f"</thead><tbody>{''.join(rows)}</tbody></table></div></div>"
        )


def _svg(basis: Basis, label: str) -> str:
    """The window -1.6 ... 1.6: cells, points, the cell of the origin, the circles that touch, and the basis."""
    (a, b), (c, d) = basis
    corners, rho = cell(basis), facts(basis).packing
    path = lambda x, y: "M" + "L".join(f"{50 * (x + u):.1f} {-50 * (y + v):.1f}" for u, v in corners) + "Z"  # noqa: E731
    parts = [f'<path class="home" d="{path(0, 0)}"/>']
    for i in range(-6, 7):
        for j in range(-6, 7):
            x, y = i * a + j * c, i * b + j * d
            if max(abs(x), abs(y)) < 2.4:
                at = f'cx="{50 * x:.1f}" cy="{-50 * y:.1f}"'
                parts.append(
                    f'<path class="cell" d="{path(x, y)}"/><circle class="packing" {at} r="{50 * rho:.1f}"/>'
                )
                parts.append(f'<circle class="point" {at} r="2.5"/>')
    for n, (x, y) in enumerate(basis, 1):
        parts.append(f'<line class="arrow b{n}" x1="0" y1="0" x2="{50 * x:.1f}" y2="{-50 * y:.1f}"/>')
    alt = f"Points, cells and touching circles of the lattice ({label}), with a basis."
    return f'<svg viewBox="-80 -80 160 160" role="img" aria-label="{alt}">{"".join(parts)}</svg>'
