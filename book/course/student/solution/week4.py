"""Week 4: feedback, rotations, spherical codes.  Problems: problems/week4.md; the kernels go to kernel.cu."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


# ---- 4.1 ----
def round_with_feedback(
    weight: ArrayLike, hessian: ArrayLike, block: int, quantize: Callable[[Floats], Floats]
) -> Floats:
    """Round blocks of columns from left to right; each block first makes up for the errors of those before it.

    weight (rows, columns), hessian (columns, columns), quantize maps (rows, block) to the same shape.
    """
    raise NotImplementedError


# ---- 4.2 ----
def hadamard(x: ArrayLike) -> Floats:
    """The orthonormal Hadamard transform of the last axis, whose length must be a power of two."""
    raise NotImplementedError


def rotate(x: ArrayLike, signs: ArrayLike) -> Floats:
    """Signs first, then the transform."""
    raise NotImplementedError


def unrotate(y: ArrayLike, signs: ArrayLike) -> Floats:
    """The inverse of `rotate`."""
    raise NotImplementedError


# ---- 4.3 ----
def spherical(z: ArrayLike) -> Floats:
    """The nearest code words of length one, (n, 24)."""
    raise NotImplementedError


def spherical_gradient(z: ArrayLike, gradient: ArrayLike) -> Floats:
    """Straight through the rounding, and backward through u = z / |z|: (g - <g, u> u) / |z|."""
    raise NotImplementedError


def usage_bits(codes: ArrayLike) -> float:
    """Entropy of the codes that occur, in bits."""
    raise NotImplementedError
