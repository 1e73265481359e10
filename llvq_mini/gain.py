"""Gains: how long a quantized direction should be.

For a lattice vector v the error of a block x at gain g is |x - g v/|v||^2 = |x|^2 - p^2 + (p - g)^2 with the projection
p = <x, v> / |v|.  So p, not |x|, is the quantity that a gain approximates, and its best levels are Lloyd-Max levels.
The distribution of p is that of |x| cos(angle): |x| is chi with 24 degrees of freedom, exactly, and independent of the
angle; the cosines are measured on random directions with a fixed seed.

Used by codebook.py.  Sources: S. Lloyd, IEEE Trans. Inf. Theory 28 (1982); J. Hamkins and K. Zeger, IEEE Trans. Inf.
Theory 48 (2002), for shape-gain codes on the Leech lattice.  Tests: tests/test_codebook.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaln

DIM = 24
SAMPLE = 4096
"""Random blocks behind fitted levels and scales."""


def sample(n: int = SAMPLE) -> NDArray[np.float64]:
    """n Gaussian blocks of unit variance, always the same: float64 (n, 24)."""
    return np.random.default_rng(24).standard_normal((n, DIM))


def projections(v: NDArray[np.int8], x: NDArray) -> NDArray[np.float64]:
    """<x, v> / |v| of blocks and lattice points, float64[n]."""
    wide = v.astype(np.float64)
    return np.einsum("ni,ni->n", x, wide) / np.sqrt(np.einsum("ni,ni->n", wide, wide))


def scaled_directions(v: NDArray[np.int8], gains: NDArray[np.float64]) -> NDArray[np.float32]:
    """gains v / |v|, float32 (n, 24)."""
    out = v.astype(np.float32)
    norms = np.einsum("ni,ni->n", out, out)  # small integers: exact in float32
    out *= (gains / np.sqrt(norms, dtype=np.float64)).astype(np.float32)[:, None]
    return out


def check_levels(levels: NDArray[np.float64], count: int) -> None:
    """ValueError unless there are `count` positive, ascending levels."""
    positive = levels.shape == (count,) and bool(np.isfinite(levels).all() and (levels > 0).all())
    if not positive or (np.diff(levels) < 0).any():
        raise ValueError(
            f"Argument 'levels' must hold {count} positive, ascending numbers, got {levels.tolist()}."
        )


def lloyd_max(cosines: NDArray[np.float64], gain_bits: int) -> NDArray[np.float64]:
    """Lloyd-Max levels for p = r c, r chi-distributed with 24 degrees of freedom, c one of `cosines` at random.

    float64[2^gain_bits], ascending.  The probability and the mean of p on an interval are exact in r (incomplete gamma
    functions) and averages over c; Lloyd's iteration stops when no level moves by more than 1e-9.
    """
    # E[r; r < a] = sqrt(2) Gamma(12.5) / Gamma(12) P(12.5, a^2 / 2) and P(r < a) = P(12, a^2 / 2).
    mean_r = np.sqrt(2.0) * np.exp(gammaln(12.5) - gammaln(12.0))

    def below(p: float) -> tuple[float, float]:
        half_square = (p / cosines) ** 2 / 2
        probability = gammainc(12.0, half_square).mean()
        return float(probability), float(mean_r * (cosines * gammainc(12.5, half_square)).mean())

    levels = (
        cosines.mean() * (4.85 + 0.7 * np.linspace(-1.5, 1.5, 2**gain_bits)) if gain_bits else np.zeros(1)
    )
    for _ in range(1000):
        edges = (levels[1:] + levels[:-1]) / 2
        moments = [(0.0, 0.0), *map(below, edges), (1.0, float(mean_r * cosines.mean()))]
        old, levels = (
            levels,
            np.array([(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(moments, moments[1:], strict=False)]),
        )
        if np.abs(levels - old).max() < 1e-9:
            break
    return levels


def lloyd_by_cap(p: NDArray[np.float64], iterations: int) -> NDArray[np.float64]:
    """Lloyd's iteration for gains whose projections differ: float64[k] in the order of the columns of p (n, k).

    Block n takes the gain g of least error g^2 - 2 p g, and every gain becomes the mean projection of its blocks.  It
    starts with typical projections, shorter for the first columns.
    """
    k = p.shape[1]
    levels = p.mean() * (np.linspace(0.6, 1.15, k) if k > 1 else np.ones(1))
    for _ in range(iterations):
        level = (levels**2 - 2 * p * levels).argmin(axis=1)
        count = np.bincount(level, minlength=k)
        total = np.bincount(level, p[np.arange(len(p)), level], minlength=k)
        levels = np.where(count > 0, total / np.maximum(count, 1), levels)
    return levels
