"""The lattice explorers: their Python against closed forms, polytopes and searches, their JavaScript against Python."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from in_node import javascript
from scipy.spatial import ConvexHull, HalfspaceIntersection

from llvq_mini import second_moment
from llvq_mini.widgets import LatticePlane, LatticeSpace, lattice_plane, lattice_space
from llvq_mini.widgets.lattice_plane import PRESETS, facts

# ---- the plane ----


def bases(count: int = 60) -> list[lattice_plane.Basis]:
    """The presets, and random bases that the widget takes, some of them long and thin."""
    rng = np.random.default_rng(3)
    found = [basis for _, basis in PRESETS.values()]
    while len(found) < count:
        (a, b), (c, d) = np.round(rng.uniform(-2.4, 2.4, (2, 2)), 3).tolist()
        if lattice_plane.allowed(((a, b), (c, d))):
            found.append(((a, b), (c, d)))
    return found


def around(basis: lattice_plane.Basis, reach: int = 25) -> np.ndarray:
    """Lattice points with coefficients up to `reach`: more than a cell can see."""
    return np.array(list(product(range(-reach, reach + 1), repeat=2))) @ np.array(basis)


def test_plane_against_a_search() -> None:
    """Volume, minimum, kissing number, covering radius and nearest points, from all points around."""
    rng = np.random.default_rng(4)
    for basis in bases(30):
        found, points = facts(basis), around(basis)
        assert found.volume == pytest.approx(abs(np.linalg.det(np.array(basis))), rel=1e-9)
        norms = np.sort((points**2).sum(axis=1))[1:]
        assert found.packing == pytest.approx(norms[0] ** 0.5 / 2, rel=1e-9)
        assert found.kissing == (norms < norms[0] * (1 + 1e-6)).sum()
        for corner in lattice_plane.cell(
            basis
        ):  # each corner is a hole: three points or four, and none nearer
            away = np.sort(np.linalg.norm(points - corner, axis=1))
            assert away[:3] == pytest.approx(found.covering, rel=1e-6)
        for x in rng.uniform(-2.4, 2.4, (8, 2)):
            near = lattice_plane.nearest(basis, (x[0], x[1]))
            assert math.dist(near, x) == pytest.approx(np.linalg.norm(points - x, axis=1).min(), abs=1e-9)
            assert np.abs(np.linalg.solve(np.array(basis).T, near) % 1 - 0.5) == pytest.approx(0.5, abs=1e-9)


def test_plane_has_the_moments_of_the_library() -> None:
    """Squares and hexagons are those of second_moment.LATTICES; a rectangle has (p + 1/p) / 24; no cell beats A2."""
    known = {lattice.name: lattice.known for lattice in second_moment.LATTICES}
    assert facts(PRESETS["Z2"][1]).moment == pytest.approx(known["Z"], rel=1e-12)
    assert facts(PRESETS["D2"][1]).moment == pytest.approx(known["Z"], rel=1e-12)
    assert facts(PRESETS["A2"][1]).moment == pytest.approx(known["A2"], rel=1e-12)
    long, hexagons = facts(PRESETS["long"][1]), facts(PRESETS["A2"][1])
    assert long[:5] == pytest.approx(hexagons[:5], rel=1e-12) and long.kissing == hexagons.kissing == 6
    assert hexagons.density == pytest.approx(math.pi / 12**0.5) and hexagons.shape == pytest.approx(
        (0.5, 0.75**0.5)
    )
    assert facts(((2.0, 0.0), (0.0, 0.5))).moment == pytest.approx((4 + 1 / 4) / 24, rel=1e-12)
    assert min(facts(basis).moment for basis in bases()) == pytest.approx(known["A2"], rel=1e-12)


def test_plane_by_simulation() -> None:
    """The polygon's G is the mean error of random places of the skewed lattice."""
    basis = PRESETS["skew"][1]
    places = np.random.default_rng(5).uniform(0, 1, (3000, 2)) @ np.array(basis)
    errors = np.array([math.dist(lattice_plane.nearest(basis, (x, y)), (x, y)) ** 2 for x, y in places])
    found = facts(basis)
    assert (
        abs(errors.mean() / 2 / found.volume - found.moment) < 4 * errors.std() / 2 / found.volume / 3000**0.5
    )


