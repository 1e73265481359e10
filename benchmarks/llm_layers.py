"""A sample of layers under many quantizers: what is lost of the output and of the weights, and what it costs.

    python benchmarks/llm_layers.py --layers 10 22 --rows 32 --work FOLDER     # all arms; stop and start as you like
    python benchmarks/llm_layers.py --arms leech-2 e8p-2 --work FOLDER
    python benchmarks/llm_layers.py --table

For methods that take an hour or many on a whole model: the long trellis of llm_arms.py, and glq, which runs in an
environment of its own (llm_libraries.py). Every linear of the layers is cut down to `rows` of its rows, at equal
distances, and quantized under the statistics that all arms of llm_rivals.py share, FOLDER/calibration (made if they are
not there; value projections know the sink). Two figures of each matrix, W^ = W + D:

    proxy    tr(D H D^T) / tr(W H W^T)    the share of output energy that is lost, H as calibrated, not damped
    mse      |D|^2 / |W|^2

Tables show geometric means over matrices, and those of the ratio to leech-2 with 95 % intervals over matrices. Bits are
those of the whole matrix: what grows with the rows is counted by the row, what does not (an order of columns, column
signs) once. One file in FOLDER/layers for every arm, and benchmarks/results/llm_layers.json from all that are there for
the same layers and rows. Tests: tests/test_llm_libraries.py.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llm_arms import Matrix, Quantized, ablation, rivals
from llm_harness import Bench, load_arrays, save_arrays
from llm_libraries import run_job
from scipy.stats import t

from llvq_mini import embedded
from llvq_mini.feedback import proxy_error
from llvq_mini.files import write_json
from llvq_mini.report import provenance

RESULT = Path(__file__).parent / "results" / "llm_layers.json"
REFERENCE = "leech-2"
OURS = (
    "leech-2",
    "interlocked",
    "entropy-2",
    "e8p-2",
    "trellis12-2",
    "trellis16-2",
    "residual-2",
    "rtn-2",
    "gptq-2-sink",
)
LIBRARIES: dict[str, dict[str, Any]] = {
    "hqq-2": {"library": "hqq", "options": {"nbits": 2, "group_size": 64, "axis": 1}},
    "hqq-2-axis0": {"library": "hqq", "options": {"nbits": 2, "group_size": 64, "axis": 0}},
    "glq-e8-2": {"library": "glq", "options": {"codebook": "e8"}},
    "glq-trellis-2": {"library": "glq", "options": {"codebook": "trellis"}},
}
TEXTS = {
    "hqq-2": "HQQ (library), groups of 64 along a row",
    "hqq-2-axis0": "HQQ (library), groups of 64 along a column",
    "glq-e8-2": "glq (library), E8 codebook",
    "glq-trellis-2": "glq (library), trellis 3INST, L = 16",
}


def sample(matrix: Matrix, rows: int) -> Matrix:
    """The matrix with `rows` of its rows at equal distances."""
    count = len(matrix.weight)
    return replace(matrix, weight=matrix.weight[np.arange(rows) * count // rows]) if rows < count else matrix


def whole_bits(bits: int, fixed: int, sampled: int, rows: int) -> float:
    """Bits of a matrix of `rows` rows from those of `sampled` of them, `fixed` of which do not grow with the rows."""
    return (bits - fixed) * rows / sampled + fixed


def figures(matrix: Matrix, dense: np.ndarray, bits: float, rows: int) -> dict[str, Any]:
    """One matrix's line."""
    metric = matrix.hessian("sink").astype(np.float32)
    error = matrix.weight - dense
    return {
        "name": matrix.name,
        "shape": [rows, matrix.weight.shape[1]],
        "sampled_rows": len(matrix.weight),
        "bits_per_weight": bits / (rows * matrix.weight.shape[1]),
        "proxy": proxy_error(error, matrix.weight, metric),
        "mse": float(
            np.square(error, dtype=np.float64).sum() / np.square(matrix.weight, dtype=np.float64).sum()
        ),
    }


def run_own(name: str, matrices: list[tuple[Matrix, int]]) -> dict[str, Any]:
    """An arm of llm_arms.py on the sampled matrices (each with the rows of the whole)."""
    arm = next(arm for arm in rivals() + ablation() if arm.name == name)
    method = arm.plan(matrix for matrix, _ in matrices)
    warm, _ = matrices[0]
    method(replace(warm, weight=warm.weight[:16]))  # compiles and builds tables, which is not timed
    lines, started = [], time.process_time()
    for matrix, rows in matrices:
        done: Quantized = method(matrix)
        fixed = 16 * matrix.weight.shape[1] if name.startswith("gptq") else 0
        bits = whole_bits(done.bits, fixed, len(matrix.weight), rows)
        lines.append((matrix, done.dense, bits, rows))
    seconds = time.process_time() - started
    return {"text": arm.text, "cpu_seconds": seconds, "matrices": [figures(*line) for line in lines]}


