"""How good any quantizer of a Gaussian source can be.

Lower bounds on the mean squared error per weight of x ~ N(0, I) in n dimensions:

    shannon(rate) = 2^(-2 rate)                 every code of that rate, in any dimension (distortion-rate function)
    floor(n, bits)                              every list of 2^bits points in n dimensions
    cap_bound(shape_bits, gain_bits, n)         every product code: a direction, and a gain chosen by the length alone

The floor is weak duality.  For any function lambda(x) >= 0 and any points c_1 ... c_N,

    min_i |x - c_i|^2  >=  lambda(x) - sum_i max(0, lambda(x) - |x - c_i|^2),

because a point nearer than sqrt(lambda) is subtracted at least once and otherwise lambda itself is a bound.
In the mean, with the worst place for every point,

    n D  >=  E[lambda(X)] - N sup_c E[max(0, lambda(X) - |X - c|^2)].

The best lambda comes from the other side of the duality, where it has a meaning.  Let N points' worth of mass be
spread over space by any measure N mu, and let x use up the unit of mass nearest to it: lambda(x) is the squared
radius that holds one unit.  The mean cost, convex in mu, is least exactly where the bound is largest.  By symmetry mu
and lambda depend on the radius only.  So: mu on a grid of radii, Newton's method with a logarithmic barrier, and last
the inequality above, evaluated on finer grids.  What comes back is a bound whatever the optimizer did.

Accuracy: expectations are sums over a grid of |x|, the angle is exact (incomplete beta function), and the supremum is
taken on a grid of |c|; no interval arithmetic.  Not here: floors of variable-rate codes, other sources.  Derivations:
the appendix "Limits".  Tests: tests/test_limits.py.
"""

from __future__ import annotations

from functools import cache
from math import lgamma, log, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, betaln, gammainc, gammaincinv, hyp2f1

Floats = NDArray[np.float64]

_FINER = 4
"""How much finer the grids of the final evaluation are."""
_MAX_RATE = 5
"""Bits a weight: grids must resolve a cell."""
_HUGE = 680.0
"""e^680 and e^-680 are still ordinary doubles, with some room."""


def shannon(rate: float) -> float:
    """Shannon's distortion-rate function of N(0, 1), 2^(-2 rate); rate in bits per weight.

    ValueError for a negative rate.
    """
    if not rate >= 0:
        raise ValueError(f"Argument 'rate' must be >= 0 bits per weight, got {rate!r}.")
    return 2.0 ** (-2 * rate)


class Dual(NamedTuple):
    """The solved problem behind a floor, per weight where it is an error.

    s, mass: radii of the points and the share of points there (sums to 1), float64[j].
    r, density, radius: lengths |x| of the source, their probabilities, and sqrt(lambda), float64[k].
    lower: the floor.  upper: what mu costs; no lambda can prove more than that, up to the grids.
    """

    s: Floats
    mass: Floats
    r: Floats
    density: Floats
    radius: Floats
    lower: float
    upper: float


def _source(n: int, count: int) -> tuple[Floats, Floats]:
    """Midpoints of |x| and their probabilities, without those that are as good as impossible."""
    step = (n**0.5 + 5) / count
    r = (np.arange(count) + 0.5) * step
    weight = np.exp((n - 1) * np.log(r) - r**2 / 2 - (n / 2 - 1) * log(2) - lgamma(n / 2)) * step
    likely = weight > 1e-13 * weight.max()
    return r[likely], weight[likely]


def _log_sphere(n: int) -> float:
    """Logarithm of the factor in the density of an angle, sphere * sin^(n-2)."""
    return lgamma(n / 2) - lgamma((n - 1) / 2) - log(pi) / 2


def _cap_ratio(a: float, square: Floats, power: Floats) -> Floats:
    """Area of a cap over that of the flat disc it projects to: 2F1(1/2, a; a + 1; sin^2), power = a log(sin^2)."""
    ratio = np.empty_like(square)
    deep = power < -_HUGE  # where the incomplete beta function, ten times as fast, would underflow
    ratio[deep] = hyp2f1(0.5, a, a + 1, square[deep])
    ratio[~deep] = betainc(a, 0.5, square[~deep]) * np.exp(betaln(a, 0.5) + log(a) - power[~deep])
    return ratio


