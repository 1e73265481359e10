"""Convex polygons: the cells of the plane, and the faces of cells in space.

A polygon is the list of its corners in order, counterclockwise.  `cut` exists in JavaScript as well (_shared.js).
Tests: tests/test_widgets.py (cells that tile the plane), tests/test_widgets_lattices.py.
"""

from __future__ import annotations

Point = tuple[float, float]


def cut(corners: list[Point], normal: Point, limit: float) -> list[Point]:
    """The part of a convex polygon where <z, normal> <= limit."""
    kept: list[Point] = []
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        a = ax * normal[0] + ay * normal[1] - limit
        b = bx * normal[0] + by * normal[1] - limit
        if a <= 1e-12:
            kept.append((ax, ay))
        if (a < -1e-12 and b > 1e-12) or (a > 1e-12 and b < -1e-12):
            t = a / (a - b)
            kept.append((ax + t * (bx - ax), ay + t * (by - ay)))
    return kept if len(kept) > 2 else []


def area_and_moment(corners: list[Point]) -> tuple[float, float]:
    """Area of a polygon about the origin, and the integral of |z|^2 / 2 over it."""
    area = moment = 0.0
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        cross = (ax * by - ay * bx) / 2
        area += cross
        moment += cross * (ax * ax + ax * bx + bx * bx + ay * ay + ay * by + by * by) / 12
    return area, moment
