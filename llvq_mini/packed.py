"""Products with a matrix that stays packed: decoded a row at a time, used, and forgotten.

For one rotated token x and row r of blocks b,

    y_r = scale_r sum_b f(g_b, v_b) <v_b, x_b>,     f = level / |v|  (a plain scale for ball codes),

so a weight is a quarter of a byte in memory and a float32 only in a buffer of one row, or of one tile when many tokens
come at once and a matrix product pays. Decoding is index.py's bijection on larger tables (_packed_tables.py), in four
stages over a group of blocks, since within one block every step waits for the one before. Leech codes with caps up to
13 have such tables; any other codebook is decoded a tile at a time by its own `decode`. Factors are the same float32
numbers that codebook.py uses, so a decoded tile equals `decode` bit for bit. Rows are independent and each is summed in
one order: results do not depend on threads.

What this file does not do: know PyTorch (ops.py) or a GPU. Tests: ``tests/test_linear.py``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from . import index, pack
from ._packed_tables import make_plan
from ._parallel import KERNEL
from .codebook import Codebook
from .rates import from_spec
from .rotate import Rotation, hartley_matrix, random_signs

FEW_TOKENS = 8
"""Up to this many tokens a decoded row is used at once; beyond, tiles go through a matrix product."""
TILE = 1 << 18
"""float32 elements of a decoded tile: 1 MB a thread."""

_GROUP = 512  # blocks decoded at a time: enough to fill the pipeline, little enough for the first-level cache
_ORDER = np.ascontiguousarray(index._ORDER.astype(np.uint8))
_WEIGHT, _parity = index._WEIGHT, index._parity
_FLIP = np.array([sum(255 << 8 * j for j in range(8) if byte >> j & 1) for byte in range(256)], np.uint64)


@njit(**KERNEL)
def _divided(rank, size):
    """rank // size for rank < 2^53: the quotient of exact float64 numbers is never rounded up to an integer."""
    return np.int64(np.float64(rank) / np.float64(size))


@njit(**KERNEL)
def _below(p, state, rank):
    """How many cumulative counts behind the first are <= rank: the excess of the left half."""
    a = np.int64(p.guess[state, rank >> p.guess_shift[state]])
    while p.segment[state, a + 1] <= rank:
        a += 1
    return a


@njit(**KERNEL)
def _reversed(octad, flips):
    """Eight bytes, those with a bit in flips negated; they are never zero, so no carry leaves a byte."""
    mask = _FLIP[flips]
    return (octad ^ mask) + (mask & np.uint64(0x0101010101010101))


@njit(**KERNEL)
def _place(octad, byte, out, at):
    """Eight values from tree order to their coordinates."""
    for j in range(8):
        out[at + _ORDER[byte, j]] = np.int8((octad >> np.uint64(8 * j)) & np.uint64(255))


@njit(**KERNEL)
def _read(data, k, bits):
    """Code k of a packed buffer."""
    at = k * bits
    if bits == 48:
        at >>= 3
        return (
            np.int64(data[at])
            | np.int64(data[at + 1]) << 8
            | np.int64(data[at + 2]) << 16
            | np.int64(data[at + 3]) << 24
            | np.int64(data[at + 4]) << 32
            | np.int64(data[at + 5]) << 40
        )
    low, code = at & 7, np.int64(0)
    for i in range((low + bits + 7) >> 3):
        code |= np.int64(data[(at >> 3) + i]) << 8 * i
    return (code >> low) & ((np.int64(1) << bits) - 1)


@njit(**KERNEL)
def _level(start, code):
    """The level a code belongs to."""
    level = 0
    for i in range(1, len(start)):
        level += start[i] <= code
    return level


@njit(**KERNEL)
def _find_rows(p, data, block, rows, ranks, factors, at):
    """Stage 1: row of the index and rank within it of every block, its factor and turn (at[:, 3]); counts invalid
    codes.
    """
    bad = 0
    for k in range(len(factors)):
        code = _read(data, block + k, p.bits)
        level = _level(p.start, code)
        code -= p.start[level]
        valid = code < p.counts[level]
        code = code + p.base if valid else np.int64(0)
        r = np.int64(p.bucket[code >> p.shift])
        while p.first[r + 1] <= code:
            r += 1
        rows[k], ranks[k] = r, code - p.first[r]
        factors[k] = p.factor[level, p.row[r, 2]] if valid else np.float32(0)
        at[k, 3] = p.turn[level]
        bad += not valid
    return bad


