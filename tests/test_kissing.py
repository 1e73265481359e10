"""The search among the minimal vectors against the list of them, and their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from adversarial import blocks
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llvq_mini import _kissing, index, kissing, leech, search

MINIMAL = leech.minimal_vectors()
ORDER = np.lexsort(
    -MINIMAL[:, ::-1].T
)  # by the tie rule: larger at the first coordinate that differs comes first
SORTED = np.ascontiguousarray(MINIMAL[ORDER].T.astype(np.float32))


def listed(x: np.ndarray, chunk: int = 256) -> np.ndarray:
    """By the list: float32 products find the candidates, the library's float64 formula and tie rule decide."""
    x = np.ldexp(x, -np.frexp(np.abs(x).max(axis=1, keepdims=True))[1])
    out = np.empty(x.shape, dtype=np.int8)
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk]
        dots = part.astype(np.float32) @ SORTED
        rows, columns = np.nonzero(dots >= dots.max(axis=1, keepdims=True) - np.float32(1e-3))
        exact = np.zeros(len(rows))
        for i in range(24):
            exact += part[rows, i] * SORTED[i, columns]
        exact /= np.sqrt(32.0)
        order = np.lexsort((columns, -exact, rows))  # within a row: best score first, then the tie rule
        first = order[np.unique(rows[order], return_index=True)[1]]
        out[start : start + chunk] = SORTED[:, columns[first]].T
    return out


def near_ties(rng: np.random.Generator, n: int) -> np.ndarray:
    """Points between two or three neighboring minimal vectors, exactly or up to a tiny push."""
    count = rng.integers(2, 4, (n, 1))
    picks = MINIMAL[rng.integers(0, len(MINIMAL), (n, 3))].astype(float) * (np.arange(3) < count)[:, :, None]
    return picks.sum(axis=1) + rng.choice([0.0, 1e-15, 1e-9, 1e-5], (n, 1)) * rng.standard_normal((n, 24))


@pytest.mark.slow
def test_agrees_with_the_general_search_on_a_hundred_thousand_blocks():
    """The certified search stands in for the list, which takes minutes: benchmarks/spherical_geometry.py does that."""
    rng = np.random.default_rng(0)
    degenerate = np.concatenate([np.eye(24), -np.eye(24), np.ones((1, 24)), -np.ones((1, 24))])
    hard = np.concatenate([*blocks(rng, 500).values(), near_ties(rng, 10_000), degenerate])
    for x in (hard, rng.standard_normal((90_000, 24)), rng.standard_normal((2000, 24)).astype(np.float32)):
        assert (kissing.nearest(x) == search.nearest_direction(x, 2)).all()


def test_agrees_with_the_list_on_hard_blocks():
    rng = np.random.default_rng(1)
    x = np.concatenate([*blocks(rng, 8).values(), near_ties(rng, 60), rng.standard_normal((300, 24))])
    x = x[x.any(axis=1)]
    assert (kissing.nearest(x) == listed(x)).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, (3, 24), elements=st.integers(-3, 3).map(float)))
def test_agrees_with_the_general_search_on_small_integers(x):
    assert (kissing.nearest(x) == search.nearest_direction(x, 2)).all()


def test_every_minimal_vector_is_its_own_nearest_and_has_its_number():
    assert (kissing.nearest(MINIMAL.astype(np.float32)) == MINIMAL).all()
    codes = kissing.encode(MINIMAL)
    assert (np.sort(codes) == np.arange(kissing.COUNT)).all()
    assert (kissing.decode(codes) == MINIMAL).all()
    assert (codes == index.encode(MINIMAL, 2).astype(np.int64) - 1).all()


def test_rows_do_not_depend_on_their_neighbors_or_threads():
    x = np.random.default_rng(2).standard_normal((5000, 24))
    v = kissing.nearest(x, threads=1)
    assert (kissing.nearest(x, threads=2) == v).all()
    for n in (1, _kissing.LANES - 1, _kissing.LANES + 1):
        assert (kissing.nearest(x[:n]) == v[:n]).all()
    assert kissing.nearest(x[:0]).shape == (0, 24)


def test_zero_block_and_scale():
    assert kissing.nearest(np.zeros((1, 24)))[0].tolist() == [4, 4] + [0] * 22
    x = np.random.default_rng(3).standard_normal((50, 24))
    for exponent in (-1000, 900):
        assert (kissing.nearest(np.ldexp(x, exponent)) == kissing.nearest(x)).all()


def test_tables_are_small():
    assert sum(table.nbytes for table in _kissing.TABLES) < 100_000


def test_refuses_what_is_no_block_or_code():
    for bad in (np.full((1, 24), np.nan), np.full((1, 24), np.inf), np.zeros((1, 23)), np.zeros(24)):
        with pytest.raises(ValueError, match="Argument 'x'"):
            kissing.nearest(bad)
    for codes in (np.array([kissing.COUNT]), np.array([-1]), np.array([0.0])):
        with pytest.raises(ValueError, match="Argument 'codes'"):
            kissing.decode(codes)
    for v in (np.zeros((1, 24), dtype=np.int8), np.full((1, 24), 1, dtype=np.int8)):
        with pytest.raises(ValueError, match="Argument 'v'"):
            kissing.encode(v)


def test_covering_radius():
    """The two facts behind arccos(sqrt(3/8)): a tight frame of 276 lines across a vector of shell 3, and concavity."""
    p = np.array([5.0] + [1.0] * 23)
    p[0] = -5.0 if not leech.contains(np.array([[5] + [1] * 23]))[0] else 5.0
    assert leech.contains(p[None].astype(np.int64))[0] and p @ p == 48
    dots = MINIMAL @ p
    assert dots.max() == 24  # cos = 24 / sqrt(32 * 48) = sqrt(3/8)
    across = MINIMAL[dots == 24] - p / 2
    assert len(across) == 552 and np.allclose(across @ p, 0) and np.allclose((across**2).sum(axis=1), 20)
    frame = across.T @ across
    assert np.allclose(frame, (552 * 20 / 23) * (np.eye(24) - np.outer(p, p) / 48))
    angle = np.radians(30)
    assert 1.5**0.5 * np.cos(angle) + (5 / 46) ** 0.5 * np.sin(angle) >= 1.5**0.5
    x = np.random.default_rng(4).standard_normal((20_000, 24))
    cosine = (x * kissing.nearest(x)).sum(axis=1) / np.linalg.norm(x, axis=1) / 32**0.5
    assert (cosine >= (3 / 8) ** 0.5).all()
