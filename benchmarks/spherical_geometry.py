"""The spherical Leech code as a set of points, against rivals with as many bits, and how fast it is searched.

    python benchmarks/spherical_geometry.py            # some minutes; writes benchmarks/results/spherical_geometry.json
    python benchmarks/spherical_geometry.py --quick    # a tenth of the samples, prints only

For every code, with directions z uniform on the sphere:

    chord       smallest distance between two codewords.  Leech: one codeword of each class against all; its symmetry
                group moves any codeword to any other, so that is the minimum.  BSQ: 2 / sqrt(d).  Random and
                Fibonacci-like: 1,024 codewords against all, so the true minimum may be smaller still.
    covering    largest angle of a direction to its codeword, in degrees: of the sample; found by a local search from
                other, fewer starting points; and exactly, where it is known.  BSQ: at an axis, cos = 1 / sqrt(d).
                Leech: cos = sqrt(3 / 8), 52.24 degrees, at the directions of shell 3 (see below).
    mse         E |z - q|^2 = 2 - 2 E cos, with its standard error
    effective   1 / sum p_i^2, codewords as many of which, used alike, would collide as often: from the pairs of
                samples that share a codeword, unbiased for sum p_i^2.  Exactly the size where all cells are congruent.

Why sqrt(3 / 8): scale the lattice to minimal norm 4.  Its covering radius is sqrt(2), so for a direction u and t just
above sqrt(2) a lattice point p lies within sqrt(2) of t u, and p is not the origin: <u, p> >= (|p|^2 + t^2 - 2) / 2t.
If |p|^2 = 4 the cosine is at least sqrt(1/2); if 6, u is within 30 degrees of p; if 8, u = p / |p|, at 45 degrees to
minimal vectors; more is impossible.  In the second case the 552 minimal vectors with <v, p> = 3 are p/2 ± r with
|r|^2 = 5/2, on 276 lines that form a tight frame of the 23 dimensions across p, so every direction there has some
|cos| >= 1/sqrt(23) to them.  At an angle a <= 30 degrees from p the best <u, v> is then at least
sqrt(3/2) cos a + sqrt(5/46) sin a, which is concave in a and not below its value sqrt(3/2) at a = 0 at either end.

Codes on a smaller sphere solve an easier problem, so "BSQ-18 on S^23" is there too: six of 24 coordinates are dropped.

The search: batches of 4096 blocks on one thread, processor time; the dense way is one float32 product with all
codewords and an argmax.  Agreement: number of blocks on which structured search and brute force in float64 differ.

Prints a table for people and, as the last line, a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from llvq_mini import _kissing, golay, kissing, leech
from llvq_mini.files import write_json
from llvq_mini.report import provenance
from llvq_mini.spherical import Quantizer, SphericalLeech
from llvq_mini.spherical_rivals import BSQ, SphericalList, fibonacci_sphere, leech_class, random_sphere

RESULT = Path(__file__).parent / "results" / "spherical_geometry.json"
LISTED, STRUCTURED, BATCH, SEED = 40_000, 1_000_000, 4096, 2026


class Padded(Quantizer):
    """BSQ of the first 18 of 24 coordinates."""

    def __init__(self) -> None:
        super().__init__(24, 2**18)
        self.inner = BSQ(18)

    def quantize(self, z, x):
        codeword, indices, loss = self.inner.quantize(z[:, :18], x[:, :18])
        return torch.nn.functional.pad(codeword, (0, 6)), indices, loss


def codes():
    """(name, module, exact facts: smallest chord, covering angle, whether cells are congruent)."""
    leech_chord = math.sqrt(2 - 2 * largest_product())
    yield "Leech, 196,560 minimal vectors", SphericalLeech(), (leech_chord, math.acos(math.sqrt(3 / 8)), True)
    yield "random", random_sphere(), (None, None, False)
    yield "Fibonacci-like", fibonacci_sphere(), (None, None, False)
    yield "BSQ-18 on S^17", BSQ(18), (2 / 18**0.5, math.acos(18**-0.5), True)
    yield "BSQ-18 on S^23", Padded(), (2 / 18**0.5, math.pi / 2, True)
    yield "Leech pairs, 1,104", leech_class(1_104), (None, None, True)
    yield "Leech octads, 97,152", leech_class(97_152), (None, None, True)
    yield "Leech words, 98,304", leech_class(98_304), (None, None, True)


def largest_product() -> float:
    """Largest inner product of different normalized minimal vectors, one of each class against all."""
    v = leech.minimal_vectors().astype(np.int64)
    products = v[[0, 2_000, 150_000]] @ v.T
    return float(products[products < 32].max() / 32)


def listed_chord(rows: torch.Tensor) -> float:
    """Smallest distance from the first 1,024 rows to any other row."""
    best = -1.0
    for start in range(0, 1024, 128):
        products = rows[start : start + 128] @ rows.T
        products[torch.arange(len(products)), torch.arange(start, start + len(products))] = -1.0
        best = max(best, float(products.max()))
    return math.sqrt(2 - 2 * best)


def cosines(module: Quantizer, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines of unit vectors to their codewords, and indices."""
    codeword, indices, _ = module(z)
    return (codeword * z).sum(dim=-1), indices


