"""Codebooks: blocks of real numbers to integer codes and back.

One protocol for everything that quantizes blocks, so that the benchmarks, the error feedback of language models and
the file format do not care which code they use.  Input is meant to have unit variance in every coordinate; whoever
quantizes something else divides by its scale first.

The Leech codes:

    ShapeGain(M, b)    v = nearest direction on shells 2 ... M;  code = index of v, then b bits of gain.
                       The gain is coded on the projection p = <x, v> / |v|, not on the norm |x|.
    Tapered(M_1 ... )  several gains again, each with its own cap, because a shorter block needs fewer directions for
                       the same error: the points that caps below 12 save pay for more gains.
    Ball(M)            v = nearest point of the ball of shells <= M in the scaled lattice; code = index of v.
    SingleShell(m, b)  the shape-gain code on one shell.

Levels and scales are fitted to the Gaussian source once (gain.py has the theory) and are part of `spec()`, which goes
into files, so decoding never repeats the fit.  Sources: arXiv 2603.11021 (shape-gain and ball codes on Leech shells);
S. Lloyd, IEEE Trans. Inf. Theory 28 (1982).  Tests: tests/test_codebook.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini import gain, index, search


@runtime_checkable
class Codebook(Protocol):
    """What a quantizer of blocks offers.

    name: for tables and legends.  dim: numbers a block.  bits: bits a code.  bits_per_weight: bits / dim.
    table_bytes: what a decoder keeps in memory, levels and learned vectors included.
    encode: float (n, dim) -> uint64[n] below 2^bits.  decode: its right inverse, float32 (n, dim).
    spec: JSON-able dict from which `from_spec` makes a codebook that decodes identically.
    """

    @property
    def dim(self) -> int:
        """Weights of a block."""
        ...
    @property
    def bits(self) -> int:
        """Bits of a code word."""
        ...
    @property
    def name(self) -> str:
        """What it is, for people."""
        ...
    @property
    def bits_per_weight(self) -> float:
        """bits / dim."""
        ...
    @property
    def table_bytes(self) -> int:
        """Bytes of tables that a decoder needs."""
        ...
    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes of blocks (n, dim) of unit variance: uint64 (n,), or uint8 (n, bytes) for more than 64 bits."""
        ...
    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks of codes: float32 (n, dim).  ValueError for a code outside the codebook."""
        ...
    def spec(self) -> dict[str, Any]:
        """JSON-able description, from which `rates.from_spec` makes the same codebook."""
        ...


class _Base:
    """What the Leech codes share: the check of codes, the rate and the tables."""

    dim: ClassVar[int] = gain.DIM
    bits: int
    max_shell: int

    @property
    def bits_per_weight(self) -> float:
        return self.bits / self.dim

    @property
    def table_bytes(self) -> int:
        return index.table_bytes(self.max_shell)

    def _checked(self, codes: ArrayLike, count: int | None = None) -> NDArray[np.uint64]:
        """codes as uint64, each below `count` (2^bits by default)."""
        c, limit = np.asarray(codes), 1 << self.bits if count is None else count
        if c.dtype.kind not in "iu" or c.ndim != 1:
            raise TypeError(f"Argument 'codes' must be an integer vector, got {c.dtype} of shape {c.shape}.")
        if c.size and (int(c.min()) < 0 or int(c.max()) >= limit):
            raise ValueError(
                f"Argument 'codes' must lie in 0 ... {limit - 1}, got {int(c.min())} ... {int(c.max())}."
            )
        return c.astype(np.uint64)


class _ShapeGainCode(_Base):
    """A code word is a direction among lattice points and one of a few gains: index in the low bits, gain above."""

    def __init__(self, min_shell: int, max_shell: int, gain_bits: int, levels: ArrayLike | None) -> None:
        if (
            not isinstance(gain_bits, int | np.integer)
            or isinstance(gain_bits, bool)
            or not 0 <= gain_bits <= 8
        ):
            raise ValueError(f"Argument 'gain_bits' must be an integer in 0 ... 8, got {gain_bits!r}.")
        self.max_shell, self.gain_bits = search.check_shell(max_shell, 2), int(gain_bits)
        self.min_shell = search.check_shell(min_shell, 2, "min_shell", self.max_shell)
        self._first = index.size(self.min_shell - 1)
        self._points = index.size(self.max_shell) - self._first
        self._shape_bits = (self._points - 1).bit_length()
        self.bits = self._shape_bits + self.gain_bits
        if self.bits > 64:
            raise ValueError(
                f"A code must fit 64 bits; max_shell={max_shell} with {gain_bits} gain bits has {self.bits}."
            )
        self.levels = self._fitted() if levels is None else np.asarray(levels, dtype=np.float64)
        gain.check_levels(self.levels, 2**self.gain_bits)

    def _shape(self, x: ArrayLike) -> NDArray[np.int8]:
        return search.nearest_direction(x, self.max_shell, self.min_shell)

    def _fitted(self) -> NDArray[np.float64]:
        x = gain.sample()
        return gain.lloyd_max(gain.projections(self._shape(x), x) / np.linalg.norm(x, axis=1), self.gain_bits)

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes of blocks (n, 24) float32 or float64 of unit variance: uint64[n]."""
        v = self._shape(x)
        projection = gain.projections(v, np.asarray(x))
        level = np.searchsorted((self.levels[1:] + self.levels[:-1]) / 2, projection)
        shape = index.encode(v, self.max_shell) - np.uint64(self._first)
        return shape | level.astype(np.uint64) << np.uint64(self._shape_bits)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks of codes (n,): float32 (n, 24).  ValueError for a code outside the codebook."""
        c = self._checked(codes)
        shape = c & np.uint64((1 << self._shape_bits) - 1)
        if c.size and int(shape.max()) >= self._points:
            bad = int(shape.argmax())
            raise ValueError(
                f"Argument 'codes' must name one of {self._points} points; entry {bad} names number {shape[bad]}."
            )
        v = index.decode(shape + np.uint64(self._first), self.max_shell)
        return gain.scaled_directions(v, self.levels[c >> np.uint64(self._shape_bits)])


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


class Tapered(_Base):
    """Gains with one shell cap each, ascending; code = points of the smaller gains + index of the shape - 1.

    caps: shell caps of the gains, ascending.  The default has 2^48 codes, less 0.1 %.  levels: the gains; None fits
    them to the Gaussian source by Lloyd's iteration on a sample.
    """

    def __init__(self, caps: Sequence[int] = (8, 9, 10, 11, 12, 12), levels: ArrayLike | None = None) -> None:
        self.caps = tuple(search.check_shell(cap, 2, "caps") for cap in caps)
        if not self.caps or list(self.caps) != sorted(self.caps):
            raise ValueError(
                f"Argument 'caps' must be one or more shell caps in ascending order, got {caps!r}."
            )
        self.max_shell = self.caps[-1]
        sizes = [index.size(cap) - 1 for cap in self.caps]  # the origin is no direction
        if sum(sizes) >= 1 << 63:
            raise ValueError(f"Argument 'caps' must have fewer than 2**63 points in all, got {caps!r}.")
        self._start = np.cumsum([0, *sizes])
        self.bits = (sum(sizes) - 1).bit_length()
        self.levels = np.array(_tapered_levels(self.caps) if levels is None else levels, dtype=np.float64)
        gain.check_levels(self.levels, len(self.caps))

    @property
    def name(self) -> str:
        return f"Leech tapered shape-gain, caps {', '.join(map(str, self.caps))}"

    def _best(self, x: NDArray) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Shape and number of the gain of least error for every block, exactly.

        The error is |x|^2 - 2 p g + g^2 with p the projection for the gain's cap.  Projections fall with the cap, so
        that of a larger cap bounds what a smaller one can reach, and most blocks need one search only.
        """
        shape = np.empty(x.shape, dtype=np.int8)
        level = np.zeros(len(x), dtype=np.int64)
        best = np.full(len(x), np.inf)
        bound = np.full(len(x), np.inf)  # projection for the last cap searched: at least that of smaller caps
        for cap in sorted(set(self.caps), reverse=True):
            numbers = np.flatnonzero(np.array(self.caps) == cap)
            gains = self.levels[numbers]
            reachable = (gains**2 - 2 * bound[:, None] * gains).min(axis=1) < best
            rows = np.flatnonzero(reachable | np.isinf(bound))
            v = search.nearest_direction(x[rows], cap)
            p = bound[rows] = gain.projections(v, x[rows])
            error = gains**2 - 2 * p[:, None] * gains
            choice = error.argmin(axis=1)
            error = error[np.arange(len(rows)), choice]
            better = error < best[rows]
            won = rows[better]
            shape[won], best[won] = v[better], error[better]
            level[won] = numbers[choice[better]]
        return shape, level

    def encode(self, x: ArrayLike) -> NDArray[np.uint64]:
        """Codes of blocks (n, 24) float32 or float64 of unit variance: uint64[n]."""
        shape, level = self._best(np.asarray(x))
        return index.encode(shape, self.max_shell) + (self._start[level] - 1).astype(np.uint64)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """Blocks of codes (n,): float32 (n, 24).  ValueError for a code outside the codebook."""
        c = self._checked(codes, int(self._start[-1])).astype(np.int64)
        level = np.searchsorted(self._start, c, side="right") - 1
        return gain.scaled_directions(
            index.decode(c - self._start[level] + 1, self.max_shell), self.levels[level]
        )

    def spec(self) -> dict[str, Any]:
        """JSON-able description: kind, caps, levels."""
        return {"kind": "tapered", "caps": list(self.caps), "levels": self.levels.tolist()}


