"""Week 3, hidden tests."""

from __future__ import annotations

import tracemalloc
from math import comb

import numpy as np
import pytest
from conftest import points
from data import wave

GAINS = [3.35150138, 4.24485733]


@points("3.1", 2)
def test_long_arrangements(adapters):
    """24 values: the last number of all, and there and back."""
    leader = [4] * 3 + [2] * 8 + [0] * 13
    count = comb(24, 3) * comb(21, 8)
    assert adapters.run_rank(tuple(leader)) == count - 1
    assert tuple(adapters.run_unrank(leader, count - 1)) == tuple(leader)
    for number in (0, 12_345_678_901 % count, count // 2):
        assert adapters.run_rank(adapters.run_unrank(leader, number)) == number
    with pytest.raises(ValueError):
        adapters.run_unrank(leader, count)


@points("3.1", 1)
def test_limits_of_numbers(adapters):
    """Numbers outside 0 ... 196,559 and vectors that are not minimal are refused."""
    for wrong in (-1, 196_560):
        with pytest.raises(ValueError):
            adapters.run_decode_minimal(np.array([0, wrong]))
    no_octad = [0, 2, 2, 2, 2, 2, 2, 2, 2] + 15 * [0]
    for vector in ([8] + 23 * [0], no_octad, [5] + 7 * [1] + 16 * [0]):
        with pytest.raises(ValueError):
            adapters.run_encode_minimal(np.array([vector]))
    v = np.asarray(adapters.run_decode_minimal(np.arange(500)))
    assert np.array_equal(adapters.run_encode_minimal(-v[:50]) >= 0, np.ones(50, bool))


@points("3.1", 1)
def test_no_list_of_points(adapters):
    """A numbering by counting needs no list of 196,560 vectors."""
    tracemalloc.start()
    codes = np.array([3, 50_000, 190_000])
    v = adapters.run_decode_minimal(codes)
    adapters.run_encode_minimal(v)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000, f"{peak / 1e6:.1f} MB in use: is there a list of all points?"


@points("3.2", 2)
def test_pack_other_widths(adapters):
    """Widths that end in the middle of a byte, and the full 64 bits."""
    for bits in (3, 48, 64):
        codes = (np.arange(1, 12, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits)
        packed = np.asarray(adapters.run_pack(codes, bits), dtype=np.uint8)
        whole = sum(int(c) << bits * n for n, c in enumerate(codes))
        assert bytes(packed) == whole.to_bytes((11 * bits + 7) // 8, "little"), f"{bits} bits a code"
        assert np.array_equal(adapters.run_unpack(packed, bits, 11), codes), f"{bits} bits a code"


@points("3.2", 1)
def test_pack_refuses(adapters):
    """A code that does not fit is refused."""
    with pytest.raises(ValueError):
        adapters.run_pack(np.array([4], dtype=np.uint64), 2)


@points("3.3", 2)
def test_gain_of_the_projection(adapters):
    """The gain is the one nearest to the projection, not to the length."""
    x = np.random.default_rng(8).standard_normal((300, 24))
    codes, numbers = adapters.run_shape_gain_encode(x, GAINS)
    v = np.asarray(adapters.run_decode_minimal(codes)).astype(float)
    projection = (v * x).sum(axis=1) / np.sqrt(32)
    assert np.array_equal(numbers, np.abs(projection[:, None] - np.array(GAINS)).argmin(axis=1))


@points("3.3", 1)
def test_gains_of_few_numbers(adapters):
    """As many levels as different numbers: no error is left."""
    assert np.asarray(adapters.run_train_gains([1.0, 1.0, 5.0, 5.0], 2)) == pytest.approx([1.0, 5.0])
    p = 3 + wave(500, 1, 1.0)[:, 0]
    assert np.asarray(adapters.run_train_gains(p, 1)) == pytest.approx([p.mean()])


@points("3.4", 1, seconds=2)
def test_storage_with_padding(adapters):
    """100 columns need five blocks of 24."""
    assert adapters.run_bits_per_weight(7, 100, 24, 48, 16) == pytest.approx((5 * 48 + 16) / 100)
    assert adapters.run_bits_per_weight(3, 64, 8, 16, 0) == pytest.approx(2.0)


@points("3.4", 1, seconds=2)
def test_gap_of_a_scalar(adapters):
    """Lloyd-Max with four levels loses 2.74 dB."""
    assert adapters.run_gap_db(0.117482, 2.0) == pytest.approx(2.7407, abs=1e-3)
