"""Week 2, answer key: the Leech lattice, its shells and nearest points, in the frame where vectors are integers."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .week1 import golay_message, golay_words


@cache
def _bits() -> NDArray[np.int64]:
    """The words of the Golay code as bits, (4096, 24)."""
    return (golay_words()[:, None] >> np.arange(24, dtype=np.uint32) & 1).astype(np.int64)


# ---- 2.1 ----
def leech_contains(v: ArrayLike) -> NDArray[np.bool_]:
    """Whether integer vectors (n, 24) belong to the lattice."""
    a = np.asarray(v).astype(np.int64)
    e = a[:, :1] & 1
    one_parity = ((a & 1) == e).all(axis=1)
    word = ((a - e >> 1 & 1) << np.arange(24)).sum(axis=1)
    return one_parity & (golay_message(word) >= 0) & ((a.sum(axis=1) - 4 * e[:, 0]) % 8 == 0)


def minimal_vectors() -> NDArray[np.int8]:
    """The 196,560 vectors of length squared 32, int8."""
    pairs = []
    for i in range(24):
        for j in range(i):
            for s in (4, -4):
                for t in (4, -4):
                    v = np.zeros(24, dtype=np.int8)
                    v[i], v[j] = s, t
                    pairs.append(v)
    octads = _bits()[_bits().sum(axis=1) == 8].astype(bool)
    minus = np.arange(256)[np.bitwise_count(np.arange(256)) % 2 == 0]
    signs = (2 - 4 * (minus[:, None] >> np.arange(8) & 1)).astype(np.int8)
    twos = np.zeros((759, 128, 24), dtype=np.int8)
    for number, octad in enumerate(octads):
        twos[number][:, octad] = signs
    ones = (1 - 2 * _bits()).astype(np.int8)
    odd = ones[:, None, :] * (1 - 4 * np.eye(24, dtype=np.int8))
    return np.concatenate([np.array(pairs), twos.reshape(-1, 24), odd.reshape(-1, 24)])


# ---- 2.2 ----
def theta(m: int) -> int:
    """Number of lattice vectors of length squared 16 m, exactly."""
    if m < 0:
        raise ValueError(f"m must not be negative, got {m}")
    if m == 0:
        return 1
    series = [1] + [0] * (m - 1)  # product of (1 - q^n)^24 up to q^(m - 1)
    for n in range(1, m):
        for _ in range(24):
            for power in range(m - 1, n - 1, -1):
                series[power] -= series[power - n]
    tau = series[m - 1]
    sigma = sum(d**11 for d in range(1, m + 1) if m % d == 0)
    return 65520 * (sigma - tau) // 691


# ---- 2.3 ----
def _best_pair(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The two largest magnitudes get ±4."""
    v = np.zeros_like(x)
    top = np.argsort(-np.abs(x), axis=1)[:, :2]
    rows = np.arange(len(x))[:, None]
    v[rows, top] = np.where(x[rows, top] < 0, -4, 4)
    return v


def _best_octad(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs of x on the octad; where they hold an odd number of minus signs, the smallest magnitude is turned."""
    octads = np.flatnonzero(_bits().sum(axis=1) == 8)
    places = np.nonzero(_bits()[octads])[1].reshape(759, 8)
    on = x[:, places]  # (n, 759, 8)
    size = np.abs(on)
    odd = (on < 0).sum(axis=2) % 2
    score = size.sum(axis=2) - 2 * size.min(axis=2) * odd
    best = score.argmax(axis=1)
    rows = np.arange(len(x))
    values = np.where(on[rows, best] < 0, -2.0, 2.0)
    smallest = size[rows, best].argmin(axis=1)
    values[rows, smallest] *= 1 - 2 * odd[rows, best]
    v = np.zeros_like(x)
    v[rows[:, None], places[best]] = values
    return v


def _best_odd(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs from a word; the coordinate that matches worst gets magnitude 3 and the other sign."""
    ones = (1 - 2 * _bits()).astype(np.float64)
    matched = x[:, None, :] * ones  # (n, 4096, 24)
    score = matched.sum(axis=2) - 4 * matched.min(axis=2)
    best = score.argmax(axis=1)
    rows = np.arange(len(x))
    v = ones[best]
    v[rows, matched[rows, best].argmin(axis=1)] *= -3
    return v


def nearest_minimal(x: ArrayLike) -> NDArray[np.int64]:
    """The minimal vectors with the largest inner product with x, int64 (n, 24)."""
    y = np.asarray(x, dtype=np.float64)
    found = []
    for start in range(0, len(y), 32):
        part = y[start : start + 32]
        candidates = np.stack([_best_pair(part), _best_octad(part), _best_odd(part)])
        best = (candidates * part).sum(axis=2).argmax(axis=0)
        found.append(candidates[best, np.arange(len(part))])
    return np.concatenate(found).astype(np.int64) if found else np.zeros((0, 24), dtype=np.int64)


# ---- 2.4 ----
def nearest_leech(x: ArrayLike) -> NDArray[np.int64]:
    """Nearest points of the whole lattice, int64 (n, 24): the best of all 8192 cosets of 4 Z^24 with a parity."""
    y = np.asarray(x, dtype=np.float64)
    rows = np.arange(4096)
    out = np.empty(y.shape, dtype=np.int64)
    for number, point in enumerate(y):
        best = np.inf
        for e in (0, 1):
            offset = 2 * _bits() + e
            t = (point - offset) / 4
            k = np.rint(t)
            off = t - k
            worst = np.abs(off).argmax(axis=1)
            wrong = (k.sum(axis=1) - e) % 2
            k[rows, worst] += wrong * np.where(off[rows, worst] >= 0, 1.0, -1.0)
            distance = ((t - k) ** 2).sum(axis=1)
            nearest = distance.argmin()
            if distance[nearest] < best:
                best = distance[nearest]
                out[number] = 4 * k[nearest] + offset[nearest]
    return out
