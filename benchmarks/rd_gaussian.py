"""Distortion against rate on a Gaussian source: every codebook of the library, measured with its standard error.

    python benchmarks/rd_gaussian.py            # a few minutes; writes benchmarks/results/rd_gaussian.json
    python benchmarks/rd_gaussian.py --quick    # a tenth of the blocks, prints only

Blocks are i.i.d. N(0, 1) from a fixed seed, different from those that fitted gain levels and scales.  The error of
a block is its squared distance divided by its dimension; `mse` is the mean over blocks, `stderr` the standard
deviation of that mean.  `rate` is what is stored, bits / dim.  Speeds of `encode` and `decode` are blocks per
second of processor time, all threads added up, after compilation: what one core does, also on a busy machine.
Blocks of scalar codes are eight weights, those of the others 24.
`table_bytes` is what a decoder keeps in memory, index tables or levels.

Prints a table for people and, as the last line, a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numba
import numpy as np

from llvq_mini import limits
from llvq_mini._index_tables import tables
from llvq_mini.baselines.scalar import LloydMax, Uniform
from llvq_mini.codebook import Ball, ShapeGain, SingleShell, Tapered

RESULT = Path(__file__).parent / "results" / "rd_gaussian.json"
HEADLINE, OTHERS, CHUNK = 1_000_000, 200_000, 50_000
SEED = 2026
LIMIT_RATES = np.arange(0.5, 4.01, 0.25)


def codebooks():
    """(family, codebook, largest shell or 0 for scalar codes)."""
    for bits in (1, 2, 3, 4):
        yield "uniform scalar", Uniform(bits), 0
        yield "Lloyd-Max scalar", LloydMax(bits), 0
    for cap in range(2, 14):
        yield "Leech ball", Ball(cap), cap
    for cap, gain_bits in ((3, 1), (4, 1), (6, 1), (8, 1), (10, 1), (10, 4), (11, 1), (11, 2),
                           (12, 0), (12, 1), (12, 2), (13, 0), (13, 1), (13, 2), (13, 3)):  # fmt: skip
        yield "Leech shape-gain", ShapeGain(cap, gain_bits), cap
    yield "Leech tapered", Tapered(), 12
    for shell, gain_bits in ((2, 0), (2, 1), (3, 0), (3, 1), (6, 1), (9, 1), (12, 0), (12, 1), (13, 1)):
        yield "Leech single shell", SingleShell(shell, gain_bits), shell


def table_bytes(book, cap: int) -> int:
    """Bytes of the tables that decoding reads: the arrays of the index less those for encoding, or the levels."""
    if not cap:
        return 4 * len(book.levels)
    encoding_only = {"row_of", "word_kind", "word_position", "quad_rank"}
    named = tables(cap)._asdict()
    return sum(np.asarray(array).nbytes for name, array in named.items() if name not in encoding_only)


def measure(family: str, book, cap: int, blocks: int) -> dict:
    """One point of the plot."""
    rng = np.random.default_rng(SEED)
    warm = rng.standard_normal((64, book.dim), dtype=np.float32)
    book.decode(book.encode(warm))
    total = squares = encode_s = decode_s = 0.0
    for start in range(0, blocks, CHUNK):
        x = rng.standard_normal((min(CHUNK, blocks - start), book.dim), dtype=np.float32)
        t0 = time.process_time()
        codes = book.encode(x)
        t1 = time.process_time()
        y = book.decode(codes)
        t2 = time.process_time()
        encode_s, decode_s = encode_s + t1 - t0, decode_s + t2 - t1
        error = ((x.astype(np.float64) - y) ** 2).mean(axis=1)
        total, squares = total + error.sum(), squares + (error**2).sum()
    mse = total / blocks
    return {
        "family": family,
        "name": book.name,
        "rate": book.bits_per_weight,
        "mse": float(mse),
        "stderr": float(np.sqrt((squares / blocks - mse**2) / (blocks - 1))),
        "blocks": blocks,
        "dim": book.dim,
        "table_bytes": table_bytes(book, cap),
        "encode_blocks_per_s": round(blocks / encode_s),
        "decode_blocks_per_s": round(blocks / decode_s),
        "source": "gaussian",
    }


def processor() -> str:
    """Model name of the processor and the number of threads in use."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} processors"


def meta() -> dict:
    """Where and how the numbers were made."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    ).stdout.strip()
    return {
        "command": "python benchmarks/rd_gaussian.py",
        "machine": processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "commit": commit or "unknown",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the blocks; nothing is written")
    quick = parser.parse_args().quick
    record = {"meta": meta(), "points": [], "limits": []}
    print(f"{'family':20}{'code':30}{'rate':>7}{'MSE':>10}{'stderr':>10}{'enc/s':>11}{'dec/s':>12}")
    for family, book, cap in codebooks():
        headline = cap and book.bits == 48 and family in ("Leech ball", "Leech shape-gain", "Leech tapered")
        blocks = (HEADLINE if headline else OTHERS) // (10 if quick else 1)
        p = measure(family, book, cap, blocks)
        record["points"].append(p)
        print(f"{family:20}{p['name']:30}{p['rate']:7.4f}{p['mse']:10.5f}{p['stderr']:10.6f}"
              f"{p['encode_blocks_per_s']:11,d}{p['decode_blocks_per_s']:12,d}", flush=True)  # fmt: skip
    if not quick:
        record["limits"] = [
            {"rate": rate, "shannon": limits.shannon(rate), "floor24": limits.floor(24, 24 * rate)}
            for rate in LIMIT_RATES.tolist()
        ]
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
        print(f"written to {RESULT}", file=sys.stderr)
    best = {p["name"]: [p["mse"], p["stderr"]] for p in record["points"] if p["rate"] == 2.0}
    print(json.dumps({"benchmark": "rd_gaussian", "mse_and_stderr_at_2_bits": best}))


if __name__ == "__main__":
    main()
