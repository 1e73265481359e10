"""Week 4, answer key: feedback, rotations, spherical codes. The kernels are in kernel.cu."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .week2 import nearest_minimal

Floats = NDArray[np.float64]


# ---- 4.1 ----
def round_with_feedback(
    weight: ArrayLike, hessian: ArrayLike, block: int, quantize: Callable[[Floats], Floats]
) -> Floats:
    """Round blocks of columns from left to right; each block first makes up for the errors of those before it.

    H = (I + U) D (I + U)^T with blocks: D block diagonal, U strictly upper. It is Cholesky's factorization of the
    columns in reverse order. Block b is rounded at W_b + (W - Q)_{<b} U_{<b, b}.
    """
    w, h = np.asarray(weight, dtype=np.float64), np.asarray(hessian, dtype=np.float64)
    if w.shape[1] % block or h.shape != (w.shape[1], w.shape[1]):
        raise ValueError(
            f"columns must be whole blocks of {block} and fit the Hessian, got {w.shape}, {h.shape}"
        )
    upper = np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1]  # h = upper @ upper.T
    q = np.zeros_like(w)
    for start in range(0, w.shape[1], block):
        here = slice(start, start + block)
        feedback = upper[:start, here] @ np.linalg.inv(upper[here, here])
        q[:, here] = quantize(w[:, here] + (w - q)[:, :start] @ feedback)
    return q


# ---- 4.2 ----
def hadamard(x: ArrayLike) -> Floats:
    """The orthonormal Hadamard transform of the last axis, whose length must be a power of two."""
    y = np.array(x, dtype=np.float64)
    n = y.shape[-1]
    if n < 1 or n & (n - 1):
        raise ValueError(f"the last axis must be a power of two long, got {n}")
    step = 1
    while step < n:
        pairs = y.reshape(*y.shape[:-1], n // (2 * step), 2, step)
        low, high = pairs[..., 0, :], pairs[..., 1, :]
        y = np.stack([low + high, low - high], axis=-2).reshape(y.shape)
        step *= 2
    return y / np.sqrt(n)


def rotate(x: ArrayLike, signs: ArrayLike) -> Floats:
    """Signs first, then the transform."""
    return hadamard(np.asarray(x) * np.asarray(signs))


def unrotate(y: ArrayLike, signs: ArrayLike) -> Floats:
    """The inverse of `rotate`."""
    return hadamard(y) * np.asarray(signs)


# ---- 4.3 ----
def spherical(z: ArrayLike) -> Floats:
    """The nearest code words of length one, (n, 24)."""
    y = np.asarray(z, dtype=np.float64)
    return nearest_minimal(y) / np.sqrt(32)


def spherical_gradient(z: ArrayLike, gradient: ArrayLike) -> Floats:
    """Straight through the rounding, and backward through u = z / |z|: (g - <g, u> u) / |z|."""
    y, g = np.asarray(z, dtype=np.float64), np.asarray(gradient, dtype=np.float64)
    length = np.linalg.norm(y, axis=1, keepdims=True)
    u = y / length
    return (g - (g * u).sum(axis=1, keepdims=True) * u) / length


def usage_bits(codes: ArrayLike) -> float:
    """Entropy of the codes that occur, in bits."""
    _, counts = np.unique(np.asarray(codes), return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())
