"""Scalar grids in groups: round-to-nearest and GPTQ, the methods that most checkpoints are shipped with.

Every group of 64 weights of a row has its own grid of 2^b levels, a float16 step and a b-bit zero point,
    w^ = step (q - zero),    q = clip(round(w / step) + zero, 0, 2^b - 1),
so that b bits cost b + (16 + b) / 64 in truth: 2.28, 3.30 and 4.31 for 2, 3 and 4.  The grid starts at the group's
minimum and maximum, zero included, and is shrunk to the best of a few fractions: at 2 bits clipping the ends pays.

Round-to-nearest stops here.  GPTQ rounds column after column and lets the columns that are left make up for the error:
with H = N A N^T (N unit upper triangular, A diagonal), column j is rounded at
    w_j + sum_{i<j} (w_i - w^_i) N_ij,
the targets of feedback.py with blocks of one column.  Columns come in descending order of H_jj ("act-order"); groups
are made in that order, a group's grid is fitted to the weights that would now be best if none had to be rounded,
w + c N_gg^-1 with c the errors carried in, and the order is stored, 16 bits a column.

Not here: rotations, grids fitted to the Hessian.  Sources: E. Frantar et al., GPTQ (arXiv 2210.17323), algorithm 1,
and its published options (groups, act-order, searched clipping), from their description.  Tests: tests/test_gptq.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROUP = 64
SHRINK = np.linspace(1.0, 0.4, 13)
"""Fractions of the full range that are tried for every group."""


@dataclass(frozen=True)
class Grouped:
    """A weight matrix on grids: everything that decoding needs.

    codes uint8 (rows, columns) in stored order, steps float16 and zeros uint8 (rows, groups), order int64 (columns,):
    stored column j is column order[j] of the matrix.
    """

    codes: NDArray[np.uint8]
    steps: NDArray[np.float16]
    zeros: NDArray[np.uint8]
    order: NDArray[np.int64]
    weight_bits: int
    group: int
    permuted: bool

    @property
    def bits(self) -> int:
        """Stored bits: codes, steps, zero points, and 16 a column for an order of columns."""
        grid = (16 + self.weight_bits) * self.steps.size
        return self.codes.size * self.weight_bits + grid + 16 * len(self.order) * self.permuted

    @property
    def bits_per_weight(self) -> float:
        """Stored bits over weights."""
        return self.bits / self.codes.size

    def dequantize(self) -> NDArray[np.float32]:
        """The matrix, float32 (rows, columns), columns in their own order."""
        which = np.arange(self.codes.shape[1]) // self.group
        zeros = self.zeros[:, which].astype(np.float32)
        values = (self.codes - zeros) * self.steps[:, which].astype(np.float32)
        result = np.empty_like(values)
        result[:, self.order] = values
        return result


def grid(weights: NDArray, weight_bits: int) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """Step and zero point of every row of a group (rows, size): the shrunken range of least squared error."""
    top = 2**weight_bits - 1
    low, high = np.minimum(weights.min(axis=1), 0), np.maximum(weights.max(axis=1), 0)
    best = np.full(len(weights), np.inf)
    steps, zeros = np.ones(len(weights), dtype=np.float16), np.zeros(len(weights), dtype=np.uint8)
    for fraction in SHRINK:
        step = ((high - low) * (fraction / top)).astype(np.float16)
        step[step <= 0] = 1  # a group of zeros, or below float16
        zero = np.clip(np.rint(-low * fraction / step.astype(np.float64)), 0, top).astype(np.uint8)
        q = _levels(weights, step[:, None], zero[:, None], top)
        error = np.square(weights - _values(q, step[:, None], zero[:, None])).sum(axis=1)
        better = error < best
        best[better], steps[better], zeros[better] = error[better], step[better], zero[better]
    return steps, zeros


def _levels(weights: NDArray, step: NDArray, zero: NDArray, top: int) -> NDArray[np.uint8]:
    return np.clip(np.rint(weights / step.astype(np.float64)) + zero, 0, top).astype(np.uint8)


def _values(codes: NDArray, step: NDArray, zero: NDArray) -> NDArray[np.float64]:
    return (codes.astype(np.float64) - zero) * step.astype(np.float64)


def _feedback(hessian: NDArray) -> NDArray[np.float64]:
    """N of H = N A N^T; LinAlgError unless H is positive definite."""
    flipped = np.linalg.cholesky(hessian[::-1, ::-1].astype(np.float64))
    triangle = flipped[::-1, ::-1]
    return triangle / np.diag(triangle)


def quantize_groups(
    weight: NDArray,
    weight_bits: int,
    hessian: NDArray | None = None,
    group: int = GROUP,
    act_order: bool = True,
) -> Grouped:
    """GPTQ of a matrix (rows, columns) under a positive definite Hessian (columns, columns), damped by the caller.

    Without a Hessian every group is rounded to the nearest, columns in their own order.  weight_bits: 1 ... 8.  The
    last group may be smaller.
    ValueError for shapes that do not fit, rates out of range, or weights that are not finite.
    """
    if not isinstance(weight_bits, int) or not 1 <= weight_bits <= 8:
        raise ValueError(f"Argument 'weight_bits' must be in 1 ... 8, got {weight_bits!r}.")
    weight = np.asarray(weight)
    if weight.ndim != 2 or not weight.size or not np.isfinite(weight).all():
        raise ValueError(
            f"Argument 'weight' must be a finite matrix, got shape {weight.shape}; check the model."
        )
    rows, columns = weight.shape
    if group < 1 or (hessian is not None and np.shape(hessian) != (columns, columns)):
        raise ValueError(
            f"Argument 'hessian' must be ({columns}, {columns}) and 'group' positive, got group {group!r}."
        )
    order, feedback = np.arange(columns), None
    if hessian is not None:
        order = np.argsort(-np.diag(hessian), kind="stable") if act_order else order
        feedback = _feedback(hessian[np.ix_(order, order)])
    original = weight[:, order].astype(np.float64)
    error = np.zeros((rows, columns))
    codes = np.empty((rows, columns), dtype=np.uint8)
    starts = range(0, columns, group)
    steps = np.empty((rows, len(starts)), dtype=np.float16)
    zeros = np.empty((rows, len(starts)), dtype=np.uint8)
    for number, start in enumerate(starts):
        stop = min(start + group, columns)
        target = expected = original[:, start:stop]
        if feedback is not None:
            inside = feedback[start:stop, start:stop]
            carried = error[:, :start] @ feedback[:start, start:stop]
            target, expected = target + carried, target + np.linalg.solve(inside.T, carried.T).T
        steps[:, number], zeros[:, number] = step, zero = grid(expected, weight_bits)
        for j in range(start, stop):
            column = target[:, j - start]
            if feedback is not None:
                column = column + error[:, start:j] @ feedback[start:j, j]
            codes[:, j] = _levels(column, step, zero, 2**weight_bits - 1)
            error[:, j] = original[:, j] - _values(codes[:, j], step, zero)
    return Grouped(codes, steps, zeros, order, weight_bits, group, act_order and hessian is not None)
