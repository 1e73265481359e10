"""leech.py: membership against a generator matrix, the kissing configuration, the theta series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llvq_mini import golay, leech, shells

KISSING = {32: 1, 16: 4600, 8: 47104, 0: 93150, -8: 47104, -16: 4600, -32: 1}
"""Number of minimal vectors for each inner product with one of them (Conway and Sloane, chapter 14)."""


@pytest.fixture(scope="module")
def minimal() -> np.ndarray:
    return leech.minimal_vectors()


def in_span(v: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Integer solve against a triangular basis: whether the coefficients of v are whole."""
    rest = v.astype(np.int64).copy()
    for column in range(24):
        rest -= (rest[:, column] // basis[column, column])[:, None] * basis[column]
    return ~rest.any(axis=1)


def test_generator_matrix_is_a_unimodular_even_lattice_without_short_vectors(leech_basis):
    """The oracle itself: determinant 8^12, Gram matrix / 8 integral and even, hence unimodular."""
    assert np.prod([int(d) for d in np.abs(np.diag(leech_basis))]) == 8**12
    gram = leech_basis @ leech_basis.T
    assert (gram % 8 == 0).all() and (np.diag(gram) % 16 == 0).all()


def test_contains_against_the_generator_matrix(leech_basis):
    rng = np.random.default_rng(0)
    v = rng.integers(-3, 4, (4000, 24)) @ leech_basis
    assert leech.contains(v).all() and in_span(v, leech_basis).all()
    # Near misses: one coordinate moved by 1, 2, 4 or 8, two by 2, one pair exchanged, eight or all moved by 1.
    misses = [v.copy() for _ in range(8)]
    rows, i, j = np.arange(len(v)), rng.integers(0, 24, len(v)), rng.integers(0, 24, len(v))
    for miss, step in zip(misses[:4], (1, 2, 4, 8), strict=True):
        miss[rows, i] += step
    misses[4][rows, i] += 2
    misses[4][rows, j] -= 2
    misses[5][rows, i], misses[5][rows, j] = v[rows, j], v[rows, i]
    misses[6] += 1
    misses[7][:, 2:17:2] += 1
    candidates = np.concatenate(misses)
    inside = in_span(candidates, leech_basis)
    assert (leech.contains(candidates) == inside).all()
    assert 0.1 < inside.mean() < 0.9


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=24, max_size=24))
def test_contains_agrees_with_duality(leech_basis, v):
    """The lattice is its own dual (up to the scale 8): v belongs iff 8 divides <v, b> for every basis b."""
    v = np.array(v)
    for candidate in (v, 2 * v, 4 * v, 8 * v):
        assert leech.contains(candidate[None])[0] == (leech_basis @ candidate % 8 == 0).all()


def test_lattice_is_closed_under_addition_and_negation(leech_basis):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-2, 3, (500, 24)) @ leech_basis for _ in range(2))
    assert leech.contains(a + b).all() and leech.contains(-a).all()
    assert leech.contains(np.zeros((1, 24), dtype=int)).all()


def test_minimal_vectors_are_196560_distinct_vectors_of_norm_32(minimal):
    assert minimal.dtype == np.int8 and minimal.shape == (196_560, 24)
    assert ((minimal.astype(int) ** 2).sum(axis=1) == 32).all()
    assert leech.contains(minimal).all()
    assert len(np.unique(minimal.view("V24"))) == 196_560
    kinds = np.sort(np.abs(minimal), axis=1)[:, ::-1]
    assert [(kinds[:, 0] == top).sum() for top in (4, 2, 3)] == [1104, 97_152, 98_304]


