"""Codebooks: blocks of real numbers to integer codes and back.

One protocol for everything that quantizes blocks, so that the benchmarks, the error feedback of language models and
the file format do not care which code they use.  Input is meant to have unit variance in every coordinate; whoever
quantizes something else divides by its scale first.

The Leech codes:

    ShapeGain(M, b)    v = nearest direction on shells 2 ... M;  code = index of v, then b bits of gain.
                       The gain is coded on the projection p = <x, v> / |v|, not on the norm |x|: for a given v the
                       error |x - g v/|v||^2 is |x|^2 - p^2 + (p - g)^2, so p is the quantity to approximate.
    Ball(M)            v = nearest point of the ball of shells <= M in the scaled lattice; code = index of v.
    SingleShell(m, b)  the shape-gain code on one shell.

Gain levels are Lloyd-Max levels for the distribution of p, which is |x| cos(angle): |x| is chi with 24 degrees of
freedom, exactly, and independent of the angle; the cosines are those of SAMPLE random directions, searched once with
a fixed seed.  The scales of Ball are fitted on as many blocks.  Levels and scales are part of `spec()`, which goes into
files, so decoding never repeats the fit.  Sources: arXiv 2603.11021 (shape-gain and ball codes on Leech shells);
S. Lloyd, IEEE Trans. Inf. Theory 28 (1982).  Tests: tests/test_codebook.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaln

from llvq_mini import index, search

DIM = 24
SAMPLE = 4096
"""Random directions behind gain levels and ball scales; four times as many change the MSE by less than 1e-5."""


@runtime_checkable
class Codebook(Protocol):
    """What a quantizer of blocks offers.

    name: for tables and legends.  dim: numbers a block.  bits: bits a code.  bits_per_weight: bits / dim.
    encode: float (n, dim) -> uint64[n] below 2^bits.  decode: its right inverse, float32 (n, dim).
    spec: JSON-able dict from which `from_spec` makes a codebook that decodes identically.
    """

    dim: int
    bits: int

    @property
    def name(self) -> str: ...
    @property
    def bits_per_weight(self) -> float: ...
    def encode(self, x: ArrayLike) -> NDArray[np.uint64]: ...
    def decode(self, codes: ArrayLike) -> NDArray[np.float32]: ...
    def spec(self) -> dict[str, Any]: ...


def _sample() -> NDArray[np.float64]:
    return np.random.default_rng(24).standard_normal((SAMPLE, DIM))


def _cosines(points: NDArray[np.int8], x: NDArray[np.float64]) -> NDArray[np.float64]:
    v = points.astype(np.float64)
    return np.einsum("ni,ni->n", x, v) / np.linalg.norm(v, axis=1) / np.linalg.norm(x, axis=1)


def lloyd_max_gains(cosines: NDArray[np.float64], gain_bits: int) -> NDArray[np.float64]:
    """Lloyd-Max levels for p = r c, r chi-distributed with 24 degrees of freedom, c one of `cosines` at random.

    float64[2^gain_bits], ascending.  The probability and the mean of p on an interval are exact in r (incomplete gamma
    functions) and averages over c; Lloyd's iteration stops when no level moves by more than 1e-9.
    """
    # E[r; r < a] = sqrt(2) Gamma(12.5) / Gamma(12) P(12.5, a^2 / 2) and P(r < a) = P(12, a^2 / 2).
    mean_r = np.sqrt(2.0) * np.exp(gammaln(12.5) - gammaln(12.0))

    def below(p: float) -> tuple[float, float]:
        half_square = (p / cosines) ** 2 / 2
        probability = gammainc(12.0, half_square).mean()
        return float(probability), float(mean_r * (cosines * gammainc(12.5, half_square)).mean())

    levels = (
        cosines.mean() * (4.85 + 0.7 * np.linspace(-1.5, 1.5, 2**gain_bits)) if gain_bits else np.zeros(1)
    )
    for _ in range(1000):
        edges = (levels[1:] + levels[:-1]) / 2
        moments = [(0.0, 0.0), *map(below, edges), (1.0, float(mean_r * cosines.mean()))]
        old, levels = (
            levels,
            np.array([(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(moments, moments[1:], strict=False)]),
        )
        if np.abs(levels - old).max() < 1e-9:
            break
    return levels


class _Base:
    """What the Leech codes share: the check of codes and the rate."""

    dim: ClassVar[int] = DIM
    bits: int

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.dim

    def _checked(self, codes: ArrayLike) -> NDArray[np.uint64]:
        c = np.asarray(codes)
        if c.dtype.kind not in "iu" or c.ndim != 1:
            raise TypeError(f"Argument 'codes' must be an integer vector, got {c.dtype} of shape {c.shape}.")
        if c.size and (int(c.min()) < 0 or int(c.max()) >> self.bits):
            raise ValueError(
                f"Argument 'codes' must lie in 0 ... 2**{self.bits} - 1, got up to {int(c.max())}."
            )
        return c.astype(np.uint64)


class _ShapeGainCode(_Base):
    """A code word is a direction among lattice points and one of a few gains: index in the low bits, gain above."""

    def __init__(self, min_shell: int, max_shell: int, gain_bits: int, levels: ArrayLike | None) -> None:
        if not isinstance(gain_bits, int | np.integer) or not 0 <= gain_bits <= 8:
            raise ValueError(f"Argument 'gain_bits' must be an integer in 0 ... 8, got {gain_bits!r}.")
        self.min_shell, self.max_shell, self.gain_bits = int(min_shell), int(max_shell), int(gain_bits)
        self._first = index.size(self.min_shell - 1)
        self._points = index.size(self.max_shell) - self._first
        self._shape_bits = (self._points - 1).bit_length()
        self.bits = self._shape_bits + self.gain_bits
        if self.bits > 64:
            raise ValueError(
                f"A code must fit 64 bits; max_shell={max_shell} with {gain_bits} gain bits has {self.bits}."
            )
        self.levels = self._fitted() if levels is None else np.asarray(levels, dtype=np.float64)
        if self.levels.shape != (2**self.gain_bits,) or not (
            np.isfinite(self.levels).all() and (self.levels > 0).all()
        ):
            raise ValueError(
                f"Argument 'levels' must hold {2**self.gain_bits} positive numbers, got {levels!r}."
            )
        if (np.diff(self.levels) <= 0).any():
            raise ValueError(f"Argument 'levels' must ascend, got {levels!r}.")

    def _shape(self, x: ArrayLike) -> NDArray[np.int8]:
        return search.nearest_direction(x, self.max_shell, self.min_shell)

    def _fitted(self) -> NDArray[np.float64]:
        x = _sample()
        return lloyd_max_gains(_cosines(self._shape(x), x), self.gain_bits)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes of blocks (n, 24) float32 or float64 of unit variance: uint64[n]."""
        blocks = np.asarray(x)
        v = self._shape(blocks)
        wide = v.astype(np.float64)
        projection = np.einsum("ni,ni->n", blocks.astype(np.float64), wide) / np.sqrt(
            (wide * wide).sum(axis=1)
        )
        gain = np.searchsorted((self.levels[1:] + self.levels[:-1]) / 2, projection)
        shape = index.encode(v, self.max_shell) - np.uint64(self._first)
        return shape | gain.astype(np.uint64) << np.uint64(self._shape_bits)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks of codes (n,): float32 (n, 24).  ValueError for a code outside the codebook."""
        c = self._checked(codes)
        shape = c & np.uint64((1 << self._shape_bits) - 1)
        bad = np.flatnonzero(shape >= self._points)
        if bad.size:
            raise ValueError(
                f"Argument 'codes' must name one of {self._points} points; entry {bad[0]} names number {shape[bad[0]]}."
            )
        v = index.decode(shape + np.uint64(self._first), self.max_shell).astype(np.float32)
        norms = np.einsum("ni,ni->n", v, v)  # small integers: exact in float32
        # The origin (index 0 of a ball) is no direction; encode never produces it, and it decodes to zero.
        factor = self.levels[c >> np.uint64(self._shape_bits)] / np.sqrt(
            np.maximum(norms, 1.0), dtype=np.float64
        )
        return v * factor.astype(np.float32)[:, None]


class ShapeGain(_ShapeGainCode):
    """Directions on shells 2 ... max_shell and 2^gain_bits gains: 48 bits, 2 bits a weight, for (12, 1)."""

    def __init__(self, max_shell: int = 12, gain_bits: int = 1, levels: ArrayLike | None = None) -> None:
        super().__init__(2, max_shell, gain_bits, levels)

    @property
    def name(self) -> str:
        return f"Leech shape-gain, shells 2-{self.max_shell}, {self.gain_bits} gain bits"

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, max_shell, gain_bits, levels."""
        return {
            "kind": "shape-gain",
            "max_shell": self.max_shell,
            "gain_bits": self.gain_bits,
            "levels": self.levels.tolist(),
        }


