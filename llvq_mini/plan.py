"""What a quantization would do and need, before it is done: linears, bits, memory, disk, time.

Nothing is read but the configuration and the headers of the weight files; which linears share an input is found by
running each kind of decoder layer on the meta device, where tensors have shapes and no contents.

Memory, in bytes, with T tokens a window, w windows in flight, n the width of an input, h of the states:
    states      4 h T windows                     hidden states of all calibration windows
    embedding   4 (token embedding and the like)  only before the first layer
    layer       4 (parameters of one decoder layer)
    sums        16 n^2 for every distinct input   running sums of x x^T, over all and over first positions
    flight      4 T w (inputs and outputs of all linears)
    prepare     56 n^2 for the widest input       its Hessian, rotated, padded, damped, factorized
    peak        base + states + max(embedding, layer + sums + max(flight, prepare))
Time, with p threads, from unit costs that `measure_costs` takes on the machine at hand in seconds:
    calibrate   tokens (2 parameters + 2 T h a layer) float operations + tokens n^2 an input, over p threads
    prepare     n^3 an input, on one thread (bytes must not depend on p)
    quantize    (1 + d) blocks to encode, over p threads + (7 + 2 d) rows n^2 float operations, d passes of descent
    read        bytes of the checkpoint, read twice and hashed once

What this file does not do: start anything. Tests: ``tests/test_plan.py``; figures for 8 and 70 billion parameters:
``benchmarks/memory_time_model.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._parallel import default_threads, one_thread_each
from .anatomy import decoder_layers, linears_of, outside, skipped
from .calibrate import MOST_WINDOWS, entering_layers
from .codebook import Codebook
from .errors import LLVQError
from .hessian import Accumulator
from .layer import prepare
from .pipeline import packed_bytes, peak_resident

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from .stream import StreamedModel
    from .sweep import Settings


@dataclass(frozen=True)
class UnitCosts:
    """Seconds on one thread, and bytes, for one unit of everything that a run repeats."""

    flop: float  # float32 operation of a product
    outer: float  # token and squared column of x x^T
    cube: float  # cubed column of preparing a Hessian
    block: float  # encoding 24 numbers
    byte: float  # of the checkpoint: reading, checking and hashing
    base_bytes: int  # resident before any model
    threads: int


def _seconds(work: Callable[[], Any]) -> float:
    """The quicker of two runs, after one that warms up."""
    work()
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def measure_costs(book: Codebook, width: int = 768) -> UnitCosts:
    """Unit costs on this machine, on one thread each; takes a few seconds."""
    import hashlib

    rng = np.random.default_rng(0)
    x = rng.standard_normal((512, width)).astype(np.float32)
    w = rng.standard_normal((width, width)).astype(np.float32)
    blocks = rng.standard_normal((2000, book.dim)).astype(np.float32)
    data = bytes(1 << 24)
    base = peak_resident()
    with one_thread_each():
        sums = Accumulator(width)
        sums.add(x)
        hessian = sums.hessian()
        return UnitCosts(
            flop=_seconds(lambda: x @ w) / (2 * x.size * width),
            outer=_seconds(lambda: sums.add(x)) / (x.size * width),
            cube=_seconds(lambda: prepare(hessian, 0, book.dim)) / width**3,
            block=_seconds(lambda: book.encode(blocks)) / len(blocks),
            byte=2 * _seconds(lambda: hashlib.sha256(data)) / len(data),
            base_bytes=base,
            threads=default_threads(),
        )


def shared_inputs(model: PreTrainedModel) -> list[dict[str, int]]:
    """For every decoder layer, {first linear of those that read it: width} of the distinct inputs of its linears.

    The model's parameters must be on the meta device (see stream.py); layers run there. Masks and rotary tables are
    made for eight tokens, with zeros for what other parameters that takes. LLVQError if a layer cannot run so.
    """
    import torch

    with _zeros(module for module in outside(model) if module is not model.get_input_embeddings()):
        states, keywords = entering_layers(model, torch.zeros(1, 8, _hidden(model)))
    known: dict[Any, dict[str, int]] = {}
    found = []
    for (_, layer), given in zip(decoder_layers(model), keywords, strict=True):
        names = linears_of(layer)
        kind = (type(layer), *((name, *module.weight.shape) for name, module in names.items()))
        if kind not in known:
            known[kind] = _widths(layer, names, _on_meta(states), _on_meta(given))
        found.append(known[kind])
    return found


@contextmanager
def _zeros(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Real zeros for the modules' own parameters, for the length of the block."""
    import torch

    places = [(m, key, p) for m in modules for key, p in m.named_parameters(recurse=False)]
    for module, key, parameter in places:
        zeros = torch.zeros(parameter.shape, dtype=parameter.dtype)
        setattr(module, key, torch.nn.Parameter(zeros, requires_grad=False))
    try:
        yield
    finally:
        for module, key, parameter in places:
            setattr(module, key, parameter)


