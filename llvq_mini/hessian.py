"""Calibration statistics: how much an error in each weight would hurt the layer's output.

For a linear layer y = W x the squared output error of quantized weights W + D is, over calibration inputs x,
    E |D x|^2 = tr(D H D^T),    H = E[x x^T]    (in x in, symmetric, positive semidefinite),
so H is all that quantization needs to know of the data. Layers that read the same input share one H.

The attention sink. Softmax attention sends much of its weight to the first position, whose value vector
thereby reaches every later position, yet it is one token among thousands in H. Inputs of value projections
therefore also collect E[x_0 x_0^T] over first positions x_0, and add `SINK_WEIGHT` times it (GPTQ and plain
LDLQ have no such term).

    H_v = E[x x^T] + SINK_WEIGHT * E[x_0 x_0^T]

Products are formed in float32, one window at a time, and summed in float64.

What this file does not do: weight positions by the attention that they really receive; run the model
(pipeline.py). Papers: GPTQ (arXiv 2210.17323) section 3; QuIP (arXiv 2307.13304) section 3.1. Tests:
``tests/test_hessian.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .errors import LLVQError

SINK_WEIGHT = 4.0
DAMPING = 0.01
OUTPUT_DAMPING = 0.1


@dataclass
class Accumulator:
    """Running sums of x x^T over windows of inputs of one width."""

    width: int
    tokens: int = 0
    windows: int = 0
    total: np.ndarray = field(init=False, repr=False)
    total_first: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.total = np.zeros((self.width, self.width))
        self.total_first = np.zeros((self.width, self.width))

    def add(self, window: np.ndarray) -> None:
        """Add one window of inputs, (tokens, width) float32, first position first. ValueError for another shape."""
        if window.ndim != 2 or window.shape[1] != self.width or not len(window):
            raise ValueError(
                f"Argument 'window' must be (tokens, {self.width}), got {window.shape}; pass one sequence"
            )
        window = np.ascontiguousarray(window, dtype=np.float32)
        self.total += window.T @ window
        first = window[0].astype(np.float64)
        self.total_first += np.outer(first, first)
        self.tokens += len(window)
        self.windows += 1

    def hessian(self, sink_weight: float = 0.0) -> np.ndarray:
        """(width, width) float64 E[x x^T] + sink_weight * E[x_0 x_0^T].

        LLVQError if nothing was added, or nothing finite.
        """
        if not self.tokens:
            raise LLVQError("No calibration input reached this layer; give at least one window of text")
        result = self.total / self.tokens
        if sink_weight:
            result += self.total_first * (sink_weight / self.windows)
        if not np.isfinite(result).all():
            raise LLVQError(
                "The calibration inputs of this layer hold NaN or infinity; check the model's weights"
            )
        return result


def damped(hessian: np.ndarray, fraction: float = DAMPING) -> tuple[np.ndarray, float]:
    """(H + d I, d) with d = fraction * mean diagonal: few calibration tokens leave H nearly singular.

    A layer that only ever sees zeros gets d = 1, so that it is rounded without feedback.
    ValueError unless H is square.
    """
    if hessian.ndim != 2 or hessian.shape[0] != hessian.shape[1]:
        raise ValueError(
            f"Argument 'hessian' must be a square matrix, got shape {hessian.shape}; pass E[x x^T]"
        )
    amount = fraction * float(np.trace(hessian)) / len(hessian)
    amount = amount if amount > 0 else 1.0
    result = hessian.astype(np.float64, copy=True)
    result.flat[:: len(hessian) + 1] += amount
    return result, amount
