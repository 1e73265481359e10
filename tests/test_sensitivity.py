"""sensitivity.py: its layer-by-layer gradients are those of autograd on the whole model, and they predict the KL."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from doubles import random_hessian, tiny_llama

from llvq_mini.errors import LLVQError
from llvq_mini.models import load_source
from llvq_mini.pipeline import decoder_layers, entering_states, linears_of
from llvq_mini.sensitivity import Sensitivity, layer_sensitivities, score_gradients

WINDOWS = np.random.default_rng(0).integers(0, 256, (3, 40))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_llama(tmp_path_factory.mktemp("tiny") / "model", hidden=48, layers=2)
    loaded = load_source(folder).model
    for parameter in loaded.parameters():
        parameter.requires_grad_(False)
    return loaded


def boundary_states(model):
    """States that enter every layer and leave the last, and the layers' keyword arguments."""
    with torch.no_grad():
        states, keywords = entering_states(model, WINDOWS)
        every = [[state.clone() for state in states]]
        for (_, layer), arguments in zip(decoder_layers(model), keywords, strict=True):
            every.append([layer(state, **arguments) for state in every[-1]])
    return every, keywords


def all_sensitivities(model, seed=3):
    every, keywords = boundary_states(model)
    layers = decoder_layers(model)
    gradients = score_gradients(model, [layer for _, layer in layers], every[-1], seed)
    result = {}
    for index in reversed(range(len(layers))):
        prefix, layer = layers[index]
        found = layer_sensitivities(layer, linears_of(layer), every[index], keywords[index], gradients)
        result |= {f"{prefix}.{short}": value for short, value in found.items()}
    return result


def test_equals_gradients_through_the_whole_model(model):
    """The same labels, one backward pass through everything, moments formed from scratch."""
    found = all_sensitivities(model)
    generator = torch.Generator().manual_seed(3)
    expected: dict[str, list] = {}
    inputs, outputs = {}, {}

    def record(name):
        def hook(module, arguments, output):
            inputs[name] = arguments[0][0].detach().double()
            output.retain_grad()
            outputs[name] = output

        return hook

    modules = {name: module for name, module in model.named_modules() if name in found}
    handles = [module.register_forward_hook(record(name)) for name, module in modules.items()]
    for row in WINDOWS:
        embedded = model.get_input_embeddings()(torch.from_numpy(row)[None]).requires_grad_()
        logits = model(inputs_embeds=embedded, use_cache=False).logits[0]
        labels = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)[:, 0]
        torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
        for name in found:
            x, g = inputs[name], outputs[name].grad[0].double()
            moments = expected.setdefault(name, [0, 0])
            moments[0] = moments[0] + torch.einsum("ta,ti,tj->ij", g * g, x, x) / WINDOWS.size
            moments[1] = moments[1] + torch.einsum("ta,ti,tj->ij", x * x, g, g) / WINDOWS.size
    for handle in handles:
        handle.remove()
    for name, value in found.items():
        for mine, whole in zip((value.inputs, value.outputs), expected[name], strict=True):
            whole = whole.numpy()
            assert np.allclose(mine, whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max()), name


def test_predicts_the_divergence_of_a_small_change(model):
    """KL after a change of one weight matrix along a direction that a Kronecker product describes exactly: rank one."""
    found = all_sensitivities(model)
    name = "model.layers.1.mlp.down_proj"
    module = dict(model.named_modules())[name]
    rng, ids = np.random.default_rng(1), torch.from_numpy(WINDOWS)
    ratios = []
    for _ in range(6):
        change = 1e-3 * rng.standard_normal(tuple(module.weight.shape))
        with torch.no_grad():
            before = model(ids).logits.double().log_softmax(-1)
            kept = module.weight.clone()
            module.weight.add_(torch.from_numpy(change).float())
            after = model(ids).logits.double().log_softmax(-1)
            module.weight.copy_(kept)
        measured = float((before.exp() * (before - after)).sum(-1).mean())
        h, g = found[name].inputs, found[name].outputs
        predicted = 0.5 * np.trace(g @ change @ h @ change.T) / np.trace(h)
        ratios.append(measured / predicted)
    assert 0.6 < np.mean(ratios) < 1.6  # labels are drawn, 120 tokens


def test_traces_agree_and_blends_have_trace_one(model):
    for value in all_sensitivities(model).values():
        assert np.trace(value.inputs) == pytest.approx(np.trace(value.outputs), rel=1e-4)
        hessian, metric = value.hessian(random_hessian(len(value.inputs), 1)), value.metric()
        assert np.trace(hessian) == pytest.approx(1) and np.trace(metric) == pytest.approx(1)
        assert np.linalg.eigvalsh(metric).min() >= 0.5 / len(metric) * (1 - 1e-9)


def test_blends_are_halves():
    value = Sensitivity(np.diag([3.0, 1.0]), np.diag([0.0, 2.0]))
    assert np.allclose(value.hessian(np.diag([1.0, 1.0])), np.diag([0.625, 0.375]))
    assert np.allclose(value.metric(), np.diag([0.25, 0.75]))
    dead = Sensitivity(np.zeros((2, 2)), np.zeros((2, 2)))
    assert np.allclose(dead.hessian(np.eye(2)), np.eye(2) / 2) and np.allclose(dead.metric(), np.eye(2) / 2)
    with pytest.raises(LLVQError, match="NaN"):
        Sensitivity(np.full((2, 2), np.nan), np.eye(2)).hessian(np.eye(2))


def test_the_seed_decides(model):
    one, two, other = (all_sensitivities(model, seed) for seed in (1, 1, 2))
    name = "model.layers.0.self_attn.v_proj"
    assert np.array_equal(one[name].inputs, two[name].inputs)
    assert not np.array_equal(one[name].inputs, other[name].inputs)


def test_an_unreached_linear_is_an_error(model):
    every, keywords = boundary_states(model)
    layer = decoder_layers(model)[1][1]
    gradients = [torch.ones_like(state) for state in every[1]]
    with pytest.raises(LLVQError, match="'spare'"):
        layer_sensitivities(layer, {"spare": torch.nn.Linear(4, 4)}, every[1], keywords[1], gradients)