class SingleShell(_ShapeGainCode):
    """Directions on one shell and 2^gain_bits gains: 24 bits, 1 bit a weight, for (3, 0)."""

    def __init__(self, shell: int = 3, gain_bits: int = 0, levels: ArrayLike | None = None) -> None:
        super().__init__(shell, shell, gain_bits, levels)

    @property
    def name(self) -> str:
        return f"Leech shell {self.max_shell}, {self.gain_bits} gain bits"

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, shell, gain_bits, levels."""
        return {
            "kind": "single-shell",
            "shell": self.max_shell,
            "gain_bits": self.gain_bits,
            "levels": self.levels.tolist(),
        }


class Ball(_Base):
    """Points of the ball of shells <= max_shell: 48 bits, 2 bits a weight, for 13.

    scale: length of the integer frame's unit; None fits it.
    """

    def __init__(self, max_shell: int = 13, scale: float | None = None) -> None:
        self.bits = max(index.bits(max_shell), 1)
        self.max_shell = int(max_shell)
        self.scale = _ball_scale(self.max_shell) if scale is None else float(scale)
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"Argument 'scale' must be a positive finite number, got {scale!r}.")

    @property
    def name(self) -> str:
        return f"Leech ball, shells 0-{self.max_shell}"

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes of blocks (n, 24) float32 or float64 of unit variance: uint64[n]."""
        return index.encode(search.nearest_in_ball(x, self.max_shell, self.scale), self.max_shell)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks of codes (n,): float32 (n, 24).  ValueError for a code outside the ball."""
        return index.decode(self._checked(codes), self.max_shell).astype(np.float32) * np.float32(self.scale)

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, max_shell, scale."""
        return {"kind": "ball", "max_shell": self.max_shell, "scale": self.scale}


