"""feedback.py against GPTQ written with explicit inverses, and against exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from doubles import ScalarBlock, TwoNumbers, random_hessian

from llvq_mini.errors import LLVQError
from llvq_mini.feedback import (
    factorize,
    greedy_order,
    in_order,
    pad_columns,
    pad_hessian,
    padded_width,
    proxy_error,
    quantize_blocks,
    row_block,
)
from llvq_mini.hessian import damped


def gptq(weight: np.ndarray, hessian: np.ndarray, book) -> np.ndarray:
    """GPTQ with blocks as published:
    H^-1 of the remaining columns, recomputed from scratch at every step, in float64.
    """
    work = weight.astype(np.float64)
    result = np.zeros_like(work)
    for start in range(0, work.shape[1], book.dim):
        remaining = np.arange(start, work.shape[1])
        inverse = np.linalg.inv(hessian[np.ix_(remaining, remaining)])
        block = slice(start, start + book.dim)
        result[:, block] = book.decode(book.encode(work[:, block].astype(np.float32)))
        error = work[:, block] - result[:, block]
        size = book.dim
        work[:, start + size :] -= error @ np.linalg.inv(inverse[:size, :size]) @ inverse[:size, size:]
    return result


@pytest.mark.parametrize("book", [ScalarBlock(), TwoNumbers()])
def test_equals_gptq_with_explicit_inverses(book):
    width = 5 * book.dim
    hessian = random_hessian(width, seed=1) + 0.01 * np.eye(width)
    weight = np.random.default_rng(2).standard_normal((40, width)).astype(np.float32)
    _, quantized = quantize_blocks(weight, factorize(hessian, book.dim), book, np.ones(40, dtype=np.float32))
    expected = gptq(weight, hessian, book)
    same = np.isclose(quantized, expected, atol=1e-5).all(axis=1)
    assert (
        same.mean() >= 0.95
    )  # a rounding tie may fall the other way in float32, which changes the rest of its row


def test_factors_rebuild_the_hessian_block_by_block():
    hessian = random_hessian(96, seed=3)
    factors = factorize(hessian)
    unit = factors.upper.astype(np.float64) + np.eye(96)
    inner = np.linalg.inv(unit) @ hessian @ np.linalg.inv(unit).T
    for start in range(0, 96, 24):
        inner[start : start + 24, start : start + 24] = 0
    assert np.abs(inner).max() < 1e-4 * np.abs(hessian).max()
    assert not factors.upper[48:72, 24:72].any()


def noise_of(hessian, order, dim):
    columns = in_order(np.array(order), dim)
    return factorize(hessian[np.ix_(columns, columns)], dim).noise


def test_the_greedy_order_is_among_the_best_of_all():
    for seed in range(4):
        hessian = random_hessian(10, seed) + 0.01 * np.eye(10)
        noises = sorted(noise_of(hessian, order, 2) for order in itertools.permutations(range(5)))
        order = greedy_order(hessian, 2)
        assert sorted(order) == list(range(5)) and order.dtype == np.int64
        assert noise_of(hessian, order, 2) <= noises[len(noises) // 8] < noises[-1]
        # from the end, by hand: the last block's trace is the least, the one before it has the least given the last
        traces = [np.trace(hessian[2 * b : 2 * b + 2, 2 * b : 2 * b + 2]) for b in range(5)]
        last = slice(2 * order[-1], 2 * order[-1] + 2)
        assert traces[order[-1]] == min(traces)
        given = hessian - hessian[:, last] @ np.linalg.inv(hessian[last, last]) @ hessian[last]
        traces = [np.trace(given[2 * b : 2 * b + 2, 2 * b : 2 * b + 2]) for b in range(5)]
        traces[order[-1]] = np.inf
        assert order[-2] == np.argmin(traces)


def test_independent_blocks_come_by_falling_trace():
    assert greedy_order(np.diag([1.0, 1, 4, 4, 2, 2]), 2).tolist() == [1, 2, 0]
    assert in_order(np.array([1, 0]), 3).tolist() == [3, 4, 5, 0, 1, 2]


def test_first_block_error_is_optimally_compensated():
    """After rounding block 0, the targets of the rest minimize the quadratic form exactly (the OBS
    condition).
    """
    hessian = random_hessian(72, seed=4)
    error = np.random.default_rng(0).standard_normal((1, 24))
    unit = factorize(hessian).upper.astype(np.float64) + np.eye(72)
    # choosing W^_b = target_b for b > 0 makes E_b = 0, so D N = (error, 0, 0)
    difference = np.concatenate([error, np.zeros((1, 48))], axis=1) @ np.linalg.inv(unit)
    gradient = difference @ hessian
    assert np.allclose(difference[:, :24], error)
    assert np.abs(gradient[:, 24:]).max() < 1e-4 * np.abs(gradient).max()


def test_identity_hessian_is_plain_rounding():
    book = ScalarBlock()
    weight = np.random.default_rng(5).standard_normal((30, 96)).astype(np.float32)
    scale = np.linspace(0.5, 2, 30).astype(np.float32)
    codes, quantized = quantize_blocks(weight, factorize(3 * np.eye(96)), book, scale)
    plain_codes, plain = quantize_blocks(weight, None, book, scale)
    assert np.array_equal(codes, plain_codes) and np.array_equal(quantized, plain)
    expected = book.encode((weight[:, 24:48] / scale[:, None]).astype(np.float32))
    assert np.array_equal(plain_codes[:, 1], expected)
    assert np.allclose(plain[:, 24:48], book.decode(expected) * scale[:, None])


def test_feedback_lowers_the_proxy():
    book = ScalarBlock()
    hessian = random_hessian(240, seed=6) + 0.01 * np.eye(240)
    weight = np.random.default_rng(7).standard_normal((64, 240)).astype(np.float32)
    ones = np.ones(64, dtype=np.float32)
    with_feedback = quantize_blocks(weight, factorize(hessian), book, ones)[1]
    without = quantize_blocks(weight, None, book, ones)[1]
    gain = proxy_error(weight - with_feedback, weight, hessian) / proxy_error(
        weight - without, weight, hessian
    )
    assert gain < 0.7


def test_close_to_the_best_of_all_codewords():
    """Three blocks of two one-bit numbers: 64 codewords in all;
    feedback beats rounding and is closes much of the gap.
    """
    book, ones = TwoNumbers(), np.ones(200, dtype=np.float32)
    hessian = random_hessian(6, seed=8) + 0.01 * np.eye(6)
    weight = np.random.default_rng(9).standard_normal((200, 6)).astype(np.float32)
    every = np.array(list(itertools.product(book.levels, repeat=6)))
    errors = weight[:, None] - every
    best = np.einsum("rci,ij,rcj->rc", errors, hessian, errors).min(axis=1).sum()
    loss = {}
    for name, factors in [("feedback", factorize(hessian, 2)), ("rounding", None)]:
        error = weight - quantize_blocks(weight, factors, book, ones)[1]
        loss[name] = np.einsum("ri,ij,rj->", error, hessian, error)
    assert best <= loss["feedback"] * (1 + 1e-6) < loss["rounding"]
    assert loss["feedback"] - best < 0.6 * (loss["rounding"] - best)


def test_padding_moves_no_weight():
    book = ScalarBlock()
    hessian = random_hessian(64, seed=10) + 0.01 * np.eye(64)
    weight = np.random.default_rng(11).standard_normal((8, 64)).astype(np.float32)
    padded = pad_columns(weight)
    factors = factorize(pad_hessian(hessian))
    assert padded.shape == (8, 72) == (8, padded_width(64)) and not padded[:, 64:].any()
    assert not factors.upper[64:].any()  # errors in the padding move no weight
    codes, quantized = quantize_blocks(padded, factors, book, np.ones(8, dtype=np.float32))
    assert codes.shape == (8, 3) and np.isfinite(quantized).all()
    first = factorize(
        hessian[:48, :48] - hessian[:48, 48:] @ np.linalg.inv(hessian[48:, 48:]) @ hessian[48:, :48]
    )
    assert np.allclose(factors.upper[:48, :48], first.upper, atol=1e-5)  # the last block is eliminated first


def naive_two_sided(weight, hessian, metric, book, height):
    """Every block's target from the definition, rows above first: W + D N + M^T D N of all earlier blocks."""
    right = factorize(hessian, book.dim).upper.astype(float) + np.eye(len(hessian))
    left = factorize(metric, height).upper.astype(float) + np.eye(len(metric))
    error, result = np.zeros(weight.shape), np.zeros(weight.shape)
    for r in range(0, len(metric), height):
        for b in range(0, len(hessian), book.dim):
            cell = slice(r, r + height), slice(b, b + book.dim)
            target = weight[cell] + (left.T @ error @ right)[cell]
            result[cell] = book.decode(book.encode(target.astype(np.float32)))
            error[cell] = weight[cell] - result[cell]
    return result


