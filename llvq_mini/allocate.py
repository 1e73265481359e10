"""Mixed rates: more bits where an error costs more, at a given average.

A budget of bits is spent over linears that can each be stored at a few rates. With l_j(b) the loss of linear j at b
bits a weight and n_j its weights,
    minimize sum_j l_j(b_j)    subject to    sum_j n_j b_j <= budget * sum_j n_j.
Only rates on the lower convex hull of (bits, loss) can be best for some price of a bit; from the cheapest rates
everywhere, the step that saves most loss a bit is taken until the next does not fit. That is the optimum for the bits
it spends (Everett's theorem: it minimizes loss + price * bits); what is left of the budget is less than one step.

The loss of a rate is predicted, not measured: a code of mean squared error d at unit variance leaves errors that are
white within a block, so with the factors of feedback.py
    E tr(G D H D^T) = d sum_r G_rr s_r^2 tr A,    s_r^2 the mean square of row r, A the block diagonal of H = N A N^T,
and all rates of a linear share everything but d. (What feedback adds to the targets, and so to the error of a code
with bounded range, is left out.)

What this file does not do: search over codebooks, split a linear. Papers: H. Everett, Operations Research 11 (1963);
Y. Shoham, A. Gersho, IEEE Trans. ASSP 36 (1988). Tests: ``tests/test_allocate.py``.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import numpy as np

Point = tuple[float, float]
"""Bits a weight and the loss there."""


def hull(points: Sequence[Point]) -> list[Point]:
    """The corners of the lower convex hull where the loss still falls, by ascending bits."""
    corners: list[Point] = []
    for bits, loss in sorted(points):
        if corners and loss >= corners[-1][1]:
            continue
        while len(corners) > 1 and _slope(corners[-2], corners[-1]) >= _slope(corners[-1], (bits, loss)):
            corners.pop()
        corners.append((bits, loss))
    return corners


def _slope(one: Point, other: Point) -> float:
    return (other[1] - one[1]) / (other[0] - one[0])


def allocate(
    losses: Mapping[str, Sequence[Point]], weights: Mapping[str, int], budget: float
) -> dict[str, float]:
    """Bits a weight for every linear, {name: bits}, so that the average over `weights` is at most `budget`.

    losses: (bits, loss) of every rate a linear may have. ValueError if the lowest rates exceed the budget. Ties go to
    the name that comes first.
    """
    corners = {name: hull(points) for name, points in losses.items()}
    if not corners or any(not points for points in corners.values()) or corners.keys() - weights.keys():
        raise ValueError("Argument 'losses' must have rates and weights for every linear; none is missing one")
    chosen = dict.fromkeys(corners, 0)
    allowed = budget * sum(weights[name] for name in corners)
    spent = sum(weights[name] * points[0][0] for name, points in corners.items())
    if spent > allowed * (1 + 1e-12):
        total = sum(weights[name] for name in corners)
        raise ValueError(f"Argument 'budget' must be at least {spent / total:g} bits a weight, got {budget:g}")
    queue: list[tuple[float, str]] = []

    def offer(name: str) -> None:
        at, points = chosen[name], corners[name]
        if at + 1 < len(points):
            heapq.heappush(queue, (_slope(points[at], points[at + 1]) / weights[name], name))

    for name in sorted(corners):
        offer(name)
    while queue:
        _, name = heapq.heappop(queue)
        at, points = chosen[name], corners[name]
        step = weights[name] * (points[at + 1][0] - points[at][0])
        if spent + step > allowed * (1 + 1e-12):
            break
        spent += step
        chosen[name] = at + 1
        offer(name)
    return {name: corners[name][at][0] for name, at in chosen.items()}


def predicted_loss(weight: np.ndarray, metric: np.ndarray, noise: float) -> float:
    """sum_r G_rr s_r^2 tr A: what a code of mean squared error 1 would cost.

    weight (rows, n); metric G (rows, rows), scaled as the caller's losses are to be compared; noise: tr A (`Factors`).
    """
    power = np.square(weight, dtype=np.float64).mean(axis=1)
    return float(np.diag(metric) @ power) * noise
