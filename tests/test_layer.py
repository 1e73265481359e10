"""layer.py: a linear to bytes and back, at widths that are and are not multiples of 24."""

from __future__ import annotations

import numpy as np
import pytest
from doubles import ScalarBlock, random_hessian

from llvq_mini.codebook import ShapeGain
from llvq_mini.errors import LLVQError
from llvq_mini.feedback import greedy_order
from llvq_mini.layer import QuantizedLinear, prepare, prepare_output, quantize_linear
from llvq_mini.rotate import Rotation


def heavy_weight(rows: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_t(4, (rows, width)) * rng.uniform(0.01, 0.1, (rows, 1))).astype(np.float32)


@pytest.mark.parametrize("width", [48, 64, 100, 576, 640])
def test_bytes_decode_to_what_the_report_says(width):
    weight, hessian = heavy_weight(130, width), random_hessian(width, seed=1)
    layer, report = quantize_linear(weight, prepare(hessian, seed=5), ScalarBlock(), "some.linear")
    dense = layer.dequantize()
    assert dense.shape == weight.shape and dense.dtype == np.float32
    error = (dense - weight).astype(np.float64)
    proxy = np.trace(error @ hessian @ error.T) / np.trace(weight @ hessian @ weight.T)
    assert report.proxy_error == pytest.approx(proxy, rel=1e-2)
    assert report.mse == pytest.approx(np.sum(error**2) / np.sum(weight.astype(np.float64) ** 2), rel=1e-2)
    assert report.sqnr_db == pytest.approx(-10 * np.log10(report.mse))
    assert report.to_dict()["name"] == "some.linear"


def test_padding_is_counted():
    layer, report = quantize_linear(heavy_weight(10, 64), prepare(random_hessian(64, 1), 0), ScalarBlock())
    assert layer.codes.nbytes == 10 * 3 * 6 and layer.row_scale.nbytes == 20
    assert layer.bits == 8 * 200 and report.bits_per_weight == pytest.approx(1600 / 640)


def test_leech_codebook_beats_scalar_levels():
    weight, prepared = heavy_weight(96, 192), prepare(random_hessian(192, 2), 3)
    leech = quantize_linear(weight, prepared, ShapeGain(max_shell=12, gain_bits=1))[1]
    scalar = quantize_linear(weight, prepared, ScalarBlock())[1]
    assert leech.bits == scalar.bits
    assert leech.proxy_error < 0.8 * scalar.proxy_error


def test_feedback_and_rotation_both_help():
    weight, hessian = heavy_weight(96, 192, seed=4), random_hessian(192, 2)
    weight[:, 7] *= 30
    prepared = prepare(hessian, 3)
    full = quantize_linear(weight, prepared, ScalarBlock())[1].proxy_error
    assert full < 0.8 * quantize_linear(weight, prepared, ScalarBlock(), feedback=False)[1].proxy_error


@pytest.mark.parametrize("coupled", [False, True])
def test_refitted_scales_are_where_the_loss_is_least(coupled):
    rows = 6
    weight, hessian, metric = heavy_weight(rows, 48, 9), random_hessian(48, 7), random_hessian(rows, 8)
    output = prepare_output(metric) if coupled else None
    prepared = prepare(hessian, 3)
    kept, refitted = (
        quantize_linear(weight, prepared, ScalarBlock(), output=output, refit=refit)[0]
        for refit in (False, True)
    )
    assert np.array_equal(kept.codes, refitted.codes)
    metric = output.metric if coupled else np.eye(rows)
    shape = refitted.dequantize() / refitted.row_scale.astype(np.float64)[:, None]

    def loss(scale):
        error = weight - scale[:, None] * shape
        return np.trace(metric @ error @ hessian @ error.T)

    best = refitted.row_scale.astype(np.float64)
    assert loss(best) < loss(kept.row_scale.astype(np.float64))
    for row in range(rows):
        for factor in (0.99, 1.01):
            moved = best.copy()
            moved[row] *= factor
            assert loss(best) < loss(moved)


def test_an_output_metric_lowers_the_loss_it_describes():
    weight, prepared = heavy_weight(96, 192, 4), prepare(random_hessian(192, 2), 3)
    output = prepare_output(random_hessian(96, 5))
    assert output.factors.dim == 24 and np.trace(output.metric) == pytest.approx(96)
    with_metric, report = quantize_linear(weight, prepared, ScalarBlock(), output=output)
    dense = [with_metric.dequantize(), quantize_linear(weight, prepared, ScalarBlock())[0].dequantize()]
    hessian = random_hessian(192, 2)
    losses = [np.trace(output.metric @ (d - weight) @ hessian @ (d - weight).T) for d in dense]
    assert losses[0] < 0.8 * losses[1]
    whole = np.trace(output.metric @ weight @ hessian @ weight.T)
    assert report.proxy_error == pytest.approx(losses[0] / whole, rel=1e-2)


