"""Packed, cached-dense and original on the CPU: tokens a second and resident memory, on the embedded model.

    python benchmarks/packed_cpu.py            # a few minutes; writes benchmarks/results/packed_cpu.json
    python benchmarks/packed_cpu.py --quick    # random codes, few tokens, prints only

Every mode has a process of its own, which loads the model, generates greedily with a key-value cache after a prompt of
PROMPT tokens, and reports its resident memory (VmRSS, and the peak VmHWM) after loading and after generating. Loading
dense weights peaks above what stays; `tensors` are the model's own bytes, the rest of the memory is Python, PyTorch,
transformers and compiled kernels; a mapped file counts once it is read. `prompt` is the tokens of the prompt over the
time to the first new token, `generate` the new tokens over the time of the rest, fastest of the repetitions.

The quantized folder is the one `llvq demo` makes and reuses; --quick writes random codes of the same shapes instead,
which decode at the same speed. Prints a table for people and, as the last line, the same in JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "packed_cpu.json"
MODES = ("packed", "cached", "dense", "original")
PROMPT = 64


def resident() -> dict[str, float]:
    """Resident memory of this process now and at its peak, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = {
        line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))
    }
    return {"now": kilobytes["VmRSS"] / 1e3, "peak": kilobytes["VmHWM"] / 1e3}


def measure(mode: str, folder: str, tokens: int, repetitions: int) -> dict[str, Any]:
    """One mode in this process."""
    import torch

    import llvq_mini
    from llvq_mini import embedded
    from llvq_mini.models import load_source

    imported = resident()["now"]
    if mode == "original":
        model: Any = load_source(embedded.NAME).model
    else:
        model, _ = llvq_mini.load(folder, mode)
    loaded = resident()
    tensors = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()]) / 1e6
    ids = torch.from_numpy(np.random.default_rng(0).integers(100, 40_000, (1, PROMPT)))
    prompt_seconds, token_seconds = [], []
    with torch.inference_mode():
        for _ in range(repetitions):
            started = time.perf_counter()
            out = model(ids, use_cache=True, logits_to_keep=1)
            prompt_seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            for _ in range(tokens):
                following = out.logits[:, -1].argmax(-1, keepdim=True)
                out = model(following, past_key_values=out.past_key_values, use_cache=True)
            token_seconds.append(time.perf_counter() - started)
    return {
        "prompt_tokens_per_second": PROMPT / min(prompt_seconds),
        "tokens_per_second": tokens / min(token_seconds),
        "tensors_mb": tensors,
        "imported_mb": imported,
        "loaded_mb": loaded["now"],
        "loading_peak_mb": loaded["peak"],
        "running_mb": resident()["now"],
        "threads": torch.get_num_threads(),
    }


def random_folder(folder: Path) -> Path:
    """The embedded model with random codes in the place of quantized weights."""
    import torch

    from llvq_mini import embedded, pack, pipeline, store
    from llvq_mini.codebook import Tapered
    from llvq_mini.files import atomic_folder
    from llvq_mini.layer import QuantizedLinear
    from llvq_mini.models import load_source, read_config

    source, rng = load_source(embedded.NAME), np.random.default_rng(0)
    book = Tapered(levels=np.linspace(2.8, 5.9, 6))
    linears = {}
    for prefix, layer in pipeline.decoder_layers(source.model):
        for short, module in pipeline.linears_of(layer).items():
            rows, width = module.weight.shape
            codes = rng.integers(0, int(book._start[-1]), rows * -(-width // 24), dtype=np.uint64)
            scale = np.full(rows, 0.05, dtype=np.float16)
            linears[f"{prefix}.{short}"] = QuantizedLinear(
                pack.pack(codes, book.bits), scale, (rows, width), 1, book
            )
    tensors = {
        name: parameter.detach().to(torch.float16)
        for name, parameter in source.model.named_parameters()
        if name.removesuffix(".weight") not in linears
    }
    with atomic_folder(folder) as partial:
        store.save(partial, read_config(source.folder), linears, tensors, source.tokenizer, "random codes")
    return folder


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The figures as text."""
    columns = ("prompt", "generate", "tensors", "loaded", "load peak", "running")
    units = ("tokens/s", "tokens/s", "MB", "MB", "MB", "MB")
    lines = ["".ljust(10) + "".join(f" {text:>10s}" for text in texts) for texts in (columns, units)]
    for mode, row in rows.items():
        lines.append(
            f"{mode:10s} {row['prompt_tokens_per_second']:10.1f} {row['tokens_per_second']:10.2f} "
            f"{row['tensors_mb']:10.0f} "
            f"{row['loaded_mb']:10.0f} {row['loading_peak_mb']:10.0f} {row['running_mb']:10.0f}"
        )
    lines.append(f"of which Python and its packages: {rows['packed']['imported_mb']:.0f} MB")
    return "\n".join(lines)


def main() -> None:
    """Measure all modes, one process each, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="random codes, few tokens; prints only")
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    tokens, repetitions = (8, 2) if arguments.quick else (48, 3)
    if arguments.mode:
        print(json.dumps(measure(arguments.mode, arguments.folder, tokens, repetitions)))
        return

    from llvq_mini import cached, embedded
    from llvq_mini.report import provenance

    with tempfile.TemporaryDirectory() as scratch:
        if arguments.quick:
            folder = random_folder(Path(scratch) / "random")
        else:
            folder = embedded.cache_folder() / f"{embedded.NAME}-2bit"
            cached.quantized(embedded.NAME, folder)
        options = ["--quick"] if arguments.quick else []
        rows = {}
        for mode in MODES:
            command = [sys.executable, __file__, *options, "--mode", mode, "--folder", str(folder)]
            print(f"measuring {mode}", file=sys.stderr, flush=True)
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows[mode] = json.loads(done.stdout.splitlines()[-1])
    print(table(rows))
    result = {
        "rows": rows,
        "prompt": PROMPT,
        "tokens": tokens,
        "provenance": provenance("benchmarks/packed_cpu.py"),
    }
    if not arguments.quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
