"""LeechLinear: the linear layer whose weight stays in its codes.

    packed    y = llvq::linear(x)             2 bits a weight in memory, decoded anew for every product
    cached    y = x W^T with W kept dense     `cache()`; the codes stay, so it is saved as it was loaded

The state is what the file holds: `weight` uint8 and `row_scale` float16, buffers both, and `bias` if there is one.
`row_scale` stays float16 whatever dtype the model is moved to: it belongs to the codes.

On CUDA a copy of the codes in the order of the GPU (gpu_tables.stream_of) takes their place: `.to("cuda")` makes it
once, `weight` stays in CPU memory, where it is saved from. On other devices `cache()` first.

What this file does not do: training. Tests: ``tests/test_linear.py``, ``tests/test_ops_cuda.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from . import gpu_tables, ops, pack
from .codebook import Codebook
from .feedback import padded_width
from .layer import QuantizedLinear
from .packed import decoder


class LeechLinear(nn.Module):
    """A linear layer (in_features -> out_features) with packed weights, empty until its state is loaded.

    codebook: what the codes mean.  seed: of the input rotation.  dtype: of the bias.
    """

    weight: torch.Tensor
    row_scale: torch.Tensor
    dense: torch.Tensor | None
    words: torch.Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        codebook: Codebook,
        seed: int,
        bias: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.seed = in_features, out_features, seed
        self.codebook = json.dumps(codebook.spec())
        blocks = out_features * (padded_width(in_features, codebook.dim) // codebook.dim)
        size = pack.packed_size(blocks, codebook.bits)
        self.register_buffer("weight", torch.empty(size, dtype=torch.uint8))
        self.register_buffer("row_scale", torch.empty(out_features, dtype=torch.float16))
        self.register_buffer("dense", None, persistent=False)
        self.register_buffer("words", None, persistent=False)
        self.bias = nn.Parameter(torch.empty(out_features, dtype=dtype)) if bias else None

    @classmethod
    def from_quantized(cls, linear: QuantizedLinear, bias: torch.Tensor | None = None) -> LeechLinear:
        """The layer of a quantized matrix; it shares its memory."""
        rows, width = linear.shape
        made = cls(width, rows, linear.codebook, linear.seed)
        made.weight, made.row_scale = torch.from_numpy(linear.codes), torch.from_numpy(linear.row_scale)
        made.bias = None if bias is None else nn.Parameter(bias)
        return made

    def quantized(self) -> QuantizedLinear:
        """The matrix as layer.py knows it."""
        shape = (self.out_features, self.in_features)
        codes, scale = self.weight.cpu().numpy(), self.row_scale.cpu().numpy()
        return QuantizedLinear(codes, scale, shape, self.seed, decoder(self.codebook).book)

    def cache(self, dtype: torch.dtype = torch.float32) -> LeechLinear:
        """Keep the dense weight beside the codes from now on; `release` forgets it again."""
        self.dense = torch.from_numpy(self.quantized().dequantize()).to(self.row_scale.device, dtype)
        return self

    def release(self) -> LeechLinear:
        """Back to codes only."""
        self.dense = None
        return self

    def to_dense(self, dtype: torch.dtype = torch.float32) -> nn.Linear:
        """An ordinary linear layer with the decoded weight."""
        with torch.device("meta"):
            made = nn.Linear(self.in_features, self.out_features, bias=False)
        weight = torch.from_numpy(self.quantized().dequantize()).to(self.row_scale.device, dtype)
        made.weight = nn.Parameter(weight, requires_grad=False)
        made.register_parameter("bias", self.bias)
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features) in the dtype of x. ValueError for another width."""
        if self.dense is not None:
            return nn.functional.linear(x, self.dense, self.bias)
        if x.shape[-1] != self.in_features:  # a width that fills as many blocks would go unnoticed
            raise ValueError(f"Argument 'x' must have {self.in_features} columns, got shape {tuple(x.shape)}")
        if self.row_scale.is_cuda and self.words is None:
            self.settle()
        codes = self.weight if self.words is None else self.words
        y = ops.linear(x, codes, self.row_scale, self.seed, self.codebook)
        return y if self.bias is None else y + self.bias

    def settle(self) -> None:
        """Put the codes where the kernels of `row_scale`'s device read them; only a CUDA device has a copy of its own.

        ValueError for codes outside the codebook, and for a codebook that CUDA kernels do not know.
        """
        self.weight, self.words = self.weight.cpu(), None
        if not self.row_scale.is_cuda:
            return
        linear, decode = self.quantized(), decoder(self.codebook)
        blocks = self.out_features * decode.blocks(self.in_features)
        decode.check(linear.codes, blocks)
        order = gpu_tables.order_of(decode.book)
        words = gpu_tables.stream_of(linear.codes, blocks, decode.book, order).view(np.int32)
        self.words = torch.tensor(words, device=self.row_scale.device)

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        self.words = None  # of the codes that were there before
        super()._load_from_state_dict(*arguments, **options)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> LeechLinear:
        codes, scale = self.weight, self.row_scale
        super()._apply(fn, recurse)
        if self.row_scale.dtype != scale.dtype:
            self.row_scale = scale.to(self.row_scale.device)
        if self.weight.is_cuda and not codes.is_meta:  # codes that were there before; they stay in CPU memory
            self.weight = codes.cpu()
            if self.words is None and self.dense is None:
                self.settle()
        if not self.row_scale.is_cuda:
            self.words = None
        return self

    def extra_repr(self) -> str:
        """Sizes and codebook for print(model)."""
        kind = json.loads(self.codebook)["kind"]
        return f"in_features={self.in_features}, out_features={self.out_features}, codebook={kind}"


def leech_linears(model: nn.Module) -> dict[str, LeechLinear]:
    """The packed linears of a model by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LeechLinear)}


def cache_all(model: nn.Module, dtype: torch.dtype) -> None:
    """Switch every packed linear to its dense weight, keeping the codes."""
    for module in leech_linears(model).values():
        module.cache(dtype)


def dequantize_all(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace every packed linear by an ordinary one, in place and one after another."""
    for name, module in leech_linears(model).items():
        model.set_submodule(name, module.to_dense(dtype))
