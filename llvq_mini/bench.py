"""The rate-distortion instrument: every code of catalogue.py, one way of measuring, one JSON.

    run(folder, quick=False)     measures what is missing, then writes rd.json and rd.md into `folder`

A point is a code on a source.  Its mean squared error is the mean over blocks of |x - y|^2 / dim, and `stderr` the
standard deviation of that mean.  Sources have unit variance:

    gaussian, laplacian, uniform   independent numbers
    weights     rows of the linear layers of four depths of the embedded model, each row divided by its root mean square
                (a scale that every code would need alike, and that is not counted)
    rotated     the same rows after the rotation of rotate.py

Control variates.  Much of the chance in the error is the chance in the length of the blocks.  Where moments of the
source are known, q = |x|^2 / dim and q^2 have known means; the regression of the error on them is subtracted, which
leaves the expectation as it is, up to O(1 / blocks), and divides the variance by 1 - R^2.

Rate is what is stored: bits / dim, or for a variable-rate code the length of the compressed file of all blocks, whose
chance `rate_stderr` tells from files of a twentieth each.  Retention is -log2(MSE) / (2 rate), 1 at Shannon's limit
for the Gaussian.  Speeds are blocks per second of processor time, all threads added up, after compilation: what one
core does, also on a busy machine.

The quick run measures a few codes on few blocks and writes rd-quick.json and rd-quick.md instead.

Every point is kept in `folder`/rd.parts as soon as it is measured and found there the next time, if settings and the
library's code are the same: an interrupted run goes on.  A complete one removes the parts.

Not here: limits (limits.py), the figure (rd_plots.py), language models (evaluate.py).  Tests: tests/test_bench.py.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llvq_mini import catalogue, limits
from llvq_mini.codebook import Codebook
from llvq_mini.codes import VariableRate, rate
from llvq_mini.errors import LLVQError
from llvq_mini.files import write_json
from llvq_mini.report import provenance

Floats = NDArray[np.float64]
SOURCES = ("gaussian", "laplacian", "uniform", "weights", "rotated")
SEED = 2026
_CHUNK = 50_000
_QUICK = 40  # the quick run takes this fraction of the blocks
_REFERENCE = "leech-shape-gain-12-1"  # whose speed is 1 in the table
_EXCESS_FOURTH = {"gaussian": 2.0, "laplacian": 5.0, "uniform": 0.8}  # E x^4 - 1 at unit variance


@cache
def _weight_rows() -> tuple[NDArray[np.float32], ...]:
    """Linear layers of four depths of the embedded model, rows of unit mean square."""
    from safetensors.numpy import load_file

    from llvq_mini import embedded

    tensors = load_file(embedded.model_folder() / "model.safetensors")
    layers = ("model.layers.0.", "model.layers.9.", "model.layers.19.", "model.layers.29.")
    found = [w for name, w in sorted(tensors.items()) if name.startswith(layers) and w.ndim == 2]
    return tuple(w / np.sqrt((w**2).mean(axis=1, keepdims=True)) for w in found)


def source(name: str, dim: int, blocks: int, seed: int = SEED) -> NDArray[np.float32]:
    """Blocks of a source, float32 (blocks, dim); of the model's weights there may be fewer.

    Rows of weights are cut into blocks, what is left at their ends is dropped, and blocks are drawn without repetition.
    """
    rng = np.random.default_rng(seed)
    if name == "gaussian":
        return rng.standard_normal((blocks, dim), dtype=np.float32)
    if name == "laplacian":
        return rng.laplace(0, 2**-0.5, (blocks, dim)).astype(np.float32)
    if name == "uniform":
        return rng.uniform(-(3**0.5), 3**0.5, (blocks, dim)).astype(np.float32)
    if name not in SOURCES:
        raise ValueError(f"Argument 'name' must be one of {', '.join(SOURCES)}, got {name!r}.")
    from llvq_mini.rotate import Rotation

    parts = []
    for rows in _weight_rows():
        turned = Rotation(rows.shape[1], 1).apply(rows) if name == "rotated" else rows
        whole = rows.shape[1] // dim * dim
        parts.append(turned[:, :whole].reshape(-1, dim))
    every = np.concatenate(parts)
    return every[rng.permutation(len(every))[:blocks]]


def with_controls(error: Floats, q: Floats, source_name: str, dim: int) -> tuple[float, float]:
    """Mean of `error` and its standard error, after regression on q = |x|^2 / dim and q^2 if their means are known.

    E q = 1 and E q^2 = 1 + (E x^4 - 1) / dim for independent numbers; nothing is known of a model's weights.
    """
    n = len(error)
    if source_name not in _EXCESS_FOURTH or n < 20:
        return float(error.mean()), float(error.std(ddof=1) / n**0.5)
    controls = np.stack([q - 1, q**2 - 1 - _EXCESS_FOURTH[source_name] / dim], axis=1)
    slope = np.linalg.lstsq(controls - controls.mean(axis=0), error - error.mean(), rcond=None)[0]
    adjusted = error - controls @ slope
    return float(adjusted.mean()), float(adjusted.std(ddof=3) / n**0.5)


def _through(book: Codebook, x: NDArray[np.float32]) -> tuple[Floats, list[NDArray], float, float]:
    """Errors of all blocks, their codes in chunks, and processor seconds of encoding and decoding."""
    book.decode(book.encode(x[:2]))  # compile
    errors, codes, encoding, decoding = [], [], 0.0, 0.0
    for at in range(0, len(x), _CHUNK):
        part = x[at : at + _CHUNK]
        start = time.process_time()
        codes.append(book.encode(part))
        middle = time.process_time()
        y = book.decode(codes[-1])
        decoding += time.process_time() - middle
        encoding += middle - start
        errors.append(((part.astype(np.float64) - y) ** 2).mean(axis=1))
    return np.concatenate(errors), codes, encoding, decoding


def _rates(book: Codebook, codes: NDArray) -> tuple[float, float]:
    """Bits a weight of all codes, and its standard error (0 for a fixed rate)."""
    if not isinstance(book, VariableRate):
        return book.bits_per_weight, 0.0
    parts = [rate(book, part) for part in np.array_split(codes, 20)]
    return rate(book, codes), float(np.std(parts, ddof=1) / len(parts) ** 0.5)


def measure(entry: catalogue.Entry, source_name: str, blocks: int) -> dict[str, Any]:
    """One point: a JSON-able dict with the fields that the module describes."""
    book = entry.make(**entry.parameters)
    x = source(source_name, book.dim, blocks)
    error, codes, encoding, decoding = _through(book, x)
    q = np.concatenate(
        [(x[at : at + _CHUNK].astype(np.float64) ** 2).mean(axis=1) for at in range(0, len(x), _CHUNK)]
    )
    mse, stderr = with_controls(error, q, source_name, book.dim)
    bits, bits_stderr = _rates(book, np.concatenate(codes))
    power = 1.0 if source_name in _EXCESS_FOURTH else float(q.mean())
    return {
        "family": entry.family,
        "name": book.name,
        "parameters": entry.parameters,
        "source": source_name,
        "rate": bits,
        "rate_stderr": bits_stderr,
        "variable_rate": isinstance(book, VariableRate),
        "mse": mse,
        "stderr": stderr,
        "mse_without_controls": float(error.mean()),
        "sqnr_db": float(-10 * np.log10(mse / power)),
        "retention": float(-np.log2(mse / power) / (2 * bits)),
        "blocks": len(x),
        "dim": book.dim,
        "table_bytes": book.table_bytes,
        "encode_blocks_per_s": round(len(x) / max(encoding, 1e-6)),
        "decode_blocks_per_s": round(len(x) / max(decoding, 1e-6)),
    }


def _bounds(bits_per_weight: float, quick: bool) -> dict[str, float]:
    """Shannon's limit and the fixed-rate floors of one rate."""
    found = {"rate": bits_per_weight, "shannon": limits.shannon(bits_per_weight)}
    for n in (24,) if quick else (8, 24, 256):
        found[f"floor{n}"] = limits.floor(n, n * bits_per_weight)
    return found


