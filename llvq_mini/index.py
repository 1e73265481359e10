"""A bijection between the points of a ball of Leech shells and the integers 0 ... N - 1.

No codebook is stored: the index is mixed-radix arithmetic on the theta series of small pieces.  Read from the left,
an index says

    shell -> row (coset, weights of the word in the three octads) -> Golay word -> signs -> tree rank.

The tree rank spells the absolute shape of the vector by halving it: a block is octad 1 | (octad 2 | octad 3), an octad
is quad | quad.  Every node has an excess (its squared norm above the smallest possible, in units of 8 for odd and 16
for even vectors), and the number of ways to have excess n is a convolution,

    count(n) = sum_a count_left(a) count_right(n - a),

so a rank splits into a by a cumulative search, and then into the ranks of the two halves by one division.  The leaves
are quads, four coordinates, listed outright; there are four kinds:

    odd vector            1, -3, 5, -7, ...   four times; on the codeword the sign is reversed
    even, on the word     2 (1, -3, 5, ...)   four times, or twice beside two free ones; signs are chosen
    even, off the word    4 (0, ±1, ±2, ...)  free, signs included

In an even octad the coordinates on the word come first, then the others, each in ascending order.  Of the W signs on
the word, W - 1 are free; the last makes the number of reversals congruent to the excess modulo 2, which is the
condition sum k = 0 (mod 2) of leech.py.  (Values congruent to 1 mod 4 have even k, a reversal makes k odd, and the
squares of the free k add up to the excess modulo 2.)  For odd vectors the condition holds by itself.

Shells ascend, so the index of a point does not depend on the cap: the origin is 0, shell 2 is 1 ... 196560, and so on.
Within a shell, rows come in the order of `_index_tables.KINDS`.  Decoding needs less than 100 kB of tables for caps up
to 13, in plain constant arrays, and blocks are independent: a GPU decodes with the same bytes.  Enumerative coding is
due to T. M. Cover, IEEE Trans. Inf. Theory 19 (1973); the octad tree is this project's.  Tests: tests/test_index.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from llvq_mini import golay, leech, shells
from llvq_mini._index_tables import digit_base, tables
from llvq_mini._parallel import KERNEL, over_rows
from llvq_mini.search import check_shell

NOT_A_POINT = -1
_WORDS = golay.WORDS.astype(np.int64)
_WEIGHT = np.bitwise_count(np.arange(256)).astype(np.int64)
_H_NUMBER = golay.HAMMING_NUMBER.astype(np.int64)
_G_NUMBER = golay.HAMMING_INVERTED_NUMBER.astype(np.int64)
_G = golay.HAMMING_INVERTED.astype(np.int64)


def _octad_order() -> NDArray[np.int64]:
    """Coordinates of an octad in tree order, by its byte of the word: those on the word, then the others."""
    return np.array([sorted(range(8), key=lambda i: (~byte >> i & 1, i)) for byte in range(256)])


_ORDER = _octad_order()
_ENCODING_ONLY = {"row_of", "word_kind", "word_position", "quad_rank"}


@njit(**KERNEL)
def _parity(word):
    """Parity of the set bits of a 24-bit integer."""
    word ^= word >> 16
    word ^= word >> 8
    word ^= word >> 4
    return 0x6996 >> (word & 15) & 1


@njit(**KERNEL)
def _split(t, node, n, rank):
    """A rank of a node with excess n as (excess of the left half, rank of the left, rank of the right half)."""
    at = t.origin[node] + n * (n + 1) // 2
    a = 0
    while a < n and t.cumulative[at + a + 1] <= rank:
        a += 1
    rank -= t.cumulative[at + a]
    size = t.total[t.right[node], n - a]
    upper = rank // size
    return a, upper, rank - upper * size


@njit(**KERNEL)
def _join(t, node, n, a, upper, lower):
    """The inverse of _split."""
    return t.cumulative[t.origin[node] + n * (n + 1) // 2 + a] + upper * t.total[t.right[node], n - a] + lower


@njit(**KERNEL)
def _row(t, code):
    """The last row whose first index is <= code, by bisection."""
    low, high = 0, len(t.first)
    while high - low > 1:
        middle = (low + high) >> 1
        if t.first[middle] <= code:
            low = middle
        else:
            high = middle
    return low


@njit(**KERNEL)
def _put_octad(t, node, n, rank, byte, reversed_, odd, out):
    """Write an octad: values by the two quads, signs reversed by the bits of reversed_ in tree order."""
    a, upper, lower = _split(t, node, n, rank)
    left, right = t.left[node], t.right[node]
    one, two = t.quad_start[left, a] + upper, t.quad_start[right, n - a] + lower
    for j in range(8):
        i = j if odd else _ORDER[byte, j]
        value = t.quad[one, j] if j < 4 else t.quad[two, j - 4]
        out[i] = -value if reversed_ >> j & 1 else value


@njit(**KERNEL)
def _decode(t, codes, out):
    for row in range(len(codes)):
        code = np.int64(codes[row])
        r = _row(t, code)
        kind, n = t.row_kind[r], t.row_excess[r]
        choice = (code - t.first[r]) // t.row_size[r]
        rank = code - t.first[r] - choice * t.row_size[r]
        bits = t.sign_bits[kind]
        odd = kind == 0
        word = _WORDS[choice if odd else t.words[t.word_start[kind] + (choice >> bits)]]
        signs = choice & ((1 << bits) - 1)
        if bits > 0:
            signs |= ((_parity(signs) ^ n) & 1) << bits
        root = t.block_node[kind]
        a, rank1, rank = _split(t, root, n, rank)
        pair = t.right[root]
        b, rank2, rank3 = _split(t, pair, n - a, rank)
        one, two, three = t.left[root], t.left[pair], t.right[pair]
        for o in range(3):
            byte = word >> 8 * o & 255
            if odd:
                flips = byte
            else:
                weight = _WEIGHT[byte]
                flips = signs & ((1 << weight) - 1)
                signs >>= weight
            octad = out[row, 8 * o : 8 * o + 8]
            if o == 0:
                _put_octad(t, one, a, rank1, byte, flips, odd, octad)
            elif o == 1:
                _put_octad(t, two, b, rank2, byte, flips, odd, octad)
            else:
                _put_octad(t, three, n - a - b, rank3, byte, flips, odd, octad)


@njit(**KERNEL)
def _word_number(word):
    """golay.number for one word."""
    one, two = word & 255, word >> 8 & 255
    x = _G_NUMBER[one ^ two ^ word >> 16]
    if x < 0:
        return np.int64(-1)
    a, b = _H_NUMBER[one ^ _G[x]], _H_NUMBER[two ^ _G[x]]
    return np.int64(-1) if a < 0 or b < 0 else x << 8 | a << 4 | b


@njit(**KERNEL)
def _take_quad(t, kind, v, start, byte, odd, base):
    """Excess and rank of half an octad, from coordinate `start` of the tree order, and which values are reversed."""
    excess, key, reversed_ = 0, 0, 0
    for j in range(start, start + 4):
        i = j if odd else _ORDER[byte, j]
        value = v[i]
        if odd or byte >> i & 1:
            unit = value if odd else value >> 1
            reversed_ |= (unit >> 1 & 1) << j  # 1 mod 4 as it stands, 3 mod 4 reversed
            digit = (abs(unit) - 1) >> 1
            excess += digit * (digit + 1) >> (1 if odd else 0)
        else:
            z = value >> 2
            digit = z + (base >> 1)
            excess += z * z
        key = key * base + digit
    return excess, np.int64(t.quad_rank[kind, key]), reversed_


@njit(**KERNEL)
def _take_octad(t, node, v, byte, odd, base):
    """The inverse of _put_octad: excess and rank of an octad, and which values are reversed, in tree order."""
    a, upper, flips1 = _take_quad(t, t.left[node], v, 0, byte, odd, base)
    b, lower, flips2 = _take_quad(t, t.right[node], v, 4, byte, odd, base)
    return a + b, _join(t, node, a + b, a, upper, lower), flips1 | flips2


@njit(**KERNEL)
def _encode(t, points, max_norm, base, codes):
    """Indices of lattice points of norm <= max_norm; other rows get NOT_A_POINT."""
    v = np.empty(24, np.int64)
    for row in range(len(points)):
        for i in range(24):
            v[i] = points[row, i]
        e, word, norm, total, mixed = v[0] & 1, 0, 0, 0, 0
        for i in range(24):
            mixed |= (v[i] & 1) ^ e
            word |= ((v[i] - e) >> 1 & 1) << i
            norm += v[i] * v[i]
            total += v[i]
        number = _word_number(word)
        if mixed or number < 0 or (total - 4 * e) & 7 or norm > max_norm:
            codes[row] = NOT_A_POINT
            continue
        kind = 0 if e else t.word_kind[number]
        root = t.block_node[kind]
        pair = t.right[root]
        n1, rank1, flips1 = _take_octad(t, t.left[root], v[:8], word & 255, e, base)
        n2, rank2, flips2 = _take_octad(t, t.left[pair], v[8:16], word >> 8 & 255, e, base)
        n3, rank3, flips3 = _take_octad(t, t.right[pair], v[16:], word >> 16, e, base)
        n = n1 + n2 + n3
        rank = _join(t, root, n, n1, rank1, _join(t, pair, n2 + n3, n2, rank2, rank3))
        choice = number
        if not e:
            w1, w2 = _WEIGHT[word & 255], _WEIGHT[word >> 8 & 255]
            signs = flips1 | flips2 << w1 | flips3 << (w1 + w2)
            bits = t.sign_bits[kind]
            choice = t.word_position[number] << bits | signs & ((1 << bits) - 1)
        row_at = t.row_of[norm >> 4, kind]
        codes[row] = t.first[row_at] + choice * t.row_size[row_at] + rank


def _codes(codes: ArrayLike, max_shell: int) -> NDArray[np.uint64]:
    c = np.asarray(codes)
    if c.dtype.kind not in "iu":
        raise TypeError(f"Argument 'codes' must hold integers, got dtype {c.dtype}.")
    if c.ndim != 1:
        raise ValueError(f"Argument 'codes' must have one axis, got shape {c.shape}.")
    n = size(max_shell)
    bad = np.flatnonzero((c < 0) | (c >= n)) if c.size else c
    if bad.size:
        raise ValueError(
            f"Argument 'codes' must lie in 0 ... {n - 1} for max_shell={max_shell}; entry {bad[0]} is {c[bad[0]]}."
        )
    return np.ascontiguousarray(c, dtype=np.uint64)


def size(max_shell: int) -> int:
    """Number of indices: the points of shells 2 ... max_shell and the origin, ball_size(max_shell) + 1."""
    return shells.ball_size(check_shell(max_shell, 0)) + 1


def bits(max_shell: int) -> int:
    """Bits that hold every index: 47 for cap 12, 48 for cap 13."""
    return (size(max_shell) - 1).bit_length()


def table_bytes(max_shell: int) -> int:
    """Bytes of the tables that `decode` reads for this cap; those for encoding alone are left out."""
    named = tables(check_shell(max_shell, 0))._asdict()
    return sum(array.nbytes for name, array in named.items() if name not in _ENCODING_ONLY)


def encode(v: ArrayLike, max_shell: int = 12, threads: int | None = None) -> NDArray[np.uint64]:
    """Indices of lattice points.

    Parameters: v, (n, 24) integers in the sqrt(8)-scaled frame; max_shell 0 ... 31; threads, None for all processors.
    Returns: uint64[n] in 0 ... size(max_shell) - 1.
    Raises ValueError for a row that is not in the lattice or lies outside the ball, TypeError for non-integers.
    """
    size(max_shell)
    points = leech.check_points(v)
    codes = np.empty(len(points), dtype=np.int64)
    # int8 is enough: coordinates beyond 64 are outside every supported ball, whatever they are clipped to.
    narrow = points if points.dtype == np.int8 else np.clip(points, -65, 65).astype(np.int8)
    t, base = tables(int(max_shell)), digit_base(max_shell)
    over_rows(lambda s: _encode(t, narrow[s], 16 * max_shell, base, codes[s]), len(points), threads)
    bad = np.flatnonzero(codes == NOT_A_POINT)
    if bad.size:
        row = points[bad[0]].astype(np.int64)
        why = "is not a Leech lattice vector"
        if leech.contains(row[None])[0]:
            why = f"lies on shell {sum(int(c) ** 2 for c in row) // 16}, outside max_shell={max_shell}"
        raise ValueError(
            f"Argument 'v' must hold lattice points of the ball; row {bad[0]} {why}: {row.tolist()}."
        )
    return codes.astype(np.uint64)


def decode(codes: ArrayLike, max_shell: int = 12, threads: int | None = None) -> NDArray[np.int8]:
    """Lattice points of indices: the inverse of `encode`.

    Parameters: codes, (n,) integers in 0 ... size(max_shell) - 1; max_shell; threads, None for all processors.
    Returns: int8[n, 24].  Raises ValueError for an index out of range, TypeError for non-integers.
    """
    checked = _codes(codes, max_shell)
    out = np.empty((len(checked), 24), dtype=np.int8)
    t = tables(int(max_shell))
    over_rows(lambda s: _decode(t, checked[s], out[s]), len(checked), threads)
    return out
