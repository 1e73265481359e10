"""Week 1: scalar quantizers, the Golay code, D4 and E8.  Problems: problems/week1.md."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


# ---- 1.1 ----
def lloyd_max(levels: int) -> tuple[NDArray[np.float64], float]:
    """Best scalar quantizer of a standard Gaussian with so many levels: (levels ascending, mean squared error)."""
    raise NotImplementedError


# ---- 1.2 ----
def golay_words() -> NDArray[np.uint32]:
    """The 4096 words of the code, uint32."""
    raise NotImplementedError


def golay_encode(messages: ArrayLike) -> NDArray[np.uint32]:
    """Words of messages 0 ... 4095."""
    raise NotImplementedError


def golay_message(words: ArrayLike) -> NDArray[np.int64]:
    """The message of every word, -1 for what is not in the code."""
    raise NotImplementedError


# ---- 1.3 ----
def golay_decode(received: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Nearest word of the code of every received word, and how many bits differ."""
    raise NotImplementedError


# ---- 1.4 ----
def nearest_d4(x: ArrayLike) -> NDArray[np.float64]:
    """Nearest points of D4, float64 (n, 4)."""
    raise NotImplementedError


def nearest_e8(x: ArrayLike) -> NDArray[np.float64]:
    """Nearest points of E8, the union of D8 and D8 + 1/2, float64 (n, 8)."""
    raise NotImplementedError
