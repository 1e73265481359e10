"""Nested-lattice codes: the basis, cosets as a bijection, shortest members, errors."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini import leech, search, voronoi
from llvq_mini.voronoi import Cosets, Voronoi


def test_basis_spans_the_lattice(leech_basis):
    rows = voronoi.basis()
    assert leech.contains(rows).all() and (np.tril(rows, -1) == 0).all()
    assert np.prod(np.diag(rows).astype(object)) == 8**12  # covolume of the sqrt(8) frame
    assert (voronoi.coordinates(leech_basis) @ rows == leech_basis).all()


@pytest.mark.parametrize("r", [2, 3, 4, 6, 8, 16, 40])
def test_numbers_and_shortest_members(r):
    cosets = Cosets(r)
    v = search.nearest_point(np.random.default_rng(r).standard_normal((200, 24)) * 9 * r)
    words = cosets.words(v)
    w = cosets.points(words)
    assert leech.contains(w).all() and (voronoi.coordinates(v - w) % r == 0).all()
    assert all((a == b).all() for a, b in zip(cosets.words(w), words, strict=True))
    # In the Voronoi region of r L: no vector r u of the lattice is nearer to w + a than the origin.
    minimal = r * leech.minimal_vectors()[::97].astype(np.float64)
    at = w + voronoi.shift()
    assert (2 * at @ minimal.T <= (minimal**2).sum(axis=1) + 1e-6).all()
    assert all(int(word.max()) < 2**bits for word, bits in zip(words, cosets.widths, strict=True))


def test_all_cosets_of_twice_the_lattice_are_found_once():
    # 1 + 196560 / 2 + 16773120 / 2 + 398034000 / 48 = 2^24: every number is one coset, here a sample of them.
    numbers = np.random.default_rng(0).integers(0, 2**24, 3000, dtype=np.uint64)
    cosets = Cosets(2)
    assert (cosets.words(cosets.points([numbers]))[0] == numbers).all()
    with pytest.raises(ValueError, match="Argument 'codes'"):
        cosets.points([np.array([2**24], dtype=np.uint64)])


@pytest.mark.parametrize("r, bits, error", [(2, 24, 0.319), (4, 48, 0.083), (8, 72, 0.0228)])
def test_codes(r, bits, error):
    book = Voronoi(r, scale={2: 0.6, 4: 0.37, 8: 0.2}[r])
    x = np.random.default_rng(1).standard_normal((600, 24))
    x[:3] = [np.zeros(24), np.full(24, 1e30), np.linspace(-1e3, 1e3, 24)]
    codes = book.encode(x)
    y = book.decode(codes).astype(np.float64)
    assert book.bits == bits and (codes.dtype == np.uint8) == (bits > 64)
    assert ((x - y)[3:] ** 2).mean() == pytest.approx(error, rel=0.08)
    assert (book.encode(y) == codes).mean() > 0.99
    assert np.abs(y).max() < 4 * 1.01 * r * book.scale  # covering radius of r L


def test_unsuitable_arguments_raise():
    for bad in (1, 41, 2.5):
        with pytest.raises(ValueError, match="Argument 'r'"):
            Voronoi(bad)
    with pytest.raises(ValueError, match="Argument 'scale'"):
        Voronoi(4, scale=-1.0)
