"""What the spherical Leech code is compared with, under the same interface (spherical.Quantizer).

    BSQ             z -> sign(z) / sqrt(d) on the sphere; d bits for d numbers
    LFQ             x -> sign(x), no normalization; d bits
    FSQ             tanh x, rounded to one of l_i levels a coordinate
    LearnedVQ       a list of codewords, each a running mean (EMA) of the tokens it was nearest to
    SphericalList   a fixed list of unit vectors: random, Fibonacci-like, or one class of the minimal vectors

Auxiliary losses are computed in training mode only; weight 0 turns one off.

    commitment      mean |z - codeword|^2 per token, the codeword held fixed: pulls the encoder to the code
    entropy         (E H(p(z)) - H(E p(z))) / tau: each token sure of its code, all codes used alike.  With p(c | z) in
                    proportion to exp(-tau |z - c|^2) and codewords (±l, ..., ±l), bits are independent given z and
                    bit i is + with probability sigma(4 tau l z_i), so the first term is a sum over bits; the second
                    is taken as one too, an upper bound on the entropy of the mean, as BSQ does.

Weights are those of BSQ's published training, entropy 0.1 with tau = 100 and no commitment; the same for LFQ, with its
commitment reduced to 0.0025, a hundredth of what is usual, because the picture loss here is a squared error of about
0.01 and the usual weight drowns it.

The Fibonacci-like code is the additive recurrence u_n = frac(n alpha + 1/2), alpha_i = phi^-i with phi^(d+1) = phi + 1
(in one dimension the golden ratio), taken through the normal quantile function and normalized: the Gaussian has no
preferred direction, so an even point set of the cube becomes a fairly even one of the sphere.

A list of N codewords is searched by one product of tokens with all of them, N d multiplications a token, in slices;
among equally near codewords the first wins.  Sources: Y. Zhao, Y. Xiong, P. Krahenbuhl, BSQ, arXiv 2406.07548; L. Yu
et al., LFQ, arXiv 2310.05737; F. Mentzer et al., FSQ, arXiv 2309.15505; A. van den Oord et al., VQ-VAE with EMA, arXiv
1711.00937, appendix A.1; M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018).
Tests: tests/test_spherical_rivals.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor
from torch.nn import functional

from llvq_mini import leech
from llvq_mini.spherical import Quantizer, normalize

SUBCODES = {1_104: (0, 1_104), 97_152: (1_104, 98_256), 98_304: (98_256, 196_560)}
"""Rows of leech.minimal_vectors() of its three classes, by their size."""


def commitment(z: Tensor, codeword: Tensor) -> Tensor:
    """Mean squared distance of tokens to their codewords, whose gradient goes to the tokens."""
    return (z - codeword.detach()).square().sum(dim=-1).mean()


def _entropy_loss(logits: Tensor) -> Tensor:
    """E H(p) - H(E p) in nats, p = sigma(logits), (n, bits): sums over bits, means over tokens."""
    p = torch.sigmoid(logits)
    # H = log(1 + e^a) - a p, which stays finite, with its gradient, where p rounds to 0 or 1
    sure = (functional.softplus(logits) - logits * p).sum(dim=-1).mean()
    mean = p.mean(dim=0).clamp(1e-7, 1 - 1e-7)
    return sure + (mean * mean.log() + (1 - mean) * (1 - mean).log()).sum()


class _Signs(Quantizer):
    """Codewords (±level)^d, losses on the bits; index bit i is set where coordinate i is negative."""

    def __init__(self, bits: int, channels: int | None, entropy: float, commit: float, tau: float) -> None:
        if not isinstance(bits, int) or not 1 <= bits <= 62:
            raise ValueError(f"Argument 'bits' must be an integer in 1 ... 62, got {bits!r}.")
        super().__init__(bits, 2**bits, channels)
        self.level, self.entropy, self.commit, self.tau = 1.0, entropy, commit, tau

    def quantize(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        negative = z < 0
        codeword = torch.where(negative, -self.level, self.level).to(z)
        place = torch.arange(self.dim, device=z.device)
        indices = (negative.long() << place).sum(dim=-1)
        loss = z.new_zeros(())
        if self.training and self.commit:
            loss = loss + self.commit * commitment(z, codeword)
        if self.training and self.entropy:
            loss = loss + self.entropy / self.tau * _entropy_loss(4 * self.tau * self.level * z)
        return codeword, indices, loss

    def codewords(self, indices: Tensor) -> Tensor:
        bits = indices[:, None] >> torch.arange(self.dim, device=indices.device) & 1
        return self.level * (1 - 2 * bits.float())


class BSQ(_Signs):
    """Binary spherical quantization of `bits` numbers to as many bits.  entropy, commit: weights of the losses."""

    def __init__(
        self,
        bits: int = 18,
        channels: int | None = None,
        entropy: float = 0.1,
        commit: float = 0.0,
        tau: float = 100.0,
    ) -> None:
        super().__init__(bits, channels, entropy, commit, tau)
        self.level = bits**-0.5


class LFQ(_Signs):
    """Lookup-free quantization: signs of numbers that are not normalized.  entropy, commit: weights of the losses."""

    def __init__(
        self,
        bits: int = 18,
        channels: int | None = None,
        entropy: float = 0.1,
        commit: float = 0.0025,
        tau: float = 100.0,
    ) -> None:
        super().__init__(bits, channels, entropy, commit, tau)

    def prepare(self, x: Tensor) -> Tensor:
        return x


class FSQ(Quantizer):
    """Finite scalar quantization: tanh of every number, rounded to l evenly spaced levels from -1 to 1.

    levels: one number >= 2 for every coordinate; (8, 8, 8, 8, 7, 7) is 17.6 bits.  It needs no loss.  The paper shifts
    even l by half a step so that 0 is a level; here levels are symmetric, as in baselines/binary.py.
    """

    levels: Tensor
    place: Tensor

    def __init__(self, levels: Sequence[int] = (8, 8, 8, 8, 7, 7), channels: int | None = None) -> None:
        if not levels or min(levels) < 2 or math.prod(levels) >= 2**62:
            raise ValueError(
                f"Argument 'levels' must hold numbers >= 2 with product below 2**62, got {levels!r}."
            )
        super().__init__(len(levels), math.prod(levels), channels)
        self.register_buffer("levels", torch.tensor(list(levels)), persistent=False)
        place = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("place", torch.tensor(place), persistent=False)

    def prepare(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def quantize(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        digits = torch.round((z + 1) / 2 * (self.levels - 1)).long()
        return self._values(digits).to(z), (digits * self.place).sum(dim=-1), z.new_zeros(())

    def _values(self, digits: Tensor) -> Tensor:
        return 2 * digits.float() / (self.levels - 1) - 1

    def codewords(self, indices: Tensor) -> Tensor:
        return self._values(indices[:, None] // self.place % self.levels)


def nearest_row(x: Tensor, rows: Tensor, offset: Tensor | None = None, block: int = 2048) -> Tensor:
    """The row with the largest <x, row> (minus offset), the first of equals, int64[n]; `block` rows at a time."""
    best = x.new_full((len(x),), -math.inf)
    indices = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    for start in range(0, len(rows), block):  # a block of scores stays in the cache of a processor
        score = x @ rows[start : start + block].T
        value, at = (score if offset is None else score - offset[start : start + block]).max(dim=-1)
        better = value > best
        best, indices = torch.where(better, value, best), torch.where(better, at + start, indices)
    return indices


class SphericalList(Quantizer):
    """A fixed list of unit vectors, (size, dim); commit: weight of the commitment loss."""

    rows: Tensor

    def __init__(self, rows: Tensor, channels: int | None = None, commit: float = 0.0) -> None:
        if rows.ndim != 2 or not rows.is_floating_point() or not torch.isfinite(rows).all():
            raise ValueError(
                f"Argument 'rows' must be a finite (size, dim) matrix, got {rows.dtype} {tuple(rows.shape)}."
            )
        super().__init__(rows.shape[1], rows.shape[0], channels)
        self.register_buffer("rows", normalize(rows).float(), persistent=False)
        self.commit = commit

    def quantize(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            indices = nearest_row(z.float(), self.rows)
        codeword = self.rows[indices].to(z)
        loss = self.commit * commitment(z, codeword) if self.training and self.commit else z.new_zeros(())
        return codeword, indices, loss

    def codewords(self, indices: Tensor) -> Tensor:
        return self.rows[indices]


def random_sphere(size: int = 196_560, dim: int = 24, seed: int = 0) -> SphericalList:
    """`size` independent uniform directions."""
    return SphericalList(torch.randn(size, dim, generator=torch.Generator().manual_seed(seed)))


def fibonacci_sphere(size: int = 196_560, dim: int = 24) -> SphericalList:
    """The Fibonacci-like code of the module's introduction."""
    phi = 1.5
    for _ in range(64):  # a contraction: phi = (1 + phi)^(1 / (dim + 1))
        phi = (1 + phi) ** (1 / (dim + 1))
    alpha = phi ** -np.arange(1.0, dim + 1)
    u = (np.arange(1, size + 1)[:, None] * alpha + 0.5) % 1.0
    return SphericalList(torch.from_numpy(ndtri(np.clip(u, 1e-12, 1 - 1e-12))))


