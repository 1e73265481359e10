"""Make holes.npy: vertices of the Voronoi cell of the origin, the points hardest for a nearest-point search.

A vertex maximizes a random linear functional over the cell, {x : <x, v> <= |v|^2 / 2 for all v}.  The linear
program starts with the minimal vectors nearest to that direction and learns further constraints from
nearest_point, asked along a ray, until it returns the origin or a point equally near.  Vertices at distance 4
(the covering radius) are deep holes; half of (8, 0, ..., 0), the simplest one, comes first.
Run: python tests/golden/make_holes.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.optimize import linprog

from llvq_mini import leech, search


def vertex(direction: np.ndarray, minimal: np.ndarray) -> np.ndarray:
    """The vertex of the Voronoi cell that is extreme in the given direction, (24,)."""
    box = np.concatenate([8 * np.eye(24), -8 * np.eye(24)])
    normals = np.concatenate([box, minimal[np.argsort(minimal @ direction)[-400:]]])
    while True:
        right = (normals**2).sum(axis=1) / 2
        x = linprog(-direction, A_ub=normals, b_ub=right, bounds=(None, None)).x
        p = search.nearest_point(np.linspace(0.5, 1.0, 64)[:, None] * x)
        if 2 * p[-1] @ x - p[-1] @ p[-1] < 1e-9:
            return x
        normals = np.unique(np.concatenate([normals, p[p.any(axis=1)]]), axis=0)


def main(count: int = 96) -> None:
    rng = np.random.default_rng(24)
    minimal = leech.minimal_vectors().astype(float)
    holes = [4 * np.eye(24)[0]] + [vertex(rng.standard_normal(24), minimal) for _ in range(count - 1)]
    radii = np.linalg.norm(holes, axis=1)
    deep = np.sum(radii > 4 - 1e-9)
    print(f"{count} vertices, {deep} of them deep holes, radii {radii.min():.6f} ... {radii.max():.6f}")
    np.save(Path(__file__).with_name("holes.npy"), np.array(holes))


if __name__ == "__main__":
    main()
