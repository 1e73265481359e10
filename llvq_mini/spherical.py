"""Quantizers for autoencoders: the interface, the straight-through gradient, and the spherical Leech code.

An encoder network gives tokens of `dim` numbers, a quantizer replaces each by one of `size` codewords, a decoder
network makes the picture from those.  Every quantizer here and in spherical_rivals.py is a torch module with

    quantized, indices, loss = module(x)        x (..., channels), channels a multiple of `dim`

quantized has the shape and dtype of x, indices (int64) the shape (..., channels / dim), without the last axis if that
is 1; loss is a scalar, to be added to that of the picture; it is 0 for a fixed code.  A code on the sphere first
normalizes each token, z = x / |x|.  Rounding has no useful derivative, so the gradient passes it by (straight
through): backward treats quantized as z, hence

    d loss / d x = (I - z z^T) g / |x|,        g = d loss / d quantized,

exactly the derivative of the normalization.  Codes that are not on a sphere have another z, tanh x for a grid.

SphericalLeech has the 196,560 minimal vectors of the Leech lattice over sqrt(32) as its code: 17.58 bits for 24
numbers, no parameters, no table, no loss.  Neighbors are 60 degrees apart everywhere and the search is exact
(kissing.py), so nothing must be learned or kept in balance.  For sequence models an index is also 24 digits 0 ... 8,
the coordinates -4 ... 4: DigitHead predicts those with 216 logits in place of 196,560.

Works in half precision, under autocast and torch.compile (the search is one custom operator; it decides on the
tokens as they come, before normalization could round a tie away).  For CUDA tensors the operator runs the exact search
of kernels/search.cu on shell 2, which gives the vectors of kissing.py, ties included; only their numbers are made on
the CPU.  That needs CuPy.  Tensors on other devices are searched on the CPU.

Source: Y. Zhao et al., "Spherical Leech quantization for visual tokenization and generation", arXiv 2512.14697; the
interface is that of the package vector-quantize-pytorch.  Tests: tests/test_spherical.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from llvq_mini import gpu, kissing


@torch.library.custom_op("llvq_mini::nearest_minimal", mutates_args=())
def nearest_minimal(x: Tensor) -> tuple[Tensor, Tensor]:
    """The minimal vectors nearest to x (n, 24), normalized, in x's dtype, and their numbers int64 (n,)."""
    blocks = x.detach().to("cpu", torch.float64).numpy()
    v = kissing.nearest(blocks)
    indices = torch.from_numpy(kissing.encode(v)).to(x.device)
    return _unit(v).to(x), indices


@nearest_minimal.register_fake
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(
        x.shape[0], dtype=torch.int64
    )


@nearest_minimal.register_kernel("cuda")
def on_cuda(x: Tensor) -> tuple[Tensor, Tensor]:
    """The CUDA kernel of the operator.  LLVQError where CuPy or a recent GPU is missing; ValueError for infinities."""
    return nearest_on(gpu.cuda(x.device.index or 0), x)


def nearest_on(machine: gpu.Machine, x: Tensor) -> tuple[Tensor, Tensor]:
    """`nearest_minimal` on a machine whose arrays are torch tensors. ValueError unless x is finite."""
    blocks = x.detach().to(torch.promote_types(x.dtype, torch.float32)).contiguous()
    if not torch.isfinite(blocks).all():
        raise ValueError("Argument 'x' must be finite; it holds NaN or infinity.")
    v = gpu.nearest_direction(blocks, machine, 2) if len(blocks) else machine.empty((0, 24), "int8")
    indices = torch.from_numpy(kissing.encode(machine.get(v)))
    return (v.to(torch.float64) / math.sqrt(32)).to(x), indices.to(x.device)


def _unit(v: np.ndarray) -> Tensor:
    """Integer minimal vectors as unit vectors, float64."""
    return torch.from_numpy(v.astype(np.float64)) / math.sqrt(32)


def normalize(x: Tensor) -> Tensor:
    """x / |x| along the last axis, safe for values of any size; zero, with zero gradient, where x is zero.

    The scale that keeps squares in range is a constant to autograd: the direction does not depend on it.
    """
    scale = x.detach().abs().amax(dim=-1, keepdim=True)
    y = x / torch.where(scale > 0, scale, torch.ones_like(scale))
    square = y.square().sum(dim=-1, keepdim=True)
    return y * torch.where(square > 0, square, torch.full_like(square, math.inf)).rsqrt()


