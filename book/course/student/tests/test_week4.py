"""Week 4, public tests."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import points
from data import wave

from kernels import launch


def problem(rows, columns):
    """A weight matrix and a Hessian that is far from diagonal."""
    a = wave(columns, columns, 1.0) + np.tri(columns) * 0.7
    return wave(rows, columns, 2.0, 1.0), a @ a.T / columns + 0.05 * np.eye(columns)


def energy(error, hessian):
    """The proxy: what the output loses."""
    return float(np.einsum("ij,jk,ik->", error, hessian, error))


@points("4.1", 3)
def test_two_columns(adapters):
    """By hand: H = [[1, 0.5], [0.5, 1]], W = (0.4, 0.2). The error 0.4 of the first moves the second to 0.4."""
    seen = []

    def quantize(t):
        seen.append(np.array(t))
        return np.rint(t)

    h = np.array([[1.0, 0.5], [0.5, 1.0]])
    q = adapters.run_round_with_feedback(np.array([[0.4, 0.2]]), h, 1, quantize)
    assert seen[0] == pytest.approx(np.array([[0.4]])), "the first column is rounded as it is"
    assert seen[1] == pytest.approx(np.array([[0.4]])), "the second is rounded at 0.2 + 0.4 * 0.5"
    assert np.array_equal(q, [[0.0, 0.0]])


@points("4.1", 2)
def test_feedback_helps(adapters):
    """A smaller proxy error than plain rounding, and no difference for a diagonal Hessian."""
    w, h = problem(16, 24)
    q = np.asarray(adapters.run_round_with_feedback(w, h, 1, np.rint))
    assert np.array_equal(q, np.rint(q)), "the answer consists of rounded values"
    assert energy(w - q, h) < 0.8 * energy(w - np.rint(w), h)
    assert np.array_equal(adapters.run_round_with_feedback(w, np.diag(np.diag(h)), 4, np.rint), np.rint(w))


@points("4.2", 2)
def test_hadamard(adapters):
    """Sylvester's matrix, orthonormal; twice is nothing."""
    one = np.array([[1.0, 1.0], [1.0, -1.0]])
    matrix = np.kron(np.kron(one, one), one) / np.sqrt(8)
    x = wave(5, 8, 1.0)
    assert adapters.run_hadamard(x) == pytest.approx(x @ matrix)
    assert adapters.run_hadamard(adapters.run_hadamard(x)) == pytest.approx(x)


@points("4.2", 1)
def test_rotation(adapters):
    """Products survive when weights and activations turn together, and the inverse turns back."""
    signs = np.where(wave(1, 64, 1.0)[0] < 0, -1.0, 1.0)
    w, x = wave(3, 64, 1.0), wave(2, 64, 1.0, 4.0)
    rotated = np.asarray(adapters.run_rotate(w, signs)) @ np.asarray(adapters.run_rotate(x, signs)).T
    assert rotated == pytest.approx(w @ x.T)
    assert adapters.run_unrotate(adapters.run_rotate(w, signs), signs) == pytest.approx(w)


@points("4.3", 2)
def test_code_words(adapters):
    """Length one, and the largest inner product with z."""
    z = wave(5, 24, 1.0)
    q = np.asarray(adapters.run_spherical(z))
    assert np.linalg.norm(q, axis=1) == pytest.approx(np.ones(5))
    expected = np.array([13.998618, 13.856295, 15.286268, 16.61037, 14.776921]) / np.sqrt(32)
    assert (q * z).sum(axis=1) == pytest.approx(expected, abs=1e-5)


@points("4.3", 1)
def test_usage(adapters):
    """Four codes equally often are two bits; one code is none."""
    assert adapters.run_usage_bits(np.array([3, 3, 9, 9, 7, 7, 196_000, 196_000])) == pytest.approx(2.0)
    assert adapters.run_usage_bits(np.array([5, 5, 5])) == pytest.approx(0.0)


@points("4.4", 2, seconds=60)
def test_decode_kernel(adapters):
    """Weights of 50 blocks, by 32 threads."""
    arrays, weights = kernel_input(50)
    (out,) = launch(adapters.kernel_source(), [("decode_signs", 1, 32, 0, arrays, weights.size)])
    assert np.array_equal(out, weights.reshape(-1)), "decoded weights"


@points("4.4", 2, seconds=60)
def test_product_kernel(adapters):
    """y = W x for 5 rows of 40 blocks."""
    arrays, weights = kernel_input(5 * 40)
    x = wave(1, 40 * 24, 1.0)[0].astype(np.float32)
    (y,) = launch(adapters.kernel_source(), [("matvec_signs", 5, 64, 256, [*arrays, x], 5, 40)])
    assert y == pytest.approx(weights.reshape(5, -1).astype(float) @ x, rel=1e-4, abs=1e-3), "y = W x"


def kernel_input(blocks):
    """Codes, a table of words (random ones will do) and gains; and the weights they mean."""
    rng = np.random.default_rng(11)
    codes = rng.integers(0, 2**16, size=blocks).astype(np.uint16)
    words = rng.integers(0, 2**24, size=4096).astype(np.uint32)
    gains = np.linspace(0.5, 2.0, 16, dtype=np.float32)
    bits = words[codes & 4095][:, None] >> np.arange(24, dtype=np.uint32) & 1
    weights = gains[codes >> 12][:, None] * (1 - 2 * bits.astype(np.float32))
    return [codes, words, gains], weights
