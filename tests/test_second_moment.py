"""Second moments: decoders against brute force, boxes that are periods, published constants."""

from itertools import product
from math import e, pi

import numpy as np
import pytest

from llvq_mini import second_moment
from llvq_mini.second_moment import LATTICES

SMALL = LATTICES[:4]
by_name = pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: lattice.name)


@by_name
def test_known_moment(lattice):
    """Within four standard errors; the Leech lattice's published value is itself 0.03 % high."""
    moment, error = second_moment.measure(lattice, 20_000)
    slack = 2.5e-5 if lattice.name == "Leech" else 0
    assert abs(moment - lattice.known) < 4 * error + slack
    assert 4 * error < 0.03 * lattice.known
    assert second_moment.ball(lattice.dim) <= lattice.known * (1 + 1e-9)


def _points(name: str) -> np.ndarray:
    """All lattice points near the origin that can be nearest to a point of the unit cube, by definition."""
    if name == "Z":
        return np.arange(-2.0, 4)[:, None]
    if name == "A2":
        return np.array([(a + b / 2, b * 3**0.5 / 2) for a, b in product(range(-4, 5), repeat=2)])
    if name == "D4":
        return np.array([v for v in product(range(-1, 3), repeat=4) if sum(v) % 2 == 0], dtype=float)
    halves = [v for v in product((-1, 1, 3), repeat=8) if sum(v) % 4 == 0]
    wholes = [v for v in product((-2, 0, 2, 4), repeat=8) if sum(v) % 4 == 0 and sum(map(abs, v)) <= 18]
    return np.array(halves + wholes, dtype=float) / 2


@pytest.mark.parametrize("lattice", SMALL, ids=lambda lattice: lattice.name)
def test_decoder_against_brute_force(lattice):
    x = np.random.default_rng(1).uniform(0, 1, (100, lattice.dim))
    points = _points(lattice.name)
    distance = (points**2).sum(axis=1) - 2 * x @ points.T
    best = (x**2).sum(axis=1) + distance.min(axis=1)
    found = ((x - lattice.nearest(x)) ** 2).sum(axis=1)
    assert found == pytest.approx(best, abs=1e-12)
    near = lattice.nearest(x)
    assert (
        np.abs(near[:, None] - points).max(axis=2).min(axis=1).max() < 1e-12
    )  # the answer is a lattice point


@by_name
def test_box_is_a_period(lattice):
    x = np.random.default_rng(2).uniform(-1, 1, (50, lattice.dim))
    for axis, period in enumerate(lattice.box):
        step = np.zeros(lattice.dim)
        step[axis] = period
        assert lattice.nearest(x + step) == pytest.approx(lattice.nearest(x) + step, abs=1e-9)


@pytest.mark.parametrize("lattice", SMALL, ids=lambda lattice: lattice.name)
def test_determinant(lattice):
    """A cell's share of the box: the fraction of points that go to the origin or to its copies in the box."""
    x = np.random.default_rng(3).uniform(0, lattice.box, (40_000, lattice.dim))
    near = np.mod(lattice.nearest(x) + 1e-9, lattice.box)
    share = (near < 1e-6).all(axis=1).mean()
    assert share == pytest.approx(lattice.determinant / np.prod(lattice.box), abs=0.01)


def test_ball():
    assert second_moment.ball(1) == pytest.approx(1 / 12)
    assert second_moment.ball(2) == pytest.approx(1 / (4 * pi))
    assert second_moment.ball(8) == pytest.approx(0.070454, abs=5e-7)
    assert second_moment.ball(24) == pytest.approx(0.064750, abs=5e-7)
    assert second_moment.ball(10**6) == pytest.approx(1 / (2 * pi * e), rel=1e-4)


def test_gain():
    assert second_moment.gain_db(1 / 12) == pytest.approx(0)
    assert [round(second_moment.gain_db(x.known), 3) for x in LATTICES[3:]] == [0.654, 1.028]
    assert second_moment.gain_db(1 / (2 * pi * e)) == pytest.approx(1.533, abs=5e-4)


@pytest.mark.parametrize(
    "call", [lambda: second_moment.ball(0), lambda: second_moment.measure(LATTICES[0], 1)]
)
def test_errors_name_the_argument(call):
    with pytest.raises(ValueError, match="Argument '"):
        call()
