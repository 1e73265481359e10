"""Quantize decoder layer after decoder layer.

    for every layer: load it, run all windows through it (calibrate.py), then for every distinct input of its linears
        prepare the Hessian once, quantize the linears that read it, and keep each on the disk (resume.py)

A linear that no calibration token reaches (an expert that was never chosen) stays as it is, with that reason.

What this file does not do: open models, put the output together (pipeline.py), or mix rates.
Paper: LLVQ (arXiv 2603.11021) Algorithm 1. Tests: ``tests/test_pipeline.py``, ``tests/test_resume.py``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import rates
from ._parallel import give_back_memory
from .anatomy import decoder_layers, linears_of, outside, reaches_all_positions
from .calibrate import Inputs, advance, collect_inputs, entering_states
from .codebook import Codebook
from .hessian import DAMPING, SINK_WEIGHT
from .layer import LayerReport, QuantizedLinear, prepare, quantize_linear
from .resume import Work
from .stream import StreamedModel

if TYPE_CHECKING:
    import torch
    from torch import nn

Step = Callable[[str, int, int], None]
"""Progress: called with a stage's name, the units done and the units in all. What it raises ends the run; every unit
that it was told of is on the disk by then."""


@dataclass(frozen=True)
class Settings:
    """What determines the bytes of the output, besides the model and the text.

    bits, codebook: a rate and a name of rates.CODEBOOKS; None is the default at this rate. passes: of coordinate
    descent after the sweep over a matrix (descent.py).
    """

    bits: float = 2.0
    codebook: str | None = None
    windows: int = 16
    context: int = 2048
    seed: int = 0
    damping: float = DAMPING
    sink_weight: float = SINK_WEIGHT
    sequential: bool = False
    passes: int = 1

    def __post_init__(self) -> None:
        if self.passes < 0:
            raise ValueError(f"Argument 'passes' must not be negative, got {self.passes}; 0 is for none")
        if self.codebook is None:
            object.__setattr__(self, "codebook", rates.default(self.bits))

    def make_codebook(self) -> Codebook:
        """The codebook, or ValueError for an unknown name or a rate it does not have."""
        return rates.make(str(self.codebook), self.bits)


def rotation_seed(seed: int, name: str) -> int:
    """A 32-bit rotation seed for the group of linears that `name` leads:
    SHA-256 of the run's seed and the name.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4], "little")


def quantize_units(
    prefix: str, layer: nn.Module, inputs: Inputs, book: Codebook, settings: Settings
) -> Iterator[tuple[str, QuantizedLinear, LayerReport]]:
    """Quantize the linears of one decoder layer whose inputs were summed, (name, linear, report) at a time.

    Linears with the same input come together, and its sums are taken out of `inputs` when their turn is over.
    """
    groups: dict[str, dict[float, list[str]]] = {}
    modules = linears_of(layer)
    for short in modules:
        if inputs.leader.get(short) in inputs.sums and (inputs.wanted is None or short in inputs.wanted):
            sink = settings.sink_weight if reaches_all_positions(short) else 0.0
            groups.setdefault(inputs.leader[short], {}).setdefault(sink, []).append(short)
    for leader, variants in groups.items():
        sums = inputs.sums.pop(leader)
        seed = rotation_seed(settings.seed, f"{prefix}.{leader}")
        for sink, shorts in variants.items():
            prepared = prepare(sums.hessian(sink), seed, book.dim, settings.damping)
            for short in shorts:
                name = f"{prefix}.{short}"
                weight = modules[short].weight.numpy()
                yield name, *quantize_linear(weight, prepared, book, name, passes=settings.passes)


