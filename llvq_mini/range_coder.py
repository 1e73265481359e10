"""A range coder: symbols of known probability to bytes, within a few bits of their information.

The coder keeps an interval [low, low + range) of numbers and narrows it for every symbol to the symbol's share:

    r = range // total;   low += r start;   range = r freq        for a symbol that owns start ... start + freq - 1
                                                                   of `total` equal parts,  total <= 2^16
Whenever the range is below 2^24 its leading byte is settled and leaves, unless a carry might still run through it:
bytes 255 wait, counted in `pending`.  Rounding range / total down costs about 0.001 bits a symbol.  Totals may
differ from symbol to symbol, so a number that is uniform on 0 ... n - 1 costs log2 n bits: that is how an index within
a shell is coded.  Model and coder are apart: a caller's own kernel says which symbols come, and calls put, or get and
take.

Source: G. N. N. Martin, "Range encoding", Video and Data Recording Conference (1979); the carry is handled as in
I. Pavlov's LZMA description (public domain).  Tests: tests/test_range_coder.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from llvq_mini._parallel import KERNEL

LOW, RANGE, CACHE, PENDING, AT = range(5)
"""Fields of a state, int64[5]; while decoding LOW is the distance of the number from the interval's lower end."""
TOTAL_BITS = 16


def quantized(probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Integer frequencies that sum to 2^16, every one at least 1, near `probability` (k,), k < 2^15."""
    p = np.asarray(probability, dtype=np.float64)
    if p.ndim != 1 or not 0 < len(p) < 2**15 or not np.isfinite(p).all() or (p < 0).any() or p.sum() <= 0:
        raise ValueError("Argument 'probability' must hold at most 2**15 - 1 numbers >= 0, not all zero.")
    spare = 2**TOTAL_BITS - len(p)
    exact = p / p.sum() * spare
    frequency = np.floor(exact).astype(np.int64)
    largest = np.argsort(frequency - exact, kind="stable")[: spare - frequency.sum()]
    frequency[largest] += 1
    return frequency + 1


@njit(**KERNEL)
def encoder_state():
    """The state before the first symbol."""
    return np.array([0, 0xFFFFFFFF, 0, 0, -1], dtype=np.int64)  # AT = -1: the first byte out is always 0, dropped


@njit(**KERNEL)
def _leave(state, out):
    """Move the leading byte of LOW out, or let it wait."""
    low = state[LOW]
    if low < 0xFF000000 or low >= 1 << 32:
        carry = low >> 32
        if state[AT] >= 0:
            out[state[AT]] = (state[CACHE] + carry) & 255
        state[AT] += 1
        while state[PENDING] > 0:
            out[state[AT]] = (255 + carry) & 255
            state[AT] += 1
            state[PENDING] -= 1
        state[CACHE] = (low >> 24) & 255
    else:
        state[PENDING] += 1
    state[LOW] = (low & 0x00FFFFFF) << 8


@njit(**KERNEL)
def put(state, out, start, freq, total):
    """Code one symbol; out: uint8 buffer with room for it."""
    share = state[RANGE] // total
    state[LOW] += share * start
    state[RANGE] = share * freq
    while state[RANGE] < 1 << 24:
        state[RANGE] <<= 8
        _leave(state, out)


@njit(**KERNEL)
def finish(state, out):
    """Settle the remaining bytes; returns the length of the message."""
    for _ in range(5):
        _leave(state, out)
    return state[AT]


@njit(**KERNEL)
def decoder_state(data):
    """The state before the first symbol is read from data, uint8."""
    state = np.array([0, 0xFFFFFFFF, 0, 0, 0], dtype=np.int64)
    for _ in range(4):
        _enter(state, data)
    return state


@njit(**KERNEL)
def _enter(state, data):
    byte = np.int64(data[state[AT]]) if state[AT] < len(data) else np.int64(0)
    state[LOW] = (state[LOW] << 8 | byte) & 0xFFFFFFFF
    state[AT] += 1


@njit(**KERNEL)
def get(state, total):
    """Where among `total` parts the next symbol lies; the caller finds its symbol and calls take."""
    return min(state[LOW] // (state[RANGE] // total), total - 1)


@njit(**KERNEL)
def take(state, data, start, freq, total):
    """Step over the symbol that `get` announced."""
    share = state[RANGE] // total
    state[LOW] -= share * start
    state[RANGE] = share * freq
    while state[RANGE] < 1 << 24:
        state[RANGE] <<= 8
        _enter(state, data)


@njit(**KERNEL)
def _encode(symbols, starts, out):
    state, total = encoder_state(), starts[-1]
    for symbol in symbols:
        put(state, out, starts[symbol], starts[symbol + 1] - starts[symbol], total)
    return finish(state, out)


@njit(**KERNEL)
def _decode(data, starts, out):
    state, total = decoder_state(data), starts[-1]
    for n in range(len(out)):
        symbol = np.searchsorted(starts, get(state, total), side="right") - 1
        take(state, data, starts[symbol], starts[symbol + 1] - starts[symbol], total)
        out[n] = symbol


def encode(symbols: NDArray[np.integer], frequency: NDArray[np.int64]) -> bytes:
    """Symbols 0 ... k - 1, independent with probability frequency / 2^16 (from `quantized`), to bytes."""
    s = np.asarray(symbols).reshape(-1).astype(np.int64)
    if s.size and (s.min() < 0 or s.max() >= len(frequency)):
        raise ValueError(f"Argument 'symbols' must be in 0 ... {len(frequency) - 1}, got {s.min()} ... {s.max()}.")
    out = np.empty(2 * len(s) + 16, dtype=np.uint8)
    return out[: _encode(s, np.concatenate([[0], np.cumsum(frequency)]), out)].tobytes()


def decode(data: bytes, frequency: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` symbols back from bytes."""
    out = np.empty(count, dtype=np.int64)
    _decode(np.frombuffer(data, dtype=np.uint8), np.concatenate([[0], np.cumsum(frequency)]), out)
    return out
