"""Nested-lattice codes: Leech points by their coset modulo r times the lattice.

Of the lattice L and its multiple r L there are r^24 cosets, so a coset is log2 r bits a weight, with no shells, classes
or tables behind it.  Its code word is its shortest member, the one in the Voronoi region of r L:

    encode    v = the point nearest to x;  code = coordinates of v in a basis, mod r
    decode    any member u of the coset;  w = u - r Q(u / r),  Q the nearest point, one call

At 2 bits and below it loses to the ball codes: a Gaussian block often lies outside the region, and there are no spare
gains to widen it with.

All points are shifted by a fixed vector a.  Without it many would lie on borders between Voronoi regions, and for small
r, where most shortest vectors come in pairs of opposites, the code would be lopsided.  Blocks outside the
region that the code words fill are pulled towards the origin until their nearest point is a code word: not always the
nearest one, but a fraction of the blocks only.  Codes above 64 bits are rows, see codes.py.

Sources: J. H. Conway and N. J. A. Sloane, "A fast encoding method for lattice codes and quantizers", IEEE Trans. Inf.
Theory 29 (1983); S. Savkin et al., "NestQuant", arXiv 2502.09720, for E8 in language models.  Tests:
tests/test_voronoi.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from llvq_mini import gain, golay, search
from llvq_mini.codes import check_blocks, check_codes, join, split

Floats = NDArray[np.float64]
Points = NDArray[np.int64]
DIM = 24
_PULL, _PULLS = 0.98, 200  # from the farthest code word to where every point is one, 0.98^80 suffices

@cache
def shift() -> Floats:
    """The vector a: in general position in the Voronoi region of the lattice, about as far out as a typical point."""
    a = 2.0 * np.sin(np.arange(1, DIM + 1) ** 2.0)
    return a - search.nearest_point(a[None])[0]


@cache
def basis() -> Points:
    """An upper triangular basis of the lattice in the sqrt(8) frame, rows are vectors: int64 (24, 24)."""
    words = 2 * golay.to_bits(golay.WORDS[1 << np.arange(12)]).astype(np.int64)
    pairs = 4 * (np.eye(24, dtype=np.int64) + np.eye(24, k=1, dtype=np.int64))[:23]
    odd = np.ones((1, 24), dtype=np.int64)
    odd[0, 0] = -3
    rows = [*words, *pairs, *odd, *(8 * np.eye(24, dtype=np.int64))]
    found = []
    for column in range(24):
        while True:  # Euclid's algorithm down the column
            active = sorted((row for row in rows if row[column]), key=lambda row: abs(row[column]))
            if len(active) == 1:
                break
            rows = [row for row in rows if row is active[0] or not row[column]]
            rows += [row - row[column] // active[0][column] * active[0] for row in active[1:]]
        found.append(active[0] * np.sign(active[0][column]))
        rows = [row for row in rows if row is not active[0]]
    return np.array(found)


def coordinates(v: Points) -> Points:
    """Integers c with v = c basis(), for lattice vectors v (n, 24)."""
    rest, rows = v.astype(np.int64), basis()
    c = np.empty_like(rest)
    for i in range(DIM):
        c[:, i] = rest[:, i] // rows[i, i]
        rest -= c[:, i : i + 1] * rows[i]
    return c


class Cosets:
    """The cosets of L / r L with their shortest members, r = 2 ... 40."""

    def __init__(self, r: int) -> None:
        if not isinstance(r, int | np.integer) or not 2 <= r <= 40:
            raise ValueError(f"Argument 'r' must be an integer in 2 ... 40, got {r!r}.")
        self.r = int(r)
        whole = (self.r**DIM - 1).bit_length()
        # One word if r^24 fits, two words of twelve coordinates if not.
        self.groups = 1 if whole <= 63 else 2
        self.widths = [(self.r ** (DIM // self.groups) - 1).bit_length()] * self.groups
        self.bits = sum(self.widths)

    def shortest(self, v: Points) -> Points:
        """The member w of v's coset for which w + a lies in the Voronoi region of r L."""
        return v - self.r * search.nearest_point((v + shift()) / self.r)

    def words(self, v: Points) -> list[NDArray[np.uint64]]:
        """Numbers of the cosets of v, one or two words."""
        digits = (coordinates(v) % self.r).astype(np.uint64).reshape(len(v), self.groups, DIM // self.groups)
        radix = np.array([self.r**i for i in range(DIM // self.groups)], dtype=np.uint64)
        return list((digits * radix).sum(axis=2, dtype=np.uint64).T)

    def points(self, words: list[NDArray[np.uint64]]) -> Points:
        """Shortest members of numbered cosets; ValueError for a number that is too large."""
        size, radix = DIM // self.groups, np.uint64(self.r)
        digits = np.empty((len(words[0]), DIM), dtype=np.int64)
        for g, word in enumerate(words):
            rest = check_codes(word, self.r**size)
            for i in range(size):
                digits[:, g * size + i] = (rest % radix).astype(np.int64)
                rest = rest // radix
        return self.shortest(digits @ basis())


class Voronoi:
    """Leech points modulo r: log2 r bits a weight, rounded up to whole bits a block (r = 2, 4, 8, 16: exactly).

    scale: length of the integer frame's unit; None fits it to the Gaussian source.
    """

    dim = DIM
    table_bytes = DIM * DIM + 8 * DIM  # the basis as int8 and the vector a

    def __init__(self, r: int = 4, scale: float | None = None) -> None:
        self.cosets, self.r = Cosets(r), int(r)
        self.bits = self.cosets.bits
        if scale is None:
            x = gain.sample()
            # A uniform point in the region of r L has variance 8 r^2 0.0658 a coordinate; the tails want a little more.
            ratio = (8 * 0.0658) ** -0.5 / r
            scale = minimize_scalar(
                lambda s: float(((x - s * (self._points(x, s) + shift())) ** 2).sum()),
                bounds=(0.9 * ratio, 1.5 * ratio),
                method="bounded",
                options={"xatol": 5e-3 * ratio},
            ).x
        self.scale = float(scale)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"Argument 'scale' must be a positive finite number, got {scale!r}.")

    @property
    def name(self) -> str:
        return f"Leech Voronoi, modulo {self.r}"

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.dim

    def _points(self, x: Floats, scale: float) -> Points:
        """Code words near x / scale - a."""
        target = x / scale
        reach = 4.2 * self.r  # no code word is farther out: 4 is the covering radius
        length = np.linalg.norm(target, axis=1, keepdims=True)
        target *= np.minimum(1, reach / np.maximum(length, reach))
        v = search.nearest_point(target - shift())
        rows = np.flatnonzero(~self._is_code_word(v))
        for _ in range(_PULLS):
            if not rows.size:
                break
            target[rows] *= _PULL
            v[rows] = search.nearest_point(target[rows] - shift())
            rows = rows[~self._is_code_word(v[rows])]
        v[rows] = 0  # the origin is a code word
        return v

    def _is_code_word(self, v: Points) -> NDArray[np.bool_]:
        return (self.cosets.shortest(v) == v).all(axis=1)

    def encode(self, x: ArrayLike) -> NDArray:
        """Codes of blocks (n, 24): uint64[n], or rows when bits > 64."""
        words = self.cosets.words(self._points(check_blocks(x, DIM), self.scale))
        return join(words, self.cosets.widths) if self.bits > 64 else words[0]

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 24) of codes."""
        words = split(codes, self.cosets.widths) if self.bits > 64 else [check_codes(codes, self.r**DIM)]
        return (self.scale * (self.cosets.points(words) + shift())).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, r, scale."""
        return {"kind": "voronoi", "r": self.r, "scale": self.scale}
