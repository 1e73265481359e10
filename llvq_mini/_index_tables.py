"""The tables of the octad-wise index: small theta series of quads, octads, octad pairs and blocks.

Built with NumPy in a few milliseconds per cap, in exact integers, and cached.  index.py explains the scheme and uses
them; tests/test_index.py tests both.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llvq_mini import golay, shells

ODD_QUAD, WORD_QUAD, MIXED_QUAD, FREE_QUAD = range(4)
OCTAD_QUADS = {
    -1: (ODD_QUAD, ODD_QUAD),
    8: (WORD_QUAD, WORD_QUAD),
    6: (WORD_QUAD, MIXED_QUAD),
    4: (WORD_QUAD, FREE_QUAD),
    2: (MIXED_QUAD, FREE_QUAD),
    0: (FREE_QUAD, FREE_QUAD),
}
"""The two quads of an octad, by word weight; -1 stands for octads of odd vectors."""


def _octad_weights() -> NDArray[np.int64]:
    """Weights of the 4096 words in the three octads, (4096, 3)."""
    return golay.to_bits(golay.WORDS).reshape(4096, 3, 8).sum(axis=2).astype(np.int64)


KINDS: tuple[tuple[int, ...], ...] = (
    (-1, -1, -1),
    *sorted({tuple(map(int, row)) for row in _octad_weights()}, key=lambda row: (sum(row), row)),
)
"""Kinds of blocks, by the weights of the word in the three octads: the odd coset (-1), then the 27 triples of
even vectors by total weight."""


class Tables(NamedTuple):
    """Everything encode and decode need for one cap; plain arrays, the same bytes for Numba and CUDA.

    first, row_excess, row_kind, row_size, int64 (rows,): per (shell, kind), ascending: the first index of the row, the
        excess of its blocks, its kind (position in KINDS) and the number of shapes, count(excess) of its tree.
    row_of, int64 (shells, 28): row of (shell, kind), -1 where there is none.
    words, int16 (4096,): word numbers grouped by kind of even block (odd blocks use all words in order).
    word_start, sign_bits, int64 (28,): where a kind's words start; its number of free signs.
    word_kind, word_position, int16 (4096,): kind of an even block with this word, and position among its words.
    left, right, origin, int64 (nodes,): children of an inner node; offset of its part of `cumulative`, in which entry
        n (n + 1) / 2 + a counts the vectors of excess n whose left half has an excess below a.
    total, int64 (nodes, excess): count(n) of every node, quads included (nodes 0 ... 3).
    block_node, int64 (28,): root of a kind.
    quad, int8 (quads, 4), quad_start, int64 (4, excess + 1): values of all quads, grouped by kind of quad and excess.
    quad_rank, int32 (4, base^4): rank of a quad among those of its kind and excess, by its digits (see `digit_base`).
    """

    first: NDArray[np.int64]
    row_excess: NDArray[np.int64]
    row_kind: NDArray[np.int64]
    row_size: NDArray[np.int64]
    row_of: NDArray[np.int64]
    words: NDArray[np.int16]
    word_start: NDArray[np.int64]
    sign_bits: NDArray[np.int64]
    word_kind: NDArray[np.int16]
    word_position: NDArray[np.int16]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    origin: NDArray[np.int64]
    cumulative: NDArray[np.int64]
    total: NDArray[np.int64]
    block_node: NDArray[np.int64]
    quad: NDArray[np.int8]
    quad_start: NDArray[np.int64]
    quad_rank: NDArray[np.int32]


def digit_base(max_shell: int) -> int:
    """Base of the digits that name a coordinate's value in quad_rank: 8 up to cap 15, 16 above."""
    return 8 if max_shell <= 15 else 16