@pytest.mark.parametrize("height", [1, 4, 12])
def test_feedback_on_both_sides_follows_its_definition(height):
    book, rows = ScalarBlock(), 12
    hessian, metric = (random_hessian(n, seed) + 0.01 * np.eye(n) for n, seed in ((96, 12), (rows, 13)))
    weight = np.random.default_rng(14).standard_normal((rows, 96)).astype(np.float32)
    ones = np.ones(rows, dtype=np.float32)
    output = factorize(metric, height)
    codes, quantized = quantize_blocks(weight, factorize(hessian), book, ones, output)
    expected = naive_two_sided(weight, hessian, metric, book, height)
    assert np.isclose(quantized, expected, atol=1e-5).mean() > 0.97  # a rounding tie changes what follows
    assert np.allclose(book.decode(codes[:, 2]), quantized[:, 48:72])


def test_an_output_metric_of_one_changes_nothing():
    book, ones = ScalarBlock(), np.ones(30, dtype=np.float32)
    weight = np.random.default_rng(5).standard_normal((30, 96)).astype(np.float32)
    factors = factorize(random_hessian(96, seed=15) + 0.01 * np.eye(96))
    alone = quantize_blocks(weight, factors, book, ones)[0]
    assert np.array_equal(alone, quantize_blocks(weight, factors, book, ones, factorize(np.eye(30), 6))[0])


