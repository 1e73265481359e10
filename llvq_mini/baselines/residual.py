"""Codes made of explicit lists: k-means, residual and additive vector quantization, and stages of any codebooks.

    PointList    a block becomes the nearest of 2^bits listed vectors (brute force)
    KMeans       a PointList learned by Lloyd's iteration on a fixed Gaussian sample
    Residual     stage j codes what the stages before it left, divided by its scale; the reconstruction is the sum
    Additive     a block is the sum of one vector from each of several lists, chosen jointly by a beam search, and the
                 lists are refitted together by least squares, as in AQLM (arXiv 2401.06118) but for an i.i.d. source

What learned lists cost beside the codes is `table_bytes` (float16 entries): a real model pays for it once a group.
Scales of a Residual are fitted on a fixed sample, stage after stage.

Not here: learning from weights and Hessians, which is where AQLM gains.  Sources: S. P. Lloyd (1982); B.-H. Juang,
A. H. Gray, IEEE ICASSP 1982 (residual); A. Babenko, V. Lempitsky, CVPR 2014 (additive).  Tests: tests/test_residual.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from llvq_mini.codebook import Codebook
from llvq_mini.codes import check_blocks, check_codes, join, split

Floats = NDArray[np.float64]
SAMPLE = 4096
_CHUNK = 8192


def sample(dim: int, blocks: int = SAMPLE) -> Floats:
    """The fixed Gaussian blocks that scales and lists are fitted on."""
    return np.random.default_rng(dim).standard_normal((blocks, dim))


def nearest(x: Floats, points: Floats) -> NDArray[np.int64]:
    """Numbers of the nearest of `points` (k, dim) to every row of x; the first of several equally near."""
    half_norms = (points * points).sum(axis=1) / 2
    found = [np.argmax(x[at : at + _CHUNK] @ points.T - half_norms, axis=1) for at in range(0, len(x), _CHUNK)]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


class PointList:
    """The nearest of 2^bits vectors; points: (2^bits, dim)."""

    def __init__(self, points: ArrayLike, name: str = "list") -> None:
        self.points, self.name = np.asarray(points, dtype=np.float64), name
        if self.points.ndim != 2 or len(self.points) < 2 or len(self.points) & (len(self.points) - 1):
            raise ValueError(f"Argument 'points' must be (2**bits, dim), got {self.points.shape}.")
        self.bits, self.dim = len(self.points).bit_length() - 1, self.points.shape[1]
        self.table_bytes = 2 * self.points.size

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.dim

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, dim)."""
        return nearest(check_blocks(x, self.dim), self.points).astype(np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, dim) of codes."""
        return self.points.astype(np.float32)[check_codes(codes, len(self.points))]

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {"kind": "list", "points": self.points.tolist(), "name": self.name}


def _means(x: Floats, number: NDArray[np.int64], points: Floats) -> Floats:
    """Means of the blocks of every point; a point without blocks moves to one of the worst-coded blocks."""
    count = np.bincount(number, minlength=len(points))
    total = np.stack([np.bincount(number, column, len(points)) for column in x.T], axis=1)
    empty = np.flatnonzero(count == 0)
    means = total / np.maximum(count, 1)[:, None]
    if empty.size:
        worst = np.argsort(((x - points[number]) ** 2).sum(axis=1))[-len(empty) :]
        means[empty] = x[worst]
    return means


@cache
def _kmeans(bits: int, dim: int, rounds: int = 25) -> Floats:
    x = sample(dim, max(64 << bits, 2 * SAMPLE))
    points = x[: 1 << bits].copy()
    for _ in range(rounds):
        points = _means(x, nearest(x, points), points)
    return points


class KMeans(PointList):
    """2^bits vectors learned by k-means on 64 2^bits Gaussian blocks or more; bits up to 12."""

    def __init__(self, bits: int = 8, dim: int = 4) -> None:
        if not 1 <= bits <= 12 or dim < 1:
            raise ValueError(f"Argument 'bits' must be in 1 ... 12 and 'dim' positive, got {bits!r}, {dim!r}.")
        super().__init__(_kmeans(bits, dim), f"k-means {bits} bit, dim {dim}")


class Residual:
    """Stages of codebooks of one dimension; stage j codes (x - sum of the stages before) / scales[j].

    scales: None fits them.  Codes are words up to 64 bits and rows (codes.py) above.
    """

    def __init__(self, stages: Sequence[Codebook], scales: ArrayLike | None = None, name: str = "") -> None:
        self.stages = tuple(stages)
        if not self.stages or len({stage.dim for stage in self.stages}) != 1:
            raise ValueError("Argument 'stages' must hold codebooks of one dimension.")
        self.dim, self._widths = self.stages[0].dim, [stage.bits for stage in self.stages]
        self.bits, self.bits_per_weight = sum(self._widths), sum(self._widths) / self.dim
        self.name = name or " + ".join(stage.name for stage in self.stages)
        self.scales = self._fitted() if scales is None else np.asarray(scales, dtype=np.float64)
        if self.scales.shape != (len(self.stages),) or not ((self.scales > 0) & np.isfinite(self.scales)).all():
            raise ValueError(f"Argument 'scales' must hold {len(self.stages)} positive numbers, got {scales!r}.")

    @property
    def table_bytes(self) -> int:
        """Stages of one name have the same tables, kept once."""
        return sum({stage.name: stage.table_bytes for stage in self.stages}.values())

    def _words(self, x: Floats, scales: Floats) -> tuple[list[NDArray[np.uint64]], Floats]:
        rest, words = x.copy(), []
        for stage, scale in zip(self.stages, scales, strict=False):
            words.append(stage.encode(rest / scale))
            rest -= scale * stage.decode(words[-1])
        return words, rest

    def _fitted(self) -> Floats:
        """Scales of least squared error on the sample: each in turn, the first once more with all in place."""
        x, scales = sample(self.dim), np.ones(len(self.stages))

        def error(value: float, j: int, last: int) -> float:
            trial = scales.copy()
            trial[j] = value
            return float((self._words(x, trial[: last + 1])[1] ** 2).sum())

        rms = 1.0
        for j in range(len(self.stages)):
            bounds = (0.7 * rms, 1.4 * rms)
            options = {"xatol": 0.01 * rms}
            scales[j] = minimize_scalar(error, bounds=bounds, args=(j, j), method="bounded", options=options).x
            rms = (error(scales[j], j, j) / x.size) ** 0.5
        if len(self.stages) > 1:
            last = len(self.stages) - 1
            bounds, options = (0.9 * scales[0], 1.2 * scales[0]), {"xatol": 0.01}
            scales[0] = minimize_scalar(error, bounds=bounds, args=(0, last), method="bounded", options=options).x
        return scales

    def encode(self, x: ArrayLike) -> NDArray:
        """Codes of blocks (n, dim): uint64[n] up to 64 bits, rows uint8 above."""
        words = self._words(check_blocks(x, self.dim), self.scales)[0]
        rows = join(words, self._widths)
        if self.bits > 64:
            return rows
        wide = np.zeros((len(rows), 8), dtype=np.uint8)
        wide[:, : rows.shape[1]] = rows
        return wide.view("<u8")[:, 0].astype(np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, dim) of codes."""
        if self.bits <= 64:
            c = check_codes(codes, 2**self.bits).astype("<u8")
            codes = np.ascontiguousarray(c[:, None].view(np.uint8)[:, : (self.bits + 7) // 8])
        words = split(codes, self._widths)
        parts = [s * b.decode(w) for s, b, w in zip(self.scales, self.stages, words, strict=True)]
        return np.sum(parts, axis=0).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {
            "kind": "residual",
            "stages": [stage.spec() for stage in self.stages],
            "scales": self.scales.tolist(),
            "name": self.name,
        }


def _residual_lists(stages: int, bits: int, dim: int) -> list[PointList]:
    x = sample(dim, 64 << bits)
    lists = []
    for stage in range(stages):
        points = x[: 1 << bits].copy()
        for _ in range(15):
            points = _means(x, nearest(x, points), points)
        lists.append(PointList(points, f"{1 << bits} vectors, stage {stage + 1}"))
        x = x - points[nearest(x, points)]
    return lists


def residual_kmeans(stages: int = 2, bits: int = 8, dim: int = 8) -> Residual:
    """Residual vector quantization: every stage is k-means on what its predecessors leave of the sample."""
    name = f"residual k-means {stages} x {bits} bit, dim {dim}"
    return Residual(_residual_lists(stages, bits, dim), np.ones(stages), name)


def _beam(x: Floats, lists: Floats, width: int) -> NDArray[np.int64]:
    """Numbers (n, m) of one vector from each of lists (m, k, dim), keeping the `width` best partial sums."""
    count, k = len(lists), lists.shape[1]
    rest, chosen = x[:, None], np.zeros((len(x), 1, 0), dtype=np.int64)
    for j in range(count):
        products = (rest.reshape(-1, x.shape[1]) @ lists[j].T).reshape(len(x), -1, k)  # one large product: fast
        scores = (lists[j] ** 2).sum(axis=1) - 2 * products + (rest**2).sum(axis=2)[..., None]
        keep = width if j < count - 1 else 1
        best = np.argpartition(scores.reshape(len(x), -1), keep - 1, axis=1)[:, :keep]
        parent, number = best // k, best % k
        rows = np.arange(len(x))[:, None]
        rest = rest[rows, parent] - lists[j][number]
        chosen = np.concatenate([chosen[rows, parent], number[..., None]], axis=2)
    return chosen[:, 0]


@cache
def _additive(count: int, bits: int, dim: int, rounds: int = 6) -> Floats:
    """Lists learned in turns: codes by beam search, all lists by one least-squares problem."""
    x, k = sample(dim, 64 << bits), 1 << bits
    lists = np.stack([stage.points for stage in _residual_lists(count, bits, dim)])
    for _ in range(rounds):
        codes = np.concatenate([_beam(part, lists, 4) for part in np.array_split(x, -(-len(x) // 1024))])
        columns = codes + k * np.arange(count)
        gram = np.zeros((count * k, count * k))
        for a in range(count):
            for b in range(count):
                np.add.at(gram, (columns[:, a], columns[:, b]), 1.0)
        right = np.stack(
            [sum(np.bincount(columns[:, a], col, count * k) for a in range(count)) for col in x.T], axis=1
        )
        lists = np.linalg.solve(gram + 1e-3 * np.eye(count * k), right).reshape(count, k, dim)
    return lists


class Additive:
    """Sum of one vector from each of `count` lists of 2^list_bits; encoding keeps `beam` candidates."""

    def __init__(
        self, count: int = 2, list_bits: int = 8, dim: int = 8, beam: int = 16, lists: ArrayLike | None = None
    ) -> None:
        self.lists = _additive(count, list_bits, dim) if lists is None else np.asarray(lists, dtype=np.float64)
        if self.lists.shape != (count, 1 << list_bits, dim):
            raise ValueError(f"Argument 'lists' must be {(count, 1 << list_bits, dim)}, got {self.lists.shape}.")
        self.count, self.list_bits, self.dim, self.beam = count, list_bits, dim, beam
        self.bits, self.bits_per_weight = count * list_bits, count * list_bits / dim
        if self.bits > 64:
            raise ValueError(f"A code must fit 64 bits; {count} lists of {list_bits} bits have {self.bits}.")
        self.table_bytes = 2 * self.lists.size
        self.name = f"additive {count} x {list_bits} bit, dim {dim}"

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, dim), list 0 in the low bits."""
        blocks = check_blocks(x, self.dim)
        parts = [_beam(blocks[at : at + 1024], self.lists, self.beam) for at in range(0, len(blocks), 1024)]
        shifts = self.list_bits * np.arange(self.count, dtype=np.uint64)
        chosen = np.concatenate(parts) if parts else np.zeros((0, self.count), dtype=np.int64)
        return (chosen.astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, dim) of codes."""
        c = check_codes(codes, 2**self.bits)
        mask = np.uint64((1 << self.list_bits) - 1)
        parts = [self.lists[j][c >> np.uint64(j * self.list_bits) & mask] for j in range(self.count)]
        return np.sum(parts, axis=0).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        sizes = {"count": self.count, "list_bits": self.list_bits, "dim": self.dim, "beam": self.beam}
        return {"kind": "additive", **sizes, "lists": self.lists.tolist()}
