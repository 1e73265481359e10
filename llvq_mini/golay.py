"""The extended binary Golay code, by Turyn's construction.

A word has 24 bits: bit i of a Python or NumPy integer is coordinate i, and coordinates 8o ... 8o+7 form octad o.
Write F for the field of eight elements, numbered 0 ... 7 in the polynomial basis of x^3 + x + 1, so that addition is
XOR, and let octad positions be the elements of F.  Two versions of the [8, 4, 4] extended Hamming code,

    h(a)[i] = <k, i> + s          a = 2k + s,  k in F, s a bit      (affine functions of i: the code RM(1, 3))
    g(x)[i] = h(x)[1/i]           the same functions of the inverse, with 1/0 = 0,

meet only in the words 0 and 1 (all ones), and Turyn's 4096 words are

    ( h(a) + g(x) | h(b) + g(x) | h(a+b) + g(x) ),        a, b, x = 0 ... 15.

The number of a word is x<<8 | a<<4 | b.  Decoding a word into (x, a, b) is as short: the sum of its three octads is
g(x), which gives x, and then a and b.  The same structure makes maximum-likelihood decoding cheap, because for a
fixed x the three octads are correlated with affine functions only, which is an eight-point Hadamard transform.

This module does not know the Leech lattice.  Source: R. Turyn in Assmus, Mattson and Turyn, "Research to develop the
algebraic theory of codes" (1967); MacWilliams and Sloane, "The Theory of Error-Correcting Codes", chapter 18, section
7.4.  Tests: tests/test_golay.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

INVERSE = np.array([0, 1, 5, 6, 7, 2, 3, 4])
"""Inverse in the field of eight elements modulo x^3 + x + 1, with 1/0 = 0: int64[8]."""


def _affine_functions() -> NDArray[np.uint32]:
    """The 16 words of RM(1, 3): row a = 2k + s has bit i equal to <k, i> + s."""
    i = np.arange(8)
    k, s = np.arange(16)[:, None] >> 1, np.arange(16)[:, None] & 1
    bits = (np.bitwise_count(k & i) + s) & 1
    return (bits << i).sum(axis=1).astype(np.uint32)


def _permute(word8: NDArray[np.uint32], source: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Octad words whose bit i is bit source[i] of the given ones."""
    bits = (word8[:, None] >> source.astype(np.uint32)) & 1
    return (bits << np.arange(8, dtype=np.uint32)).sum(axis=1).astype(np.uint32)


def _turyn() -> NDArray[np.uint32]:
    """The 4096 words in the order of their numbers x<<8 | a<<4 | b."""
    number = np.arange(4096)
    x, a, b = number >> 8, number >> 4 & 15, number & 15
    octads = (
        HAMMING[a] ^ HAMMING_INVERTED[x],
        HAMMING[b] ^ HAMMING_INVERTED[x],
        HAMMING[a ^ b] ^ HAMMING_INVERTED[x],
    )
    return (octads[0] | octads[1] << 8 | octads[2] << 16).astype(np.uint32)


HAMMING = _affine_functions()
"""h(a), a = 0 ... 15: uint32[16], eight bits each."""
HAMMING_INVERTED = _permute(HAMMING, INVERSE)
"""g(x), x = 0 ... 15: uint32[16], eight bits each."""
WORDS = _turyn()
"""All 4096 code words, uint32[4096], coordinate i <-> bit i; WORDS[n] is the word with number n."""


def _lookup(words8: NDArray[np.uint32]) -> NDArray[np.int16]:
    """Octad byte -> its position in `words8`, or -1: int16[256]."""
    table = np.full(256, -1, dtype=np.int16)
    table[words8] = np.arange(16)
    return table


HAMMING_NUMBER = _lookup(HAMMING)
"""a with h(a) = byte, or -1: int16[256]."""
HAMMING_INVERTED_NUMBER = _lookup(HAMMING_INVERTED)
"""x with g(x) = byte, or -1: int16[256]."""


def _as_words(words: ArrayLike) -> NDArray[np.uint32]:
    w = np.asarray(words)
    if w.dtype.kind not in "iu":
        raise TypeError(f"Argument 'words' must hold integers of 24 bits, got dtype {w.dtype}.")
    if w.size and (int(w.min()) < 0 or int(w.max()) >= 1 << 24):
        raise ValueError(
            f"Argument 'words' must hold integers in [0, 2**24), got {int(w.min())} ... {int(w.max())}."
        )
    return w.astype(np.uint32)


def weight(words: ArrayLike) -> NDArray[np.uint8]:
    """Hamming weights of 24-bit words of any shape, uint8 of the same shape."""
    return np.bitwise_count(_as_words(words)).astype(np.uint8)


