"""Grouped grids and tiles: GPTQ against explicit inverses, rates by hand, round trips, hostile arguments."""

from __future__ import annotations

import numpy as np
import pytest
from doubles import random_hessian

from llvq_mini.baselines import from_spec
from llvq_mini.baselines.gptq import GROUP, grid, quantize_groups
from llvq_mini.baselines.tiled import Tiled
from llvq_mini.baselines.trellis import Trellis
from llvq_mini.feedback import factorize, quantize_blocks


def weights(rows=12, columns=160, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def hessian_of(columns, seed=1):
    return random_hessian(columns, seed) + 0.01 * np.eye(columns)


def published(weight, hessian, bits, order):
    """GPTQ column by column with the inverse of the remaining Hessian, recomputed at every step."""
    work = weight[:, order].astype(np.float64)
    h = hessian[np.ix_(order, order)]
    result = np.zeros_like(work)
    for j in range(work.shape[1]):
        if j % GROUP == 0:
            step, zero = grid(work[:, j : j + GROUP], bits)
            step = step.astype(np.float64)
        q = np.clip(np.rint(work[:, j] / step) + zero, 0, 2**bits - 1)
        result[:, j] = (q - zero) * step
        inverse = np.linalg.inv(h[j:, j:])
        work[:, j + 1 :] -= np.outer((work[:, j] - result[:, j]) / inverse[0, 0], inverse[0, 1:])
    out = np.empty_like(result)
    out[:, order] = result
    return out


@pytest.mark.parametrize("bits", [2, 3])
def test_equals_gptq_with_explicit_inverses(bits):
    weight, hessian = weights(), hessian_of(160)
    order = np.argsort(-np.diag(hessian), kind="stable")
    found = quantize_groups(weight, bits, hessian)
    assert np.allclose(found.dequantize(), published(weight, hessian, bits, order), atol=1e-6)
    plain = quantize_groups(weight, bits, hessian, act_order=False)
    assert np.allclose(plain.dequantize(), published(weight, hessian, bits, np.arange(160)), atol=1e-6)


def test_rounding_is_nearest_on_the_grid():
    weight = weights()
    found = quantize_groups(weight, 2)
    which = np.arange(160) // GROUP
    levels = (np.arange(4)[:, None, None] - found.zeros[:, which].astype(float)) * found.steps[
        :, which
    ].astype(float)
    best = np.abs(levels - weight).min(axis=0)
    assert np.allclose(np.abs(found.dequantize() - weight), best, atol=1e-6)
    assert not found.permuted and np.array_equal(found.order, np.arange(160))


def test_feedback_beats_rounding_in_its_metric():
    weight, hessian = weights(40), hessian_of(160)
    loss = {}
    for name, h in (("gptq", hessian), ("rtn", None)):
        error = weight - quantize_groups(weight, 2, h).dequantize()
        loss[name] = np.einsum("ri,ij,rj->", error, hessian, error)
    assert loss["gptq"] < 0.6 * loss["rtn"]


def test_rates():
    assert quantize_groups(weights(8, 128), 2).bits_per_weight == 2 + 18 / 64
    assert quantize_groups(weights(8, 128), 4).bits_per_weight == 4 + 20 / 64
    ordered = quantize_groups(weights(8, 128), 3, hessian_of(128))
    assert ordered.bits_per_weight == 3 + 19 / 64 + 16 / 8
    assert quantize_groups(weights(8, 100), 2).steps.shape == (8, 2)  # the last group is smaller


def test_a_shrunken_grid_is_never_worse_than_the_full_range():
    weight = weights(50, GROUP)
    step, zero = grid(weight, 2)
    full = (np.maximum(weight.max(1), 0) - np.minimum(weight.min(1), 0)) / 3
    assert (step <= full.astype(np.float16)).all() and (step < 0.95 * full).mean() > 0.5
    assert step.dtype == np.float16 and zero.max() <= 3


def test_zero_and_constant_groups():
    assert not quantize_groups(np.zeros((3, 64), dtype=np.float32), 2).dequantize().any()
    constant = quantize_groups(np.full((3, 64), -0.75, dtype=np.float32), 2).dequantize()
    assert np.allclose(constant, -0.75, rtol=1e-3)


def test_bad_arguments():
    with pytest.raises(ValueError, match="weight_bits"):
        quantize_groups(weights(), 0)
    with pytest.raises(ValueError, match="finite"):
        quantize_groups(np.full((2, 64), np.nan, dtype=np.float32), 2)
    with pytest.raises(ValueError, match="hessian"):
        quantize_groups(weights(), 2, np.eye(3))
    with pytest.raises(ValueError, match="group"):
        quantize_groups(weights(), 2, group=0)
    with pytest.raises(np.linalg.LinAlgError):
        quantize_groups(weights(), 2, -np.eye(160))


def test_tiles_are_the_trellis_row_after_row():
    book = Tiled(Trellis(2, 8, "lut"))
    x = weights(48, 16)
    codes = book.encode(x)
    assert codes.shape == (48,) and int(codes.max()) < 1 << 32 == 1 << book.bits
    inner = book.trellis
    assert np.array_equal(book.decode(codes), inner.decode(inner.encode(x.reshape(3, 256))).reshape(48, 16))
    assert np.array_equal(book.decode(codes[16:32]), book.decode(codes)[16:32])
    assert np.array_equal(from_spec(book.spec()).decode(codes), book.decode(codes))
    with pytest.raises(ValueError, match="multiple"):
        book.encode(x[:10])
    with pytest.raises(ValueError, match="multiple"):
        book.decode(codes[:10])


def test_tiles_under_feedback():
    book, hessian, weight = Tiled(Trellis(2, 6, "lut")), hessian_of(96), weights(208, 96)
    ones = np.ones(208, dtype=np.float32)
    loss = []
    for factors in (factorize(hessian, 16), None):
        codes, quantized = quantize_blocks(weight, factors, book, ones)
        assert np.array_equal(book.decode(np.ascontiguousarray(codes[:, 1])), quantized[:, 16:32])
        error = weight - quantized
        loss.append(np.einsum("ri,ij,rj->", error, hessian, error))
    assert loss[0] < 0.8 * loss[1]