def worst_angle(module: Quantizer, z: torch.Tensor, steps: int) -> float:
    """Largest angle found in degrees: step away from the codeword, keep what is farther, with shrinking steps."""
    generator = torch.Generator().manual_seed(SEED)
    best, _ = cosines(module, z)
    for step in np.geomspace(0.3, 0.001, steps):
        codeword = module(z)[0]
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype) / z.shape[1] ** 0.5
        moved = torch.nn.functional.normalize(
            z - float(step) * (codeword - best[:, None] * z - 0.5 * noise), dim=-1
        )
        now, _ = cosines(module, moved)
        better = now < best
        z, best = torch.where(better[:, None], moved, z), torch.where(better, now, best)
    return math.degrees(math.acos(float(best.min())))


def measure(name: str, module: Quantizer, exact: tuple[float | None, float | None, bool], scale: int) -> dict:
    """One row of the table."""
    chord, covering, congruent = exact
    is_list = isinstance(module, SphericalList)
    n = (LISTED if is_list else STRUCTURED) // scale
    generator = torch.Generator().manual_seed(SEED)
    parts, used = [], []
    for start in range(0, n, BATCH):
        x = torch.randn(min(BATCH, n - start), module.dim, generator=generator, dtype=torch.float32)
        cosine, indices = cosines(module, torch.nn.functional.normalize(x, dim=-1))
        parts.append(cosine.double())
        used.append(indices)
    cosine, count = torch.cat(parts), torch.bincount(torch.cat(used)).double()
    pairs = float((count * (count - 1)).sum() / (n * (n - 1.0)))
    sample = torch.nn.functional.normalize(
        torch.randn(32 if is_list else 2000, module.dim, generator=generator), dim=-1
    )
    return {
        "name": name,
        "dim": module.dim,
        "size": module.size,
        "bits": module.bits,
        "chord": chord if chord is not None else listed_chord(module.rows),
        "chord_exact": chord is not None,
        "covering_sampled": math.degrees(math.acos(float(cosine.min()))),
        "covering_searched": worst_angle(module, sample, 40 if is_list else 300 // scale),
        "covering_known": None if covering is None else math.degrees(covering),
        "mse": float(2 - 2 * cosine.mean()),
        "mse_stderr": float(2 * cosine.std() / n**0.5),
        "mean_angle": float(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).mean()),
        "effective_size": float(module.size) if congruent else 1 / pairs,
        "usage_entropy_bits": math.log2(module.size if congruent else 1 / pairs),
        "samples": n,
    }


