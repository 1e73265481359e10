"""How good any quantizer of a Gaussian source can be.

Two lower bounds on the mean squared error per weight of x ~ N(0, I) in n dimensions:

    shannon(rate) = 2^(-2 rate)      every code of that rate, in any dimension (distortion-rate function)
    floor(n, bits)                   every list of 2^bits points in n dimensions

The floor comes from weak duality.  For any function lambda(x) >= 0 and any points c_1 ... c_N,

    min_i |x - c_i|^2  >=  lambda(x) - sum_i max(0, lambda(x) - |x - c_i|^2),

because a point nearer than sqrt(lambda) is subtracted at least once and otherwise lambda itself is a bound.
In the mean, with the worst place for every point,

    n D  >=  E[lambda(X)] - N sup_c E[max(0, lambda(X) - |X - c|^2)].

This holds for every lambda, so maximizing over a family gives a valid bound.  Here lambda depends on r = |x|
only, log lambda = a + b z + c z^2 with z = r^2 / n - 1.  Geometrically it is the squared radius of a ball-shaped
cell at x: small cells where points are dense.  More parameters gain less than a fifth of a percent.

Accuracy: the expectations are quadratures (Gauss-Legendre within a cap, midpoints in r) and the supremum is taken
on a grid of |c|; both are refined for the returned value, not enclosed by interval arithmetic.  Not here: floors of
variable-rate codes.  Tests: tests/test_limits.py.
"""

from __future__ import annotations

from math import lgamma, log, pi

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def shannon(rate: float) -> float:
    """Shannon's distortion-rate function of N(0, 1), 2^(-2 rate); rate in bits per weight."""
    if not rate >= 0:
        raise ValueError(f"Argument 'rate' must be >= 0 bits per weight, got {rate!r}.")
    return 2.0 ** (-2 * rate)


class _Grid:
    """Quadrature over the radius r of the source and a grid of radii s of code points, for one dimension."""

    def __init__(self, n: int, radii: int, centers: int) -> None:
        top = n**0.5 + 7
        self.n, self.step = n, top / radii
        self.r = (np.arange(radii) + 0.5) * self.step
        log_density = (n - 1) * np.log(self.r) - self.r**2 / 2 - (n / 2 - 1) * log(2) - lgamma(n / 2)
        self.weight = np.exp(log_density) * self.step
        self.s = np.linspace(0, n**0.5 + 4, centers)
        # density of the angle to a fixed direction: sphere * sin^(n-2)
        self.sphere = np.exp(lgamma(n / 2) - lgamma((n - 1) / 2)) / pi**0.5

    def bound(self, log_lambda: NDArray[np.float64], bits: float) -> float:
        """The right-hand side of the inequality above, divided by n."""
        lam = np.exp(np.clip(log_lambda, -20, 8))
        # lambda - |x - c|^2 = depth + across cos(angle) is positive inside a cap of half-angle `cap`
        depth = lam[:, None] - self.r[:, None] ** 2 - self.s**2
        across = 2 * self.r[:, None] * self.s
        cosine = np.where(across > 1e-12, -depth / np.maximum(across, 1e-12), -np.sign(depth))
        cap = np.arccos(np.clip(cosine, -1, 1))
        measure = np.zeros_like(cap)  # of the cap on the sphere; tiny, so integrated relative to its own size
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            measure += weight / 2 * np.sin(cap * (node + 1) / 2) ** (self.n - 2)
        measure *= self.sphere * cap
        moment = self.sphere * np.sin(cap) ** (self.n - 1) / (self.n - 1)
        saved = self.weight @ np.maximum(depth * measure + across * moment, 0)
        return (self.weight @ lam - 2.0**bits * saved.max()) / self.n

    def z(self) -> NDArray[np.float64]:
        return self.r**2 / self.n - 1


def floor(n: int = 24, bits: float = 48) -> float:
    """A mean squared error per weight that no list of 2^bits points in n dimensions can beat on N(0, I).

    Parameters: n >= 3, dimension; bits > 0, per block of n.  Takes seconds.
    Returns: float, at least shannon(bits / n).  Raises ValueError for other arguments.
    """
    if n < 3:
        raise ValueError(f"Argument 'n' must be >= 3, got {n}.")
    if not bits > 0:
        raise ValueError(f"Argument 'bits' must be > 0, got {bits!r}.")
    coarse, fine = _Grid(n, 300, 80), _Grid(n, 1200, 400)
    start = [log((n + 2) * 2.0 ** (-2 * bits / n)), n / (n + 2), 0.0]  # a ball-shaped cell of high resolution
    best = minimize(
        lambda p: -coarse.bound(np.polyval(p[::-1], coarse.z()), bits),
        start,
        method="Nelder-Mead",
        options={"maxfev": 500, "xatol": 1e-4, "fatol": 1e-8},
    )
    return max(fine.bound(np.polyval(best.x[::-1], fine.z()), bits), shannon(bits / n))
