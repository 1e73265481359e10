"""Codes to bytes and back: a little-endian bit stream without gaps.

Code n of width b occupies bits n b ... n b + b - 1 of the stream; bit i of the stream is bit i mod 8 of byte i // 8.
The last byte is filled with zeros.  At 48 bits a code is six bytes, which a GPU reads with three 16-bit loads.
Codes of more than 64 bits are rows of bytes (codes.py); 84 bits are packed as 84, not as 88.
Tests: tests/test_pack.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from llvq_mini._parallel import KERNEL

LONGEST = 4096
"""Bits of the longest code."""
_CHUNK = 1 << 15  # long codes at a time, a multiple of 8: chunks begin at whole bytes


def packed_size(n: int, bits: int) -> int:
    """Bytes that n codes of `bits` bits take. ValueError for n < 0 or bits out of range."""
    _check_bits(bits)
    if n < 0:
        raise ValueError(f"Argument 'n' must be >= 0, got {n}.")
    return (n * bits + 7) // 8


def _check_bits(bits: int) -> None:
    if not isinstance(bits, int | np.integer) or not 1 <= bits <= LONGEST:
        raise ValueError(f"Argument 'bits' must be an integer in 1 ... {LONGEST}, got {bits!r}.")


@njit(**KERNEL)
def _pack(codes, bits, out):
    for n in range(len(codes)):
        at, left, code = n * bits, bits, codes[n]
        while left > 0:
            shift = at & 7
            out[at >> 3] |= np.uint8((code << np.uint64(shift)) & np.uint64(255))
            taken = min(8 - shift, left)
            code >>= np.uint64(taken)
            at += taken
            left -= taken


@njit(**KERNEL)
def _unpack(buffer, bits, out):
    for n in range(len(out)):
        at, have, code = n * bits, 0, np.uint64(0)
        while have < bits:
            shift = at & 7
            taken = min(8 - shift, bits - have)
            piece = (np.uint64(buffer[at >> 3]) >> np.uint64(shift)) & np.uint64((1 << taken) - 1)
            code |= piece << np.uint64(have)
            at += taken
            have += taken
        out[n] = code


def pack(codes: ArrayLike, bits: int) -> NDArray[np.uint8]:
    """Pack codes of `bits` bits each.

    Parameters: codes, (n,) unsigned integers below 2^bits, or rows uint8 (n, ceil(bits / 8)) for more than 64 bits.
    Returns: uint8[ceil(n bits / 8)].  Raises TypeError, ValueError for other input.
    """
    _check_bits(bits)
    c = np.asarray(codes)
    if bits > 64:
        return _pack_rows(c, int(bits))
    if c.dtype.kind not in "iu":
        raise TypeError(f"Argument 'codes' must hold integers, got dtype {c.dtype}.")
    if c.ndim != 1:
        raise ValueError(f"Argument 'codes' must have one axis, got shape {c.shape}.")
    if c.size and (int(c.min()) < 0 or int(c.max()) >> int(bits)):
        raise ValueError(
            f"Argument 'codes' must lie in 0 ... 2**{bits} - 1, got {int(c.min())} ... {int(c.max())}."
        )
    out = np.zeros(packed_size(len(c), bits), dtype=np.uint8)
    _pack(c.astype(np.uint64), int(bits), out)
    return out


def _pack_rows(rows: NDArray, bits: int) -> NDArray[np.uint8]:
    width, spare = (bits + 7) // 8, -bits % 8
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(
            f"Argument 'codes' must be uint8 (n, {width}) for {bits} bits, got {rows.dtype} of shape {rows.shape}."
        )
    if spare and rows.size and int(rows[:, -1].max()) >> (8 - spare):
        raise ValueError(f"Argument 'codes' must have zero bits behind the first {bits} of a row.")
    if not spare:
        return rows.reshape(-1)
    parts = [
        np.packbits(
            np.unpackbits(rows[at : at + _CHUNK], axis=1, count=bits, bitorder="little"), bitorder="little"
        )
        for at in range(0, len(rows), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint8)


def _unpack_rows(data: NDArray[np.uint8], bits: int, n: int) -> NDArray[np.uint8]:
    out = np.empty((n, (bits + 7) // 8), dtype=np.uint8)
    for at in range(0, n, _CHUNK):
        count = min(_CHUNK, n - at)
        part = np.unpackbits(data[at * bits // 8 :], count=count * bits, bitorder="little")
        out[at : at + count] = np.packbits(part.reshape(count, bits), axis=1, bitorder="little")
    return out


def unpack(buffer: ArrayLike, bits: int, n: int) -> NDArray:
    """The n codes of a packed buffer: the inverse of `pack`.

    Parameters: buffer, uint8[ceil(n bits / 8)]; bits; n.
    Returns: uint64[n], or rows uint8 (n, ceil(bits / 8)) for more than 64 bits.
    Raises ValueError for a buffer of another length or with bits set behind the last code.
    TypeError for anything but a uint8 vector.
    """
    expected = packed_size(n, bits)
    data = np.asarray(buffer)
    if data.dtype != np.uint8 or data.ndim != 1:
        raise TypeError(f"Argument 'buffer' must be a uint8 vector, got {data.dtype} of shape {data.shape}.")
    if len(data) != expected:
        raise ValueError(
            f"Argument 'buffer' must hold {expected} bytes for {n} codes of {bits} bits, got {len(data)}; "
            "the data are truncated or belong to another code."
        )
    if n * bits % 8 and int(data[-1]) >> n * bits % 8:
        raise ValueError(
            "Argument 'buffer' must end in zero bits behind the last code; the data are damaged."
        )
    if bits > 64:
        return data.reshape(n, bits // 8) if bits % 8 == 0 else _unpack_rows(data, int(bits), n)
    out = np.empty(n, dtype=np.uint64)
    _unpack(np.ascontiguousarray(data), int(bits), out)
    return out
