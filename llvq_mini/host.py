"""A machine for gpu.py that runs the CUDA sources on the CPU: to read along, and to prove kernels without a GPU.

    machine = HostMachine(library())
    gpu.Matrix(layer, machine).matvec(x)          # arrays are NumPy's

The sources are compiled by g++ with kernels/host_shim.h, which says what is imitated and what is not; a thread is a
fiber, so results are exact and slow.  Tests: tests/test_kernels.py.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llvq_mini import gpu
from llvq_mini.errors import LLVQError

FLAGS = [
    "-std=c++17", "-O2", "-shared", "-fPIC", "-ffp-contract=off", "-U_FORTIFY_SOURCE",
    "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-clobbered",
]  # fmt: skip
ERRORS = {1: "some threads wait at a barrier that others never reach", 2: "wrote behind its shared memory"}


def build(folder: Path, sources: Path | None = None) -> ctypes.CDLL:
    """Compile the kernels in `sources` (default: those of the library) for the CPU.

    LLVQError without a compiler, or with what it says against them.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if not compiler:
        raise LLVQError(
            "Running kernels on the CPU needs a C++ compiler; install one (Debian: apt-get install g++)."
        )
    library = folder / "libllvq_host.so"
    driver = (sources or gpu.sources()) / "host_driver.cpp"
    done = subprocess.run([compiler, *FLAGS, "-o", str(library), str(driver)], capture_output=True, text=True)
    if done.returncode:
        raise LLVQError(f"The compiler refuses the kernels:\n{done.stderr}")
    return ctypes.CDLL(str(library))


@cache
def library() -> ctypes.CDLL:
    """The kernels of the library, compiled once a process."""
    with tempfile.TemporaryDirectory() as folder:
        return build(Path(folder))


class HostMachine:
    """See gpu.Machine.  order: in which order the threads of a block run: 0 up, 1 down, otherwise shuffled."""

    multiprocessors = 2

    def __init__(self, library: ctypes.CDLL, order: int = 0, shared_bytes: int = 200 << 10) -> None:
        self._library, self.order, self.shared_bytes = library, order, shared_bytes

    def put(self, array: NDArray) -> NDArray:
        """A copy, as a real machine makes one."""
        return np.array(array, order="C")

    def get(self, array: NDArray) -> NDArray:
        """The array itself."""
        return array

    def empty(self, shape: tuple[int, ...], dtype: str) -> NDArray:
        """Filled with garbage, so that nothing unwritten looks right; bfloat16 as its bits."""
        out = np.empty(shape, dtype="uint16" if dtype == "bfloat16" else dtype)
        out.view(np.uint8)[...] = 0xA5
        return out

    def launch(self, name: str, grid: int, block: int, shared: int, args: tuple[Any, ...]) -> None:
        """Run a kernel; RuntimeError for a barrier that not all threads reach or a write behind shared memory."""
        pointers, keep = (ctypes.c_void_p * len(args))(), []
        for i, value in enumerate(args):
            raw = np.array(value.ctypes.data if isinstance(value, np.ndarray) else value)
            keep.append(raw)
            pointers[i] = raw.ctypes.data
        error = getattr(self._library, f"host_{name}")(grid, block, shared, self.order, pointers)
        if error:
            raise RuntimeError(f"Kernel {name} {ERRORS[error]}.")
