"""hf.py and export.py: quantized models in transformers, through every door, and never with random weights."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from quantized import write_quantized
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

import llvq_mini
from llvq_mini import export, hf, store
from llvq_mini.errors import LLVQError
from llvq_mini.linear import LeechLinear, leech_linears
from llvq_mini.models import quiet

IDS = torch.arange(3, 60)[None]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Quantized folders by architecture, made when first asked for."""
    root, made = tmp_path_factory.mktemp("hf"), {}

    def get(kind):
        if kind not in made:
            made[kind] = write_quantized(kind, root / kind)
        return made[kind]

    return get


@pytest.fixture
def copy(folders, tmp_path):
    return shutil.copytree(folders("llama"), tmp_path / "copy")


def plain(folder, **options):
    """transformers' own loader, with the plugin imported."""
    with quiet():
        return AutoModelForCausalLM.from_pretrained(folder, **options).eval()


@torch.inference_mode()
def logits(model):
    return model(IDS).logits


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma3"])
def test_round_trip_is_bit_exact(folders, tmp_path, kind):
    first = plain(folders(kind), dtype=torch.float32)
    assert len(leech_linears(first)) == 14 and not any(
        isinstance(module, torch.nn.Linear) for name, module in first.named_modules() if "layers" in name
    )
    words = first.generate(IDS, max_new_tokens=6, do_sample=False)
    first.save_pretrained(tmp_path / "again")
    second = plain(tmp_path / "again", dtype=torch.float32)
    assert torch.equal(logits(first), logits(second))
    assert torch.equal(words, second.generate(IDS, max_new_tokens=6, do_sample=False))
    one, two = first.state_dict(), second.state_dict()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    second.save_pretrained(tmp_path / "thrice")
    for name in ("model.safetensors", "config.json", "llvq.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "thrice" / name).read_bytes()
    assert store.load(tmp_path / "thrice").settings == store.load(folders(kind)).settings


def test_modes_of_the_front_door_agree(folders):
    packed, tokenizer = llvq_mini.load(folders("qwen3"))
    want = logits(packed)
    cached, dense = (llvq_mini.load(folders("qwen3"), mode)[0] for mode in ("cached", "dense"))
    assert (want - logits(cached)).abs().max() < 1e-4 * want.abs().max()
    assert torch.equal(logits(cached), logits(dense))
    assert not leech_linears(dense) and not hasattr(dense.config, "quantization_config")
    assert tokenizer.decode(tokenizer("leech")["input_ids"]) == "leech"
    half = llvq_mini.load(folders("qwen3"), dtype=torch.bfloat16)[0]
    assert half.dtype == torch.bfloat16 and (want - logits(half)).abs().max() < 0.2 * want.abs().max()
    with pytest.raises(ValueError, match="'mode'"):
        llvq_mini.load(folders("qwen3"), "fast")


def test_the_base_model_loads_too(folders):
    whole = plain(folders("llama"), dtype=torch.float32)
    with quiet():
        base = AutoModel.from_pretrained(folders("llama"), dtype=torch.float32)
    assert torch.equal(base(IDS).last_hidden_state, whole.model(IDS).last_hidden_state)


@pytest.mark.slow
def test_compiled_whole(folders):
    model, _ = llvq_mini.load(folders("llama"))
    want = logits(model)
    with torch.inference_mode():
        got = torch.compile(model, fullgraph=True, backend="aot_eager")(IDS, use_cache=False).logits
    assert torch.allclose(got, want, atol=1e-4)


@pytest.mark.slow
def test_without_the_plugin_there_is_an_error_and_no_model(folders, tmp_path):
    plain(folders("llama")).save_pretrained(tmp_path / "saved")
    code = f"""
from transformers import AutoModel, AutoModelForCausalLM, pipeline
for folder in {[str(folders("llama")), str(tmp_path / "saved"), str(folders("gemma3"))]}:
    generator = lambda folder: pipeline("text-generation", folder)
    for load in (AutoModelForCausalLM.from_pretrained, AutoModel.from_pretrained, generator):
        try:
            print("LOADED", load(folder))
        except (RuntimeError, ValueError) as error:
            print("REFUSED", str(error)[:60].replace(chr(10), " "))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.count("REFUSED") == 9 and "LOADED" not in done.stdout, (
        done.stdout + done.stderr[-2000:]
    )
    assert "Unknown quantization type, got llvq" in done.stderr


def replace_tensors(folder, changes):
    """Change or remove tensors and seal the folder: only the model can tell."""
    tensors = {**load_file(folder / "model.safetensors"), **changes}
    save_file(
        {n: t for n, t in tensors.items() if t is not None}, folder / "model.safetensors", {"format": "pt"}
    )
    store.seal(folder)


def replace_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    store.seal(folder)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"model.norm.weight": None}, "lacks the tensor 'model.norm.weight'"),
        ({"model.embed_tokens.weight": None}, "lacks the tensor 'model.embed_tokens.weight'"),
        ({"model.layers.0.mlp.up_proj.row_scale": None}, "lacks the tensor"),
        ({"model.layers.0.mlp.up_proj.weight": None}, "lacks the tensor"),
        ({"a.stranger": torch.zeros(3)}, "unexpected tensor 'a.stranger'"),
        ({"model.norm.weight": torch.zeros(41)}, r"has shape \[41\] in the checkpoint"),
        ({"model.norm.weight": torch.full((40,), torch.nan)}, "'model.norm.weight' holds NaN"),
        ({"model.layers.0.mlp.up_proj.weight": torch.zeros(672, dtype=torch.uint8)}, "fails its SHA-256"),
    ],
)
def test_both_doors_refuse_what_the_model_does_not_expect(copy, changes, match):
    replace_tensors(copy, changes)
    for door in (llvq_mini.load, plain):
        with pytest.raises(LLVQError, match=match):
            door(copy)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"num_hidden_layers": 3}, "lacks the tensor"),
        ({"num_hidden_layers": 1}, "has no module"),
        ({"hidden_size": 48}, "is no .* linear"),
        ({"vocab_size": 250}, "has shape"),
        ({"num_hidden_layers": 10**9}, "'num_hidden_layers'"),
        ({"num_hidden_layers": -(10**9)}, "'num_hidden_layers'"),
        ({"vocab_size": 1 << 50}, "'vocab_size'"),
        ({"vocab_size": 1 << 39}, "has shape|cannot be built"),
        ({"num_attention_heads": 0}, "cannot be built|is no"),
        ({"model_type": "no such thing"}, "cannot be built"),
        ({"model_type": None}, "cannot be built"),
        ({"quantization_config": None}, "no quantization_config"),
        ({"rope_parameters": {"rope_type": "none such"}}, "cannot be built"),
        ({"auto_map": {"AutoModelForCausalLM": "evil--evil.Model"}}, "never run"),
    ],
)
def test_configurations_that_lie(copy, changes, match):
    replace_config(copy, **changes)
    with pytest.raises(LLVQError, match=match):
        llvq_mini.load(copy)


def test_files_that_would_bring_in_other_weights(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "executed"), "w")

    for name in ("pytorch_model.bin", "training_args.bin", "modeling_evil.pt"):
        (copy / name).write_bytes(pickle.dumps(Evil()))
    llvq_mini.load(copy)
    assert not (tmp_path / "executed").exists()
    (copy / "model.safetensors").unlink()
    with pytest.raises(LLVQError, match="lacks|cannot be read"):
        llvq_mini.load(copy)
    assert not (tmp_path / "executed").exists()
    shutil.rmtree(copy)
    write_quantized("llama", copy)
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(LLVQError, match="adapter_config"):
        llvq_mini.load(copy)


def test_manifest_is_verified_by_both_doors_and_needed_by_one(copy):
    (copy / "tokenizer_config.json").write_text("{}")
    for door in (llvq_mini.load, plain):
        with pytest.raises(LLVQError, match="tokenizer_config.json"):
            door(copy)
    (copy / "llvq.json").unlink()
    assert isinstance(plain(copy).model.layers[0].mlp.up_proj, LeechLinear)
    with pytest.raises(LLVQError, match=r"holds no llvq.json"):
        llvq_mini.load(copy)


def test_unquantized_models_are_not_quantized_on_the_way(tmp_path, folders):
    settings = json.loads((folders("llama") / "config.json").read_text())["quantization_config"]
    llvq_mini.load(folders("llama"), "dense")[0].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="pre-quantized"):
        plain(tmp_path, quantization_config=hf.LLVQConfig(**settings))
    with pytest.raises(LLVQError, match="quantization_config"):
        hf.LLVQConfig(codebooks=[], linears={})


def test_hub_ids(folders, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: str(folders("llama")))
    assert leech_linears(llvq_mini.load("someone/a-model")[0])

    def offline(name, **options):
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(
        LLVQError, match=r"no folder 'someone/a-model', and the Hub gave none \(no route to host\)"
    ):
        llvq_mini.load("someone/a-model")
    with pytest.raises(LLVQError, match="There is no folder 'nowhere'"):
        llvq_mini.load("nowhere")


def test_saving_to_the_hub_in_one_step_is_refused(folders, tmp_path):
    model, _ = llvq_mini.load(folders("llama"))
    with pytest.raises(ValueError, match="push_to_hub"):
        model.save_pretrained(tmp_path / "x", push_to_hub=True)


class TestExport:
    def test_dense_folders_are_ordinary_models(self, folders, tmp_path):
        dense = llvq_mini.load(folders("gemma3"), "dense")[0]
        out = export.to_dense(folders("gemma3"), tmp_path / "dense")
        with quiet():
            model, info = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        assert torch.equal(logits(model), logits(dense))
        assert AutoTokenizer.from_pretrained(out)("a")["input_ids"]
        names = {path.name for path in out.iterdir()}
        assert "llvq.json" not in names and "llvq" not in (out / "config.json").read_text()

    def test_narrow_dtypes_and_wrong_arguments(self, folders, tmp_path):
        out = export.to_dense(folders("qwen2"), tmp_path / "half", dtype="bfloat16")
        assert plain(out).dtype == torch.bfloat16
        with pytest.raises(LLVQError, match="exists already"):
            export.to_dense(folders("qwen2"), tmp_path / "half")
        export.to_dense(folders("qwen2"), tmp_path / "half", force=True)
        with pytest.raises(ValueError, match="'dtype'"):
            export.to_dense(folders("qwen2"), tmp_path / "other", dtype="int4")
        with pytest.raises(LLVQError, match="not a quantized model"):
            export.to_dense(tmp_path / "half", tmp_path / "other")

    def test_the_card_has_commands_that_work(self, copy):
        card = export.write_card(copy).read_text()
        assert card.startswith("---\nlibrary_name: transformers\n") and "random llama" in card
        assert f'llvq_mini.load("{copy.name}")' in card and "import llvq_mini.hf" in card
        assert f"{store.measured_bits(copy)['bits_per_weight']:.4f} bits" in card
        report = {"layers": [], "provenance": {"command": "llvq quantize a -o b"}}
        report["evaluation"] = {"perplexity": 9.5, "tokens": 100, "windows": 2, "context": 50, "seconds": 1}
        (copy / "report.json").write_text(json.dumps(report))
        card = export.write_card(copy).read_text()
        assert "llvq quantize a -o b" in card and "Perplexity 9.500 on 100 tokens" in card
        llvq_mini.load(copy)  # card and report are not covered by the manifest


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, llvq_mini; assert not {'torch', 'transformers', 'numba'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        llvq_mini.lod  # noqa: B018
