"""Week 2, hidden tests."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import points
from data import leech_points, wave


@pytest.fixture(scope="module")
def minimal(adapters):
    """The submission's minimal vectors."""
    return np.asarray(adapters.run_minimal_vectors()).astype(np.int32)


@points("2.1", 2)
def test_kissing_configuration(minimal):
    """Inner products of some vectors with all: 0, ±8, ±16, ±32, so often as they must be."""
    assert len(minimal) == 196_560
    for v in minimal[[0, 1000, 60_000, 150_000]]:
        values, counts = np.unique(minimal @ v, return_counts=True)
        assert values.tolist() == [-32, -16, -8, 0, 8, 16, 32]
        assert counts.tolist() == [1, 4600, 47_104, 93_150, 47_104, 4600, 1]


@points("2.1", 1)
def test_membership_of_sums_and_neighbors(adapters, minimal):
    """The lattice is closed under addition, and no neighbor at distance 2 belongs to it."""
    v = leech_points(60, 4) + minimal[:: len(minimal) // 60][:60] - minimal[7 :: len(minimal) // 60][:60]
    assert np.all(adapters.run_leech_contains(v))
    for i in range(24):
        assert not np.any(adapters.run_leech_contains(v + 2 * np.eye(24, dtype=int)[i]))
        assert not np.any(adapters.run_leech_contains(v + 4 * np.eye(24, dtype=int)[i]))


@points("2.2", 2)
def test_far_shells(adapters):
    """Exact integers far out, where floating point fails."""
    known = {5: 4629381120, 13: 169931095326720, 20: 19428439855275360, 40: 39789443408903042400}
    for m, count in known.items():
        found = adapters.run_theta(m)
        assert isinstance(found, int), "an exact int, please"
        assert found == count, f"shell {m}"


@points("2.3", 1)
def test_more_inner_products(adapters):
    """Other vectors, and one between all shapes."""
    x = wave(8, 24, 2.0, 3.0)
    v = np.asarray(adapters.run_nearest_minimal(x)).astype(int)
    expected = [28.119009, 27.633667, 30.312133, 34.998548, 29.779802, 26.442734, 31.689675, 29.482275]
    assert (v * x).sum(axis=1) == pytest.approx(expected, abs=1e-5)
    assert np.all(adapters.run_leech_contains(v))


@points("2.3", 1)
def test_zeros(adapters):
    """Zero has 196,560 nearest ones, and zeros among coordinates are no trouble."""
    x = np.zeros((3, 24))
    x[1, 3], x[2, :2] = 1.0, (-2.0, 2.0)
    v = np.asarray(adapters.run_nearest_minimal(x)).astype(int)
    assert np.all((v * v).sum(axis=1) == 32) and np.all(adapters.run_leech_contains(v))
    assert (v * x).sum(axis=1).tolist() == [0, 4, 16]


@points("2.4", 2)
def test_more_distances(adapters):
    """Other vectors."""
    x = wave(6, 24, 9.0, 5.0)
    v = np.asarray(adapters.run_nearest_leech(x))
    expected = [12.904002, 13.540496, 11.103009, 12.309938, 12.559481, 13.096338]
    assert ((x - v) ** 2).sum(axis=1) == pytest.approx(expected, abs=1e-5)
    assert np.all(adapters.run_leech_contains(v))


@points("2.4", 1)
def test_deep_hole(adapters):
    """The hole (4, 0^23) is at distance 4 from its nearest points, and so are its translates."""
    hole = leech_points(5, 8).astype(float)
    hole[:, 11] += 4
    v = np.asarray(adapters.run_nearest_leech(hole))
    assert ((hole - v) ** 2).sum(axis=1) == pytest.approx(np.full(5, 16.0))
