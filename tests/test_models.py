"""anatomy.py, stream.py and calibrate.py through the real transformers classes of many architectures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from doubles import byte_tokenizer, some_text
from safetensors.torch import load_file, save_file

from llvq_mini import anatomy, calibrate, store
from llvq_mini.errors import LLVQError
from llvq_mini.models import load_source, resolve, token_windows
from llvq_mini.pipeline import Settings, quantize
from llvq_mini.stream import open_source
from llvq_mini.sweep import quantize_units

TEXT = some_text()
SMALL = Settings(windows=3, context=48)
COMMON = {
    "vocab_size": 256,
    "hidden_size": 40,  # no multiple of 24
    "intermediate_size": 68,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "initializer_range": 0.1,
}
SEVEN = 7
#: configuration class, what it gets besides COMMON, linears a layer
ARCHITECTURES = {
    "llama": ("LlamaConfig", {"attention_bias": True, "mlp_bias": True}, SEVEN),
    "qwen2": ("Qwen2Config", {}, SEVEN),  # biases of query, key, value
    "qwen3": (
        "Qwen3Config",
        {"head_dim": 16},
        SEVEN,
    ),  # heads wider than hidden / heads, norms of query and key
    "mistral": ("MistralConfig", {"sliding_window": 16, "head_dim": 10}, SEVEN),
    "gemma3_text": (
        "Gemma3TextConfig",  # two kinds of masks and rotary tables, scaled embeddings, four norms a layer
        {
            "head_dim": 16,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 16,
        },
        SEVEN,
    ),
    "phi3": ("Phi3Config", {"pad_token_id": 0}, 4),  # fused query-key-value and gate-up
    "olmo2": ("Olmo2Config", {"pad_token_id": 0}, SEVEN),  # norms after attention and MLP
    "starcoder2": ("Starcoder2Config", {}, 6),  # biases everywhere, layer norms
    "opt": (
        "OPTConfig",
        {"ffn_dim": 68, "word_embed_proj_dim": 40, "pad_token_id": 1},
        6,
    ),  # learned positions
}
CASES = [
    (kind, tied) for kind in ("llama", "qwen2", "qwen3", "mistral", "gemma3_text") for tied in (True, False)
]
CASES += [("phi3", False), ("olmo2", False), ("starcoder2", True), ("opt", True)]


def make(folder, kind, tied=False, seed=0, **changes):
    """Write a random model of an architecture with a byte tokenizer."""
    name, extra, _ = ARCHITECTURES[kind]
    config = getattr(transformers, name)(**{**COMMON, **extra, "tie_word_embeddings": tied, **changes})
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start as constants, which would hide mistakes
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(torch.arange(0, 100)[None]).logits


@pytest.mark.parametrize("kind, tied", CASES)
def test_quantized_streamed_and_loaded(tmp_path, kind, tied):
    """The folder's model equals one that was quantized in memory, bit for bit; what is not quantized is untouched."""
    source = make(tmp_path / "model", kind, tied)
    result = quantize(source, tmp_path / "out", SMALL, text=TEXT)
    assert len(result.linears) == 2 * ARCHITECTURES[kind][2]
    whole = load_source(source)
    before = logits(whole.model)
    windows = token_windows(whole.tokenizer, TEXT, SMALL.context, SMALL.windows)
    with torch.no_grad():
        states, keywords = calibrate.entering_states(whole.model, windows)
        for index, (prefix, layer) in enumerate(anatomy.decoder_layers(whole.model)):
            inputs = calibrate.collect_inputs(layer, states, keywords[index])
            units = quantize_units(prefix, layer, inputs, SMALL.make_codebook(), SMALL)
            for name, linear, _ in list(units):
                module = whole.model.get_submodule(name)
                module.weight.copy_(torch.from_numpy(linear.dequantize()))
    assert torch.equal(logits(whole.model), logits(result.model)) and not torch.equal(
        before, logits(whole.model)
    )
    after = store.load(tmp_path / "out").tensors
    for name, tensor in load_file(source / "model.safetensors").items():
        if name.removesuffix(".weight") not in result.linears:
            assert torch.equal(after[name], tensor)
    reasons = {entry["name"]: entry["reason"] for entry in result.report["skipped"]}
    assert any("head" in reason and ("tied" in reason) == tied for reason in reasons.values())
    listed = sum(entry["count"] for entry in result.report["skipped"]) + len(result.linears)
    assert listed == len(list(whole.model.parameters()))


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_layer_by_layer_is_what_the_model_computes(tmp_path, kind):
    """Streaming runs every layer with its own mask and rotary table: the last states are the model's."""
    source = open_source(make(tmp_path / "model", kind, seed=1))
    whole = load_source(tmp_path / "model").model
    windows = np.random.default_rng(0).integers(0, 256, (2, 90))
    assert all(parameter.is_meta for parameter in source.model.parameters())
    with source.loaded(*anatomy.outside(source.model)):
        states, keywords = calibrate.entering_states(source.model, windows)
    for index, (_, layer) in enumerate(anatomy.decoder_layers(source.model)):
        with source.loaded(layer):
            calibrate.advance(layer, states, keywords[index])
    assert all(parameter.is_meta for parameter in source.model.parameters())
    last = []
    _, layer = anatomy.decoder_layers(whole)[-1]
    layer.register_forward_hook(
        lambda _, __, output: last.append(output if torch.is_tensor(output) else output[0])
    )
    with torch.no_grad():
        for row in windows:
            whole(torch.from_numpy(row)[None])
    assert torch.allclose(torch.cat(states), torch.cat(last), rtol=1e-5, atol=1e-5)