def _alphabets(base: int) -> dict[str, list[tuple[int, int, int]]]:
    """(excess, value, digit) of every coordinate value, by what the coordinate is; see the essay of index.py."""
    odd = [((-1) ** j * (2 * j + 1), j * (j + 1) // 2, j) for j in range(base)]
    return {
        "odd": [(triangular, value, j) for value, triangular, j in odd],
        "word": [(2 * triangular, 2 * value, j) for value, triangular, j in odd],
        "free": [(z * z, 4 * z, z + base // 2) for z in range(-(base // 2), base // 2)],
    }


QUAD_COORDINATES = (("odd",) * 4, ("word",) * 4, ("word", "word", "free", "free"), ("free",) * 4)


def _quads(limit: int, base: int) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int32]]:
    """All quads of excess <= limit: values, starts by kind and excess, ranks by digits."""
    alphabets = _alphabets(base)
    values: list[tuple[int, ...]] = []
    start = np.zeros((4, limit + 2), dtype=np.int64)
    rank = np.full((4, base**4), -1, dtype=np.int32)
    for kind, coordinates in enumerate(QUAD_COORDINATES):
        listed: list[list[tuple[tuple[int, ...], int]]] = [[] for _ in range(limit + 1)]
        for choice in product(*([c for c in alphabets[name] if c[0] <= limit] for name in coordinates)):
            excess = sum(c[0] for c in choice)
            if excess <= limit:
                digits = sum(c[2] * base ** (3 - i) for i, c in enumerate(choice))
                listed[excess].append((tuple(c[1] for c in choice), digits))
        for excess, quads in enumerate(listed):
            start[kind, excess] = len(values)
            for position, (quad, digits) in enumerate(quads):
                rank[kind, digits] = position
                values.append(quad)
        start[kind, limit + 1] = len(values)
    return np.array(values, dtype=np.int8), start, rank


class _Tree:
    """The inner nodes: convolutions of their children, numbered in the order in which they are asked for."""

    def __init__(self, quad_counts: list[list[int]]) -> None:
        self.total = quad_counts  # exact Python integers: sums of unused nodes may pass 64 bits
        self.left, self.right = [0] * 4, [0] * 4
        self._known: dict[tuple[int, int], int] = {}

    def node(self, left: int, right: int) -> int:
        """Number of the node with these children, made at first use."""
        if (left, right) not in self._known:
            a, b = self.total[left], self.total[right]
            self.total.append([sum(a[i] * b[n - i] for i in range(n + 1)) for n in range(len(a))])
            self.left.append(left)
            self.right.append(right)
            self._known[left, right] = len(self.total) - 1
        return self._known[left, right]

    def block(self, kind: tuple[int, ...]) -> int:
        """Root of a kind of block: octad 1 | (octad 2 | octad 3)."""
        one, two, three = (self.node(*OCTAD_QUADS[w]) for w in kind)
        return self.node(one, self.node(two, three))

    def cumulative(self, limits: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Offsets and triangular arrays of all inner nodes up to their largest excess."""
        origin: list[int] = [0] * 4
        flat: list[int] = []
        for node in range(4, len(self.total)):
            origin.append(len(flat))
            a, b = self.total[self.left[node]], self.total[self.right[node]]
            for n in range(limits[node] + 1):
                below = 0
                for i in range(n + 1):
                    flat.append(below)
                    below += a[i] * b[n - i]
        return np.array(origin), np.array(flat, dtype=np.int64)


def _excess(m: int, kind: tuple[int, ...]) -> int:
    """Excess of the blocks of a kind on shell m: units of 8 above 24, or of 16 above 4 W."""
    return 2 * m - 3 if kind[0] < 0 else m - sum(kind) // 4


@cache
def tables(max_shell: int) -> Tables:
    """The tables for shells 0 ... max_shell."""
    limit = max(2 * max_shell - 3, max_shell, 0)
    quad, quad_start, quad_rank = _quads(limit, digit_base(max_shell))
    tree = _Tree([np.diff(quad_start[k]).tolist() for k in range(4)])
    block_node = [tree.block(kind) for kind in KINDS]
    odd_nodes = {0, tree.node(0, 0), tree.right[block_node[0]], block_node[0]}
    limits = [limit if node in odd_nodes else max_shell for node in range(len(tree.total))]
    origin, cumulative = tree.cumulative(limits)

    weights = _octad_weights()
    kind_of = np.array([KINDS.index(tuple(row)) for row in weights.tolist()])
    words = np.argsort(kind_of, kind="stable").astype(np.int16)
    word_count = np.bincount(kind_of, minlength=len(KINDS))
    word_start = np.cumsum(word_count) - word_count
    position = np.empty(4096, dtype=np.int16)
    position[words] = np.arange(4096) - word_start[kind_of[words]]
    word_count[0] = 4096  # the odd coset, after the starts of the even kinds are known
    sign_bits = [0 if kind[0] < 0 else max(sum(kind) - 1, 0) for kind in KINDS]

    rows: list[tuple[int, int, int, int]] = []
    start = 0
    row_of = np.full((max_shell + 1, len(KINDS)), -1)
    for m in range(max_shell + 1):
        for k, kind in enumerate(KINDS):
            n = _excess(m, kind)
            # Without a word nothing repairs the parity of sum k, so the excess of the zero word must be even.
            if n >= 0 and tree.total[block_node[k]][n] and not (sum(kind) == 0 and n % 2):
                size = tree.total[block_node[k]][n]
                row_of[m, k] = len(rows)
                rows.append((start, n, k, size))
                start += int(word_count[k]) * size << sign_bits[k]
    assert start == shells.ball_size(max_shell) + 1, "the tree does not count the ball"
    first, row_excess, row_kind, row_size = np.array(rows, dtype=np.int64).T.copy()
    total = np.array([t[: limit + 1] if node in odd_nodes else t[: max_shell + 1] + [0] * (limit - max_shell)
                      for node, t in enumerate(tree.total)], dtype=np.int64)  # fmt: skip
    return Tables(
        first, row_excess, row_kind, row_size, row_of,
        words, word_start, np.array(sign_bits), kind_of.astype(np.int16), position,
        np.array(tree.left), np.array(tree.right), origin, cumulative, total, np.array(block_node),
        quad, quad_start, quad_rank,
    )  # fmt: skip
