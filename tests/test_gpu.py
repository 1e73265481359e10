"""gpu.py without a GPU: what it says where something is missing; doubles play torch and CuPy (fake_cuda.py)."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import fake_cuda
import numpy as np
import pytest
import torch
from fake_cuda import cuda, forget  # noqa: F401
from test_kernels import CODEBOOKS, random_layer

from llvq_mini import gpu, search
from llvq_mini.errors import LLVQError
from llvq_mini.host import HostMachine, library

ROOT = Path(__file__).parent.parent


pytestmark = pytest.mark.usefixtures("forget")


def test_without_a_gpu_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        LLVQError, match=r"^No GPU: torch finds no CUDA device here .* leave out device='cuda'\.$"
    ):
        gpu.cuda()


def test_too_old_a_card_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    with pytest.raises(LLVQError, match=r"Tesla V100 has compute capability 7.0, the kernels need 7.5"):
        gpu.cuda()


def test_a_gpu_that_is_not_there_one_sentence(cuda):  # noqa: F811
    with pytest.raises(LLVQError, match=r"^No GPU number 1: torch finds 1; name one of those\.$"):
        gpu.cuda(1)


def test_without_cupy_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "12.9")
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(
        LLVQError, match=r"CuPy, which is not installed; install it with: pip install cupy-cuda12x\.$"
    ):
        gpu.cuda()


def test_a_layer_through_torch_and_cupy(cuda):  # noqa: F811
    layer = random_layer(CODEBOOKS["tapered"], 19, 256)
    matrix, host = gpu.Matrix(layer, cuda), gpu.Matrix(layer, HostMachine(library()))
    np.testing.assert_array_equal(matrix.weights().numpy(), layer.dequantize())
    for dtype in ("float16", "float32"):
        np.testing.assert_array_equal(matrix.rotated_weights(dtype).numpy(), host.rotated_weights(dtype))
    bfloat = matrix.rotated_weights("bfloat16")
    assert bfloat.dtype == torch.bfloat16
    np.testing.assert_array_equal(
        bfloat.view(torch.int16).numpy().view(np.uint16), host.rotated_weights("bfloat16")
    )
    x = torch.randn(3, 256, requires_grad=True)
    y = matrix.matvec(x)
    assert y.dtype == torch.float32 and y.shape == (3, 19)
    np.testing.assert_array_equal(y.numpy(), host.matvec(x.detach().numpy()))
    assert len(fake_cuda.COMPILED) == 3, "each source is compiled once"


def test_search_through_torch_and_cupy(cuda):  # noqa: F811
    x = torch.randn(20, 24, dtype=torch.float64)
    np.testing.assert_array_equal(gpu.nearest_direction(x, cuda).numpy(), search.nearest_direction(x.numpy()))
    single = gpu.nearest_direction(x.float(), cuda, 13)
    np.testing.assert_array_equal(single.numpy(), search.nearest_direction(x.float().numpy(), 13))


def test_strided_tensors_are_refused(cuda):  # noqa: F811
    matrix = gpu.Matrix(random_layer(CODEBOOKS["tapered"], 4, 64), cuda)
    with pytest.raises(ValueError, match="must be a contiguous CUDA tensor, got one of shape"):
        matrix.matvec(torch.randn(64, 2).T)


def test_headers_are_part_of_what_cupy_keeps(tmp_path, monkeypatch):
    """CuPy finds machine code again by the source; a changed header must not bring back the old one."""
    before = gpu.program("matvec.cu")
    shutil.copytree(gpu.sources(), tmp_path / "kernels")
    monkeypatch.setattr(gpu, "sources", lambda: tmp_path / "kernels")
    assert gpu.program("matvec.cu") == before
    with (tmp_path / "kernels" / "padded.cuh").open("a") as file:
        file.write("// changed")
    assert gpu.program("matvec.cu") != before


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """benchmarks/gpu.py on small shapes, writing elsewhere."""
    spec = importlib.util.spec_from_file_location("benchmarks_gpu", ROOT / "benchmarks" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULT", tmp_path / "gpu.json")
    monkeypatch.setattr(module, "SHAPES", {"one": (8, 48), "two": (4, 72)})
    monkeypatch.setattr(module, "MODEL_8B", {(8, 48): 2, (4, 72): 1})
    monkeypatch.setattr(module, "RESIDENT", 1)
    monkeypatch.setattr(module, "BLOCKS", 16)
    return module


def test_checks_of_the_benchmark_pass_and_it_is_silent_without_a_gpu(benchmark, monkeypatch, capsys):
    found = benchmark.checks(HostMachine(library()), 50)
    assert len(found) == 10 and all(one["ok"] for one in found), found
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    benchmark.main()
    assert capsys.readouterr().out.endswith("Nothing was measured.\n")
    assert not benchmark.RESULT.exists()


def test_every_line_of_the_benchmark_runs(benchmark, cuda, monkeypatch, capsys):  # noqa: F811
    """With doubles for the clock, part by part into one file; a disagreement stops it."""
    fake_cuda.install_clock(monkeypatch)
    monkeypatch.setattr(benchmark.shutil, "which", lambda _: None)
    for parts in ("shapes,rivals", "search,sanitizer"):
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--parts", parts])
        benchmark.main()
    result = json.loads(benchmark.RESULT.read_text())
    assert set(result) == {"meta", "shapes", "model_8b", "rivals", "search", "sanitizer"}
    assert result["model_8b"]["matvec 1"] == pytest.approx(3 * 1e-3 / 4)
    assert result["search"]["blocks_per_second"] == pytest.approx(16e3)
    assert set(result["shapes"]["one"]) >= {
        "speedup 8",
        "matvec 1, version 1",
        "matvec 1, tables in the cache",
    }
    monkeypatch.setattr(benchmark, "checks", lambda *_: [{"ok": False}])
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--checks"])
    with pytest.raises(SystemExit, match="The GPU disagrees with the CPU"):
        benchmark.main()
