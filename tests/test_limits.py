"""Limits: published values, weak duality from both sides, and simulations that know nothing of the formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import gain, limits
from llvq_mini.baselines.scalar import LloydMax, exact_mse


def test_shannon():
    assert limits.shannon(0) == 1 and limits.shannon(2) == 1 / 16


KNOWN = [
    (24, 24, 0.28019), (24, 48, 0.07151), (24, 72, 0.01796), (24, 96, 0.004485), (24, 47, 0.07574), (24, 49, 0.06753),
    (8, 16, 0.08232), (16, 32, 0.07468), (48, 96, 0.06780), (256, 512, 0.06387),
]  # fmt: skip


@pytest.mark.parametrize(
    ("n", "bits", "known"),
    [pytest.param(*k, marks=[] if k[:2] in ((24, 48), (256, 512)) else pytest.mark.slow) for k in KNOWN],
)
def test_known_floors(n, bits, known):
    """Not below a bound that was proved before, and above it by less than it was said to be loose."""
    value = limits.floor(n, bits)
    assert known * (1 - 1e-4) < value < known * (1.004 if bits == 96 else 1.0006)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 9), count=st.integers(1, 40), size=st.floats(0, 9))
def test_the_inequality_behind_the_floor(seed, n, count, size):
    """min |x - c_i|^2 >= lambda - sum (lambda - |x - c_i|^2)_+ for any x, points and lambda."""
    rng = np.random.default_rng(seed)
    squares = ((rng.normal(size=n) - rng.normal(size=(count, n))) ** 2).sum(axis=1)
    assert squares.min() >= size - np.maximum(size - squares, 0).sum() - 1e-12


def test_cells_agree_with_simulation():
    """inside, saved and slope in five dimensions, by random directions."""
    r, s, lam = np.array([0.8, 2.0, 2.5]), np.array([0.0, 0.5, 1.9, 3.1]), np.array([1.2, 1.6, 9.0])
    cells = limits._Cells.of(5, 3, r, s, lam)
    cosine = np.random.default_rng(0).normal(size=(400_000, 5))
    cosine = cosine[:, 0] / np.linalg.norm(cosine, axis=1)
    left = lam[:, None, None] - r[:, None, None] ** 2 - s[:, None] ** 2
    left = left + 2 * (r[:, None] * s)[:, :, None] * cosine
    assert cells.inside == pytest.approx(8 * (left > 0).mean(axis=2), abs=0.03)
    assert cells.saved == pytest.approx(8 * np.maximum(left, 0).mean(axis=2), abs=0.05)
    slope = ((left + 0.1 > 0).mean(axis=2) - (left - 0.1 > 0).mean(axis=2)) / 0.2
    assert cells.slope[:, 1:] == pytest.approx(8 * slope[:, 1:], abs=0.1)


@pytest.mark.parametrize(("n", "bits"), [(24, 48), (8, 16), (3, 6)])
def test_both_sides_meet(n, bits):
    d = limits.dual(n, bits)
    assert d.lower <= d.upper < d.lower * (1.0005 if n > 3 else 1.002)
    assert d.mass.sum() == pytest.approx(1) and d.density.sum() == pytest.approx(1)


@given(tilt=st.floats(-0.5, 0.5), bend=st.floats(-0.3, 0.3), factor=st.floats(0.7, 1.4))
@settings(max_examples=8, deadline=None)
def test_no_lambda_proves_more_and_no_mass_costs_less(tilt, bend, factor):
    """Weak duality, with other multipliers and other masses than the solution's."""
    n, bits = 3, 6
    d = limits.dual(n, bits)
    z = (d.r**2 - n) / n
    lam = d.radius**2 * factor * np.exp(np.clip(tilt * z + bend * z * z, -1, 1))
    proved = d.density @ lam - (d.density @ limits._Cells.of(n, bits, d.r, d.s, lam).saved).max()
    assert proved / n <= d.upper + 1e-9  # the points d.s alone suffice: mu lives there
    mass = d.mass * np.exp(tilt * d.s + bend * d.s**2)
    mass /= mass.sum()
    own, cells = limits._one_unit(n, bits, d.r, d.s, mass, d.radius**2)
    for factor, sign in ((1 - 1e-6, -1), (1 + 1e-6, 1)):  # one unit of mass each
        inside = limits._Cells.of(n, bits, d.r, d.s, own * factor).inside @ mass
        assert (sign * (inside - 1) > -1e-9).all()
    cost = (d.density @ own - d.density @ cells.saved @ mass) / n
    assert cost >= d.lower - 1e-9


