"""The float32 half of kissing.py: the best inner product of each group of minimal vectors, LANES blocks at a time.

Arrays are (..., LANES), one block in each lane, and the innermost loops run over lanes, so that the compiler makes
vector instructions of them.  That needs rows taken out of their arrays before the loop, ternaries instead of max() and
enough lanes to pay for the check that rows do not overlap.  What is computed is told in kissing.py.

The groups are 8 of words (one for each g), 21 of octads 2+2+4 (the octad met in four, the matching of the pairs), 3 of
octads 4+4+0, one of octads 8+0+0, and the pairs (±4, ±4, 0^22).  Tests: tests/test_kissing.py.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from llvq_mini import golay
from llvq_mini._parallel import KERNEL

LANES = 64
"""Blocks computed at once."""

# Parts of an octad that Golay octads meet it in: 28 pairs, 70 quads, as bytes.
_PAIRS = [(1 << i) | (1 << j) for i, j in combinations(range(8), 2)]
_QUADS = [sum(1 << i for i in c) for c in combinations(range(8), 4)]
_PARTS = np.array(_PAIRS + _QUADS, dtype=np.int64)
_ENDS = np.array(list(combinations(range(8), 2)), dtype=np.int64)


def _halves() -> NDArray[np.int64]:
    """The two pairs (lower two, upper two coordinates) that make each quad, int64[70, 2]."""
    number = {byte: n for n, byte in enumerate(_PAIRS)}
    members = [[i for i in range(8) if quad >> i & 1] for quad in _QUADS]
    return np.array([[number[1 << a | 1 << b], number[1 << c | 1 << d]] for a, b, c, d in members])


def _octad_lists() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The octads 2+2+4 and 4+4+0 by part numbers, where o, the octad that differs, is 0, 1 or 2.

    first: int64[3, 7, 16, 4], a pair of octad o+1, a pair of octad o+2 (mod 3) and the two quads of octad o that
    complete them, in seven lists by the matching the pairs belong to.  second: int64[3, 28, 2], two quads.
    """
    number = {int(byte): n for n, byte in enumerate(_PARTS)}
    first: list[dict[int, dict[tuple[int, int], list[int]]]] = [{} for _ in range(3)]
    second: list[list[tuple[int, int]]] = [[] for _ in range(3)]
    for word in golay.of_weight(8).tolist():
        octads = [word >> 8 * o & 255 for o in range(3)]
        weights = [o.bit_count() for o in octads]
        if 8 in weights:
            continue
        o = weights.index(0) if 0 in weights else weights.index(4)
        one, two = octads[(o + 1) % 3], octads[(o + 2) % 3]
        if weights[o] == 0:
            second[o].append((number[one], number[two]))
        else:
            third = number[octads[o]]
            matching = int(golay.HAMMING_INVERTED_NUMBER[octads[0] ^ octads[1] ^ octads[2]]) >> 1
            first[o].setdefault(matching, {}).setdefault((number[one], number[two]), []).append(third)
    lists = [
        [[[*pair, *quads] for pair, quads in first[o][m].items()] for m in range(1, 8)] for o in range(3)
    ]
    return np.array(lists, dtype=np.int64), np.array(second, dtype=np.int64)


