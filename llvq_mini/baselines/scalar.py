"""Scalar quantizers for a unit-variance Gaussian: one weight at a time, 2^b levels.

    Uniform     equally spaced levels, symmetric, with the step that minimizes the mean squared error
    LloydMax    the best 2^b levels: each is the mean of its cell, every border the middle of two levels

Both are computed, not tabulated: cells of the normal density have closed forms for probability and mean.  The
Lloyd iteration converges to the one optimum because the density is log-concave.  Weights are taken in blocks of
eight only to share the protocol of codebook.py; nothing is coded jointly.

Not here: entropy coding (ecsq.py), other densities.  Source: J. Max, IRE Trans. Inf. Theory 6 (1960); S. P. Lloyd, IEEE
Trans. Inf. Theory 28 (1982), written 1957.  Tests: tests/test_scalar.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

Floats = NDArray[np.float64]

BLOCK = 8
"""Weights per code word."""


def cells(borders: Floats) -> tuple[Floats, Floats]:
    """Probability and first moment of N(0, 1) between neighboring borders, -inf and inf at the ends."""
    edges = np.concatenate([[-np.inf], borders, [np.inf]])
    density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    return np.diff(ndtr(edges)), -np.diff(density)


def exact_mse(levels: Floats) -> float:
    """Mean squared error of nearest-level quantization of N(0, 1), in closed form."""
    probability, moment = cells((levels[1:] + levels[:-1]) / 2)
    return float(1 - 2 * levels @ moment + levels**2 @ probability)


def _uniform(bits: int, step: float) -> Floats:
    return (np.arange(2**bits) - (2**bits - 1) / 2) * step


@cache
def _uniform_levels(bits: int) -> tuple[float, ...]:
    best = minimize_scalar(lambda step: exact_mse(_uniform(bits, step)), bounds=(0.01, 3), method="bounded")
    return tuple(_uniform(bits, best.x))


@cache
def _lloyd_max_levels(bits: int) -> tuple[float, ...]:
    levels = np.array(_uniform_levels(bits))
    for _ in range(20_000):
        probability, moment = cells((levels[1:] + levels[:-1]) / 2)
        updated = moment / probability
        if np.abs(updated - levels).max() < 1e-13:
            break
        levels = updated
    return tuple(levels)


class _Scalar:
    """Nearest of 2^weight_bits levels, coordinate by coordinate; eight coordinates to a code."""

    kind = ""

    def __init__(self, weight_bits: int, levels: ArrayLike) -> None:
        self.levels = np.asarray(levels, dtype=np.float64)
        self.borders = (self.levels[1:] + self.levels[:-1]) / 2
        self.weight_bits, self.dim, self.bits = weight_bits, BLOCK, BLOCK * weight_bits
        self.name = f"{self.kind} {weight_bits} bit"

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.dim

    @property
    def table_bytes(self) -> int:
        return 4 * len(self.levels)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 8); a weight in the middle of two levels takes the upper one."""
        blocks = np.asarray(x)
        if blocks.ndim != 2 or blocks.shape[1] != BLOCK:
            raise ValueError(f"Argument 'x' must have shape (n, {BLOCK}), got {blocks.shape}.")
        if not np.isfinite(blocks).all():
            raise ValueError("Argument 'x' must be finite; it holds NaN or infinity.")
        number = np.searchsorted(self.borders, blocks, side="right").astype(np.uint64)
        return (number << self._shifts()).sum(axis=1, dtype=np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 8) of codes."""
        c = np.asarray(codes)
        if c.ndim != 1 or c.dtype.kind not in "iu":
            raise ValueError(f"Argument 'codes' must hold integers on one axis, got {c.dtype} {c.shape}.")
        if c.size and (c.min() < 0 or int(c.max()) >> self.bits):
            raise ValueError(f"Argument 'codes' must be in 0 ... 2**{self.bits} - 1, got {c.min()} ... {c.max()}.")
        number = c.astype(np.uint64)[:, None] >> self._shifts() & np.uint64(2**self.weight_bits - 1)
        return self.levels.astype(np.float32)[number]

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {"kind": self.kind, "weight_bits": self.weight_bits, "levels": self.levels.tolist()}

    def _shifts(self) -> NDArray[np.uint64]:
        return np.arange(BLOCK, dtype=np.uint64) * np.uint64(self.weight_bits)


def _check(bits: int) -> int:
    if not isinstance(bits, int | np.integer) or not 1 <= bits <= 8:
        raise ValueError(f"Argument 'weight_bits' must be an integer in 1 ... 8, got {bits!r}.")
    return int(bits)


class Uniform(_Scalar):
    """Equally spaced levels with the optimal step; weight_bits 1 ... 8."""

    kind = "uniform"

    def __init__(self, weight_bits: int = 2, levels: ArrayLike | None = None) -> None:
        super().__init__(_check(weight_bits), _uniform_levels(int(weight_bits)) if levels is None else levels)


class LloydMax(_Scalar):
    """The optimal levels for N(0, 1); weight_bits 1 ... 8."""

    kind = "Lloyd-Max"

    def __init__(self, weight_bits: int = 2, levels: ArrayLike | None = None) -> None:
        super().__init__(_check(weight_bits), _lloyd_max_levels(int(weight_bits)) if levels is None else levels)
