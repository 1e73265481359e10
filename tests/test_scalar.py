"""Scalar quantizers: published optima, round trips, errors."""

import numpy as np
import pytest

from llvq_mini.baselines.scalar import LloydMax, Uniform, exact_mse

# J. Max (1960), tables I and II: mean squared error for 2, 4, 8, 16 levels.
MAX_1960 = {1: (0.3634, 0.3634), 2: (0.1175, 0.1188), 3: (0.03454, 0.03744), 4: (0.009497, 0.01154)}


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_published_optima(bits):
    best, uniform = MAX_1960[bits]
    assert exact_mse(LloydMax(bits).levels) == pytest.approx(best, rel=1e-3)
    assert exact_mse(Uniform(bits).levels) == pytest.approx(uniform, rel=1e-3)


@pytest.mark.parametrize("book", [Uniform(1), Uniform(3), LloydMax(2), LloydMax(8)], ids=lambda b: b.name)
def test_decode_gives_the_nearest_level(book):
    x = np.random.default_rng(0).normal(size=(500, book.dim)).astype(np.float32)
    codes = book.encode(x)
    assert codes.dtype == np.uint64 and (codes >> np.uint64(book.bits - 1) <= 1).all()
    levels = book.levels
    nearest = levels[np.abs(x[..., None] - levels).argmin(axis=-1)]
    np.testing.assert_array_equal(book.decode(codes), nearest.astype(np.float32))


def test_measured_error_agrees_with_the_closed_form():
    book = LloydMax(2)
    x = np.random.default_rng(1).normal(size=(50_000, 8)).astype(np.float32)
    assert np.mean((book.decode(book.encode(x)) - x) ** 2) == pytest.approx(exact_mse(book.levels), rel=0.01)


@pytest.mark.parametrize("call", [
    lambda: Uniform(0), lambda: LloydMax(9), lambda: Uniform(2).encode(np.zeros((2, 7))),
    lambda: Uniform(2).encode(np.full((1, 8), np.nan)), lambda: Uniform(2).decode(np.array([1 << 16])),
])  # fmt: skip
def test_errors_name_the_argument(call):
    with pytest.raises(ValueError, match="Argument '"):
        call()
