"""Limits: closed forms, a Monte Carlo check of the dual bound, and known values."""

import numpy as np
import pytest

from llvq_mini import limits
from llvq_mini.baselines.scalar import LloydMax, exact_mse


def test_shannon():
    assert limits.shannon(0) == 1 and limits.shannon(2) == 1 / 16


def test_bound_agrees_with_simulation():
    """E[lambda] - N max_c E[(lambda - |X - c|^2)_+] in three dimensions, by random numbers."""
    grid = limits._Grid(3, 2000, 60)
    p = (-1.5, 0.6, -0.05)
    x = np.random.default_rng(0).normal(size=(400_000, 3))
    z = (x**2).sum(axis=1) / 3 - 1
    lam = np.exp(p[0] + p[1] * z + p[2] * z * z)
    saved = [np.maximum(lam - ((x - [s, 0, 0]) ** 2).sum(axis=1), 0).mean() for s in grid.s]
    simulated = (lam.mean() - 2**6 * max(saved)) / 3
    assert grid.bound(np.polyval(p[::-1], grid.z()), 6) == pytest.approx(simulated, abs=0.01)


@pytest.mark.parametrize(("n", "bits", "expected"), [(24, 48, 0.0715), (24, 24, 0.2800), (8, 16, 0.0821)])
def test_known_floors(n, bits, expected):
    assert limits.floor(n, bits) == pytest.approx(expected, rel=2e-3)


def test_floor_lies_between_shannon_and_a_real_code():
    value = limits.floor(8, 16)
    assert limits.shannon(2) < value < exact_mse(LloydMax(2).levels)


@pytest.mark.parametrize("call", [
    lambda: limits.shannon(-1), lambda: limits.floor(2, 8), lambda: limits.floor(24, 0),
])  # fmt: skip
def test_errors_name_the_argument(call):
    with pytest.raises(ValueError, match="Argument '"):
        call()
