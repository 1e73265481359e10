"""Blocks that are hard for an exact search, by name; test_search.py uses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llvq_mini import golay, leech, search

HOLES = np.load(Path(__file__).parent / "golden" / "holes.npy")
"""Vertices of the Voronoi cell of the origin, float64 (96, 24); made by golden/make_holes.py."""


def lattice_points(rng: np.random.Generator, n: int, steps: int = 3) -> NDArray[np.int64]:
    """Sums of up to `steps` minimal vectors, (n, 24)."""
    minimal = leech.minimal_vectors()
    picked = minimal[rng.integers(0, len(minimal), (n, steps))].astype(np.int64)
    return (picked * (rng.integers(0, steps, (n, 1, 1)) >= np.arange(steps)[:, None])).sum(axis=1)


def poorly_covered(rng: np.random.Generator, n: int, max_shell: int = 12) -> NDArray[np.float64]:
    """Directions far from every codeword: step away from the nearest one, keep what improves, repeat."""
    x = rng.standard_normal((n, 24))
    x /= np.linalg.norm(x, axis=1, keepdims=True)

    def cosine(x):
        v = search.nearest_direction(x, max_shell).astype(float)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        return (x * v).sum(axis=1), v

    best, v = cosine(x)
    for step in np.geomspace(0.1, 0.001, 25):
        moved = x - step * (v - best[:, None] * x) / np.sqrt(1 - best**2)[:, None]
        moved += 0.2 * step * rng.standard_normal(moved.shape) / 24**0.5
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        now, w = cosine(moved)
        better = now < best
        x[better], best[better], v[better] = moved[better], now[better], w[better]
    return x


def blocks(rng: np.random.Generator, n: int) -> dict[str, NDArray[np.float64]]:
    """n blocks of every kind, float64 (n, 24); magnitudes suit a ball of shells up to 13 at scale 1."""
    gaussian = rng.standard_normal((n, 24))
    few = np.argsort(rng.random((n, 24)), axis=1) < rng.integers(1, 7, (n, 1))  # one to six coordinates
    points = lattice_points(rng, n)
    halves = points + lattice_points(rng, n) / 2
    holes = points + rng.choice(HOLES, n) * rng.choice([-1.0, 1.0], (n, 1))
    unit = gaussian / np.linalg.norm(gaussian, axis=1, keepdims=True)
    word = 1.0 - 2.0 * golay.to_bits(rng.choice(golay.WORDS, n))
    noise = 10.0 ** rng.uniform(-15, -3, (n, 1))
    return {
        "sparse": 8 * gaussian * few,
        "sparse signs": 3 * np.sign(gaussian) * few,
        "cauchy": rng.standard_cauchy((n, 24)),
        "cubes": gaussian**3,
        "lattice points": points.astype(float),
        "halves of lattice points": halves,
        "holes": holes,
        "near lattice points": points + noise * gaussian,
        "near halves": halves + noise * gaussian,
        "near holes": holes + noise * gaussian,
        "small integers": rng.integers(-3, 4, (n, 24)).astype(float),
        "words": word * rng.choice([1.0, 2.0, 3.0], (n, 1)),
        "near words": word * rng.uniform(0.5, 3, (n, 1)) + 0.05 * gaussian,
        "one large coordinate": np.where(np.arange(24) == rng.integers(0, 24, (n, 1)), 50.0, 1.0) * gaussian,
        "many scales": gaussian * 10.0 ** rng.uniform(-20, 2, (n, 24)),
        "near the rim": unit * rng.uniform(13, 16, (n, 1)),
        "outside": gaussian * 10.0 ** rng.uniform(0.5, 4, (n, 1)),
        "huge": gaussian * 1e30,
        "tiny": gaussian * 1e-30,
        "extreme": gaussian * 10.0 ** rng.choice([-300.0, -250.0, 250.0, 300.0], (n, 1)),
        "subnormal": gaussian * 1e-310,
        "poorly covered": 14 * poorly_covered(rng, n),
    }
