"""store.py, manifest.py, reading.py and files.py: what is written is what is read, and nothing damaged is read."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import torch
from doubles import byte_tokenizer, random_hessian
from safetensors.torch import load_file, save_file

from llvq_mini import manifest, reading, store
from llvq_mini.codebook import Ball, ShapeGain
from llvq_mini.errors import LLVQError
from llvq_mini.files import atomic_folder, require_space, write_json
from llvq_mini.layer import prepare, quantize_linear

CONFIG = {"model_type": "llama", "hidden_size": 64}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with two linears (widths 64 and 48) and two untouched tensors, and its contents in memory."""
    books = (
        ShapeGain(max_shell=12, gain_bits=1),
        Ball(max_shell=3),
    )  # 48 and 25 bits: mixed precision, odd bytes
    rng = np.random.default_rng(0)
    linears = {}
    for book, name, width in zip(
        books, ["model.layers.0.q_proj", "model.layers.0.down_proj"], [64, 48], strict=True
    ):
        weight = rng.standard_normal((20, width)).astype(np.float32)
        linears[name] = quantize_linear(weight, prepare(random_hessian(width, 1), 7, book.dim), book, name)[0]
    tensors = {
        "model.norm.weight": torch.randn(64, dtype=torch.bfloat16),
        "model.embed.weight": torch.randn(9, 64),
    }
    folder = tmp_path_factory.mktemp("stored") / "out"
    with atomic_folder(folder) as partial:
        store.save(partial, CONFIG, linears, tensors, byte_tokenizer(), "a-model")
    return folder, linears, tensors


@pytest.fixture
def copy(written, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(written[0], folder)
    return folder


def rewrite_manifest(folder, change):
    """Edit the manifest and make its own checksum right again: damage that only later checks can see."""
    listed = json.loads((folder / "llvq.json").read_text())
    change(listed)
    listed["checksum"] = manifest._own_checksum(listed)
    (folder / "llvq.json").write_text(json.dumps(listed) + "\n")


def rewrite_settings(folder, change):
    """Edit the quantization_config and seal the folder again."""
    config = json.loads((folder / "config.json").read_text())
    change(config["quantization_config"])
    (folder / "config.json").write_text(json.dumps(config))
    store.seal(folder)


def test_round_trip(written):
    folder, linears, tensors = written
    loaded = store.load(folder)
    assert loaded.linears.keys() == linears.keys() and loaded.tensors.keys() == tensors.keys()
    for name, linear in linears.items():
        assert loaded.linears[name].codes.tobytes() == linear.codes.tobytes()
        assert loaded.linears[name].dequantize().tobytes() == linear.dequantize().tobytes()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())
    config = json.loads((folder / "config.json").read_text())
    assert config["hidden_size"] == 64 and config["model_type"] == "llama"
    assert config["quantization_config"]["quant_method"] == "llvq"
    assert {linear.codebook.name for linear in loaded.linears.values()} == {
        linear.codebook.name for linear in linears.values()
    }


def test_shards_hold_the_same_tensors(written, tmp_path):
    folder, linears, tensors = written
    with atomic_folder(tmp_path / "shards") as partial:
        store.save(partial, CONFIG, linears, tensors, byte_tokenizer(), "a-model", shard_bytes=600)
    names = sorted(path.name for path in (tmp_path / "shards").glob("*.safetensors"))
    assert len(names) > 2 and names[0] == f"model-00001-of-{len(names):05d}.safetensors"
    one, many = store.load(folder), store.load(tmp_path / "shards")
    assert many.settings == one.settings
    assert all(torch.equal(one.tensors[name], tensor) for name, tensor in many.tensors.items())
    assert all((one.linears[n].codes == q.codes).all() for n, q in many.linears.items())