def leech_class(size: int) -> SphericalList:
    """One class of the minimal vectors: (±4, ±4) 1,104; octads 97,152; words 98,304."""
    if size not in SUBCODES:
        raise ValueError(f"Argument 'size' must be one of {sorted(SUBCODES)}, got {size}.")
    start, end = SUBCODES[size]
    return SphericalList(torch.from_numpy(leech.minimal_vectors()[start:end].astype(np.float32)))


class LearnedVQ(Quantizer):
    """A learned list: codeword = running sum / running count of its tokens, with decay `decay` a step.

    The first batch in training mode draws the initial codewords from its tokens, with a little noise where the list
    is longer than the batch.  commit: weight of the commitment loss.  Codewords that nothing is nearest to stay.
    """

    rows: Tensor
    count: Tensor
    total: Tensor
    started: Tensor

    def __init__(
        self, size: int, dim: int = 24, channels: int | None = None, decay: float = 0.99, commit: float = 0.25
    ) -> None:
        super().__init__(dim, size, channels)
        if not 0 < decay < 1:
            raise ValueError(f"Argument 'decay' must lie between 0 and 1, got {decay}.")
        self.decay, self.commit = decay, commit
        self.register_buffer("rows", torch.randn(size, dim))
        self.register_buffer("total", self.rows.clone())
        self.register_buffer("count", torch.ones(size))
        self.register_buffer("started", torch.tensor(False))

    def prepare(self, x: Tensor) -> Tensor:
        return x

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        """Initial codewords from the tokens of a batch."""
        spread = x.std() if len(x) > 1 else x.abs().mean()
        picks = torch.randint(len(x), (self.size,), device=x.device)
        self.rows.copy_(x[picks] + 0.1 * spread * torch.randn_like(self.rows))
        self.total.copy_(self.rows)
        self.started.fill_(True)

    @torch.no_grad()
    def _update(self, x: Tensor, indices: Tensor) -> None:
        """One step of the running means."""
        weight = 1 - self.decay
        self.count.mul_(self.decay).index_add_(0, indices, torch.full_like(x[:, 0], weight))
        self.total.mul_(self.decay).index_add_(0, indices, weight * x)
        used = indices.unique()
        self.rows[used] = self.total[used] / self.count[used, None]

    def quantize(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = z.detach().float()
        if self.training and not self.started and len(tokens):
            self._start(tokens)
        with torch.no_grad():
            indices = nearest_row(tokens, self.rows, self.rows.square().sum(dim=-1) / 2)
        codeword = functional.embedding(indices, self.rows).to(z)
        loss = z.new_zeros(())
        if self.training:
            loss = self.commit * commitment(z, codeword)
            self._update(tokens, indices)
        return codeword, indices, loss

    def codewords(self, indices: Tensor) -> Tensor:
        return self.rows[indices]