def _on_meta(value: Any) -> Any:
    """Tensors within containers moved to the meta device."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.to("meta")
    if isinstance(value, dict):
        return {key: _on_meta(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_on_meta(item) for item in value)
    return value


def _widths(
    layer: nn.Module, names: dict[str, nn.Linear], state: Any, keywords: dict[str, Any]
) -> dict[str, int]:
    import torch

    seen: dict[str, Any] = {}
    handles = [
        module.register_forward_pre_hook(lambda _, arguments, name=name: seen.setdefault(name, arguments[0]))
        for name, module in names.items()
    ]
    try:
        with torch.no_grad():
            layer(state, **keywords)
    except (RuntimeError, NotImplementedError, IndexError, TypeError) as error:
        raise LLVQError(
            f"A {type(layer).__name__} cannot be planned without weights ({error}); quantize without --dry-run"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    leaders: list[str] = []
    for name, tensor in seen.items():
        if not any(seen[leader] is tensor for leader in leaders):
            leaders.append(name)
    return {leader: int(seen[leader].shape[-1]) for leader in leaders}


def _hidden(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().hidden_size)


def memory_model(model: PreTrainedModel, settings: Settings, costs: UnitCosts) -> dict[str, int]:
    """Bytes by part, and their peak, as the head of this file says."""
    inputs, layers = shared_inputs(model), decoder_layers(model)
    inside = [sum(p.numel() for p in layer.parameters()) for _, layer in layers]
    head = model.get_output_embeddings()
    embedding = model.get_input_embeddings().weight
    outside = sum(p.numel() for p in model.parameters()) - sum(inside)
    if head is not None and head.weight is not embedding:
        outside -= head.weight.numel()
    flight = max(sum(sum(m.weight.shape) for m in linears_of(layer).values()) for _, layer in layers)
    windows = min(costs.threads, MOST_WINDOWS, settings.windows)
    parts = {
        "base": costs.base_bytes,
        "states": 4 * _hidden(model) * settings.context * settings.windows,
        "embedding": 4 * outside,
        "layer": 4 * max(inside),
        "sums": 16 * max(sum(n * n for n in widths.values()) for widths in inputs),
        "flight": 4 * settings.context * windows * flight,
        "prepare": 56 * max(n * n for widths in inputs for n in widths.values()),
    }
    work = parts["layer"] + parts["sums"] + max(parts["flight"], parts["prepare"])
    return {**parts, "peak": parts["base"] + parts["states"] + max(parts["embedding"], work)}


def time_model(
    model: PreTrainedModel, settings: Settings, costs: UnitCosts, checkpoint_bytes: int
) -> dict[str, float]:
    """Seconds by stage, and their sum, as the head of this file says."""
    tokens, threads = settings.windows * settings.context, costs.threads
    calibrate = prepared = blocks = products = 0.0
    dim = settings.make_codebook().dim
    for (_, layer), widths in zip(decoder_layers(model), shared_inputs(model), strict=True):
        parameters = sum(p.numel() for p in layer.parameters())
        operations = tokens * (2 * parameters + 2 * settings.context * _hidden(model))
        runs = 2 if settings.sequential else 1
        calibrate += (
            runs * operations * costs.flop + tokens * sum(n * n for n in widths.values()) * costs.outer
        )
        prepared += sum(n**3 for n in widths.values()) * costs.cube
        for module in linears_of(layer).values():
            rows, columns = module.weight.shape
            blocks += (1 + settings.passes) * rows * -(-columns // dim) * costs.block
            products += (7 + 2 * settings.passes) * rows * columns**2 * costs.flop
    stages = {
        "read": 2 * checkpoint_bytes * costs.byte,
        "calibrate": calibrate / threads,
        "prepare": prepared,
        "quantize": blocks / threads + products,
    }
    return {**stages, "total": sum(stages.values())}


def plan(source: StreamedModel, settings: Settings, costs: UnitCosts | None = None) -> dict[str, Any]:
    """Everything that is known beforehand, as plain values. Unit costs are measured here if none are given."""
    from .stream import Untouched

    book = settings.make_codebook()
    costs = costs or measure_costs(book)
    linears = source.linears()
    weights = sum(rows * columns for rows, columns in linears.values())
    packed = sum(packed_bytes(rows, columns, book) for rows, columns in linears.values())
    untouched = Untouched(source, linears).nbytes
    memory = memory_model(source.model, settings, costs)
    checkpoint = sum(entry.size for entry in source.shards.values())
    return {
        "linears": len(linears),
        "weights": weights,
        "bits_per_weight": 8 * packed / weights,
        "output_bytes": packed + untouched,
        "disk_bytes": 2 * packed + untouched + 2 * memory["states"],
        "memory_bytes": memory,
        "seconds": {
            stage: round(value, 1)
            for stage, value in time_model(source.model, settings, costs, checkpoint).items()
        },
        "unit_costs": asdict(costs),
        "skipped": skipped(source.model),
        "unused_tensors": source.unused,
    }


def plan_lines(made: dict[str, Any]) -> list[str]:
    """A plan for people, one sentence a line."""
    from .report import skipped_lines

    memory, seconds = made["memory_bytes"], made["seconds"]
    parts = ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in memory.items() if name != "peak")
    stages = ", ".join(f"{name} {value:,.0f}" for name, value in seconds.items() if name != "total")
    return [
        f"{made['linears']} linears with {made['weights']:,} weights at {made['bits_per_weight']:.4f} bits, "
        "scales and padding included, metadata not",
        f"output {made['output_bytes'] / 1e6:,.0f} MB; disk while at work {made['disk_bytes'] / 1e6:,.0f} MB",
        f"memory at most {memory['peak'] / 1e6:,.0f} MB ({parts})",
        f"about {seconds['total']:,.0f} s on {made['unit_costs']['threads']} threads ({stages})",
        *skipped_lines(made),
        "this was a plan; nothing was written",
    ]
