"""The CUDA kernels on the present GPU: every result against the CPU, then sanitizers, then time.

    python benchmarks/gpu.py                 # about five minutes on an H100; writes benchmarks/results/gpu.json
    python benchmarks/gpu.py --checks        # only the comparison with the CPU (what compute-sanitizer runs)
    python benchmarks/gpu.py --quick         # few repetitions, prints only

Checks: decoded weights bit for bit, exact search point for point, rotation and fused product, in both orders of codes,
within the bounds of kernels/hadamard.cu and kernels/matvec.cu, and the same bits from run to run.
Sanitizers: compute-sanitizer memcheck and racecheck on the checks, where the tool is installed.

Time: CUDA events around a graph of REPEATS launches over as many different inputs, so that no matrix stays in the
cache; warm-up first; the median of ROUNDS graphs.  Each shape is timed beside cuBLAS fp16 on dense weights and, where
its wheel is installed, beside glq's E8 and trellis kernels at 2 bits, in the same process.  `bits_read` counts what a
kernel reads of a weight: codes, padding and row scales.  `of_write_floor` is the time to write the fp16 output at
the copy bandwidth measured in the same run, over the time it took.

Prints a table for people and, as the last line, the same in JSON.  Without a GPU it says so and writes nothing.
"""

from __future__ import annotations

import argparse
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
}
MODEL_8B = {(4096, 4096): 64, (1024, 4096): 64, (14336, 4096): 64, (4096, 14336): 32}
"""Projections of a Llama-3-8B: q and o, k and v, gate and up, down, in 32 layers."""
REPEATS, ROUNDS = 20, 25


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


def time_glq(torch: Any, rows: int, width: int, rounds: int) -> dict[str, Any]:
    """glq's kernels at 2 bits on random weights: E8 codebook and 3INST trellis; a reason where one does not run."""
    try:
        from glq import inference_kernel
    except (ImportError, OSError) as error:
        return {"note": f"glq is not importable: {error}"}
    result: dict[str, Any] = {}
    copies = range(REPEATS)
    x = torch.randn(1, width, device="cuda", dtype=torch.float16)
    book = torch.randn(65536, 8, device="cuda", dtype=torch.float16)
    indices = [
        torch.randint(-32768, 32767, (rows, width // 8), device="cuda", dtype=torch.int16) for _ in copies
    ]
    packed = [torch.randint(-32768, 32767, (rows // 16 * (width // 16), 32), device="cuda", dtype=torch.int16)
              for _ in copies]  # fmt: skip
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


def time_shape(torch: Any, machine: gpu.Cuda, rows: int, width: int, rounds: int) -> dict[str, Any]:
    """Fused product at batch 1, 4, 8, its parts, decoding, and the rivals on one shape."""
    copies = min(REPEATS, max(2, int(2e9 // (2 * rows * width))))
    layers = [random_layer(CODE, rows, width, seed) for seed in range(copies)]
    matrices = [gpu.Matrix(layer, machine) for layer in layers]
    row: dict[str, Any] = {"shape": [rows, width], "bits_read": matrices[0].bits_per_weight}
    for batch in (1, 4, 8):
        x = torch.randn(batch, width, device="cuda")
        half, dense = x.half(), [m.rotated_weights("float16") for m in matrices]
        row[f"matvec {batch}"] = seconds(torch, [lambda m=m, x=x: m.matvec(x) for m in matrices], rounds)
        row[f"cublas fp16 {batch}"] = seconds(
            torch, [lambda w=w, h=half: torch.matmul(h, w.T) for w in dense], rounds
        )
        ratio = row[f"cublas fp16 {batch}"]["median"] / row[f"matvec {batch}"]["median"]
        row[f"speedup {batch}"] = ratio
    one = torch.randn(1, width, device="cuda")
    in_file_order = [gpu.Matrix(layer, machine, "file") for layer in layers]
    row["matvec 1, version 1"] = seconds(torch, [lambda m=m: m.matvec(one) for m in in_file_order], rounds)
    row["rotation alone"] = seconds(torch, [lambda m=m: m.rotator.fixed(one) for m in matrices], rounds)
    row["decode fp16"] = seconds(torch, [lambda m=m: m.rotated_weights("float16") for m in matrices], rounds)
    source = torch.empty(rows * width, device="cuda", dtype=torch.float16)
    copy = seconds(torch, [lambda: source.clone() for _ in range(copies)], rounds)
    row["copy_bandwidth"] = 4 * rows * width / copy["median"]
    row["of_write_floor"] = 2 * rows * width / row["copy_bandwidth"] / row["decode fp16"]["median"]
    row["glq"] = time_glq(torch, rows, width, rounds)
    return row


def time_search(torch: Any, machine: gpu.Cuda, rounds: int) -> dict[str, Any]:
    """Exact search on a million Gaussian blocks, cap 12."""
    x = [torch.randn(1 << 20, 24, device="cuda") for _ in range(2)]
    gpu.nearest_direction(x[0], machine)
    taken = []
    for n in range(max(3, rounds // 5)):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        gpu.nearest_direction(x[n % 2], machine)
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end) / 1e3)
    return {"blocks": 1 << 20, "seconds": median(taken), "blocks_per_second": (1 << 20) / median(taken)}


def commit() -> str:
    """The commit of the code, with + if there are changes beside it; "unknown" outside a checkout."""
    command = ["git", "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checks", action="store_true", help="only the comparison with the CPU")
    parser.add_argument("--small", action="store_true", help="few blocks, for the sanitizers")
    parser.add_argument("--quick", action="store_true", help="few repetitions, no file")
    options = parser.parse_args()
    try:
        machine = gpu.cuda()
    except LLVQError as error:
        print(f"{error} Nothing was measured.")
        return
    import torch

    found = checks(machine, 200 if options.small else 20_000)
    for one in found:
        print(one)
    if not all(one["ok"] for one in found):
        raise SystemExit("The GPU disagrees with the CPU: see the rows with ok = False above.")
    if options.checks:
        return
    rounds = 5 if options.quick else ROUNDS
    rows = {name: time_shape(torch, machine, *shape, rounds) for name, shape in SHAPES.items()}
    rows["key, value"] = time_shape(torch, machine, 1024, 4096, rounds)
    by_shape = {tuple(row["shape"]): row for row in rows.values()}
    whole = {
        name: sum(count * by_shape[shape][name]["median"] for shape, count in MODEL_8B.items())
        for name in ("matvec 1", "cublas fp16 1")
    }
    for name, row in rows.items():
        print(f"{name:22s} {row['matvec 1']['median'] * 1e6:9.2f} us, {row['speedup 1']:.2f} x cuBLAS fp16")
    result = {
        "meta": {
            "command": " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]]),
            "device": torch.cuda.get_device_name(),
            "capability": list(torch.cuda.get_device_capability()),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "commit": commit(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        },
        "checks": found,
        "sanitizer": {} if options.quick else sanitize(),
        "shapes": rows,
        "model_8b": whole,
        "search": time_search(torch, machine, rounds),
    }
    if not options.quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
