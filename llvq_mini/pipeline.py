"""A whole language model, one decoder layer after another.

    source folder -> token windows -> hidden states -> for every decoder layer:
        load it from the disk, run all windows through it, collecting H = E[x x^T] of every distinct linear input
        quantize its linears, one unit of work after another; each is on the disk when it is done (resume.py)
    -> folder (store.py) and report

Hessians come from the original model: the hidden states that enter layer l + 1 are those of unquantized layers, so
every linear is an independent task. With `Settings.sequential` they come from the quantized layers below.

In memory at a time: the hidden states of the calibration windows (windows x context x hidden floats), one decoder
layer in float32, its Hessians; the token embedding only before the first layer (plan.py has the sum).

Deterministic: the same command writes the same weights whatever the number of threads and however often it was
interrupted; times go to the report only. Another processor or another version of a library may round otherwise.

What this file does not do: go through the layers (sweep.py), or decide what is quantized (anatomy.py).
Tests: ``tests/test_pipeline.py``, ``tests/test_resume.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import embedded, store
from ._parallel import one_thread_each
from .anatomy import decoder_layers, linears_of, skipped
from .calibrate import collect_inputs, entering_states
from .codebook import Codebook
from .device import searching_on
from .errors import LLVQError
from .feedback import padded_width
from .files import require_place, require_space, write_json
from .hf import load
from .layer import QuantizedLinear
from .manifest import REPORT
from .models import MANIFEST, token_fingerprint, token_windows
from .resume import Units, Work, differences, discard, partial_folder, program_fingerprint
from .shards import INDEX
from .stream import StreamedModel, Untouched, open_source
from .sweep import Clock, Settings, Step, all_layers, quantize_units

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "Result",
    "Settings",
    "Step",
    "collect_inputs",
    "decoder_layers",
    "entering_states",
    "linears_of",
    "quantize",
    "quantize_units",
]


@dataclass
class Result:
    """A quantized folder and its report; the rest is read from the folder when it is asked for."""

    folder: Path
    report: dict[str, Any]

    @cached_property
    def _loaded(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        return load(self.folder, "dense")

    @property
    def model(self) -> PreTrainedModel:
        """The quantized model with dense float32 weights."""
        return self._loaded[0]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        return self._loaded[1]

    @cached_property
    def linears(self) -> dict[str, QuantizedLinear]:
        """The packed linears by name."""
        return store.load(self.folder).linears


def quantize(
    model: str | Path,
    out: str | Path,
    settings: Settings | None = None,
    text: str | None = None,
    force: bool = False,
    on_step: Step | None = None,
    device: str = "cpu",
) -> Result:
    """Quantize a model (name or folder) into the folder `out`.

    `text` is the calibration text, by default the embedded Wikipedia articles. Nothing appears under the name
    `out` before it is complete; unfinished work stays in OUT.partial, and the same call continues it. A finished
    `out` with the same inputs is left as it is. `force` replaces a quantized `out` and unfinished work with other
    inputs. `device` is where codebooks search (device.py): 'cpu', 'cuda' or 'cuda:N', with the same bytes; work begun
    on one may be continued on another. LLVQError for everything that is wrong with the model, the text, the disk or
    the GPU; ValueError for bad settings.
    """
    import torch

    settings, out, clock = settings or Settings(), Path(out), Clock()
    book = settings.make_codebook()
    searching = searching_on(device, book)
    before = _recorded(out, settings, force)
    require_place(out)
    step = on_step or (lambda stage, done, total: None)
    with torch.no_grad(), one_thread_each(), searching:
        step("load", 0, 1)
        source = open_source(model)
        text = embedded.calibration_text() if text is None else text
        windows = token_windows(source.tokenizer, text, settings.context, settings.windows)
        inputs = _inputs(source, windows, settings, book)
        if before is not None:
            return _finished(out, before, inputs)
        require_space(out, _space(source, windows, book))
        clock.lap("load")
        step("load", 1, 1)
        work = Work.open(out, inputs, force)
        try:
            memory = all_layers(source, work, windows, book, settings, clock, step)
            report = _finish(source, work, settings, book, windows, memory, clock, force)
        finally:
            work.close()
    return Result(out, report)


def _recorded(out: Path, settings: Settings, force: bool) -> dict[str, Any] | None:
    """The report of a finished `out` that the same settings made; None if the way is free, otherwise LLVQError."""
    if not os.path.lexists(out):
        return None
    if force:
        require_replaceable(out)
        return None
    try:
        report = json.loads((out / REPORT).read_bytes())
        if not differences(report["inputs"]["settings"], _as_json(asdict(settings))):
            return dict(report)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # whatever it is, it is not this command's result
    raise LLVQError(
        f"The output '{out}' exists already and is not what this command makes; remove it, choose another name "
        "or pass --force"
    )


def require_replaceable(out: Path) -> None:
    """LLVQError unless `force` may replace this: a quantized folder or an empty one."""
    if not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).exists()):
        raise LLVQError(
            f"'{out}' exists and is not a quantized model; choose another name or remove it yourself"
        )


def require_same_inputs(out: Path, recorded: dict[str, Any], inputs: dict[str, Any]) -> None:
    """LLVQError that names what differs unless a finished `out` was made with these inputs."""
    if different := differences(recorded, inputs):
        raise LLVQError(
            f"The output '{out}' exists already, made with other inputs: {', '.join(different)}; remove it, choose "
            "another name or pass --force"
        )


def _finished(out: Path, report: dict[str, Any], inputs: dict[str, Any]) -> Result:
    require_same_inputs(out, report["inputs"], inputs)
    if (partial_folder(out) / "work.json").exists():
        discard(partial_folder(out))  # the process ended between the last rename and the clearing up
    return Result(out, report)


def _inputs(source: StreamedModel, windows: np.ndarray, settings: Settings, book: Codebook) -> dict[str, Any]:
    """Everything that the output's bytes depend on, by name: digests, and the settings as they are."""
    texts = hashlib.sha256()
    for path in sorted(source.folder.iterdir()):
        if path.suffix in (".json", ".txt", ".model", ".jinja") and path.name != INDEX:
            texts.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return {
        "weights": source.shards.survey(),
        "configuration and tokenizer": texts.hexdigest(),
        "calibration tokens": token_fingerprint(windows),
        "settings": _as_json(asdict(settings)),
        "codebook": _as_json(book.spec()),
        "program": program_fingerprint(),
    }


