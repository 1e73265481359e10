"""plan.py: what is foretold is what happens, as far as it can be known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import transformers
from test_models import ARCHITECTURES, TEXT, make

from llvq_mini import anatomy, calibrate, cli, plan
from llvq_mini.models import load_source, token_windows
from llvq_mini.pipeline import Settings, quantize
from llvq_mini.stream import empty_model, open_source

SMALL = Settings(windows=3, context=48)
COSTS = plan.UnitCosts(
    flop=1e-11, outer=1e-11, cube=1e-10, block=1e-5, byte=1e-9, base_bytes=10**8, threads=2
)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_shared_inputs_are_those_that_calibration_finds(tmp_path, kind):
    source = make(tmp_path / "model", kind)
    foretold = plan.shared_inputs(open_source(source).model)
    whole = load_source(source)
    states, keywords = calibrate.entering_states(whole.model, token_windows(whole.tokenizer, TEXT, 48, 1))
    for (_, layer), given, widths in zip(
        anatomy.decoder_layers(whole.model), keywords, foretold, strict=True
    ):
        inputs = calibrate.collect_inputs(layer, states, given)
        assert widths == {name: sums.width for name, sums in inputs.sums.items()}


def test_what_is_foretold_happens(tmp_path):
    source = make(tmp_path / "model", "gemma3_text")
    made = plan.plan(open_source(source), SMALL, COSTS)
    report = quantize(source, tmp_path / "out", SMALL, text=TEXT).report
    measured = report["measured"]
    assert made["linears"] == report["linears"] and made["weights"] == report["weights"]
    assert made["bits_per_weight"] * made["weights"] == 8 * (measured["code_bytes"] + measured["scale_bytes"])
    assert made["skipped"] == report["skipped"]
    assert made["memory_bytes"]["states"] == report["memory"]["states_bytes"]
    assert made["memory_bytes"]["sums"] == report["memory"]["sums_bytes"]
    size = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.safetensors"))
    assert 0 <= size - made["output_bytes"] < 20_000  # headers


def test_eight_billion_parameters_are_planned_without_their_memory():
    """Llama 3 8B by its published shape; every figure by hand."""
    config = transformers.LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    model, settings = empty_model(config), Settings()
    assert all(parameter.is_meta for parameter in model.parameters())
    assert set(plan.shared_inputs(model)[7].values()) == {4096, 14336}
    memory = plan.memory_model(model, settings, COSTS)
    linears = 4096 * (2 * 4096 + 2 * 1024 + 3 * 14336)
    assert memory["layer"] == 4 * (linears + 2 * 4096)
    assert memory["sums"] == 16 * (3 * 4096**2 + 14336**2)
    assert memory["states"] == 4 * 16 * 2048 * 4096
    assert memory["embedding"] == 4 * (128256 * 4096 + 4096)
    assert memory["prepare"] == 56 * 14336**2
    work = memory["layer"] + memory["sums"] + memory["prepare"]
    assert memory["peak"] == 10**8 + memory["states"] + work
    seconds = plan.time_model(model, settings, COSTS, 16 * 10**9)
    blocks = 32 * ((4096 + 1024 + 1024 + 4096 + 2 * 14336) * 171 + 4096 * 598)
    products = 9 * 32 * ((2 * 4096 + 2 * 1024 + 2 * 14336) * 4096**2 + 4096 * 14336**2) * 1e-11
    assert seconds["quantize"] == pytest.approx(2 * blocks * 1e-5 / 2 + products)
    once = plan.time_model(model, replace(settings, passes=0), COSTS, 16 * 10**9)
    assert once["quantize"] == pytest.approx(blocks * 1e-5 / 2 + products * 7 / 9)
    assert seconds["prepare"] == pytest.approx(32 * (3 * 4096**3 + 14336**3) * 1e-10)
    twice = plan.time_model(model, replace(settings, sequential=True), COSTS, 16 * 10**9)
    assert twice["calibrate"] > seconds["calibrate"] and twice["quantize"] == seconds["quantize"]


def test_measured_costs_are_plausible():
    costs = plan.measure_costs(SMALL.make_codebook(), width=192)
    assert 1e-13 < costs.flop < 1e-8 and 1e-13 < costs.outer < 1e-7 and 1e-12 < costs.cube < 1e-5
    assert 1e-7 < costs.block < 1e-2 and 1e-12 < costs.byte < 1e-6 and costs.base_bytes > 10**7
    assert torch.get_num_threads() >= 1


def test_dry_run_writes_nothing_and_ends_with_json(tmp_path, monkeypatch, capsys):
    make(tmp_path / "model", "qwen3", tied=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "measure_costs", lambda book: COSTS)
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["quantize", "model", "-o", "out", "--dry-run"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    lines = capsys.readouterr().out.splitlines()
    made = json.loads(lines[-1])
    assert made["linears"] == 14 and made["memory_bytes"]["peak"] > 0 and made["seconds"]["total"] > 0
    assert any("token embedding, also the output head (tied)" in line for line in lines)
    assert "nothing was written" in lines[-2]
