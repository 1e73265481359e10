"""Inputs without a random generator, so that the expected numbers hold for every version of NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def wave(n: int, width: int, scale: float, seed: float = 0.0) -> NDArray[np.float64]:
    """(n, width) numbers that look random: scale * sin(...)."""
    i = np.arange(n * width).reshape(n, width)
    return scale * np.sin(1.0 + seed + 1.7 * i + 0.03 * i * i)


def leech_points(n: int, seed: int = 0) -> NDArray[np.int64]:
    """(n, 24) points of the Leech lattice: sums of vectors of shapes (4, 4, 0^22), (8, 0^23) and (-3, 1^23)."""
    rng = np.random.default_rng(seed)
    k = 4 * rng.integers(-3, 4, size=(n, 24))
    k[:, 0] += 4 * (k.sum(axis=1) // 4 % 2)
    odd = rng.integers(0, 2, size=n)
    k += odd[:, None]
    k[np.arange(n), rng.integers(0, 24, size=n)] -= 4 * odd
    return k
