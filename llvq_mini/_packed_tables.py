"""The tables behind packed.py: what index.py computes for a codebook, listed for speed.

    row of an index      a table over its leading bits, then a step or two
    excess of a half     a table over the leading bits of the rank, then a step or two
    octads               listed outright: eight coordinates are one load; 1.6 MB for caps up to 12

Built with NumPy from the tables of the index in a fraction of a second, once a shell cap.
Tests: ``tests/test_linear.py``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import golay, index
from ._index_tables import KINDS, OCTAD_QUADS, Tables, tables
from .codebook import Ball, Codebook, ShapeGain, SingleShell, Tapered
from .interlocked import Interlocked

LARGEST_CAP = 13
"""Shell cap up to which octads are listed; 2 MB of them."""
LARGEST_BITS = 56
"""Bits of a code that is read as one number of eight bytes, wherever it starts."""

_SEGMENT = 25  # entries of a padded cumulative segment; excesses reach 2 * 13 - 3 = 23
_NEVER = np.iinfo(np.int64).max  # pads a segment
_BUCKETS = 12  # leading bits that start the search for a row


class Plan(NamedTuple):
    """Tables of one codebook. Rows are index.py's (shell, kind) pairs; kinds are `_index_tables.KINDS`.

    bits: of a code.  start, counts, int64 (levels,): first code of a level, codes in it.
    base: index of a level's first.
    turn, int64 (levels,): by how many coordinates v is rolled.
    factor, float32 (levels, shells): what v is multiplied with.
    first, int64 (rows + 1,); bucket, int32 (4096,) and shift: row by leading bits.
    row, int64 (rows, 4): kind, excess, shell, size.
    segment, int64 (rows + pairs, 25): cumulative counts, for rows first, then for (kind's pair, excess).
    guess, uint8 (rows + pairs, 64), guess_shift, int64: where the search in a segment starts, by leading bits.
    pair, int64 (kinds,): where a kind's pair segments begin.
    size, int64 (kinds, 2, excess): counts of the pair and of the third octad.
    octad, int64 (kinds, 3, excess): first entry in octads, uint64: eight int8 in tree order.
    words, int32 (2, 4096): words of even rows by kind, of odd rows.  kind, int64 (kinds, 2): first word, sign bits.
    """

    bits: int
    start: NDArray[np.int64]
    counts: NDArray[np.int64]
    base: int
    turn: NDArray[np.int64]
    factor: NDArray[np.float32]
    first: NDArray[np.int64]
    bucket: NDArray[np.int32]
    shift: int
    row: NDArray[np.int64]
    segment: NDArray[np.int64]
    guess: NDArray[np.uint8]
    guess_shift: NDArray[np.int64]
    pair: NDArray[np.int64]
    size: NDArray[np.int64]
    octad: NDArray[np.int64]
    octads: NDArray[np.uint64]
    words: NDArray[np.int32]
    kind: NDArray[np.int64]


def _listed_octads(
    t: Tables, cap: int
) -> tuple[NDArray[np.uint64], dict[tuple[int, int], NDArray[np.int64]]]:
    """All octads as uint64 in the order of their ranks, and where the excesses of each
    (left quad, right quad) node start.
    """
    limit = t.quad_start.shape[1] - 2
    parts, starts, at = [], {}, 0
    for left, right in dict.fromkeys(OCTAD_QUADS.values()):
        start = np.zeros(limit + 1, dtype=np.int64)
        for n in range((limit if left == 0 else cap) + 1):
            start[n] = at
            for a in range(n + 1):
                one = t.quad[t.quad_start[left, a] : t.quad_start[left, a + 1]]
                two = t.quad[t.quad_start[right, n - a] : t.quad_start[right, n - a + 1]]
                both = np.empty((len(one), len(two), 8), dtype=np.int8)
                both[:, :, :4], both[:, :, 4:] = one[:, None], two
                parts.append(both.reshape(-1, 8))
                at += len(parts[-1])
        starts[left, right] = start
    return np.ascontiguousarray(np.concatenate(parts)).view(np.uint64)[:, 0], starts


def _guesses(segments: NDArray[np.int64], totals: list[int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """For every segment the excess of the least rank with each of 64 leading values, and how far to shift a rank."""
    shift = np.array([max((total - 1).bit_length() - 6, 0) for total in totals])
    leading = np.arange(64, dtype=np.int64) << shift[:, None]
    return (segments[:, None, 1:] <= leading[:, :, None]).sum(axis=2).astype(np.uint8), shift


def _shell_tables(cap: int) -> dict[str, Any]:
    """The part of a Plan that depends on the cap only."""
    t = tables(cap)
    octads, starts = _listed_octads(t, cap)
    limit = t.total.shape[1]

    states = list(zip(t.block_node[t.row_kind].tolist(), t.row_excess.tolist(), strict=True))
    pair = np.empty(len(KINDS), dtype=np.int64)
    size = np.ones((len(KINDS), 2, limit), dtype=np.int64)
    octad = np.zeros((len(KINDS), 3, limit), dtype=np.int64)
    for k, weights in enumerate(KINDS):
        node = t.right[t.block_node[k]]
        pair[k] = len(states)
        states += [(node, n) for n in range(limit if k == 0 else cap + 1)]
        size[k] = np.maximum(t.total[[node, t.right[node]]], 1)
        octad[k] = [starts[OCTAD_QUADS[weight]] for weight in weights]
    segment = np.full((len(states), _SEGMENT), _NEVER)
    for s, (node, n) in enumerate(states):
        segment[s, : n + 1] = t.cumulative[t.origin[node] + n * (n + 1) // 2 :][: n + 1]
    guess, guess_shift = _guesses(segment, [int(t.total[node, n]) for node, n in states])
    shells = np.argmax(t.row_of.T[t.row_kind] == np.arange(len(t.first))[:, None], axis=1)
    first = np.append(t.first, index.size(cap))
    shift = max(int(first[-1]).bit_length() - _BUCKETS, 0)
    leading = np.arange(1 << _BUCKETS, dtype=np.int64) << shift
    return {
        "first": first,
        "bucket": np.minimum(np.searchsorted(t.first, leading, side="right") - 1, len(t.first) - 1).astype(
            np.int32
        ),
        "shift": shift,
        "row": np.stack([t.row_kind, t.row_excess, shells, t.row_size], axis=1),
        "segment": segment,
        "guess": guess,
        "guess_shift": guess_shift,
        "pair": pair,
        "size": size,
        "octad": octad,
        "octads": octads,
        "words": np.stack([golay.WORDS[t.words], golay.WORDS]).astype(np.int32),
        "kind": np.stack([t.word_start, t.sign_bits], axis=1),
    }


_cached_shell_tables = cache(_shell_tables)


def make_plan(book: Codebook) -> Plan | None:
    """The tables of a codebook, or None if it is not a Leech code with caps up to LARGEST_CAP."""
    norms = 4 * np.sqrt(np.arange(LARGEST_CAP + 1))
    norms[0] = np.inf  # the origin is no direction
    if isinstance(book, Tapered | Interlocked):
        cap, start, base = max(book.caps), book._start[:-1], 1
        count, levels = np.diff(book._start), book.levels[:, None] / norms
    elif isinstance(book, ShapeGain | SingleShell):
        cap, base = book.max_shell, book._first
        start = np.arange(1 << book.gain_bits, dtype=np.int64) << book._shape_bits
        count, levels = np.full(len(start), book._points), book.levels[:, None] / norms
    elif isinstance(book, Ball):
        cap, base, start = book.max_shell, 0, np.zeros(1, dtype=np.int64)
        count, levels = np.array([index.size(cap)]), np.full((1, len(norms)), book.scale)
    else:
        return None
    if cap > LARGEST_CAP or book.bits > LARGEST_BITS:
        return None
    return Plan(
        bits=book.bits,
        start=np.ascontiguousarray(start, dtype=np.int64),
        counts=np.ascontiguousarray(count, dtype=np.int64),
        base=int(base),
        turn=np.arange(len(start)) if isinstance(book, Interlocked) else np.zeros(len(start), dtype=np.int64),
        factor=levels.astype(np.float32),
        **_cached_shell_tables(cap),
    )
