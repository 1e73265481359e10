"""How round the cells of a lattice are: normalized second moments by simulation.

A quantizer with many points looks like a lattice from within, so its error is that of one cell: with U uniform in the
Voronoi cell of a lattice of determinant V (volume of the cell) in n dimensions,

    G = E|U|^2 / (n V^(2/n)),

a number without unit.  Z has 1/12; the less G, the rounder the cell; the ball's G (no lattice cell, but smaller
than any) falls to 1/(2 pi e) as n grows.  The ratio 1/12 : G, in dB, is the granular gain.

`measure` estimates G: draw x uniformly from a box whose sides are periods of the lattice, subtract the nearest lattice
point, and U is exactly uniform in the cell.  The decoders are exact: rounding for Z, two rectangles for A2, rounding
and one correction for D4, the better of two cosets of D8 for E8, search.nearest_point for the Leech lattice.

Not here: other sources than the uniform one, boundaries.  Sources of the constants and decoders: J. H. Conway and N. J.
A. Sloane, "Voronoi regions of lattices", IEEE Trans. Inf. Theory 28 (1982), and "Fast quantizing and decoding", the
same volume; SPLAG, table 2.3.  Tests: tests/test_second_moment.py.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log, log10, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llvq_mini import search

Floats = NDArray[np.float64]


class Lattice(NamedTuple):
    """A lattice with a nearest-point decoder, for points (k, n) float64.

    box: periods along the axes.  determinant: volume of a cell.  known: the published second moment, exact but for
    the Leech lattice, where it lies 0.03 % above what `measure` finds with millions of points.
    """

    name: str
    box: tuple[float, ...]
    determinant: float
    nearest: Callable[[Floats], Floats]
    known: float

    @property
    def dim(self) -> int:
        """Dimension of the lattice."""
        return len(self.box)


def _closer(x: Floats, a: Floats, b: Floats) -> Floats:
    """Row by row the one of a and b that is nearer to x; a if they are equally near."""
    first = ((x - a) ** 2).sum(axis=1) <= ((x - b) ** 2).sum(axis=1)
    return np.where(first[:, None], a, b)


def nearest_a2(x: Floats) -> Floats:
    """Hexagonal lattice of minimum distance 1: the rectangular lattice of sides 1, sqrt(3) and its centers."""
    sides = np.array([1, 3**0.5])
    return _closer(x, np.rint(x / sides) * sides, (np.rint(x / sides - 0.5) + 0.5) * sides)


def nearest_d(x: Floats) -> Floats:
    """D_n, integer points of even sum: round; if the sum is odd, the worst coordinate goes the other way."""
    near = np.rint(x)
    error = x - near
    worst = np.abs(error).argmax(axis=1)
    odd = np.flatnonzero(near.sum(axis=1) % 2)
    other = np.where(error[odd, worst[odd]] >= 0, 1, -1)
    near[odd, worst[odd]] += other
    return near


def nearest_e8(x: Floats) -> Floats:
    """E8: D8 and D8 + 1/2."""
    return _closer(x, nearest_d(x), nearest_d(x - 0.5) + 0.5)


LATTICES = (
    Lattice("Z", (1.0,), 1.0, np.rint, 1 / 12),
    Lattice("A2", (1.0, 3**0.5), 3**0.5 / 2, nearest_a2, 5 / (36 * 3**0.5)),
    Lattice("D4", (2.0,) * 4, 2.0, nearest_d, 0.0766032),
    Lattice("E8", (2.0,) * 8, 1.0, nearest_e8, 929 / 12960),
    Lattice("Leech", (8.0,) * 24, 8.0**12, lambda x: search.nearest_point(x).astype(np.float64), 0.065771),
)
"""Z, A2, D4, E8 and the Leech lattice, the last in the integer frame of leech.py."""


def ball(n: int) -> float:
    """Second moment of the ball, smaller than that of every cell that tiles space in n >= 1 dimensions.

    ValueError for n < 1.
    """
    if n < 1:
        raise ValueError(f"Argument 'n' must be >= 1, got {n}.")
    return exp(2 / n * lgamma(n / 2 + 1) - log(pi)) / (n + 2)


def gain_db(moment: float) -> float:
    """Granular gain over Z in dB, 10 log10(1/12 : G); 1.533 at most, for 1/(2 pi e)."""
    return 10 * log10(1 / (12 * moment))


def measure(lattice: Lattice, count: int, seed: int = 2026) -> tuple[float, float]:
    """Second moment of `count` >= 2 random points and the standard error of that mean. ValueError for fewer."""
    if count < 2:
        raise ValueError(f"Argument 'count' must be >= 2, got {count}.")
    rng = np.random.default_rng(seed)
    unit = lattice.dim * lattice.determinant ** (2 / lattice.dim)
    squares = np.empty(count)
    for start in range(0, count, 1 << 16):
        part = slice(start, min(start + (1 << 16), count))
        x = rng.uniform(0, lattice.box, (part.stop - start, lattice.dim))
        squares[part] = ((x - lattice.nearest(x)) ** 2).sum(axis=1) / unit
    return float(squares.mean()), float(squares.std(ddof=1) / count**0.5)
