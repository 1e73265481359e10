"""Pyramid codes: counts, the index as a bijection, the greedy search against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from llvq_mini.baselines import pyramid
from llvq_mini.baselines.pyramid import Pyramid


def test_counts():
    every = np.array(list(product(range(-4, 5), repeat=3)))
    sizes = np.bincount(np.abs(every).sum(axis=1))[:5]
    assert pyramid.counts(3, 4)[3].tolist() == sizes.tolist() == [1, 6, 18, 38, 66]
    assert int(pyramid.counts(24, 16)[24, 16]).bit_length() == 46


def test_index_is_a_bijection():
    table = pyramid.counts(4, 5)
    points, again = np.empty((int(table[4, 5]), 4), dtype=np.int8), np.empty(int(table[4, 5]), dtype=np.uint64)
    pyramid._unrank(np.arange(len(points), dtype=np.uint64), table, points)
    assert (np.abs(points).sum(axis=1) == 5).all() and len(np.unique(points, axis=0)) == len(points)
    pyramid._rank(points, table, again)
    assert (again == np.arange(len(points))).all()


def test_search_finds_nearly_the_best_direction():
    table = pyramid.counts(4, 5)
    points, found = np.empty((int(table[4, 5]), 4), dtype=np.int8), np.empty((300, 4), dtype=np.int8)
    pyramid._unrank(np.arange(len(points), dtype=np.uint64), table, points)
    x = np.random.default_rng(0).standard_normal((300, 4))
    pyramid._search(x, 5, found)
    cosines = x @ (points / np.linalg.norm(points, axis=1)[:, None]).T
    reached = np.einsum("ni,ni->n", x, found) / np.linalg.norm(found, axis=1)
    assert (reached > 0.98 * cosines.max(axis=1)).all() and np.isclose(reached, cosines.max(axis=1)).mean() > 0.9


def test_round_trip_and_error_at_two_bits():
    book = Pyramid()
    x = np.random.default_rng(1).standard_normal((4000, 24))
    codes = book.encode(x)
    assert book.bits == 48 and (book.encode(book.decode(codes)) == codes).mean() > 0.99
    assert 0.090 < ((x - book.decode(codes)) ** 2).mean() < 0.1
    assert np.isfinite(book.decode(book.encode(np.zeros((1, 24))))).all()
    with pytest.raises(ValueError, match="must name one of"):
        book.decode(np.array([2**46 - 1], dtype=np.uint64))
