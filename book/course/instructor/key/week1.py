"""Week 1, answer key: scalar quantizers, the Golay code, D4 and E8."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import erf, exp, inf, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

# ---- 1.1 ----


def _density(t: float) -> float:
    return exp(-t * t / 2) / sqrt(2 * pi) if abs(t) < inf else 0.0


def _below(t: float) -> float:
    return (1 + erf(t / sqrt(2))) / 2


def lloyd_max(levels: int) -> tuple[NDArray[np.float64], float]:
    """Best scalar quantizer of a standard Gaussian with so many levels: (levels ascending, mean squared error)."""
    if levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
    centers = np.linspace(-2.5, 2.5, levels) if levels > 1 else np.zeros(1)
    for _ in range(20_000):
        edges = [-inf, *((a + b) / 2 for a, b in pairwise(centers)), inf]
        masses = [_below(b) - _below(a) for a, b in pairwise(edges)]
        moments = [_density(a) - _density(b) for a, b in pairwise(edges)]
        fresh = np.array(moments) / masses
        moved = np.abs(fresh - centers).max()
        centers = fresh
        if moved < 1e-12:
            break
    # E x^2 - E y^2, because every level is the mean of its cell
    return centers, float(1 - (np.array(masses) * centers**2).sum())


# ---- 1.2 ----
_INVERSE = (0, 1, 5, 6, 7, 2, 3, 4)  # in the field of eight elements modulo x^3 + x + 1, with 1/0 = 0


@cache
def _tables() -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """h, g and the 4096 words in the order of their messages x<<8 | a<<4 | b."""
    i, a = np.arange(8), np.arange(16)[:, None]
    bits = (np.bitwise_count((a >> 1) & i) + (a & 1)) & 1
    h = (bits.astype(np.uint32) << i.astype(np.uint32)).sum(axis=1, dtype=np.uint32)
    g = (bits[:, _INVERSE].astype(np.uint32) << i.astype(np.uint32)).sum(axis=1, dtype=np.uint32)
    n = np.arange(4096)
    x, a, b = n >> 8, n >> 4 & 15, n & 15
    words = (h[a] ^ g[x]) | (h[b] ^ g[x]) << 8 | (h[a ^ b] ^ g[x]) << 16
    return h, g, words.astype(np.uint32)


def golay_words() -> NDArray[np.uint32]:
    """The 4096 words of the code, uint32."""
    return _tables()[2].copy()


def golay_encode(messages: ArrayLike) -> NDArray[np.uint32]:
    """Words of messages 0 ... 4095."""
    m = np.asarray(messages)
    if m.size and (m.min() < 0 or m.max() > 4095):
        raise ValueError("messages must be 0 ... 4095")
    return _tables()[2][m]


def golay_message(words: ArrayLike) -> NDArray[np.int64]:
    """The message of every word, -1 for what is not in the code."""
    w = np.asarray(words).astype(np.int64)
    all_words = _tables()[2].astype(np.int64)
    order = np.argsort(all_words)
    place = np.searchsorted(all_words, w, sorter=order).clip(max=4095)
    message = order[place]
    return np.where(all_words[message] == w, message, -1)


# ---- 1.3 ----
def golay_decode(received: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Nearest word of the code of every received word, and how many bits differ."""
    r = np.asarray(received).astype(np.uint32)
    words = _tables()[2]
    nearest = np.empty(r.shape, dtype=np.uint32)
    for start in range(0, len(r), 256):
        part = r[start : start + 256]
        distance = np.bitwise_count(part[:, None] ^ words)
        nearest[start : start + 256] = words[distance.argmin(axis=1)]
    return nearest, np.bitwise_count(r ^ nearest).astype(np.int64)


# ---- 1.4 ----
def _nearest_even_sum(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nearest integers with even sum: round; where the sum is odd, round the worst coordinate the other way."""
    k = np.rint(x)
    off = x - k
    worst = np.abs(off).argmax(axis=1)
    rows = np.arange(len(x))
    step = np.where(off[rows, worst] >= 0, 1.0, -1.0)
    k[rows, worst] += step * (k.sum(axis=1) % 2)
    return k


def nearest_d4(x: ArrayLike) -> NDArray[np.float64]:
    """Nearest points of D4, float64 (n, 4)."""
    return _nearest_even_sum(np.asarray(x, dtype=np.float64))


def nearest_e8(x: ArrayLike) -> NDArray[np.float64]:
    """Nearest points of E8, the union of D8 and D8 + 1/2, float64 (n, 8)."""
    y = np.asarray(x, dtype=np.float64)
    whole, half = _nearest_even_sum(y), _nearest_even_sum(y - 0.5) + 0.5
    better = ((y - whole) ** 2).sum(axis=1) <= ((y - half) ** 2).sum(axis=1)
    return np.where(better[:, None], whole, half)
