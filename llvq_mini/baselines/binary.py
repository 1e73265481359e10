"""Signs and small grids: the quantizers of learned image tokenizers, measured as codes for numbers.

    BSQ     x -> sign(x) / sqrt(d) on the unit sphere, times one gain; 1 bit a weight
    LFQ     x -> sign(x), coordinates +1 or -1; 1 bit a weight
    FSQ     x -> round((l_i - 1) (tanh x_i + 1) / 2), one of l_i levels a coordinate, together one mixed-radix code

In a tokenizer an encoder network learns to produce what these codes represent well and a decoder network undoes them.
Here there is neither: the source is N(0, I), BSQ gets the gain that is best for it, sqrt(2 / pi) a coordinate, LFQ
gets none, and FSQ decodes every cell to its mean, which is the most a decoder could know.  The paper shifts an even
number of levels by half a step, an asymmetry for the encoder network to undo; here cells are symmetric about zero.

Sources: Y. Zhao, Y. Xiong, P. Krahenbuhl, BSQ, arXiv 2406.07548; L. Yu et al., LFQ, arXiv 2310.05737; F. Mentzer et
al., FSQ, arXiv 2309.15505.  Tests: tests/test_binary.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini.baselines.scalar import Floats, cells
from llvq_mini.codes import check_blocks, check_codes


class _Signs:
    """One bit a coordinate; `dim` up to 64."""

    kind, table_bytes = "", 0

    def __init__(self, dim: int, level: float) -> None:
        if not isinstance(dim, int) or not 1 <= dim <= 64:
            raise ValueError(f"Argument 'dim' must be an integer in 1 ... 64, got {dim!r}.")
        self.dim, self.bits, self.bits_per_weight, self.level = dim, dim, 1.0, level
        self.name = f"{self.kind.upper()}, dim {dim}"

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, dim); bit i is set where coordinate i is negative."""
        negative = (check_blocks(x, self.dim) < 0).astype(np.uint64)
        return (negative << np.arange(self.dim, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, dim) of codes."""
        c = check_codes(codes, 2**self.bits)[:, None]
        negative = c >> np.arange(self.dim, dtype=np.uint64) & np.uint64(1)
        return np.where(negative == 1, np.float32(-self.level), np.float32(self.level))

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {"kind": self.kind, "dim": self.dim}


class BSQ(_Signs):
    """Binary spherical quantization with the gain that fits N(0, I)."""

    kind = "bsq"

    def __init__(self, dim: int = 24) -> None:
        super().__init__(dim, (2 / np.pi) ** 0.5)  # E|x|: the best radius sqrt(dim) E|x|, a coordinate's share


class LFQ(_Signs):
    """Lookup-free quantization: coordinates +1 and -1."""

    kind = "lfq"

    def __init__(self, dim: int = 24) -> None:
        super().__init__(dim, 1.0)


def fsq_borders(levels: int) -> Floats:
    """The borders in x between the cells of round((levels - 1) (tanh x + 1) / 2), ascending: float64[levels - 1]."""
    return np.arctanh(2 * (np.arange(levels - 1) + 0.5) / (levels - 1) - 1)


class FSQ:
    """Finite scalar quantization; levels: number of levels of every coordinate, (4,) * 8 is 2 bits a weight."""

    def __init__(self, levels: Sequence[int] = (4,) * 8) -> None:
        self.levels = tuple(int(l) for l in levels)
        if not self.levels or min(self.levels) < 2 or prod(self.levels) > 2**64:
            raise ValueError(f"Argument 'levels' must hold numbers >= 2 with product up to 2**64, got {levels!r}.")
        self.dim, self.bits = len(self.levels), (prod(self.levels) - 1).bit_length()
        self.bits_per_weight = self.bits / self.dim
        self._borders = [fsq_borders(l) for l in self.levels]
        self._means = [moment / probability for probability, moment in map(cells, self._borders)]
        self.table_bytes = 4 * sum(self.levels)
        self._radix = np.array([prod(self.levels[:i]) for i in range(self.dim)], dtype=np.uint64)
        self.name = "FSQ, levels " + " ".join(map(str, self.levels))

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, dim), mixed radix, coordinate 0 the fastest."""
        blocks = check_blocks(x, self.dim)
        digits = [np.searchsorted(b, column) for b, column in zip(self._borders, blocks.T, strict=True)]
        return (np.stack(digits, axis=1).astype(np.uint64) * self._radix).sum(axis=1, dtype=np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, dim) of codes: the means of the cells."""
        c = check_codes(codes, prod(self.levels))
        digits = [c // r % np.uint64(l) for r, l in zip(self._radix, self.levels, strict=True)]
        return np.stack([m[d] for m, d in zip(self._means, digits, strict=True)], axis=1).astype(np.float32)

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {"kind": "fsq", "levels": list(self.levels)}
