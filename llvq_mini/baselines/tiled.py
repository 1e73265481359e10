"""A long code under error feedback: one 256-weight trellis sequence as a tile of 16 rows by 16 columns.

Feedback rounds a few columns of all rows at a time, a trellis wants 256 weights.  QTIP's answer is to run the sequence
through a tile: row after row of 16 x 16, so that feedback moves on after 16 columns.  To the error feedback this is a
code of 16 numbers a row; the 512 bits of a tile are dealt out to its 16 rows, 32 a row (k 16 in general), which no
row can decode alone.

Not here: rows that are no multiple of 16.  Source: A. Tseng et al., "QTIP", arXiv 2406.11235, section 3.  Tests:
tests/test_gptq.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini.baselines.trellis import Trellis
from llvq_mini.codes import check_blocks, check_codes

SIDE = 16


class Tiled:
    """The Codebook protocol around a trellis code: blocks (n, 16), n a multiple of 16, to n codes of k 16 bits."""

    dim = SIDE

    def __init__(self, trellis: Trellis) -> None:
        self.trellis = trellis
        self.bits, self.bits_per_weight = SIDE * trellis.weight_bits, trellis.bits_per_weight
        self.name, self.table_bytes = f"{trellis.name}, in tiles", trellis.table_bytes

    def _rows(self, count: int) -> int:
        if count % SIDE:
            raise ValueError(f"A tile takes {SIDE} rows; the number of rows must be a multiple, got {count}.")
        return count // SIDE

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 16); every 16 of them belong together."""
        blocks = check_blocks(x, SIDE)
        packed = self.trellis.encode(
            np.ascontiguousarray(blocks).reshape(self._rows(len(blocks)), SIDE * SIDE)
        )
        shares = packed.reshape(len(blocks), -1).astype(np.uint64)
        return (shares << (8 * np.arange(shares.shape[1], dtype=np.uint64))).sum(axis=1, dtype=np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 16) of n codes."""
        c = check_codes(codes, 1 << self.bits)
        tiles = self._rows(len(c))
        shares = c[:, None] >> (8 * np.arange(self.bits // 8, dtype=np.uint64)) & np.uint64(255)
        return self.trellis.decode(shares.astype(np.uint8).reshape(tiles, -1)).reshape(len(c), SIDE)

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {"kind": "tiled", "trellis": self.trellis.spec()}
