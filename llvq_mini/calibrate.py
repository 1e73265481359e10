"""Run windows of text through one decoder layer after another, and keep what its linears read.

    entering_states   token windows -> what enters the first decoder layer, and every layer's other arguments
    collect_inputs    one layer: states in, states out, and H = E[x x^T] of every distinct tensor that linears read
    advance           one layer: states in, states out

The model itself prepares masks, rotary tables and embeddings, with its layers short-circuited, so a layer gets the
arguments that its kind (full or sliding attention, say) gets in the model. They must not depend on the text; models
where they do are refused. Linears that read the same tensor are recognized by identity and share one Hessian.

Bytes do not depend on the number of threads: windows run side by side, each on a single thread, and their sums are
added window after window. Sums of different inputs are formed side by side.

What this file does not do: load weights (stream.py), quantize, or know which inputs deserve extra weight (hessian.py).
Tests: ``tests/test_pipeline.py``, ``tests/test_models.py``.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ._parallel import default_threads, one_thread_each
from .anatomy import decoder_layers, linears_of
from .errors import LLVQError
from .hessian import Accumulator

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

MOST_WINDOWS = 8
"""Windows in flight at a time, however many processors there are: each holds its activations."""


@dataclass
class Inputs:
    """Statistics of one decoder layer: an Accumulator for every distinct tensor that its linears read."""

    leader: dict[str, str] = field(default_factory=dict)  # linear -> first linear with the same input
    sums: dict[str, Accumulator] = field(default_factory=dict)  # leader -> statistics
    wanted: set[str] | None = None  # linears whose inputs are summed; None for all

    def add(self, seen: dict[str, torch.Tensor], pool: ThreadPoolExecutor) -> None:
        """Add what the linears read in one window, in the order in which they read it.

        LLVQError if a linear shares its input with others in some windows only.
        """
        leaders: dict[str, torch.Tensor] = {}
        summed: dict[str, torch.Tensor] = {}
        for name, tensor in seen.items():
            leader = next((other for other, known in leaders.items() if known is tensor), name)
            leaders.setdefault(leader, tensor)
            if self.leader.setdefault(name, leader) != leader:
                raise LLVQError(
                    f"The linear '{name}' shares its input with others in some windows only; "
                    "its architecture is not supported"
                )
            if tensor.numel() and (self.wanted is None or name in self.wanted):
                summed[leader] = tensor
        for leader, tensor in summed.items():
            self.sums.setdefault(leader, Accumulator(tensor.shape[-1]))
        list(pool.map(self._add_one, summed.items()))

    def _add_one(self, item: tuple[str, torch.Tensor]) -> None:
        name, tensor = item
        self.sums[name].add(tensor.reshape(-1, tensor.shape[-1]).numpy())


def entering_states(
    model: PreTrainedModel, windows: np.ndarray
) -> tuple[list[torch.Tensor], list[dict[str, Any]]]:
    """What enters the first decoder layer, a (1, context, hidden) tensor a window, and every layer's keyword
    arguments. LLVQError if these depend on the window.
    """
    import torch

    return _entering(model, [{"input_ids": torch.from_numpy(row)[None]} for row in windows])


def entering_layers(
    model: PreTrainedModel, embeddings: torch.Tensor
) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """The same for one window of given token embeddings, which may be on the meta device."""
    states, keywords = _entering(model, [{"inputs_embeds": embeddings}])
    return states[0], keywords


def _entering(
    model: PreTrainedModel, calls: list[dict[str, torch.Tensor]]
) -> tuple[list[torch.Tensor], list[dict[str, Any]]]:
    import torch

    layers = [layer for _, layer in decoder_layers(model)]
    keywords: dict[int, dict[str, Any]] = {}
    states: list[torch.Tensor] = []

    def skip(index: int) -> Callable[..., torch.Tensor]:
        names = list(inspect.signature(type(layers[index]).forward).parameters)[2:]

        def forward(hidden_states: torch.Tensor, *rest: Any, **kwargs: Any) -> torch.Tensor:
            given = {**dict(zip(names, rest, strict=False)), **kwargs}
            if not _same(keywords.setdefault(index, given), given):
                raise LLVQError(
                    f"The layers of {type(model).__name__} take arguments that depend on the text; "
                    "its architecture is not supported"
                )
            if index == 0:
                states.append(hidden_states.clone())
            return hidden_states

        return forward

    for index, layer in enumerate(layers):
        layer.forward = skip(index)
    try:
        with one_thread_each(), torch.no_grad():
            for call in calls:
                model.base_model(**call, use_cache=False)
    finally:
        for layer in layers:
            del layer.forward
    return states, [keywords[index] for index in range(len(layers))]


def _same(one: Any, other: Any) -> bool:
    """Equality of arguments: tensors by value, containers by content, other objects by identity or equality."""
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one is other or (one.shape == other.shape and bool(torch.equal(one, other)))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or type(one) is type(other) and one == other


def _run(layer: nn.Module, state: torch.Tensor, keywords: dict[str, Any]) -> torch.Tensor:
    """A layer's output states; layers that return more put them first."""
    import torch

    with torch.no_grad():
        output = layer(state, **keywords)
        return output if isinstance(output, torch.Tensor) else output[0]


def _each(work: Callable[[int], Any], count: int) -> Iterator[Any]:
    """work(0), work(1), ... in order, a few of them at the same time, no more ahead than there are workers."""
    workers = max(1, min(default_threads(), MOST_WINDOWS, count))
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(workers, initializer=_one_torch_thread) as pool:
        try:
            for index in range(count):
                waiting.append(pool.submit(work, index))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


def collect_inputs(
    layer: nn.Module,
    states: list[torch.Tensor],
    keywords: dict[str, Any],
    tick: Callable[[], None] | None = None,
    wanted: Iterable[str] | None = None,
    keep: bool = False,
) -> Inputs:
    """Run every window through one layer and return its input statistics; `tick` is called after each.

    `states` become the layer's outputs, or stay as they are with `keep`. Only the inputs of `wanted` linears (all by
    default) are summed; who shares with whom is found for all. LLVQError where a linear or the layer's output is not
    what this code understands, or not finite.
    """
    inputs, local = Inputs(wanted=None if wanted is None else set(wanted)), threading.local()
    names = linears_of(layer)

    def recorder(name: str) -> Callable[..., None]:
        def record(module: nn.Module, arguments: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            tensor = arguments[0] if arguments else kwargs["input"]
            local.seen[name] = tensor
            local.versions[name] = None if tensor.is_inference() else tensor._version

        return record

    def forward(index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        local.seen, local.versions = {}, {}
        output = _run(layer, states[index], keywords)
        for name, version in local.versions.items():
            if version is not None and local.seen[name]._version != version:
                raise LLVQError(
                    f"The input of the linear '{name}' is overwritten after it was read; "
                    "its architecture is not supported"
                )
        return output, local.seen

    handles = [
        module.register_forward_pre_hook(recorder(name), with_kwargs=True) for name, module in names.items()
    ]
    try:
        with one_thread_each(), ThreadPoolExecutor(min(4, default_threads())) as adders:
            for index, (output, seen) in enumerate(_each(forward, len(states))):
                inputs.add(seen, adders)
                if not keep:
                    states[index] = output
                if tick:
                    tick()
    finally:
        for handle in handles:
            handle.remove()
    return inputs


def advance(layer: nn.Module, states: list[torch.Tensor], keywords: dict[str, Any]) -> None:
    """Replace `states` by what leaves the layer."""
    with one_thread_each():
        for index, output in enumerate(_each(lambda i: _run(layer, states[i], keywords), len(states))):
            states[index] = output