def test_an_output_metric_lowers_its_own_loss():
    book, ones = ScalarBlock(), np.ones(48, dtype=np.float32)
    hessian, metric = (random_hessian(n, n) + 0.01 * np.eye(n) for n in (96, 48))
    weight = np.random.default_rng(16).standard_normal((48, 96)).astype(np.float32)
    factors, loss = factorize(hessian), []
    for output in (factorize(metric, 4), None):
        error = weight - quantize_blocks(weight, factors, book, ones, output)[1]
        loss.append(proxy_error(error, weight, hessian, metric))
    assert loss[0] < 0.85 * loss[1]


def test_row_blocks_divide_the_rows():
    assert [row_block(rows) for rows in (576, 192, 64, 43, 151)] == [24, 24, 16, 1, 1]
    assert row_block(576, unit=16) == 16 and row_block(7, largest=3) == 1
    with pytest.raises(ValueError, match="multiple of 16"):
        row_block(24, unit=16)


def test_proxy_error():
    weight = np.array([[1.0, 2.0]])
    assert proxy_error(weight, weight, np.eye(2)) == 1.0
    assert proxy_error(weight * 0.1, weight, np.diag([1.0, 5.0])) == pytest.approx(0.01)
    assert proxy_error(weight, weight * 0, np.eye(2)) == 0.0
    rows, metric = np.array([[1.0, 0.0], [1.0, 2.0]]), np.array([[2.0, 1.0], [1.0, 3.0]])
    hessian = np.array([[1.0, 0.5], [0.5, 4.0]])
    expected = [np.trace(metric @ m @ hessian @ m.T) for m in (np.eye(2), rows)]
    assert proxy_error(np.eye(2), rows, hessian, metric) == pytest.approx(expected[0] / expected[1])


def test_bad_inputs():
    with pytest.raises(LLVQError, match="not positive definite"):
        factorize(-np.eye(24))
    with pytest.raises(ValueError, match="multiple of 24"):
        factorize(np.eye(25))
    with pytest.raises(ValueError, match="for 2 rows"):
        weight = np.zeros((2, 24), dtype=np.float32)
        quantize_blocks(weight, None, ScalarBlock(), np.ones(2, dtype=np.float32), factorize(np.eye(3), 1))
    with pytest.raises(ValueError, match="multiple of 24"):
        quantize_blocks(
            np.zeros((2, 23), dtype=np.float32), None, ScalarBlock(), np.ones(2, dtype=np.float32)
        )


@pytest.mark.parametrize("width, samples", [(48, 30), (96, 2000), (240, 60)])
def test_condition_number_is_that_of_the_eigenvalues_from_below(width, samples):
    hessian, _ = damped(random_hessian(width, 3, samples))
    values = np.linalg.eigvalsh(hessian)
    found = factorize(hessian).condition
    assert 0.9 < found / (values[-1] / values[0]) <= 1 + 1e-9
    assert factorize(np.eye(width)).condition == pytest.approx(1)