def run_library(name: str, matrices: list[tuple[Matrix, int]], work: Path) -> dict[str, Any]:
    """A library on the sampled matrices, in its own process."""
    folder = work / "layers"
    given, out = folder / f"given-{name}.npz", folder / f"done-{name}.npz"
    arrays = {f"{m.name}.weight": m.weight for m, _ in matrices}
    arrays |= {f"{m.name}.hessian": m.hessian("sink") for m, _ in matrices}
    save_arrays(given, **arrays)
    record = run_job(work, {**LIBRARIES[name], "out": str(out.absolute()), "matrices": str(given.absolute())})
    found, lines = load_arrays(out), []
    for matrix, rows in matrices:
        bits = whole_bits(record["bits"][matrix.name], record["fixed"][matrix.name], len(matrix.weight), rows)
        lines.append(figures(matrix, found[f"{matrix.name}.dense"], bits, rows))
    given.unlink()
    out.unlink()
    library = {"name": LIBRARIES[name]["library"], "version": record["version"], **LIBRARIES[name]}
    return {
        "text": TEXTS[name],
        "cpu_seconds": record["cpu_seconds"],
        "matrices": lines,
        "library": library,
    }


def mean(result: dict[str, Any], key: str) -> float:
    """Geometric mean over matrices."""
    return float(np.exp(np.mean(np.log([line[key] for line in result["matrices"]]))))


def rate(result: dict[str, Any]) -> float:
    """Bits a weight over all matrices, whole ones."""
    sizes = np.array([np.prod(line["shape"]) for line in result["matrices"]])
    return float(np.average([line["bits_per_weight"] for line in result["matrices"]], weights=sizes))


def ratio(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float, float]:
    """Geometric mean of the ratios of two arms' proxies matrix by matrix, and its 95 % interval (Student's t)."""
    logs = np.log([a["proxy"] / b["proxy"] for a, b in zip(one["matrices"], other["matrices"], strict=True)])
    center = float(logs.mean())
    half = float(t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5)
    low, high = center - half, center + half
    return float(np.exp(center)), float(np.exp(low)), float(np.exp(high))


def table(arms: dict[str, Any]) -> list[str]:
    """One line an arm, least proxy first, with the ratio of its proxy to the reference's."""
    lines = [f"{'arm':16s} {'bits':>6s} {'proxy':>8s} {'mse':>7s} {'CPU s':>7s}  over {REFERENCE}"]
    for name, result in sorted(arms.items(), key=lambda item: mean(item[1], "proxy")):
        line = (
            f"{name:16s} {rate(result):6.3f} {mean(result, 'proxy'):8.5f} {mean(result, 'mse'):7.4f} "
            f"{result['cpu_seconds']:7.1f}"
        )
        if REFERENCE in arms and name != REFERENCE:
            line += "  {:.3f} [{:.3f}, {:.3f}]".format(*ratio(result, arms[REFERENCE]))
        lines.append(line)
    return lines


def run(names: list[str], layers: list[int], rows: int, work: Path) -> dict[str, Any]:
    """What is missing of these arms; all that are there for the same layers and rows, as the result has them."""
    folder = work / "layers"
    folder.mkdir(parents=True, exist_ok=True)

    @cache
    def matrices() -> list[tuple[Matrix, int]]:
        bench = Bench(work, say=lambda line: print(line, flush=True))
        bench.calibrate(fisher=False)
        return [(sample(m, rows), len(m.weight)) for index in layers for m in bench.matrices(index)]

    mark = f"{'-'.join(map(str, layers))}-rows{rows}"
    found: dict[str, Any] = {}
    for name in (*OURS, *LIBRARIES):
        path = folder / f"{name}-{mark}.json"
        if name in names and not path.exists():
            result = run_library(name, matrices(), work) if name in LIBRARIES else run_own(name, matrices())
            write_json(path, {"meta": provenance(), **result})
            print(f"{name} proxy {mean(result, 'proxy'):.5f} {result['cpu_seconds']:.0f} s", flush=True)
        if path.exists():
            found[name] = json.loads(path.read_text())
    whole = {"layers": layers, "rows": rows, "arms": found}
    write_json(RESULT, whole)
    return whole


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", nargs="+", type=int, default=[10, 22], help="decoder layers (10 22)")
    parser.add_argument("--rows", type=int, default=32, help="rows of every matrix, a multiple of 16 (32)")
    parser.add_argument("--arms", nargs="+", default=[*OURS, *LIBRARIES], help="arms to run (all)")
    parser.add_argument(
        "--work", type=Path, default=embedded.cache_folder() / "arms", help="folder to work in"
    )
    parser.add_argument("--table", action="store_true", help="only show the result that is there")
    options = parser.parse_args()
    unknown = [name for name in options.arms if name not in (*OURS, *LIBRARIES)]
    if unknown or options.rows < 16 or options.rows % 16:
        parser.error(f"there is no arm '{unknown[0]}'" if unknown else "--rows must be a multiple of 16")
    result = (
        json.loads(RESULT.read_text())
        if options.table
        else run(options.arms, options.layers, options.rows, options.work)
    )
    for line in table(result["arms"]):
        print(line)
    print(json.dumps({name: [rate(arm), mean(arm, "proxy")] for name, arm in result["arms"].items()}))


if __name__ == "__main__":
    main()