class _Cells(NamedTuple):
    """For |x| = r (rows) and a point anywhere on the sphere of radius s (columns), times 2^bits:

    inside: P(|x - c|^2 < lambda);  saved: E[max(0, lambda - |x - c|^2)];  slope: d inside / d lambda.
    """

    inside: Floats
    saved: Floats
    slope: Floats

    @staticmethod
    def of(n: int, bits: float, r: Floats, s: Floats, lam: Floats) -> _Cells:
        # lambda - |x - c|^2 = depth + across cos(angle) is positive inside a cap around c's direction
        depth = lam[:, None] - r[:, None] ** 2 - s**2
        across = np.maximum(2 * r[:, None] * s, 1e-9)  # s = 0: a ramp, not a jump
        cosine = np.clip(-depth / across, -1, 1)
        some = cosine < 1
        c, depth, across = cosine[some], depth[some], across[some]
        square = 1 - c * c  # sin^2 of the cap's half-angle
        with np.errstate(divide="ignore"):
            power = (n - 1) / 2 * np.log(square)
        # Integral of sin^(n-2) up to the half-angle and of cos sin^(n-2): disc times `ratio` and times 1.
        disc = np.exp(np.minimum(_log_sphere(n) + bits * log(2) + power, _HUGE)) / (n - 1)
        measure = disc * _cap_ratio((n - 1) / 2, square, power)
        measure = np.where(c < 0, np.exp(min(bits * log(2), _HUGE)) - measure, measure)
        cells = _Cells(*(np.zeros(cosine.shape) for _ in range(3)))
        cells.inside[some] = measure
        cells.saved[some] = np.maximum(depth * measure + across * disc, 0)
        cells.slope[some] = disc * (n - 1) / np.maximum(square, 1e-300) / across
        return cells


def _one_unit(n: int, bits: float, r: Floats, s: Floats, mass: Floats, lam: Floats) -> tuple[Floats, _Cells]:
    """lambda(r) within which x finds exactly one unit of mass, by Newton's method on its logarithm, bracketed."""
    low, high = np.zeros_like(r), (r + s[-1]) ** 2
    for _ in range(100):
        cells = _Cells.of(n, bits, r, s, lam)
        found = cells.inside @ mass
        low, high = np.where(found < 1, lam, low), np.where(found < 1, high, lam)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = lam - np.log(found) * found / (cells.slope @ mass)
        old, lam = lam, np.where((newton > low) & (newton < high), newton, (low + high) / 2)
        if (np.abs(lam - old) < 1e-10 * lam).all():
            break
    return lam, _Cells.of(n, bits, r, s, lam)


def _newton_step(mass: Floats, saved: Floats, hessian: Floats, barrier: float) -> tuple[Floats, float]:
    """Relative changes of the masses, which keep their sum, and the decrease that the quadratic model expects."""
    k = len(mass)
    kkt = np.zeros((k + 1, k + 1))
    kkt[:k, :k] = hessian * mass[:, None] * mass + barrier * np.eye(k)
    kkt[:k, k] = kkt[k, :k] = mass
    gradient = -saved * mass - barrier
    change = np.linalg.solve(kkt, np.append(-gradient, 0))[:k]
    return change, float(-gradient @ change)


def _best_mass(
    n: int, bits: float, r: Floats, weight: Floats, s: Floats, gap: float
) -> tuple[Floats, Floats]:
    """The masses of least cost and their lambda, to a relative duality gap.

    Minimizes cost(mu) - barrier sum log mu; cost has the gradient -E[saved] and, lambda moving along, the Hessian
    E[inside inside' / slope].
    """
    variance = 1 - shannon(bits / n)  # Shannon's code words are Gaussian too, and shorter by the distortion
    start = (n - 1) * np.log(np.maximum(s, s[1] / 2)) - s**2 / 2 / variance
    mass = np.maximum(np.exp(start - start.max()), 1e-3)
    mass /= mass.sum()

    def cost(mass: Floats, lam: Floats) -> tuple[float, Floats, Floats, _Cells]:
        lam, cells = _one_unit(n, bits, r, s, mass, lam)
        saved = weight @ cells.saved
        return float(weight @ lam - saved @ mass), saved, lam, cells

    value, saved, lam, cells = cost(mass, (r + s[-1]) ** 2 / 2)
    barrier = value / len(s)
    for _ in range(100):
        if value - (weight @ lam - saved.max()) < gap * value:
            break
        slope = np.maximum(cells.slope @ mass, 1e-2 / lam)
        root = np.sqrt(weight / slope)[:, None] * cells.inside
        change, decrease = _newton_step(mass, saved, root.T @ root, barrier)
        step = min(1.0, 0.9 / max(-change.min(), 1e-9), 2 / max(change.max(), 1e-9))
        goal = value - barrier * np.log(mass).sum()
        while True:
            trial = mass * (1 + step * change)
            trial /= trial.sum()
            outcome = cost(trial, lam)
            if outcome[0] - barrier * np.log(trial).sum() <= goal - 0.01 * step * decrease or step < 1e-6:
                break
            step /= 2
        mass, (value, saved, lam, cells) = trial, outcome
        if step > 0.9 and decrease < barrier * len(s):
            barrier /= 5
    return mass, lam


