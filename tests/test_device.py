"""device.py: codebooks, layers and whole models that search with the CUDA kernel, run on the CPU by the host shim, come
out as with the library's own search, bit for bit."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from adversarial import blocks as adversarial_blocks
from doubles import random_hessian, some_text, tiny_llama

from llvq_mini import cli, device, gpu, pipeline, search
from llvq_mini.codebook import Ball, ShapeGain, SingleShell, Tapered
from llvq_mini.errors import LLVQError
from llvq_mini.host import HostMachine, library
from llvq_mini.interlocked import Interlocked
from llvq_mini.layer import prepare, quantize_linear

BOOKS = {
    "tapered": Tapered(levels=[2.8, 3.6, 4.2, 4.7, 5.2, 5.9]),
    "shape-gain": ShapeGain(12, 1, levels=[4.3, 5.4]),
    "shell": SingleShell(3, 0, levels=[4.7]),
    "interlocked": Interlocked(levels=np.linspace(3, 5.8, 6)),
}


class Counting(HostMachine):
    """The host machine; counts blocks searched, and may answer wrongly."""

    def __init__(self, wrong: bool = False) -> None:
        super().__init__(library())
        self.blocks: list[int] = []
        self.wrong = wrong

    def launch(self, name, grid, block, shared, args):
        assert name.startswith("nearest_direction")
        super().launch(name, grid, block, shared, args)
        self.blocks.append(len(args[0]))
        if self.wrong:
            args[-1][0] = search._first_vector(2)


@pytest.mark.parametrize("name", BOOKS)
def test_codes_are_those_of_the_cpu(name):
    book, rng = BOOKS[name], np.random.default_rng(3)
    machine = Counting()
    for x in (
        rng.standard_normal((40, 24)),
        rng.standard_normal((1, 24)),
        np.zeros((2, 24)),
        np.zeros((0, 24)),
    ):
        x = x.astype(np.float32)
        want = book.encode(x)
        with device.searching(machine):
            np.testing.assert_array_equal(book.encode(x), want)
    assert sum(machine.blocks) >= 43 and not search.is_elsewhere()


def test_ties_are_decided_as_on_the_cpu():
    book, machine = BOOKS["tapered"], Counting()
    for name, x in adversarial_blocks(np.random.default_rng(8), 4).items():
        want = book.encode(x)
        with device.searching(machine):
            np.testing.assert_array_equal(book.encode(x), want, err_msg=name)


def test_input_is_checked_before_it_leaves():
    machine, bad = Counting(), np.full((3, 24), np.nan)
    with device.searching(machine):
        with pytest.raises(ValueError, match="must be finite; block 0 holds NaN"):
            search.nearest_direction(bad)
        with pytest.raises(ValueError, match="'max_shell'"):
            search.nearest_direction(np.ones((1, 24)), 99)
    assert not machine.blocks


def test_an_error_inside_brings_the_search_back():
    with pytest.raises(KeyError), device.searching(Counting()):
        raise KeyError
    assert not search.is_elsewhere()


def test_threads_take_turns():
    x = [np.random.default_rng(seed).standard_normal((9, 24)) for seed in range(6)]
    want = [search.nearest_direction(one) for one in x]
    with device.searching(Counting()), ThreadPoolExecutor(3) as pool:
        for got, expected in zip(pool.map(search.nearest_direction, x), want, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_layer_with_feedback(wrong):
    """One wrong point changes all that follows, so equality means something; a wave of rows is one launch."""
    book, prepared = BOOKS["shape-gain"], prepare(random_hessian(48, 1), seed=4)
    weight = np.random.default_rng(2).standard_normal((200, 48)).astype(np.float32)
    want, _ = quantize_linear(weight, prepared, book)
    machine = Counting(wrong)
    with device.searching(machine):
        got, _ = quantize_linear(weight, prepared, book)
    assert machine.blocks == [200, 200]
    assert (got.codes.tobytes() == want.codes.tobytes()) != wrong
    assert wrong or got.row_scale.tobytes() == want.row_scale.tobytes()


@pytest.mark.slow
def test_a_model_has_the_same_file(tmp_path, monkeypatch):
    machine = Counting()
    monkeypatch.setattr(gpu, "cuda", lambda index: machine)
    tiny_llama(tmp_path / "model")
    settings = pipeline.Settings(codebook="shape-gain", windows=2, context=64)
    for name in ("cpu", "cuda"):
        pipeline.quantize(tmp_path / "model", tmp_path / name, settings, some_text(), device=name)
    assert sum(machine.blocks) > 1000
    files = [path.name for path in (tmp_path / "cpu").iterdir() if path.name != "report.json"]
    assert "model.safetensors" in files
    for name in files:
        assert (tmp_path / "cuda" / name).read_bytes() == (tmp_path / "cpu" / name).read_bytes()
    inputs = [json.loads((tmp_path / name / "report.json").read_text())["inputs"] for name in ("cpu", "cuda")]
    assert inputs[0] == inputs[1]


def test_one_sentence_where_the_gpu_is_missing(tmp_path, monkeypatch, capsys):
    """Before anything is read or written."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.cuda.cache_clear()
    monkeypatch.setattr(pipeline.Settings, "make_codebook", lambda _: BOOKS["tapered"])
    arguments = ["quantize", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out"), "--device"]
    assert cli.main([*arguments, "cuda"]) == 1
    assert capsys.readouterr().err.startswith("llvq: No GPU: torch finds no CUDA device here")
    assert cli.main([*arguments, "tpu"]) == 2
    assert "'device' must be 'cpu', 'cuda' or 'cuda:N', got 'tpu'" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_codes_without_a_kernel_are_refused():
    with pytest.raises(ValueError, match="'device' must be 'cpu' for 'Leech ball, shells 0-13'"):
        device.searching_on("cuda", Ball(13, scale=0.35))
    with pytest.raises(LLVQError, match="No GPU"):
        device.searching_on("cuda:1", BOOKS["tapered"])
    with device.searching_on("cpu", Ball(13, scale=0.35)):
        assert not search.is_elsewhere()
