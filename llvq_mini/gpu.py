"""CUDA kernels: their tables, their launches, and the machine they run on.

    tables_of(codebook)   one array of bytes for kernels/llvq.cuh: a header, then the library's arrays as they are
    Matrix(layer, machine)   a QuantizedLinear in the memory of a machine: .weights(), .matvec(x)
    nearest_direction(x, machine, max_shell)   search.nearest_direction, one warp a block
    cuda()   the GPU as a machine; LLVQError with one sentence where there is none

A *machine* runs kernels: it holds arrays and launches by name.  `Cuda` is the real one: CuPy compiles the sources for
the present card at first use (machine code, cached on disk by CuPy, so a second process starts at once); memory is
torch's, handed to CuPy through DLPack; work goes to torch's current stream.  The tests have another machine, which runs
the same sources on the CPU (kernels/host_shim.h), so everything here except `Cuda` is proved without a GPU.

Nothing is imported before it is needed: `import llvq_mini.gpu` loads neither CuPy nor torch.  Results: `weights` before
the rotation back and all codes are those of the CPU bit for bit; `matvec` rounds activations to 16 bits, with the bound
that kernels/matvec.cu states.  Tests: tests/test_kernels.py; on a GPU, benchmarks/gpu.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llvq_mini import golay, index, search
from llvq_mini._index_tables import tables
from llvq_mini.codebook import Ball, Codebook, ShapeGain, SingleShell, Tapered
from llvq_mini.errors import LLVQError
from llvq_mini.layer import QuantizedLinear
from llvq_mini.rotate import Rotation, hartley_matrix

ARRAYS = (
    "start", "limits", "first", "row_excess", "row_kind", "row_size", "words", "word_start", "sign_bits", "left",
    "right", "origin", "cumulative", "total", "block_node", "quad", "quad_start", "golay", "order", "factor",
    "row_inverse", "inverse",
)  # fmt: skip
"""Arrays in the order of the slots of kernels/llvq.cuh."""
HEADER = 32
SEARCH_BYTES = 4880
"""Shared memory of a warp of search.cu, sizeof(Search)."""
OLDEST = (7, 5)
"""Compute capability of the oldest cards that current CUDA compilers still serve."""
MATVEC_BATCH, MATVEC_ROWS, THREADS = 8, 4, 256


class Machine(Protocol):
    """Something that runs the kernels.

    multiprocessors, shared_bytes: how many there are, and the shared memory that one block of threads may use.
    put: a NumPy array to the machine.  empty: an uninitialized array there.
    launch: kernel `name` on `grid` blocks of `block` threads with `shared` bytes; args are arrays or NumPy scalars.
    """

    multiprocessors: int
    shared_bytes: int

    def put(self, array: NDArray) -> Any: ...
    def empty(self, shape: tuple[int, ...], dtype: str) -> Any: ...
    def launch(self, name: str, grid: int, block: int, shared: int, args: tuple[Any, ...]) -> None: ...


def codes_of(codebook: Codebook) -> tuple[NDArray, NDArray, NDArray, int]:
    """(first code of every gain, (index of the first point, last index), factor float32 (gains, 32), cap)."""
    norms = 4.0 * np.sqrt(np.arange(32, dtype=np.float64))
    if isinstance(codebook, Ball):
        cap, base, start = codebook.max_shell, 0, np.zeros(1, dtype=np.int64)
        factor = np.full((1, 32), codebook.scale, dtype=np.float32)
    elif isinstance(codebook, Tapered):
        cap, base = codebook.caps[-1], 1
        start = np.cumsum([0, *(index.size(c) - 1 for c in codebook.caps[:-1])])
    elif isinstance(codebook, ShapeGain | SingleShell):
        cap, base = codebook.max_shell, index.size(codebook.min_shell - 1)
        start = np.arange(1 << codebook.gain_bits, dtype=np.int64) << (codebook.bits - codebook.gain_bits)
    else:
        raise ValueError(
            f"Argument 'codebook' must be a Leech code (Tapered, ShapeGain, SingleShell, Ball) to run on a GPU, got "
            f"{type(codebook).__name__}; decode it on the CPU."
        )
    if not isinstance(codebook, Ball):
        with np.errstate(divide="ignore"):
            factor = (codebook.levels[:, None] / norms).astype(np.float32)
        factor[:, :2] = 0  # the origin has no direction, and shell 1 no point
    return start.astype(np.int64), np.array([base, index.size(cap) - 1], dtype=np.int64), factor, cap


def tables_of(codebook: Codebook) -> NDArray[np.uint8]:
    """Everything the kernels need to decode `codebook`: uint8, a header of 32 int32 and the arrays, 16-byte aligned.

    ValueError for a codebook that is no Leech code.
    """
    start, limits, factor, cap = codes_of(codebook)
    t = tables(cap)._asdict()
    sorted_from = np.argsort(index._ORDER, axis=1)  # where coordinate i of an octad is found in tree order
    order = (sorted_from << 4 * np.arange(8)).sum(axis=1).astype(np.uint32)
    t |= {"start": start, "limits": limits, "factor": factor, "golay": golay.WORDS, "order": order}
    t |= {"row_inverse": 1 / t["row_size"], "inverse": 1 / np.maximum(t["total"], 1)}
    header, parts, at = np.zeros(HEADER, dtype=np.int32), [], 4 * HEADER
    for slot, name in enumerate(ARRAYS):
        data = np.ascontiguousarray(t[name]).tobytes()
        header[slot] = at
        parts.append(data + bytes(-len(data) % 16))
        at += len(parts[-1])
    counts = (at, codebook.bits, len(start), len(t["first"]), t["total"].shape[1], t["quad_start"].shape[1])
    header[len(ARRAYS) : len(ARRAYS) + len(counts)] = counts
    return np.frombuffer(header.tobytes() + b"".join(parts), dtype=np.uint8)


def words_of(stream: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """A packed stream (pack.py) as the whole words that the kernels read, with one to spare at the end."""
    return np.frombuffer(stream.tobytes() + bytes(-len(stream) % 4 + 8), dtype=np.uint32)


@dataclass(frozen=True)
class Tables:
    """The tables of a codebook on a machine; `shared` bytes of it go to shared memory, 0 where it does not fit."""

    blob: Any
    shared: int

    @classmethod
    def put(cls, codebook: Codebook, machine: Machine) -> Tables:
        """Upload the tables of a codebook."""
        blob = tables_of(codebook)
        return cls(machine.put(blob), len(blob) if len(blob) <= machine.shared_bytes else 0)

    @property
    def args(self) -> tuple[Any, ...]:
        """The two kernel arguments that every decoding kernel takes."""
        return self.blob, np.int32(self.shared)


def decode_points(codes: NDArray[np.uint8], n: int, codebook: Codebook, machine: Machine) -> tuple[Any, Any]:
    """Lattice points int8 (n, 24) and numbers of the gains uint8[n] of n packed codes, on the machine."""
    t = Tables.put(codebook, machine)
    points, levels = machine.empty((n, 24), "int8"), machine.empty((n,), "uint8")
    grid = min(-(-n // THREADS), 2 * machine.multiprocessors)
    args = (machine.put(words_of(codes)), np.int64(n), *t.args, points, levels)
    machine.launch("decode_points", max(grid, 1), THREADS, t.shared, args)
    return points, levels


class Rotator:
    """rotate.Rotation on a machine: rows of numbers, or activations for matvec."""

    def __init__(self, rotation: Rotation, machine: Machine) -> None:
        power, odd = rotation.factors
        self.width, self.machine = rotation.width, machine
        self._shared = 4 * self.width * (2 if odd > 1 else 1) + 128
        if self._shared > machine.shared_bytes:
            raise LLVQError(
                f"Rotating rows of {self.width} needs {self._shared} bytes of shared memory, this machine has "
                f"{machine.shared_bytes} for a block of threads; rotate on the CPU."
            )
        hartley = machine.put(np.ascontiguousarray(hartley_matrix(odd)[min(1, odd - 1)].astype(np.float32)))
        self._args = (
            np.int32(self.width),
            np.int32(odd),
            np.uint64(rotation.seed),
            hartley,
            np.float32(power**-0.5),
        )

    def rows(self, x: Any, inverse: bool = False) -> Any:
        """R x, or R^-1 x, of float32 rows (n, width); a new array."""
        out = self.machine.empty(tuple(x.shape), "float32")
        args = (x, out, *self._args, np.int32(inverse))
        self.machine.launch("rotate_rows", x.shape[0], THREADS, self._shared, args)
        return out

    def fixed(self, x: Any) -> tuple[Any, Any]:
        """R x of float32 rows (n, width) in the fixed point of matvec: words (n, blocks, 12), step float32[n]."""
        n = x.shape[0]
        planes = self.machine.empty((n, -(-self.width // 24), 12), "int32")
        step = self.machine.empty((n,), "float32")
        self.machine.launch("rotate_to_fixed", n, THREADS, self._shared, (x, planes, step, *self._args))
        return planes, step


class Matrix:
    """A quantized weight matrix in the memory of a machine; never written out unless asked for."""

    def __init__(self, layer: QuantizedLinear, machine: Machine) -> None:
        self.shape, self.machine = layer.shape, machine
        self._tables = Tables.put(layer.codebook, machine)
        self._codes = machine.put(words_of(layer.codes))
        self._row_scale = machine.put(np.ascontiguousarray(layer.row_scale))
        self.rotator = Rotator(Rotation(layer.shape[1], layer.seed), machine)

    def rotated_weights(self, dtype: str = "float32") -> Any:
        """The matrix (out, in) in rotated coordinates: multiply it with rotated activations.

        dtype: 'float32', 'float16' or 'bfloat16'.
        """
        names = {"float32": "decode_fp32", "float16": "decode_fp16", "bfloat16": "decode_bf16"}
        if dtype not in names:
            raise ValueError(f"Argument 'dtype' must be one of {', '.join(names)}, got {dtype!r}.")
        rows, width = self.shape
        out = self.machine.empty(self.shape, dtype)
        grid = min(-(-rows * -(-width // 24) // THREADS), 2 * self.machine.multiprocessors)
        args = (self._codes, np.int64(rows), np.int32(width), *self._tables.args, self._row_scale, out)
        self.machine.launch(names[dtype], max(grid, 1), THREADS, self._tables.shared, args)
        return out

    def weights(self) -> Any:
        """The matrix (out, in) float32 in the layer's own coordinates: QuantizedLinear.dequantize."""
        return self.rotator.rows(self.rotated_weights(), inverse=True)

    def matvec(self, x: Any) -> Any:
        """x W^T of float32 activations (batch, in), batch 1 ... 8: float32 (batch, out)."""
        rows, width = self.shape
        if len(x.shape) != 2 or x.shape[1] != width or not 1 <= x.shape[0] <= MATVEC_BATCH:
            raise ValueError(
                f"Argument 'x' must have shape (1 ... {MATVEC_BATCH}, {width}), got {tuple(x.shape)}; multiply larger "
                "batches with rotated_weights()."
            )
        planes, step = self.rotator.fixed(x)
        y = self.machine.empty((x.shape[0], rows), "float32")
        grid = min(-(-rows // (MATVEC_ROWS * THREADS // 32)), 2 * self.machine.multiprocessors)
        args = (
            self._codes, np.int32(rows), np.int32(width), *self._tables.args, self._row_scale, planes, step,
            np.int32(x.shape[0]), y,
        )  # fmt: skip
        room = next(b for b in (1, 2, 4, 8) if b >= x.shape[0])
        self.machine.launch(f"matvec_{room}", grid, THREADS, self._tables.shared, args)
        return y


def nearest_direction(x: Any, machine: Machine, max_shell: int = 12, min_shell: int = 2) -> Any:
    """search.nearest_direction on a machine: int8 (n, 24), the same points.

    x: float32 or float64 (n, 24) on the machine, finite (not checked here).
    """
    search.check_shell(max_shell, 2)
    search.check_shell(min_shell, 2, "min_shell", max_shell)
    groups = np.array([(g.t, 4 * g.low**0.5, 4 * g.high**0.5) for g in search.groups(max_shell, min_shell)])
    name = "nearest_direction_fp64" if "64" in str(x.dtype) else "nearest_direction_fp32"
    n, warps = x.shape[0], THREADS // 32 // 2
    out = machine.empty((n, 24), "int8")
    grid = max(min(-(-n // warps), 8 * machine.multiprocessors), 1)
    args = (
        x, np.int64(n), np.int32(min_shell), np.int32(max_shell), np.int32(len(groups)), machine.put(groups),
        machine.put(golay.WORDS), machine.put(search._first_vector(int(min_shell))), out,
    )  # fmt: skip
    machine.launch(name, grid, 32 * warps, warps * SEARCH_BYTES, args)
    return out


def sources() -> Path:
    """The folder of the kernel sources: in the package, or beside it in a checkout."""
    inside = Path(str(resources.files("llvq_mini"))) / "kernels"
    folder = inside if inside.is_dir() else inside.parent.parent / "kernels"
    if not (folder / "llvq.cuh").is_file():
        raise LLVQError(f"The CUDA sources are missing from {folder}; install llvq_mini again.")
    return folder


FILES = {"decode": "decode.cu", "rotate": "hadamard.cu", "matvec": "matvec.cu", "nearest": "search.cu"}
"""Source file of a kernel, by the first word of its name."""


class Cuda:
    """The present GPU; see `Machine`. Arrays are torch tensors."""

    def __init__(self, torch: Any, cupy: Any) -> None:
        self._torch, self._cupy = torch, cupy
        self._kernels: dict[str, Any] = {}
        self._modules: dict[str, Any] = {}
        attributes = cupy.cuda.Device().attributes
        self.multiprocessors = int(attributes["MultiProcessorCount"])
        self.shared_bytes = int(attributes["MaxSharedMemoryPerBlockOptin"])

    def put(self, array: NDArray) -> Any:
        """A copy in GPU memory; uint32 arrives as int32 and uint8 stays, which matters to nobody but torch."""
        signed = {"uint32": np.int32, "uint16": np.int16, "uint64": np.int64}.get(array.dtype.name)
        return self._torch.from_numpy(np.array(array if signed is None else array.view(signed))).cuda()

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Memory of torch's allocator, so that it may be part of a CUDA graph."""
        return self._torch.empty(shape, dtype=getattr(self._torch, dtype), device="cuda")

    def _kernel(self, name: str, shared: int) -> Any:
        if name not in self._kernels:
            file = FILES[name.split("_")[0]]
            if file not in self._modules:
                code = (sources() / file).read_text()
                options = ("--std=c++17", f"-I{sources()}")
                self._modules[file] = self._cupy.RawModule(code=code, options=options, backend="nvrtc")
            self._kernels[name] = self._modules[file].get_function(name)
        kernel = self._kernels[name]
        if shared > kernel.max_dynamic_shared_size_bytes:
            kernel.max_dynamic_shared_size_bytes = shared
        return kernel

    def _argument(self, value: Any) -> Any:
        """NumPy scalars as they are; tensors through DLPack, bfloat16 as the 16-bit integers that CuPy knows."""
        if not isinstance(value, self._torch.Tensor):
            return value
        if not value.is_cuda or not value.is_contiguous():
            raise ValueError(
                f"Argument must be a contiguous CUDA tensor, got one of shape {tuple(value.shape)} on {value.device}; "
                "call .cuda().contiguous() first."
            )
        plain = value.view(self._torch.int16) if value.dtype == self._torch.bfloat16 else value.detach()
        return self._cupy.from_dlpack(plain)

    def launch(self, name: str, grid: int, block: int, shared: int, args: tuple[Any, ...]) -> None:
        """Run a kernel on torch's current stream."""
        with self._cupy.cuda.ExternalStream(self._torch.cuda.current_stream().cuda_stream):
            self._kernel(name, shared)((grid,), (block,), tuple(map(self._argument, args)), shared_mem=shared)


@cache
def cuda() -> Cuda:
    """The present GPU.  LLVQError says what is missing: torch with CUDA, a GPU, CuPy, or a younger card."""
    import torch

    if not torch.cuda.is_available():
        raise LLVQError(
            "No GPU: torch finds no CUDA device here (a CPU build of torch, no driver, or no card); "
            "leave out device='cuda'."
        )
    capability = torch.cuda.get_device_capability()
    if capability < OLDEST:
        raise LLVQError(
            f"Too old a card: {torch.cuda.get_device_name()} has compute capability {capability[0]}.{capability[1]}, "
            f"the kernels need {OLDEST[0]}.{OLDEST[1]} (Turing, 2018) or later; use the CPU."
        )
    try:
        import cupy
    except ImportError as error:
        raise LLVQError(
            "The CUDA kernels are compiled by CuPy, which is not installed; install it with: "
            f"pip install cupy-cuda{(torch.version.cuda or '12').split('.')[0]}x."
        ) from error
    return Cuda(torch, cupy)
