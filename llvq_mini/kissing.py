"""The 196,560 minimal vectors as a spherical code: nearest one without a list of them, and their numbers.

Shell 2 has three classes, and for each the largest inner product with a block x has a short form.

    pairs    (±4, ±4, 0^22)       4 (|x_i| + |x_j|), the two largest coordinates
    octads   (±2^8, 0^16)         2 (sum of |x_i| on the octad), with an even number of minus signs
    words    (∓3, ±1^23)          sum (-1)^{c_i} x_i - 4 (-1)^{c_j} x_j, c a Golay word, j any coordinate

Both large classes fall apart into the three octads of Turyn's construction (golay.py), so that little is computed for
each octad of eight coordinates and all else is sums of three numbers and maxima.

    words    Under g(x) and for a linear function k, W = sum_i ±x_i is an eight-point Hadamard transform, and
             P = max_i |W ∓ 4 x_i| is the best with the 3 here.  A word is a sign for each octad, so the best of eight
             words is max(P1 + |W2| + |W3|, |W1| + P2 + |W3|, |W1| + |W2| + P3): 512 such triples cover 4096 words.
    octads   A Golay octad meets the three octads in 8+0+0, 4+4+0 or 2+2+4 coordinates.  For every pair and quad that
             occurs keep the best signed sum with an even and with an odd number of minus signs; a pair has |x_i + x_j|
             and |x_i - x_j|.  Two parts join by  even = max(even + even, odd + odd), odd = max(even + odd, odd + even).

That is done in float32 for LANES blocks at a time, one in each lane of a vector register.  Then each block visits, in
float64, every vector whose float32 value lies within MARGIN of the best (nearly always one) and decides by the
library's formula and tie rule (search.py): results are those of search.nearest_direction(x, 2), bit for bit.

Numbers 0 ... 196559 are those of index.py, less one for the origin.  This module knows NumPy only; the layer for neural
networks is spherical.py.  Source: Y. Zhao et al., "Spherical Leech quantization", arXiv 2512.14697, which looks up the
list; the decomposition follows J.-P. Adoul and M. Barth, IEEE Trans. Inf. Theory 34 (1988).

The float32 half is in _kissing.py.  Tests: tests/test_kissing.py.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from llvq_mini import _kissing, index
from llvq_mini._kissing import FIRST, GROUPS, LANES, MEMBERS, OCTADS, PAIR, WORDS
from llvq_mini._listing import _scaled
from llvq_mini._parallel import KERNEL, over_rows
from llvq_mini.codes import check_blocks, check_codes

COUNT = 196_560
"""Number of minimal vectors."""
MARGIN = np.float32(1e-4)
"""What float32 may be wrong by, generously: inner products stay below 27, with about 10 roundings of 2^-24 of that."""


@njit(**KERNEL)
def _consider(x, v, best, score):
    """Keep v in `best` if it wins by the library's formula and tie rule; returns the best score."""
    dot = 0.0
    for i in range(24):
        dot += x[i] * v[i]
    value = dot / math.sqrt(32.0)
    if value < score:
        return score
    if value == score:
        i = 0
        while i < 23 and v[i] == best[i]:
            i += 1
        if v[i] <= best[i]:
            return score
    best[:] = v
    return value


@njit(**KERNEL)
def _open_pairs(x, least, v, best, score):
    """All vectors (±4, ±4, 0^22) with inner product at least `least`."""
    top = 0.0
    for i in range(24):
        top = max(top, abs(x[i]))
    for i in range(23):
        if 4.0 * (abs(x[i]) + top) < least:
            continue
        for j in range(i + 1, 24):
            for sign in range(4):
                s, t = 4.0 - 8.0 * (sign & 1), 4.0 - 8.0 * (sign >> 1)
                if s * x[i] + t * x[j] >= least:
                    v[:] = 0.0
                    v[i], v[j] = s, t
                    score = _consider(x, v, best, score)
    return score


@njit(**KERNEL)
def _open_octads(x, members, least, flippable, v, best, score):
    """All vectors on some octads with inner product at least `least`: every cheap enough change of the best signs."""
    for m in range(len(members)):
        octad, total, minus = members[m], 0.0, 0
        for n in range(8):
            total += 2.0 * abs(x[octad[n]])
            minus += x[octad[n]] < 0.0
        if total < least:
            continue
        count = 0
        for n in range(8):
            if 4.0 * abs(x[octad[n]]) <= total - least:
                flippable[count] = octad[n]
                count += 1
        for flips in range(1 << count):
            cost, parity = 0.0, minus
            for n in range(count):
                if flips >> n & 1:
                    cost += 4.0 * abs(x[flippable[n]])
                    parity += 1
            if parity & 1 or cost > total - least:
                continue
            v[:] = 0.0
            for n in range(8):
                v[octad[n]] = -2.0 if x[octad[n]] < 0.0 else 2.0
            for n in range(count):
                if flips >> n & 1:
                    v[flippable[n]] = -v[flippable[n]]
            score = _consider(x, v, best, score)
    return score


