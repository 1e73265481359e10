"""Compile kernel.cu for the CPU and run it in a process of its own, which may crash or hang without harm."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel_worker import GARBAGE
from numpy.typing import NDArray

SHIM = Path(__file__).resolve().parents[1] / "shim"
FLAGS = ["-std=c++17", "-O1", "-shared", "-fPIC", "-U_FORTIFY_SOURCE", "-Wno-clobbered", "-x", "c++"]
ERRORS = {
    1: "some threads wait at a barrier that others never reach",
    2: "the kernel writes behind its shared memory",
}
_compiled: dict[str, Path] = {}


def _library(source: Path) -> Path:
    """The compiled kernels; the test fails with the compiler's first words if there is an error."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if not compiler:
        pytest.fail("problem 4.4 needs a C++ compiler; install g++ and try again", pytrace=False)
    key = hashlib.sha256(source.read_bytes()).hexdigest()
    if key not in _compiled:
        path = Path(tempfile.mkdtemp()) / "kernel.so"
        include = f'#include "{SHIM / "host_scheduler.h"}"\n#include "{source.resolve()}"\n'
        main = path.with_suffix(".cpp")
        main.write_text(include + "HOST_KERNEL(decode_signs)\nHOST_KERNEL(matvec_signs)\n", encoding="utf-8")
        done = subprocess.run(
            [compiler, *FLAGS, "-o", str(path), str(main)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.fail("kernel.cu does not compile: " + done.stderr.strip()[:1500], pytrace=False)
        _compiled[key] = path
    return _compiled[key]


def launch(source: Path, calls: list[tuple[Any, ...]], seconds: float = 20) -> list[NDArray[np.float32]]:
    """Run kernels; every call is (name, grid, block, shared bytes, arrays, floats of output, last int argument).

    The threads of a block run in three orders, and all must give the same. Returns the outputs.
    """
    job = {"library": str(_library(source)), "calls": calls}
    command = [sys.executable, str(Path(__file__).with_name("kernel_worker.py"))]
    try:
        done = subprocess.run(
            command, input=pickle.dumps(job), capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"a kernel ran longer than {seconds:g} s; is there an endless loop?", pytrace=False)
    if done.returncode:
        pytest.fail("a kernel crashed: it reads or writes where nothing is", pytrace=False)
    outputs: list[NDArray[np.float32]] = []
    for call, runs in zip(calls, pickle.loads(done.stdout), strict=True):
        for error, out in runs:
            assert error == 0, f"{call[0]}: {ERRORS[error]}"
            assert np.array_equal(out, runs[0][1]), (
                f"{call[0]}: the result depends on the order of the threads; is a __syncthreads() missing?"
            )
        if np.all(runs[0][1] == GARBAGE):
            pytest.fail(f"not written yet: {call[0]} writes nothing", pytrace=False)
        outputs.append(runs[0][1])
    return outputs
