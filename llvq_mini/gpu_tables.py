"""The tables of the CUDA kernels, as bytes, and packed codes in the form they read.

    tables_of(codebook)   for codes in the order of files (kernels/llvq.cuh): the library's own arrays as they are
    padded_tables_of(codebook)   for codes in the order of a GPU (kernels/padded.cuh)
    order_of, stream_of   which of the two orders a codebook takes, and packed codes in it, as whole words

A table is one array of uint8: a header of 32 integers (byte offsets of the arrays in the order of the kernels' slots,
then counts) and the arrays, each on a multiple of 16 bytes.  Tests: tests/test_kernels.py, tests/test_padded.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llvq_mini import golay, index, pack, padded
from llvq_mini._index_tables import tables
from llvq_mini.codebook import Ball, Codebook, ShapeGain, SingleShell, Tapered

ARRAYS = (
    "start", "limits", "first", "row_excess", "row_kind", "row_size", "words", "word_start", "sign_bits", "left",
    "right", "origin", "cumulative", "total", "block_node", "quad", "quad_start", "golay", "order", "factor",
    "row_inverse", "inverse",
)  # fmt: skip
"""Arrays in the order of the slots of kernels/llvq.cuh."""
PADDED_ARRAYS = (
    "buckets", "cells", "words", "order", "factor", "rows",
)  # fmt: skip
"""The same for kernels/padded.cuh."""
HEADER, STAGED = 32, 31
"""Integers in the header; the last says how many bytes are worth a place in shared memory."""


def _blob(
    names: tuple[str, ...], arrays: dict[str, Any], counts: tuple[int, ...], staged: int
) -> NDArray[np.uint8]:
    """Header and arrays as bytes; the first `staged` arrays go to shared memory."""
    header, parts, at = np.zeros(HEADER, dtype=np.int32), [], 4 * HEADER
    for slot, name in enumerate(names):
        data = np.ascontiguousarray(arrays[name]).tobytes()
        header[slot] = at
        parts.append(data + bytes(-len(data) % 16))
        at += len(parts[-1])
    header[len(names) : len(names) + len(counts)] = counts
    header[STAGED] = header[staged] if staged < len(names) else at
    return np.frombuffer(header.tobytes() + b"".join(parts), dtype=np.uint8)


def codes_of(codebook: Codebook) -> tuple[NDArray, NDArray, NDArray, int]:
    """(first code of every gain, (index of the first point, last index), factor float32 (gains, 32), cap)."""
    norms = 4.0 * np.sqrt(np.arange(32, dtype=np.float64))
    if isinstance(codebook, Ball):
        cap, base, start = codebook.max_shell, 0, np.zeros(1, dtype=np.int64)
        factor = np.full((1, 32), codebook.scale, dtype=np.float32)
    elif isinstance(codebook, Tapered):
        cap, base = codebook.caps[-1], 1
        start = np.cumsum([0, *(index.size(c) - 1 for c in codebook.caps[:-1])])
    elif isinstance(codebook, ShapeGain | SingleShell):
        cap, base = codebook.max_shell, index.size(codebook.min_shell - 1)
        start = np.arange(1 << codebook.gain_bits, dtype=np.int64) << (codebook.bits - codebook.gain_bits)
    else:
        raise ValueError(
            f"Argument 'codebook' must be a Leech code (Tapered, ShapeGain, SingleShell, Ball) to run on a GPU, got "
            f"{type(codebook).__name__}; decode it on the CPU."
        )
    if not isinstance(codebook, Ball):
        with np.errstate(divide="ignore"):
            factor = (codebook.levels[:, None] / norms).astype(np.float32)
        factor[:, :2] = 0  # the origin has no direction, and shell 1 no point
    return start.astype(np.int64), np.array([base, index.size(cap) - 1], dtype=np.int64), factor, cap


def tables_of(codebook: Codebook) -> NDArray[np.uint8]:
    """Everything the kernels need to decode `codebook`: uint8, a header of 32 int32 and the arrays, 16-byte aligned.

    ValueError for a codebook that is no Leech code.
    """
    start, limits, factor, cap = codes_of(codebook)
    t = tables(cap)._asdict()
    sorted_from = np.argsort(index._ORDER, axis=1)  # where coordinate i of an octad is found in tree order
    order = (sorted_from << 4 * np.arange(8)).sum(axis=1).astype(np.uint32)
    t |= {"start": start, "limits": limits, "factor": factor, "golay": golay.WORDS, "order": order}
    t |= {"row_inverse": 1 / t["row_size"], "inverse": 1 / np.maximum(t["total"], 1)}
    counts = (codebook.bits, len(start), len(t["first"]), t["total"].shape[1], t["quad_start"].shape[1])
    return _blob(ARRAYS, t, counts, len(ARRAYS))


def words_of(stream: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """A packed stream (pack.py) as the whole words that the kernels read, with one to spare at the end."""
    return np.frombuffer(stream.tobytes() + bytes(-len(stream) % 4 + 8), dtype=np.uint32)


def has_padded_order(codebook: Codebook) -> bool:
    """Whether the code has an order for GPUs: a cap up to 15 and at most eight gains; a ball has the origin besides."""
    if not isinstance(codebook, Tapered | ShapeGain | SingleShell):
        return False
    start, _, _, cap = codes_of(codebook)
    return cap <= padded.MAX_CAP and len(start) <= 8


def _gains_of_shells(codebook: Codebook, gains: int) -> tuple[int, ...]:
    """Number of gains on every shell 0 ... 15; gains with larger caps come last."""
    if isinstance(codebook, Tapered):
        return tuple(
            sum(cap >= m for cap in codebook.caps) if m >= 2 else 0 for m in range(padded.MAX_CAP + 1)
        )
    assert isinstance(codebook, ShapeGain | SingleShell)
    inside = range(codebook.min_shell, codebook.max_shell + 1)
    return tuple(gains if m in inside else 0 for m in range(padded.MAX_CAP + 1))


def padded_layout(codebook: Codebook) -> padded.Layout:
    """The order for GPUs of a codebook that has one."""
    start, _, _, cap = codes_of(codebook)
    return padded.layout(cap, _gains_of_shells(codebook, len(start)))


def order_of(codebook: Codebook) -> str:
    """The order that a machine decodes fastest: 'padded' where the codebook has it, otherwise 'file'."""
    return "padded" if has_padded_order(codebook) else "file"


def bits_of(codebook: Codebook, order: str) -> int:
    """Bits of a code in an order."""
    return padded_layout(codebook).bits if order == "padded" else codebook.bits


def stream_of(codes: NDArray[np.uint8], n: int, codebook: Codebook, order: str) -> NDArray[np.uint32]:
    """n packed codes of a file as the words that the kernels read, in either order."""
    return words_of(repacked(codes, n, codebook) if order == "padded" else codes)


def words_in(n: int, codebook: Codebook, order: str) -> int:
    """Length of `stream_of`."""
    return -(-pack.packed_size(n, bits_of(codebook, order)) // 4) + 2


def padded_tables_of(codebook: Codebook) -> NDArray[np.uint8]:
    """Everything the kernels need to decode codes in the order of a GPU; see `tables_of`."""
    start, _, by_level, _ = codes_of(codebook)
    order, gains = padded_layout(codebook), _gains_of_shells(codebook, len(start))
    nibble = padded.NIBBLES[np.argsort(index._ORDER, axis=1)]
    byte = (nibble >> 1) + 4 * (nibble & 1)  # odd nibbles are unpacked behind the even ones
    factor = np.zeros((padded.MAX_CAP + 1, 8), dtype=np.float32)
    for m, count in enumerate(gains):
        factor[m, :count] = by_level[len(start) - count :, m]
    arrays = order._asdict() | {"factor": factor}
    arrays["order"] = (byte << 4 * np.arange(8)).sum(axis=1).astype(np.uint32)
    arrays["words"] = 4 * order.words  # as offsets in bytes
    return _blob(PADDED_ARRAYS, arrays, (order.bits, order.first_even), PADDED_ARRAYS.index("rows"))


def repacked(stream: NDArray[np.uint8], n: int, codebook: Codebook) -> NDArray[np.uint8]:
    """A packed stream of n codes (pack.py) as a packed stream in the order of a GPU."""
    start, limits, _, cap = codes_of(codebook)
    codes = pack.unpack(stream, codebook.bits, n).astype(np.int64)
    level = np.searchsorted(start, codes, side="right") - 1
    points = codes - start[level] + limits[0]
    order, gains = padded_layout(codebook), np.array(_gains_of_shells(codebook, len(start)))
    shells = np.searchsorted([index.size(m) for m in range(cap + 1)], points, side="right")
    within = level - (len(start) - gains[shells])
    return pack.pack(padded.repack(points, within, cap, order), order.bits)
