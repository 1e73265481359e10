"""The range coder: round trips of any symbols, the length promised, carries, and truncated messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import range_coder


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=300), st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_round_trip(symbols, probability):
    frequency = range_coder.quantized(np.array(probability) + 1e-12)
    data = range_coder.encode(np.array(symbols, dtype=np.int64), frequency)
    assert range_coder.decode(data, frequency, len(symbols)).tolist() == symbols


def test_frequencies_sum_and_follow():
    p = np.random.default_rng(0).dirichlet(np.full(40, 0.2))
    frequency = range_coder.quantized(p)
    assert frequency.sum() == 2**16 and frequency.min() >= 1
    assert np.abs(frequency / 2**16 - p).max() < 41 / 2**16


def test_length_is_the_information():
    rng = np.random.default_rng(1)
    frequency = range_coder.quantized(np.array([0.9, 0.05, 0.03, 0.02]))
    symbols = rng.choice(4, 100_000, p=frequency / 2**16)
    information = -np.log2(frequency / 2**16)[symbols].sum()
    length = 8 * len(range_coder.encode(symbols, frequency))
    assert information - 8 < length < information + 0.002 * len(symbols) + 48


def test_runs_that_carry_through_many_bytes():
    # The most likely symbol at the top of the interval makes long runs of bytes 255 that wait for a carry.
    frequency = np.array([1, 65535])
    for seed in range(20):
        symbols = (np.random.default_rng(seed).random(3000) > 1e-3).astype(np.int64)
        data = range_coder.encode(symbols, frequency)
        assert (range_coder.decode(data, frequency, 3000) == symbols).all()


def test_unsuitable_arguments_raise():
    with pytest.raises(ValueError, match="Argument 'symbols'"):
        range_coder.encode(np.array([2]), np.array([1, 65535]))
    for bad in ([-1.0, 2.0], [0.0, 0.0], [], [np.nan]):
        with pytest.raises(ValueError, match="Argument 'probability'"):
            range_coder.quantized(np.array(bad))
