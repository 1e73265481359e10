"""The packed product as a PyTorch operator.

    torch.ops.llvq.linear(x, codes, row_scale, seed, codebook) -> y,     y = x W^T

x: (..., in) of any floating dtype; codes: uint8, one axis; row_scale: (out,) float16; seed: of the input rotation;
codebook: its `spec()` as JSON, since an operator takes tensors, numbers and strings. y: (..., out) in the dtype of x,
computed in float32. W is never expanded: memory beyond x and y is one row or one tile a thread (packed.py).

The operator has a fake kernel, so torch.compile and torch.export see one opaque node; it has no derivative. There is a
CPU kernel only. Importing this module registers it. Tests: ``tests/test_linear.py``.
"""

from __future__ import annotations

import torch

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