def number(words: ArrayLike) -> NDArray[np.int64]:
    """The number x<<8 | a<<4 | b of every code word, -1 for words outside the code; int64 of the same shape."""
    w = _as_words(words)
    first, second, third = w & 255, w >> 8 & 255, w >> 16
    x = HAMMING_INVERTED_NUMBER[first ^ second ^ third].astype(np.int64)
    common = HAMMING_INVERTED[x]
    a, b = HAMMING_NUMBER[first ^ common].astype(np.int64), HAMMING_NUMBER[second ^ common].astype(np.int64)
    # The third octad needs no check: it is the sum of the other two and g(x), hence h(a) + h(b) + g(x).
    return np.where((x >= 0) & (a >= 0) & (b >= 0), x << 8 | a << 4 | b, -1)


def contains(words: ArrayLike) -> NDArray[np.bool_]:
    """Whether 24-bit words are Golay code words; bool of the same shape."""
    return number(words) >= 0


def of_weight(w: int) -> NDArray[np.uint32]:
    """The code words of weight w in ascending order: 759 octads for 8, 2576 dodecads for 12.

    ValueError for a weight that no word has.
    """
    if w not in (0, 8, 12, 16, 24):
        raise ValueError(f"Argument 'w' must be one of 0, 8, 12, 16, 24 (no other weight occurs), got {w}.")
    return np.sort(WORDS[weight(WORDS) == w])


def to_bits(words: ArrayLike) -> NDArray[np.uint8]:
    """24-bit words of shape (...) as bits of shape (..., 24), coordinate i <-> bit i."""
    return (_as_words(words)[..., None] >> np.arange(24, dtype=np.uint32) & 1).astype(np.uint8)


def from_bits(bits: ArrayLike) -> NDArray[np.uint32]:
    """Bits of shape (..., 24) as 24-bit words of shape (...).

    ValueError for another last axis, or entries that are no bits.
    """
    b = np.asarray(bits)
    if b.ndim == 0 or b.shape[-1] != 24:
        raise ValueError(f"Argument 'bits' must have 24 entries in its last axis, got shape {b.shape}.")
    if not np.isin(b, (0, 1)).all():
        raise ValueError("Argument 'bits' must hold zeros and ones only.")
    return (b.astype(np.uint32) << np.arange(24, dtype=np.uint32)).sum(axis=-1, dtype=np.uint32)


def _hadamard8(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walsh-Hadamard transform over the last axis of length 8: out[k] = sum_i (-1)^<k,i> v[i]."""
    for step in (1, 2, 4):
        pairs = v.reshape(*v.shape[:-1], 4 // step, 2, step)
        low, high = pairs[..., 0, :], pairs[..., 1, :]
        v = np.stack([low + high, low - high], axis=-2).reshape(v.shape)
    return v


def decode_soft(llr: ArrayLike) -> NDArray[np.uint32]:
    """Maximum-likelihood decoding of real confidences, exact.

    Args:
        llr: (n, 24) or (24,) float, positive where bit 0 is likelier, negative where bit 1 is.

    Returns:
        uint32 of shape (n,) or (): the words that maximize sum_i (-1)^bit_i llr_i; ties go to the smallest number.

    Raises:
        ValueError: the last axis is not 24, or a value is not finite.
    """
    r = np.asarray(llr, dtype=np.float64)
    if r.ndim not in (1, 2) or r.shape[-1] != 24:
        raise ValueError(f"Argument 'llr' must have shape (24,) or (n, 24), got {r.shape}.")
    if not np.isfinite(r).all():
        raise ValueError("Argument 'llr' must be finite; it holds NaN or infinity.")
    r = np.ldexp(r, -np.frexp(np.abs(r).max(axis=-1, keepdims=True))[1])  # a power of two: exact, and sums stay finite
    signs = 1.0 - 2.0 * to_bits(HAMMING_INVERTED)[:, :8]  # (16, 8): flips by g(x)
    a = np.arange(16)
    blocks = r.reshape(-1, 3, 8)
    best = np.empty(len(blocks), dtype=np.uint32)
    for start in range(0, len(blocks), 512):  # 512 * 4096 correlations: 16 MB at a time
        octads = blocks[start : start + 512, None] * signs[:, None, :]
        w = _hadamard8(octads)  # (n, 16, 3, 8): correlation with every linear function
        w = np.stack([w, -w], axis=-1).reshape(
            *w.shape[:-1], 16
        )  # index a = 2k + s: constant s flips the sign
        total = w[:, :, 0, :, None] + w[:, :, 1, None, :] + w[:, :, 2][:, :, a[:, None] ^ a]
        best[start : start + 512] = WORDS[total.reshape(len(total), -1).argmax(axis=1)]
    return best.reshape(r.shape[:-1])


def decode_hard(words: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Nearest code words of received 24-bit words, and how many bits were changed.

    Three or fewer errors are corrected with certainty (the minimum distance is 8).  At four, six code words are
    equally near; the one with the smallest number is returned and the second result says 4.
    """
    received = _as_words(words)
    nearest = decode_soft(1.0 - 2.0 * to_bits(received).reshape(-1, 24)).reshape(received.shape)
    return nearest, weight(nearest ^ received)
