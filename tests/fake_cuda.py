"""A GPU for tests without one: torch's CPU tensors pass for CUDA tensors, and CuPy is a double that runs the real
kernels on the CPU."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from llvq_mini import gpu
from llvq_mini.host import HostMachine, library

LAUNCHED: list[str] = []
"""Names of the kernels launched since `install`."""
COMPILED: list[str] = []
"""Sources compiled since `install`."""


class FakeKernel:
    """A kernel of CuPy: NumPy arrays where it has GPU arrays, and the limits that a launch must raise."""

    def __init__(self, name: str) -> None:
        self.name, self.max_dynamic_shared_size_bytes = name, 48 << 10

    def __call__(self, grid, block, args, shared_mem):
        assert shared_mem <= self.max_dynamic_shared_size_bytes, "CUDA refuses such a launch"
        assert len(grid) == len(block) == 1
        for value in args:
            assert isinstance(value, np.ndarray) or isinstance(value, np.generic), "CuPy cannot pass this"
        LAUNCHED.append(self.name)
        HostMachine(library()).launch(self.name, grid[0], block[0], shared_mem, args)


class FakeModule:
    def __init__(self, code, options, backend):
        folder = next(option[2:] for option in options if option.startswith("-I"))
        assert (Path(folder) / "llvq.cuh").is_file() and '.cuh"' in code and backend == "nvrtc"
        COMPILED.append(code)

    def get_function(self, name):
        return FakeKernel(name)


class FakeDevice(contextlib.nullcontext):
    attributes = {"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": 227 << 10}


def fake_cupy() -> ModuleType:
    cupy = ModuleType("cupy")
    cupy.cuda = SimpleNamespace(Device=FakeDevice, ExternalStream=lambda _: contextlib.nullcontext())
    cupy.RawModule = FakeModule

    def from_dlpack(tensor):
        assert tensor.dtype != torch.bfloat16, "CuPy has no bfloat16"
        return np.from_dlpack(tensor)

    cupy.from_dlpack = from_dlpack
    return cupy


def install(monkeypatch) -> gpu.Cuda:
    """gpu.cuda() with the doubles; no tensor is allocated but by torch, which `empty` and `to` stand for."""
    LAUNCHED.clear()
    COMPILED.clear()
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
    empty, to = torch.empty, torch.Tensor.to

    def there(tensor, *arguments, **options):
        return to(tensor, *(a for a in arguments if a != "cuda:0"), **options)

    monkeypatch.setattr(torch.Tensor, "to", there)
    monkeypatch.setattr(torch, "empty", lambda *shape, device=None, **options: empty(*shape, **options))
    gpu.cuda.cache_clear()
    return gpu.cuda()


@pytest.fixture
def forget():
    """The GPU of a test is found by that test, and forgotten after it."""
    gpu.cuda.cache_clear()
    yield
    gpu.cuda.cache_clear()


@pytest.fixture
def cuda(monkeypatch, forget) -> gpu.Cuda:
    """gpu.cuda() with the doubles."""
    return install(monkeypatch)


class FakeEvent:
    """Two events are a millisecond apart."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def elapsed_time(self, other: FakeEvent) -> float:
        return 1.0


def install_clock(monkeypatch) -> None:
    """What benchmarks need besides: streams, graphs and events of torch.cuda, and tensors made on a GPU."""
    doubles = {
        "Stream": SimpleNamespace,
        "stream": contextlib.nullcontext,
        "synchronize": lambda: None,
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: None),
        "graph": contextlib.nullcontext,
        "Event": FakeEvent,
        "get_device_name": lambda: "double",
    }
    for name, double in doubles.items():
        monkeypatch.setattr(torch.cuda, name, double)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    randn = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *shape, device=None, **options: randn(*shape, **options))