@njit(**KERNEL)
def _open_words(x, g, w, p, cell, l, least, v, best, score):
    """All vectors (∓3, ±1^23) of the 512 words of g with inner product at least `least`."""
    for k1 in range(8):
        if cell[g, k1, l] < least:
            continue
        for k2 in range(8):
            w1, w2, w3 = w[0, g, k1, l], w[1, g, k2, l], w[2, g, k1 ^ k2, l]
            c1 = p[0, g, k1, l] + abs(w2) + abs(w3)
            c2 = p[1, g, k2, l] + abs(w1) + abs(w3)
            c3 = p[2, g, k1 ^ k2, l] + abs(w1) + abs(w2)
            if c1 < least and c2 < least and c3 < least:
                continue
            for signs in range(8):
                s1, s2, s3 = signs & 1, signs >> 1 & 1, signs >> 2
                flip = s1 ^ s2 ^ s3
                word = WORDS[(2 * g + flip) << 8 | (2 * k1 + (s1 ^ flip)) << 4 | 2 * k2 + (s2 ^ flip)]
                total = (-w1 if s1 else w1) + (-w2 if s2 else w2) + (-w3 if s3 else w3)
                for j in range(24):
                    if total - 4.0 * (-x[j] if word >> j & 1 else x[j]) >= least:
                        for i in range(24):
                            v[i] = -1.0 if word >> i & 1 else 1.0
                        v[j] *= -3.0
                        score = _consider(x, v, best, score)
    return score


@njit(**KERNEL)
def _nearest(blocks, out):
    """out[n] = the minimal vector nearest in angle to blocks[n]; (4, 4, 0, ..., 0) for a zero block."""
    exact, x = np.empty((LANES, 24)), np.zeros((24, LANES), np.float32)
    w, p = np.empty((3, 8, 8, LANES), np.float32), np.empty((3, 8, 8, LANES), np.float32)
    even, odd = np.empty((3, 98, LANES), np.float32), np.empty((3, 98, LANES), np.float32)
    cell = np.empty((8, 8, LANES), np.float32)
    group, flippable = np.empty((GROUPS, LANES), np.float32), np.empty(8, np.int64)
    v, best, top = np.empty(24), np.empty(24), np.empty(LANES, np.float32)
    for start in range(0, blocks.shape[0], LANES):
        lanes = min(LANES, blocks.shape[0] - start)
        for l in range(lanes):
            _scaled(blocks[start + l], exact[l])
            for i in range(24):
                x[i, l] = exact[l, i]
        _kissing.words(x, w, p, cell, group)
        _kissing.parts(x, even, odd)
        _kissing.octads(even, odd, group)
        _kissing.two_largest(x, top, group[PAIR])
        for l in range(lanes):
            largest = np.float32(0.0)
            for at in range(GROUPS):
                largest = max(largest, group[at, l])
            least, score = largest - MARGIN, -1.0
            best[:] = 0.0
            if largest == 0.0:
                best[0], best[1] = 4.0, 4.0
            else:
                for at in range(GROUPS):
                    if group[at, l] < least:
                        continue
                    if at < OCTADS:
                        score = _open_words(exact[l], at, w, p, cell, l, least, v, best, score)
                    elif at < PAIR:
                        members = MEMBERS[FIRST[at - OCTADS] : FIRST[at - OCTADS + 1]]
                        score = _open_octads(exact[l], members, least, flippable, v, best, score)
                    else:
                        score = _open_pairs(exact[l], least, v, best, score)
            for i in range(24):
                out[start + l, i] = int(best[i])


def nearest(x: ArrayLike, threads: int | None = None) -> NDArray[np.int8]:
    """The minimal vector with the largest cosine to each block, exactly; search.nearest_direction(x, 2) says the same.

    Parameters: x, (n, 24) real and finite; threads, None for all processors.
    Returns: int8[n, 24] in the sqrt(8)-scaled frame; (4, 4, 0, ..., 0) for a zero block.  |v|^2 = 32.
    Raises ValueError for another shape, NaN or infinity.
    """
    blocks = check_blocks(x, 24)
    out = np.empty(blocks.shape, dtype=np.int8)
    over_rows(lambda s: _nearest(blocks[s], out[s]), len(blocks), threads)
    return out


def encode(v: ArrayLike) -> NDArray[np.int64]:
    """Numbers 0 ... 196559 of minimal vectors (n, 24), int64[n]; ValueError for a row that is not one."""
    codes = index.encode(v, 2).astype(np.int64) - 1
    if (codes < 0).any():
        raise ValueError("Argument 'v' must hold minimal vectors, got the origin; its shell is 0, not 2.")
    return codes


def decode(codes: ArrayLike) -> NDArray[np.int8]:
    """Minimal vectors int8[n, 24] of numbers (n,): the inverse of `encode`; ValueError outside 0 ... 196559."""
    return index.decode(check_codes(codes, COUNT) + np.uint64(1), 2)
