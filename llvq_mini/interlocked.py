"""Interlocked shape-gain: gains with their own shell caps, and their own order of coordinates.

The tapered code of codebook.py puts copies of one set of directions on spheres of several radii.  A block between two
spheres then finds the same direction on both, and the second sphere helps it only in length.  If the directions of
every sphere are turned against those of its neighbors, a block has independent chances there: cells of neighboring
spheres interlock like the layers of a lattice, and the error falls further at the same bits.  Rolling the coordinates
is such a turn and costs a decoder nothing (a roll by 8 permutes the octads and maps the lattice to itself, so there are
eight different ones):

    sphere j:   g_j roll(v, j) / |v|,     v on shells 2 ... M_j,     rolled by j coordinates

Encoding searches every sphere, 1 / number of gains as fast as the shape-gain code; there is no shortcut, since what one
sphere offers says nothing about the next.  Levels are fitted by Lloyd's iteration on a fixed Gaussian sample.  The code
is a number: points of the spheres before, plus the index of v, minus 1 for the origin, which is no direction.

Not here: the best turns.  Sources: codebook.py; J. Hamkins and K. Zeger, IEEE Trans. Inf. Theory 48 (2002), for
spheres.  Tests: tests/test_interlocked.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini import gain, index, search
from llvq_mini.codes import check_blocks, check_codes

CAPS = (8, 9, 10, 11, 12, 12)
"""Shell caps of the spheres, from the inside: 2^48 code words less 0.1 %."""
CAPS_BY_BITS = {36: (4, 4, 5, 5, 5, 5, 5, 6), 48: CAPS, 60: (18, 19, 20, 22, 22, 23, 23, 24)}
"""The best caps found for 1.5, 2 and 2.5 bits a weight, among some twenty that use the bits well."""


class Interlocked:
    """Spheres with one shell cap each, the coordinates of sphere j rolled by j.

    caps: 1 to 8 shell caps.  levels: the radii; None fits them to the Gaussian source.
    """

    dim = gain.DIM

    def __init__(self, caps: Sequence[int] = CAPS, levels: ArrayLike | None = None) -> None:
        if not 1 <= len(caps) <= 8:
            raise ValueError(f"Argument 'caps' must be 1 to 8 shell caps of at least 2, got {len(caps)}.")
        self.caps = tuple(search.check_shell(cap, 2, "caps") for cap in caps)
        sizes = [index.size(cap) - 1 for cap in self.caps]
        if sum(sizes) >= 1 << 63:
            raise ValueError(f"Argument 'caps' must have fewer than 2**63 points in all, got {caps!r}.")
        self._start = np.cumsum([0, *sizes])
        self.bits = (sum(sizes) - 1).bit_length()
        self.levels = self._fitted() if levels is None else np.asarray(levels, dtype=np.float64)
        if self.levels.shape != (len(self.caps),) or not ((self.levels > 0) & np.isfinite(self.levels)).all():
            raise ValueError(
                f"Argument 'levels' must hold {len(self.caps)} positive numbers, got {levels!r}."
            )

    @property
    def name(self) -> str:
        return f"Leech interlocked shape-gain, caps {', '.join(map(str, self.caps))}"

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.dim

    @property
    def table_bytes(self) -> int:
        return index.table_bytes(max(self.caps))

    def _directions(self, x: NDArray[np.float64], j: int) -> NDArray[np.int8]:
        return search.nearest_direction(np.ascontiguousarray(np.roll(x, -j, axis=1)), self.caps[j])

    def _fitted(self) -> NDArray[np.float64]:
        x = gain.sample(4 * gain.SAMPLE)
        rolled = [(np.roll(x, -j, axis=1), self._directions(x, j)) for j in range(len(self.caps))]
        p = np.stack([gain.projections(v, y) for y, v in rolled], axis=1)
        return gain.lloyd_by_cap(p, 100)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 24): the code word of least error, exactly."""
        blocks = check_blocks(x, self.dim)
        best, codes = np.full(len(blocks), np.inf), np.zeros(len(blocks), dtype=np.uint64)
        for j, level in enumerate(self.levels):
            v = self._directions(blocks, j)
            error = level**2 - 2 * level * gain.projections(v, np.roll(blocks, -j, axis=1))
            better = error < best
            best[better] = error[better]
            codes[better] = index.encode(v[better], self.caps[j]) + np.uint64(self._start[j] - 1)
        return codes

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 24) of codes; ValueError for a code outside the codebook."""
        c = check_codes(codes, int(self._start[-1])).astype(np.int64)
        sphere = np.searchsorted(self._start, c, side="right") - 1
        v = index.decode(c - self._start[sphere] + 1, max(self.caps))
        at = (np.arange(self.dim) - sphere[:, None]) % self.dim
        return gain.scaled_directions(np.take_along_axis(v, at, axis=1), self.levels[sphere])

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, caps, levels."""
        return {"kind": "interlocked", "caps": list(self.caps), "levels": self.levels.tolist()}