def _members() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Coordinates of the octads group by group, uint8[759, 8], and where groups begin, int64[26]."""
    lists = []
    for o in range(3):
        one, two = 8 * ((o + 1) % 3), 8 * ((o + 2) % 3)
        for entries in _TWO_TWO_FOUR[o]:
            pairs = _PARTS[entries[:, 0]] << one | _PARTS[entries[:, 1]] << two
            lists.append(
                [int(p | _PARTS[q] << 8 * o) for p, e in zip(pairs, entries, strict=True) for q in e[2:]]
            )
    for o in range(3):
        one, two = 8 * ((o + 1) % 3), 8 * ((o + 2) % 3)
        lists.append([int(_PARTS[m] << one | _PARTS[n] << two) for m, n in _FOUR_FOUR[o]])
    lists.append([255, 255 << 8, 255 << 16])
    words = np.array([word for entries in lists for word in entries])
    first = np.concatenate([[0], np.cumsum([len(entries) for entries in lists])])
    return np.nonzero(golay.to_bits(words))[1].reshape(-1, 8).astype(np.uint8), first


_HALVES = _halves()
_TWO_TWO_FOUR, _FOUR_FOUR = _octad_lists()
MEMBERS, FIRST = _members()
_SIGNS = (1.0 - 2.0 * golay.to_bits(golay.HAMMING_INVERTED[::2])[:, :8]).astype(np.float32)  # (8 g, 8 i)
_FOURS = (4.0 - 8.0 * golay.to_bits(golay.HAMMING[::2])[:, :8]).astype(np.float32)  # (8 k, 8 i): ±4
WORDS = golay.WORDS.astype(np.int64)
_COMPLEMENT = 69  # quad n and quad 69 - n share no coordinate

TABLES = (_ENDS, _HALVES, _TWO_TWO_FOUR, _FOUR_FOUR, MEMBERS, FIRST, _SIGNS, _FOURS, WORDS)
"""All that the search keeps in memory, 53 kB."""

# Groups of vectors whose best value is kept: 8 of words, 21 of octads 2+2+4, 3 of 4+4+0, 8+0+0, pairs.
OCTADS, SPARSE, FULL, PAIR, GROUPS = 8, 29, 32, 33, 34


@njit(**KERNEL)
def _transform(x, o, g, a, b):
    """a[i] = the coordinates of octad o with the signs of g, b[k] = their Hadamard transform; (8, LANES) each."""
    for i in range(8):
        sign, row, flipped = _SIGNS[g, i], x[8 * o + i], a[i]
        for l in range(LANES):
            flipped[l] = sign * row[l]
        b[i] = flipped
    for step in (1, 2, 4):
        for i in range(8):
            if i & step == 0:
                one, two = b[i], b[i + step]
                for l in range(LANES):
                    low, high = one[l], two[l]
                    one[l], two[l] = low + high, low - high


@njit(**KERNEL)
def _best_three(total, a, four, best):
    """best = max_i |W - f_i a_i|, f_i = ±4: written out, so that one pass over the lanes does it."""
    a0, a1, a2, a3, a4, a5, a6, a7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
    f0, f1, f2, f3, f4, f5, f6, f7 = four[0], four[1], four[2], four[3], four[4], four[5], four[6], four[7]
    for l in range(LANES):
        t = total[l]
        b0, b1, b2, b3 = abs(t - f0 * a0[l]), abs(t - f1 * a1[l]), abs(t - f2 * a2[l]), abs(t - f3 * a3[l])
        b4, b5, b6, b7 = abs(t - f4 * a4[l]), abs(t - f5 * a5[l]), abs(t - f6 * a6[l]), abs(t - f7 * a7[l])
        b0, b1, b2, b3 = (
            b0 if b0 > b1 else b1,
            b2 if b2 > b3 else b3,
            b4 if b4 > b5 else b5,
            b6 if b6 > b7 else b7,
        )
        b0, b2 = b0 if b0 > b1 else b1, b2 if b2 > b3 else b3
        best[l] = b0 if b0 > b2 else b2


@njit(**KERNEL)
def words(x, w, p, cell, group):
    """Per octad w[o, g, k] = W and p[o, g, k] = P; cell[g, k1] = the best of eight triples, group[g] = of 64."""
    a, b = np.empty((8, LANES), np.float32), np.empty((8, LANES), np.float32)
    for g in range(8):
        for o in range(3):
            _transform(x, o, g, a, b)
            w[o, g] = b
            for k in range(8):
                _best_three(b[k], a, _FOURS[k], p[o, g, k])
        overall = group[g]
        overall[:] = np.float32(0.0)
        for k1 in range(8):
            w1, p1, best = w[0, g, k1], p[0, g, k1], cell[g, k1]
            best[:] = np.float32(0.0)
            for k2 in range(8):
                w2, w3, p2, p3 = w[1, g, k2], w[2, g, k1 ^ k2], p[1, g, k2], p[2, g, k1 ^ k2]
                for l in range(LANES):
                    a1, a2, a3 = abs(w1[l]), abs(w2[l]), abs(w3[l])
                    c1, c2, c3 = p1[l] + a2 + a3, p2[l] + a1 + a3, p3[l] + a1 + a2
                    c1 = c1 if c1 > c2 else c2
                    c1 = c1 if c1 > c3 else c3
                    best[l] = c1 if c1 > best[l] else best[l]
            for l in range(LANES):
                overall[l] = best[l] if best[l] > overall[l] else overall[l]


@njit(**KERNEL)
def parts(x, even, odd):
    """even[o, n], odd[o, n]: best signed sums of the pairs and quads of every octad, by parity of minus signs."""
    for o in range(3):
        for n in range(28):
            one, two = x[8 * o + _ENDS[n, 0]], x[8 * o + _ENDS[n, 1]]
            e, d = even[o, n], odd[o, n]
            for l in range(LANES):
                e[l], d[l] = abs(one[l] + two[l]), abs(one[l] - two[l])
        for n in range(70):
            one, two = _HALVES[n, 0], _HALVES[n, 1]
            e1, e2, o1, o2 = even[o, one], even[o, two], odd[o, one], odd[o, two]
            e, d = even[o, 28 + n], odd[o, 28 + n]
            for l in range(LANES):
                same, opposite, mixed, crossed = e1[l] + e2[l], o1[l] + o2[l], e1[l] + o2[l], o1[l] + e2[l]
                e[l], d[l] = same if same > opposite else opposite, mixed if mixed > crossed else crossed


@njit(**KERNEL)
def _raise_by_two(best, e1, e2, o1, o2):
    """best = the larger of best and the octads of two parts."""
    for l in range(LANES):
        c1, c2 = e1[l] + e2[l], o1[l] + o2[l]
        c1 = np.float32(2.0) * (c1 if c1 > c2 else c2)
        best[l] = c1 if c1 > best[l] else best[l]


@njit(**KERNEL)
def octads(even, odd, group):
    """Best values of the groups of octads."""
    group[OCTADS:PAIR] = np.float32(0.0)
    for o in range(3):
        one, two = (o + 1) % 3, (o + 2) % 3
        for m in range(7):
            best = group[OCTADS + 7 * o + m]
            for n in range(16):
                n1, n2, n3, n4 = _TWO_TWO_FOUR[o, m, n]
                e1, e2, o1, o2 = even[one, n1], even[two, n2], odd[one, n1], odd[two, n2]
                e3, e4, o3, o4 = even[o, n3], even[o, n4], odd[o, n3], odd[o, n4]
                for l in range(LANES):
                    same, opposite, mixed, crossed = (
                        e1[l] + e2[l],
                        o1[l] + o2[l],
                        e1[l] + o2[l],
                        o1[l] + e2[l],
                    )
                    same, mixed = same if same > opposite else opposite, mixed if mixed > crossed else crossed
                    c1, c2, c3, c4 = same + e3[l], mixed + o3[l], same + e4[l], mixed + o4[l]
                    c1, c3 = c1 if c1 > c2 else c2, c3 if c3 > c4 else c4
                    c1 = np.float32(2.0) * (c1 if c1 > c3 else c3)
                    best[l] = c1 if c1 > best[l] else best[l]
        for n in range(28):
            n1, n2 = _FOUR_FOUR[o, n]
            _raise_by_two(group[SPARSE + o], even[one, n1], even[two, n2], odd[one, n1], odd[two, n2])
        e, d = even[o], odd[o]
        _raise_by_two(group[FULL], e[28], e[28 + _COMPLEMENT], d[28], d[28 + _COMPLEMENT])


@njit(**KERNEL)
def two_largest(x, top, best):
    """best = 4 (|x_i| + |x_j|), the pairs (±4, ±4); top is scratch."""
    top[:], best[:] = np.float32(0.0), np.float32(0.0)
    for i in range(24):
        row = x[i]
        for l in range(LANES):
            size, largest = abs(row[l]), top[l]
            lower = size if size < largest else largest
            top[l] = size if size > largest else largest
            best[l] = lower if lower > best[l] else best[l]
    for l in range(LANES):
        best[l] = np.float32(4.0) * (best[l] + top[l])
