"""finetune.py on small random Llama models: it learns, it merges what it trained, it resumes to the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from doubles import ScalarBlock, tiny_llama

from llvq_mini import finetune
from llvq_mini.errors import LLVQError
from llvq_mini.finetune import Factors, TuneSettings, divergence, scaling_norms, tune, window_at
from llvq_mini.layer import prepare, quantize_linear
from llvq_mini.models import load_source
from llvq_mini.pipeline import decoder_layers, linears_of

WINDOWS = np.random.default_rng(0).integers(0, 256, (3, 40))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("tiny") / "model", hidden=48, layers=2)


def quantized(folder):
    """Teacher, student with coarse weights in place, and its linears."""
    teacher, student = load_source(folder).model, load_source(folder).model
    linears = {}
    with torch.no_grad():
        for prefix, layer in decoder_layers(student):
            for short, module in linears_of(layer).items():
                name = f"{prefix}.{short}"
                prepared = prepare(np.eye(module.in_features), seed=1)
                linears[name], _ = quantize_linear(module.weight.numpy(), prepared, ScalarBlock(), name)
                module.weight.copy_(torch.from_numpy(linears[name].dequantize()))
    return teacher, student, linears


def loss(teacher, student):
    with torch.inference_mode():
        ids = torch.from_numpy(WINDOWS)
        log_t, log_p = (m(ids).logits.log_softmax(-1) for m in (teacher, student))
        return float((log_t.exp() * (log_t - log_p)).sum(-1).mean())


def test_training_lowers_the_divergence_and_changes_scales_only(folder):
    teacher, student, linears = quantized(folder)
    before = loss(teacher, student)
    seen = []
    settings = TuneSettings(steps=25, learning_rate=0.03)
    tuned = tune(student, linears, teacher, WINDOWS, settings, on_step=lambda *s: seen.append(s))
    assert loss(teacher, student) < 0.9 * before
    assert [step for step, _ in seen] == list(range(25)) and seen[0][1] > 0
    for name, linear in linears.items():
        assert tuned[name].codes is linear.codes and tuned[name].bits == linear.bits
        assert tuned[name].row_scale.dtype == np.float16
        assert not np.array_equal(tuned[name].row_scale, linear.row_scale)
        dense = dict(student.named_parameters())[f"{name}.weight"].numpy(force=True)
        assert np.array_equal(dense, tuned[name].dequantize())
    original = dict(teacher.named_parameters())
    for name, parameter in student.named_parameters():
        assert torch.equal(parameter, original[name]) == ("embed" in name)
    assert not any(module._forward_hooks for module in student.modules())


def test_merged_factors_compute_what_was_trained(folder):
    teacher, student, linears = quantized(folder)
    factors = Factors(scaling_norms(student))
    with torch.no_grad():
        for log in factors.logs.values():
            log.uniform_(-0.3, 0.3)
    ids = torch.from_numpy(WINDOWS[:1])
    with torch.no_grad():
        with factors.applied():
            hooked = student(ids).logits
        for name, module in factors.modules.items():
            module.weight.mul_(factors.logs[name].exp())
        assert torch.allclose(student(ids).logits, hooked, rtol=1e-4, atol=1e-5)
    assert len(factors.logs) == 5  # two norms a layer and the last


def test_resumed_training_is_the_same(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "_SAVE_EVERY", 2)
    results = []
    for stops in ([8], [3, 5, 8]):
        path = tmp_path / f"{len(stops)}.safetensors"
        for stop in stops:
            teacher, student, linears = quantized(folder)

            def interrupt(step, _, stop=stop):
                if step + 1 == stop < 8:
                    raise KeyboardInterrupt

            try:
                tuned = tune(student, linears, teacher, WINDOWS, TuneSettings(steps=8), path, interrupt)
            except KeyboardInterrupt:
                continue
        results.append(tuned)
    for name in results[0]:
        assert np.array_equal(results[0][name].row_scale, results[1][name].row_scale)


def test_a_checkpoint_of_another_run_is_refused(folder, tmp_path):
    teacher, student, linears = quantized(folder)
    path = tmp_path / "state"
    tune(student, linears, teacher, WINDOWS, TuneSettings(steps=1), path)
    teacher, student, linears = quantized(folder)
    with pytest.raises(LLVQError, match="other settings"):
        tune(student, linears, teacher, WINDOWS, TuneSettings(steps=2), path)
    path.write_bytes(b"no such thing")
    with pytest.raises(LLVQError, match="damaged"):
        tune(student, linears, teacher, WINDOWS, TuneSettings(steps=1), path)


def test_divergence_is_the_mean_kl_and_has_its_gradient(folder):
    head = torch.nn.Linear(8, 11)
    states, target = torch.randn(600, 8, requires_grad=True), torch.randn(600, 8)
    log_t, log_p = head(target).log_softmax(-1), head(states).log_softmax(-1)
    expected = (log_t.exp() * (log_t - log_p)).sum(-1).mean()
    found = divergence(head, target, head, states)
    assert torch.allclose(found, expected, rtol=1e-5)
    first, second = (torch.autograd.grad(value, states)[0] for value in (found, expected))
    assert torch.allclose(first, second, atol=1e-7)


def test_norms_are_found_by_what_they_do():
    class OnePlus(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(4))

        def forward(self, x):
            return x * (1 + self.weight)

    model = torch.nn.ModuleDict(
        {"plain": torch.nn.RMSNorm(4), "shifted": OnePlus(), "linear": torch.nn.Linear(4, 4)}
    )
    assert list(scaling_norms(model)) == ["plain"]
    assert torch.equal(model["plain"].weight, torch.ones(4))


def test_every_epoch_visits_every_window_once():
    for epoch in range(3):
        assert sorted(window_at(5 * epoch + i, 5, seed=1) for i in range(5)) == list(range(5))


def test_learning_rate_rises_and_falls():
    settings = TuneSettings(steps=50, learning_rate=0.01)
    rates = [settings.rate(step) for step in range(50)]
    assert max(rates) == 0.01 and rates[0] == pytest.approx(0.002) and rates[-1] < 2e-5
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_bad_arguments(folder):
    for bad in ({"steps": 0}, {"learning_rate": 0.0}, {"learning_rate": 1.0}, {"warmup": 1.0}):
        with pytest.raises(ValueError, match="settings"):
            TuneSettings(**bad)
    teacher, student, linears = quantized(folder)
    name = next(iter(linears))
    with pytest.raises(ValueError, match="nowhere"):
        tune(student, {"nowhere": linears[name]}, teacher, WINDOWS)
    huge = {name: replace(linears[name], row_scale=np.full_like(linears[name].row_scale, 65504))}
    with torch.no_grad():
        dict(student.named_modules())[name].weight.zero_()
    with pytest.raises(LLVQError, match="NaN|fp16 range"):
        for seed in range(3):
            huge = tune(student, huge, teacher, WINDOWS, TuneSettings(steps=3, learning_rate=0.3, seed=seed))
