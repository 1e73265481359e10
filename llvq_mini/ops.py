"""The packed product as a PyTorch operator, on CPU and CUDA.

    torch.ops.llvq.linear(x, codes, row_scale, seed, codebook) -> y,     y = x W^T

x: (..., in) of any floating dtype; codes: see below; row_scale: (out,) float16; seed: of the input rotation;
codebook: its `spec()` as JSON, since an operator takes tensors, numbers and strings. y: (..., out) in the dtype of x.

    device   tokens      codes                          how
    CPU      any         uint8, as in the file          packed.py: a row or a tile a thread at a time
    CUDA     1 ... 8     int32, gpu_tables.stream_of    rotate_to_fixed, then matvec: W is never expanded
    CUDA     9 ...       the same                       decode to fp16, bf16 or fp32, rotate_rows, then cuBLAS

On CUDA the weights of the third way live for one product, in the dtype of x (fp32 for fp64). The matrix product of
many tokens is torch's, so a TF32 or reduced-precision setting applies to it. Memory comes from torch's allocator, work
goes to its current stream, and nobody waits: after one call outside, an operator may be part of a CUDA graph.

The operator has a fake kernel, so torch.compile and torch.export see one opaque node; it has no derivative. Importing
this module registers it; CuPy is looked for when the first CUDA tensor arrives. Tests: ``tests/test_linear.py``,
``tests/test_ops_cuda.py``.
"""

from __future__ import annotations

import torch

from . import gpu, gpu_tables
from .packed import decoder


@torch.library.custom_op("llvq::linear", mutates_args=(), device_types="cpu")
def linear(
    x: torch.Tensor, codes: torch.Tensor, row_scale: torch.Tensor, seed: int, codebook: str
) -> torch.Tensor:
    """x W^T for a packed W. ValueError if codes, scales and the width of x do not fit together."""
    rows = x.detach().reshape(-1, x.shape[-1]).to(torch.float32)
    y = decoder(codebook).multiply(
        codes.numpy(), row_scale.numpy(), rows.numpy(), seed, threads=torch.get_num_threads()
    )
    return torch.from_numpy(y).to(x.dtype).reshape(*x.shape[:-1], len(row_scale))


@linear.register_fake
def _(
    x: torch.Tensor, codes: torch.Tensor, row_scale: torch.Tensor, seed: int, codebook: str
) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], row_scale.shape[0]))


@linear.register_kernel("cuda")
def on_cuda(
    x: torch.Tensor, codes: torch.Tensor, row_scale: torch.Tensor, seed: int, codebook: str
) -> torch.Tensor:
    """The CUDA kernel of the operator. LLVQError where CuPy or a recent GPU is missing."""
    return product(gpu.cuda(x.device.index or 0), x, codes, row_scale, seed, codebook)


def kernels_of(machine: gpu.Machine, codebook: str, shape: tuple[int, int], seed: int) -> gpu.Kernels:
    """The kernels of a matrix on a machine, made once; ValueError for a codebook without them."""

    def make() -> gpu.Kernels:
        book = decoder(codebook).book
        return gpu.Kernels(book, shape, seed, machine, gpu_tables.order_of(book))

    return gpu.kept(machine, ("kernels", codebook, shape, seed), make)


def product(
    machine: gpu.Machine,
    x: torch.Tensor,
    codes: torch.Tensor,
    row_scale: torch.Tensor,
    seed: int,
    codebook: str,
) -> torch.Tensor:
    """x W^T on a machine whose arrays are torch tensors; see the table above."""
    shape = len(row_scale), x.shape[-1]
    kernels = kernels_of(machine, codebook, shape, seed)
    if codes.dtype != torch.int32 or codes.shape != (kernels.words,):
        raise ValueError(
            f"Argument 'codes' must be {kernels.words} int32 words (gpu_tables.stream_of) for {shape[0]} x {shape[1]} "
            f"on a GPU, got {codes.dtype} of shape {tuple(codes.shape)}; let LeechLinear.to('cuda') make them."
        )
    rows = x.detach().reshape(-1, x.shape[-1]).contiguous()
    if len(rows) <= gpu.MATVEC_BATCH:
        y = kernels.matvec(codes, row_scale, rows.float()) if len(rows) else rows.new_empty((0, shape[0]))
    else:
        precision = rows.dtype if rows.dtype in (torch.float16, torch.bfloat16) else torch.float32
        weights = kernels.rotated_weights(codes, row_scale, str(precision).removeprefix("torch."))
        y = kernels.rotator.rows(rows.float()).to(precision) @ weights.T
    return y.to(x.dtype).reshape(*x.shape[:-1], shape[0])
