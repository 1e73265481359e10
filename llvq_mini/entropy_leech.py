"""Entropy-coded Leech vectors: the whole lattice, with short codes for short vectors.

A fixed rate has to cut the lattice off at a ball and pays twice, for blocks outside and for a density that is uniform
inside.  With a variable rate nothing is cut off: v is the nearest lattice point of x / s, and its code word has

    l(v) = -log2 p(m) + log2 n(m)   bits,     m = |v|^2 / 16 its shell, n(m) the shell's size,

the shell by its probability, the place within the shell evenly.  For a Gaussian source that is the right model up to
the small differences inside a shell.  The lengths are real: range_coder.py codes m with frequencies of 16 bits and the
index within the shell as leading part (evenly among up to 2^16 parts) and 16-bit pieces, about 0.005 bits a block more
than l(v).  The reconstruction is t s v: points of a cell lie towards the origin on average, so t < 1.

Frequencies, t and s for a rate are fitted on blocks with random directions and evenly spread quantiles of |x|^2 / 24,
which leaves little to chance.  A block beyond shell 31, the last with an index of 63 bits, takes the nearest point
inside; up to 2 bits a weight that is about one block in 100,000, and higher rates are refused.  Codes are indices as in
index.py, 63 bits before compression.

Source: T. D. Lookabaugh and R. M. Gray, IEEE Trans. Inf. Theory 35 (1989), and R. Zamir, "Lattice Coding for Signals
and Networks" (2014), for entropy-coded lattices.  Tests: tests/test_entropy_leech.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv

from llvq_mini import index, range_coder, search
from llvq_mini._parallel import KERNEL
from llvq_mini.codes import check_blocks, check_codes

DIM = 24
MAX_SHELL = search.MAX_SHELL


@cache
def _first() -> NDArray[np.int64]:
    """Index of the first point of shells 0 ... 32: int64[33]."""
    return np.array([0] + [index.size(m) for m in range(MAX_SHELL + 1)], dtype=np.int64)


class Model(NamedTuple):
    """What encoder and decoder share: scale s, factor t, frequencies of shells 0 ... 31 (empty ones 0)."""

    scale: float
    factor: float
    frequency: NDArray[np.int64]

    def length(self) -> NDArray[np.float64]:
        """l(v) for shells 0 ... 31 in bits, infinite for empty shells."""
        with np.errstate(divide="ignore"):
            return range_coder.TOTAL_BITS - np.log2(self.frequency) + np.log2(np.maximum(np.diff(_first()), 1))


def _stratified(n: int) -> NDArray[np.float64]:
    x = np.random.default_rng(31).standard_normal((n, DIM))
    square = 2 * gammaincinv(DIM / 2, (np.arange(n) + 0.5) / n)
    return x * (np.sqrt(square) / np.linalg.norm(x, axis=1))[:, None]


def _points(x: NDArray[np.float64], scale: float) -> NDArray[np.int8]:
    v = search.nearest_point(x / scale)
    far = np.flatnonzero((v * v).sum(axis=1) > 16 * MAX_SHELL)
    if far.size:
        v[far] = search.nearest_in_ball(x[far], MAX_SHELL, scale)
    return v.astype(np.int8)


def _fit(x: NDArray[np.float64], scale: float) -> tuple[Model, float]:
    """The model of one scale and its mean length in bits a weight."""
    v = _points(x, scale).astype(np.float64)
    square = (v * v).sum(axis=1)
    count = np.bincount((square / 16).astype(np.int64), minlength=MAX_SHELL + 1)
    occupied = np.diff(_first()) > 0
    # Half a block more on every occupied shell: rare shells get a code word too.
    frequency = np.zeros(MAX_SHELL + 1, dtype=np.int64)
    frequency[occupied] = range_coder.quantized(2.0 * count[occupied].astype(np.float64) + 1)
    model = Model(scale, float((x * v).sum() / (square.sum() * scale)), frequency)
    return model, float(count[occupied] @ model.length()[occupied] / len(x) / DIM)


@cache
def _design(rate: float) -> Model:
    """The model whose mean length is `rate`, by bisection over the scale."""
    x = _stratified(8192)
    low, high = 0.9 * 0.379 * 2.0 ** (2 - rate), 1.6 * 0.379 * 2.0 ** (2 - rate)
    for _ in range(14):
        middle = (low * high) ** 0.5
        if _fit(x, middle)[1] > rate:
            low = middle
        else:
            high = middle
    return _fit(x, (low * high) ** 0.5)[0]


@njit(**KERNEL)
def _compress(codes, first, starts, out):
    state = range_coder.encoder_state()
    for code in codes:
        shell = np.searchsorted(first, code, side="right") - 1
        range_coder.put(state, out, starts[shell], starts[shell + 1] - starts[shell], starts[-1])
        place, largest, tail = code - first[shell], first[shell + 1] - first[shell] - 1, 0
        while largest >> tail >= 1 << 16:
            tail += 1
        range_coder.put(state, out, place >> tail, 1, (largest >> tail) + 1)
        while tail > 0:
            bits = min(tail, 16)
            tail -= bits
            range_coder.put(state, out, (place >> tail) & ((1 << bits) - 1), 1, 1 << bits)
    return range_coder.finish(state, out)


@njit(**KERNEL)
def _expand(data, first, starts, codes):
    state = range_coder.decoder_state(data)
    for n in range(len(codes)):
        shell = np.searchsorted(starts, range_coder.get(state, starts[-1]), side="right") - 1
        range_coder.take(state, data, starts[shell], starts[shell + 1] - starts[shell], starts[-1])
        largest, tail = first[shell + 1] - first[shell] - 1, 0
        while largest >> tail >= 1 << 16:
            tail += 1
        place = range_coder.get(state, (largest >> tail) + 1)
        range_coder.take(state, data, place, 1, (largest >> tail) + 1)
        while tail > 0:
            bits = min(tail, 16)
            tail -= bits
            piece = range_coder.get(state, 1 << bits)
            range_coder.take(state, data, piece, 1, 1 << bits)
            place = place << bits | piece
        codes[n] = first[shell] + min(place, largest)


class EntropyLeech:
    """The Leech lattice with entropy-coded points, a VariableRate codebook for N(0, I).

    rate: bits a weight on average, 0.25 ... 2.  scale, factor, frequency: None designs them; a spec brings its own.
    """

    dim = DIM

    def __init__(
        self,
        rate: float = 2.0,
        scale: float | None = None,
        factor: float | None = None,
        frequency: ArrayLike | None = None,
    ) -> None:
        if not 0.25 <= rate <= 2:
            raise ValueError(f"Argument 'rate' must be in 0.25 ... 2 bits a weight, got {rate!r}.")
        self.bits_per_weight, self.bits = float(rate), index.bits(MAX_SHELL)
        if scale is None or factor is None or frequency is None:
            self.model = _design(float(rate))
        else:
            self.model = Model(float(scale), float(factor), np.asarray(frequency, dtype=np.int64))
        total = self.model.frequency.sum() if self.model.frequency.shape == (MAX_SHELL + 1,) else 0
        if total != 1 << range_coder.TOTAL_BITS or self.model.frequency.min() < 0 or not self.model.scale > 0:
            raise ValueError("Arguments 'scale' and 'frequency' must be positive, the 32 frequencies summing to 2**16.")
        self._starts = np.concatenate([[0], np.cumsum(self.model.frequency)])
        self.name = f"Leech lattice, entropy-coded, {rate:g} bit"

    @property
    def table_bytes(self) -> int:
        return index.table_bytes(MAX_SHELL) + self.model.frequency.nbytes

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Indices uint64[n] of the lattice points nearest to blocks (n, 24)."""
        return index.encode(_points(check_blocks(x, DIM), self.model.scale), MAX_SHELL)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 24) of indices."""
        v = index.decode(check_codes(codes, index.size(MAX_SHELL)), MAX_SHELL)
        return v.astype(np.float32) * np.float32(self.model.scale * self.model.factor)

    def compress(self, codes: ArrayLike) -> bytes:
        """Indices of n blocks as a range-coded message."""
        c = check_codes(codes, index.size(MAX_SHELL)).astype(np.int64)
        out = np.empty(12 * len(c) + 16, dtype=np.uint8)
        return out[: _compress(c, _first(), self._starts, out)].tobytes()

    def expand(self, data: bytes, n: int) -> NDArray[np.uint64]:
        """The indices of n blocks back from their message."""
        codes = np.empty(n, dtype=np.int64)
        _expand(np.frombuffer(data, dtype=np.uint8), _first(), self._starts, codes)
        return codes.astype(np.uint64)

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, rate, scale, factor, frequency."""
        return {
            "kind": "entropy-leech",
            "rate": self.bits_per_weight,
            "scale": self.model.scale,
            "factor": self.model.factor,
            "frequency": self.model.frequency.tolist(),
        }