class Lazy(dict):
    """A mapping that remembers what was asked for."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.asked = []

    def __getitem__(self, name):
        self.asked.append(name)
        return super().__getitem__(name)


def test_lazy_mappings_are_walked_once_in_order(written, tmp_path):
    _, linears, tensors = written
    lazy = Lazy(linears), Lazy(tensors)
    with atomic_folder(tmp_path / "lazy") as partial:
        store.save(partial, CONFIG, *lazy, None, "a-model")
    assert lazy[0].asked == sorted(linears) and lazy[1].asked == sorted(tensors)


def test_saving_refuses_foreign_code_and_colliding_names(written, tmp_path):
    _, linears, tensors = written
    with pytest.raises(LLVQError, match="auto_map"), atomic_folder(tmp_path / "a") as partial:
        store.save(partial, {**CONFIG, "auto_map": {}}, linears, tensors, None, "a-model")
    collision = {**tensors, "model.layers.0.q_proj.weight": torch.zeros(3)}
    with pytest.raises(ValueError, match="must not hold"), atomic_folder(tmp_path / "b") as partial:
        store.save(partial, CONFIG, linears, collision, None, "a-model")


def test_same_content_gives_the_same_bytes(written, tmp_path):
    folder, linears, tensors = written
    with atomic_folder(tmp_path / "again") as partial:
        reordered = dict(reversed(list(linears.items())))
        store.save(
            partial, CONFIG, reordered, dict(reversed(list(tensors.items()))), byte_tokenizer(), "a-model"
        )
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_measured_bits_count_everything_but_untouched_tensors(written):
    folder, linears, tensors = written
    measured = store.measured_bits(folder)
    assert measured["weights"] == 20 * (64 + 48)
    assert measured["code_bytes"] == 20 * 3 * 6 + 20 * 2 * 25 // 8 and measured["scale_bytes"] == 2 * 20 * 2
    size = sum((folder / name).stat().st_size for name in ("model.safetensors", "llvq.json", "config.json"))
    untouched = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert measured["bits_per_weight"] == pytest.approx(8 * (size - untouched) / measured["weights"])


@pytest.mark.parametrize("name", ["model.safetensors", "llvq.json", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("keep", [0, 1, 7, 0.3, 0.99, -1])
def test_truncation(copy, name, keep):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(LLVQError, match=name):
        store.load(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "llvq.json", "config.json", "tokenizer.json"])
def test_every_bit_flip_is_found(copy, name):
    data = bytearray((copy / name).read_bytes())
    rng = np.random.default_rng(1)
    positions = {0, 1, 7, 8, 9, len(data) - 1, *rng.integers(0, len(data), 30).tolist()}
    for position in sorted(positions):
        flipped = data.copy()
        flipped[position] ^= 1 << int(rng.integers(8))
        (copy / name).write_bytes(flipped)
        with pytest.raises(LLVQError):
            store.load(copy)


def test_damage_names_the_linear(copy):
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1  # safetensors sorts by dtype size, so the narrow codes lie last
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(LLVQError, match=r"SHA-256.*the linear 'model.layers.0.\w+' fails its own"):
        store.load(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "llvq.json", "config.json", "tokenizer.json"])
def test_missing_files(copy, name):
    (copy / name).unlink()
    with pytest.raises(LLVQError, match=name):
        store.load(copy)


def test_tensors_that_are_missing_or_of_another_kind(copy):
    """A sealed folder whose weights were replaced; which untouched tensors belong to it only the model knows."""
    tensors = load_file(copy / "model.safetensors")
    name = "model.layers.0.q_proj"
    nan, flat = torch.full((20,), torch.nan, dtype=torch.float16), tensors[f"{name}.weight"]
    for changed, match in [
        ({f"{name}.weight": None}, f"'{name}' lacks its tensor 'weight'"),
        ({f"{name}.row_scale": None}, f"'{name}' lacks its tensor 'row_scale'"),
        ({f"{name}.weight": flat[:-6]}, "do not fit"),
        ({f"{name}.weight": flat.reshape(20, -1)}, "do not fit"),
        ({f"{name}.weight": flat.view(torch.int8)}, "do not fit"),
        ({f"{name}.row_scale": nan[:19]}, "do not fit"),
        ({f"{name}.row_scale": nan}, "fails its SHA-256"),
        ({"model.norm.weight": torch.full((64,), torch.inf)}, "NaN or infinity"),
    ]:
        new = {key: tensor for key, tensor in {**tensors, **changed}.items() if tensor is not None}
        save_file(new, copy / "model.safetensors")
        store.seal(copy)
        with pytest.raises(LLVQError, match=match):
            store.load(copy)


def test_values_are_checked_although_the_checksum_is_right(written, copy):
    """Scales that are NaN and codes outside the codebook, written by someone who fixed every checksum."""
    tensors = load_file(copy / "model.safetensors")
    for name, suffix, value, match in [
        ("model.layers.0.q_proj", ".row_scale", torch.nan, "row scales of .* finite"),
        ("model.layers.0.q_proj", ".row_scale", torch.inf, "row scales of .* finite"),
        ("model.layers.0.q_proj", ".weight", 255, "outside its codebook"),
        ("model.layers.0.down_proj", ".weight", 255, "outside its codebook"),
    ]:
        new = {**tensors, name + suffix: torch.full_like(tensors[name + suffix], value)}
        save_file(new, copy / "model.safetensors")
        codes, scale = new[name + ".weight"].numpy(), new[name + ".row_scale"].numpy()
        checksum = store.linear_sha256(dataclasses.replace(written[1][name], codes=codes, row_scale=scale))
        rewrite_settings(copy, lambda s, n=name, c=checksum: s["linears"][n].update(sha256=c))
        with pytest.raises(LLVQError, match=match):
            store.load(copy)


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda m: m.update(version=3), "format version 3, this program reads 2"),
        (lambda m: m.update(version=2.0), "format version"),
        (lambda m: m.update(format="other"), "does not describe"),
        (lambda m: m["files"].update({"../outside": {"size": 1, "sha256": ""}}), "no plain file name"),
        (lambda m: m["files"].update({"/etc/hostname": {"size": 1, "sha256": ""}}), "no plain file name"),
        (lambda m: m["files"].update({"gone": {"size": 1, "sha256": ""}}), "lacks the file gone"),
        (lambda m: m["files"].pop("model.safetensors"), "not listed"),
        (lambda m: m["files"].pop("config.json"), "not valid"),
        (lambda m: m["files"]["config.json"].update(size=-1), "instead of -1"),
        (lambda m: m["files"]["config.json"].update(size=True), "not valid"),
        (lambda m: m.pop("files"), "not valid"),
        (lambda m: m.update(files=[]), "not valid"),
    ],
)
def test_manifests_that_lie(copy, change, match):
    rewrite_manifest(copy, change)
    with pytest.raises(LLVQError, match=match):
        store.load(copy)


Q = "model.layers.0.q_proj"


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda s: s.update(quant_method="gptq"), "no quantization_config of method llvq"),
        (lambda s: s.update(format_version=1), "format version 1"),
        (lambda s: s.pop("source"), "not valid"),
        (lambda s: s["codebooks"][0].clear(), "does not know"),
        (lambda s: s["codebooks"][0].update(levels=[1.0, float("1e999")]), "not valid JSON|does not know"),
        (lambda s: s["codebooks"][0].update(max_shell=10**9), "does not know"),
        (lambda s: s.update(codebooks=s["codebooks"] * 300), "more than 256"),
        (lambda s: s["linears"][Q].update(shape=[20, 200]), "do not fit"),
        (lambda s: s["linears"][Q].update(shape=[21, 64]), "do not fit"),
        (lambda s: s["linears"][Q].update(shape=[-20, 64]), "impossible"),
        (lambda s: s["linears"][Q].update(shape=[20, 64, 1]), "impossible"),
        (lambda s: s["linears"][Q].update(shape=[1, 2**31 - 1]), "impossible"),
        (lambda s: s["linears"][Q].update(seed="x"), "impossible"),
        (lambda s: s["linears"][Q].update(seed=-1), "impossible"),
        (lambda s: s["linears"][Q].update(seed=2**63), "impossible"),
        (lambda s: s["linears"][Q].update(codebook=2), "impossible"),
        (lambda s: s["linears"][Q].update(codebook=0), "do not fit"),
        (lambda s: s["linears"][Q].update(more=1), "impossible"),
        (lambda s: s["linears"][Q].update(sha256="0" * 64), "fails its SHA-256"),
        (lambda s: s["linears"][Q].update(seed=8), "fails its SHA-256"),
        (lambda s: s["codebooks"][1].update(levels=[4.0, 5.0]), "fails its SHA-256"),
        (lambda s: s["linears"].update(nobody=s["linears"][Q]), "'nobody' lacks its tensor"),
        (lambda s: s.update(linears=[]), "not valid"),
    ],
)
def test_settings_that_lie(copy, change, match):
    rewrite_settings(copy, change)
    with pytest.raises(LLVQError, match=match):
        store.load(copy)


def test_code_of_the_checkpoint_is_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}})
    )
    store.seal(copy)
    with pytest.raises(LLVQError, match="never run"):
        store.load(copy)


def test_changed_manifest_fails_its_checksum(copy):
    path = copy / "llvq.json"
    path.write_text(path.read_text().replace('"size": ', '"size": 1'))
    with pytest.raises(LLVQError, match="own checksum"):
        store.load(copy)


@pytest.mark.parametrize("dtype", sorted(reading.DTYPES))
def test_every_dtype_is_read_as_safetensors_reads_it(tmp_path, dtype):
    kind = getattr(torch, reading.DTYPES[dtype][0])
    tensors = {
        "a": torch.arange(6).to(kind).reshape(2, 3),
        "b": torch.zeros(0, 4).to(kind),
        "c": torch.ones(()).to(kind),
    }
    save_file(tensors, tmp_path / "t.safetensors")
    entries, _ = reading.parse_header(tmp_path / "t.safetensors")
    if dtype not in reading.QUANTIZED:
        with pytest.raises(LLVQError, match="not supported"):
            reading.read_header(tmp_path / "t.safetensors")
    assert entries.keys() == tensors.keys()
    for name, tensor in tensors.items():
        back = reading.read_tensor(entries[name])
        assert back.dtype == tensor.dtype and back.shape == tensor.shape
        narrow = tensor.element_size() == 1  # torch compares no 8-bit floats
        assert torch.equal(*(t.view(torch.uint8) if narrow else t for t in (back, tensor)))


def test_not_a_quantized_folder(tmp_path):
    with pytest.raises(LLVQError, match="There is no folder"):
        store.load(tmp_path / "nowhere")
    with pytest.raises(LLVQError, match="not a quantized model"):
        store.load(tmp_path)


class TestAtomicFolder:
    def test_success_replaces_only_when_asked(self, tmp_path):
        final = tmp_path / "out"
        for text, replace in [("one", False), ("two", True)]:
            with atomic_folder(final, replace=replace) as folder:
                (folder / "file").write_text(text)
            assert (final / "file").read_text() == text
        with pytest.raises(LLVQError, match="exists already"), atomic_folder(final):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, LLVQError])
    def test_failure_leaves_nothing_and_keeps_the_old(self, tmp_path, error):
        final = tmp_path / "out"
        with pytest.raises(error), atomic_folder(final) as folder:
            (folder / "file").write_text("half")
            raise error
        assert not list(tmp_path.iterdir())
        final.mkdir()
        (final / "old").touch()
        with pytest.raises(error), atomic_folder(final, replace=True):
            raise error
        assert (final / "old").exists() and len(list(tmp_path.iterdir())) == 1

    def test_full_disk_and_file_in_the_way(self, tmp_path):
        with pytest.raises(LLVQError, match="disk is full"), atomic_folder(tmp_path / "out"):
            raise OSError(28, os.strerror(28))
        (tmp_path / "plain").touch()
        with (
            pytest.raises(LLVQError, match="exists already"),
            atomic_folder(tmp_path / "plain", replace=True),
        ):
            pass
        with pytest.raises(LLVQError, match="Cannot write"), atomic_folder(tmp_path / "plain" / "below"):
            pass

    def test_space_is_checked_first(self, tmp_path):
        require_space(tmp_path / "deep" / "er", 1)
        with pytest.raises(LLVQError, match="MB of disk space"):
            require_space(tmp_path / "deep", 1 << 60)


def test_write_json_is_atomic_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(ValueError):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text()) == {"x": 1} and len(list(tmp_path.iterdir())) == 1
