"""CUDA kernels: their tables, their launches, and the machine they run on.

    Matrix(layer, machine)   a QuantizedLinear in the memory of a machine: .weights(), .matvec(x)
    nearest_direction(x, machine, max_shell)   search.nearest_direction, one warp a block (device.py: for codebooks)
    Kernels(...)   the same without its numbers, for those who keep codes elsewhere (ops.py)
    cuda()   a GPU as a machine; LLVQError with one sentence where there is none

A machine runs kernels: it holds arrays and launches by name.  `Cuda` is the real one: CuPy compiles the sources for
the present card at first use (machine code, cached on disk by CuPy, so a second process starts at once); memory is
torch's, handed to CuPy through DLPack; work goes to torch's current stream.  The tests have another machine, which runs
the same sources on the CPU (kernels/host_shim.h), so everything here except `Cuda` is proved without a GPU.

Nothing is imported before it is needed: `import llvq_mini.gpu` loads neither CuPy nor torch.  Results: `weights` before
the rotation back and all codes are those of the CPU bit for bit; `matvec` rounds activations to 16 bits, with the bound
that kernels/matvec.cu states.  Tests: tests/test_kernels.py; on a GPU, benchmarks/gpu.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from llvq_mini import golay, gpu_tables, pack, search
from llvq_mini.codebook import Codebook
from llvq_mini.errors import LLVQError
from llvq_mini.layer import QuantizedLinear
from llvq_mini.rotate import Rotation, hartley_matrix

SEARCH_BYTES = 4880
"""Shared memory of a warp of search.cu, sizeof(Search)."""
OLDEST = (7, 5)
"""Compute capability of the oldest cards that current CUDA compilers still serve."""
MATVEC_BATCH, MATVEC_ROWS, THREADS = 8, 4, 256


class Machine(Protocol):
    """Something that runs the kernels.

    multiprocessors, shared_bytes: how many there are, and the shared memory that one block of threads may use.
    put: a NumPy array to the machine.  get: the way back.  empty: an uninitialized array there.
    launch: kernel `name` on `grid` blocks of `block` threads with `shared` bytes; args are arrays or NumPy scalars.
    """

    multiprocessors: int
    shared_bytes: int

    def put(self, array: NDArray) -> Any:
        """A copy of a NumPy array in the memory of the machine."""
        ...
    def get(self, array: Any) -> NDArray:
        """A NumPy copy of an array of the machine; waits for the work that makes it."""
        ...
    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of the machine with undefined contents."""
        ...
    def launch(self, name: str, grid: int, block: int, shared: int, args: tuple[Any, ...]) -> None:
        """Run a kernel on `grid` blocks of `block` threads with `shared` bytes of shared memory."""
        ...


_KEPT: WeakKeyDictionary[Machine, dict[Any, Any]] = WeakKeyDictionary()


