"""Week 1, hidden tests."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import points
from data import wave


@points("1.1", 1)
def test_one_level_and_none(adapters):
    """One level is the mean; none is an error."""
    centers, error = adapters.run_lloyd_max(1)
    assert np.asarray(centers) == pytest.approx([0.0], abs=1e-9) and error == pytest.approx(1.0)
    with pytest.raises(ValueError):
        adapters.run_lloyd_max(0)


@points("1.1", 2)
def test_sixteen_levels(adapters):
    """Thresholds in the middle, levels at the mean of their cell, error of that quantizer."""
    centers, error = adapters.run_lloyd_max(16)
    c = np.asarray(centers, dtype=float)
    assert c == pytest.approx(-c[::-1], abs=1e-4), "levels are symmetric"
    t = np.linspace(-9, 9, 360_001)
    density = np.exp(-t * t / 2)
    cell = np.searchsorted((c[1:] + c[:-1]) / 2, t)
    means = np.bincount(cell, density * t) / np.bincount(cell, density)
    assert c == pytest.approx(means, abs=1e-3), "a level is not the mean of its cell: iterate longer?"
    assert error == pytest.approx(0.009497, abs=2e-5)


@points("1.2", 1)
def test_not_a_word(adapters):
    """What is not in the code has no message."""
    words = np.asarray(adapters.run_golay_words())
    for flip in (1, 1 << 23, 0b111):
        assert np.all(np.asarray(adapters.run_golay_message(words[::37] ^ np.uint32(flip))) == -1)


@points("1.2", 1)
def test_encoding_is_linear(adapters):
    """The word of a sum of messages is the sum of the words."""
    m = np.arange(4096)
    word = np.asarray(adapters.run_golay_encode(m))
    assert np.array_equal(np.asarray(adapters.run_golay_encode(m ^ 0x5A3)), word ^ word[0x5A3])


@points("1.3", 2)
def test_four_errors_are_noticed(adapters):
    """Four errors cannot be repaired, but the distance is four and the answer is a word of the code."""
    words = np.asarray(adapters.run_golay_words())
    received = words[::13] ^ np.uint32(0b1000_0001_0000_0001_0001)
    nearest, changed = adapters.run_golay_decode(received)
    assert np.all(np.asarray(changed) == 4)
    assert np.all(np.bitwise_count(received ^ np.asarray(nearest).astype(np.uint32)) == 4)
    assert np.isin(nearest, words).all()


@points("1.3", 1)
def test_empty_and_untouched(adapters):
    """No words, no answers; and the argument is not changed."""
    nearest, changed = adapters.run_golay_decode(np.zeros(0, dtype=np.uint32))
    assert len(nearest) == len(changed) == 0
    received = np.arange(100, dtype=np.uint32) * np.uint32(167_001)
    copy = received.copy()
    _, changed = adapters.run_golay_decode(received)
    assert np.array_equal(received, copy), "the argument was changed"
    assert np.max(changed) <= 4, "no word is farther than four from the code"


@points("1.4", 1)
def test_second_moments(adapters):
    """Measured second moments: D4 0.0766, E8 0.0717."""
    x = np.random.default_rng(5).uniform(-20, 20, size=(20_000, 8))
    for name, width, volume, moment in (("d4", 4, 2.0, 0.076603), ("e8", 8, 1.0, 0.071682)):
        y = getattr(adapters, f"run_nearest_{name}")(x[:, :width])
        g = ((x[:, :width] - y) ** 2).mean() / volume ** (2 / width)
        assert g == pytest.approx(moment, rel=0.012), f"normalized second moment of {name}"


@points("1.4", 1)
def test_shared_points_are_fixed(adapters):
    """Lattice points are their own nearest points; large and negative ones, too."""
    e8 = np.array([[1000.5] * 8, [-3.0, 5, 0, 0, 0, 0, 0, 0], [-0.5] * 8, [0.5] * 6 + [-0.5] * 2])
    assert np.array_equal(adapters.run_nearest_e8(e8), e8)
    x = wave(300, 4, 50.0, 9.0)
    y = np.asarray(adapters.run_nearest_d4(x))
    assert np.array_equal(adapters.run_nearest_d4(y), y)