def hard_blocks(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random blocks, points between two or three minimal vectors with and without a tiny push, and degenerate ones."""
    v = leech.minimal_vectors()
    few = np.argsort(rng.random((n // 10, 24)), axis=1) < rng.integers(1, 7, (n // 10, 1))
    picks = (
        v[rng.integers(0, len(v), (n // 4, 3))] * (np.arange(3) < rng.integers(2, 4, (n // 4, 1)))[:, :, None]
    )
    push = rng.choice([0.0, 1e-15, 1e-9, 1e-5], (n // 4, 1)) * rng.standard_normal((n // 4, 24))
    parts = [
        picks.sum(axis=1) + push,
        few * np.sign(rng.standard_normal(few.shape)),
        rng.integers(-3, 4, (n // 10, 24)).astype(float),
        (1.0 - 2.0 * golay.to_bits(rng.choice(golay.WORDS, n // 20))) * rng.choice([1.0, 3.0], (n // 20, 24)),
        np.concatenate([np.eye(24), -np.eye(24)]),
    ]
    parts.append(rng.standard_normal((n - sum(map(len, parts)), 24)))
    return np.concatenate(parts)


def brute_force(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Nearest of rows (24, 196560), which come in the order of the tie rule; float64, ties included."""
    x = np.ldexp(x, -np.frexp(np.abs(x).max(axis=1, keepdims=True))[1])
    dots = torch.from_numpy(x.astype(np.float32)) @ torch.from_numpy(rows.astype(np.float32))
    near = torch.nonzero(dots >= dots.amax(dim=1, keepdim=True) - 1e-3).numpy()
    row, column = near[:, 0], near[:, 1]
    exact = np.zeros(len(row))
    for i in range(24):
        exact += x[row, i] * rows[i, column]
    order = np.lexsort((column, -(exact / np.sqrt(32.0)), row))
    return rows[:, column[order[np.unique(row[order], return_index=True)[1]]]].T


def search(scale: int) -> dict:
    """Agreement and speed."""
    torch.set_num_threads(1)
    v = leech.minimal_vectors()
    rows = v[np.lexsort(-v[:, ::-1].T)].T.astype(np.float64)
    x = hard_blocks(np.random.default_rng(SEED), 100_000 // scale)
    x = x[x.any(axis=1)]
    differ = sum(
        int((kissing.nearest(x[s : s + 512]) != brute_force(x[s : s + 512], rows)).any(axis=1).sum())
        for s in range(0, len(x), 512)
    )
    batch, matrix = torch.randn(BATCH, 24), torch.from_numpy(rows.astype(np.float32)).contiguous()
    times: dict[str, list[float]] = {"dense": [], "dense in slices of 64": [], "structured": []}
    array = batch.numpy()
    for _ in range(3):
        for key, run in (
            ("dense", lambda: (batch @ matrix).argmax(dim=1)),
            ("dense in slices of 64", lambda: [(part @ matrix).argmax(dim=1) for part in batch.split(64)]),
            ("structured", lambda: kissing.nearest(array, threads=1)),
        ):
            start = time.process_time()
            run()
            times[key].append(time.process_time() - start)
    best = {key: min(t) for key, t in times.items()}
    return {
        "blocks_compared": len(x),
        "blocks_that_differ": differ,
        "batch": BATCH,
        "seconds_per_batch": best,
        "speedup": min(best["dense"], best["dense in slices of 64"]) / best["structured"],
        "table_bytes": int(sum(table.nbytes for table in _kissing.TABLES)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples; nothing is written")
    quick = parser.parse_args().quick
    scale = 10 if quick else 1
    record = {"meta": provenance(), "codes": []}
    print(
        f"{'code':34}{'bits':>7}{'chord':>8}{'sampled':>9}{'searched':>9}{'known':>7}{'MSE':>9}{'stderr':>9}{'usage':>8}"
    )
    for name, module, exact in codes():
        row = measure(name, module.eval(), exact, scale)
        record["codes"].append(row)
        known = "" if row["covering_known"] is None else f"{row['covering_known']:.2f}"
        angles = f"{row['covering_sampled']:9.2f}{row['covering_searched']:9.2f}{known:>7}"
        mse = f"{row['mse']:9.5f}{row['mse_stderr']:9.5f}"
        print(
            f"{name:34}{row['bits']:7.3f}{row['chord']:8.4f}{angles}{mse}{row['usage_entropy_bits']:8.3f}",
            flush=True,
        )
    record["search"] = search(scale)
    print(record["search"])
    if not quick:
        write_json(RESULT, record)
        print(f"written to {RESULT}", file=sys.stderr)
    print(json.dumps({"benchmark": "spherical_geometry", "mse": {r["name"]: r["mse"] for r in record["codes"]},
                      "speedup": record["search"]["speedup"]}))  # fmt: skip


if __name__ == "__main__":
    main()