def test_floor_stays_below_real_codes():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(64, 3)) * 0.95
    for _ in range(10):  # k-means, so that the code is a good one
        x = rng.normal(size=(4_000, 3))
        nearest = ((x[:, None] - points) ** 2).sum(axis=2).argmin(axis=1)
        points = np.array([x[nearest == i].mean(axis=0) for i in range(64)])
    x = rng.normal(size=(20_000, 3))
    mse = ((x[:, None] - points) ** 2).sum(axis=2).min(axis=1).mean() / 3
    assert 0.85 * mse < limits.floor(3, 6) < mse
    assert limits.shannon(2) < limits.floor(8, 16) < exact_mse(LloydMax(2).levels)


def test_two_to_the_1024_points():
    """More than a double holds.  Long blocks come near Shannon's limit, from above."""
    d = limits.dual(256, 1024)
    assert limits.shannon(4) < d.lower < d.upper < 1.0001 * d.lower < 1.04 * limits.shannon(4)


@pytest.mark.slow
def test_no_kink_between_rates():
    """The gap to Shannon's limit rises with the rate, at a rate that falls: third differences are small."""
    gap = np.log([limits.floor(24, bits) / limits.shannon(bits / 24) for bits in range(42, 67, 4)])
    first, second = np.diff(gap), np.diff(gap, 2)
    assert (first > 0).all() and (second < 0).all() and np.abs(np.diff(second)).max() < 1e-3


@pytest.mark.parametrize(("shape", "gain_bits", "known"), [
    (48, 0, 0.08248), (47, 1, 0.07404), (46, 2, 0.07347), (45, 3, 0.07631), (44, 4, 0.08052),
    (46.66, 1, 0.0754), (45.20, 2, 0.0770),
])  # fmt: skip
def test_known_cap_bounds(shape, gain_bits, known):
    digits = 5e-6 if shape == int(shape) else 5e-5
    assert limits.cap_bound(shape, gain_bits) == pytest.approx(known, abs=1.1 * digits)


@pytest.mark.parametrize(
    ("rate", "best", "known"), [(1, 0, 0.28106), (2, 2, 0.07347), (3, 3, 0.01854), (4, 4, 0.00466)]
)
def test_best_split(rate, best, known):
    bounds = [limits.cap_bound(24 * rate - g, g) for g in range(7)]
    assert np.argmin(bounds) == best and min(bounds) == pytest.approx(known, abs=5.1e-6)


@given(bits=st.floats(0.01, 40))
def test_a_cap_in_three_dimensions(bits):
    """Archimedes: area is uniform along the axis, so a cap of measure p has mean cosine 1 - p."""
    assert limits.mean_cosine(3, bits) == pytest.approx(1 - 2.0**-bits, abs=1e-9)


@given(bits=st.floats(0.5, 100), more=st.floats(0.01, 20), n=st.integers(3, 64))
def test_smaller_caps_are_narrower(bits, more, n):
    assert 0 < limits.mean_cosine(n, bits) < limits.mean_cosine(n, bits + more) + 1e-12 <= 1 + 1e-9


def test_cap_bound_lies_between_floor_and_a_sphere_of_random_directions():
    rng = np.random.default_rng(3)
    unit = rng.normal(size=(256, 3))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    x = rng.normal(size=(20_000, 3))
    projection = (x @ unit.T).max(axis=1)
    mse = (x**2).sum(axis=1).mean() / 3 - (projection**2).mean() / 3  # a perfect gain, for free
    assert 1 - limits.mean_cosine(3, 8) ** 2 < mse
    assert limits.floor(24, 48) < limits.cap_bound(46, 2)


@pytest.mark.parametrize(
    ("bits", "lost"), [(0, 0.02061), (1, 0.00745), (2, 0.00240), (3, 0.00070), (4, 0.00019)]
)
def test_gain_levels(bits, lost):
    """E[g^2] = E[r^2] - E[(r - g)^2], with the published errors and, on a sample, the levels of gain.py."""
    energy = limits.gain_energy(24, bits)
    assert energy == pytest.approx(1 - lost, abs=6e-6)
    levels = gain.lloyd_max(np.ones(1), bits)
    r = np.linalg.norm(np.random.default_rng(1).normal(size=(40_000, 24)), axis=1)
    nearest = levels[np.abs(r[:, None] - levels).argmin(axis=1)]
    assert 1 - energy == pytest.approx(((r - nearest) ** 2).mean() / 24, rel=0.03)


@pytest.mark.parametrize("call", [
    lambda: limits.shannon(-1), lambda: limits.floor(2, 8), lambda: limits.floor(24, 0), lambda: limits.floor(24, 121),
    lambda: limits.floor(24, float("nan")), lambda: limits.cap_bound(0, 1),
    lambda: limits.cap_bound(47, 1.5), lambda: limits.cap_bound(47, -1), lambda: limits.cap_bound(47, 1, n=2),
])  # fmt: skip
def test_errors_name_the_argument(call):
    with pytest.raises(ValueError, match="Argument '"):
        call()
