"""Interlocked spheres: exact search, the code as a number, the gain over the tapered code."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini import index, leech
from llvq_mini.codebook import Tapered
from llvq_mini.interlocked import CAPS_BY_BITS, Interlocked

LEVELS = [2.855, 3.272, 3.671, 4.081, 4.692, 5.493]


def test_rolls_by_eight_keep_the_lattice_and_others_do_not():
    v = leech.minimal_vectors()[::50]
    kept = [bool(leech.contains(np.roll(v, j, axis=1)).all()) for j in range(24)]
    assert kept == [j % 8 == 0 for j in range(24)]


@pytest.mark.slow
def test_search_is_exact_on_a_small_code():
    book = Interlocked((2, 2, 2), levels=[3.0, 4.0, 5.0])
    v = leech.minimal_vectors() / 32**0.5
    x = np.random.default_rng(0).standard_normal((40, 24))
    every = np.stack([g**2 - 2 * g * (np.roll(x, -j, axis=1) @ v.T).max(axis=1) for j, g in enumerate(book.levels)])
    found = ((x - book.decode(book.encode(x))) ** 2).sum(axis=1)
    assert np.allclose(found, (x**2).sum(axis=1) + every.min(axis=0), atol=1e-4)


def test_codes_are_numbers_of_spheres_and_points():
    book = Interlocked(levels=LEVELS)
    total = sum(index.size(cap) - 1 for cap in book.caps)
    assert book.bits == 48 and 0.998 * 2**48 < total <= 2**48
    codes = np.append(np.random.default_rng(1).integers(0, total, 2000), [0, total - 1]).astype(np.uint64)
    y = book.decode(codes)
    assert np.allclose(np.sort(np.unique(np.linalg.norm(y, axis=1).round(3))), np.sort(LEVELS), atol=1e-3)
    assert (book.encode(y) == codes).mean() > 0.999
    with pytest.raises(ValueError, match="Argument 'codes'"):
        book.decode(np.array([total]))


@pytest.mark.parametrize("bits", CAPS_BY_BITS)
def test_caps_fit_their_bits(bits):
    assert Interlocked(CAPS_BY_BITS[bits], levels=np.linspace(3, 6, len(CAPS_BY_BITS[bits]))).bits == bits


def test_less_error_than_tapered_at_the_same_bits():
    x = np.random.default_rng(2).standard_normal((6_000, 24))
    square = (x**2).sum(axis=1)
    errors = []
    for book in (Interlocked(levels=LEVELS), Tapered()):
        errors.append(((x - book.decode(book.encode(x))) ** 2).sum(axis=1) / 24)
    difference = errors[0] - errors[1]
    assert difference.mean() < -3 * difference.std() / len(x) ** 0.5
    slope = np.cov(errors[0], square)[0, 1] / square.var()
    assert (errors[0] - slope * (square - 24)).mean() == pytest.approx(0.0734, rel=0.01)


def test_unsuitable_arguments_raise():
    for bad in ((), (1,), (2,) * 9, (31,) * 8):
        with pytest.raises(ValueError, match="Argument 'caps'|Argument 'max_shell'"):
            Interlocked(bad)
    with pytest.raises(ValueError, match="Argument 'levels'"):
        Interlocked((2, 3), levels=[1.0])
