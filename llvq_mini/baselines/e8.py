"""Codes from the lattice E8, the densest packing in eight dimensions.

    E8Ball(N)    points of norm <= N, nearest point in Euclidean distance; 56,881 points = 16 bits for N = 10
    E8P()        QuIP#'s padded E8 code: 2^16 points, from a table of 256 patterns

E8P starts from D8 + 1/2, vectors of half-integers with even sum.  Absolute values alone make 227 patterns of norm at
most 10, and 29 more of norm 12 fill a byte.  Seven sign bits follow; the eighth is what makes the sum even.  A last bit
shifts all coordinates by +1/4 or -1/4: D8 + 1/4 and D8 + 3/4 together are a translate of E8, so cells are E8's.
The search is exact: for every pattern p and shift the best signs are those of y = x -+ shift, except that one sign must
be wrong when the parity is; the cheapest is where |y_i| p_i is smallest.  Which 29 patterns of norm 12 pad the table is
our choice, (3^5 1^3)/2 in lexicographic order; the paper's differ by permutations.

Frame of the kernels: 2 x for E8Ball, 4 x for E8P, so that all points are integers.  3 and 4 bits: residual stages, as
in the paper, by `e8p_residual`: a second stage of 2^8 short E8 vectors (origin, 240 roots, 15 of norm 4) or E8P again.
Sources: A. Tseng et al., "QuIP#", arXiv 2402.04396, section 4; Conway and Sloane, SPLAG, chapter 4.  Tests:
tests/test_e8.py.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from llvq_mini._parallel import KERNEL, over_rows
from llvq_mini.baselines.residual import PointList, Residual, sample
from llvq_mini.codes import check_blocks, check_codes

DIM = 8


@cache
def e8_points(norm: int) -> NDArray[np.int8]:
    """All E8 vectors of norm <= `norm` (even, up to 12), doubled: int8 (n, 8), in lexicographic order."""
    found = []
    for parity in (0, 1):
        top = int((4 * norm) ** 0.5)
        values = np.array([v for v in range(-top, top + 1) if v % 2 == parity], dtype=np.int8)
        part = np.zeros((1, 0), dtype=np.int8)
        for _ in range(DIM):
            part = np.concatenate([np.repeat(part, len(values), 0), np.tile(values, len(part))[:, None]], axis=1)
            part = part[(part.astype(np.int32) ** 2).sum(axis=1) <= 4 * norm]
        found.append(part[part.sum(axis=1, dtype=np.int32) % 4 == 0])
    points = np.concatenate(found)
    return points[np.lexsort(points.T[::-1])]


def _keys(doubled: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Numbers that sort as the vectors do: five bits a coordinate."""
    shifts = 5 * np.arange(DIM - 1, -1, -1, dtype=np.uint64)
    return ((doubled.astype(np.int64) + 16).astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)


@njit(**KERNEL)
def _in_ball(x, leaders, odd_minus, out):
    """The point nearest to each x (doubled frame) among the permutations and signs of `leaders` (descending).

    odd_minus: -1 if signs are free, else the parity of minus signs."""
    order = np.empty(8, np.int64)
    for n in range(len(x)):
        size = np.abs(x[n])
        for i in range(8):  # insertion into the descending order
            at = i
            while at > 0 and size[order[at - 1]] < size[i]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = i
        minus = 0
        for value in x[n]:
            minus += value < 0
        best, choice, flip = -np.inf, 0, False
        for c in range(len(leaders)):
            score = 0.0
            for i in range(8):
                score += leaders[c, i] * (2 * size[order[i]] - leaders[c, i])
            wrong = odd_minus[c] >= 0 and (minus & 1) != odd_minus[c]
            if wrong:
                score -= 4 * leaders[c, 7] * size[order[7]]
            if score > best:
                best, choice, flip = score, c, wrong
        for i in range(8):
            at = order[i]
            sign = -1 if (x[n, at] < 0) != (flip and i == 7) else 1
            out[n, at] = sign * leaders[choice, i]


