"""Entropy-coded scalar quantization: how far one weight at a time can go when the rate may vary.

Many levels, each with a code word as long as its information.  A weight takes the level i that minimizes

    (x - c_i)^2 + lambda l_i,     l_i = -log2 P(cell i),

so borders move away from likely levels:  t_i = (c_i + c_{i+1}) / 2 + lambda (l_{i+1} - l_i) / (2 (c_{i+1} - c_i)).
Levels (means of cells), lengths and borders are iterated in turn with the closed forms of the normal density, and
lambda is bisected until the entropy is the rate asked for.  Symbols are then coded by range_coder.py, so the rate in
tables is the length of a file.  Weights come in blocks of eight to share the protocol.

Not here: other densities, adaptive models.  Source: P. A. Chou, T. Lookabaugh, R. M. Gray, IEEE Trans. Acoust. Speech
Signal Process. 37 (1989), for one dimension.  Tests: tests/test_ecsq.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini import range_coder
from llvq_mini.baselines.scalar import BLOCK, Floats, cells
from llvq_mini.codes import check_blocks, check_codes

_REACH = 6.5
"""Levels cover this many standard deviations; beyond lies 1e-10 of the weights."""


def _fit(weight: float, step: float) -> tuple[Floats, Floats, Floats]:
    """Levels, borders and probabilities for one lambda = weight, from a uniform start."""
    half = int(np.ceil(_REACH / step))
    borders = step * np.arange(0.5 - half, half, dtype=np.float64)
    for _ in range(300):
        probability, moment = cells(borders)
        used = probability > 1e-12
        probability, levels = probability[used], moment[used] / probability[used]
        length = -np.log2(probability)
        old, gap = borders, np.diff(levels)
        borders = (levels[1:] + levels[:-1]) / 2 + weight * np.diff(length) / (2 * gap)
        # A level so unlikely that its cell is empty disappears.
        keep = np.concatenate([[True], np.diff(borders) > 1e-9])
        borders = borders[keep]
        if len(borders) == len(old) and np.abs(borders - old).max() < 1e-10:
            break
    probability, moment = cells(borders)
    return moment / probability, borders, probability


def _entropy(probability: Floats) -> float:
    return float(-probability @ np.log2(probability))


@cache
def _design(rate: float) -> tuple[Floats, Floats, Floats]:
    """Levels, borders, probabilities at entropy `rate`, by bisection over lambda."""
    low, high = 0.0, 6 * 2.0 ** (-2 * rate)  # the slope of the curve, 2 ln 2 D, lies between
    for _ in range(40):
        middle = (low + high) / 2
        if _entropy(_fit(middle, 4.1 * 2.0**-rate)[2]) > rate:
            low = middle
        else:
            high = middle
    return _fit(high, 4.1 * 2.0**-rate)


class ECSQ:
    """Entropy-coded scalar quantizer for N(0, 1) at `rate` bits a weight (0.5 ... 5), a VariableRate codebook.

    levels, borders, frequency: None designs them; a spec brings its own.
    """

    def __init__(
        self,
        rate: float = 2.0,
        levels: ArrayLike | None = None,
        borders: ArrayLike | None = None,
        frequency: ArrayLike | None = None,
    ) -> None:
        if not 0.5 <= rate <= 5:
            raise ValueError(f"Argument 'rate' must be in 0.5 ... 5 bits a weight, got {rate!r}.")
        self.bits_per_weight, self.dim, self.bits = float(rate), BLOCK, 8 * BLOCK
        if levels is None or borders is None or frequency is None:
            levels, borders, probability = _design(float(rate))
            frequency = range_coder.quantized(probability)
        self.levels, self.borders = np.asarray(levels, np.float64), np.asarray(borders, np.float64)
        self.frequency = np.asarray(frequency, np.int64)
        self.name = f"entropy-coded scalar, {rate:g} bit"
        self.table_bytes = 4 * len(self.levels) + self.frequency.nbytes

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes uint64[n] of blocks (n, 8): the number of a level in every byte."""
        number = np.searchsorted(self.borders, check_blocks(x, BLOCK), side="right").astype(np.uint8)
        return number.view("<u8")[:, 0].astype(np.uint64)

    def _numbers(self, codes: ArrayLike) -> NDArray[np.uint8]:
        number = check_codes(codes, 2**64).astype("<u8")[:, None].view(np.uint8)
        if number.size and number.max() >= len(self.levels):
            raise ValueError(f"Argument 'codes' must hold bytes below {len(self.levels)}, got {number.max()}.")
        return number

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 8) of codes."""
        return self.levels.astype(np.float32)[self._numbers(codes)]

    def compress(self, codes: ArrayLike) -> bytes:
        """Codes of n blocks as a range-coded message."""
        return range_coder.encode(self._numbers(codes), self.frequency)

    def expand(self, data: bytes, n: int) -> NDArray[np.uint64]:
        """The codes of n blocks back from their message."""
        number = range_coder.decode(data, self.frequency, n * BLOCK).astype(np.uint8).reshape(n, BLOCK)
        return number.view("<u8")[:, 0].astype(np.uint64)

    def spec(self) -> dict[str, Any]:
        """Everything that expanding and decoding need, as JSON."""
        return {
            "kind": "ecsq",
            "rate": self.bits_per_weight,
            "levels": self.levels.tolist(),
            "borders": self.borders.tolist(),
            "frequency": self.frequency.tolist(),
        }
