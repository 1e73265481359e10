"""A whole language model, one decoder layer after another.

    source folder -> token windows -> hidden states -> for every decoder layer:
        run all windows through the layer, collecting H = E[x x^T] of every distinct linear input
        quantize its linears, replace their weights
    -> folder (store.py) and report

Hessians come from the original model: the hidden states that enter layer l + 1 are those of unquantized
layers, so every linear is an independent task. Only one layer's Hessians are in memory at a time, beside the
model and the hidden states of the calibration windows (windows x context x hidden floats).

Which linears: every `nn.Linear` inside the decoder layers. Embeddings, norms and the head stay as they are.
Linears that read the same tensor (query, key, value; gate, up) are recognized by identity and share one
Hessian and one rotation.

Deterministic: the same command writes the same model.safetensors; times go to the report only.

What this file does not do: resume, stream shards from the disk, quantize sequentially, mix rates.
Paper: LLVQ (arXiv 2603.11021) Algorithm 1. Tests: ``tests/test_pipeline.py``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import embedded, store
from .codebook import Ball, Codebook, ShapeGain, Tapered
from .errors import LLVQError
from .files import atomic_folder, require_space, write_json
from .hessian import DAMPING, SINK_WEIGHT, Accumulator
from .layer import LayerReport, QuantizedLinear, prepare, quantize_linear
from .models import MANIFEST, Source, load_source, read_config, token_fingerprint, token_windows

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Step = Callable[[str, int, int], None]
"""Progress: called with a stage's name, the units done and the units in all."""

CODEBOOKS: dict[str, Callable[[], Codebook]] = {
    "tapered": Tapered,
    "shape-gain": lambda: ShapeGain(max_shell=12, gain_bits=1),
    "ball": lambda: Ball(max_shell=13),
}
"""Codebooks at 48 bits a block of 24, that is 2 bits a weight, by the name that the command line takes."""


@dataclass(frozen=True)
class Settings:
    """What determines the bytes of the output, besides the model and the text."""

    bits: float = 2.0
    codebook: str = "tapered"
    windows: int = 16
    context: int = 2048
    seed: int = 0
    damping: float = DAMPING
    sink_weight: float = SINK_WEIGHT

    def make_codebook(self) -> Codebook:
        """The codebook, or ValueError for an unknown name or a rate it does not have."""
        if self.codebook not in CODEBOOKS:
            raise ValueError(f"Argument 'codebook' must be one of {sorted(CODEBOOKS)}, got '{self.codebook}'")
        book = CODEBOOKS[self.codebook]()
        if self.bits != book.bits_per_weight:
            raise ValueError(
                f"Argument 'bits' must be {book.bits_per_weight:g}, got {self.bits:g}; use --bits 2"
            )
        return book


@dataclass
class Result:
    """A quantized model in memory (dense float32 weights), and what was written."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    linears: dict[str, QuantizedLinear]
    report: dict[str, Any]


@dataclass
class _Inputs:
    """Forward hooks of one decoder layer: one Accumulator for every distinct tensor that its linears read."""

    leader: dict[str, str] = field(default_factory=dict)  # linear -> first linear with the same input
    sums: dict[str, Accumulator] = field(default_factory=dict)  # leader -> statistics
    seen: dict[str, torch.Tensor] = field(default_factory=dict)  # leader -> its input in the current window

    def hook(self, name: str) -> Callable[..., None]:
        """A forward pre-hook for the linear of that name."""

        def collect(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            tensor = arguments[0]
            if name not in self.leader:
                same = [other for other, known in self.seen.items() if known is tensor]
                self.leader[name] = same[0] if same else name
                if not same:
                    self.sums[name] = Accumulator(tensor.shape[-1])
            if self.leader[name] == name:
                self.seen[name] = tensor
                self.sums[name].add(tensor.reshape(-1, tensor.shape[-1]).numpy())

        return collect


def decoder_layers(model: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """(name, module) of the decoder layers of a Llama model, in order."""
    return [(f"model.layers.{i}", layer) for i, layer in enumerate(model.model.layers)]


def linears_of(layer: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers inside one decoder layer, by their name within it."""
    from torch import nn

    return {name: module for name, module in layer.named_modules() if isinstance(module, nn.Linear)}