@njit(**KERNEL)
def _find_octads(p, count, rows, ranks, choices, at):
    """Stage 2: number of the Golay word and signs (choices), and where the three octads lie (at, int64 (blocks, 4))."""
    for k in range(count):
        r = rows[k]
        kind, n, size = p.row[r, 0], p.row[r, 1], p.row[r, 3]
        choice = _divided(ranks[k], size)
        rank = ranks[k] - choice * size
        a = _below(p, r, rank)
        rank -= p.segment[r, a]
        one = _divided(rank, p.size[kind, 0, n - a])
        choices[k], ranks[k] = choice, rank - one * p.size[kind, 0, n - a]
        at[k, 0], at[k, 1] = p.octad[kind, 0, a] + one, n - a
    for k in range(count):
        kind, n = p.row[rows[k], 0], at[k, 1]
        state = p.pair[kind] + n
        b = _below(p, state, ranks[k])
        rank = ranks[k] - p.segment[state, b]
        two = _divided(rank, p.size[kind, 1, n - b])
        at[k, 1] = p.octad[kind, 1, b] + two
        at[k, 2] = p.octad[kind, 2, n - b] + rank - two * p.size[kind, 1, n - b]


@njit(**KERNEL)
def _put_octads(p, count, rows, choices, at, points):
    """Stage 3: signs and coordinates of every block."""
    wide = points.view(np.uint64)
    for k in range(count):
        kind = p.row[rows[k], 0]
        first, second, third = p.octads[at[k, 0]], p.octads[at[k, 1]], p.octads[at[k, 2]]
        if kind == 0:
            word = p.words[1, choices[k]]
            wide[3 * k] = _reversed(first, word & 255)
            wide[3 * k + 1] = _reversed(second, word >> 8 & 255)
            wide[3 * k + 2] = _reversed(third, word >> 16 & 255)
            continue
        bits = p.kind[kind, 1]
        word = p.words[0, p.kind[kind, 0] + (choices[k] >> bits)]
        signs = choices[k] & ((np.int64(1) << bits) - 1)
        if bits > 0:
            signs |= np.int64((_parity(signs) ^ p.row[rows[k], 1]) & 1) << bits
        x, y, z = word & 255, word >> 8 & 255, word >> 16 & 255
        _place(_reversed(first, signs & ((1 << _WEIGHT[x]) - 1)), x, points, 24 * k)
        signs >>= _WEIGHT[x]
        _place(_reversed(second, signs & ((1 << _WEIGHT[y]) - 1)), y, points, 24 * k + 8)
        _place(_reversed(third, signs >> _WEIGHT[y]), z, points, 24 * k + 16)


@njit(**KERNEL)
def _turn(count, at, points):
    """Stage 4: coordinate i of a block on a turned sphere goes to i + turn (mod 24)."""
    v = np.empty(24, np.int8)
    for k in range(count):
        turn = at[k, 3]
        if turn > 0:
            for i in range(24):
                v[i] = points[24 * k + i]
            for i in range(24 - turn):
                points[24 * k + turn + i] = v[i]
            for i in range(turn):
                points[24 * k + i] = v[24 - turn + i]


@njit(**KERNEL)
def _decode(p, data, block, points, factors, rows, ranks, choices, at):
    """Blocks block ... block + len(factors) - 1 of packed codes: points int8 (24 blocks,), factors float32.

    Stage by stage, so that the processor works on several blocks at once: within one, everything waits for the step
    before.  rows ... at are scratch.  Returns the number of codes outside the codebook; their blocks get factor 0.
    """
    bad = _find_rows(p, data, block, rows, ranks, factors, at)
    _find_octads(p, len(factors), rows, ranks, choices, at)
    _put_octads(p, len(factors), rows, choices, at, points)
    _turn(len(factors), at, points)
    return bad


