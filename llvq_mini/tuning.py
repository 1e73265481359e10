"""Better scales for a quantized folder: `llvq tune FOLDER -o OUT`.

    FOLDER, its original model, text  ->  finetune.py  ->  OUT: the same codes, other row scales and norm gains

Every byte of the codes stays, and so do the size of the file, its rate and its form; norms keep their dtype, so in a
bfloat16 checkpoint they are rounded once more. The original must be the model that the folder was made from: the
folder's report carries a digest of its weights; without one, shapes are compared and every matrix that is stored as it
was (the token embedding). What the report says of single linears is how quantization left them.

Unfinished work is one file in OUT.partial: factors, optimizer and losses, written every few steps and when the run is
stopped. The same command goes on from there and writes the same bytes on the same machine. Two float32 models are in
memory, and the hidden states that leave the original for every window.

What this file does not do: the training (finetune.py). Tests: ``tests/test_tuning.py``.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import embedded, store
from .errors import LLVQError
from .files import require_place, require_space, write_json
from .finetune import TuneSettings, scaling_norms, tune
from .hf import load
from .layer import QuantizedLinear
from .manifest import CONFIG, INDEX, MANIFEST, REPORT, read_manifest
from .models import Source, load_source, token_fingerprint, token_windows
from .pipeline import peak_resident, require_replaceable, require_same_inputs
from .reading import read_json
from .report import provenance, read_report
from .resume import Work, program_fingerprint
from .shards import Shards

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from .sweep import Step

WINDOWS, CONTEXT = 64, 512
"""Windows of text and tokens in each, unless others are asked for."""


def tune_folder(
    folder: str | Path,
    out: str | Path,
    settings: TuneSettings | None = None,
    text: str | None = None,
    windows: int = WINDOWS,
    context: int = CONTEXT,
    original: str | None = None,
    force: bool = False,
    on_step: Step | None = None,
) -> dict[str, Any]:
    """Tune the scales of a quantized folder into the new folder `out`; returns its report.

    `text` is by default the embedded Wikipedia articles, `original` the name of the model in the folder's settings.
    Nothing appears under the name `out` before it is complete; a finished `out` with the same inputs is left as it is,
    `force` replaces one with others. LLVQError for whatever is wrong with files or models, ValueError for settings.
    """
    settings, folder, out = settings or TuneSettings(), Path(folder), Path(out)
    begun, begun_cpu = time.perf_counter(), time.process_time()
    step = on_step or (lambda stage, done, total: None)
    if os.path.realpath(folder) == os.path.realpath(out):
        raise ValueError(
            f"Argument 'out' must be another folder than '{folder}'; the codes are read from there"
        )
    require_place(out)
    step("load", 0, 1)
    task = _task(folder, settings, text, windows, context, original)
    if (done := _finished(out, task.inputs, force)) is not None:
        return done
    require_space(out, 2 * sum(path.stat().st_size for path in folder.iterdir() if path.is_file()))
    step("load", 1, 1)
    work = Work.open(out, task.inputs, force)
    try:
        final = work.folder / "final"
        tuning = _tune(task, work.state, final, step)
        tuning |= {
            "seconds": round(time.perf_counter() - begun, 2),
            "cpu_seconds": round(time.process_time() - begun_cpu, 2),
            "peak_resident_bytes": peak_resident(),
            "provenance": provenance(),
        }
        report = {key: value for key, value in task.report.items() if key not in ("evaluation", "fingerprint")}
        report |= {"measured": store.measured_bits(final), "tuning": tuning}
        write_json(final / REPORT, report)
        work.publish(final, force)
    finally:
        work.close()
    return report


@dataclass(frozen=True)
class _Task:
    """What a run starts from: the quantized folder with its report, the original and how it was recognized
    (`checked`), windows of tokens (windows, context), and `inputs`, which tell this run from every other.
    """

    folder: Path
    checkpoint: store.Checkpoint
    report: dict[str, Any]
    source: Source
    checked: str
    rows: np.ndarray
    settings: TuneSettings
    inputs: dict[str, Any]


def _task(
    folder: Path, settings: TuneSettings, text: str | None, windows: int, context: int, original: str | None
) -> _Task:
    """Everything read and checked; the arguments are those of tune_folder."""
    checkpoint, report = store.load(folder), read_report(folder)
    source = load_source(original or checkpoint.settings["source"])
    digest = Shards(source.folder).survey()  # reads the whole checkpoint
    checked = _check_original(folder, checkpoint, report, source, digest)
    text = embedded.calibration_text() if text is None else text
    rows = token_windows(source.tokenizer, text, context, windows)
    inputs = {
        "folder": read_manifest(folder)["checksum"],
        "original": digest,
        "tokens": token_fingerprint(rows),
        "settings": asdict(settings),
        "program": program_fingerprint("finetune", "tuning"),
    }
    return _Task(folder, checkpoint, report, source, checked, rows, settings, inputs)


def _tune(task: _Task, state: Path, final: Path, step: Step) -> dict[str, Any]:
    """Train from the saved state on and write the new folder `final`; what the report says of it."""
    losses: list[float] = []

    def told(number: int, loss: float) -> None:
        losses.append(loss)
        step("tune", number + 1, task.settings.steps)

    student, _ = load(task.folder, "dense")
    linears = tune(student, task.checkpoint.linears, task.source.model, task.rows, task.settings, state, told)
    final.mkdir()
    _write(task, final, linears, student)
    return {
        "original": task.source.name,
        "original_checked": task.checked,
        "settings": asdict(task.settings),
        "windows": int(task.rows.shape[0]),
        "context": int(task.rows.shape[1]),
        "losses": losses,
        "inputs": task.inputs,
    }


def _check_original(
    folder: Path, checkpoint: store.Checkpoint, report: dict[str, Any], source: Source, digest: str
) -> str:
    """How the original was recognized; LLVQError if it is another model."""
    other = LLVQError(
        f"'{source.name}' is not the model that '{folder}' was made from; give that one with --original"
    )
    recorded = report.get("inputs", {}).get("weights")
    if recorded is not None:
        if digest != recorded:
            raise other
        return "digest of its weights"
    state = source.model.state_dict()
    shapes = {f"{name}.weight": linear.shape for name, linear in checkpoint.linears.items()}
    if any(name not in state or tuple(state[name].shape) != shape for name, shape in shapes.items()):
        raise other
    for name, tensor in checkpoint.tensors.items():
        if tensor.ndim > 1 and not (name in state and _equal(state[name], tensor)):
            raise other
    return "shapes, and the matrices that are stored as they were; the report has no digest of its weights"


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool((one == other.to(one.dtype)).all())


def _finished(out: Path, inputs: dict[str, Any], force: bool) -> dict[str, Any] | None:
    """The report of an `out` that these inputs made; None if the way is free, otherwise LLVQError."""
    if not os.path.lexists(out):
        return None
    if force:
        require_replaceable(out)
        return None
    try:
        report = read_report(out)
        found = dict(report["tuning"]["inputs"])
    except (LLVQError, KeyError, TypeError, ValueError) as error:
        raise LLVQError(
            f"The output '{out}' exists already and is no result of tuning; remove it, choose another name or pass "
            "--force"
        ) from error
    require_same_inputs(out, found, json.loads(json.dumps(inputs)))
    return report


def _write(
    task: _Task, final: Path, linears: dict[str, QuantizedLinear], student: PreTrainedModel
) -> None:
    """The new folder: codes as they were, tuned scales and norms, every other file copied."""
    tensors = dict(task.checkpoint.tensors)
    for name, norm in scaling_norms(student).items():
        weight: Any = norm.weight
        tensors[f"{name}.weight"] = weight.detach().to(tensors[f"{name}.weight"].dtype)
    config = read_json(task.folder / CONFIG)
    del config["quantization_config"]
    files = [name for name in read_manifest(task.folder)["files"] if not name.endswith(".safetensors")]
    copied = [task.folder / name for name in files if name not in (CONFIG, INDEX, MANIFEST)]
    store.save(final, config, linears, tensors, None, task.checkpoint.settings["source"], copy=copied)