def _as_json(value: Any) -> Any:
    """As it will be read back."""
    return json.loads(json.dumps(value))


def _space(source: StreamedModel, windows: np.ndarray, book: Codebook) -> int:
    """Bytes that the work and its result need on the disk at most."""
    linears = source.linears()
    packed = sum(packed_bytes(rows, columns, book) for rows, columns in linears.values())
    hidden = source.model.config.get_text_config().hidden_size
    return 2 * packed + Untouched(source, linears).nbytes + 2 * 4 * hidden * windows.size


def packed_bytes(rows: int, columns: int, book: Codebook) -> int:
    """Bytes of the codes and row scales of one linear."""
    blocks = rows * (padded_width(columns, book.dim) // book.dim)
    return -(-blocks * book.bits // 8) + 2 * rows


def _finish(
    source: StreamedModel,
    work: Work,
    settings: Settings,
    book: Codebook,
    windows: np.ndarray,
    memory: dict[str, int],
    clock: Clock,
    force: bool,
) -> dict[str, Any]:
    """Put the output together inside the work folder, and give it its name."""
    names = [name for name in source.linears() if name in work.units]
    if not names:
        raise LLVQError(f"No calibration token reached any linear of '{source.name}'; nothing to quantize")
    folder = work.folder / "final"
    folder.mkdir()
    linears = Units(work, names)
    generation = source.folder / "generation_config.json"
    store.save(
        folder,
        source.config,
        linears,
        Untouched(source, linears),
        source.tokenizer,
        source.name,
        copy=[generation] if generation.is_file() else [],
    )
    clock.lap("save")
    measured = store.measured_bits(folder)
    report = {
        **_report(source, work, settings, book, windows, names),
        "memory": {**memory, "peak_resident_bytes": peak_resident()},
        "seconds": clock.seconds(),
        "cpu_seconds": round(time.process_time() - clock.begun_cpu, 2),
        "measured": measured,
    }
    write_json(folder / REPORT, report)
    work.publish(folder, force)
    return report


def peak_resident() -> int:
    """Bytes of memory that this process held at its peak."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _report(
    source: StreamedModel,
    work: Work,
    settings: Settings,
    book: Codebook,
    windows: np.ndarray,
    names: list[str],
) -> dict[str, Any]:
    layers = [work.units[name] for name in names]
    weights = sum(layer["rows"] * layer["columns"] for layer in layers)
    kept = [
        {"name": f"{name}.weight", "count": 1, "shape": list(source.linears()[name]), "reason": reason}
        for name, reason in sorted(work.kept.items())
    ]
    return {
        "source": source.name,
        "settings": {**asdict(settings), "codebook_spec": book.spec()},
        "calibration": {"tokens": int(windows.size), "token_fingerprint": token_fingerprint(windows)},
        "linears": len(layers),
        "weights": weights,
        "skipped": kept + skipped(source.model),
        "unused_tensors": source.unused,
        "proxy_error_mean": float(
            np.exp(np.mean([np.log(max(layer["proxy_error"], 1e-300)) for layer in layers]))
        ),
        "mse_mean": sum(layer["mse"] * layer["rows"] * layer["columns"] for layer in layers) / weights,
        "units_found": work.found,
        "inputs": json.loads((work.folder / "work.json").read_bytes())["inputs"],
        "layers": layers,
    }
