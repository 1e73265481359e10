"""hessian.py against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini.errors import LLVQError
from llvq_mini.hessian import Accumulator, damped


def windows(count: int = 5, tokens: int = 40, width: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal((tokens, width)) * np.arange(1, width + 1)).astype(np.float32)
        for _ in range(count)
    ]


def accumulated(data: list[np.ndarray]) -> Accumulator:
    accumulator = Accumulator(data[0].shape[1])
    for window in data:
        accumulator.add(window)
    return accumulator


def test_hessian_is_the_mean_outer_product():
    data = windows()
    rows = np.concatenate(data).astype(np.float64)
    expected = sum(np.outer(x, x) for x in rows) / len(rows)
    assert np.allclose(accumulated(data).hessian(), expected, rtol=1e-5)


def test_sink_term_adds_first_positions():
    data = windows()
    firsts = np.stack([window[0] for window in data]).astype(np.float64)
    accumulator = accumulated(data)
    difference = accumulator.hessian(sink_weight=4.0) - accumulator.hessian()
    assert np.allclose(difference, 4 * firsts.T @ firsts / len(data), rtol=1e-5)


def test_output_energy_is_what_the_hessian_predicts():
    data, error = windows(), np.random.default_rng(1).standard_normal((3, 12))
    outputs = np.concatenate(data).astype(np.float64) @ error.T
    predicted = np.trace(error @ accumulated(data).hessian() @ error.T)
    assert np.isclose(predicted, np.mean(np.sum(outputs**2, axis=1)), rtol=1e-5)


def test_double_precision_sum_of_many_windows():
    """A float32 running sum would stop growing: 2^24 + 1 is 2^24 there."""
    accumulator = Accumulator(1)
    accumulator.add(np.full((1, 1), 4096, dtype=np.float32))
    for _ in range(100):
        accumulator.add(np.ones((1, 1), dtype=np.float32))
    assert accumulator.total[0, 0] == 2**24 + 100


def test_damping():
    hessian = np.diag([1.0, 3.0])
    result, amount = damped(hessian, 0.01)
    assert amount == pytest.approx(0.02) and np.allclose(np.diag(result), [1.02, 3.02])
    assert np.array_equal(hessian, np.diag([1.0, 3.0]))
    assert damped(np.zeros((2, 2)))[1] == 1.0
    with pytest.raises(ValueError, match="'hessian'"):
        damped(np.zeros((2, 3)))


def test_bad_inputs():
    accumulator = Accumulator(4)
    with pytest.raises(LLVQError, match="No calibration input"):
        accumulator.hessian()
    for shape in [(3, 5), (4,), (0, 4)]:
        with pytest.raises(ValueError, match="'window'"):
            accumulator.add(np.zeros(shape, dtype=np.float32))
    accumulator.add(np.full((2, 4), np.nan, dtype=np.float32))
    with pytest.raises(LLVQError, match="NaN or infinity"):
        accumulator.hessian()
