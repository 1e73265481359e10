"""spherical_gptq.py against least squares and exhaustive search on tiny layers, norms by hand, bits by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from doubles import random_hessian

from llvq_mini import index, search
from llvq_mini.codebook import ShapeGain
from llvq_mini.errors import LLVQError
from llvq_mini.layer import prepare, quantize_linear
from llvq_mini.rotate import Rotation
from llvq_mini.spherical_gptq import (
    NormKept,
    chosen_levels,
    kept_norms,
    refitted_scales,
    scale_system,
    shared_norms,
)


def layer(rows=12, width=96, seed=0):
    weight = np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
    return weight * np.linspace(0.01, 0.1, rows, dtype=np.float32)[:, None], random_hessian(width, seed + 1)


def loss(weight, dense, hessian):
    error = dense.astype(np.float64) - weight
    return np.einsum("ri,ij,rj->r", error, hessian, error)


def test_a_code_is_the_direction_and_the_norm():
    book, x = NormKept(13), np.random.default_rng(1).standard_normal((300, 24)) * np.geomspace(0.1, 100, 24)
    codes = book.encode(x)
    decoded, norms = book.decode(codes), np.linalg.norm(x, axis=1)
    assert book.bits == 64 and book.bits_per_weight == 64 / 24 and codes.dtype == np.uint64
    assert np.allclose(np.linalg.norm(decoded, axis=1), norms, rtol=2**-11)  # half a unit of float16
    v = search.nearest_direction(x, 13).astype(np.float64)
    cosine = (decoded * v).sum(axis=1) / np.linalg.norm(decoded, axis=1) / np.linalg.norm(v, axis=1)
    assert np.allclose(cosine, 1, atol=1e-6)
    assert np.array_equal(book.encode(decoded), codes)
    flipped = book.with_norms(codes, -2 * book.norms(codes))
    assert np.allclose(book.decode(flipped), -2 * decoded, rtol=1e-6)


def test_damaged_codes_are_refused():
    book = NormKept(13)
    good = book.encode(np.ones((2, 24)))
    for bad in (
        np.uint64(0),  # the origin is no direction
        np.uint64(index.size(13)),
        book.with_norms(good, np.ones(2))[0] | np.uint64(0x7C00 << 48),  # infinity
        np.uint64(0x7E00 << 48) | np.uint64(5),  # not a number
    ):
        with pytest.raises(ValueError, match="entry 1"):
            book.decode(np.array([good[0], bad]))
    assert np.isfinite(book.decode(book.encode(np.full((1, 24), 1e30)))).all()
    assert not book.decode(book.encode(np.zeros((1, 24)))).any()
    with pytest.raises(ValueError, match="max_shell"):
        NormKept(14)


def test_refit_is_least_squares():
    """Rows one by one: scales minimize |L^T (w - s u)|^2 with H = L L^T, by numpy's solver."""
    weight, hessian = layer()
    points = weight + np.random.default_rng(2).standard_normal(weight.shape) * 0.02
    system, match = scale_system(weight, points, hessian)
    scales = refitted_scales(system, match, ridge=0.0)
    root = np.linalg.cholesky(hessian)
    for row in range(len(weight)):
        columns = np.stack([np.where(np.arange(96) // 24 == b, points[row], 0) for b in range(4)], axis=1)
        expected = np.linalg.lstsq(root.T @ columns, root.T @ weight[row], rcond=None)[0]
        assert np.allclose(scales[row], expected, atol=1e-6)
        assert np.allclose(system[row], columns.T @ hessian @ columns)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0, 100.0])
def test_a_refit_never_makes_an_error_larger(ridge):
    weight, hessian = layer(seed=3)
    points = weight + np.random.default_rng(2).standard_normal(weight.shape) * 0.02
    scales = refitted_scales(*scale_system(weight, points, hessian), ridge=ridge)
    after = loss(weight, points * np.repeat(scales, 24, axis=1), hessian)
    assert (after < loss(weight, points, hessian)).all()
    if ridge == 100.0:
        assert np.abs(scales - 1).max() < 0.02


def test_blocks_that_nothing_depends_on_keep_their_scale():
    weight, hessian = layer(4, 48)
    hessian[24:] = hessian[:, 24:] = 0
    points = weight * 1.1
    scales = refitted_scales(*scale_system(weight, points, hessian))
    assert np.allclose(scales[:, 0], 1 / 1.1, rtol=1e-3) and np.allclose(scales[:, 1], 1)
    none = refitted_scales(*scale_system(weight, np.zeros_like(weight), hessian))
    assert np.array_equal(none, np.ones((4, 2)))


def test_the_sweep_keeps_norms_and_the_refit_lowers_the_error():
    weight, hessian = layer(40, 96)
    prepared = prepare(hessian, 7)
    kept, refitted = (kept_norms(weight, prepared, refit=refit) for refit in (False, True))
    assert kept.bits == refitted.bits == 40 * (4 * 64 + 16)
    assert kept.codebook.spec() == {"kind": "norm-kept", "max_shell": 13}
    shape = np.uint64((1 << 48) - 1)
    assert np.array_equal(kept.block_codes() & shape, refitted.block_codes() & shape)
    # the first block has no errors to make up for: its target is the rotated weight itself
    rotation = Rotation(96, 7)
    before, after = (rotation.apply(w)[:, :24] for w in (weight, kept.dequantize()))
    assert np.allclose(np.linalg.norm(after, axis=1), np.linalg.norm(before, axis=1), rtol=2**-10)
    assert (
        loss(weight, refitted.dequantize(), hessian).sum()
        < 0.95 * loss(weight, kept.dequantize(), hessian).sum()
    )


def test_levels_by_descent_against_every_choice():
    """Four blocks, two levels: 16 choices a row, each with its own best scale."""
    weight, hessian = layer(60)
    units = weight.reshape(60, 4, 24) / np.linalg.norm(weight.reshape(60, 4, 24), axis=2, keepdims=True)
    points = np.roll(units, 1, axis=0).reshape(60, 96) * 0.3 + units.reshape(60, 96)
    system, match = scale_system(weight, points, hessian)
    levels, start = np.array([4.2, 5.3]), np.full(60, 0.05)
    chosen, scale = chosen_levels(system, match, levels, start)

    def value(g, a):
        return a**2 * np.einsum("...p,...pq,...q->...", g, system, g) - 2 * a * (match * g).sum(-1)

    every = []
    for choice in itertools.product(levels, repeat=4):
        g = np.broadcast_to(choice, (60, 4))
        best = (match * g).sum(1) / np.einsum("ip,ipq,iq->i", g, system, g)
        every.append(value(g, best))
    best, found = np.min(every, axis=0), value(chosen, scale)
    assert (found >= best - 1e-9).all() and np.isin(chosen, levels).all()
    assert np.isclose(found, best, rtol=1e-6).mean() > 0.5
    one_gain = -(match.sum(axis=1) ** 2) / system.sum(axis=(1, 2))  # at its best scale
    assert (found - best).sum() < 0.3 * (one_gain - best).sum()


def test_no_single_change_of_level_helps():
    weight, hessian = layer(30, 240)
    system, match = scale_system(weight, np.random.default_rng(0).standard_normal((30, 240)), hessian)
    levels = np.array([0.5, 1.0, 1.5, 2.0])
    chosen, scale = chosen_levels(system, match, levels, np.full(30, 0.01))

    def value(g):
        return scale**2 * np.einsum("ip,ipq,iq->i", g, system, g) - 2 * scale * (match * g).sum(1)

    for p, level in itertools.product(range(10), levels):
        other = chosen.copy()
        other[:, p] = level
        assert (value(other) >= value(chosen) - 1e-12).all()


def test_shared_norms_are_in_the_format_of_the_shape_gain_code():
    weight, hessian = layer(40, 100)
    book, prepared = ShapeGain(5, 2), prepare(hessian, 7)
    own = shared_norms(weight, prepared, book)
    plain, _ = quantize_linear(weight, prepared, book)
    assert own.bits == plain.bits == 40 * (5 * book.bits + 16)
    values = book.decode(own.block_codes())
    gains = np.linalg.norm(values, axis=1)
    assert np.isclose(gains[:, None], book.levels, rtol=1e-5).any(axis=1).all()
    kept = kept_norms(weight, prepared, 5)
    first = kept.codebook.decode(kept.block_codes())
    cosines = (values * first).sum(axis=1) / gains / np.linalg.norm(first, axis=1)
    assert np.allclose(np.abs(cosines), 1, atol=1e-5)  # the directions are those of the sweep
    assert loss(weight, own.dequantize(), hessian).sum() < 0.2 * loss(weight, 0 * weight, hessian).sum()


def test_zero_rows_and_bad_weights():
    weight, hessian = layer(4, 48)
    weight[1] = 0
    prepared = prepare(hessian, 0)
    for dense in (kept_norms(weight, prepared, 4), shared_norms(weight, prepared, ShapeGain(4, 1))):
        assert not dense.dequantize()[1].any() and np.isfinite(dense.dequantize()).all()
    with pytest.raises(ValueError, match="48 columns"):
        kept_norms(weight[:, :24], prepared)
    weight[0, 0] = np.nan
    with pytest.raises(LLVQError, match="'q' holds NaN"):
        kept_norms(weight, prepared, name="q")
    with pytest.raises(ValueError, match="multiple of 24"):
        scale_system(weight[:, :30], weight[:, :30], np.eye(30))
