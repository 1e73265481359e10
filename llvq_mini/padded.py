"""Codes in the order of a GPU: the same points, numbered so that decoding needs no division.

A file numbers points densely (index.py): every level of its tree costs a search and a division.  A GPU may read up to
2.1 bits a weight and still be near memory speed, so at loading time every code is rewritten into fields of whole bits:

    cell   kind of block, shell, excess of each octad         every point lies in one cell
    inside a cell, from the low bits up:  signs, word, gain, ranks of the octads 3, 2, 1, each rounded up to whole bits

A cell has 2^S codes.  Cells are sorted by falling S, so each starts at a multiple of its size, and cells of a new size
begin at a multiple of 2^(bits - 9): so the upper nine bits of a code say the size of its cell, and a shift and an
addition its number.  The last sign of a block follows from the others, but is written out: a parity takes time.  All
that costs 2 bits: 50 instead of 48 for the default code, 2.083 bits a weight.

The octads are listed outright as eight nibbles u = t + 8 with v = 2 t + e, |t| <= 7, which holds for caps up to 15; a
reversal flips bits of a nibble (all four for odd vectors, the upper three for even ones on the word).  NIBBLES says
which nibble holds coordinate j: the order in which one multiplication spreads eight sign bits over eight nibbles,
because x (1 + 2^9 + 2^18 + 2^27) has bit j of x at the top of nibble NIBBLES[j], and the four copies do not overlap.

`layout` makes the tables (kernels/padded.cuh has their use), `repack` rewrites codes.  Nothing here goes into files.
Source: this project.  Tests: tests/test_padded.py.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from llvq_mini import golay, index
from llvq_mini._index_tables import KINDS, OCTAD_QUADS, Tables, tables
from llvq_mini._parallel import KERNEL

MAX_CAP = 15
BUCKETS = 9
"""Upper bits of a code that name the size of its cell."""
NIBBLES = np.array([6, 4, 2, 0, 7, 5, 3, 1])
"""Nibble of coordinate j of an octad in tree order."""
FIRST_ROW = 13
"""The first row of octads 2 and 3 begins at this bit of their words of a cell."""


class Layout(NamedTuple):
    """Tables of one code in the order of a GPU.

    bits: of a code.
    rows, uint32: octads as nibbles, by weight of the octad and excess, odd ones before `first_even`.
    words, uint32[4096]: Golay words by kind.
    cells, uint32 (cells, 4): x, first row of octad 1, less what the upper bits of a code add to its rank, modulo 2^32;
        y, bits of the signs (5), of the word (5), first row of octad 2 (from bit 13); z, bits of rank 3 (5), of rank 2
        (5), first row of octad 3 (from bit 13); w, bits of the gain (5), shell (5), weights of octads 1 and 2 (5
        each), first word (12).
    buckets, uint32 (512, 2), by the upper nine bits of a code: number of the first cell of this size, less what the
        upper bits of a code add to it, modulo 2^32; S.
    position, int64: cell by kind, shell and the excesses of octads 1 and 2, -1 where there is none.
    base, int64: first code of a cell, and the end of the last.
    size, int64 (cells, 6): bits of signs, word, gain, ranks 3, 2 and 1, S together.
    """

    bits: int
    first_even: int
    rows: NDArray[np.uint32]
    words: NDArray[np.uint32]
    cells: NDArray[np.uint32]
    buckets: NDArray[np.uint32]
    position: NDArray[np.int64]
    base: NDArray[np.int64]
    size: NDArray[np.int64]


def _width(count: int) -> int:
    """Bits that number `count` things."""
    return (int(count) - 1).bit_length()


def _octad(t: Tables, weight: int, n: int) -> NDArray[np.int8]:
    """All octads of a weight (-1: odd) and excess n in the order of their ranks, int8 (count, 8) in tree order."""
    left, right = OCTAD_QUADS[weight]
    parts = []
    for a in range(n + 1):
        one = t.quad[t.quad_start[left, a] : t.quad_start[left, a + 1]]
        two = t.quad[t.quad_start[right, n - a] : t.quad_start[right, n - a + 1]]
        parts.append(np.concatenate([np.repeat(one, len(two), axis=0), np.tile(two, (len(one), 1))], axis=1))
    return np.concatenate(parts)


def _rows(t: Tables, cap: int) -> tuple[NDArray[np.uint32], dict[tuple[int, int], tuple[int, int]]]:
    """All octads as nibbles, and (start, count) by weight and excess."""
    found, where, at = [], {}, 0
    for weight in OCTAD_QUADS:
        for n in range((2 * cap - 3 if weight < 0 else cap) + 1):
            octads = _octad(t, weight, n).astype(np.int64)
            half = (octads - (weight < 0)) >> 1
            nibbles = ((half & 15 ^ 8) << 4 * NIBBLES).sum(axis=1)
            where[weight, n] = at, len(nibbles)
            found.append(nibbles.astype(np.uint32))
            at += len(nibbles)
    return np.concatenate(found), where


@cache
def layout(cap: int, gains: tuple[int, ...]) -> Layout:
    """The order for shells 2 ... cap with gains[m] gains on shell m.  ValueError for what does not fit its fields."""
    if not 2 <= cap <= MAX_CAP or max(gains) > 8:
        raise ValueError(
            f"Argument 'cap' must lie in 2 ... {MAX_CAP} and 'gains' below 9, got {cap} and {max(gains)}; "
            "use the order of the file."
        )
    t = tables(cap)
    rows, where = _rows(t, cap)
    word_count = np.bincount(t.word_kind, minlength=len(KINDS))
    word_count[0] = 4096
    found = []
    for kind, weights in enumerate(KINDS):
        for m in range(2, cap + 1):
            n = 2 * m - 3 if kind == 0 else m - sum(weights) // 4
            if n < 0 or gains[m] == 0 or (sum(weights) == 0 and n % 2):
                continue
            for a in range(n + 1):
                for b in range(n + 1 - a):
                    octads = [where[w, x] for w, x in zip(weights, (a, b, n - a - b), strict=True)]
                    if min(count for _, count in octads) == 0:
                        continue
                    widths = [max(sum(weights), 0), _width(word_count[kind]), _width(gains[m])]
                    widths += [_width(count) for _, count in reversed(octads)]
                    found.append((-sum(widths), kind, m, a, b, [start for start, _ in octads], widths))
    found.sort(key=lambda cell: cell[:5])
    return _assembled(t, rows, where[8, 0][0], found)


def _placed(total: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """Bits of a code, and first code of every cell of 2^total codes with the end; a new size begins a new bucket."""
    bits = int((1 << total).sum() - 1).bit_length()
    while True:
        base, at, before = [], 0, -1
        for s in total.tolist():
            if s != before:
                at += -at % (1 << max(bits - BUCKETS, 0))
            base.append(at)
            at, before = at + (1 << s), s
        if at <= 1 << bits:
            return bits, np.array([*base, at])
        bits += 1


def _assembled(t: Tables, rows: NDArray[np.uint32], first_even: int, found: list) -> Layout:
    """The tables of sorted cells."""
    size = np.array([cell[6] for cell in found])
    total = size.sum(axis=1)
    bits, base = _placed(total)
    position = np.full((len(KINDS), MAX_CAP + 1, 2 * MAX_CAP, 2 * MAX_CAP), -1, dtype=np.int64)
    cells = np.zeros((len(found), 4), dtype=np.uint32)
    for number, (_, kind, m, a, b, starts, widths) in enumerate(found):
        signs, word, gain, third, second, _ = widths
        position[kind, m, a, b] = number
        weights = (8, 8) if kind == 0 else KINDS[kind][:2]  # an odd vector may be reversed everywhere
        first_row = (starts[0] - (int(base[number]) >> sum(widths[:5]))) % 2**32
        cells[number] = (
            first_row,
            signs | word << 5 | starts[1] << FIRST_ROW,
            third | second << 5 | starts[2] << FIRST_ROW,
            gain | m << 5 | weights[0] << 10 | weights[1] << 15 | int(t.word_start[kind]) << 20,
        )
    assert len(rows) < 1 << 32 - FIRST_ROW, "the number of a row is too long"
    buckets = np.zeros((1 << BUCKETS, 2), dtype=np.uint32)
    for bucket in range(1 << BUCKETS):
        cell = int(np.searchsorted(base[:-1], bucket << bits - BUCKETS, side="right")) - 1
        s = int(total[cell])
        first = int(np.searchsorted(-total, -s))
        buckets[bucket] = (first - (int(base[first]) >> s)) % 2**32, s
    return Layout(bits, first_even, rows, golay.WORDS[t.words], cells, buckets, position, base, size)


@njit(**KERNEL)
def _repack(t, points, gains, position, base, size, out):
    """Codes in the order of a GPU of indices and numbers of gains."""
    for row in range(len(points)):
        code = points[row]
        r = index._row(t, code)
        kind, n = t.row_kind[r], t.row_excess[r]
        choice = (code - t.first[r]) // t.row_size[r]
        rank = code - t.first[r] - choice * t.row_size[r]
        bits = t.sign_bits[kind]
        m = (n + 3) >> 1
        word = choice >> bits
        if kind == 0:
            word = t.word_start[t.word_kind[word]] + t.word_position[word]
        elif bits > 0:
            m = n + ((bits + 1) >> 2)
        else:
            m = n
        root = t.block_node[kind]
        a, rank1, rank = index._split(t, root, n, rank)
        b, rank2, rank3 = index._split(t, t.right[root], n - a, rank)
        cell = position[kind, m, a, b]
        value, shift = choice & ((1 << bits) - 1), size[cell, 0]
        if bits > 0:
            value |= ((index._parity(value) ^ n) & 1) << bits
        value |= word << shift
        shift += size[cell, 1]
        value |= gains[row] << shift
        shift += size[cell, 2]
        value |= rank3 << shift
        shift += size[cell, 3]
        value |= rank2 << shift
        shift += size[cell, 4]
        out[row] = base[cell] + (value | rank1 << shift)


def repack(
    points: NDArray[np.int64], gains: NDArray[np.int64], cap: int, order: Layout
) -> NDArray[np.uint64]:
    """Codes in the order of a GPU of indices int64[n], never the origin, and gains, counted on their shell."""
    out = np.empty(len(points), dtype=np.int64)
    _repack(tables(cap), points, gains, order.position, order.base, order.size, out)
    return out.astype(np.uint64)
