"""Trellis-coded quantization on a bitshift trellis: 256 weights at a time, k bits each, a state of L bits.

A sequence is stored as a ring of T k bits.  Weight t is a function of the L bits that end at its own k:

    s_t = the L bits up to and including the k of weight t (mod the ring),      weight_t = g v(s_t)

Neighboring windows share L - k bits, so the encoder cannot choose them one by one; Viterbi's algorithm finds the best
path through 2^(L-k) nodes (shared bits) and 2^L edges (windows) a step.  Decoding needs a window and v, nothing else.
Functions v, all of about unit variance:

    lut      Gaussian quantiles in a seeded random order, 4 2^L bytes of table
    1mad     h = 34038481 s + 76625530 mod 2^32;  (sum of the four bytes of h - 510) / 147.8
    3inst    h = 89226354 s + 64248484 mod 2^32;  both halves of (h & 8fff8fff) ^ m m as float16, m = 0.922, summed

The closing of the ring is found in two passes: first the path of the sequence turned by half a ring, with free ends;
what it holds where the sequence begins is then imposed on both ends of the second.  That is not always the best ring.
g^2 is 1 - 4^-k over the variance of v: at the limit the reproduction has variance 1 - D(k).

Not here: two weights a step, a hashed table.  Source: A. Tseng, Q. Sun, D. Hou, C. De Sa, "QTIP", arXiv 2406.11235,
sections 3.1-3.2 and algorithms 1, 2 and 4, from the text alone.  Tests: tests/test_trellis.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from llvq_mini._parallel import KERNEL, over_rows
from llvq_mini.codes import check_blocks, check_rows

LENGTH = 256
CODES = ("lut", "1mad", "3inst")


@cache
def values(code: str, state_bits: int) -> NDArray[np.float32]:
    """v(s) for all states, float32[2^state_bits], scaled to unit variance."""
    state = np.arange(2**state_bits, dtype=np.uint32)
    if code == "lut":
        order = np.argsort(np.random.PCG64(state_bits).random_raw(len(state)), kind="stable")
        v = ndtri((order + 0.5) / len(state))
    elif code == "1mad":
        h = state * np.uint32(34038481) + np.uint32(76625530)
        v = (h.astype("<u4").view(np.uint8).reshape(-1, 4).sum(axis=1) - 510.0) / 147.8
    else:
        h = state * np.uint32(89226354) + np.uint32(64248484)
        m = np.uint32(np.array(0.922, dtype=np.float16).view(np.uint16))
        h = h & np.uint32(0x8FFF8FFF) ^ (m << np.uint32(16) | m)
        v = h.astype("<u4").view("<f2").reshape(-1, 2).astype(np.float64).sum(axis=1)
    return (v / v.std()).astype(np.float32)


@njit(**KERNEL)
def _step(sample, levels, before, after, back):
    """Edges of one step.  before [top, a]; after and back [r, a]; levels [top, r, a]; node q = a 2^k + r."""
    for r in range(after.shape[0]):
        best, choice = after[r], back[r]
        best[:] = np.inf
        for top in range(before.shape[0]):  # the bits that leave the window
            cost, level = before[top], levels[top, r]
            for a in range(len(best)):
                off = sample - level[a]
                candidate = cost[a] + off * off
                better = candidate < best[a]
                best[a] = candidate if better else best[a]
                choice[a] = top if better else choice[a]


@njit(**KERNEL)
def _viterbi(x, levels, k, shared, tied, back, states):
    """Best windows states[t] for x; tied: the node at both ends, or -1 for free ends.  back: work space."""
    shape = levels.shape[1:]
    cost = np.zeros(1 << shared, np.float32)
    if tied >= 0:
        cost[:] = np.inf
        cost[tied] = 0.0
    after = np.empty(shape, np.float32)
    for t in range(len(x)):
        _step(x[t], levels, cost.reshape(shape), after, back[t])
        cost = after.T.copy().reshape(-1)
    node = np.argmin(cost) if tied < 0 else tied
    for t in range(len(x) - 1, -1, -1):
        states[t] = node | np.int64(back[t, node & ((1 << k) - 1), node >> k]) << shared
        node = states[t] >> k


@njit(**KERNEL)
def _encode(x, levels, k, shared, out):
    """The k bits of every weight of every sequence, uint8 (n, T), on a ring."""
    length, half = x.shape[1], x.shape[1] // 2
    back = np.empty((length, levels.shape[1], levels.shape[2]), np.uint8)
    states = np.empty(length, np.int64)
    for n in range(len(x)):
        turned = np.concatenate((x[n, half:], x[n, :half]))
        _viterbi(turned, levels, k, shared, -1, back, states)
        _viterbi(x[n], levels, k, shared, states[half] >> k, back, states)
        for t in range(length):
            out[n, t] = states[t] & ((1 << k) - 1)


def _windows(steps: NDArray[np.uint8], state_bits: int, k: int) -> NDArray[np.uint32]:
    """s_t from the k bits of every weight: uint32 (n, T)."""
    window, step = np.zeros(steps.shape, dtype=np.uint32), steps.astype(np.uint32)
    for age in range(-(-state_bits // k)):
        window |= np.roll(step, age, axis=1) << np.uint32(age * k)
    return window & np.uint32(2**state_bits - 1)


class Trellis:
    """Tail-biting trellis code; codes are rows uint8 (n, 32 weight_bits) for blocks of 256 weights.

    weight_bits: k, 1, 2, 3 or 4.  state_bits: L, 2 k ... 16.  code: 'lut', '1mad' or '3inst'.  scale: g, None for the
    rule above.
    """

    def __init__(
        self, weight_bits: int = 2, state_bits: int = 16, code: str = "3inst", scale: float | None = None
    ) -> None:
        if weight_bits not in (1, 2, 3, 4):
            raise ValueError(f"Argument 'weight_bits' must be 1, 2, 3 or 4, got {weight_bits!r}.")
        if not isinstance(state_bits, int) or not 2 * weight_bits <= state_bits <= 16:
            raise ValueError(f"Argument 'state_bits' must be in {2 * weight_bits} ... 16, got {state_bits!r}.")
        if code not in CODES:
            raise ValueError(f"Argument 'code' must be one of {CODES}, got {code!r}.")
        self.weight_bits, self.state_bits, self.code = int(weight_bits), int(state_bits), code
        self.dim, self.bits, self.bits_per_weight = LENGTH, LENGTH * weight_bits, float(weight_bits)
        self.scale = (1 - 4.0**-weight_bits) ** 0.5 if scale is None else float(scale)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"Argument 'scale' must be a positive finite number, got {scale!r}.")
        self.name = f"trellis {code}, L = {state_bits}, {weight_bits} bit"
        self._values = (values(code, state_bits) * np.float32(self.scale)).astype(np.float32)

    @property
    def table_bytes(self) -> int:
        return self._values.nbytes if self.code == "lut" else 0

    def encode(self, x: ArrayLike) -> NDArray[np.uint8]:
        """Rows uint8 (n, 32 weight_bits) of blocks (n, 256); about 20 a second and core for 2 bits at L = 16."""
        blocks = check_blocks(x, LENGTH).astype(np.float32)
        steps = np.empty(blocks.shape, dtype=np.uint8)

        k, shared = self.weight_bits, self.state_bits - self.weight_bits
        levels = self._values.reshape(2**k, -1, 2**k).swapaxes(1, 2).copy()

        def part(rows: slice) -> None:
            _encode(blocks[rows], levels, k, shared, steps[rows])

        over_rows(part, len(blocks), chunk=4)
        bits = np.unpackbits(steps[:, :, None], axis=2, count=self.weight_bits, bitorder="little")
        return np.packbits(bits.reshape(len(blocks), self.bits), axis=1, bitorder="little")

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks float32 (n, 256) of rows of bits."""
        rows = check_rows(codes, self.bits)
        bits = np.unpackbits(rows, axis=1, bitorder="little").reshape(len(rows), LENGTH, self.weight_bits)
        steps = np.packbits(bits, axis=2, bitorder="little")[:, :, 0]
        return self._values[_windows(steps, self.state_bits, self.weight_bits)]

    def spec(self) -> dict[str, Any]:
        """Everything that decoding needs, as JSON."""
        return {
            "kind": "trellis",
            "weight_bits": self.weight_bits,
            "state_bits": self.state_bits,
            "code": self.code,
            "scale": self.scale,
        }
