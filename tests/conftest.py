"""Shared fixtures: mathematics built a second way, independent of the modules under test."""

from __future__ import annotations

import os
from itertools import combinations

# Tests that run the slow reference use threads of their own; a BLAS that adds more to each only makes them wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import galois
import numpy as np
import pytest
from numpy.typing import NDArray

# Carries coordinate i of the quadratic-residue code below to coordinate TURYN_FROM_QR[i] of golay.WORDS.
# Found by a backtracking search over the two Steiner systems; that the words then agree is itself a test.
TURYN_FROM_QR = [0, 1, 2, 3, 4, 8, 9, 18, 10, 22, 16, 17, 21, 11, 13, 7, 12, 5, 19, 14, 6, 23, 15, 20]


@pytest.fixture(scope="session")
def golay_generator() -> NDArray[np.int64]:
    """12 generators of the Golay code, (12, 24) bits, from the cyclic [23, 12, 7] code and not from Turyn.

    galois factors x^23 - 1 over GF(2); a factor of degree 11 generates the cyclic code of length 23, a parity
    bit extends it to 24, and TURYN_FROM_QR renames the coordinates.
    """
    factors, _ = galois.factors(galois.Poly.Degrees([23, 0], field=galois.GF2))
    polynomial = next(f for f in factors if f.degree == 11)
    rows = np.zeros((12, 24), dtype=np.int64)
    for shift in range(12):
        rows[shift, shift : shift + 12] = np.array(polynomial.coefficients(order="asc"))
    rows[:, 23] = rows.sum(axis=1) % 2
    renamed = np.zeros_like(rows)
    renamed[:, TURYN_FROM_QR] = rows
    return renamed


def triangular_basis(rows: list[list[int]]) -> NDArray[np.object_]:
    """Upper triangular basis of the lattice spanned by integer rows (Euclid's algorithm down each column)."""
    rows, basis = [list(row) for row in rows], []
    for column in range(len(rows[0])):
        while True:
            active = sorted((row for row in rows if row[column]), key=lambda row: abs(row[column]))
            if len(active) <= 1:
                break
            pivot = active[0]
            for row in active[1:]:
                factor = row[column] // pivot[column]
                row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        basis.append(list(active[0]))
        rows = [row for row in rows if row is not active[0]]
    return np.array(basis, dtype=object)


@pytest.fixture(scope="session")
def leech_basis(golay_generator: NDArray[np.int64]) -> NDArray[np.int64]:
    """A triangular generator matrix of the Leech lattice, rows are basis vectors in the sqrt(8) frame.

    Conway and Sloane's definition: spanned by 2c for code words c, 4 e_i +- 4 e_j, and (-3, 1, ..., 1).
    """
    spanning = (2 * golay_generator).tolist()
    for i in range(23):
        for sign in (1, -1):
            row = [0] * 24
            row[i], row[i + 1] = 4, 4 * sign
            spanning.append(row)
    spanning.append([-3] + [1] * 23)
    return triangular_basis(spanning).astype(np.int64)


@pytest.fixture(scope="session")
def shell3() -> NDArray[np.int8]:
    """All 16,773,120 vectors of norm 48, int8 (16773120, 24), straight from the four shapes of shell 3."""
    from llvq_mini import golay

    def with_signs(words, size, flips):  # +-2 on each word with the given sign patterns
        support = np.nonzero(golay.to_bits(words))[1].reshape(len(words), 1, size)
        out = np.zeros((len(words), len(flips), 24), dtype=np.int8)
        values = (2 - 4 * (flips[:, None] >> np.arange(size) & 1)).astype(np.int8)
        np.put_along_axis(out, np.broadcast_to(support, (len(words), *values.shape)), values[None], axis=2)
        return out

    parts = []
    # (2^12): the minus signs are even in number, because 12 * 2 = 24 = 0 (mod 8).
    every = np.arange(4096)
    even = every[np.bitwise_count(every) % 2 == 0]
    parts.append(with_signs(golay.of_weight(12), 12, even).reshape(-1, 24))
    # (2^8, 4): 8 * 2 + 4 = 20, so an odd number of minus signs on the octad, and a 4 of either sign off it.
    every = np.arange(256)
    odd = every[np.bitwise_count(every) % 2 == 1]
    octads = golay.of_weight(8)
    base = with_signs(octads, 8, odd)
    off = np.nonzero(1 - golay.to_bits(octads))[1].reshape(759, 16)
    for position in range(16):
        for value in (4, -4):
            moved = base.copy()
            moved[np.arange(759), :, off[:, position]] = value
            parts.append(moved.reshape(-1, 24))
    # Odd: a vector (+-1) with signs from a word has sum 0 (mod 8); one step of 4, or three, makes it 4.
    signs = 1 - 2 * golay.to_bits(golay.WORDS).astype(np.int8)
    fives = signs[:, None, :] * (1 + 4 * np.eye(24, dtype=np.int8))  # +1 -> +5
    triples = np.array(list(combinations(range(24), 3)))
    leaders = np.ones((len(triples), 24), dtype=np.int8)
    np.put_along_axis(leaders, triples, np.int8(-3), axis=1)  # +1 -> -3
    parts += [fives.reshape(-1, 24), (signs[:, None, :] * leaders).reshape(-1, 24)]
    return np.concatenate(parts)