@cache
def _ball_scale(max_shell: int) -> float:
    """The scale of least squared error on the sample, by golden-section search to 0.1 %."""
    x = _sample()

    def error(scale: float) -> float:
        return float(((x - scale * search.nearest_in_ball(x, max_shell, scale)) ** 2).sum())

    # |v| reaches 4 sqrt(M), |x| is about sqrt(24): the best scale lies between half and twice their ratio.
    ratio = 24**0.5 / (4 * max(max_shell, 1) ** 0.5)
    low, high, golden = 0.5 * ratio, 2.0 * ratio, (5**0.5 - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = error(left), error(right)
    while high - low > 1e-3 * ratio:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = error(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = error(right)
    return (low + high) / 2


_KINDS: dict[str, Any] = {
    "shape-gain": ShapeGain,
    "single-shell": SingleShell,
    "ball": Ball,
}


def from_spec(spec: dict[str, Any]) -> Codebook:
    """The codebook described by `spec()`; ValueError for anything else, without evaluating it."""
    if not isinstance(spec, dict) or spec.get("kind") not in _KINDS:
        raise ValueError(f"Argument 'spec' must be a dict with 'kind' one of {sorted(_KINDS)}, got {spec!r}.")
    arguments = {key: value for key, value in spec.items() if key != "kind"}
    try:
        return _KINDS[spec["kind"]](**arguments)
    except TypeError as error:
        raise ValueError(f"Argument 'spec' does not describe a {spec['kind']} codebook: {error}.") from error
