"""Speed of the codec on one core: searches, index, packing and codebooks, beside the slow reference.

    python benchmarks/codec.py            # about two minutes; writes benchmarks/results/codec.json
    python benchmarks/codec.py --quick    # a few seconds, prints only

The process pins itself to one core and asks for one thread.  Blocks are i.i.d. N(0, 1), scaled for the ball and the
whole lattice as the rows say.  Everything is called once before timing, so compilation and table building are
not counted.  Each row repeats its call and reports two rates: blocks per second of the fastest repetition by the wall
clock, and blocks per second of processor time, median of the repetitions.  On an idle machine they agree; on a
busy one the second is what the core does while it works for this process, and ratios use it.  The reference runs in
the same process on the same blocks, and its answers are compared with the fast ones.

Prints a table for people and, as the last line, the same in JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is imported

import numba  # noqa: E402
import numpy as np  # noqa: E402

from llvq_mini import codebook, index, pack, reference, search  # noqa: E402

RESULT = Path(__file__).parent / "results" / "codec.json"
BALL_SCALE = 0.347
POINT_SPREAD = 8**0.5  # covolume 1 in the unscaled lattice: standard deviation 1 becomes sqrt(8)


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def commit() -> str:
    """The commit of the code, with + if there are changes beside it; "unknown" outside a checkout."""
    try:
        out = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True,
            cwd=Path(__file__).parent,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return out.stdout.strip()


def measure(call: Callable[[], Any], blocks: int, repetitions: int) -> dict[str, float]:
    """Blocks per second by the wall clock and by processor time, after one call that is not timed."""
    call()
    wall, cpu = [], []
    for _ in range(repetitions):
        start, start_cpu = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return {
        "blocks": blocks,
        "repetitions": repetitions,
        "blocks_per_second": blocks / min(wall),
        "blocks_per_cpu_second": blocks / float(np.median(cpu)),
    }


def assert_equal_answers(x: np.ndarray) -> None:
    """The fast searches against the reference on the blocks that time it."""
    pairs = [
        (search.nearest_direction(x, 12), reference.nearest_direction(x, 12)),
        (search.nearest_direction(x, 13), reference.nearest_direction(x, 13)),
        (search.nearest_in_ball(x, 13, BALL_SCALE), reference.nearest_in_ball(x, 13, BALL_SCALE)),
        (search.nearest_point(POINT_SPREAD * x), reference.nearest_point(POINT_SPREAD * x)),
    ]
    if not all((fast == slow).all() for fast, slow in pairs):
        raise AssertionError("The fast search and the reference differ; run tests/test_search.py.")


def run(blocks: int, slow_blocks: int, repetitions: int) -> dict[str, dict[str, float]]:
    """All rows by name."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((blocks, 24), dtype=np.float32)
    slow = x[:slow_blocks].astype(np.float64)
    assert_equal_answers(slow)
    rows: dict[str, dict[str, float]] = {}

    def add(name: str, call: Callable[[], Any], n: int = blocks, times: int = repetitions) -> None:
        rows[name] = measure(call, n, times)
        row = rows[name]
        print(f"{name:54s} {row['blocks_per_second']:14,.0f} {row['blocks_per_cpu_second']:16,.0f}")

    print(f"{'blocks per second, one core':54s} {'wall, fastest':>14s} {'CPU time, median':>16s}")
    few = max(repetitions // 3, 1)
    add("reference.nearest_direction(12)", lambda: reference.nearest_direction(slow, 12), slow_blocks, few)
    add("reference.nearest_direction(13)", lambda: reference.nearest_direction(slow, 13), slow_blocks, few)
    add("reference.nearest_in_ball(13)", lambda: reference.nearest_in_ball(slow, 13, BALL_SCALE), slow_blocks, few)
    add("reference.nearest_point", lambda: reference.nearest_point(POINT_SPREAD * slow), slow_blocks, few)
    add("search.nearest_direction(12)", lambda: search.nearest_direction(x, 12, threads=1))
    add("search.nearest_direction(13)", lambda: search.nearest_direction(x, 13, threads=1))
    add("search.nearest_in_ball(13)", lambda: search.nearest_in_ball(x, 13, BALL_SCALE, threads=1))
    wide = np.float32(POINT_SPREAD) * x
    add("search.nearest_point", lambda: search.nearest_point(wide, threads=1))
    for cap in (12, 13):
        codes = rng.integers(0, index.size(cap), blocks, dtype=np.uint64)
        points = index.decode(codes, cap)
        add(f"index.encode({cap})", lambda v=points, m=cap: index.encode(v, m, threads=1))
        add(f"index.decode({cap})", lambda c=codes, m=cap: index.decode(c, m, threads=1))
    codes = rng.integers(0, 2**48, blocks, dtype=np.uint64)
    packed = pack.pack(codes, 48)
    add("pack.pack(48 bits)", lambda: pack.pack(codes, 48))
    add("pack.unpack(48 bits)", lambda: pack.unpack(packed, 48, blocks))
    for book in (codebook.ShapeGain(12, 1), codebook.Ball(13)):
        coded = book.encode(x)
        add(f"encode, {book.name}", lambda b=book: b.encode(x))
        add(f"decode, {book.name}", lambda b=book, c=coded: b.decode(c))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer blocks, no file")
    quick = parser.parse_args().quick
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = run(20_000, 100, 3) if quick else run(200_000, 400, 9)
    for name, row in rows.items():
        slow = rows.get(name.replace("search.", "reference."))
        if slow and slow is not row:
            row["ratio_to_reference"] = row["blocks_per_cpu_second"] / slow["blocks_per_cpu_second"]
            print(f"{name} is {row['ratio_to_reference']:,.0f} times as fast as the reference")
    result = {
        "meta": {
            "command": " ".join(["python", "benchmarks/codec.py", *sys.argv[1:]]),
            "machine": processor(),
            "cores_used": 1,
            "load_average_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": numba.__version__,
            "commit": commit(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        },
        "rows": rows,
    }
    if not quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
