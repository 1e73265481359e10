"""allocate.py against all assignments, and its prediction against what quantization really costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from doubles import ScalarBlock, random_hessian
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini.allocate import allocate, hull, predicted_loss
from llvq_mini.feedback import factorize, quantize_blocks

RATES = (1.5, 2.0, 2.5)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_assignment_with_as_few_bits_is_better(data):
    count = data.draw(st.integers(1, 4))
    sizes = {str(j): data.draw(st.integers(1, 5)) for j in range(count)}
    losses = {
        name: [(bits, data.draw(st.floats(0.01, 10)) * 4**-bits) for bits in RATES] for name in sizes
    }
    budget = data.draw(st.floats(1.5, 2.6))
    chosen = allocate(losses, sizes, budget)
    spent = sum(sizes[name] * chosen[name] for name in sizes)
    assert spent <= budget * sum(sizes.values()) + 1e-9
    loss = sum(dict(losses[name])[chosen[name]] for name in sizes)
    for rates in itertools.product(RATES, repeat=count):
        other = dict(zip(sizes, rates, strict=True))
        if sum(sizes[name] * other[name] for name in sizes) <= spent + 1e-9:
            assert loss <= sum(dict(losses[name])[other[name]] for name in sizes) + 1e-12


def test_the_sensitive_linear_gets_the_bits():
    losses = {"a": [(b, 10 * 4**-b) for b in RATES], "b": [(b, 0.1 * 4**-b) for b in RATES]}
    assert allocate(losses, {"a": 1, "b": 1}, 2.0) == {"a": 2.5, "b": 1.5}
    assert allocate(losses, {"a": 1, "b": 1}, 9.0) == {"a": 2.5, "b": 2.5}
    assert allocate(losses, {"a": 1, "b": 1}, 1.9) == {"a": 2.0, "b": 1.5}


def test_hull_leaves_out_rates_that_are_never_best():
    assert hull([(1, 10), (2, 9.5), (3, 2), (4, 3)]) == [(1, 10), (3, 2)]
    assert hull([(3, 1.0), (1, 4.0), (2, 2.0)]) == [(1, 4.0), (2, 2.0), (3, 1.0)]


def test_prediction_matches_quantization():
    book, rows = ScalarBlock(), 64
    hessian, metric = random_hessian(192, 1), random_hessian(rows, 2)
    hessian += np.trace(hessian) / 192 * np.eye(192)
    rng = np.random.default_rng(3)
    weight = (rng.standard_normal((rows, 192)) * rng.uniform(0.5, 2, (rows, 1))).astype(np.float32)
    factors = factorize(hessian)
    scale = np.sqrt(np.square(weight).mean(axis=1))
    error = weight - quantize_blocks(weight, factors, book, scale)[1]
    sample = rng.standard_normal((20_000, 24)).astype(np.float32)
    mse = np.square(sample - book.decode(book.encode(sample))).mean()
    measured = np.trace(metric @ error @ hessian @ error.T)
    assert mse * predicted_loss(weight, metric, factors.noise) == pytest.approx(measured, rel=0.15)


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least 1.5"):
        allocate({"a": [(1.5, 1.0)]}, {"a": 3}, 1.0)
    with pytest.raises(ValueError, match="losses"):
        allocate({"a": []}, {"a": 3}, 2.0)
    with pytest.raises(ValueError, match="losses"):
        allocate({"a": [(1.5, 1.0)]}, {}, 2.0)
