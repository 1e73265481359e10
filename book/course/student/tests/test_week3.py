"""Week 3, public tests."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from conftest import points
from data import wave

GAINS = [2.99149821, 3.55358996, 4.06043527, 4.68131489]


@points("3.1", 2)
def test_arrangements(adapters):
    """All arrangements of a small list, in order."""
    ordered = sorted(set(permutations((0, 0, 2, 2, 4))))
    for number, arrangement in enumerate(ordered):
        assert adapters.run_rank(arrangement) == number, f"number of {arrangement}"
        assert tuple(adapters.run_unrank((4, 2, 2, 0, 0), number)) == arrangement, f"arrangement {number}"


@points("3.1", 2)
def test_minimal_numbers(adapters):
    """Numbers -> vectors -> numbers, over the whole range."""
    codes = np.concatenate([np.arange(0, 196_560, 97), [0, 1103, 1104, 98_255, 98_256, 196_559]])
    v = np.asarray(adapters.run_decode_minimal(codes)).astype(int)
    assert v.shape == (len(codes), 24) and np.all((v * v).sum(axis=1) == 32), "minimal vectors"
    assert len(np.unique(v, axis=0)) == len(np.unique(codes)), "different numbers, different vectors"
    assert np.array_equal(adapters.run_encode_minimal(v), codes), "there and back"


@points("3.2", 1)
@pytest.mark.parametrize("bits", [1, 17])
def test_pack(adapters, bits):
    """Bytes of one long number whose lowest bits are the first code."""
    codes = (np.arange(13, dtype=np.uint64) * 77_777) % 2**bits
    whole = sum(int(c) << bits * n for n, c in enumerate(codes))
    expected = whole.to_bytes((13 * bits + 7) // 8, "little")
    assert bytes(np.asarray(adapters.run_pack(codes, bits), dtype=np.uint8)) == expected
    assert np.array_equal(adapters.run_unpack(np.frombuffer(expected, np.uint8), bits, 13), codes)


@points("3.3", 2)
def test_gains_are_stable(adapters):
    """Each level is the mean of the numbers that are nearest to it."""
    p = 4.0 + wave(4000, 1, 0.6)[:, 0] + wave(4000, 1, 0.5, 2.0)[:, 0]
    levels = np.asarray(adapters.run_train_gains(p, 4))
    assert levels.shape == (4,) and np.all(np.diff(levels) > 0), "four levels, ascending"
    cell = np.abs(p[:, None] - levels).argmin(axis=1)
    assert levels == pytest.approx([p[cell == n].mean() for n in range(4)], abs=1e-3)


@points("3.3", 3)
def test_distortion(adapters):
    """Four gains on a Gaussian source: 0.397 a weight, measured."""
    x = np.random.default_rng(3).standard_normal((600, 24))
    codes, numbers = adapters.run_shape_gain_encode(x, GAINS)
    y = np.asarray(adapters.run_shape_gain_decode(codes, numbers, GAINS))
    assert y.shape == x.shape
    mse = float(((x - y) ** 2).mean())
    assert mse == pytest.approx(0.3972, abs=0.008), f"mean squared error {mse:.4f}"


@points("3.4", 1, seconds=2)
def test_gap(adapters):
    """0 dB on Shannon's limit, 6.02 dB for a bit too much."""
    assert adapters.run_gap_db(0.0625, 2.0) == pytest.approx(0.0, abs=1e-12)
    assert adapters.run_gap_db(0.25, 2.0) == pytest.approx(6.0206, abs=1e-4)


@points("3.4", 1, seconds=2)
def test_storage(adapters):
    """48 bits a block of 24 and 16 bits a row of 576."""
    assert adapters.run_bits_per_weight(192, 576, 24, 48, 16) == pytest.approx(2 + 16 / 576)
