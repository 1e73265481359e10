"""Codes in the order of a GPU: the same points, numbered so that decoding needs no division.

A file numbers points densely (index.py): every level of its tree costs a search and a division.  A GPU may read up to
2.1 bits a weight and still be near memory speed, so at loading time every code is rewritten into fields of whole bits:

    cell   kind of block, shell, excess of each octad         every point lies in one cell
    inside a cell, from the low bits up:  signs, word, gain, ranks of the octads 3, 2, 1, each rounded up to whole bits

A cell has 2^S codes.  Cells are sorted by falling S, so each starts at a multiple of its size, and a code says its
cell by the class of its size (a few comparisons), a shift and a table.  The rounding costs 1.1 bits: 50 instead of 48
for the default code, 2.083 bits a weight.  The octads are listed outright as eight nibbles u = t + 8 with
v = 2 t + e, |t| <= 7, which holds for caps up to 15; a reversal flips bits of a nibble (all four for odd vectors, the
upper three for even ones on the word).

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
CLASSES, BUCKETS = 64, 9
"""Room for size classes; bits of a code that look up the first class to try."""


class Layout(NamedTuple):
    """Tables of one code in the order of a GPU.

    bits: of a code.  largest: the largest S.
    rows, uint32: octads as nibbles, by weight of the octad and excess.  words, uint32[4096]: Golay words by kind.
    cells, uint32 (cells, 4): first row of octads 1, 2, 3; five bits each for the bits of ranks 2 and 3, kind, shell and
        bits of the gain, and in bit 31 the parity of the signs. The first row of octad 1 is less by what the upper bits
        of a code add to its rank, modulo 2^32.
    kinds, uint32[28]: bits of signs (5) and word (5), first word.
    first_code, int64[64]: of the class of cells of 2^S codes, S = largest - s, s = 0, 1, ...
    first_cell, uint32[64]: number of a class's first cell, less first_code / 2^S, modulo 2^32.
    guess, uint8[512]: class of the first code with these upper bits.
    position, int64: cell by kind, shell and the excesses of octads 1 and 2, -1 where there is none.
    base, int64: first code of a cell.  size, int64 (cells, 5): bits of signs, word, gain, rank 3, rank 2.
    """

    bits: int
    largest: int
    rows: NDArray[np.uint32]
    words: NDArray[np.uint32]
    cells: NDArray[np.uint32]
    kinds: NDArray[np.uint32]
    first_code: NDArray[np.int64]
    first_cell: NDArray[np.uint32]
    guess: NDArray[np.uint8]
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
            nibbles = ((half & 15 ^ 8) << 4 * np.arange(8)).sum(axis=1)
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
                    widths = [int(t.sign_bits[kind]), _width(word_count[kind]), _width(gains[m])]
                    widths += [_width(count) for _, count in reversed(octads)]
                    found.append((-sum(widths), kind, m, a, b, [start for start, _ in octads], widths))
    found.sort(key=lambda cell: cell[:5])
    return _assembled(t, rows, found)


def _assembled(t: Tables, rows: NDArray[np.uint32], found: list) -> Layout:
    """The tables of sorted cells."""
    total = np.array([-cell[0] for cell in found])
    base = np.concatenate([[0], np.cumsum(2 ** total.astype(np.int64))])
    bits, largest = int(base[-1] - 1).bit_length(), int(total[0])
    first_code = np.full(CLASSES, 1 << 62, dtype=np.int64)
    first_cell = np.zeros(CLASSES, dtype=np.uint32)
    for s in range(largest + 1):
        cell = int(np.searchsorted(-total, s - largest))
        first_code[s], first_cell[s] = base[cell], (cell - (int(base[cell]) >> (largest - s))) % 2**32
    position = np.full((len(KINDS), MAX_CAP + 1, 2 * MAX_CAP, 2 * MAX_CAP), -1, dtype=np.int64)
    cells = np.zeros((len(found), 4), dtype=np.uint32)
    for number, (_, kind, m, a, b, starts, widths) in enumerate(found):
        position[kind, m, a, b] = number
        known = sum(widths[:5])  # bits below the rank of octad 1
        first_row = (starts[0] - (int(base[number]) >> known)) % 2**32
        parity = (m - max(sum(KINDS[kind]), 0) // 4) & 1
        cells[number] = (
            first_row, *starts[1:], widths[4] | widths[3] << 5 | kind << 10 | m << 15 | widths[2] << 20 | parity << 31
        )  # fmt: skip
    word_bits = [12] + [_width(int(n)) for n in np.bincount(t.word_kind, minlength=len(KINDS))[1:]]
    kinds = t.sign_bits | np.array(word_bits) << 5 | t.word_start << 10
    guess = np.searchsorted(first_code, np.arange(1 << BUCKETS) << (bits - BUCKETS), side="right") - 1
    return Layout(
        bits, largest, rows, golay.WORDS[t.words], cells, kinds.astype(np.uint32), first_code, first_cell,
        guess.astype(np.uint8), position, base, np.array([cell[6][:5] for cell in found]),
    )  # fmt: skip


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
