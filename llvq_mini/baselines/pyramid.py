"""Pyramid vector quantization: integer points on an l1 sphere, indexed by counting, with a gain.

The shape of a block is one of the N(d, K) integer vectors u with sum |u_i| = K, taken as a direction; a gain multiplies
it.  No table is needed: N follows from  N(d, K) = N(d-1, K) + N(d-1, K-1) + N(d, K-1), and so does the index, by
walking along the coordinates and counting the vectors that come before.

    search    start below the projection of x on the sphere, |u_i| = floor(K |x_i| / sum |x|), then add pulses one by
              one where the cosine grows most: not always the nearest direction, as in every implementation
    gain      2^gain_bits Lloyd-Max levels for the projection <x, u> / |u| (gain.py), d = 24

Points lie densest near the axes, Gaussian blocks do not, which is what this code pays for being table-free.
Sources: T. R. Fischer, "A pyramid vector quantizer", IEEE Trans. Inf. Theory 32 (1986); for language models: PVQ, arXiv
2410.16926.  Tests: tests/test_pyramid.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from llvq_mini import gain
from llvq_mini._parallel import KERNEL, over_rows
from llvq_mini.baselines.residual import sample
from llvq_mini.codes import check_blocks, check_codes

DIM = 24


@cache
def counts(dim: int, pulses: int) -> NDArray[np.uint64]:
    """N(d, k) for d = 0 ... dim and k = 0 ... pulses: uint64 (dim + 1, pulses + 1); ValueError above 2^63."""
    table = [[1] + [0] * pulses]
    for _ in range(dim):
        row = [1]
        for k in range(1, pulses + 1):
            row.append(table[-1][k] + table[-1][k - 1] + row[k - 1])
        table.append(row)
    if table[dim][pulses] >= 2**63:
        raise ValueError(f"Argument 'pulses' must give an index below 63 bits, got {pulses} in dimension {dim}.")
    return np.array(table, dtype=np.uint64)


@njit(**KERNEL)
def _search(x, pulses, out):
    for n in range(len(x)):
        size = np.abs(x[n])
        total = size.sum()
        u = np.floor(pulses * size / total) if total > 0 else np.zeros(len(size))
        dot, square, left = (size * u).sum(), (u * u).sum(), pulses - np.int64(u.sum())
        for _ in range(left):
            best, at = -1.0, 0
            for i in range(len(u)):  # the squared cosine after one more pulse, without the fixed |x|^2
                score = (dot + size[i]) ** 2 / (square + 2 * u[i] + 1)
                if score > best:
                    best, at = score, i
            dot += size[at]
            square += 2 * u[at] + 1
            u[at] += 1
        for i in range(len(u)):
            out[n, i] = u[i] if x[n, i] >= 0 else -u[i]


@njit(**KERNEL)
def _rank(u, table, out):
    """Order by coordinate: 0, then 1, -1, 2, -2, ..."""
    for n in range(len(u)):
        left, index = table.shape[1] - 1, np.uint64(0)
        for i in range(u.shape[1]):
            rest, size = u.shape[1] - 1 - i, abs(np.int64(u[n, i]))
            for value in range(size):
                index += table[rest, left - value] * np.uint64(1 if value == 0 else 2)
            if u[n, i] < 0:
                index += table[rest, left - size]
            left -= size
        out[n] = index


@njit(**KERNEL)
def _unrank(codes, table, out):
    for n in range(len(codes)):
        left, index = table.shape[1] - 1, codes[n]
        for i in range(out.shape[1]):
            rest, size, sign = out.shape[1] - 1 - i, 0, 1
            while True:
                ways = table[rest, left - size]
                if index < ways:
                    break
                index -= ways
                if size > 0:
                    if index < ways:
                        sign = -1
                        break
                    index -= ways
                size += 1
            out[n, i] = sign * size
            left -= size


class Pyramid:
    """PVQ in 24 dimensions: `pulses` K and gain_bits; (16, 2) is the best split of 48 bits."""

    def __init__(self, pulses: int = 16, gain_bits: int = 2, levels: ArrayLike | None = None) -> None:
        if not isinstance(pulses, int) or not 1 <= pulses <= 60:
            raise ValueError(f"Argument 'pulses' must be an integer in 1 ... 60, got {pulses!r}.")
        if not isinstance(gain_bits, int) or not 0 <= gain_bits <= 8:
            raise ValueError(f"Argument 'gain_bits' must be an integer in 0 ... 8, got {gain_bits!r}.")
        self.pulses, self.gain_bits, self.dim = pulses, gain_bits, DIM
        self._table = counts(DIM, pulses)
        self._points = int(self._table[DIM, pulses])
        self._shape_bits = (self._points - 1).bit_length()
        self.bits = self._shape_bits + gain_bits
        self.bits_per_weight, self.table_bytes = self.bits / DIM, self._table.nbytes
        self.levels = self._fitted() if levels is None else np.asarray(levels, dtype=np.float64)
        if self.levels.shape != (2**gain_bits,):
            raise ValueError(f"Argument 'levels' must hold {2**gain_bits} numbers, got {levels!r}.")
        self.name = f"pyramid, {pulses} pulses, {gain_bits} gain bits"

    def _shape(self, x: NDArray[np.float64]) -> NDArray[np.int8]:
        out = np.empty(x.shape, dtype=np.int8)
        over_rows(lambda s: _search(x[s], self.pulses, out[s]), len(x))
        return out

    @staticmethod
    def _projection(x: NDArray[np.float64], u: NDArray[np.int8]) -> NDArray[np.float64]:
        wide = u.astype(np.float64)
        return np.einsum("ni,ni->n", x, wide) / np.linalg.norm(wide, axis=1)

    def _fitted(self) -> NDArray[np.float64]:
        x = sample(DIM)
        cosines = self._projection(x, self._shape(x)) / np.linalg.norm(x, axis=1)
        return gain.lloyd_max(cosines, self.gain_bits)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 24): index in the low bits, gain above."""
        blocks = check_blocks(x, DIM)
        u, rank = self._shape(blocks), np.empty(len(blocks), dtype=np.uint64)
        over_rows(lambda s: _rank(u[s], self._table, rank[s]), len(u))
        level = np.searchsorted((self.levels[1:] + self.levels[:-1]) / 2, self._projection(blocks, u))
        return rank | level.astype(np.uint64) << np.uint64(self._shape_bits)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 24) of codes; ValueError for a code that names no point."""
        c = check_codes(codes, 2**self.bits)
        rank = c & np.uint64((1 << self._shape_bits) - 1)
        if rank.size and int(rank.max()) >= self._points:
            raise ValueError(f"Argument 'codes' must name one of {self._points} points, got number {rank.max()}.")
        u = np.empty((len(c), DIM), dtype=np.int8)
        over_rows(lambda s: _unrank(rank[s], self._table, u[s]), len(c))
        wide = u.astype(np.float64)
        factor = self.levels[c >> np.uint64(self._shape_bits)] / np.linalg.norm(wide, axis=1)
        return (wide * factor[:, None]).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {
            "kind": "pyramid",
            "pulses": self.pulses,
            "gain_bits": self.gain_bits,
            "levels": self.levels.tolist(),
        }
