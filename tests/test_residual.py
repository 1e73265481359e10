"""Learned lists: exact search, improvement by stages, the error of each kind."""

from __future__ import annotations

import numpy as np
import pytest

from llvq_mini.baselines.residual import Additive, KMeans, PointList, Residual, nearest, residual_kmeans


def error(book, blocks: int = 20_000) -> float:
    x = np.random.default_rng(11).standard_normal((blocks, book.dim))
    return float(((x - book.decode(book.encode(x))) ** 2).mean())


def test_nearest_is_nearest():
    rng = np.random.default_rng(0)
    x, points = rng.standard_normal((50, 3)), rng.standard_normal((20, 3))
    assert (nearest(x, points) == ((x[:, None] - points) ** 2).sum(axis=2).argmin(axis=1)).all()


def test_kmeans_in_one_dimension_is_lloyd_max():
    book = KMeans(2, 1)
    assert np.allclose(np.sort(book.points[:, 0]), [-1.510, -0.4528, 0.4528, 1.510], atol=0.2)
    assert error(KMeans(6, 3)) == pytest.approx(0.107, rel=0.04)  # 2 bits a weight


def test_stages_divide_the_work():
    stage = PointList([[-0.798], [0.798]])
    two = Residual([stage, stage])
    assert two.bits == 2 and error(two) < 0.15  # a single stage leaves 0.363, four free levels 0.1175
    assert two.decode(np.arange(4)).shape == (4, 1)


def test_learned_codes_at_two_bits():
    one, residual, additive = KMeans(6, 3), residual_kmeans(2, 6, 6), Additive(2, 6, 6)
    assert additive.bits_per_weight == residual.bits_per_weight == one.bits_per_weight == 2
    assert error(additive) < 0.97 * error(residual) and error(residual) < 0.122
    assert one.table_bytes == 2 * 64 * 3 and additive.table_bytes == 2 * 2 * 64 * 6
