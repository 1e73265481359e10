"""Week 4, hidden tests."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import points
from data import wave
from test_week4 import kernel_input, problem

from kernels import launch


@points("4.1", 3)
def test_targets(adapters):
    """Every block is rounded where it does best if the blocks behind it may still become anything."""
    for block in (1, 4):
        check_targets(adapters, block)


def check_targets(adapters, block):
    """For one size of blocks, against the definition."""
    w, h = problem(5, 12)
    seen = []

    def quantize(t):
        seen.append(np.array(t))
        return np.rint(t * 2) / 2

    q = np.asarray(adapters.run_round_with_feedback(w, h, block, quantize))
    assert len(seen) == 12 // block, "one call for each block"
    for number, start in enumerate(range(0, 12, block)):
        error = (w - q)[:, :start]
        best = -np.linalg.solve(h[start:, start:], h[start:, :start] @ error.T).T[:, :block]
        assert seen[number] == pytest.approx(w[:, start : start + block] - best, abs=1e-8), f"block {number}"
        assert np.array_equal(q[:, start : start + block], np.rint(seen[number] * 2) / 2)


@points("4.2", 1)
def test_spikes_spread(adapters):
    """One large entry becomes many small ones, and lengths stay."""
    x = np.zeros((1, 256))
    x[0, 77] = 16.0
    y = np.asarray(adapters.run_rotate(x, np.ones(256)))
    assert np.abs(y) == pytest.approx(np.ones((1, 256)))


@points("4.2", 1)
def test_other_lengths(adapters):
    """12 is no power of two; one is."""
    with pytest.raises(ValueError):
        adapters.run_hadamard(np.ones((2, 12)))
    assert adapters.run_hadamard(np.array([[3.0]])) == pytest.approx(np.array([[3.0]]))
    x = np.ones((2, 3, 4))
    before = x.copy()
    assert np.shape(adapters.run_hadamard(x)) == (2, 3, 4)
    assert np.array_equal(x, before), "the argument was changed"


@points("4.3", 2)
def test_gradient(adapters):
    """The derivative of <g, z / |z|>, by differences."""
    z, g = wave(3, 24, 2.0), wave(3, 24, 1.0, 7.0)
    found = np.asarray(adapters.run_spherical_gradient(z, g))
    for i in range(24):
        step = 1e-5 * np.eye(24)[i]
        values = [
            (g * (t / np.linalg.norm(t, axis=1, keepdims=True))).sum(axis=1) for t in (z + step, z - step)
        ]
        assert found[:, i] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)


@points("4.4", 1, seconds=60)
def test_kernels_at_odd_sizes(adapters):
    """Fewer blocks than threads, a grid of several blocks, and a single row."""
    arrays, weights = kernel_input(7)
    x = wave(1, 7 * 24, 1.0)[0].astype(np.float32)
    source = adapters.kernel_source()
    out, y = launch(
        source,
        [("decode_signs", 3, 32, 0, arrays, weights.size), ("matvec_signs", 1, 128, 512, [*arrays, x], 1, 7)],
    )
    assert np.array_equal(out, weights.reshape(-1)), "seven blocks by 96 threads"
    assert y == pytest.approx(weights.reshape(1, -1).astype(float) @ x, rel=1e-4, abs=1e-3), "y = W x"
    arrays, weights = kernel_input(500)
    (out,) = launch(source, [("decode_signs", 2, 64, 0, arrays, weights.size)])
    assert np.array_equal(out, weights.reshape(-1)), "more blocks than threads in the grid"


@points("4.4", 2, seconds=60)
def test_two_threads(adapters):
    """The sum over two threads, and over one."""
    arrays, weights = kernel_input(3 * 5)
    x = wave(1, 5 * 24, 1.0, 2.0)[0].astype(np.float32)
    calls = [("matvec_signs", 3, threads, 4 * threads, [*arrays, x], 3, 5) for threads in (1, 2, 32)]
    for y in launch(adapters.kernel_source(), calls):
        assert y == pytest.approx(weights.reshape(3, -1).astype(float) @ x, rel=1e-4, abs=1e-3), "y = W x"
