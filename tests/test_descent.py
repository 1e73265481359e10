"""descent.py: no row loses, no single block can be improved, nothing changes that is already best."""

from __future__ import annotations

import numpy as np
import pytest
from doubles import ScalarBlock, TwoNumbers, random_hessian

from llvq_mini.descent import descend
from llvq_mini.feedback import factorize, quantize_blocks
from llvq_mini.layer import prepare, prepare_output, quantize_linear


def loss(weight, quantized, hessian):
    error = (weight - quantized).astype(np.float64)
    return np.einsum("ri,ij,rj->r", error, hessian, error)


def swept(book, width, rows=60, seed=0):
    hessian = random_hessian(width, seed + 1) + 0.01 * np.eye(width)
    rng = np.random.default_rng(seed)
    scale = np.linspace(0.5, 2, rows).astype(np.float32)
    weight = (rng.standard_normal((rows, width)) * scale[:, None]).astype(np.float32)
    return weight, hessian, scale, *quantize_blocks(weight, factorize(hessian, book.dim), book, scale)


def test_no_row_ever_loses_and_most_gain():
    book = ScalarBlock()
    weight, hessian, scale, codes, quantized = swept(book, 240)
    given = codes.copy(), quantized.copy()
    losses = [loss(weight, quantized, hessian)]
    for passes in (1, 2, 6):
        better, values = descend(weight, codes, quantized, hessian, book, scale, passes)
        losses.append(loss(weight, values, hessian))
        assert (losses[-1] <= losses[-2] * (1 + 1e-5)).all()
        decoded = book.decode(better.reshape(-1)).reshape(weight.shape) * scale[:, None]
        assert np.array_equal(values, decoded)
    assert losses[1].sum() < 0.95 * losses[0].sum() and (losses[1] < losses[0]).mean() > 0.5
    assert np.array_equal(given[0], codes) and np.array_equal(given[1], quantized)


def test_ends_where_no_code_word_of_any_block_is_better():
    """With H_bb = 1 nearest is best: 4 blocks, 4 code words each, all tried."""
    book, width = TwoNumbers(), 8
    hessian = random_hessian(width, 3)
    root = np.zeros((width, width))
    for start in range(0, width, 2):
        part = slice(start, start + 2)
        root[part, part] = np.linalg.inv(np.linalg.cholesky(hessian[part, part]))
    hessian = root @ hessian @ root.T
    assert np.allclose(hessian[:2, :2], np.eye(2))
    weight = np.random.default_rng(4).standard_normal((100, width)).astype(np.float32)
    ones = np.ones(100, dtype=np.float32)
    start = quantize_blocks(weight, None, book, ones)
    codes, values = descend(weight, *start, hessian, book, ones, 50)
    least = loss(weight, values, hessian)
    assert least.sum() < 0.8 * loss(weight, start[1], hessian).sum()
    for block in range(4):
        for word in range(4):
            other = values.copy()
            other[:, 2 * block : 2 * block + 2] = book.decode(np.array([word], dtype=np.uint64))
            assert (loss(weight, other, hessian) >= least * (1 - 1e-4)).all()
    again = descend(weight, codes, values, hessian, book, ones, 1)
    assert np.array_equal(again[0], codes)


def test_rounding_is_already_best_without_correlations():
    book, ones = ScalarBlock(), np.ones(30, dtype=np.float32)
    weight = np.random.default_rng(5).standard_normal((30, 72)).astype(np.float32)
    codes, quantized = quantize_blocks(weight, None, book, ones)
    found = descend(weight, codes, quantized, 3 * np.eye(72), book, ones, 2)
    assert np.array_equal(found[0], codes) and np.array_equal(found[1], quantized)


def test_a_layer_with_descent_has_the_same_bits_and_less_error():
    weight = np.random.default_rng(6).standard_normal((40, 100)).astype(np.float32)
    prepared = prepare(random_hessian(100, 2), 3)
    plain, before = quantize_linear(weight, prepared, ScalarBlock())
    found, after = quantize_linear(weight, prepared, ScalarBlock(), passes=2)
    assert found.bits == plain.bits and after.proxy_error < 0.97 * before.proxy_error
    error = found.dequantize().astype(np.float64) - weight
    h = random_hessian(100, 2)
    assert after.proxy_error == pytest.approx(
        np.trace(error @ h @ error.T) / np.trace(weight @ h @ weight.T), rel=1e-2
    )


def test_bad_arguments():
    book, ones = ScalarBlock(), np.ones(4, dtype=np.float32)
    weight = np.ones((4, 48), dtype=np.float32)
    codes, quantized = quantize_blocks(weight, None, book, ones)
    with pytest.raises(ValueError, match="hessian"):
        descend(weight, codes, quantized, np.eye(24), book, ones)
    with pytest.raises(ValueError, match="output metric"):
        quantize_linear(weight, prepare(np.eye(48), 0), book, output=prepare_output(np.eye(4)), passes=1)
