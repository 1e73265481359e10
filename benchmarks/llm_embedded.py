"""The whole embedded model at 2 bits: time, bits on the disk, perplexity before and after, error by layer.

    python benchmarks/llm_embedded.py                    # minutes; writes benchmarks/results/llm_embedded.json
    python benchmarks/llm_embedded.py --reuse FOLDER     # evaluates a folder that `llvq quantize` made

Quantizes SmolLM2-135M-Instruct (expanded from Q4_1, which is the baseline) with the default settings, reloads
it from the disk, and compares both models on held-out Wikipedia windows of 2048 tokens. `excess` is the mean
paired difference in nats a token, `excess_se` its standard error over blocks of 128 tokens,
`excess_se_windows` over windows. Seconds are wall time on the machine that `meta` names, and only comparable if
it had nothing else to do; `cpu_seconds` is what the process used.

Prints a table for people and, as the last line, a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from llvq_mini import embedded, store
from llvq_mini.evaluate import evaluate, generate
from llvq_mini.hf import load
from llvq_mini.manifest import WEIGHTS, read_manifest
from llvq_mini.models import load_source, token_windows
from llvq_mini.pipeline import Settings, quantize
from llvq_mini.report import evaluation_lines, provenance, read_report, summary_lines

RESULT = Path(__file__).parent / "results" / "llm_embedded.json"
PROMPTS = ("The capital of France is", "Once upon a time, there was a", "Water boils when", "The Moon is")
KEPT = ("name", "rows", "columns", "bits_per_weight", "proxy_error", "sqnr_db")


def progress(stage: str, done: int, total: int) -> None:
    """One line for every twentieth of a stage."""
    if done * 20 // total != (done - 1) * 20 // total:
        print(f"{stage} {done}/{total}", flush=True)


def measure(out: Path, windows: int) -> dict:
    """Everything that is reported about one quantized folder."""
    report = read_report(out)
    source = load_source(embedded.NAME)
    model, tokenizer = load(out, "dense")
    held_out = token_windows(tokenizer, embedded.evaluation_text(), report["settings"]["context"], windows)
    return {
        **{key: report[key] for key in ("source", "settings", "calibration", "linears", "weights")},
        "measured": store.measured_bits(out),
        "seconds": report["seconds"],
        "cpu_seconds": report["cpu_seconds"],
        "proxy_error_mean": report["proxy_error_mean"],
        "mse_mean": report["mse_mean"],
        "evaluation": evaluate(model, held_out, source.model, progress),
        "generation": [
            {
                "prompt": prompt,
                "original": generate(source.model, tokenizer, prompt, 30),
                "quantized": generate(model, tokenizer, prompt, 30),
            }
            for prompt in PROMPTS
        ],
        "sha256": read_manifest(out)["files"][WEIGHTS]["sha256"],
        "layers": [{key: layer[key] for key in KEPT} for layer in report["layers"]],
    }


def main() -> None:
    """Parse, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=16, help="held-out windows (16)")
    parser.add_argument("--reuse", type=Path, help="a folder made by llvq quantize with default settings")
    arguments = parser.parse_args()
    command = "python benchmarks/llm_embedded.py" + (" --reuse FOLDER" if arguments.reuse else "")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.reuse or Path(folder) / "out"
        if not arguments.reuse:
            quantize(embedded.NAME, out, Settings(), on_step=progress)
        result = measure(out, arguments.windows)
        lines = summary_lines({**read_report(out), "evaluation": None})
    meta = {**provenance(command), "seconds": round(time.perf_counter() - started, 1)}
    for line in [*lines, *evaluation_lines(result["evaluation"])]:
        print(line)
    for entry in result["generation"]:
        print(f"> {entry['prompt']}\n  original:{entry['original']!r}\n  2 bits:  {entry['quantized']!r}")
    RESULT.write_text(json.dumps({"meta": meta, **result}, indent=1, allow_nan=False) + "\n")
    headline = {
        key: result["evaluation"][key] for key in ("perplexity", "baseline_perplexity", "excess", "excess_se")
    }
    print(
        json.dumps(
            {"bits_per_weight": result["measured"]["bits_per_weight"], **headline, **result["seconds"]}
        )
    )


if __name__ == "__main__":
    main()