@njit(**KERNEL)
def _expand(points, factors, out):
    """float32 values of decoded blocks."""
    for k in range(len(factors)):
        factor = factors[k]
        for i in range(24):
            out[24 * k + i] = np.float32(points[24 * k + i]) * factor


@njit(fastmath={"reassoc", "contract", "nsz"}, **KERNEL)
def _dot(x, y):
    total = np.float32(0)
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@njit(**KERNEL)
def _multiply(p, data, x, begin, end, out):
    """out[t, r] = <x[t], decoded row r> for rows begin ... end - 1; the number of invalid codes."""
    tokens, width = x.shape
    blocks = width // 24
    group = min(end - begin, max(1, _GROUP // blocks))
    most = group * blocks
    points, factors, row = (
        np.empty(24 * most, np.int8),
        np.empty(most, np.float32),
        np.empty(width, np.float32),
    )
    rows, ranks, choices = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    at, bad = np.empty((most, 4), np.int64), 0
    for r in range(begin, end, group):
        count = min(group, end - r)
        bad += _decode(p, data, r * blocks, points, factors[: count * blocks], rows, ranks, choices, at)
        for i in range(count):
            _expand(points[i * width :], factors[i * blocks : (i + 1) * blocks], row)
            for t in range(tokens):
                out[t, r + i] = _dot(row, x[t])
    return bad


@njit(**KERNEL)
def _rows(p, data, blocks, begin, end, out):
    """Decoded rows begin ... end - 1, float32 (rows, 24 blocks); the number of invalid codes."""
    flat = out.reshape(-1)
    total, bad = (end - begin) * blocks, 0
    group = min(total, _GROUP)
    points, factors = np.empty(24 * group, np.int8), np.empty(group, np.float32)
    rows, ranks, choices = np.empty(group, np.int64), np.empty(group, np.int64), np.empty(group, np.int64)
    at = np.empty((group, 4), np.int64)
    for k in range(0, total, group):
        count = min(group, total - k)
        bad += _decode(p, data, begin * blocks + k, points, factors[:count], rows, ranks, choices, at)
        _expand(points, factors[:count], flat[24 * k :])
    return bad


@njit(**KERNEL)
def _check(p, data, blocks):
    """The number of codes outside the codebook."""
    bad = 0
    for k in range(blocks):
        code = _read(data, k, p.bits)
        level = _level(p.start, code)
        bad += code - p.start[level] >= p.counts[level]
    return bad


@njit(**KERNEL)
def _rotate(x, signs, mixing, out):
    """rotate.Rotation.apply for the leading columns of out, which may be wider than x."""
    width, odd = x.shape[1], len(mixing)
    root = np.float32(np.sqrt(odd / width))
    for t in range(len(x)):
        row = out[t]
        for start in range(0, width, odd):
            for j in range(odd):
                row[start + j] = 0
            for i in range(odd):
                value = x[t, start + i] * signs[start + i] * root
                for j in range(odd):
                    row[start + j] += value * mixing[i, j]
        half = odd
        while half < width:
            for start in range(0, width, 2 * half):
                for i in range(start, start + half):
                    first, second = row[i], row[i + half]
                    row[i], row[i + half] = first + second, first - second
            half *= 2


_signs = lru_cache(maxsize=1024)(random_signs)
_mixing = lru_cache(maxsize=16)(lambda odd: hartley_matrix(odd).astype(np.float32))


def rotated(x: NDArray[np.float32], seed: int, padded: int) -> NDArray[np.float32]:
    """R x of every row, float32 (tokens, padded), zeros behind the width of x."""
    width = x.shape[1]
    out = np.zeros((len(x), padded), dtype=np.float32)
    _rotate(x, _signs(width, seed), _mixing(Rotation(width, seed).factors[1]), out)
    return out


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="llvq")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _in_slabs(work: Callable[[int, int], int], rows: int, step: int, threads: int) -> None:
    """work(begin, end) over all rows, `step` at a time; ValueError if it counted codes outside the codebook."""
    parts = [(begin, min(begin + step, rows)) for begin in range(0, rows, step)]
    if threads == 1 or len(parts) == 1:
        bad = sum(work(*part) for part in parts)
    else:
        bad = sum(_pool(threads).map(lambda part: work(*part), parts))
    if bad:
        raise ValueError(f"Argument 'codes' must lie in the codebook, {bad} do not; the data are damaged")


class Decoder:
    """Rows of packed codes of one codebook: the plan where there is one, `decode` where there is none."""

    def __init__(self, book: Codebook) -> None:
        self.book, self.plan = book, make_plan(book)

    def blocks(self, width: int) -> int:
        """Blocks of a row."""
        return -(-width // self.book.dim)

    def check(self, codes: NDArray[np.uint8], blocks: int) -> None:
        """ValueError unless every code of a packed buffer lies in the codebook, and its length is right."""
        expected = pack.packed_size(blocks, self.book.bits)
        if codes.dtype != np.uint8 or codes.shape != (expected,):
            raise ValueError(
                f"Argument 'codes' must be {expected} bytes, got {codes.dtype} of shape {codes.shape}"
            )
        step = 1 << 16  # codes at a time, a multiple of 8: slices begin at whole bytes
        for begin in range(0, blocks, step):
            count = min(step, blocks - begin)
            part = codes[begin * self.book.bits // 8 :][: pack.packed_size(count, self.book.bits)]
            if self.plan is None:
                self.book.decode(pack.unpack(part, self.book.bits, count))
            elif bad := _check(self.plan, part, count):
                raise ValueError(
                    f"Argument 'codes' must lie in the codebook, {bad} do not; the data are damaged"
                )

    def tile(self, codes: NDArray[np.uint8], width: int, begin: int, end: int) -> NDArray[np.float32]:
        """Decoded rows begin ... end - 1 before scaling, float32 (rows, padded width).

        ValueError for codes outside the codebook.
        """
        blocks = self.blocks(width)
        if self.plan is not None:
            out = np.empty((end - begin, 24 * blocks), dtype=np.float32)
            if bad := _rows(self.plan, codes, blocks, begin, end, out):
                raise ValueError(
                    f"Argument 'codes' must lie in the codebook, {bad} do not; the data are damaged"
                )
            return out
        bits, ahead = self.book.bits, begin * blocks % 8  # eight codes end at a whole byte
        first, last = begin * blocks - ahead, end * blocks
        part = codes[first * bits // 8 : -(-last * bits // 8)].copy()
        if last * bits % 8:
            part[-1] &= (1 << last * bits % 8) - 1  # the first bits of the row behind
        numbers = pack.unpack(part, bits, last - first)[ahead:]
        return self.book.decode(numbers).reshape(end - begin, -1)

    def multiply(
        self,
        codes: NDArray[np.uint8],
        scale: NDArray[np.float16],
        x: NDArray[np.float32],
        seed: int,
        threads: int = 1,
    ) -> NDArray[np.float32]:
        """x W^T for rows x (tokens, width) and the packed W (rows, width): float32 (tokens, rows).

        ValueError for codes or x of another size.
        """
        rows, blocks = len(scale), self.blocks(x.shape[1])
        if len(codes) != pack.packed_size(rows * blocks, self.book.bits):
            raise ValueError(
                f"Argument 'codes' has {len(codes)} bytes, which do not fit {rows} x {x.shape[1]}"
            )
        y = rotated(np.ascontiguousarray(x), seed, blocks * self.book.dim)
        out = np.empty((len(x), rows), dtype=np.float32)
        plan = self.plan
        if plan is not None and len(x) <= FEW_TOKENS:
            step = max(1, -(-rows // (4 * threads))) if threads > 1 else rows
            _in_slabs(lambda begin, end: _multiply(plan, codes, y, begin, end, out), rows, step, threads)
        else:

            def product(begin: int, end: int) -> int:
                np.matmul(y, self.tile(codes, x.shape[1], begin, end).T, out=out[:, begin:end])
                return 0

            _in_slabs(product, rows, max(1, TILE // y.shape[1]), threads)
        out *= scale.astype(np.float32)
        return out


@lru_cache(maxsize=64)
def decoder(spec: str) -> Decoder:
    """The decoder of a codebook given by its `spec()` as JSON; ValueError for anything else."""
    return Decoder(from_spec(json.loads(spec)))