class _StraightThrough(torch.autograd.Function):
    """Forward the codeword, exactly; backward the identity to what it stands for."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, codeword: Tensor) -> Tensor:
        return codeword.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def straight_through(z: Tensor, codeword: Tensor) -> Tensor:
    """codeword, whose gradient goes to z unchanged (Bengio, Leonard, Courville, arXiv 1308.3432)."""
    return _StraightThrough.apply(z, codeword)


class Quantizer(nn.Module):
    """What all quantizers share: shapes and dtypes.  A subclass gives `quantize`, `codewords`, perhaps `prepare`.

    Attributes: dim, numbers in a token; channels, the last axis of x; size, number of codewords; bits = log2(size),
    of a token.
    """

    def __init__(self, dim: int, size: int, channels: int | None = None) -> None:
        super().__init__()
        self.channels = dim if channels is None else channels
        if self.channels < 1 or self.channels % dim:
            raise ValueError(f"Argument 'channels' must be a positive multiple of {dim}, got {channels}.")
        self.dim, self.size, self.bits = dim, size, math.log2(size)

    def prepare(self, x: Tensor) -> Tensor:
        """What stands for tokens x (n, dim) in the gradient: x / |x| for a code on the sphere."""
        return normalize(x)

    def quantize(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens z = prepare(x) and x, both (n, dim).

        Returns: codewords (n, dim), indices (n,), auxiliary loss ().
        """
        raise NotImplementedError

    def codewords(self, indices: Tensor) -> Tensor:
        """Codewords float32 (n, dim) of indices (n,)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize the last axis of x (..., channels), any floating dtype, in tokens of dim numbers.

        Returns: quantized, like x, with the straight-through gradient; indices int64, (...) for one token and
        (..., channels / dim) for more; loss, a scalar, 0 without auxiliary losses.
        Raises ValueError for another number of channels and for values that are not finite.
        """
        if x.ndim < 1 or x.shape[-1] != self.channels or not x.is_floating_point():
            raise ValueError(
                f"Argument 'x' must be floating-point with {self.channels} channels in its last axis, "
                f"got {x.dtype} of shape {tuple(x.shape)}; move the channel axis to the end."
            )
        wide = x if x.dtype == torch.float64 else x.float()
        # bfloat16 and float16 have too few digits for losses and statistics; codewords are rounded at the end
        with torch.autocast(x.device.type, enabled=False):
            tokens = wide.reshape(-1, self.dim)
            z = self.prepare(tokens)
            codeword, indices, loss = self.quantize(z, tokens)
            quantized = straight_through(z, codeword)
        groups = self.channels // self.dim
        shape = x.shape[:-1] if groups == 1 else (*x.shape[:-1], groups)
        return quantized.reshape(x.shape).to(x.dtype), indices.reshape(shape), loss

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """The inverse: indices as `forward` returns them -> float32 (..., channels).

        Raises ValueError for indices outside 0 ... size - 1, or another last axis.
        """
        groups = self.channels // self.dim
        if indices.is_floating_point() or (groups > 1 and (indices.ndim < 1 or indices.shape[-1] != groups)):
            raise ValueError(
                f"Argument 'indices' must hold integers, {groups} of them in the last axis, "
                f"got {indices.dtype} of shape {tuple(indices.shape)}."
            )
        if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= self.size):
            low, high = int(indices.min()), int(indices.max())
            raise ValueError(f"Argument 'indices' must be in 0 ... {self.size - 1}, got {low} ... {high}.")
        shape = (*indices.shape, self.dim) if groups == 1 else (*indices.shape[:-1], self.channels)
        return self.codewords(indices.reshape(-1)).reshape(shape)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, dim={self.dim}, size={self.size}, bits={self.bits:.3f}"


class SphericalLeech(Quantizer):
    """The 196,560 minimal vectors of the Leech lattice as a code for the directions of 24 numbers.

    channels: a multiple of 24.  Codewords have length 1; the index is that of kissing.encode.  The loss is 0.
    """

    def __init__(self, channels: int = 24) -> None:
        super().__init__(24, kissing.COUNT, channels)

    def quantize(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codeword, indices = nearest_minimal(x.detach())
        return codeword, indices, x.new_zeros(())

    def codewords(self, indices: Tensor) -> Tensor:
        return _unit(kissing.decode(indices.cpu().numpy())).to(indices.device, torch.float32)

    def digits(self, indices: Tensor) -> Tensor:
        """Indices (...) as digits 0 ... 8, the coordinates of v plus 4: int64 (..., 24); ValueError out of range."""
        v = kissing.decode(indices.reshape(-1).cpu().numpy())
        return torch.from_numpy(v.astype(np.int64) + 4).to(indices.device).reshape(*indices.shape, 24)

    def from_digits(self, digits: Tensor) -> Tensor:
        """The inverse: digits (..., 24) -> indices (...).  ValueError where they are no minimal vector.

        Digits that a model has drawn one by one need not form a codeword: forward((digits - 4).float()) finds the
        nearest one.
        """
        if digits.is_floating_point() or digits.ndim < 1 or digits.shape[-1] != 24:
            raise ValueError(
                f"Argument 'digits' must hold integers, 24 in the last axis, got {digits.dtype} {tuple(digits.shape)}."
            )
        v = digits.reshape(-1, 24).cpu().numpy() - 4
        return torch.from_numpy(kissing.encode(v)).to(digits.device).reshape(digits.shape[:-1])


class DigitHead(nn.Module):
    """The factored head of a sequence model: hidden states to logits of 24 digits, each one of nine.

    The digits are taken as independent given the state, so it costs 216 outputs instead of 196,560 and cannot
    express what the lattice forbids; the paper measures that price (section 2 of its ablations).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 24 * 9)

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits (..., 24, 9) of hidden states (..., width)."""
        return self.linear(hidden).unflatten(-1, (24, 9))

    def loss(self, hidden: Tensor, digits: Tensor) -> Tensor:
        """Mean negative log-likelihood of whole tokens, in nats: the sum over the 24 digits (..., 24)."""
        logits = self(hidden).reshape(-1, 9)
        return 24 * nn.functional.cross_entropy(logits, digits.reshape(-1))
