"""The CUDA kernels on the present GPU: every result against the CPU, then sanitizers, then time.

    python benchmarks/gpu.py                         # all parts; writes benchmarks/results/gpu.json after each
    python benchmarks/gpu.py --parts shapes,search   # some of them, into the same file
    python benchmarks/gpu.py --checks                # only the comparison with the CPU (what compute-sanitizer runs)
    python benchmarks/gpu.py --quick                 # few repetitions, prints only

checks     decoded weights bit for bit, exact search point for point, rotation and fused product, in both orders of
           codes, within the bounds of kernels/hadamard.cu and kernels/matvec.cu, the same bits from run to run
sanitizer  compute-sanitizer memcheck and racecheck on few of the checks, where the tool is installed
shapes     the fused product beside cuBLAS fp16 on dense weights, its parts, and decoding to fp16
search     exact search on Gaussian blocks
rivals     glq's E8 and trellis kernels at 2 bits on the same shapes, where its wheel is installed

Time: CUDA events around a graph of launches over so many inputs that no matrix stays in the cache (RESIDENT bytes of
packed codes), warm-up first; the median of ROUNDS graphs.  `bits_read` counts what a kernel reads of a weight: codes,
padding and row scales.  `of_write_floor` is the time to write the fp16 output at the copy bandwidth measured in the
same run, over the time it took.  The embedded model on a GPU is benchmarks/gpu_model.py.

Prints a table for people and, as the last line, the same in JSON.  Without a GPU it says so and writes nothing.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from llvq_mini import gpu, gpu_tables, pack, search
from llvq_mini.codebook import Ball, ShapeGain, Tapered
from llvq_mini.errors import LLVQError
from llvq_mini.layer import QuantizedLinear
from llvq_mini.rotate import Rotation

RESULT = Path(__file__).parent / "results" / "gpu.json"
CODE = Tapered(
    levels=np.linspace(3.5, 6.0, 6).tolist()
)  # levels do not matter for time, and fitting them takes a while
SHAPES = {
    "square": (4096, 4096),
    "square, whole blocks": (4096, 4104),
    "up": (14336, 4096),
    "down": (4096, 14336),
    "key, value": (1024, 4096),
}
MODEL_8B = {(4096, 4096): 64, (1024, 4096): 64, (14336, 4096): 64, (4096, 14336): 32}
"""Projections of a Llama-3-8B: q and o, k and v, gate and up, down, in 32 layers."""
RESIDENT, ROUNDS = 128 << 20, 25
"""Bytes of codes that one graph reads, above twice the cache of an H100; graphs."""
BLOCKS = 1 << 20
"""Blocks of one search that is timed."""
PARTS = ("checks", "sanitizer", "shapes", "search", "rivals")


def random_layer(codebook: Any, rows: int, width: int, seed: int) -> QuantizedLinear:
    """A matrix of random valid codes: decoding takes the same time as for a real one."""
    rng = np.random.default_rng(seed)
    n = rows * -(-width // 24)
    start, limits, _, _ = gpu_tables.codes_of(codebook)
    points = int(limits[1] - limits[0]) + 1
    if isinstance(codebook, Tapered):
        codes = rng.integers(0, int(start[-1]) + points, n)
    else:
        codes = rng.choice(start, n) + rng.integers(0, points, n)
    codes = codes.astype(np.uint64)
    scale = (0.02 * rng.lognormal(0, 0.2, rows)).astype(np.float16)
    return QuantizedLinear(pack.pack(codes, codebook.bits), scale, (rows, width), seed, codebook)


def to_numpy(array: Any) -> np.ndarray:
    """An array of a machine on the CPU."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def check_layer(machine: gpu.Machine, codebook: Any, rows: int, width: int, order: str) -> dict[str, Any]:
    """Weights, rotation and product of one random layer against the CPU."""
    layer = random_layer(codebook, rows, width, 7)
    matrix, blocks = gpu.Matrix(layer, machine, order), -(-width // 24)
    codes = pack.unpack(layer.codes, codebook.bits, rows * blocks)
    want = codebook.decode(codes).reshape(rows, -1)[:, :width] * layer.row_scale.astype(np.float32)[:, None]
    same = bool((to_numpy(matrix.rotated_weights()) == want).all())
    same_half = bool((to_numpy(matrix.rotated_weights("float16")) == want.astype(np.float16)).all())
    rotation = float(np.abs(to_numpy(matrix.weights()) - layer.dequantize()).max() / np.abs(want).max())
    worst, repeatable = 0.0, True
    for batch in (1, 2, 3, 4, 8):
        x = np.random.default_rng(batch).standard_normal((batch, width)).astype(np.float32)
        on_machine = machine.put(x)
        y = to_numpy(matrix.matvec(on_machine))
        repeatable &= bool((y == to_numpy(matrix.matvec(on_machine))).all())
        rotated = Rotation(width, layer.seed).apply(x.astype(np.float64))
        bound = np.abs(rotated).max(axis=1, keepdims=True) / 65024 * np.abs(want).sum(axis=1)
        bound += 1e-6 * (np.abs(rotated) @ np.abs(want).T)
        worst = max(
            worst, float((np.abs(y - rotated @ want.T.astype(np.float64)) / np.maximum(bound, 1e-30)).max())
        )
    return {
        "code": codebook.name, "order": order, "shape": [rows, width], "fp32_equal": same, "fp16_equal": same_half,
        "rotation_error": rotation, "matvec_error_over_bound": worst, "repeatable": repeatable,
        "ok": same and same_half and rotation < 2e-6 * width**0.5 and worst <= 1 and repeatable,
    }  # fmt: skip


def checks(machine: gpu.Machine, blocks: int = 20_000) -> list[dict[str, Any]]:
    """Everything against the CPU; a list of results with `ok`."""
    found = []
    for codebook in (CODE, ShapeGain(12, 1, [4.3, 5.4]), Ball(13, 0.35), Ball(19, 0.25)):
        for rows, width in ((1, 24), (33, 100), (130, 576), (64, 1000), (257, 4104)):
            if rows * width <= 50 * blocks:
                orders = ("file", "padded") if gpu_tables.has_padded_order(codebook) else ("file",)
                found += [check_layer(machine, codebook, rows, width, order) for order in orders]
    for low, high, dtype in ((2, 12, "float32"), (2, 12, "float64"), (2, 13, "float32"), (3, 3, "float32")):
        x = (
            np.random.default_rng(high)
            .standard_normal((blocks if low == 2 else blocks // 10, 24))
            .astype(dtype)
        )
        x[0], x[1] = 0, np.round(x[1])
        got = to_numpy(gpu.nearest_direction(machine.put(x), machine, high, low))
        different = int((got != search.nearest_direction(x, high, low)).any(axis=1).sum())
        found.append({"search": [low, high], "dtype": dtype, "blocks": len(x), "different": different,
                      "ok": different == 0})  # fmt: skip
    return found


def sanitize() -> dict[str, str]:
    """The summary line of compute-sanitizer's tools on `--checks --small`."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return {"note": "compute-sanitizer is not installed here"}
    summaries = {}
    for name in ("memcheck", "racecheck"):
        command = [
            tool,
            "--tool",
            name,
            "--error-exitcode",
            "9",
            sys.executable,
            __file__,
            "--checks",
            "--small",
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if "SUMMARY" in line]
        summaries[name] = f"exit {done.returncode}: {lines[-1] if lines else done.stderr[-200:]}"
    return summaries


def seconds(torch: Any, calls: list[Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Time of a call: median, least and greatest over graphs that make every call once."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for call in calls[:3]:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    taken = []
    for n in range(rounds + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        if n >= 3:
            taken.append(begin.elapsed_time(end) / 1e3 / len(calls))
    return {"median": median(taken), "least": min(taken), "greatest": max(taken)}


def copies_of(rows: int, width: int) -> int:
    """How many matrices of a shape the cache cannot hold; at least 4."""
    return max(4, -(-RESIDENT // (rows * width // 4)))


def time_glq(torch: Any, rows: int, width: int, rounds: int) -> dict[str, Any]:
    """glq's kernels at 2 bits on random weights: E8 codebook and 3INST trellis; a reason where one does not run."""
    try:
        from glq import inference_kernel
    except (ImportError, OSError) as error:
        return {"note": f"glq is not importable: {error}"}
    if width % 16 or rows % 16:
        return {"note": "glq wants multiples of 16"}
    result: dict[str, Any] = {}
    copies = range(copies_of(rows, width))
    x = torch.randn(1, width, device="cuda", dtype=torch.float16)
    book = torch.randn(65536, 8, device="cuda", dtype=torch.float16)
    indices, packed = (
        [torch.randint(-32768, 32767, shape, device="cuda", dtype=torch.int16) for _ in copies]
        for shape in ((rows, width // 8), (rows // 16 * (width // 16), 32))
    )
    kernels = {
        "e8": lambda i: inference_kernel.glq_dequant_matmul(x, indices[i], book, 1.0),
        "trellis 3inst": lambda i: inference_kernel._glq_cuda.glq_decode_matvec_trellis_3inst_cuda(
            x[0], packed[i], rows, width, 1.0
        ),
    }
    for name, kernel in kernels.items():
        try:
            result[name] = seconds(torch, [lambda i=i, kernel=kernel: kernel(i) for i in copies], rounds)
        except (RuntimeError, TypeError, AttributeError) as error:
            result[name] = {"note": f"did not run: {str(error).splitlines()[0]}"}
    return result


def placed_again(matrix: gpu.Matrix, copies: int) -> list[gpu.Matrix]:
    """The matrix and copies of it elsewhere in memory: the same codes, so that making them takes no time."""
    made = [matrix]
    for _ in range(copies - 1):
        other = copy.copy(matrix)
        other._codes, other._row_scale = matrix._codes.clone(), matrix._row_scale.clone()
        made.append(other)
    return made


def time_shape(torch: Any, machine: gpu.Cuda, rows: int, width: int, rounds: int) -> dict[str, Any]:
    """Fused product at batch 1, 4, 8, its parts, decoding, and cuBLAS on one shape."""
    copies, layer = copies_of(rows, width), random_layer(CODE, rows, width, 1)
    matrices = placed_again(gpu.Matrix(layer, machine), copies)
    row: dict[str, Any] = {
        "shape": [rows, width], "copies": copies, "bits_read": matrices[0].bits_per_weight
    }  # fmt: skip
    dense = [m.rotated_weights("float16") for m in matrices]
    for batch in (1, 4, 8):
        x = torch.randn(batch, width, device="cuda")
        half = x.half()
        row[f"matvec {batch}"] = seconds(torch, [lambda m=m, x=x: m.matvec(x) for m in matrices], rounds)
        row[f"cublas fp16 {batch}"] = seconds(
            torch, [lambda w=w, h=half: torch.matmul(h, w.T) for w in dense], rounds
        )
        ratio = row[f"cublas fp16 {batch}"]["median"] / row[f"matvec {batch}"]["median"]
        row[f"speedup {batch}"] = ratio
    del dense
    one = torch.randn(1, width, device="cuda")
    others = {"version 1": gpu.Matrix(layer, machine, "file"),
              "tables in the cache": gpu.Matrix(layer, machine, staged=False)}  # fmt: skip
    for name, matrix in others.items():
        again = placed_again(matrix, copies)
        row[f"matvec 1, {name}"] = seconds(torch, [lambda m=m: m.matvec(one) for m in again], rounds)
    row["rotation alone"] = seconds(torch, [lambda m=m: m.rotator.fixed(one) for m in matrices], rounds)
    few = matrices[: max(4, copies // 8)]  # the output is eight times as large
    row["decode fp16"] = seconds(torch, [lambda m=m: m.rotated_weights("float16") for m in few], rounds)
    source = torch.empty(rows * width, device="cuda", dtype=torch.float16)
    cloned = seconds(torch, [lambda: source.clone() for _ in few], rounds)
    row["copy_bandwidth"] = 4 * rows * width / cloned["median"]
    row["of_write_floor"] = 2 * rows * width / row["copy_bandwidth"] / row["decode fp16"]["median"]
    return row


def time_search(torch: Any, machine: gpu.Cuda, rounds: int) -> dict[str, Any]:
    """Exact search on Gaussian blocks, cap 12."""
    x = [torch.randn(BLOCKS, 24, device="cuda") for _ in range(2)]
    gpu.nearest_direction(x[0], machine)
    taken = []
    for n in range(max(3, rounds // 5)):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        gpu.nearest_direction(x[n % 2], machine)
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end) / 1e3)
    return {"blocks": BLOCKS, "seconds": median(taken), "blocks_per_second": BLOCKS / median(taken)}


def commit() -> str:
    """The commit of the code, with + if there are changes beside it; "unknown" outside a checkout."""
    command = ["git", "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def meta(torch: Any) -> dict[str, Any]:
    """What was measured, on what; results with another one of these do not mix."""
    return {
        "device": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "commit": commit(),
    }


def model_8b(shapes: dict[str, Any]) -> dict[str, float]:
    """Seconds for all projections of a Llama-3-8B once."""
    by_shape = {tuple(row["shape"]): row for row in shapes.values()}
    return {
        name: sum(count * by_shape[shape][name]["median"] for shape, count in MODEL_8B.items())
        for name in ("matvec 1", "cublas fp16 1")
    }


def run(torch: Any, machine: gpu.Cuda, part: str, rounds: int, blocks: int, result: dict[str, Any]) -> None:
    """Add one part to the result. SystemExit where the GPU disagrees with the CPU."""
    if part == "checks":
        result[part] = checks(machine, blocks)
        for one in result[part]:
            print(one)
        if not all(one["ok"] for one in result[part]):
            raise SystemExit("The GPU disagrees with the CPU: see the rows with ok = False above.")
    elif part == "sanitizer":
        result[part] = sanitize()
        print(result[part])
    elif part == "shapes":
        result[part] = {}
        for name, shape in SHAPES.items():
            row = result[part][name] = time_shape(torch, machine, *shape, rounds)
            print(
                f"{name:22s} {row['matvec 1']['median'] * 1e6:9.2f} us, {row['speedup 1']:.2f} x cuBLAS fp16"
            )
        result["model_8b"] = model_8b(result[part])
    elif part == "search":
        result[part] = time_search(torch, machine, rounds)
        print(f"search {result[part]['blocks_per_second'] / 1e6:.1f} million blocks a second")
    else:
        result[part] = {name: time_glq(torch, *shape, rounds) for name, shape in SHAPES.items()}
        print(result[part])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--checks", action="store_true", help="only the comparison with the CPU")
    parser.add_argument("--small", action="store_true", help="few blocks, for the sanitizers")
    parser.add_argument("--quick", action="store_true", help="few repetitions, no file")
    options = parser.parse_args()
    parts = ["checks"] if options.checks else options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}; choose of {', '.join(PARTS)}")
    try:
        machine = gpu.cuda()
    except LLVQError as error:
        print(f"{error} Nothing was measured.")
        return
    import torch

    here, write = meta(torch), not (options.quick or options.checks)
    result: dict[str, Any] = {"meta": here}
    if write and RESULT.exists():
        before = json.loads(RESULT.read_text())
        if all(before["meta"].get(key) == value for key, value in here.items()):
            result = before
    for part in parts:
        run(torch, machine, part, 5 if options.quick else ROUNDS, 200 if options.small else 20_000, result)
        command = " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]])
        result["meta"] |= {"command": command, "date": datetime.now(UTC).strftime("%Y-%m-%d")}
        if write:
            RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