def test_an_order_of_blocks_needs_no_bit_and_no_decoder():
    weight, hessian = heavy_weight(60, 100), random_hessian(100, 2)
    plain = quantize_linear(weight, prepare(hessian, 3), ScalarBlock())
    same = quantize_linear(weight, prepare(hessian, 3, order=lambda h, dim: np.arange(5)), ScalarBlock())
    assert same[0].codes.tobytes() == plain[0].codes.tobytes()
    turned = quantize_linear(
        weight, prepare(hessian, 3, order=lambda h, dim: np.arange(5)[::-1]), ScalarBlock()
    )
    assert turned[0].codes.tobytes() != plain[0].codes.tobytes() and turned[1].bits == plain[1].bits
    greedy, report = quantize_linear(weight, prepare(hessian, 3, order=greedy_order), ScalarBlock())
    assert report.proxy_error < plain[1].proxy_error
    error = greedy.dequantize().astype(np.float64) - weight
    proxy = np.trace(error @ hessian @ error.T) / np.trace(weight @ hessian @ weight.T)
    assert report.proxy_error == pytest.approx(proxy, rel=1e-2)


@pytest.mark.slow
def test_long_codes_are_stored_as_their_bytes():
    from llvq_mini.rates import two_stage

    weight, prepared = heavy_weight(24, 48), prepare(random_hessian(48, 1), 0)
    layer, report = quantize_linear(weight, prepared, two_stage(72))
    assert layer.codes.shape == (24 * 2 * 9,) and report.bits_per_weight == 3 + 16 / 48
    assert np.sum((layer.dequantize() - weight) ** 2) == pytest.approx(
        report.mse * np.sum(weight**2), rel=1e-2
    )
    assert report.mse < 0.04


def test_any_number_of_rows_gives_the_same_codes(monkeypatch):
    from llvq_mini import feedback as module

    weight, prepared = heavy_weight(300, 48), prepare(random_hessian(48, 1), 0)
    several = quantize_linear(weight, prepared, ScalarBlock())[0]
    monkeypatch.setattr(module, "default_threads", lambda: 1)
    one = quantize_linear(weight, prepared, ScalarBlock())[0]
    assert several.codes.tobytes() == one.codes.tobytes()
    assert several.row_scale.tobytes() == one.row_scale.tobytes()


def test_zero_and_tiny_rows_decode_to_zero():
    weight = heavy_weight(4, 48)
    weight[1] = 0
    weight[2] = 1e-12
    prepared = prepare(random_hessian(48, 1), 0)
    for output in (None, prepare_output(random_hessian(4, 2))):
        dense = quantize_linear(weight, prepared, ScalarBlock(), output=output)[0].dequantize()
        assert not dense[1].any() and not dense[2].any() and np.isfinite(dense).all()
        assert dense[0].any() and dense[3].any()


def test_dequantize_is_the_inverse_rotation_of_scaled_codewords():
    book, scale = ScalarBlock(), np.array([0.5, 2.0], dtype=np.float16)
    codes = np.arange(4, dtype=np.uint64) * np.uint64(123456789)
    from llvq_mini import pack

    layer = QuantizedLinear(pack.pack(codes, 48), scale, (2, 40), 17, book)
    expected = book.decode(codes).reshape(2, 48)[:, :40] * scale.astype(np.float32)[:, None]
    assert np.allclose(Rotation(40, 17).apply(layer.dequantize()), expected, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_names_the_tensor(bad):
    weight = heavy_weight(4, 48)
    weight[2, 5] = bad
    with pytest.raises(LLVQError, match="'model.layers.3.q_proj' holds NaN"):
        quantize_linear(weight, prepare(random_hessian(48, 1), 0), ScalarBlock(), "model.layers.3.q_proj")


def test_wrong_width_and_overflow():
    prepared = prepare(random_hessian(48, 1), 0)
    with pytest.raises(ValueError, match="must have 48 columns"):
        quantize_linear(heavy_weight(4, 47), prepared, ScalarBlock())
    with pytest.raises(LLVQError, match="beyond fp16"):
        quantize_linear(heavy_weight(4, 48) * 1e8, prepared, ScalarBlock(), "w")


def test_the_report_names_the_path_and_the_condition():
    weight, prepared = heavy_weight(24, 48), prepare(random_hessian(48, 1), 0)
    plain = quantize_linear(weight, prepared, ScalarBlock())[1]
    bare = quantize_linear(weight, prepared, ScalarBlock(), feedback=False, refit=False)[1]
    both = quantize_linear(weight, prepared, ScalarBlock(), output=prepare_output(random_hessian(24, 2)))[1]
    assert plain.path == "input rotation, block feedback, refit"
    descended = quantize_linear(weight, prepared, ScalarBlock(), passes=2)[1]
    assert descended.path == "input rotation, block feedback, 2 of coordinate descent, refit"
    assert bare.path == "input rotation, no feedback, scales not refitted"
    assert both.path == "input rotation, block feedback over columns and rows, refit"
    damped_hessian = prepared.hessian + prepared.damping * np.eye(48)
    assert plain.condition == pytest.approx(np.linalg.cond(damped_hessian), rel=0.1)
    assert plain.to_dict()["condition"] == plain.condition
