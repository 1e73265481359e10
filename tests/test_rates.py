"""rates.py: every rate has a code, files describe all of them, and nothing else is made from a description."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from doubles import random_hessian, some_text, tiny_llama

import llvq_mini
from llvq_mini import rates, resume
from llvq_mini.baselines.residual import Residual
from llvq_mini.codebook import SingleShell
from llvq_mini.interlocked import Interlocked
from llvq_mini.layer import prepare, quantize_linear
from llvq_mini.linear import LeechLinear
from llvq_mini.packed import Decoder
from llvq_mini.pipeline import Settings, quantize

DEFAULTS = {
    1.0: "shell",
    1.5: "interlocked",
    2.0: "tapered",
    2.5: "interlocked",
    3.0: "two-stage",
    3.5: "two-stage",
    4.0: "two-stage",
}
SPHERES = {"kind": "interlocked", "caps": [4, 5], "levels": [3.0, 4.0]}
STAGES = {"kind": "residual", "stages": [SPHERES, SPHERES], "scales": [1.0, 0.3], "name": "x"}


def test_every_rate_has_a_default_and_every_name_its_rates():
    assert rates.rates() == list(DEFAULTS)
    assert {bits: rates.default(bits) for bits in DEFAULTS} == DEFAULTS
    assert Settings(bits=1.5).codebook == "interlocked" and Settings().codebook == "tapered"
    with pytest.raises(ValueError, match="'bits' must be 1, 1.5, 2, 2.5, 3, 3.5 or 4, got 2.25"):
        Settings(bits=2.25)
    with pytest.raises(ValueError, match="must be 1.5, 2 or 2.5 for .*'interlocked', got 3; .*3: two-stage"):
        rates.make("interlocked", 3)
    with pytest.raises(ValueError, match="must be 2 for the codebook 'ball', got 7; rates: 1, 1.5"):
        rates.make("ball", 7)
    with pytest.raises(ValueError, match="must be one of .*'two-stage'"):
        rates.make("e8", 2)


@pytest.mark.parametrize(
    "name, bits", [(name, b) for name in ("shell", "interlocked", "two-stage") for b in rates.CODEBOOKS[name]]
)
def test_codes_keep_their_rate_in_a_matrix_and_through_a_description(name, bits):
    """20 rows of 64 columns are 60 blocks: rows that begin within a byte, padding, and all ways to decode them."""
    book = rates.make(name, bits)
    assert book.bits_per_weight == bits and book.dim == 24
    again = rates.from_spec(json.loads(json.dumps(book.spec())))
    assert again.spec() == book.spec()
    weight = np.random.default_rng(3).standard_normal((20, 64)).astype(np.float32)
    linear, report = quantize_linear(weight, prepare(random_hessian(64, 1), 7), again, feedback=False)
    assert linear.codes.shape == (60 * 24 * bits / 8,)
    assert report.mse < 1.5 * 4**-bits
    dense = linear.dequantize()
    decoder = Decoder(again)
    decoder.check(linear.codes, 60)
    tile = decoder.tile(linear.codes, 64, 3, 8)
    assert (tile == book.decode(linear.block_codes()).reshape(20, 72)[3:8]).all()
    x = torch.randn(3, 64)
    assert torch.allclose(LeechLinear.from_quantized(linear)(x), x @ torch.from_numpy(dense).T, atol=1e-4)


@pytest.mark.slow
def test_more_bits_less_error():
    x = np.random.default_rng(4).standard_normal((1500, 24))
    books = {bits: rates.make(name, bits) for bits, name in DEFAULTS.items() if name != "tapered"}
    lost = {bits: ((x - book.decode(book.encode(x))) ** 2).mean() for bits, book in books.items()}
    for bits, error in lost.items():  # the bound is 4^-bits; benchmarks/results/rd.md has the exact figures
        assert 1.02 * 4**-bits < error < 1.45 * 4**-bits, (bits, error)


@pytest.mark.slow
def test_scales_of_two_stages_are_the_fitted_ones():
    fitted = Residual([Interlocked(), SingleShell(3)]).scales
    assert np.allclose(fitted, rates.TWO_STAGE_SCALES[72], rtol=1e-4)


@pytest.mark.parametrize(
    "spec",
    [
        7,
        {"kind": "trellis"},
        {"kind": "uniform", "weight_bits": 2},
        {**SPHERES, "caps": [4.0, 5.0]},
        {**SPHERES, "caps": [4] * 100_000},
        {**SPHERES, "levels": [3.0, float("inf")]},
        {**SPHERES, "levels": None},
        {**STAGES, "stages": [SPHERES]},
        {**STAGES, "stages": [STAGES, SPHERES]},
        {**STAGES, "stages": [SPHERES, {"kind": "uniform", "weight_bits": 2}]},
        {**STAGES, "scales": [1.0, float("inf")]},
        {**STAGES, "scales": [1.0, 10**400]},
        {**STAGES, "scales": None},
        {**STAGES, "name": "x" * 101},
        {**STAGES, "more": 1},
    ],
)
def test_other_descriptions_are_refused(spec):
    with pytest.raises(ValueError, match="Argument '"):
        rates.from_spec(spec)


class Stop(Exception):
    """Ends a run from within."""


def test_a_model_at_three_and_a_half_bits_survives_a_stop_and_is_loaded(tmp_path, monkeypatch):
    """84 bits a block: rows of bytes in memory, and whole bits in the file."""
    model, text = tiny_llama(tmp_path / "model", hidden=48, layers=1), some_text()
    settings = Settings(bits=3.5, windows=2, context=48)
    whole = quantize(model, tmp_path / "whole", settings, text=text).report
    seen = []

    def step(*at):
        seen.append(at)
        if len(seen) == 7:
            raise Stop

    with pytest.raises(Stop):
        quantize(model, tmp_path / "out", settings, text=text, on_step=step)
    report = quantize(model, tmp_path / "out", settings, text=text).report
    assert report["units_found"] == 3 and report["settings"]["codebook"] == "two-stage"
    names = [path.name for path in (tmp_path / "whole").iterdir() if path.name != "report.json"]
    assert all((tmp_path / "out" / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in names)
    blocks = sum(layer["rows"] * -(-layer["columns"] // 24) for layer in whole["layers"])
    assert 0 <= whole["measured"]["code_bytes"] - blocks * 84 / 8 < 7
    packed, _ = llvq_mini.load(tmp_path / "out")
    dense, _ = llvq_mini.load(tmp_path / "out", "dense")
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        assert torch.allclose(packed(ids).logits, dense(ids).logits, atol=1e-4)


def test_the_program_includes_the_stages():
    resume.program_fingerprint.cache_clear()
    path = rates.__file__.replace("rates.py", "baselines/residual.py")
    with pytest.MonkeyPatch.context() as patch:
        read = type(resume.Path(path)).read_bytes
        before = resume.program_fingerprint()
        resume.program_fingerprint.cache_clear()
        patch.setattr(
            type(resume.Path(path)), "read_bytes", lambda self: read(self) + b" " * (str(self) == path)
        )
        assert resume.program_fingerprint() != before
    resume.program_fingerprint.cache_clear()