def test_sharded_checkpoints_give_the_same_model(tmp_path):
    single = make(tmp_path / "single", "qwen3")
    model = transformers.AutoModelForCausalLM.from_pretrained(single, dtype=torch.float32)
    model.save_pretrained(tmp_path / "parts", max_shard_size="40KB")
    byte_tokenizer().save_pretrained(tmp_path / "parts")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    one = quantize(single, tmp_path / "one", SMALL, text=TEXT).report["inputs"]
    two = quantize(tmp_path / "parts", tmp_path / "two", SMALL, text=TEXT).report["inputs"]
    assert one["weights"] == two["weights"]
    assert (tmp_path / "one/model.safetensors").read_bytes() == (
        tmp_path / "two/model.safetensors"
    ).read_bytes()


def test_values_are_told_by_role():
    told = {
        name
        for name in ("a.q_proj", "a.v_proj", "a.qkv_proj", "a.o_proj", "up_proj", "a.query_key_value", "v")
        if anatomy.reaches_all_positions(name)
    }
    assert told == {"a.v_proj", "a.qkv_proj", "a.query_key_value"}


def test_narrow_linears_stay_with_their_reason(tmp_path):
    result = quantize(
        make(tmp_path / "model", "llama", intermediate_size=20), tmp_path / "out", SMALL, text=TEXT
    )
    assert len(result.linears) == 2 * 6 and not any("down_proj" in name for name in result.linears)
    narrow = [entry for entry in result.report["skipped"] if "fewer than 24 inputs" in entry["reason"]]
    assert [(entry["name"], entry["count"], entry["shape"]) for entry in narrow] == [
        ("model.layers.*.mlp.down_proj.weight", 2, [40, 20])
    ]


def save_other(folder, config):
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def test_what_cannot_be_quantized_says_why(tmp_path):
    gpt2 = transformers.GPT2Config(
        vocab_size=256, n_embd=48, n_layer=2, n_head=4, n_positions=64, bos_token_id=None, eos_token_id=None
    )
    with pytest.raises(LLVQError, match="nothing to quantize"):
        open_source(save_other(tmp_path / "gpt2", gpt2))
    mixtral = transformers.MixtralConfig(**COMMON, num_local_experts=2)
    with pytest.raises(LLVQError, match="stores weights in a form that is not supported"):
        open_source(save_other(tmp_path / "mixtral", mixtral))
    model = make(tmp_path / "quantized", "llama")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(LLVQError, match="quantized already"):
        open_source(model)
    (model / "config.json").write_text(json.dumps({**config, "intermediate_size": 72}))
    with pytest.raises(LLVQError, match=r"is \[68, 40\] .* the configuration says \[72, 40\]"):
        open_source(model)