@cache
def dual(n: int = 24, bits: float = 48, gap: float = 2e-5) -> Dual:
    """The best lambda and the best mass for lists of 2^bits points in n dimensions; n and bits as for `floor`.

    gap: the optimizer stops when lower and upper, on its own coarse grids, are as close as this, relatively.
    ValueError for n < 3 or bits out of range.
    """
    if n < 3:
        raise ValueError(f"Argument 'n' must be >= 3, got {n}.")
    if not 0 < bits <= _MAX_RATE * n:
        raise ValueError(f"Argument 'bits' must be in 0 ... {_MAX_RATE * n} (a block of {n}), got {bits!r}.")
    # Within a ball-shaped cell a coordinate has a standard deviation near 2^(-bits / n): the spacing of points.
    top = n**0.5 + 5
    points = max(72, round(top * 2 ** (bits / n)))
    sources = max(256, 2 * points)
    r, weight = _source(n, sources)
    s = np.linspace(0, top, points)
    mass, lam = _best_mass(n, bits, r, weight, s, gap)
    fine, weight = _source(n, _FINER * sources)
    lam, cells = _one_unit(n, bits, fine, s, mass, np.interp(fine, r, lam))
    upper = weight @ lam - weight @ cells.saved @ mass
    # The promise of the module: lambda as it is, and points wherever they hurt most.
    anywhere = np.linspace(0, top + 1, _FINER * points)
    saved = weight @ _Cells.of(n, bits, fine, anywhere, lam).saved
    lower = weight @ lam - saved.max()
    return Dual(s, mass, fine, weight, np.sqrt(lam), float(lower / n), float(upper / n))


def floor(n: int = 24, bits: float = 48) -> float:
    """A mean squared error per weight that no list of 2^bits points in n dimensions can beat on N(0, I).

    Parameters: n >= 3, dimension; bits per block of n, up to 5 n.  Takes a second or two, and is remembered.
    Returns: float, at least shannon(bits / n).  Raises ValueError for other arguments.
    """
    return max(dual(n, bits).lower, shannon(bits / n))


def mean_cosine(n: int, bits: float) -> float:
    """Mean cosine to the center of a spherical cap of measure 2^-bits in n dimensions, bits > 0.

    No partition of the sphere into 2^bits cells, with one direction for each, has a larger mean cosine.
    """
    share = 2.0**-bits
    square = float(betaincinv((n - 1) / 2, 0.5, 2 * min(share, 1 - share)))  # sin^2 of the half-angle
    return float(np.exp(_log_sphere(n) + (n - 1) / 2 * log(square)) / (n - 1) / share)


def gain_energy(n: int, gain_bits: int) -> float:
    """E[g^2] / n for the best 2^gain_bits lengths g of |x|, x ~ N(0, I) in n dimensions: Lloyd-Max levels of chi."""
    mean = np.exp(lgamma((n + 1) / 2) - lgamma(n / 2)) * 2**0.5
    k = 2**gain_bits
    edges = np.sqrt(2 * gammaincinv(n / 2, np.arange(k + 1) / k))
    for _ in range(20_000):
        probability = np.diff(gammainc(n / 2, edges**2 / 2))
        levels = mean * np.diff(gammainc((n + 1) / 2, edges**2 / 2)) / probability
        old, edges = edges, np.concatenate([[0], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        if np.abs(edges[1:-1] - old[1:-1]).max(initial=0) < 1e-12:
            break
    return float(probability @ levels**2 / n)


def cap_bound(shape_bits: float, gain_bits: int, n: int = 24) -> float:
    """A bound for shape-gain codes whose 2^shape_bits directions are the same for all gains: 1 - m^2 E[g^2] / n.

    m = mean_cosine(n, shape_bits), E[g^2] / n = gain_energy(n, gain_bits).  The gain depends on the length |x| alone;
    coding the projection instead gains about 1e-5 at 48 bits.

    Parameters: shape_bits in 0 ... 900, not 0, need not be whole; gain_bits an integer in 0 ... 8; n >= 3.
    Returns: float, mean squared error per weight.  Raises ValueError for other arguments.
    """
    if n < 3:
        raise ValueError(f"Argument 'n' must be >= 3, got {n}.")
    if not 0 < shape_bits <= 900:
        raise ValueError(f"Argument 'shape_bits' must be in 0 ... 900, got {shape_bits!r}.")
    if gain_bits not in range(9):
        raise ValueError(f"Argument 'gain_bits' must be an integer in 0 ... 8, got {gain_bits!r}.")
    return 1 - mean_cosine(n, shape_bits) ** 2 * gain_energy(n, int(gain_bits))
