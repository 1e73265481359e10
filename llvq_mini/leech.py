"""The Leech lattice in integer coordinates.

The Leech lattice is the densest packing of spheres in 24 dimensions.  Scaled by sqrt(8) its vectors are integers, and
one line describes them all:

    v = 4 k + 2 c + e,      k in Z^24,  c a Golay word,  e = 0 or 1 (the same for all coordinates),  sum k = e (mod 2).

e = 0 gives the even vectors, e = 1 the odd ones.  Equivalently: all coordinates have one parity e, the coordinates
congruent to e + 2 modulo 4 form a Golay word, and the sum of all coordinates is 4e modulo 8.  Shell m is the set of
vectors with |v|^2 = 16 m; shells 0 (the origin), 2, 3, 4, ... are occupied and shell 1 is empty.

This module knows membership, the minimal vectors and the theta series.  It does not search or enumerate (search.py,
shells.py, index.py).  Source: J. H. Conway and N. J. A. Sloane, "Sphere Packings, Lattices and Groups", chapter 4,
section 11, and chapter 10.  Tests: tests/test_leech.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini import golay


def check_points(v: ArrayLike, argument: str = "v") -> NDArray:
    """v as an array, which must be (n, 24) integers; TypeError or ValueError for anything else."""
    a = np.asarray(v)
    if a.dtype.kind not in "iu":
        raise TypeError(
            f"Argument '{argument}' must hold integers (the sqrt(8)-scaled frame), got dtype {a.dtype}."
        )
    if a.ndim != 2 or a.shape[1] != 24:
        raise ValueError(f"Argument '{argument}' must have shape (n, 24), got {a.shape}.")
    if a.dtype.kind == "u":
        if a.size and int(a.max()) >= 1 << 63:
            raise ValueError(f"Argument '{argument}' must fit signed 64-bit integers, got {int(a.max())}.")
        return a.astype(np.int64)
    return a


def contains(v: ArrayLike) -> NDArray[np.bool_]:
    """Whether integer vectors belong to the Leech lattice.

    Parameters: v, (n, 24) integers in the sqrt(8)-scaled frame.  Returns: bool[n].
    Raises TypeError for non-integers and ValueError for another shape.
    """
    a = check_points(v).astype(np.int64)
    e = a[:, :1] & 1
    one_parity = ((a & 1) == e).all(axis=1)
    word = golay.from_bits((a - e) >> 1 & 1)
    return one_parity & golay.contains(word) & ((a.sum(axis=1) - 4 * e[:, 0]) % 8 == 0)


def shell(v: ArrayLike) -> NDArray[np.int64]:
    """Shell numbers |v|^2 / 16 of lattice vectors (n, 24), int64[n]; ValueError for vectors outside the lattice."""
    a = check_points(v).astype(np.int64)
    outside = np.flatnonzero(~contains(a))
    if outside.size:
        raise ValueError(
            f"Argument 'v' must hold Leech lattice vectors; row {outside[0]} is not one: {a[outside[0]].tolist()}."
        )
    return (a * a).sum(axis=1) >> 4


def minimal_vectors() -> NDArray[np.int8]:
    """The 196,560 vectors of shell 2, int8[196560, 24]: the kissing configuration in 24 dimensions.

    In order: 1,104 of the shape (±4, ±4, 0^22); 97,152 of the shape (±2^8, 0^16) on the 759 octads with an even
    number of minus signs; 98,304 of the shape (∓3, ±1^23), where the signs come from a Golay word.
    """
    i, j = np.triu_indices(24, 1)
    pairs = np.zeros((len(i), 4, 24), dtype=np.int8)
    rows = np.arange(len(i))
    for n, (s, t) in enumerate([(4, 4), (4, -4), (-4, 4), (-4, -4)]):
        pairs[rows, n, i], pairs[rows, n, j] = s, t

    minus = np.arange(256)
    minus = minus[np.bitwise_count(minus) % 2 == 0]
    signs = (1 - 2 * (minus[:, None] >> np.arange(8) & 1)).astype(np.int8)  # (128, 8)
    octads = golay.of_weight(8)
    octad_vectors = np.zeros((759, 128, 24), dtype=np.int8)
    support = np.nonzero(golay.to_bits(octads))[1].reshape(759, 1, 8)
    np.put_along_axis(octad_vectors, np.broadcast_to(support, (759, 128, 8)), 2 * signs[None], axis=2)

    # Odd: +1 off the word and -1 on it, then one coordinate moved by -4 or +4 to become -3 or +3.
    ones = 1 - 2 * golay.to_bits(golay.WORDS).astype(np.int8)
    odd = ones[:, None, :] * (1 - 4 * np.eye(24, dtype=np.int8))
    return np.concatenate([pairs.reshape(-1, 24), octad_vectors.reshape(-1, 24), odd.reshape(-1, 24)])


def _ramanujan_tau(limit: int) -> list[int]:
    """tau(0 ... limit), the coefficients of q prod (1 - q^n)^24."""
    series = [1] + [0] * limit
    for n in range(1, limit + 1):
        for _ in range(24):
            for power in range(limit, n - 1, -1):
                series[power] -= series[power - n]
    return [0, *series[:limit]]


def theta(m: int) -> int:
    """Number of lattice vectors on shell m, by the closed form of the theta series.

    65520/691 (sigma_11(m) - tau(m)) for m >= 1, with sigma_11 the sum of the 11th powers of the divisors and tau
    Ramanujan's function; 1 for m = 0.  An exact Python integer.  Source: Conway and Sloane, chapter 4, equation (134).
    ValueError for m < 0.
    """
    if m < 0:
        raise ValueError(f"Argument 'm' must be >= 0, got {m}.")
    if m == 0:
        return 1
    sigma = sum(d**11 for d in range(1, m + 1) if m % d == 0)
    return 65520 * (sigma - _ramanujan_tau(m)[m]) // 691