Task = tuple[str, dict[str, Any], Callable[[], dict[str, Any]]]
"""File name of the result, the settings it depends on, and what makes it."""


def plan(quick: bool = False) -> Iterator[Task]:
    """Every point and every limit of a run: all codes on the Gaussian, those meant for it on all sources."""
    for key, entry in catalogue.entries().items():
        if quick and not entry.quick:
            continue
        for name in SOURCES:
            if name == "gaussian":
                blocks = max(entry.blocks // _QUICK, 100) if quick else entry.blocks
            elif entry.everywhere and not quick:
                blocks = entry.blocks // 4
            else:
                continue
            settings = {"key": key, "source": name, "blocks": blocks, "seed": SEED}
            yield f"{key}.{name}", settings, partial(measure, entry, name, blocks)
    for r in (2.0,) if quick else np.arange(2, 17) / 4:
        yield f"limits.{r:g}", {"rate": float(r), "quick": quick}, partial(_bounds, float(r), quick)


@cache
def _library() -> str:
    """SHA-256 of the library's source: points measured by other code are measured again."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _part(folder: Path, task: Task) -> dict[str, Any]:
    """The result of a task, from its file if that was made with the same settings by the same code."""
    name, settings, make = task
    path = folder / f"{name}.json"
    settings = {**settings, "library": _library()}
    if path.is_file():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise LLVQError(f"'{path}' is damaged ({error}); remove it and run the command again") from error
        if stored["settings"] == settings:
            return dict(stored["result"])
    result = make()
    write_json(path, {"settings": settings, "result": result})
    return result


def run(
    folder: Path,
    quick: bool = False,
    on_step: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Measure what is missing, write rd.json and rd.md (quick: rd-quick) into `folder`, return what is in the JSON.

    on_step(stage, done, total) is called after every point.  LLVQError where the disk or the model does not play along.
    """
    name = "rd-quick" if quick else "rd"
    parts = folder / f"{name}.parts"
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LLVQError(f"Cannot make '{parts}' ({error.strerror}); choose another folder with -o") from error
    tasks = list(plan(quick))
    points, bounds = [], []
    for done, task in enumerate(tasks, 1):
        result = _part(parts, task)
        if "key" in task[1]:
            points.append({"key": task[1]["key"], **result})
        else:
            bounds.append(result)
        on_step("measure", done, len(tasks))
    found = {"meta": provenance(), "quick": quick, "seed": SEED, "points": points, "limits": bounds}
    write_json(folder / f"{name}.json", found)
    (folder / f"{name}.md").write_text(markdown(found), encoding="utf-8")
    shutil.rmtree(parts)
    return found


_HEADINGS = (
    "code", "bits a weight", "MSE", "standard error", "SQNR dB", "retention", "encoding", "decoding", "table bytes",
)  # fmt: skip


def markdown(found: dict[str, Any]) -> str:
    """The tables of a result, one a source, rows by rate and error; made from the JSON alone."""
    meta = found["meta"]
    lines = [
        "# Distortion versus bitrate",
        "",
        f"`{meta['command']}`, {meta['date']}, {meta['machine']['cpu']}, commit {meta['commit']}.",
        f"Speeds are weights a second of one core, as multiples of {_REFERENCE} on the same source.",
    ]
    for name in SOURCES:
        points = [p for p in found["points"] if p["source"] == name]
        reference = next((p for p in points if p["key"] == _REFERENCE), None)
        if points:
            lines += [
                "",
                f"## {name.capitalize()}",
                "",
                f"| {' | '.join(_HEADINGS)} |",
                "|---" * len(_HEADINGS) + "|",
            ]
        for p in sorted(points, key=lambda p: (round(p["rate"], 2), p["mse"])):
            lines.append(f"| {' | '.join(_cells(p, reference))} |")
    return "\n".join(lines) + "\n"


def _cells(p: dict[str, Any], reference: dict[str, Any] | None) -> list[str]:
    speeds = []
    for way in ("encode", "decode"):
        own = p[f"{way}_blocks_per_s"] * p["dim"]
        speeds.append(
            f"{own / (reference[f'{way}_blocks_per_s'] * reference['dim']):.3g}" if reference else ""
        )
    return [
        p["name"], f"{p['rate']:.4f}", f"{p['mse']:.3g}" if p["mse"] < 0.01 else f"{p['mse']:.5f}",
        f"{100 * p['stderr'] / p['mse']:.2f} %", f"{p['sqnr_db']:.2f}", f"{100 * p['retention']:.1f} %",
        *speeds, f"{p['table_bytes']:,}",
    ]  # fmt: skip
