"""Week 2: the Leech lattice, in the frame where its vectors are integers.  Problems: problems/week2.md."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


# ---- 2.1 ----
def leech_contains(v: ArrayLike) -> NDArray[np.bool_]:
    """Whether integer vectors (n, 24) belong to the lattice."""
    raise NotImplementedError


def minimal_vectors() -> NDArray[np.int8]:
    """The 196,560 vectors of length squared 32, int8."""
    raise NotImplementedError


# ---- 2.2 ----
def theta(m: int) -> int:
    """Number of lattice vectors of length squared 16 m, exactly."""
    raise NotImplementedError


# ---- 2.3 ----
def nearest_minimal(x: ArrayLike) -> NDArray[np.int64]:
    """The minimal vectors with the largest inner product with x, int64 (n, 24)."""
    raise NotImplementedError


# ---- 2.4 ----
def nearest_leech(x: ArrayLike) -> NDArray[np.int64]:
    """Nearest points of the whole lattice, int64 (n, 24)."""
    raise NotImplementedError
