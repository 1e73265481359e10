"""Week 3: numbers for points, bits for numbers, a shape-gain code, honest accounting.  Problems: problems/week3.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


# ---- 3.1 ----
def rank(arrangement: Sequence[int]) -> int:
    """Number of distinct arrangements of the same values that come before this one in lexicographic order."""
    raise NotImplementedError


def unrank(leader: Sequence[int], number: int) -> tuple[int, ...]:
    """The arrangement of these values with that number; ValueError if there is none."""
    raise NotImplementedError


def encode_minimal(v: ArrayLike) -> NDArray[np.int64]:
    """Numbers 0 ... 196,559 of minimal vectors (n, 24); ValueError for other vectors."""
    raise NotImplementedError


def decode_minimal(codes: ArrayLike) -> NDArray[np.int64]:
    """The minimal vectors of numbers; ValueError for numbers outside 0 ... 196,559."""
    raise NotImplementedError


# ---- 3.2 ----
def pack(codes: ArrayLike, bits: int) -> NDArray[np.uint8]:
    """Codes of so many bits one after another, least significant bit first; the last byte is filled with zeros."""
    raise NotImplementedError


def unpack(packed: ArrayLike, bits: int, count: int) -> NDArray[np.uint64]:
    """The first `count` codes of so many bits."""
    raise NotImplementedError


# ---- 3.3 ----
def train_gains(projections: ArrayLike, count: int) -> NDArray[np.float64]:
    """Levels for positive numbers by Lloyd's algorithm, ascending."""
    raise NotImplementedError


def shape_gain_encode(x: ArrayLike, gains: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Blocks (n, 24) -> number of the best minimal direction, and of the gain nearest to the projection on it."""
    raise NotImplementedError


def shape_gain_decode(codes: ArrayLike, numbers: ArrayLike, gains: ArrayLike) -> NDArray[np.float64]:
    """Blocks again: gain times unit direction."""
    raise NotImplementedError


# ---- 3.4 ----
def gap_db(mse: float, rate: float) -> float:
    """How far an error of a unit Gaussian is above Shannon's limit 4^-rate, in decibels."""
    raise NotImplementedError


def bits_per_weight(rows: int, columns: int, block: int, code_bits: int, scale_bits: int) -> float:
    """Stored bits for each weight of a matrix: rows are padded to whole blocks and have one scale each."""
    raise NotImplementedError