@cache
def _leaders(norm: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    sizes = np.unique(-np.sort(-np.abs(e8_points(norm).astype(np.int64)), axis=1), axis=0)
    odd_minus = np.where(sizes[:, 0] % 2, sizes.sum(axis=1) // 2 % 2, -1)
    return sizes.astype(np.float64), odd_minus


class _Scaled:
    """A code of eight weights with one scale, fitted on the fixed sample when not given."""

    bits: int
    dim = DIM

    @property
    def bits_per_weight(self) -> float:
        return self.bits / DIM

    def _points(self, x: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        raise NotImplementedError

    def _scale(self, scale: float | None, bounds: tuple[float, float]) -> float:
        if scale is None:
            x = sample(DIM)
            fit = minimize_scalar(
                lambda s: float(((x - self._points(x, s)) ** 2).sum()),
                bounds=bounds,
                method="bounded",
                options={"xatol": 1e-3},
            )
            return float(fit.x)
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"Argument 'scale' must be a positive finite number, got {scale!r}.")
        return float(scale)


class E8Ball(_Scaled):
    """Points of E8 of norm <= max_norm (2, 4 ... 12) times scale: 2 bits a weight for 10."""

    def __init__(self, max_norm: int = 10, scale: float | None = None) -> None:
        if max_norm not in (2, 4, 6, 8, 10, 12):
            raise ValueError(f"Argument 'max_norm' must be 2, 4, 6, 8, 10 or 12, got {max_norm!r}.")
        self.max_norm, self._list = int(max_norm), e8_points(max_norm)
        self._sorted = _keys(self._list)
        self.bits = (len(self._list) - 1).bit_length()
        ratio = (8 / max_norm) ** 0.5
        self.scale = self._scale(scale, (0.7 * ratio, 1.6 * ratio))
        self.name, self.table_bytes = f"E8 ball, norm up to {max_norm}", self._list.nbytes

    def _doubled(self, x: NDArray[np.float64], scale: float) -> NDArray[np.int8]:
        target, out = x * (2 / scale), np.empty(x.shape, dtype=np.int8)
        over_rows(lambda s: _in_ball(target[s], *_leaders(self.max_norm), out[s]), len(x))
        return out

    def _points(self, x: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        return self._doubled(x, scale).astype(np.float64) * (scale / 2)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 8): ranks in lexicographic order."""
        found = _keys(self._doubled(check_blocks(x, DIM), self.scale))
        return np.searchsorted(self._sorted, found).astype(np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 8) of codes."""
        return self._list[check_codes(codes, len(self._list))] * np.float32(self.scale / 2)

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {"kind": "e8-ball", "max_norm": self.max_norm, "scale": self.scale}


@cache
def patterns() -> NDArray[np.int8]:
    """The 256 absolute patterns of E8P, doubled (odd numbers): int8 (256, 8); 227 of norm <= 10, 29 of norm 12."""
    every = np.array(list(product((1, 3, 5), repeat=DIM)), dtype=np.int8)
    norm = (every.astype(np.int64) ** 2).sum(axis=1)  # four times the norm
    pad = every[(norm == 48) & (every.max(axis=1) == 3)][:29]
    return np.concatenate([every[norm <= 40], pad])


@njit(**KERNEL)
def _e8p_search(x, table, out):
    """Codes of blocks in the frame of 4 x: pattern | signs << 8 | shift << 15."""
    for n in range(len(x)):
        best, code = np.inf, 0
        for shift in range(2):
            y = x[n] - (1 - 2 * shift)
            size = np.abs(y)
            minus, total = 0, 0.0
            for i in range(8):
                minus |= np.int64(y[i] < 0) << i
                total += size[i] * size[i]
            for p in range(256):
                cost, least, at, parity = total, np.inf, 0, 0
                for i in range(8):
                    value = 2.0 * table[p, i]
                    cost += value * (value - 2 * size[i])
                    if value * size[i] < least:
                        least, at = value * size[i], i
                    parity += np.int64(table[p, i]) + 2 * (minus >> i & 1)
                wrong = parity % 4 != 0  # the doubled coordinates must sum to 0 mod 4
                if wrong:
                    cost += 4 * least
                if cost < best:
                    signs = minus ^ (1 << at) if wrong else minus
                    best, code = cost, p | (signs & 127) << 8 | shift << 15
        out[n] = code


class E8P(_Scaled):
    """QuIP#'s E8P12: 2^16 points in eight dimensions, 2 bits a weight."""

    bits, name, table_bytes = 16, "E8P12", 256 * 8

    def __init__(self, scale: float | None = None) -> None:
        self.scale = self._scale(scale, (0.85, 1.15))

    def _codes(self, x: NDArray[np.float64], scale: float) -> NDArray[np.uint64]:
        target, out = x * (4 / scale), np.empty(len(x), dtype=np.uint64)
        over_rows(lambda s: _e8p_search(target[s], patterns(), out[s]), len(x))
        return out

    def _points(self, x: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        return _e8p_decode(self._codes(x, scale)).astype(np.float64) * (scale / 4)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 8)."""
        return self._codes(check_blocks(x, DIM), self.scale)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 8) of codes."""
        return _e8p_decode(check_codes(codes, 1 << 16)) * np.float32(self.scale / 4)

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {"kind": "e8p", "scale": self.scale}


def _e8p_decode(codes: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Points in the frame of 4 x, int8 (n, 8)."""
    c = codes.astype(np.int64)
    size = patterns()[c & 255]
    minus = (c[:, None] >> 8 >> np.arange(DIM) & 1).astype(np.int8)
    minus[:, 7] = (size.sum(axis=1, dtype=np.int64) // 2 + minus[:, :7].sum(axis=1)) % 2
    shift = (1 - 2 * (c >> 15)).astype(np.int8)
    return 2 * size * (1 - 2 * minus) + shift[:, None]


def e8p_residual(weight_bits: int) -> Residual:
    """E8P with a second stage: 3 bits (256 short E8 vectors) or 4 bits (E8P again). ValueError for other rates."""
    if weight_bits not in (3, 4):
        raise ValueError(f"Argument 'weight_bits' must be 3 or 4, got {weight_bits!r}.")
    short = e8_points(4)
    norm = (short.astype(np.int64) ** 2).sum(axis=1)
    chosen = np.concatenate([short[norm <= 8], short[norm == 16][:15]])
    # 2^8 vectors of E8 for a Gaussian of unit variance: norm 2 in eight dimensions, so the scale is near 1.6.
    second = PointList(chosen * 0.8, "256 short E8 vectors") if weight_bits == 3 else E8P()
    return Residual([E8P(), second], name=f"E8P12 residual, {weight_bits} bit")