def entering_states(
    model: PreTrainedModel, windows: np.ndarray
) -> tuple[list[torch.Tensor], list[dict[str, Any]]]:
    """What enters the first decoder layer, a (1, context, hidden) tensor a window, and every layer's keyword
    arguments.

    The model runs with its layers short-circuited, so embeddings, masks and position tables are its own.
    """
    import torch

    layers = [layer for _, layer in decoder_layers(model)]
    keywords: list[dict[str, Any]] = [{} for _ in layers]

    def skip(index: int) -> Callable[..., torch.Tensor]:
        def forward(hidden: torch.Tensor, **kwargs: Any) -> torch.Tensor:
            keywords[index] = kwargs
            if index == 0:
                states.append(hidden.clone())
            return hidden

        return forward

    states: list[torch.Tensor] = []
    for index, layer in enumerate(layers):
        layer.forward = skip(index)
    try:
        for row in windows:
            model.base_model(torch.from_numpy(row)[None], use_cache=False)
    finally:
        for layer in layers:
            del layer.forward
    return states, keywords


def collect_inputs(
    layer: nn.Module,
    states: list[torch.Tensor],
    keywords: dict[str, Any],
    tick: Callable[[], None] | None = None,
) -> _Inputs:
    """Run every window through one layer, replacing `states` by its outputs,
    and return the input statistics.
    """
    inputs = _Inputs()
    handles = [
        module.register_forward_pre_hook(inputs.hook(name)) for name, module in linears_of(layer).items()
    ]
    try:
        for index, state in enumerate(states):
            states[index] = layer(state, **keywords)
            if tick:
                tick()
    finally:
        for handle in handles:
            handle.remove()
    inputs.seen.clear()
    return inputs