def test_inner_products_of_minimal_vectors(minimal, leech_basis):
    rng = np.random.default_rng(2)
    some = minimal[np.concatenate([[0, 1104, 98_256], rng.integers(0, len(minimal), 197)])]
    for row in some.astype(np.int16) @ minimal.T.astype(np.int16):
        values, counts = np.unique(row, return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == KISSING


@pytest.mark.slow
def test_all_inner_products_of_minimal_vectors(minimal):
    """The same for all 196,560^2 pairs, by symmetry.

    Changing signs on a Golay word maps the set to itself (checked on generators).  An orbit has 4096 / s
    vectors, s the number of words disjoint from the support, so one vector for each pattern |v| represents
    all of them, which the sum of the orbit sizes proves.
    """
    keys = np.sort(minimal.view("V24").ravel())
    for word in golay.WORDS[1 << np.arange(12)]:
        flipped = minimal * (1 - 2 * golay.to_bits(word).astype(np.int8))
        assert (np.sort(flipped.view("V24").ravel()) == keys).all()
    _, first = np.unique(np.abs(minimal).view("V24"), return_index=True)
    some = minimal[first]
    disjoint = (golay.WORDS & golay.from_bits((some != 0).astype(int))[:, None] == 0).sum(axis=1)
    assert len(some) == 276 + 759 + 24 and (4096 // disjoint).sum() == 196_560
    product = some.astype(np.float32) @ minimal.T.astype(np.float32)
    for value, count in KISSING.items():
        assert ((product == value).sum(axis=1) == count).all()


def test_minimal_vectors_form_a_spherical_11_design(minimal):
    """Means of <x, u>^k over the kissing vectors are those over the sphere for k <= 11, and differ at 12."""
    unit = minimal / np.sqrt(32.0)
    u = np.random.default_rng(3).standard_normal((3, 24))
    u[0] = minimal[0]
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    dots = unit @ u.T
    sphere = 1.0
    for k in range(1, 12):
        if k % 2 == 0:
            sphere *= (k - 1) / (24 + k - 2)
        assert np.allclose((dots**k).mean(axis=0), sphere if k % 2 == 0 else 0.0, rtol=1e-10, atol=1e-15)
    sphere *= 11 / 34
    assert (dots[:, 0] ** 12).mean() / sphere > 1.01


def test_shell_numbers(leech_basis, minimal):
    assert (leech.shell(minimal) == 2).all()
    assert leech.shell(np.zeros((1, 24), dtype=int))[0] == 0
    v = np.random.default_rng(4).integers(-1, 2, (50, 24)) @ leech_basis
    assert (16 * leech.shell(v) == (v * v).sum(axis=1)).all()


def test_theta_series():
    assert [leech.theta(m) for m in range(5)] == [1, 0, 196_560, 16_773_120, 398_034_000]
    assert all(leech.theta(m) == shells.size(m) for m in range(2, 20))
    assert isinstance(leech.theta(12), int)


@pytest.mark.slow
def test_shell_3_by_enumeration(shell3):
    """The vectors of norm 48, built from their shapes: in the lattice, different, as many as theta says."""
    assert len(shell3) == leech.theta(3)
    multipliers = np.random.default_rng(5).integers(0, 2**44, 24).astype(float)
    hashes = []
    for start in range(0, len(shell3), 1 << 20):
        part = shell3[start : start + (1 << 20)]
        assert leech.contains(part).all()
        assert ((part.astype(np.int16) ** 2).sum(axis=1) == 48).all()
        hashes.append(part.astype(float) @ multipliers)  # exact; different hashes prove different vectors
    assert len(np.unique(np.concatenate(hashes))) == len(shell3)


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: leech.contains(np.zeros((1, 24))), TypeError),
        (lambda: leech.contains(np.zeros(24, dtype=int)), ValueError),
        (lambda: leech.contains(np.zeros((2, 23), dtype=int)), ValueError),
        (lambda: leech.shell(np.ones((1, 24), dtype=int)), ValueError),
        (lambda: leech.theta(-1), ValueError),
    ],
)
def test_bad_input_raises(call, error):
    with pytest.raises(error, match="Argument"):
        call()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64])
def test_contains_takes_every_integer_type(dtype):
    v = np.zeros((2, 24), dtype=dtype)
    v[0, :2], v[1, 0] = 4, 4
    assert leech.contains(v).tolist() == [True, False]


def test_contains_of_large_coordinates():
    v = np.zeros((2, 24), dtype=np.int64)
    v[:, 0] = 1 << 60
    v[1, 1] = 4
    assert leech.contains(v).tolist() == [True, False]
