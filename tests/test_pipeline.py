"""pipeline.py and models.py on small random Llama models, and once on the embedded one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles import some_text, tiny_llama
from safetensors.torch import load_file, save_file

from llvq_mini import pipeline, store
from llvq_mini.errors import LLVQError
from llvq_mini.models import load_source, token_windows
from llvq_mini.pipeline import Settings, quantize

SMALL = Settings(windows=4, context=96)
TEXT = some_text()


def run(model, out, settings=SMALL, **options):
    return quantize(model, out, settings, text=TEXT, **options)


def logits(model) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(0, 120)[None]).logits


def in_memory(source, settings=SMALL):
    """The quantized model made without streaming, units or files: all weights in memory, layer after layer."""
    whole = load_source(source)
    windows = token_windows(whole.tokenizer, TEXT, settings.context, settings.windows)
    book = settings.make_codebook()
    with torch.no_grad():
        states, keywords = pipeline.entering_states(whole.model, windows)
        for index, (prefix, layer) in enumerate(pipeline.decoder_layers(whole.model)):
            inputs = pipeline.collect_inputs(layer, states, keywords[index])
            for name, linear, _ in list(pipeline.quantize_units(prefix, layer, inputs, book, settings)):
                whole.model.get_submodule(name).weight.copy_(torch.from_numpy(linear.dequantize()))
    return whole.model


@pytest.mark.parametrize("hidden", [48, pytest.param(640, marks=pytest.mark.slow)])
@pytest.mark.parametrize("tied", [True, False])
def test_streamed_and_reloaded_logits_equal_those_of_a_model_in_memory(tmp_path, hidden, tied):
    layers = 1 if hidden == 640 else 2
    source = tiny_llama(tmp_path / "model", hidden=hidden, layers=layers, tied=tied)
    result = run(source, tmp_path / "out")
    assert torch.equal(logits(result.model), logits(in_memory(source)))
    assert not torch.equal(logits(load_source(source).model), logits(result.model))
    assert result.tokenizer("abc")["input_ids"] == load_source(source).tokenizer("abc")["input_ids"]
    assert len(result.linears) == 7 * layers


def test_sequential_hessians_are_those_of_the_quantized_layers_below(tmp_path):
    """The second layer's inputs differ from the original's; the first layer's do not."""
    source = tiny_llama(tmp_path / "model")
    one = run(source, tmp_path / "one").linears
    two = run(source, tmp_path / "two", replace(SMALL, sequential=True)).linears
    same = {name for name in one if np.array_equal(one[name].codes, two[name].codes)}
    assert same == {name for name in one if name.startswith("model.layers.0.")}


@pytest.mark.slow
def test_width_4096_is_stored_with_its_padding_and_reloaded(tmp_path):
    source = tiny_llama(tmp_path / "model", hidden=64, layers=1, intermediate=4096)
    result = run(source, tmp_path / "out")
    assert torch.equal(logits(result.model), logits(in_memory(source)))
    down = next(layer for layer in result.report["layers"] if layer["name"].endswith("down_proj"))
    assert (down["rows"], down["columns"]) == (64, 4096)
    assert down["bits"] == 64 * (171 * 48 + 16)  # 171 blocks of 24 hold 4096 columns and 8 of padding


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_untouched_tensors_keep_their_dtype_and_bits(tmp_path, dtype):
    source = tiny_llama(tmp_path / "model", dtype=dtype)
    run(source, tmp_path / "out")
    before, after = load_file(source / "model.safetensors"), store.load(tmp_path / "out").tensors
    assert len(after) == 2 + 2 * 2  # embedding, last norm, two norms a layer
    for name, tensor in after.items():
        assert tensor.dtype == getattr(torch, dtype) and torch.equal(tensor, before[name])


