"""shards.py against the safetensors package: what it wrote is what is read."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from llvq_mini import shards
from llvq_mini.errors import LLVQError

KINDS = [torch.float32, torch.bfloat16, torch.float16, torch.uint8, torch.int64, torch.float64, torch.int8]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.text('abc.é"0', min_size=1, max_size=6),
        st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 4), max_size=3)),
        min_size=1,
        max_size=6,
    )
)
def test_tensors_come_back(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("shards")
    tensors = {
        n: (torch.randn(*shape) * 9 if shape else torch.tensor(3.0)).to(d) for n, (d, shape) in table.items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    found = shards.Shards(folder)
    assert list(found) == sorted(tensors)
    for name, tensor in tensors.items():
        back = found.tensor(name)
        assert back.dtype == tensor.dtype and back.shape == tensor.shape and torch.equal(back, tensor)


def sharded(folder):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}
    for number, (name, tensor) in enumerate(tensors.items(), 1):
        save_file({name: tensor}, folder / f"model-{number}.safetensors")
    names = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (folder / shards.INDEX).write_text(json.dumps({"weight_map": names}))
    return tensors


def test_sharded_and_single_folders_have_the_same_survey(tmp_path):
    tensors = sharded(tmp_path)
    parted = shards.Shards(tmp_path)
    assert torch.equal(parted.float32("b"), torch.ones(4))
    survey = parted.survey()
    save_file(tensors, tmp_path / shards.SINGLE)
    assert shards.Shards(tmp_path).survey() == survey
    tensors["a"][1, 2] += 1e-6
    save_file(tensors, tmp_path / shards.SINGLE)
    assert shards.Shards(tmp_path).survey() != survey


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_survey_finds_what_is_not_finite_beyond_the_first_chunk(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(shards, "_CHUNK", 64)
    tensor = torch.ones(1000, dtype=dtype)
    tensor[777] = float("inf")
    save_file({"fine": torch.ones(100), "w": tensor}, tmp_path / shards.SINGLE)
    with pytest.raises(LLVQError, match="'w' holds NaN or infinity"):
        shards.Shards(tmp_path).survey()


def test_broken_folders(tmp_path):
    with pytest.raises(LLVQError, match="no .safetensors file"):
        shards.Shards(tmp_path)
    sharded(tmp_path)
    (tmp_path / "model-2.safetensors").rename(tmp_path / "elsewhere")
    with pytest.raises(LLVQError, match="lacks the file 'model-2.safetensors'"):
        shards.Shards(tmp_path)
    for weight_map in (
        '{"weight_map": {"a": "../model-1.safetensors"}}',
        "[]",
        "{",
        '{"weight_map": {"a": 3}}',
    ):
        (tmp_path / shards.INDEX).write_text(weight_map)
        with pytest.raises(LLVQError, match="lacks the file|is damaged"):
            shards.Shards(tmp_path)
    (tmp_path / shards.SINGLE).write_bytes((tmp_path / "model-1.safetensors").read_bytes()[:-3])
    with pytest.raises(LLVQError, match="damaged"):
        shards.Shards(tmp_path)


def test_integers_are_no_weights(tmp_path):
    save_file({"w": torch.ones(4, dtype=torch.int8)}, tmp_path / shards.SINGLE)
    with pytest.raises(LLVQError, match="'w' has dtype I8"):
        shards.Shards(tmp_path).float32("w")
