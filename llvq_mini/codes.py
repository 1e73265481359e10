"""Codes beyond one fixed 64-bit word: what the comparisons need from the Codebook protocol, and no more.

The protocol of codebook.py gives every block one integer of `bits` <= 64 bits.  Two things do not fit:

    long codes      A trellis codes 256 weights at once, a two-stage Leech code takes 72 or 96 bits.  Their codes
                    are rows uint8 (n, ceil(bits / 8)): the words of the stages end to end, little-endian, zero bits
                    behind the last.  `join` and `split` convert; everything else about the protocol stays.
    variable rate   An entropy coder spends few bits on likely blocks.  Such a codebook has two more methods,
                    compress and expand, between codes and a byte string.  Its rate is the length of that string,
                    nothing ideal; `rate` measures it.  Its `bits` are those of a code before compression.

The checks of arguments are shared here too.  Not here: any code.  Tests: tests/test_codes.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini.codebook import Codebook


@runtime_checkable
class VariableRate(Codebook, Protocol):
    """A codebook whose codes are stored compressed.

    compress: codes of n blocks -> bytes.  expand: its inverse, given n; ValueError for bytes that compress did not make
    where that shows.
    """

    def compress(self, codes: ArrayLike) -> bytes:
        """Codes of n blocks as a message of any length."""
        ...
    def expand(self, data: bytes, n: int) -> NDArray[np.uint64]:
        """The codes of n blocks back from their message: uint64 (n,)."""
        ...


def rate(book: Codebook, codes: ArrayLike) -> float:
    """Bits per weight these codes take when stored: measured for a VariableRate book, fixed for the others."""
    n = len(np.asarray(codes))
    if isinstance(book, VariableRate) and n:
        return 8 * len(book.compress(codes)) / (n * book.dim)
    return book.bits_per_weight


def check_blocks(x: ArrayLike, dim: int) -> NDArray[np.float64]:
    """x as float64 (n, dim), C-contiguous; ValueError for another shape, NaN or infinity."""
    blocks = np.ascontiguousarray(x, dtype=np.float64)
    if blocks.ndim != 2 or blocks.shape[1] != dim:
        raise ValueError(f"Argument 'x' must have shape (n, {dim}), got {blocks.shape}.")
    if not np.isfinite(blocks).all():
        raise ValueError("Argument 'x' must be finite; it holds NaN or infinity.")
    return blocks


def check_codes(codes: ArrayLike, count: int) -> NDArray[np.uint64]:
    """Codes as uint64[n], each below `count`; ValueError for others."""
    c = np.asarray(codes)
    if c.ndim != 1 or c.dtype.kind not in "iu":
        raise ValueError(f"Argument 'codes' must hold integers on one axis, got {c.dtype} {c.shape}.")
    if c.size and (int(c.min()) < 0 or int(c.max()) >= count):
        raise ValueError(f"Argument 'codes' must be in 0 ... {count - 1}, got {c.min()} ... {c.max()}.")
    return c.astype(np.uint64)


def check_rows(codes: ArrayLike, bits: int) -> NDArray[np.uint8]:
    """Long codes as uint8 (n, ceil(bits / 8)); ValueError for others."""
    c = np.asarray(codes)
    if c.dtype != np.uint8 or c.ndim != 2 or c.shape[1] != (bits + 7) // 8:
        raise ValueError(
            f"Argument 'codes' must be uint8 of shape (n, {(bits + 7) // 8}), got {c.dtype} {c.shape}."
        )
    return np.ascontiguousarray(c)


def join(words: Sequence[NDArray[np.uint64]], widths: Sequence[int]) -> NDArray[np.uint8]:
    """Words of `widths` bits (uint64[n] each, below 2^width) end to end: uint8 (n, ceil(sum / 8))."""
    parts = [
        np.unpackbits(np.ascontiguousarray(w, dtype="<u8")[:, None].view(np.uint8), axis=1, bitorder="little")
        for w in words
    ]
    cut = [part[:, :width] for part, width in zip(parts, widths, strict=True)]
    return np.packbits(np.concatenate(cut, axis=1), axis=1, bitorder="little")


def split(rows: ArrayLike, widths: Sequence[int]) -> list[NDArray[np.uint64]]:
    """The inverse of `join`; ValueError for rows of another length or with bits behind the last word."""
    total = sum(widths)
    bits = np.unpackbits(check_rows(rows, total), axis=1, bitorder="little")
    if bits[:, total:].any():
        raise ValueError(f"Argument 'codes' must have zero bits behind the first {total} of a row.")
    words, start = [], 0
    for width in widths:
        wide = np.zeros((len(bits), 64), dtype=np.uint8)
        wide[:, :width] = bits[:, start : start + width]
        words.append(np.packbits(wide, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64))
        start += width
    return words