def test_fused_experts_that_are_stored_fused_stay_with_their_reason(tmp_path):
    config = transformers.GptOssConfig(
        **{**COMMON, "head_dim": 16}, num_local_experts=2, num_experts_per_tok=1
    )
    result = quantize(save_other(tmp_path / "model", config), tmp_path / "out", SMALL, text=TEXT)
    assert {name.rpartition(".")[2] for name in result.linears} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    reasons = {entry["name"]: entry["reason"] for entry in result.report["skipped"]}
    assert "fused" in reasons["model.layers.*.mlp.experts.gate_up_proj"]


def test_tied_in_name_only_is_refused(tmp_path):
    source = make(tmp_path / "model", "llama", tied=True)
    tensors = load_file(source / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    open_source(source)
    tensors["lm_head.weight"][3, 3] += 1
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LLVQError, match="different values"):
        open_source(source)


def test_inference_mode_outside_changes_nothing(tmp_path):
    """A chapter calls from within torch.inference_mode; threads of ours are outside of it."""
    model = load_source(make(tmp_path / "model", "llama")).model
    windows = np.random.default_rng(0).integers(0, 256, (2, 30))
    found = []
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            states, keywords = calibrate.entering_states(model, windows)
            states = [model.model.layers[0](state, **keywords[0]) for state in states]
            inputs = calibrate.collect_inputs(model.model.layers[1], states, keywords[1])
        found.append([sums.hessian() for sums in inputs.sums.values()])
    assert len(found[0]) == 4 and all(map(np.array_equal, *found))


def test_arguments_that_depend_on_the_text_are_refused(tmp_path):
    model = load_source(make(tmp_path / "model", "llama")).model
    attention = model.model.rotary_emb.forward
    model.model.rotary_emb.forward = lambda x, position_ids: tuple(
        part + x.mean() for part in attention(x, position_ids)
    )
    with pytest.raises(LLVQError, match="depend on the text"):
        calibrate.entering_states(model, np.random.default_rng(0).integers(0, 256, (2, 30)))


def test_an_input_that_is_overwritten_is_refused(tmp_path):
    model = load_source(make(tmp_path / "model", "llama")).model
    states, keywords = calibrate.entering_states(model, np.zeros((1, 30), dtype=np.int64))
    mlp = model.model.layers[0].mlp
    forward = mlp.forward
    mlp.forward = lambda x: (forward(x), x.add_(1))[0]
    with pytest.raises(LLVQError, match="overwritten"):
        calibrate.collect_inputs(model.model.layers[0], states, keywords[0])


def test_a_linear_that_no_token_reaches_stays_with_its_reason(tmp_path, monkeypatch):
    """As with an expert that is never chosen."""
    forward = transformers.models.llama.modeling_llama.LlamaMLP.forward

    def without_up(self, x):
        return (
            self.down_proj(self.act_fn(self.gate_proj(x)))
            if x.shape[1] == SMALL.context
            else forward(self, x)
        )

    monkeypatch.setattr(transformers.models.llama.modeling_llama.LlamaMLP, "forward", without_up)
    result = quantize(make(tmp_path / "model", "llama"), tmp_path / "out", SMALL, text=TEXT)
    assert len(result.linears) == 2 * 6
    kept = [entry for entry in result.report["skipped"] if "no calibration token" in entry["reason"]]
    assert [entry["name"] for entry in kept] == [f"model.layers.{i}.mlp.up_proj.weight" for i in range(2)]
    assert "model.layers.0.mlp.up_proj.weight" in store.load(tmp_path / "out").tensors


def test_hub_ids_are_fetched_or_refused_in_one_sentence(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    def fetch(repository, revision, allow_patterns):
        assert revision is None
        asked.append((repository, allow_patterns))
        if repository == "some/model":
            return str(tmp_path)
        raise OSError("no network\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert resolve("some/model") == tmp_path
    assert "*.py" not in asked[0][1] and "*.bin" not in asked[0][1]
    with pytest.raises(LLVQError, match=r"no folder 'other/model', and the Hub gave none \(no network\)"):
        resolve("other/model")
    with pytest.raises(LLVQError, match="There is no model"):
        resolve("../nowhere/x")