def test_two_runs_write_the_same_model(tmp_path):
    source = tiny_llama(tmp_path / "model")
    digests = set()
    for name in ("one", "two"):
        run(source, tmp_path / name)
        files = ("model.safetensors", "llvq.json", "config.json")
        digests.add(
            tuple(hashlib.sha256((tmp_path / name / file).read_bytes()).hexdigest() for file in files)
        )
    assert len(digests) == 1
    run(source, tmp_path / "three", Settings(windows=4, context=96, seed=1))
    other = (tmp_path / "three" / "model.safetensors").read_bytes()
    assert other != (tmp_path / "one" / "model.safetensors").read_bytes()


def test_report_counts_bits_and_tokens(tmp_path):
    report = run(tiny_llama(tmp_path / "model"), tmp_path / "out").report
    on_disk = json.loads((tmp_path / "out" / "report.json").read_text())
    assert on_disk == json.loads(json.dumps(report))
    assert report["calibration"]["tokens"] == 4 * 96 and report["linears"] == 14
    layers = report["layers"]
    measured = report["measured"]
    assert (
        measured["weights"] == sum(layer["rows"] * layer["columns"] for layer in layers) == report["weights"]
    )
    assert 8 * (measured["code_bytes"] + measured["scale_bytes"]) == sum(layer["bits"] for layer in layers)
    assert (
        measured["bits_per_weight"] > 2.25
    )  # 64 columns are padded to 72, and a small file has much metadata
    assert all(0 < layer["proxy_error"] < 1 for layer in layers)


def test_hessians_are_those_of_the_original_model(tmp_path):
    """The inputs seen at every linear equal what hooks on the untouched model see."""
    model = load_source(tiny_llama(tmp_path / "model")).model
    windows = np.random.default_rng(0).integers(0, 256, (3, 50))
    expected: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if name.endswith(("q_proj", "o_proj", "up_proj", "down_proj")):
            module.register_forward_pre_hook(
                lambda _, arguments, name=name: expected.__setitem__(
                    name, expected.get(name, 0) + arguments[0][0].T @ arguments[0][0] / 150
                )
            )
    with torch.no_grad():
        for row in windows:
            model(torch.from_numpy(row)[None])
        model = load_source(tmp_path / "model").model
        states, keywords = pipeline.entering_states(model, windows)
        for index, (prefix, layer) in enumerate(pipeline.decoder_layers(model)):
            inputs = pipeline.collect_inputs(layer, states, keywords[index])
            assert (
                inputs.leader["self_attn.k_proj"] == inputs.leader["self_attn.v_proj"] == "self_attn.q_proj"
            )
            assert inputs.leader["mlp.up_proj"] == "mlp.gate_proj" and len(inputs.sums) == 4
            for short, leader in inputs.leader.items():
                if f"{prefix}.{short}" in expected:
                    seen = inputs.sums[leader].hessian()
                    assert np.allclose(seen, expected[f"{prefix}.{short}"].numpy(), rtol=1e-3, atol=1e-5)
            for name, linear, _ in pipeline.quantize_units(
                prefix, layer, inputs, SMALL.make_codebook(), SMALL
            ):
                model.get_submodule(name).weight.copy_(torch.from_numpy(linear.dequantize()))
            assert not inputs.sums  # each is let go when its linears are done


def test_calibration_beats_no_calibration(tmp_path):
    """Feedback with the right Hessians disturbs the outputs less than feedback with those of other inputs."""
    source = tiny_llama(tmp_path / "model", layers=1)
    original = load_source(source).model
    ids = torch.tensor(load_source(source).tokenizer(TEXT[:150])["input_ids"])[None]
    losses = {}
    for name, damping in [("calibrated", 0.01), ("plain", 1e6)]:
        model = run(source, tmp_path / name, Settings(windows=8, context=96, damping=damping)).model
        with torch.inference_mode():
            losses[name] = float((model(ids).logits - original(ids).logits).square().mean())
    assert losses["calibrated"] < losses["plain"]


def test_progress_reaches_the_end_without_going_back(tmp_path):
    seen: list[tuple[str, int, int]] = []
    run(tiny_llama(tmp_path / "model"), tmp_path / "out", on_step=lambda *step: seen.append(step))
    units = 2 * (4 + 7)  # four windows and seven linears a layer
    assert seen[-1] == ("quantize", units, units)
    done = [step[1] for step in seen if step[0] == "quantize"]
    assert done == list(range(1, units + 1))


