"""store.py and files.py: what is written is what is read, and nothing damaged is read at all."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch
from doubles import byte_tokenizer, random_hessian
from safetensors.torch import load_file, save_file

from llvq_mini import store
from llvq_mini.codebook import ShapeGain
from llvq_mini.errors import LLVQError
from llvq_mini.files import atomic_folder, require_space, write_json
from llvq_mini.layer import prepare, quantize_linear

CONFIG = {"model_type": "llama", "hidden_size": 64}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with two linears (widths 64 and 48) and two untouched tensors, and its contents in memory."""
    book = ShapeGain(max_shell=12, gain_bits=1)
    rng = np.random.default_rng(0)
    linears = {}
    for name, width in [("model.layers.0.q_proj", 64), ("model.layers.0.down_proj", 48)]:
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
    manifest = json.loads((folder / "llvq.json").read_text())
    change(manifest)
    manifest["checksum"] = store._own_checksum(manifest)
    (folder / "llvq.json").write_text(json.dumps(manifest) + "\n")


def test_round_trip(written):
    folder, linears, tensors = written
    loaded = store.load(folder)
    assert loaded.linears.keys() == linears.keys() and loaded.tensors.keys() == tensors.keys()
    for name, linear in linears.items():
        assert loaded.linears[name].codes.tobytes() == linear.codes.tobytes()
        assert loaded.linears[name].dequantize().tobytes() == linear.dequantize().tobytes()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())
    config = json.loads((folder / "config.json").read_text())
    assert config["hidden_size"] == 64 and config["model_type"] == "llvq_llama"
    assert config["quantization_config"]["base_model_type"] == "llama"


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
    assert measured["code_bytes"] == 20 * (3 + 2) * 6 and measured["scale_bytes"] == 2 * 20 * 2
    size = (folder / "model.safetensors").stat().st_size + (folder / "llvq.json").stat().st_size
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


def test_damage_names_the_tensor(copy):
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1  # safetensors sorts by dtype size, so the narrow codes lie last
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(LLVQError, match=r"'model.layers.0.\w+.codes'.* fails its SHA-256"):
        store.load(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "llvq.json", "config.json", "tokenizer.json"])
def test_missing_files(copy, name):
    (copy / name).unlink()
    with pytest.raises(LLVQError, match=name):
        store.load(copy)


def test_missing_and_unexpected_tensors(copy):
    tensors = load_file(copy / "model.safetensors")
    gone = {name: t for name, t in tensors.items() if name != "model.norm.weight"}
    extra = {**tensors, "a.stranger": torch.zeros(3)}
    wrong = {**tensors, "model.norm.weight": torch.zeros(65, dtype=torch.bfloat16)}
    for changed, match in [
        (gone, "lacks tensor 'model.norm"),
        (extra, "unexpected tensor 'a.str"),
        (wrong, r"\[65\]"),
    ]:
        save_file(changed, copy / "model.safetensors")
        size = (copy / "model.safetensors").stat().st_size
        rewrite_manifest(copy, lambda m, size=size: m["files"]["model.safetensors"].update(size=size))
        with pytest.raises(LLVQError, match=match):
            store.load(copy)


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda m: m.update(version=2), "format version 2, this program reads 1"),
        (lambda m: m.update(format="other"), "does not describe"),
        (lambda m: m["codebook"].clear(), "does not know"),
        (lambda m: m["linears"]["model.layers.0.q_proj"].update(shape=[20, 200]), "do not fit"),
        (lambda m: m["linears"]["model.layers.0.q_proj"].update(shape=[21, 64]), "do not fit"),
        (lambda m: m["linears"]["model.layers.0.q_proj"].update(shape=[-20, 64]), "not valid"),
        (lambda m: m["linears"]["model.layers.0.q_proj"].update(seed="x"), "not valid"),
        (lambda m: m["linears"].update(nobody={"shape": [1, 1], "seed": 0}), "not valid|lacks"),
        (lambda m: m["files"].update({"../outside": {"size": 1, "sha256": ""}}), "lacks the file"),
        (lambda m: m.pop("files"), "not valid"),
        (lambda m: m.pop("linears"), "not valid"),
        (lambda m: m.update(tensors=[]), "not valid"),
    ],
)
def test_manifests_that_lie(copy, change, match):
    rewrite_manifest(copy, change)
    with pytest.raises(LLVQError, match=match):
        store.load(copy)


def test_changed_manifest_fails_its_checksum(copy):
    path = copy / "llvq.json"
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 8'))
    with pytest.raises(LLVQError, match="own checksum"):
        store.load(copy)


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
