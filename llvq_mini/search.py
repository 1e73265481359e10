"""Exact search in the Leech lattice: nearest direction, nearest point of a ball, nearest point.

All three are list decoding with a certificate.  Take a target y and a squared radius R2 and list every lattice point v
with |y - v|^2 < R2 (there are two to five of them when R2 is about 14); keep the best.  Whatever beats the best one
found must itself lie within a radius that follows from the best score, so once R2 has reached that radius the answer
is proved.  With x the block, b its best score so far and y = t x (|x| = 1 for directions):

    direction   |t x - v|^2 < t^2 (1 - b^2) + max_n (sqrt(n) - t b)^2
    ball        |t x - v|^2 < t^2 |x|^2 - t b + (1 - t) N,  t <= 1
    lattice     |x - v|^2   < |x|^2 - b,  t = 1

where n runs over the norms of the shells wanted, N is the largest norm in the ball, and b is the largest cosine for a
direction and the largest 2 <x, v> - |v|^2 otherwise.

How the list is made is the business of _listing.py.  This module chooses targets, groups of shells and radii, and
decides between candidates.  Decisions are made in float64 on one formula, so that every implementation returns the
same point: the dot product is summed over the coordinates in order, without fused operations;

    score = <x, v> / sqrt(|v|^2)   or   2 <x, v> - |v|^2.

The larger score wins, among equal scores the smaller shell, then the vector that is larger at the first coordinate
where the two differ.

Blocks are scaled by a power of two beforehand, so tiny and huge inputs lose nothing.  A plain class-by-class search,
about a thousand times slower, is in reference.py.  Source of the class-by-class idea: Adoul and Barth, IEEE Trans.
Inf. Theory 34 (1988); the certificate is derived in the chapter "Searching exactly".  Tests: tests/test_search.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llvq_mini import _listing
from llvq_mini._parallel import over_rows

MAX_SHELL = 31
"""Largest supported shell cap: the largest ball whose indices fit a signed 64-bit integer."""


class Group(NamedTuple):
    """Consecutive shells searched with one target: length t of the target, first and last shell."""

    t: float
    low: int
    high: int


@cache
def groups(max_shell: int, min_shell: int = 2) -> tuple[Group, ...]:
    """The groups of shells min_shell ... max_shell, outermost first, for `nearest_direction`.

    A group spans at most 2.6 in sqrt(|v|^2), which keeps its certificate near the distance of the nearest lattice
    point.  t minimizes that certificate at the usual angle, where t^2 (1 - b^2) is about 12.9: it makes the two ends of
    the span equally costly, unless the group is so narrow that t = b sqrt(n) is better still.
    """
    found, high = [], max_shell
    while high >= min_shell:
        low = high
        while low > min_shell and 4 * (high**0.5 - (low - 1) ** 0.5) <= 2.6:
            low -= 1
        middle = 2 * (high**0.5 + low**0.5)
        cosine = (middle * middle / (middle * middle + 12.9)) ** 0.5
        found.append(Group(min(middle / cosine, cosine * 4 * high**0.5), low, high))
        high = low - 1
    return tuple(found)


def check_shell(value: int, lowest: int, argument: str = "max_shell", highest: int = MAX_SHELL) -> int:
    """A shell number as a Python int; ValueError unless it is an integer in lowest ... highest."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not lowest <= value <= highest:
        raise ValueError(
            f"Argument '{argument}' must be an integer in {lowest} ... {highest}, got {value!r}."
        )
    return int(value)


def _blocks(x: ArrayLike) -> NDArray:
    a = np.asarray(x)
    if a.dtype not in (np.float32, np.float64):
        raise TypeError(f"Argument 'x' must be float32 or float64, got dtype {a.dtype}; convert it first.")
    if a.ndim != 2 or a.shape[1] != 24:
        raise ValueError(f"Argument 'x' must have shape (n, 24), got {a.shape}.")
    bad = np.flatnonzero(~np.isfinite(a).all(axis=1))
    if bad.size:
        raise ValueError(
            f"Argument 'x' must be finite; block {bad[0]} holds NaN or infinity ({bad.size} such blocks)."
        )
    return np.ascontiguousarray(a)


@cache
def _first_vector(shell: int) -> NDArray[np.int8]:
    """The vector of a shell that comes first by the tie rule: largest first coordinate, then second, and so on."""
    falling = 2.0 ** (-8.0 * np.arange(24))  # its order of dot products is the order of the tie rule
    return _directions(falling[None], shell, shell, 1)[0]


Directions = Callable[[NDArray, int, int], NDArray[np.int8]]
"""blocks (n, 24) float32 or float64, finite; max_shell; min_shell -> the points of `nearest_direction`."""
_elsewhere: Directions | None = None