def kept(machine: Machine, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` puts on a machine: made for the first who asks, and kept as long as the machine."""
    there = _KEPT.setdefault(machine, {})
    if key not in there:
        there[key] = make()
    return there[key]


@dataclass(frozen=True)
class Tables:
    """The tables of a codebook on a machine; `shared` bytes of it go to shared memory, 0 where it does not fit."""

    blob: Any
    shared: int

    @classmethod
    def put(cls, blob: NDArray[np.uint8], machine: Machine) -> Tables:
        """Upload tables made by gpu_tables."""
        staged = int(blob[: 4 * gpu_tables.HEADER].view(np.int32)[gpu_tables.STAGED])
        return cls(machine.put(blob), staged if staged <= machine.shared_bytes else 0)

    @property
    def args(self) -> tuple[Any, ...]:
        """The two kernel arguments that every decoding kernel takes."""
        return self.blob, np.int32(self.shared)


def decode_points(codes: NDArray[np.uint8], n: int, codebook: Codebook, machine: Machine) -> tuple[Any, Any]:
    """Lattice points int8 (n, 24) and numbers of the gains uint8[n] of n packed codes, on the machine."""
    t = Tables.put(gpu_tables.tables_of(codebook), machine)
    points, levels = machine.empty((n, 24), "int8"), machine.empty((n,), "uint8")
    grid = min(-(-n // THREADS), 2 * machine.multiprocessors)
    args = (machine.put(gpu_tables.words_of(codes)), np.int64(n), *t.args, points, levels)
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

        def first_row() -> Any:
            return machine.put(np.ascontiguousarray(hartley_matrix(odd)[min(1, odd - 1)], dtype=np.float32))

        self._args = (
            np.int32(self.width),
            np.int32(odd),
            np.uint64(rotation.seed),
            kept(machine, ("hartley", odd), first_row),
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


class Kernels:
    """Everything about a packed matrix but its numbers: code, shape and rotation, and so which kernels run and how.

    order: of the codes, see gpu_tables.order_of.  Tables go to a machine once, however many matrices share them.
    staged: copy tables to shared memory where they fit; otherwise they are read where they are, through the cache.
    """

    def __init__(
        self,
        codebook: Codebook,
        shape: tuple[int, int],
        seed: int,
        machine: Machine,
        order: str,
        staged: bool = True,
    ) -> None:
        self.shape, self.machine = shape, machine
        rows, width = shape
        self.blocks = rows * -(-width // 24)
        self.words = gpu_tables.words_in(self.blocks, codebook, order)
        make = gpu_tables.padded_tables_of if order == "padded" else gpu_tables.tables_of
        key = ("tables", order, json.dumps(codebook.spec()))
        tables = kept(machine, key, lambda: Tables.put(make(codebook), machine))
        self._tables = tables if staged else Tables(tables.blob, 0)
        self.rotator = Rotator(Rotation(width, seed), machine)
        self._infix = "padded_" if order == "padded" else ""

    def rotated_weights(self, codes: Any, row_scale: Any, dtype: str = "float32") -> Any:
        """See Matrix.rotated_weights; codes: words of gpu_tables.stream_of, row_scale: float16 (out,).

        ValueError for a dtype without a kernel.
        """
        names = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
        if dtype not in names:
            raise ValueError(f"Argument 'dtype' must be one of {', '.join(names)}, got {dtype!r}.")
        rows, width = self.shape
        out = self.machine.empty(self.shape, dtype)
        grid = min(-(-self.blocks // THREADS), 2 * self.machine.multiprocessors)
        args = (codes, np.int64(rows), np.int32(width), *self._tables.args, row_scale, out)
        self.machine.launch(
            f"decode_{self._infix}{names[dtype]}", max(grid, 1), THREADS, self._tables.shared, args
        )
        return out

    def matvec(self, codes: Any, row_scale: Any, x: Any) -> Any:
        """See Matrix.matvec; codes and row_scale as above. ValueError for another shape or too many rows."""
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
            codes, np.int32(rows), np.int32(width), *self._tables.args, row_scale, planes, step,
            np.int32(x.shape[0]), y,
        )  # fmt: skip
        room = next(b for b in (1, 2, 4, 8) if b >= x.shape[0])
        self.machine.launch(f"matvec_{self._infix}{room}", grid, THREADS, self._tables.shared, args)
        return y


class Matrix:
    """A quantized weight matrix in the memory of a machine; never written out unless asked for.

    order: 'padded', codes rewritten for fast decoding (padded.py), or 'file'; None takes 'padded' where the codebook
    has it.  The attribute `order` says which it is, `bits_per_weight` what a product reads.  staged: see Kernels.
    Results are the same bits.
    """

    def __init__(
        self, layer: QuantizedLinear, machine: Machine, order: str | None = None, staged: bool = True
    ) -> None:
        self.shape, self.order = layer.shape, order or gpu_tables.order_of(layer.codebook)
        if self.order not in ("padded", "file"):
            raise ValueError(f"Argument 'order' must be 'padded', 'file' or None, got {order!r}.")
        self._kernels = Kernels(layer.codebook, layer.shape, layer.seed, machine, self.order, staged)
        n = self._kernels.blocks
        self._codes = machine.put(gpu_tables.stream_of(layer.codes, n, layer.codebook, self.order))
        self._row_scale = machine.put(np.ascontiguousarray(layer.row_scale))
        read = pack.packed_size(n, gpu_tables.bits_of(layer.codebook, self.order)) + layer.row_scale.nbytes
        self.bits_per_weight = 8 * read / (layer.shape[0] * layer.shape[1])
        self.rotator = self._kernels.rotator

    def rotated_weights(self, dtype: str = "float32") -> Any:
        """The matrix (out, in) in rotated coordinates: multiply it with rotated activations.

        dtype: 'float32', 'float16' or 'bfloat16'.
        """
        return self._kernels.rotated_weights(self._codes, self._row_scale, dtype)

    def weights(self) -> Any:
        """The matrix (out, in) float32 in the layer's own coordinates: QuantizedLinear.dequantize."""
        return self.rotator.rows(self.rotated_weights(), inverse=True)

    def matvec(self, x: Any) -> Any:
        """x W^T of float32 activations (batch, in), batch 1 ... 8: float32 (batch, out)."""
        return self._kernels.matvec(self._codes, self._row_scale, x)


def nearest_direction(x: Any, machine: Machine, max_shell: int = 12, min_shell: int = 2) -> Any:
    """search.nearest_direction on a machine: int8 (n, 24), the same points.

    x: float32 or float64 (n, 24) on the machine, finite (not checked here).
    """
    search.check_shell(max_shell, 2)
    search.check_shell(min_shell, 2, "min_shell", max_shell)
    groups = np.array([(g.t, 4 * g.low**0.5, 4 * g.high**0.5) for g in search.groups(max_shell, min_shell)])
    tables = kept(
        machine,
        ("search", max_shell, min_shell),
        lambda: [machine.put(t) for t in (groups, golay.WORDS, search._first_vector(int(min_shell)))],
    )
    name = "nearest_direction_fp64" if "64" in str(x.dtype) else "nearest_direction_fp32"
    n, warps = x.shape[0], THREADS // 32 // 2
    out = machine.empty((n, 24), "int8")
    grid = max(min(-(-n // warps), 8 * machine.multiprocessors), 1)
    args = (x, np.int64(n), np.int32(min_shell), np.int32(max_shell), np.int32(len(groups)), *tables, out)
    machine.launch(name, grid, 32 * warps, warps * SEARCH_BYTES, args)
    return out


def sources() -> Path:
    """The folder of the kernel sources: in the package, or beside it in a checkout. LLVQError if it is missing."""
    inside = Path(str(resources.files("llvq_mini"))) / "kernels"
    folder = inside if inside.is_dir() else inside.parent.parent / "kernels"
    if not (folder / "llvq.cuh").is_file():
        raise LLVQError(f"The CUDA sources are missing from {folder}; install llvq_mini again.")
    return folder


def program(file: str) -> str:
    """A source, with a digest of the headers in front: CuPy keeps machine code by the source alone."""
    headers = b"".join(path.read_bytes() for path in sorted(sources().glob("*.cuh")))
    return f"// headers {hashlib.sha256(headers).hexdigest()}\n" + (sources() / file).read_text()


FILES = {"decode": "decode.cu", "rotate": "hadamard.cu", "matvec": "matvec.cu", "nearest": "search.cu"}
"""Source file of a kernel, by the first word of its name."""


class Cuda:
    """One GPU; see `Machine`. Arrays are torch tensors."""

    def __init__(self, torch: Any, cupy: Any, index: int = 0) -> None:
        self._torch, self._cupy = torch, cupy
        self._device = cupy.cuda.Device(index)
        self.device = f"cuda:{index}"
        self._kernels: dict[str, Any] = {}
        self._modules: dict[str, Any] = {}
        attributes = self._device.attributes
        self.multiprocessors = int(attributes["MultiProcessorCount"])
        self.shared_bytes = int(attributes["MaxSharedMemoryPerBlockOptin"])

    def put(self, array: NDArray) -> Any:
        """A copy in GPU memory; uint32 arrives as int32 and uint8 stays, which matters to nobody but torch."""
        signed = {"uint32": np.int32, "uint16": np.int16, "uint64": np.int64}.get(array.dtype.name)
        plain = np.array(array if signed is None else array.view(signed))
        return self._torch.from_numpy(plain).to(self.device)

    def get(self, array: Any) -> NDArray:
        """A tensor as a NumPy array; waits for the work that makes it."""
        return np.asarray(array.cpu().numpy())

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Memory of torch's allocator, so that it may be part of a CUDA graph."""
        return self._torch.empty(shape, dtype=getattr(self._torch, dtype), device=self.device)

    def _module(self, code: str) -> Any:
        options = ("--std=c++17", f"-I{sources()}")
        return self._cupy.RawModule(code=code, options=options, backend="nvrtc")

    def add(self, code: str, name: str) -> None:
        """Let `launch` know a kernel that is none of the library's; see lab.py."""
        self._kernels[name] = self._module(code).get_function(name)

    def _kernel(self, name: str, shared: int) -> Any:
        if name not in self._kernels:
            file = FILES[name.split("_")[0]]
            if file not in self._modules:
                self._modules[file] = self._module(program(file))
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
        """Run a kernel on torch's current stream; nothing is allocated and nobody waits."""
        stream = self._torch.cuda.current_stream(self.device).cuda_stream
        with self._device, self._cupy.cuda.ExternalStream(stream):
            self._kernel(name, shared)((grid,), (block,), tuple(map(self._argument, args)), shared_mem=shared)


@cache
def cuda(index: int = 0) -> Cuda:
    """GPU number `index`.  LLVQError says what is missing: torch with CUDA, a GPU, CuPy, or a younger card."""
    import torch

    if not torch.cuda.is_available():
        raise LLVQError(
            "No GPU: torch finds no CUDA device here (a CPU build of torch, no driver, or no card); "
            "leave out device='cuda'."
        )
    if not 0 <= index < torch.cuda.device_count():
        raise LLVQError(f"No GPU number {index}: torch finds {torch.cuda.device_count()}; name one of those.")
    capability = torch.cuda.get_device_capability(index)
    if capability < OLDEST:
        raise LLVQError(
            f"Too old a card: {torch.cuda.get_device_name(index)} has compute capability "
            f"{capability[0]}.{capability[1]}, the kernels need {OLDEST[0]}.{OLDEST[1]} (Turing, 2018) or later; "
            "use the CPU."
        )
    try:
        import cupy
    except ImportError as error:
        raise LLVQError(
            "The CUDA kernels are compiled by CuPy, which is not installed; install it with: "
            f"pip install cupy-cuda{(torch.version.cuda or '12').split('.')[0]}x."
        ) from error
    return Cuda(torch, cupy, index)
