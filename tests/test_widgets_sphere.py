"""The projection of the minimal vectors: its planes, its counts, and the vectors that the page makes for itself."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
from test_widgets_compute import javascript

from llvq_mini import leech
from llvq_mini.widgets import SphereProjection, sphere_projection

MINIMAL = leech.minimal_vectors()


@pytest.mark.parametrize(("name", "turns"), [("rings", 78), ("cycle", 23)])
def test_symmetries_and_their_planes(name: str, turns: int) -> None:
    """An orthogonal map that carries minimal vectors to minimal vectors and turns the plane by 1/turns of a circle."""
    g, p = sphere_projection.symmetry(name), sphere_projection.plane(name)
    assert sphere_projection.order(name) == turns and np.allclose(g @ g.T, np.eye(24))
    images = MINIMAL[::13] @ g.T
    assert np.allclose(images, np.rint(images)) and leech.contains(np.rint(images).astype(int)).all()
    c, s = np.cos(2 * np.pi / turns), np.sin(2 * np.pi / turns)
    assert np.allclose(p.T @ p, np.eye(2)) and np.allclose(g @ p, p @ np.array([[c, -s], [s, c]]))
    assert p[0, 0] > 0 and abs(p[0, 1]) < 1e-12


def test_all_rings_have_78_vectors() -> None:
    """The eigenvalues are the 24 primitive 78th roots, so no proper power has the eigenvalue 1 and fixes a vector."""
    turns = np.sort(np.angle(np.linalg.eigvals(sphere_projection.symmetry("rings"))) / (2 * np.pi) * 78 % 78)
    assert np.allclose(turns, [k for k in range(78) if math.gcd(k, 78) == 1])
    assert len(MINIMAL) == 2520 * 78


def test_numbers_by_angle() -> None:
    """The famous seven, for a vector of each class and some others."""
    for center in (0, 1103, 1104, 98_256, *np.random.default_rng(3).integers(0, 196_560, 4).tolist()):
        counts = sphere_projection.by_angle(center)
        assert counts.sum(axis=1).tolist() == [1, 4600, 47104, 93150, 47104, 4600, 1]
        assert counts.sum(axis=0).tolist() == [1104, 97152, 98304]


def test_minimal_vectors_in_javascript() -> None:
    """All of them, in the library's order; angles to a vector; points of every plane."""
    center = 123_456
    body = """
        const v = minimalVectors(golayWords(state.hamming, state.inverted));
        const angles = angleGroups(v, given);
        const planes = Object.keys(NAMES).map((plane) => {
            const basis = basisOf(state, v, plane, given, angles);
            return [plane, basis, Array.from(projected(v, basis)).filter((_, k) => k % 2000 < 2)];
        });
        const text = (a) => Buffer.from(a.buffer).toString("base64");
        return [text(v), text(angles), planes, tally(angles)];
    """
    vectors, angles, planes, counts = javascript(SphereProjection(), body, center)
    v = np.frombuffer(base64.b64decode(vectors), np.int8).reshape(-1, 24)
    assert np.array_equal(v, MINIMAL)
    products = v.astype(int) @ v[center]
    assert (
        np.array(sphere_projection.PRODUCTS)[np.frombuffer(base64.b64decode(angles), np.uint8)] == products
    ).all()
    assert counts == sphere_projection.by_angle(center).tolist()
    assert [plane for plane, _, _ in planes] == list(sphere_projection.PLANES)
    for plane, basis, points in planes:
        basis = np.array(basis)
        assert np.allclose(basis @ basis.T, np.eye(2), atol=1e-6)
        assert np.allclose(np.reshape(points, (-1, 2)), v[::1000] @ basis.T / 32**0.5, atol=1e-6)
        if plane in ("rings", "cycle"):
            assert np.allclose(basis.T, sphere_projection.plane(plane), atol=1e-6)
        else:
            assert np.allclose(basis[1], v[center] / 32**0.5)
        if plane == "hexagon":
            places = np.unique(np.rint(64 * (v @ basis.T) / 32**0.5), axis=0)
            assert len(places) == 25 and (v @ basis.T / 32**0.5).max() == pytest.approx(1)