@cache
def _tapered_levels(caps: tuple[int, ...]) -> NDArray[np.float64]:
    """The gains of least error on the sample, fitted once a process."""
    x = gain.sample(8 * gain.SAMPLE)
    by_cap = {cap: gain.projections(search.nearest_direction(x, cap), x) for cap in set(caps)}
    p = np.stack([by_cap[cap] for cap in caps], axis=1)
    return np.sort(gain.lloyd_by_cap(p, 60))


class Ball(_Base):
    """Points of the ball of shells <= max_shell: 48 bits, 2 bits a weight, for 13.

    scale: length of the integer frame's unit; None fits it.
    """

    def __init__(self, max_shell: int = 13, scale: float | None = None) -> None:
        self.max_shell = search.check_shell(max_shell, 2)
        self.bits = index.bits(self.max_shell)
        if scale is not None and not (isinstance(scale, int | float) and np.isfinite(scale) and scale > 0):
            raise ValueError(f"Argument 'scale' must be a positive finite number, got {scale!r}.")
        self.scale = _ball_scale(self.max_shell) if scale is None else float(scale)

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
    x = gain.sample()

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


_KINDS: dict[str, Any] = {"shape-gain": ShapeGain, "single-shell": SingleShell, "ball": Ball, "tapered": Tapered}


def from_spec(spec: dict[str, Any], more: Mapping[str, Any] | None = None) -> Codebook:
    """The codebook described by `spec()`; ValueError for anything else, missing entries included.

    more: classes of further kinds, whose parameters are the entries of their specs.
    """
    kinds = {**_KINDS, **(more or {})}
    kind = spec.get("kind") if isinstance(spec, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"Argument 'spec' must be a dict with 'kind' one of {sorted(kinds)}, got {spec!r}.")
    arguments = {key: value for key, value in spec.items() if key != "kind"}
    needed = set(inspect.signature(kinds[kind]).parameters)
    if arguments.keys() != needed or None in arguments.values():
        raise ValueError(
            f"Argument 'spec' of kind '{kind}' must have exactly {sorted(needed)}, got {spec!r}."
        )
    try:
        made: Codebook = kinds[kind](**arguments)
        return made
    except (TypeError, OverflowError) as error:
        raise ValueError(f"Argument 'spec' does not describe a {kind} codebook: {error}.") from error
