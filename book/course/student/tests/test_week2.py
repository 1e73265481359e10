"""Week 2, public tests."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import points
from data import leech_points, wave


@pytest.fixture(scope="module")
def minimal(adapters):
    """Your minimal vectors, as integers that do not overflow."""
    return np.asarray(adapters.run_minimal_vectors()).astype(np.int32)


@points("2.1", 2)
def test_members(adapters):
    """Vectors one can check by hand."""
    inside = [[8] + 23 * [0], [4, -4] + 22 * [0], 23 * [1] + [-3], [5] + 23 * [1], 24 * [2], 24 * [0]]
    outside = [
        [4] + 23 * [0],
        24 * [1],
        [-1] + 23 * [1],
        8 * [2] + 16 * [1],
        [2, 2] + 22 * [0],
        [4, 4, 8, 4] + 20 * [0],
    ]
    assert np.all(adapters.run_leech_contains(np.array(inside))), "all of these are in the lattice"
    assert not np.any(adapters.run_leech_contains(np.array(outside))), "none of these is in the lattice"
    assert np.all(adapters.run_leech_contains(leech_points(200)))


@points("2.1", 2)
def test_minimal_vectors(adapters, minimal):
    """Their number and their length."""
    assert minimal.shape == (196_560, 24)
    assert np.all((minimal * minimal).sum(axis=1) == 32), "length squared 32"
    key = (minimal + 4) @ (9 ** np.arange(24, dtype=np.uint64)).view(np.int64)
    assert len(np.unique(key)) == 196_560, "all different"
    assert np.all(adapters.run_leech_contains(minimal[::97])), "they are in the lattice"


@points("2.2", 3)
def test_small_shells(adapters):
    """The first numbers of the series."""
    for m, count in enumerate((1, 0, 196_560, 16_773_120, 398_034_000)):
        assert adapters.run_theta(m) == count, f"shell {m}"


@points("2.3", 2)
def test_largest_inner_product(adapters):
    """As large as the best of all 196,560."""
    x = wave(5, 24, 1.0)
    v = np.asarray(adapters.run_nearest_minimal(x))
    assert np.all((v.astype(int) ** 2).sum(axis=1) == 32), "length squared 32"
    expected = [13.998618, 13.856295, 15.286268, 16.61037, 14.776921]
    assert (v * x).sum(axis=1) == pytest.approx(expected, abs=1e-5)


@points("2.3", 2)
def test_every_shape_is_found(adapters, minimal):
    """A minimal vector is nearest to itself, whatever its shape."""
    some = minimal[:: 196_560 // 60]
    x = some + 0.05 * wave(len(some), 24, 1.0)
    assert np.array_equal(adapters.run_nearest_minimal(x), some)
    # one coordinate shrinks and changes its sign; no other vector is nearer, and the rules for signs must mend it
    place = np.abs(some).argmax(axis=1)
    x[np.arange(len(x)), place] *= -0.05
    twos = np.abs(some).max(axis=1) == 2
    assert np.array_equal(adapters.run_nearest_minimal(x[twos]), some[twos]), "octads with one doubtful sign"


@points("2.4", 2)
def test_repairs_small_noise(adapters):
    """Noise below half the shortest distance leads back to the point."""
    v = leech_points(12)
    noise = wave(12, 24, 1.0)
    noise *= 2.8 / np.linalg.norm(noise, axis=1, keepdims=True)
    assert np.array_equal(adapters.run_nearest_leech(v + noise), v)


@points("2.4", 2)
def test_distances(adapters):
    """Far from any point: as near as the nearest, and in the lattice."""
    x = wave(4, 24, 6.0)
    v = np.asarray(adapters.run_nearest_leech(x))
    assert np.all(adapters.run_leech_contains(v)), "the answer is a lattice point"
    assert ((x - v) ** 2).sum(axis=1) == pytest.approx([13.536859, 13.134416, 14.133653, 13.008539], abs=1e-5)
