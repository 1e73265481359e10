"""Week 3, answer key: numbers for points, bits for numbers, a shape-gain code, and honest accounting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from math import factorial, log10, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .week1 import golay_message, golay_words
from .week2 import leech_contains, nearest_minimal

PAIRS, OCTADS, ODD = 1104, 759 * 128, 4096 * 24  # sizes of the three classes


# ---- 3.1 ----
def _arrangements(counts: Counter[int]) -> int:
    return factorial(counts.total()) // prod(factorial(n) for n in counts.values())


def rank(arrangement: Sequence[int]) -> int:
    """Number of distinct arrangements of the same values that come before this one in lexicographic order."""
    left, number = Counter(arrangement), 0
    for value in arrangement:
        for smaller in [other for other in left if other < value]:
            left[smaller] -= 1
            number += _arrangements(left)
            left[smaller] += 1
        left[value] -= 1
        if not left[value]:
            del left[value]
    return number


def unrank(leader: Sequence[int], number: int) -> tuple[int, ...]:
    """The arrangement of these values with that number; ValueError if there is none."""
    left = Counter(leader)
    if not 0 <= number < _arrangements(left):
        raise ValueError(f"number must be 0 ... {_arrangements(left) - 1}, got {number}")
    out = []
    for _ in leader:
        for value in sorted(left):
            left[value] -= 1
            count = _arrangements(left)
            if number < count:
                out.append(value)
                left += Counter()  # drops what is used up
                break
            number -= count
            left[value] += 1
    return tuple(out)


@cache
def _octad_messages() -> NDArray[np.int64]:
    return np.flatnonzero(np.bitwise_count(golay_words()) == 8)


def _word(bits: NDArray[np.bool_]) -> NDArray[np.int64]:
    return (bits.astype(np.int64) << np.arange(24)).sum(axis=1)


def encode_minimal(v: ArrayLike) -> NDArray[np.int64]:
    """Numbers 0 ... 196,559 of minimal vectors (n, 24); ValueError for other vectors."""
    a = np.asarray(v).astype(np.int64)
    if ((a * a).sum(axis=1) != 32).any() or not leech_contains(a).all():
        raise ValueError("not a minimal vector: its length squared is not 32, or it is not in the lattice")
    out = np.empty(len(a), dtype=np.int64)
    largest = np.abs(a).max(axis=1)

    pair = a[largest == 4]
    if len(pair):
        i, j = np.nonzero(pair)[1].reshape(-1, 2).T
        s, t = pair[np.arange(len(pair)), i] < 0, pair[np.arange(len(pair)), j] < 0
        out[largest == 4] = 4 * (j * (j - 1) // 2 + i) + 2 * s + t

    two = a[largest == 2]
    if len(two):
        octad = np.searchsorted(_octad_messages(), golay_message(_word(two != 0)))
        minus = two[two != 0].reshape(-1, 8) < 0
        out[largest == 2] = PAIRS + 128 * octad + (minus[:, :7] << np.arange(7)).sum(axis=1)

    odd = a[largest == 3]
    message = golay_message(_word(odd % 4 == 3))
    out[largest == 3] = PAIRS + OCTADS + 24 * message + np.abs(odd).argmax(axis=1)
    return out


def decode_minimal(codes: ArrayLike) -> NDArray[np.int64]:
    """The minimal vectors of numbers; ValueError for numbers outside 0 ... 196,559."""
    c = np.asarray(codes).astype(np.int64)
    if c.size and (c.min() < 0 or c.max() >= PAIRS + OCTADS + ODD):
        raise ValueError("codes must be 0 ... 196559")
    v = np.zeros((len(c), 24), dtype=np.int64)

    rows = np.flatnonzero(c < PAIRS)
    pair, signs = c[rows] >> 2, c[rows] & 3
    j = ((1 + np.sqrt(1 + 8 * pair)) / 2).astype(np.int64)
    i = pair - j * (j - 1) // 2
    v[rows, i], v[rows, j] = 4 - 8 * (signs >> 1), 4 - 8 * (signs & 1)

    rows = np.flatnonzero((c >= PAIRS) & (c < PAIRS + OCTADS))
    octad, minus = np.divmod(c[rows] - PAIRS, 128)
    words = golay_words()[_octad_messages()[octad]]
    places = np.nonzero(words[:, None] >> np.arange(24, dtype=np.uint32) & 1)[1].reshape(-1, 8)
    bits = minus[:, None] >> np.arange(8) & 1
    bits[:, 7] = bits.sum(axis=1) & 1
    v[rows[:, None], places] = 2 - 4 * bits

    rows = np.flatnonzero(c >= PAIRS + OCTADS)
    message, place = np.divmod(c[rows] - PAIRS - OCTADS, 24)
    v[rows] = 1 - 2 * (golay_words()[message][:, None] >> np.arange(24, dtype=np.uint32) & 1).astype(np.int64)
    v[rows, place] *= -3
    return v


# ---- 3.2 ----
def pack(codes: ArrayLike, bits: int) -> NDArray[np.uint8]:
    """Codes of so many bits one after another, least significant bit first; the last byte is filled with zeros."""
    c = np.asarray(codes, dtype=np.uint64)
    if bits < 64 and c.size and int(c.max()) >> bits:
        raise ValueError(f"a code does not fit into {bits} bits")
    stream = (c[:, None] >> np.arange(bits, dtype=np.uint64) & np.uint64(1)).astype(np.uint8)
    return np.packbits(stream.reshape(-1), bitorder="little")


def unpack(packed: ArrayLike, bits: int, count: int) -> NDArray[np.uint64]:
    """The first `count` codes of so many bits."""
    stream = np.unpackbits(np.asarray(packed, dtype=np.uint8), count=bits * count, bitorder="little")
    places = stream.reshape(count, bits).astype(np.uint64) << np.arange(bits, dtype=np.uint64)
    return places.sum(axis=1, dtype=np.uint64)


# ---- 3.3 ----
def train_gains(projections: ArrayLike, count: int) -> NDArray[np.float64]:
    """Levels for positive numbers by Lloyd's algorithm, ascending."""
    p = np.sort(np.asarray(projections, dtype=np.float64))
    levels = np.quantile(p, (np.arange(count) + 0.5) / count)
    for _ in range(1000):
        cell = np.searchsorted((levels[1:] + levels[:-1]) / 2, p)
        fresh = np.array([p[cell == n].mean() if (cell == n).any() else levels[n] for n in range(count)])
        if np.abs(fresh - levels).max() < 1e-12:
            break
        levels = fresh
    return levels


def shape_gain_encode(x: ArrayLike, gains: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Blocks (n, 24) -> number of the best minimal direction, and of the gain nearest to the projection on it."""
    y, g = np.asarray(x, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    v = nearest_minimal(y)
    projection = (v * y).sum(axis=1) / np.sqrt(32)
    return encode_minimal(v), np.abs(projection[:, None] - g).argmin(axis=1)


def shape_gain_decode(codes: ArrayLike, numbers: ArrayLike, gains: ArrayLike) -> NDArray[np.float64]:
    """Blocks again: gain times unit direction."""
    g = np.asarray(gains, dtype=np.float64)[np.asarray(numbers)]
    return g[:, None] * decode_minimal(codes) / np.sqrt(32)


# ---- 3.4 ----
def gap_db(mse: float, rate: float) -> float:
    """How far an error of a unit Gaussian is above Shannon's limit 4^-rate, in decibels."""
    return 10 * log10(mse * 4**rate)


def bits_per_weight(rows: int, columns: int, block: int, code_bits: int, scale_bits: int) -> float:
    """Stored bits for each weight of a matrix: rows are padded to whole blocks and have one scale each."""
    blocks = -(-columns // block)
    return (blocks * code_bits + scale_bits) / columns