def is_elsewhere() -> bool:
    """Whether `nearest_direction` asks another machine, which wants many blocks at a time."""
    return _elsewhere is not None


@contextmanager
def directions_by(other: Directions) -> Iterator[None]:
    """Meanwhile `nearest_direction` checks its arguments and asks `other`, in the whole process and in all its threads.

    The same points are expected, from another machine (gpu.py): codebooks need not know where they come from.
    """
    global _elsewhere
    before, _elsewhere = _elsewhere, other
    try:
        yield
    finally:
        _elsewhere = before


def _directions(blocks: NDArray, max_shell: int, min_shell: int, threads: int | None) -> NDArray[np.int8]:
    """`nearest_direction` of checked blocks, here."""
    out = np.empty(blocks.shape, dtype=np.int8)
    t, low, high = (np.array(c, dtype=np.float64) for c in zip(*groups(max_shell, min_shell), strict=True))
    ends = 4 * np.sqrt(low), 4 * np.sqrt(high)
    norms = 16.0 * min_shell, 16.0 * max_shell
    over_rows(lambda s: _listing.directions(blocks[s], *norms, t, *ends, out[s]), len(blocks), threads)
    return out


def nearest_direction(
    x: ArrayLike, max_shell: int = 12, min_shell: int = 2, threads: int | None = None
) -> NDArray[np.int8]:
    """The lattice point of shells min_shell ... max_shell with the largest cosine to each block, exactly.

    Args:
        x: (n, 24) float32 or float64, any finite values.  A zero block has no direction: all points are equally good,
            and the tie rule gives it the first vector of the smallest shell, (4, 4, 0, ..., 0) on shell 2.
        min_shell, max_shell: 2 <= min_shell <= max_shell <= 31.  Ties are all visited: a sparse block takes seconds on
            a single far shell, where thousands of points are equally near, but milliseconds at most with min_shell=2.
        threads: None for all processors.

    Returns:
        int8 (n, 24), vectors in the sqrt(8)-scaled frame.

    Raises:
        TypeError: `x` holds no real numbers, or a shell is no integer.
        ValueError: another shape, values that are not finite, or shells out of range.
    """
    check_shell(max_shell, 2)
    check_shell(min_shell, 2, "min_shell", max_shell)
    blocks = _blocks(x)
    if _elsewhere is not None:
        return _elsewhere(blocks, max_shell, min_shell)
    out = _directions(blocks, max_shell, min_shell, threads)
    zero = ~blocks.any(axis=1)
    if zero.any():
        out[zero] = _first_vector(int(min_shell))
    return out


def nearest_in_ball(
    x: ArrayLike, max_shell: int = 13, scale: float = 1.0, threads: int | None = None
) -> NDArray[np.int8]:
    """The point v of the ball (origin and shells 2 ... max_shell) that minimizes |x - scale v|, exactly.

    Args:
        x: (n, 24) float32 or float64, any finite values.
        max_shell: 0 ... 31.
        scale: positive; the unit of the integer frame.
        threads: None for all processors.

    Returns:
        int8 (n, 24), the points v.

    Raises:
        TypeError: `x` holds no real numbers, or `max_shell` is no integer.
        ValueError: another shape, values that are not finite, `max_shell` or `scale` out of range.
    """
    check_shell(max_shell, 0)
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"Argument 'scale' must be a positive finite number, got {scale!r}.")
    blocks = _blocks(x)
    out = np.empty(blocks.shape, dtype=np.int8)
    over_rows(lambda s: _listing.points(blocks[s], scale, 16 * max_shell, out[s]), len(blocks), threads)
    return out


def nearest_point(x: ArrayLike, threads: int | None = None) -> NDArray[np.int64]:
    """The lattice point nearest to each block, in the whole lattice, exactly.

    8 Z^24 is a sublattice, so the block is first reduced to [-4, 4)^24; ties are decided there (see above).

    Args:
        x: (n, 24) float32 or float64 with |x_i| < 2^50.
        threads: None for all processors.

    Returns:
        int64 (n, 24), the points.

    Raises:
        TypeError: `x` holds no real numbers.
        ValueError: another shape, values that are not finite or not below 2^50.
    """
    blocks = _blocks(x).astype(np.float64)
    if blocks.size and np.abs(blocks).max() >= 2.0**50:
        raise ValueError(f"Argument 'x' must stay below 2**50 in magnitude, got {np.abs(blocks).max():.6g}.")
    translation = 8 * np.floor(blocks / 8 + 0.5)  # halves upwards: x and x + 8k are decided alike
    residual = blocks - translation  # exact: both are multiples of the last place of x
    out = np.empty(blocks.shape, dtype=np.int8)
    over_rows(lambda s: _listing.points(residual[s], 1.0, _listing.UNBOUNDED, out[s]), len(blocks), threads)
    return translation.astype(np.int64) + out.astype(np.int64)