def test_nan_weights_name_the_tensor_and_leave_nothing(tmp_path):
    source = tiny_llama(tmp_path / "model")
    tensors = load_file(source / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name][3, 4] = float("nan")
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LLVQError, match=f"'{name}' holds NaN"):
        run(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_sources_that_cannot_be_used(tmp_path):
    source = tiny_llama(tmp_path / "model")
    config = json.loads((source / "config.json").read_text())
    cases = {"nowhere": "There is no model", "empty": "no config.json", "bert": "model type 'detr'"}
    (tmp_path / "empty").mkdir()
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({**config, "model_type": "detr"}))
    for name, match in cases.items():
        with pytest.raises(LLVQError, match=match):
            run(tmp_path / name, tmp_path / "out")
    weights = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(LLVQError, match="damaged"):
        run(source, tmp_path / "out")
    (source / "model.safetensors").write_bytes(weights)
    tensors = load_file(source / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LLVQError, match="lacks the tensor 'model.norm.weight'"):
        run(source, tmp_path / "out")
    (source / "model.safetensors").unlink()
    with pytest.raises(LLVQError, match="no .safetensors file"):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pass_of_descent_is_made_and_lowers_the_proxy(tmp_path):
    source = tiny_llama(tmp_path / "model")
    without = run(source, tmp_path / "without", replace(SMALL, passes=0)).report
    default = run(source, tmp_path / "default").report
    assert default["settings"]["passes"] == 1 and default["proxy_error_mean"] < without["proxy_error_mean"]
    with pytest.raises(ValueError, match="'passes' must not be negative"):
        replace(SMALL, passes=-1)


def test_bad_settings(tmp_path):
    source = tiny_llama(tmp_path / "model")
    for settings, match in [
        (
            Settings(bits=3, codebook="tapered"),
            "'bits' must be 2 for the codebook 'tapered', got 3; .*two-stage",
        ),
        (Settings(codebook="e8"), "'codebook' must be one of"),
        (Settings(windows=4, context=1), "'context'"),
    ]:
        with pytest.raises(ValueError, match=match):
            run(source, tmp_path / "out", settings)
    with pytest.raises(LLVQError, match="use a longer text"):
        quantize(source, tmp_path / "out", SMALL, text="short")
    (tmp_path / "out").mkdir()
    with pytest.raises(LLVQError, match="exists already"):
        run(source, tmp_path / "out")
    (tmp_path / "out" / "precious").touch()
    with pytest.raises(LLVQError, match="not a quantized model"):
        run(source, tmp_path / "out", force=True)
    (tmp_path / "out" / "precious").unlink()
    run(source, tmp_path / "out", force=True)
    run(source, tmp_path / "out", force=True)
    with pytest.raises(LLVQError, match="quantized already"):
        run(tmp_path / "out", tmp_path / "again")


def test_ball_codebook(tmp_path):
    source, settings = tiny_llama(tmp_path / "model"), Settings(windows=4, context=96, codebook="ball")
    assert torch.equal(
        logits(run(source, tmp_path / "out", settings).model), logits(in_memory(source, settings))
    )


@pytest.mark.slow
def test_two_layers_of_the_embedded_model():
    from llvq_mini import embedded

    source = load_source(embedded.NAME)
    settings = Settings(windows=2)
    windows = token_windows(source.tokenizer, embedded.calibration_text(), 2048, 2)
    with torch.no_grad():
        states, keywords = pipeline.entering_states(source.model, windows)
        for index, (prefix, layer) in enumerate(pipeline.decoder_layers(source.model)[:2]):
            inputs = pipeline.collect_inputs(layer, states, keywords[index])
            for _, _, report in pipeline.quantize_units(
                prefix, layer, inputs, settings.make_codebook(), settings
            ):
                assert report.proxy_error < 0.08 and report.bits_per_weight < 2.03
