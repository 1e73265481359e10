"""Every code that the rate-distortion comparison measures, by key.

An entry says how to make a codebook, in which family it appears, and how many Gaussian blocks bring its standard error
below 0.1 % (trellises, whose encoder is slow, 0.2 %).  All codes are designed for N(0, 1), as their
papers do; other sources meet them unchanged.

Chosen are, for each family, the rates between 0.75 and 4 bits a weight that it can have, and for 2 bits the splits that
a reader asks for.  `quick` entries make up the short run, `everywhere` ones are measured on every source.

Not here: measuring (bench.py).  Tests: tests/test_bench.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvq_mini import index
from llvq_mini.baselines.binary import BSQ, FSQ, LFQ
from llvq_mini.baselines.e8 import E8P, E8Ball, e8p_residual
from llvq_mini.baselines.ecsq import ECSQ
from llvq_mini.baselines.pyramid import Pyramid
from llvq_mini.baselines.residual import Additive, KMeans, residual_kmeans
from llvq_mini.baselines.scalar import LloydMax, Uniform
from llvq_mini.baselines.trellis import Trellis
from llvq_mini.codebook import Ball, ShapeGain, SingleShell, Tapered
from llvq_mini.entropy_leech import EntropyLeech
from llvq_mini.interlocked import CAPS_BY_BITS
from llvq_mini.rates import interlocked, two_stage
from llvq_mini.voronoi import Voronoi


class Entry(NamedTuple):
    """A code to measure: make(**parameters) is the codebook; blocks are those on the Gaussian source."""

    family: str
    make: Callable[..., Any]
    parameters: dict[str, Any]
    blocks: int
    quick: bool = False
    everywhere: bool = False


def best_split(bits: int, gain_bits: int) -> int:
    """The largest cap whose shape-gain code with so many gain bits fits a budget of `bits` a block."""
    caps = [cap for cap in range(2, 32) if (index.size(cap) - 2).bit_length() + gain_bits <= bits]
    return max(caps)


def _scalar() -> list[Entry]:
    found = []
    for b in (1, 2, 3, 4):
        found += [
            Entry("uniform scalar", Uniform, {"weight_bits": b}, 2_000_000, b == 2, True),
            Entry("Lloyd-Max scalar", LloydMax, {"weight_bits": b}, 2_000_000, True, True),
            Entry("entropy-coded scalar", ECSQ, {"rate": float(b)}, 2_000_000, b == 2, True),
        ]
    found += [Entry("BSQ", BSQ, {}, 1_000_000), Entry("LFQ", LFQ, {}, 1_000_000)]
    for levels in ((3,) * 5, (4,) * 8, (8, 5, 5, 5), (8,) * 8):
        found.append(Entry("FSQ", FSQ, {"levels": levels}, 2_000_000))
    return found


def _learned_and_small() -> list[Entry]:
    found = [
        Entry("k-means", KMeans, {"bits": 8, "dim": 4}, 2_000_000, False, True),
        Entry("residual k-means", residual_kmeans, {"stages": 2}, 600_000, False, True),
        Entry("residual k-means", residual_kmeans, {"stages": 3}, 600_000, False, True),
        Entry("residual k-means", residual_kmeans, {"stages": 4}, 600_000, False, True),
        Entry("additive", Additive, {"count": 2}, 100_000, False, True),
        Entry("pyramid", Pyramid, {"pulses": 6, "gain_bits": 1}, 600_000),
        Entry("pyramid", Pyramid, {"pulses": 16, "gain_bits": 2}, 1_000_000, True, True),
        Entry("pyramid", Pyramid, {"pulses": 28, "gain_bits": 2}, 1_000_000),
        Entry("E8P12", E8P, {}, 1_500_000, True, True),
        Entry("E8P12", e8p_residual, {"weight_bits": 3}, 1_000_000, True, True),
        Entry("E8P12", e8p_residual, {"weight_bits": 4}, 1_000_000, True, True),
    ]
    for norm in (2, 4, 6, 8, 10):
        found.append(Entry("E8 ball", E8Ball, {"max_norm": norm}, 1_500_000, norm == 10, norm == 10))
    return found


def _leech() -> list[Entry]:
    found = [
        Entry("Leech shell", SingleShell, {"shell": m}, 600_000, m == 3, m == 3) for m in (2, 3, 4, 6, 9, 12)
    ]
    found.append(Entry("Leech shell", SingleShell, {"shell": 12, "gain_bits": 1}, 600_000))
    for cap in (*range(2, 14), 16, 19, 22, 26, 31):
        found.append(
            Entry("Leech ball", Ball, {"max_shell": cap}, 600_000, cap in (6, 13), cap in (3, 6, 13, 26))
        )
    splits = {(best_split(bits, g), g) for bits in (36, 48, 60) for g in range(5)}
    for cap, g in sorted(splits | {(3, 1), (8, 1), (10, 1), (13, 1), (13, 2), (13, 3), (31, 1)}):
        chosen = (cap, g) == (12, 1)
        parameters = {"max_shell": cap, "gain_bits": g}
        found.append(Entry("Leech shape-gain", ShapeGain, parameters, 600_000, chosen, chosen))
    found.append(Entry("Leech tapered", Tapered, {}, 1_000_000, True, True))
    for bits in CAPS_BY_BITS:
        found.append(Entry("Leech interlocked", interlocked, {"bits": bits}, 600_000, bits == 48, True))
    for bits in (72, 84, 96):
        found.append(Entry("Leech two-stage", two_stage, {"bits": bits}, 600_000, True, True))
    for r in (2, 3, 4, 6, 8, 11, 16):
        found.append(Entry("Leech Voronoi", Voronoi, {"r": r}, 600_000, False, r in (4, 8, 16)))
    for rate in (0.75, 1.0, 1.25, 1.5, 1.75, 2.0):
        found.append(
            Entry("Leech entropy-coded", EntropyLeech, {"rate": rate}, 1_000_000, rate == 2, rate in (1, 2))
        )
    return found


def _trellises() -> list[Entry]:
    found = []
    for b in (1, 2, 3, 4):
        short = {"weight_bits": b, "state_bits": 12, "code": "lut"}
        long = {"weight_bits": b, "state_bits": 16, "code": "3inst"}
        found.append(Entry("trellis L = 12", Trellis, short, 10_000, b == 2, True))
        found.append(Entry("trellis L = 16", Trellis, long, 5000, b == 2, True))
    found.append(
        Entry("trellis L = 12", Trellis, {"weight_bits": 2, "state_bits": 12, "code": "3inst"}, 10_000)
    )
    for code in ("lut", "1mad"):
        found.append(
            Entry("trellis L = 16", Trellis, {"weight_bits": 2, "state_bits": 16, "code": code}, 5000)
        )
    return found


def entries() -> dict[str, Entry]:
    """All codes by key: the family and the parameters, in lower case with hyphens."""
    found = {}
    for entry in (*_scalar(), *_learned_and_small(), *_leech(), *_trellises()):
        found[_key(entry)] = entry
    return found


def _key(entry: Entry) -> str:
    words = [entry.family.lower().replace(" = ", "")]
    for value in entry.parameters.values():
        words.append("x".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return "-".join(words).replace(" ", "-")
