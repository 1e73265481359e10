"""lab.py: a right kernel passes in every order of threads, a wrong one is told where, an unfinished one is not run."""

from __future__ import annotations

from pathlib import Path

import fake_cuda
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from llvq_mini import host, lab

DOUBLED = """extern "C" __global__ void doubled(const float* x, int n, float* y) {
    float* shared = reinterpret_cast<float*>(llvq_shared);
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) shared[threadIdx.x] = x[i];
    __syncthreads();
    if (i < n) y[i] = shared[threadIdx.x] + shared[(i ^ 1) < n ? threadIdx.x ^ 1 : threadIdx.x];
}"""
X = np.arange(70, dtype=np.float32)
ARGS = X, np.int32(70), lab.Out((70,), "float32")
WANT = X + X.reshape(-1, 2)[:, ::-1].ravel()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(host, "FLAGS", ["-O0" if flag == "-O2" else flag for flag in host.FLAGS])


def test_right_wrong_and_unfinished(capsys):
    assert lab.check(DOUBLED, ARGS, WANT, grid=2, block=64, shared=256)
    assert capsys.readouterr().out.count("right") == 3
    assert not lab.check(DOUBLED.replace("__syncthreads();", ""), ARGS, WANT, 2, 64, 256)
    assert "wrong, first at (" in capsys.readouterr().out
    assert not lab.check(DOUBLED.replace("const int i", lab.OPEN), ARGS, WANT, 2, 64, 256)
    assert capsys.readouterr().out == "Not yet: write code in place of '// your lines'.\n"
    assert not lab.check(DOUBLED.replace("const int i", "const int j"), ARGS, WANT, 2, 64, 256)
    assert "The compiler refuses" in capsys.readouterr().out
    with pytest.raises(ValueError, match="must hold one 'extern"):
        lab.check("void f() {}", ARGS, WANT, 2, 64)


def test_a_gpu_is_asked_last(monkeypatch, capsys):
    machine = fake_cuda.install(monkeypatch)
    monkeypatch.setattr(
        type(machine), "launch", lambda self, *launch: launch[-1][-1].copy_(2 * launch[-1][0])
    )
    assert not lab.check(DOUBLED, ARGS, WANT, 2, 64, 256)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("GPU: ") and "first at (0,): 0.0, should be 1.0" in last


@pytest.mark.slow
def test_the_lab_runs_on_a_cpu(tmp_path):
    """Top to bottom: unfinished tasks say so, solutions are right in all orders of threads, and nothing is timed."""
    path = Path(__file__).parents[1] / "notebooks" / "lab_kernels.ipynb"
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    printed = "".join(
        o.text
        for cell in book.cells
        if cell.cell_type == "code"
        for o in cell.outputs
        if o.output_type == "stream"
    )
    assert printed.count("Not yet: ") == 6 and printed.count("CPU, threads shuffled: right") == 6
    assert "the time of a kernel on the CPU says nothing" in printed