def test_plane_in_javascript() -> None:
    """Facts, cells and nearest points of sixty bases; what is allowed; steps of the shortening keep the lattice."""
    rng = np.random.default_rng(6)
    given = [[basis, np.round(rng.uniform(-2.4, 2.4, (5, 2)), 3).tolist()] for basis in bases()]
    body = """return given.map(([basis, places]) => [facts(basis), cell(basis), places.map((x) => nearest(basis, x)),
        shortenOnce(basis).basis, allowed(basis, state)]);"""
    for (basis, places), (numbers, corners, near, shorter, taken) in zip(
        given, javascript(LatticePlane(), body, given), strict=True
    ):
        wanted = facts(basis)
        for name, value in wanted._asdict().items():
            assert numbers[name] == pytest.approx(value, rel=1e-9), name
        assert np.array(corners) == pytest.approx(np.array(lattice_plane.cell(basis)), abs=1e-9)
        for x, p in zip(places, near, strict=True):
            assert p == pytest.approx(lattice_plane.nearest(basis, x), abs=1e-9)
        assert taken
        change = np.array(shorter) @ np.linalg.inv(np.array(basis))
        assert np.abs(change - np.rint(change)).max() < 1e-9 and abs(np.linalg.det(change)) == pytest.approx(
            1
        )
        assert (np.array(shorter) ** 2).sum() <= (np.array(basis) ** 2).sum() + 1e-9
    thin: list[Any] = [[[1, 0], [2, 0.2]], [[0.2, 0], [0, 2]], [[1, 0], [0, 2.5]]]
    assert javascript(LatticePlane(), "return given.map((b) => allowed(b, state));", thin) == [False] * 3
    assert not any(lattice_plane.allowed(basis) for basis in thin)


def test_plane_arguments() -> None:
    """Each wrong argument is named."""
    with pytest.raises(ValueError, match="Argument 'basis' must be one of"):
        LatticePlane("D4")
    with pytest.raises(ValueError, match="Argument 'basis' must be two vectors"):
        LatticePlane(((1.0, 0.0), (2.0, 0.1)))
    with pytest.raises(ValueError, match="Argument 'point' must be two numbers"):
        LatticePlane(point=(0.0, 3.0))
    with pytest.raises(ValueError, match="Argument 'circles' must be one of"):
        LatticePlane(circles="kissing")
    page = LatticePlane().static_html()
    assert "0.08019" in page and "0.9069" in page and page.count("<svg") == 3


# ---- space ----


def space_bases(count: int = 12) -> list[list[list[float]]]:
    """The path, and random bases far from it."""
    rng = np.random.default_rng(8)
    path = [np.array(lattice_space.basis(step)) for step in (-30, -20, -7, 0, 5, 20, 30)]
    found = [b for b in rng.normal(size=(4 * count, 3, 3)) if abs(np.linalg.det(b)) > 0.7]
    return [b.tolist() for b in [*path, *found[:count]]]


def test_space_against_polytopes() -> None:
    """Faces, volume, corners and kissing number are those of the intersection of all halfspaces around."""
    for rows in space_bases():
        points = np.array(list(product(range(-6, 7), repeat=3))) @ np.array(rows)
        points = points[np.argsort((points**2).sum(axis=1))][1:]
        norms = (points**2).sum(axis=1)
        halfspaces = np.column_stack([points, -norms / 2])
        corners = np.unique(np.round(HalfspaceIntersection(halfspaces, np.zeros(3)).intersections, 8), axis=0)
        found = lattice_space.facts(tuple(map(tuple, rows)))
        assert found.volume == pytest.approx(abs(np.linalg.det(np.array(rows))), rel=1e-9)
        assert ConvexHull(corners).volume == pytest.approx(found.volume, rel=1e-6)
        assert found.covering == pytest.approx(np.linalg.norm(corners, axis=1).max(), rel=1e-6)
        assert found.packing == pytest.approx(norms[0] ** 0.5 / 2, rel=1e-9)
        assert found.kissing == (norms < norms[0] * (1 + 1e-6)).sum()
        on = np.abs(corners @ points[:60].T - norms[:60] / 2) < 1e-6
        assert found.faces == (on.sum(axis=0) > 2).sum()


