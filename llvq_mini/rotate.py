"""Incoherence: a seeded orthogonal transform of any width that makes weights look like Gaussian noise.

A lattice codebook is made for Gaussian blocks, weights of trained networks are not: a few coordinates carry
much of the energy. Multiply inputs and weights by the same orthogonal R and the layer computes what it did
before,
    W x = (W R^T)(R x),    H' = R H R^T,
but each rotated weight is a signed sum of all weights of its row, so by the central limit theorem nearly
Gaussian.

    R = Q diag(s),    Q = H_{2^k} (x) C_m,    width n = 2^k m with m odd,

s are seeded random signs; H is Sylvester's Hadamard matrix over sqrt(2^k); C is the Hartley matrix of order
m, C[i, j] = (cos t + sin t) / sqrt(m) with t = 2 pi i j / m. Both factors are symmetric and orthogonal, so Q
is its own inverse and R^-1 = diag(s) Q: nothing is stored but the seed. No entry of R exceeds sqrt(2 / n).

Convention: vectors are rows, `apply` maps each row x to R x. Signs come from SplitMix64, not from NumPy's
generators, whose streams may change between versions; a file must decode for ever.

What this file does not do: rotate on the output side, or on a GPU.
Papers: QuIP (arXiv 2307.13304) for the incoherence argument, QuIP# (arXiv 2402.04396) for signs and Hadamard
factors. Tests: ``tests/test_rotate.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LARGEST_ODD = 4096
"""The largest odd part of a width: a dense matrix of that order is needed."""
_CHUNK = 1 << 17  # elements transformed at a time, so that all butterfly passes stay in the cache


def splitmix64(seed: int, count: int) -> np.ndarray:
    """The first `count` outputs (uint64) of the SplitMix64 generator (Steele, Lea,
    Flood 2014) from `seed`.
    """
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = np.uint64(seed) + steps
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def random_signs(width: int, seed: int) -> np.ndarray:
    """(width,) float32 of +1 and -1: the top bits of SplitMix64."""
    bits = splitmix64(seed, width) >> np.uint64(63)
    return np.where(bits == 1, np.float32(-1), np.float32(1))


def hartley_matrix(order: int) -> np.ndarray:
    """(order, order) float64 orthonormal Hartley matrix: symmetric, and its own inverse."""
    index = np.arange(order)
    angle = 2 * np.pi * index / order
    table = (np.cos(angle) + np.sin(angle)) / np.sqrt(order)
    return table[np.outer(index, index) % order]


def _butterflies(x: np.ndarray, power: int, inner: int) -> None:
    """In place: the orthonormal Hadamard transform of order `power` on axis 1 of x (rows, power * inner)."""
    rows = len(x)
    half = inner
    while half < power * inner:
        pairs = x.reshape(rows, -1, 2, half)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        difference = first - second
        first += second
        second[...] = difference
        half *= 2
    x *= x.dtype.type(power**-0.5)


@dataclass(frozen=True)
class Rotation:
    """The orthogonal map R of one width and seed.
    `apply` and `inverse` take (..., width) float32 or float64.
    """

    width: int
    seed: int

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(
                f"Argument 'width' must be at least 1, got {self.width}; pass the vector's length"
            )
        if self.factors[1] > LARGEST_ODD:
            raise ValueError(
                f"Argument 'width' must have an odd part up to {LARGEST_ODD}, got {self.width} = "
                f"{self.factors[0]} * {self.factors[1]}; its dense matrix would not fit"
            )
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(
                f"Argument 'seed' must lie in 0 .. 2^64 - 1, got {self.seed}; take it modulo 2^64"
            )

    @property
    def factors(self) -> tuple[int, int]:
        """(2^k, m) with width = 2^k m and m odd."""
        power = self.width & -self.width
        return power, self.width // power

    def _check(self, x: np.ndarray) -> None:
        if x.ndim == 0 or x.shape[-1] != self.width:
            raise ValueError(
                f"Argument 'x' must have last axis {self.width}, got shape {x.shape}; rotate rows"
            )
        if x.dtype not in (np.float32, np.float64):
            raise TypeError(f"Argument 'x' must be float32 or float64, got {x.dtype}; convert it first")

    def _involution(self, rows: np.ndarray) -> None:
        """Q on every row of a C-contiguous (rows, width) array, in place."""
        power, odd = self.factors
        mixing = hartley_matrix(odd).astype(rows.dtype)
        step = max(1, _CHUNK // self.width)
        for start in range(0, len(rows), step):
            chunk = rows[start : start + step]
            if odd > 1:
                chunk[...] = (chunk.reshape(-1, odd) @ mixing).reshape(chunk.shape)
            _butterflies(chunk, power, odd)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """R x for every row x; same shape and dtype as the argument, which stays as it is."""
        self._check(x)
        y = np.multiply(x, random_signs(self.width, self.seed), order="C", dtype=x.dtype)
        self._involution(y.reshape(-1, self.width))
        return y

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """R^-1 y for every row y; `inverse(apply(x))` is x up to rounding."""
        self._check(y)
        x = np.array(y, order="C")
        self._involution(x.reshape(-1, self.width))
        x *= random_signs(self.width, self.seed)
        return x

    def conjugate(self, matrix: np.ndarray) -> np.ndarray:
        """R M R^T of a symmetric (width, width) matrix: how a Hessian moves with its inputs.

        ValueError for another shape.
        """
        if matrix.shape != (self.width, self.width):
            raise ValueError(
                f"Argument 'matrix' must be {self.width} square, got {matrix.shape}; pass a Hessian"
            )
        half = self.apply(matrix)
        return self.apply(np.ascontiguousarray(half.T))