class Clock:
    """Wall seconds by stage, and in all."""

    def __init__(self) -> None:
        self.begun = self.last = time.perf_counter()
        self.begun_cpu = time.process_time()
        self.stages = {"load": 0.0, "calibrate": 0.0, "quantize": 0.0, "save": 0.0}

    def lap(self, stage: str) -> None:
        """The time since the last lap went into this stage."""
        now = time.perf_counter()
        self.stages[stage] += now - self.last
        self.last = now

    def seconds(self) -> dict[str, float]:
        """By stage, and the total."""
        stages = {stage: round(value, 2) for stage, value in self.stages.items()}
        return {**stages, "total": round(time.perf_counter() - self.begun, 2)}


def all_layers(
    source: StreamedModel,
    work: Work,
    windows: np.ndarray,
    book: Codebook,
    settings: Settings,
    clock: Clock,
    step: Step,
) -> dict[str, int]:
    """Quantize what is not done yet; returns bytes of the largest things in memory."""
    layers = decoder_layers(source.model)
    open_layers = [
        index
        for index, (prefix, layer) in enumerate(layers)
        if not all(work.is_done(f"{prefix}.{short}") for short in linears_of(layer))
    ]
    if not open_layers:
        return {}
    saved = work.load_states(open_layers[0])
    with source.loaded(*outside(source.model)):
        states, keywords = entering_states(source.model, windows if saved is None else windows[:1])
    start = 0
    if saved is not None:
        start, states = saved
    progress = _Progress(step, [len(linears_of(layer)) for _, layer in layers], len(windows))
    memory = {"states_bytes": sum(state.nbytes for state in states), "sums_bytes": 0}
    for index in range(start, open_layers[-1] + 1):
        prefix, layer = layers[index]
        progress.begin(index)
        give_back_memory()
        with source.loaded(layer):
            sums = _one_layer(prefix, layer, states, keywords[index], work, book, settings, clock, progress)
        memory["sums_bytes"] = max(memory["sums_bytes"], sums)
        if index < open_layers[-1]:
            work.save_states(index + 1, states)
    progress.begin(len(layers))
    return memory


def _one_layer(
    prefix: str,
    layer: nn.Module,
    states: list[torch.Tensor],
    keywords: dict[str, Any],
    work: Work,
    book: Codebook,
    settings: Settings,
    clock: Clock,
    progress: _Progress,
) -> int:
    """Quantize the linears of one loaded layer that are not done, and take the states through it."""
    import torch

    names = linears_of(layer)
    wanted = [short for short in names if not work.is_done(f"{prefix}.{short}")]
    sums = 0
    if wanted:
        inputs = collect_inputs(layer, states, keywords, progress.tick, wanted, keep=settings.sequential)
        clock.lap("calibrate")
        sums = sum(item.total.nbytes + item.total_first.nbytes for item in inputs.sums.values())
        for short in wanted:
            if inputs.leader.get(short) not in inputs.sums:
                work.keep(f"{prefix}.{short}", "no calibration token reached it, kept")
        for name, linear, report in quantize_units(prefix, layer, inputs, book, settings):
            leader = inputs.leader[name.removeprefix(f"{prefix}.")]
            work.save(name, linear, {**report.to_dict(), "input_of": f"{prefix}.{leader}"})
            clock.lap("quantize")
            give_back_memory()
            progress.tick()
    if settings.sequential:
        for short, module in names.items():
            if f"{prefix}.{short}" in work.units:
                module.weight.copy_(torch.from_numpy(work.load(f"{prefix}.{short}").dequantize()))
    if settings.sequential or not wanted:
        advance(layer, states, keywords)
        clock.lap("calibrate")
    return sums


class _Progress:
    """Counts windows and linears over all layers, as if nothing had been done before."""

    def __init__(self, step: Step, linears: list[int], windows: int) -> None:
        self.step, self.done = step, 0
        self.before = np.cumsum([0] + [windows + count for count in linears]).tolist()

    def begin(self, index: int) -> None:
        """The layers before this one are done."""
        if self.done < self.before[index]:
            self.done = self.before[index]
            self.step("quantize", self.done, self.before[-1])

    def tick(self) -> None:
        self.done += 1
        self.step("quantize", self.done, self.before[-1])
