"""The embedded model on the present GPU, packed, against dense weights on the CPU.

    python benchmarks/gpu_model.py [FOLDER]   # of `llvq quantize`; default: the one of `llvq demo`

Every token of held-out text is predicted twice: by dense float32 weights on the CPU, and by packed weights on the GPU,
once for whole windows (decode, then cuBLAS) and once token by token (fused product).  Written to
benchmarks/results/gpu_model.json: how often both choose the same token, the largest difference of logits beside their
spread, whether two runs give the same bits, and tokens a second, one at a time.

Without a GPU it says so and writes nothing; --device cpu goes through the motions, to try the script.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llvq_mini import embedded, gpu
from llvq_mini.errors import LLVQError
from llvq_mini.hf import load
from llvq_mini.models import token_windows

RESULT = Path(__file__).parent / "results" / "gpu_model.json"


@torch.inference_mode()
def whole(model: Any, row: torch.Tensor) -> torch.Tensor:
    """Logits (context, tokens) of a window at once, float32 on the CPU."""
    return model(row[None].to(model.device)).logits[0].float().cpu()


@torch.inference_mode()
def one_by_one(model: Any, row: torch.Tensor) -> torch.Tensor:
    """The same with a cache, a token at a time."""
    past, logits = None, []
    for token in row.to(model.device):
        out = model(token[None, None], past_key_values=past, use_cache=True)
        past = out.past_key_values
        logits.append(out.logits[0, -1].float())
    return torch.stack(logits).cpu()


def compared(got: torch.Tensor, want: torch.Tensor) -> dict[str, float]:
    """Agreement of two sets of logits."""
    return {
        "tokens": len(want),
        "same_argmax": float((got.argmax(-1) == want.argmax(-1)).double().mean()),
        "largest_difference": float((got - want).abs().max()),
        "spread": float(want.std()),
    }


def measure(folder: Path, device: str, windows: int, context: int) -> dict[str, Any]:
    """Everything about one folder; windows of `context` tokens of held-out text."""
    dense, tokenizer = load(folder, "dense")
    packed, _ = load(folder, "packed")
    packed.to(device)
    rows = [
        torch.from_numpy(row)
        for row in token_windows(tokenizer, embedded.evaluation_text(), context, windows)
    ]
    want = [whole(dense, row) for row in rows]
    result: dict[str, Any] = {}
    for name, predict in (("whole windows", whole), ("token by token", one_by_one)):
        used = rows if predict is whole else rows[: max(1, windows // 4)]
        got = [predict(packed, row) for row in used]
        result[name] = compared(torch.cat(got), torch.cat(want[: len(used)]))
        result[name]["repeatable"] = torch.equal(got[0], predict(packed, used[0]))
    started = time.perf_counter()
    one_by_one(packed, rows[0])
    result["tokens_per_second"] = context / (time.perf_counter() - started)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = embedded.cache_folder() / f"{embedded.NAME}-2bit"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--context", type=int, default=1024)
    options = parser.parse_args()
    if options.device != "cpu":
        try:
            gpu.cuda()
        except LLVQError as error:
            print(f"{error} Nothing was measured.")
            return
    result = measure(options.folder, options.device, options.windows, options.context)
    on_gpu = options.device != "cpu"
    result["meta"] = {
        "command": " ".join(["python", "benchmarks/gpu_model.py", *sys.argv[1:]]),
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "torch": torch.__version__,
        "numpy": np.__version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    if on_gpu:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
