"""Three lattices of space on one path, their cells as solids to turn (lattice_space.js).

Stand a cube on its corner and stretch it along its upright diagonal by s, at constant volume:

    b_k = s^(-1/3) (sqrt(2/3) cos(2 pi k / 3), sqrt(2/3) sin(2 pi k / 3), s / sqrt 3),      k = 0, 1, 2.

s = 1 is Z^3, s = 2 is D3 (face-centered cubic), s = 1/2 its dual (body-centered cubic), up to turns and size: the
cosine between two of the vectors is (s^2 - 1) / (s^2 + 2), that is 0, 1/2 and -1/3.

The cell.  Every lattice of space has a superbase v_0 + v_1 + v_2 + v_3 = 0 whose inner products are <= 0; Selling's
algorithm finds it.  The bisectors of the fourteen sums of some but not all of the v_i bound the Voronoi cell (Conway
and Sloane); a face that is only a corner or an edge is left out.  With the cell cut into tetrahedra (0, a, b, c) of
volume t,

    V = sum t,   integral of |x|^2 = sum t (|a|^2 + |b|^2 + |c|^2 + |a + b + c|^2) / 20,   G = integral / (3 V^(5/3)).

The same functions exist in JavaScript; tests/test_widgets_lattices.py compares the two.  Not here: other dimensions.
Sources: J. Conway, N. Sloane, "Low-dimensional lattices VI", Proc. Royal Soc. A 436 (1992), for superbases and
cells; the same, Sphere Packings, chapter 21, for the moments.  Tests: tests/test_widgets_lattices.py,
tests/browser/test_widget_lattice_space.py.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

from llvq_mini.second_moment import gain_db
from llvq_mini.widgets._base import Widget
from llvq_mini.widgets._polygons import Point, cut

Vector = tuple[float, float, float]

STEPS = 20
"""Steps of the slider from one named lattice to the next: s = 2^(step / STEPS)."""
LAST = 30
NAMED = {
    "bcc": ("D₃*: iron", -STEPS, "truncated octahedron"),
    "Z3": ("Z³: cubes", 0, "cube"),
    "fcc": ("D₃: cannonballs", STEPS, "rhombic dodecahedron"),
}
LIGHT = (-0.36, 0.56, 0.74)
"""Where the light comes from: right, up, toward the reader."""
VIEWS = {"cell": "one cell", "cells": "with its neighbors", "balls": "balls"}


def basis(step: int) -> tuple[Vector, Vector, Vector]:
    """Three vectors of volume 1 at s = 2^(step / STEPS)."""
    s = 2 ** (step / STEPS)
    size, flat = s ** (-1 / 3), (2 / 3) ** 0.5
    b = [
        (
            size * flat * math.cos(2 * math.pi * k / 3),
            size * flat * math.sin(2 * math.pi * k / 3),
            size * s / 3**0.5,
        )
        for k in range(3)
    ]
    return b[0], b[1], b[2]


def _dot(p: Vector, q: Vector) -> float:
    return p[0] * q[0] + p[1] * q[1] + p[2] * q[2]


def _plus(p: Vector, q: Vector) -> Vector:
    return (p[0] + q[0], p[1] + q[1], p[2] + q[2])


def _times(k: float, p: Vector) -> Vector:
    return (k * p[0], k * p[1], k * p[2])


def _cross(p: Vector, q: Vector) -> Vector:
    return (p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])


def superbase(vectors: tuple[Vector, Vector, Vector]) -> list[Vector]:
    """Four vectors of sum 0 that generate the same lattice, no two at an acute angle (Selling's algorithm)."""
    v = [*vectors, _times(-1, _plus(_plus(vectors[0], vectors[1]), vectors[2]))]
    while True:
        acute = next(((i, j) for i, j in combinations(range(4), 2) if _dot(v[i], v[j]) > 1e-9), None)
        if acute is None:
            return v
        i, j = acute
        # of the other two, one gets v_i, and so does the other: the sum stays 0, the sum of squares falls
        v = [_times(-1, w) if k == i else w if k == j else _plus(w, v[i]) for k, w in enumerate(v)]


def relevant(vectors: tuple[Vector, Vector, Vector]) -> list[Vector]:
    """The fourteen vectors whose bisectors bound the cell, those of least norm first."""
    v = superbase(vectors)
    found = [*v, *(_times(-1, w) for w in v), *(_plus(v[i], v[j]) for i, j in combinations(range(4), 2))]
    return sorted(found, key=lambda w: round(_dot(w, w), 9))


class Face(NamedTuple):
    """A face of the cell: the lattice vector behind it and its corners, counterclockwise from outside."""

    vector: Vector
    corners: list[Vector]


def faces(vectors: tuple[Vector, Vector, Vector]) -> list[Face]:
    """The faces of the Voronoi cell of the origin."""
    around = relevant(vectors)
    side = sum(_dot(w, w) ** 0.5 for w in vectors)
    found = []
    for v in around:
        length = _dot(v, v) ** 0.5
        normal = _times(1 / length, v)
        # two directions in the plane of the face that make a right-handed frame with its normal
        axis: Vector = (1.0, 0.0, 0.0) if abs(normal[0]) < 0.6 else (0.0, 1.0, 0.0)
        across = _cross(normal, axis)
        across = _times(1 / _dot(across, across) ** 0.5, across)
        up = _cross(normal, across)
        polygon: list[Point] = [(-side, -side), (side, -side), (side, side), (-side, side)]
        for w in around:
            if w is not v:
                polygon = cut(polygon, (_dot(w, across), _dot(w, up)), (_dot(w, w) - _dot(w, v)) / 2)
        corners = _distinct(
            [_plus(_times(0.5, v), _plus(_times(a, across), _times(b, up))) for a, b in polygon]
        )
        if len(corners) > 2:
            found.append(Face(v, corners))
    return found


def _distinct(corners: list[Vector]) -> list[Vector]:
    """Without corners that repeat the one before."""
    return [p for p, q in zip(corners, corners[-1:] + corners[:-1], strict=True) if math.dist(p, q) > 1e-7]


class Facts(NamedTuple):
    """Number of faces, volume, packing and covering radius, density, thickness, kissing number and G."""

    faces: int
    volume: float
    packing: float
    covering: float
    density: float
    thickness: float
    kissing: int
    moment: float


def facts(vectors: tuple[Vector, Vector, Vector]) -> Facts:
    """All numbers of a lattice of space, from its cell."""
    found, volume, integral = faces(vectors), 0.0, 0.0
    for _, corners in found:
        a = corners[0]
        for b, c in zip(corners[1:], corners[2:], strict=False):
            part = _dot(a, _cross(b, c)) / 6
            total = _plus(a, _plus(b, c))
            volume += part
            integral += part * (_dot(a, a) + _dot(b, b) + _dot(c, c) + _dot(total, total)) / 20
    norms = [_dot(v, v) for v in relevant(vectors)]
    rho = norms[0] ** 0.5 / 2
    far = max(_dot(p, p) for face in found for p in face.corners) ** 0.5
    ball = 4 / 3 * math.pi / volume
    return Facts(
        len(found),
        volume,
        rho,
        far,
        ball * rho**3,
        ball * far**3,
        sum(norm < norms[0] * (1 + 1e-6) for norm in norms),
        integral / (3 * volume ** (5 / 3)),
    )


class LatticeSpace(Widget):
    """The Voronoi cell of a lattice of space, to turn and to stretch: mouse, finger or arrow keys.

    Args:
        lattice: "bcc", "Z3" or "fcc".
        view: "cell", "cells" (with its neighbors, to pull apart) or "balls".

    Raises:
        ValueError: another word.
    """

    name = "lattice_space"

    def __init__(self, lattice: str = "fcc", view: str = "cell") -> None:
        for argument, value, known in (("lattice", lattice, NAMED), ("view", view, VIEWS)):
            if value not in known:
                raise ValueError(f"Argument '{argument}' must be one of {list(known)}, got {value!r}.")
        super().__init__(
            named=[[key, *row] for key, row in NAMED.items()],
            steps=STEPS,
            last=LAST,
            step=NAMED[lattice][1],
            view=view,
            light=list(LIGHT),
            turn=[20, 18],
            apart=40,
        )

    def __repr__(self) -> str:
        return f"LatticeSpace(step={self.state['step']}, view={self.state['view']!r})"

    def static_html(self) -> str:
        """The three named cells, side by side, and a table of their numbers."""
        panels, rows = [], []
        for label, step, solid in NAMED.values():
            found = facts(basis(step))
            panels.append(f"<figure>{_svg(step, solid)}<figcaption>{label}: {solid}</figcaption></figure>")
            cells = (
                str(found.faces),
                f"{found.density:.4f}",
                str(found.kissing),
                f"{found.thickness:.4f}",
                f"{found.moment:.5f}",
                f"{abs(gain_db(found.moment)):.3f}",
            )
            inside = "".join(f"<td>{text}</td>" for text in cells)
            rows.append(f'<tr><th scope="row">{label}</th>{inside}</tr>')
        columns = ("lattice", "faces", "density", "kissing", "thickness", "G", "dB")
        head = "".join(f'<th scope="col">{text}</th>' for text in columns)
        return (
            f'<div class="llvq-w llvq-ls llvq-w-static"><div class="llvq-ls-panels">{"".join(panels)}</div>'
            f'<div class="llvq-w-table"><table><caption>Volume 1; dB: gain over rounding</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></div>"
        )


def _svg(step: int, solid: str) -> str:
    """The solid from the front: its visible faces, shaded; a color for each length of the vector behind a face."""
    yaw, pitch = math.radians(20), math.radians(18)
    right = (math.cos(yaw), math.sin(yaw), 0.0)
    toward = (math.sin(yaw) * math.cos(pitch), -math.cos(yaw) * math.cos(pitch), math.sin(pitch))
    up = _cross(toward, right)
    lengths: list[float] = []
    parts = []
    for v, corners in faces(basis(step)):
        norm = round(_dot(v, v), 6)
        if norm not in lengths:
            lengths.append(norm)
        if _dot(v, toward) <= 1e-9:
            continue
        light = (
            max(0.0, _dot(v, right) * LIGHT[0] + _dot(v, up) * LIGHT[1] + _dot(v, toward) * LIGHT[2])
            / norm**0.5
        )
        path = "L".join(f"{90 * _dot(p, right):.1f} {-90 * _dot(p, up):.1f}" for p in corners)
        look = f'class="face f{lengths.index(norm)}" style="--lit: {100 * light:.0f}%"'
        parts.append(f'<path {look} d="M{path}Z"/>')
    return f'<svg viewBox="-90 -90 180 180" role="img" aria-label="A {solid}.">{"".join(parts)}</svg>'