def test_space_closed_forms() -> None:
    """Moments, densities, thicknesses, kissing numbers and cells of Z3, D3 and its dual, and what is best between."""
    found = {
        key: lattice_space.facts(lattice_space.basis(step))
        for key, (_, step, _) in lattice_space.NAMED.items()
    }
    z3, fcc, bcc = found["Z3"], found["fcc"], found["bcc"]
    assert [f.moment for f in (z3, fcc, bcc)] == pytest.approx(
        [1 / 12, 2 ** (-11 / 3), 19 / (192 * 2 ** (1 / 3))]
    )
    assert [f.density for f in (z3, fcc, bcc)] == pytest.approx(
        [math.pi / 6, math.pi / 18**0.5, math.pi * 3**0.5 / 8]
    )
    assert bcc.thickness == pytest.approx(5**1.5 * math.pi / 24) and z3.thickness == pytest.approx(
        math.pi * 3**0.5 / 2
    )
    assert [(f.faces, f.kissing) for f in (z3, fcc, bcc)] == [(6, 6), (12, 12), (14, 8)]
    path = [
        lattice_space.facts(lattice_space.basis(step))
        for step in range(-lattice_space.LAST, lattice_space.LAST + 1)
    ]
    assert min(f.moment for f in path) == bcc.moment and max(f.density for f in path) == fcc.density
    assert all(f.volume == pytest.approx(1, rel=1e-9) for f in path)
    gram = np.array(lattice_space.basis(20)) @ np.array(lattice_space.basis(20)).T
    assert gram / gram[0, 0] == pytest.approx((np.ones((3, 3)) + np.eye(3)) / 2)


def test_space_by_simulation() -> None:
    """The moment of a cell between the named ones, by random places and the nearest of all points around."""
    rows = np.array(lattice_space.basis(9))
    places = np.random.default_rng(9).uniform(-0.5, 0.5, (4000, 3)) @ rows
    points = np.array(list(product(range(-3, 4), repeat=3))) @ rows
    errors = ((places[:, None] - points) ** 2).sum(axis=2).min(axis=1)
    assert (
        abs(errors.mean() / 3 - lattice_space.facts(lattice_space.basis(9)).moment)
        < 4 * errors.std() / 3 / 4000**0.5
    )


def test_space_in_javascript() -> None:
    """The path's bases, and facts and faces of all of them and of random ones."""
    steps = [-30, -13, 0, 7, 20]
    paths = javascript(
        LatticeSpace(), "return given.map((step) => basisOf(2 ** (step / state.steps)));", steps
    )
    assert np.array(paths) == pytest.approx(
        np.array([lattice_space.basis(step) for step in steps]), abs=1e-12
    )
    given = space_bases()
    body = "return given.map((basis) => [facts(basis), faces(basis).map(({ vector, corners }) => [vector, corners])]);"
    for rows, (numbers, found) in zip(given, javascript(LatticeSpace(), body, given), strict=True):
        basis = tuple(map(tuple, rows))
        for name, value in lattice_space.facts(basis)._asdict().items():
            assert numbers[name] == pytest.approx(value, rel=1e-9), name
        for (vector, corners), face in zip(found, lattice_space.faces(basis), strict=True):
            assert vector == pytest.approx(face.vector, abs=1e-9)
            assert np.array(corners) == pytest.approx(np.array(face.corners), abs=1e-7)
            middle = np.mean(corners, axis=0)  # counterclockwise from outside
            turn = np.cross(np.array(corners[0]) - middle, np.array(corners[1]) - middle)
            assert turn @ np.array(vector) > 0


def test_space_arguments_and_picture() -> None:
    """Each wrong argument is named; the static page has three solids and their numbers."""
    with pytest.raises(ValueError, match="Argument 'lattice' must be one of"):
        LatticeSpace("hcp")
    with pytest.raises(ValueError, match="Argument 'view' must be one of"):
        LatticeSpace(view="atoms")
    page = LatticeSpace().static_html()
    assert page.count("<svg") == 3 and "0.07854" in page and "0.7405" in page and "-0.000" not in page
