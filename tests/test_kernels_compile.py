"""Every kernel compiles for every card that CUDA serves, without a warning; and the proofs of test_kernels.py notice
when a barrier is missing."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from mutants import fails, mutated
from nvrtc import compile_source
from test_kernels import CODEBOOKS, valid_codes, values

from llvq_mini import gpu, pack, search
from llvq_mini.host import HostMachine, library
from llvq_mini.rotate import Rotation

FILES = sorted(set(gpu.FILES.values()))
KERNEL = re.compile(r'^extern "C" __global__ void (\w+)\(|^[A-Z_]+\((\w+), [\w, ]+\)$', re.MULTILINE)


def kernels(text: str) -> set[str]:
    """Names of the kernels of a source, those made by a macro included."""
    return {one or two for one, two in KERNEL.findall(text)}


def test_every_source_is_known_and_has_kernels():
    assert sorted(path.name for path in gpu.sources().glob("*.cu")) == FILES
    for file in FILES:
        for name in kernels((gpu.sources() / file).read_text()):
            assert gpu.FILES[name.split("_")[0]] == file
    matvec = {order + size for order in ("matvec_", "matvec_padded_") for size in "1248"}
    assert kernels((gpu.sources() / "matvec.cu").read_text()) == matvec


@pytest.mark.parametrize(("file", "capability"), [
    pytest.param(file, capability, marks=[] if capability == 90 and file != "matvec.cu" else pytest.mark.slow)
    for file in FILES for capability in (75, 80, 89, 90, 100)
])  # fmt: skip
def test_nvrtc_compiles_without_a_word(file, capability):
    """No warning of the compiler, no register spilled to memory, and every kernel is in the machine code."""
    path = gpu.sources() / file
    cubin, log = compile_source(path, capability, "--ptxas-options=-warn-spills")
    assert log == ""
    assert cubin[:4] == b"\x7fELF"
    for name in kernels(path.read_text()):
        assert f".text.{name}".encode() in cubin


def test_nvrtc_speaks_up(tmp_path):
    """The test above would see a warning and an error."""
    for name in ("llvq.cuh", "padded.cuh", "host_shim.h"):
        shutil.copy(gpu.sources() / name, tmp_path)
    path = tmp_path / "decode.cu"
    path.write_text(
        (gpu.sources() / "decode.cu").read_text().replace("const float f", "float f2 = 0; float f")
    )
    assert "f2" in compile_source(path, 90)[1]
    path.write_text('extern "C" __global__ void broken() { nonsense(); }')
    with pytest.raises(RuntimeError, match="nonsense"):
        compile_source(path, 90)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("nvcc") is None, reason="no CUDA toolkit here; NVRTC has compiled the same sources"
)
@pytest.mark.parametrize("capability", [75, 80, 89, 90, 100])
def test_nvcc_compiles_with_warnings_as_errors(tmp_path, capability):
    offered = subprocess.run(
        ["nvcc", "--list-gpu-arch"], capture_output=True, text=True, check=True
    ).stdout.split()
    if f"compute_{capability}" not in offered:
        pytest.skip(f"this nvcc does not know sm_{capability}")
    for file in FILES:
        command = ["nvcc", "-std=c++17", f"-arch=sm_{capability}", "-Werror", "all-warnings", "-cubin", "-o"]
        subprocess.run([*command, str(tmp_path / "out.cubin"), str(gpu.sources() / file)], check=True)


def rotates(machine: HostMachine) -> bool:
    x = np.random.default_rng(1).standard_normal((1, 1024)).astype(np.float32)
    rotation = Rotation(1024, 7)
    return bool((gpu.Rotator(rotation, machine).rows(x) == rotation.apply(x)).all())


def searches(machine: HostMachine) -> bool:
    x = np.random.default_rng(1).standard_normal((16, 24))
    x[4:, 4:] *= 0.01  # nearly sparse: many moves a leaf
    return bool((gpu.nearest_direction(x, machine) == search.nearest_direction(x)).all())


def decodes(machine: HostMachine) -> bool:
    codebook = CODEBOOKS["tapered"]
    codes = valid_codes(codebook, np.random.default_rng(1), 600)
    points, levels = gpu.decode_points(pack.pack(codes, 48), len(codes), codebook, machine)
    return bool((values(codebook, points, levels) == codebook.decode(codes)).all())


@pytest.mark.slow
@pytest.mark.parametrize(("file", "barrier", "proof"), [
    ("llvq.cuh", "    __syncthreads();\n", decodes),
    ("hadamard.cu", "    __syncthreads();  // the row is complete\n", rotates),
    ("hadamard.cu", "        }\n        __syncthreads();\n    }\n}", rotates),
    ("search.cu", "        c.peak[lane] = peak;\n    }\n    __syncwarp();\n", searches),
    ("search.cu", "__syncwarp();\n    for (int j = 0, i = lane; i < count; i += 32, ++j) {\n        s.move", searches),
])  # fmt: skip
def test_a_missing_barrier_shows(tmp_path, file, barrier, proof):
    """Remove one barrier: the threads run in three orders, and at least one gives a wrong result."""
    sync = "__syncthreads();" if "__syncthreads" in barrier else "__syncwarp();"
    assert not fails(HostMachine(library()), proof)
    broken = mutated(tmp_path, file, barrier, barrier.replace(sync, ""))
    assert any(fails(HostMachine(broken, order), proof) for order in (0, 1, 2))