def rotation_seed(seed: int, name: str) -> int:
    """A 32-bit rotation seed for the group of linears that `name` leads:
    SHA-256 of the run's seed and the name.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4], "little")


def quantize_layer(
    prefix: str, layer: nn.Module, inputs: _Inputs, book: Codebook, settings: Settings
) -> dict[str, tuple[QuantizedLinear, LayerReport]]:
    """Quantize the linears of one decoder layer and put the dequantized weights in their place."""
    import torch

    done = {}
    modules = linears_of(layer)
    prepared: dict[tuple[str, float], Any] = {}
    for short, module in modules.items():
        leader = inputs.leader.get(short)
        if leader is None:
            raise LLVQError(
                f"The linear '{prefix}.{short}' was not reached by calibration; its layer is unsupported"
            )
        sink = settings.sink_weight if short.endswith("v_proj") else 0.0
        if (leader, sink) not in prepared:
            statistics = inputs.sums[leader].hessian(sink)
            seed = rotation_seed(settings.seed, f"{prefix}.{leader}")
            prepared[leader, sink] = prepare(statistics, seed, book.dim, settings.damping)
        name = f"{prefix}.{short}"
        done[name] = quantize_linear(module.weight.numpy(), prepared[leader, sink], book, name)
        module.weight.copy_(torch.from_numpy(done[name][0].dequantize()))
    return done


def check_finite(model: PreTrainedModel) -> None:
    """LLVQError naming the first parameter that holds NaN or infinity."""
    import torch

    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise LLVQError(
                f"The tensor '{name}' holds NaN or infinity; the checkpoint is damaged or diverged"
            )


def quantize(
    model: str | Path,
    out: str | Path,
    settings: Settings | None = None,
    text: str | None = None,
    force: bool = False,
    on_step: Step | None = None,
) -> Result:
    """Quantize a model (name or folder) into the folder `out` and return it in memory as well.

    `text` is the calibration text, by default the embedded Wikipedia articles. Nothing appears under the name
    `out` before it is complete. LLVQError for everything that is wrong with the model, the text or the disk;
    ValueError for bad settings.
    """
    import torch

    settings = settings or Settings()
    book = settings.make_codebook()
    out = Path(out)
    if force:
        _refuse_foreign(out)
    step = on_step or (lambda stage, done, total: None)
    started, started_cpu = time.perf_counter(), time.process_time()
    with atomic_folder(out, replace=force) as folder, torch.inference_mode():
        step("load", 0, 1)
        source = load_source(model)
        check_finite(source.model)
        require_space(out, sum(p.numel() * p.element_size() for p in source.model.parameters()) // 2)
        text = embedded.calibration_text() if text is None else text
        windows = token_windows(source.tokenizer, text, settings.context, settings.windows)
        step("load", 1, 1)
        seconds = {"load": time.perf_counter() - started}
        done = _all_layers(source, windows, book, settings, seconds, step)
        linears = {name: linear for name, (linear, _) in done.items()}
        saving = time.perf_counter()
        _save(folder, source, linears)
        seconds["save"] = time.perf_counter() - saving
        seconds["total"] = time.perf_counter() - started
        report = _report(source, settings, book, windows, [r for _, r in done.values()], seconds)
        report["cpu_seconds"] = round(time.process_time() - started_cpu, 2)
        report["measured"] = store.measured_bits(folder)
        write_json(folder / store.REPORT, report)
    return Result(source.model, source.tokenizer, linears, report)


def _refuse_foreign(out: Path) -> None:
    """`force` may replace a quantized model or an empty folder,
    never anything else that happens to be there.
    """
    if out.exists() and not (out / MANIFEST).exists() and not (out.is_dir() and not any(out.iterdir())):
        raise LLVQError(
            f"'{out}' exists and is not a quantized model; choose another name or remove it yourself"
        )


def _all_layers(
    source: Source,
    windows: np.ndarray,
    book: Codebook,
    settings: Settings,
    seconds: dict[str, float],
    step: Step,
) -> dict[str, tuple[QuantizedLinear, LayerReport]]:
    seconds.update(calibrate=0.0, quantize=0.0)
    done: dict[str, tuple[QuantizedLinear, LayerReport]] = {}
    clock = time.perf_counter()
    states, keywords = entering_states(source.model, windows)
    layers = decoder_layers(source.model)
    units = len(windows) + 1  # of progress a layer: its windows, then its quantization

    for index, (prefix, layer) in enumerate(layers):
        reached = iter(range(index * units + 1, (index + 1) * units))
        inputs = collect_inputs(
            layer,
            states,
            keywords[index],
            lambda: step("quantize", next(reached), len(layers) * units),  # noqa: B023
        )
        seconds["calibrate"] += time.perf_counter() - clock
        clock = time.perf_counter()
        done.update(quantize_layer(prefix, layer, inputs, book, settings))
        seconds["quantize"] += time.perf_counter() - clock
        clock = time.perf_counter()
        step("quantize", (index + 1) * units, len(layers) * units)
    return done


def _save(folder: Path, source: Source, linears: dict[str, QuantizedLinear]) -> None:
    """Everything that is not a quantized weight goes to the file in the dtype it came in."""
    import torch

    tensors = {
        name: parameter.detach().to(source.dtypes.get(name, torch.float32))
        for name, parameter in source.model.named_parameters()
        if name.removesuffix(".weight") not in linears
    }
    store.save(folder, read_config(source.folder), linears, tensors, source.tokenizer, source.name)


def _report(
    source: Source,
    settings: Settings,
    book: Codebook,
    windows: np.ndarray,
    layers: list[LayerReport],
    seconds: dict[str, float],
) -> dict[str, Any]:
    weights = sum(layer.rows * layer.columns for layer in layers)
    return {
        "source": source.name,
        "settings": {**settings.__dict__, "codebook_spec": book.spec()},
        "calibration": {"tokens": int(windows.size), "token_fingerprint": token_fingerprint(windows)},
        "linears": len(layers),
        "weights": weights,
        "proxy_error_mean": float(
            np.exp(np.mean([np.log(max(layer.proxy_error, 1e-300)) for layer in layers]))
        ),
        "mse_mean": sum(layer.mse * layer.rows * layer.columns for layer in layers) / weights,
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
        "layers": [layer.to_dict() for layer in layers],
    }
