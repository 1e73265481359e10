"""Trellis codes: Viterbi against exhaustive search, rings that close, and the errors QTIP prints."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini.baselines import trellis
from llvq_mini.baselines.trellis import Trellis, values


def test_computed_codes_by_hand():
    # 1mad of state 1: h = 34038481 + 76625530 = 110664011 = 0x0698994B; bytes 6 + 152 + 153 + 75 = 386.
    v = values("1mad", 16).astype(np.float64)
    first, third = _bytes(76625530), _bytes(144702492)
    assert (v[1] - v[0]) / (v[2] - v[0]) == pytest.approx((386 - first) / (third - first))
    # 3inst of state 0: h = 64248484 = 0x03D45AA4; masked 0x03D40AA4; m = 0x3B60 twice; xor = 0x38B431C4.
    halves = np.array([0x38B4, 0x31C4], dtype=np.uint16).view(np.float16).astype(np.float64)
    w = values("3inst", 16).astype(np.float64)
    h = (np.arange(1 << 16, dtype=np.uint64) * 89226354 + 64248484) % 2**32
    x = (h & 0x8FFF8FFF) ^ 0x3B603B60
    every = (x >> 16).astype(np.uint16).view(np.float16).astype(np.float64)
    every += (x & 0xFFFF).astype(np.uint16).view(np.float16)
    assert every[0] == halves.sum() and np.allclose(w, every / every.std(), rtol=1e-6)
    for code in trellis.CODES:
        assert values(code, 12).std() == pytest.approx(1, abs=1e-5) and abs(values(code, 16).mean()) < 0.02


def _bytes(h: int) -> int:
    return sum(h.to_bytes(4, "little"))


def test_viterbi_with_free_ends_is_exhaustive():
    k, state_bits, length = 1, 3, 8
    v = np.random.default_rng(0).standard_normal(8).astype(np.float32)
    levels = v.reshape(2, -1, 2).swapaxes(1, 2).copy()
    bits = np.arange(1 << (length + 2))[:, None] >> np.arange(length + 2) & 1
    windows = bits[:, 2:] | bits[:, 1:-1] << 1 | bits[:, :-2] << 2
    rng, states = np.random.default_rng(1), np.empty(length, np.int64)
    back = np.empty((length, 2, 2), np.uint8)
    for _ in range(20):
        x = rng.standard_normal(length).astype(np.float32)
        trellis._viterbi(x, levels, k, state_bits - k, -1, back, states)
        best = ((x - v[windows]) ** 2).sum(axis=1).min()
        assert ((x - v[states]) ** 2).sum() == pytest.approx(best, rel=1e-5)
        node = 2  # the same with both ends tied to one node
        closed = windows[(windows[:, 0] >> 1 == node) & ((windows[:, -1] & 3) == node)]
        trellis._viterbi(x, levels, k, state_bits - k, node, back, states)
        best = ((x - v[closed]) ** 2).sum(axis=1).min()
        assert states[0] >> 1 == node and states[-1] & 3 == node
        assert ((x - v[states]) ** 2).sum() == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("k, state_bits", [(1, 7), (2, 8), (3, 8), (4, 9)])
def test_the_decoder_reads_the_windows_the_encoder_meant(k, state_bits):
    book = Trellis(k, state_bits, "lut")
    codes = np.random.default_rng(k).integers(0, 256, (3, 32 * k), dtype=np.uint8)
    y = book.decode(codes)
    number = [int.from_bytes(row.tobytes(), "little") for row in codes]  # weight t owns bits k t ... k t + k - 1
    for n, ring in enumerate(number):
        for t in (0, 1, 5, 255):
            steps = [ring >> (k * ((t - age) % 256)) & (2**k - 1) for age in range(-(-state_bits // k))]
            window = sum(step << (k * age) for age, step in enumerate(steps)) & (2**state_bits - 1)
            assert y[n, t] == book._values[window]
    x = np.random.default_rng(9).standard_normal((3, 256))
    ours = ((x - book.decode(book.encode(x))) ** 2).sum(axis=1)
    assert (ours < ((x - y) ** 2).sum(axis=1)).all()


def measured(book, blocks: int) -> float:
    """Mean squared error with |x|^2 as control variate."""
    x = np.random.default_rng(12).standard_normal((blocks, 256))
    error, square = ((x - book.decode(book.encode(x))) ** 2).mean(axis=1), (x**2).mean(axis=1)
    slope = np.cov(error, square)[0, 1] / square.var()
    return float((error - slope * (square - 1)).mean())


def test_error_with_twelve_state_bits():
    assert measured(Trellis(2, 12, "lut"), 60) == pytest.approx(0.0733, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("k, published", [(1, 0.2803), (2, 0.0733), (3, 0.0198), (4, 0.0055)])
def test_errors_of_the_paper_at_twelve_state_bits(k, published):
    assert measured(Trellis(k, 12, "lut"), 300) < 1.015 * published


@pytest.mark.slow
@pytest.mark.parametrize("code, published", [("lut", 0.068), ("1mad", 0.069), ("3inst", 0.069)])
def test_errors_of_the_paper_at_sixteen_state_bits(code, published):
    assert measured(Trellis(2, 16, code), 60) == pytest.approx(published, rel=0.02)
