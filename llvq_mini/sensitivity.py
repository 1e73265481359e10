"""What an error in a linear's output does to the model's predictions: one backward pass, layer by layer.

The output of a quantized model differs from the original's by a divergence that is quadratic for small errors. With
g_i the gradient of -log p(y) at the output of a linear for token i, y drawn from the model's own prediction, and x_i
the linear's input, an error D of its weights costs
    KL = 1/2 sum_i E (g_i^T D x_i)^2 = 1/2 tr(F (D (x) D)),    F = E[g g^T (x) x x^T],
the Fisher information (labels drawn from the model make this exact, terms between tokens have mean zero). F has
(out * in)^2 entries; its two partial traces have in^2 and out^2,
    H_F = E[|g|^2 x x^T],    G_F = E[|x|^2 g g^T],    F ~ G_F (x) H_F / tr F,
and feedback.py needs just such a pair. Tokens whose output matters weigh more in H_F: the attention sink, whose
value reaches every position, needs no rule of its own. G_F knows which output directions matter.

Few tokens carry most of |g|^2, so both are noisy, and each is drawn half way to what one would assume without
gradients, all tokens alike and all outputs alike (traces are set to 1 first):
    H = (H_F + E[x x^T]) / 2,    G = (G_F + 1 / out) / 2.

Memory: one layer with its activations for one window, the states that enter every layer (kept by the caller), and a
gradient of the same size.

What this file does not do: terms between tokens and between layers; run the model forward; quantize. Papers: J.
Martens, R. Grosse (arXiv 1503.05671) for Kronecker factors; YAQA (arXiv 2505.22988) uses such factors for rounding.
Tests: ``tests/test_sensitivity.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LLVQError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

_CHUNK = 256  # positions whose logits are in memory at a time


@dataclass(frozen=True)
class Sensitivity:
    """Partial traces of one linear's Fisher information, float64, sums over tokens divided by their number."""

    inputs: np.ndarray  # (in, in) H_F
    outputs: np.ndarray  # (out, out) G_F

    def hessian(self, plain: np.ndarray) -> np.ndarray:
        """(in, in) H of trace 1: half from gradients, half from the plain E[x x^T]."""
        return (_unit(self.inputs) + _unit(plain)) / 2

    def metric(self) -> np.ndarray:
        """(out, out) G of trace 1: half from gradients, half the identity."""
        return (_unit(self.outputs) + np.eye(len(self.outputs)) / len(self.outputs)) / 2


def _unit(matrix: np.ndarray) -> np.ndarray:
    """The matrix over its trace; the identity's for a zero matrix (a linear that nothing depends on)."""
    trace = float(np.trace(matrix))
    if not np.isfinite(trace):
        raise LLVQError("The gradients of this layer hold NaN or infinity; check the model's weights")
    return matrix / trace if trace > 0 else np.eye(len(matrix)) / len(matrix)


def score_gradients(
    model: PreTrainedModel,
    layers: list[nn.Module],
    states: list[torch.Tensor],
    seed: int,
    tick: Callable[[], None] | None = None,
) -> list[torch.Tensor]:
    """Gradients of sum_i -log p(y_i) at the last decoder layer's output states, (1, context, hidden) each.

    Labels y are drawn from the model's predictions at every position, from a generator with the given seed. Norm and
    head are the model's own: it runs with its layers short-circuited. The head sees a few positions at a time.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    current: list[torch.Tensor] = []
    for layer in layers:
        layer.forward = lambda hidden_states, *rest, **kwargs: current[0]
    gradients = []
    try:
        for state in states:
            count = state.shape[1]
            ids = torch.zeros((1, count), dtype=torch.long)
            total = torch.zeros_like(state)
            for start in range(0, count, _CHUNK):
                positions = torch.arange(start, min(start + _CHUNK, count))
                current[:] = [state.detach().clone().requires_grad_()]
                with torch.enable_grad():
                    logits = model(ids, use_cache=False, logits_to_keep=positions).logits[0].float()
                    with torch.no_grad():
                        labels = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
                    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
                    total += torch.autograd.grad(loss, current[0])[0]
            gradients.append(total)
            if tick:
                tick()
    finally:
        for layer in layers:
            del layer.forward
    return gradients


def layer_sensitivities(
    layer: nn.Module,
    linears: dict[str, nn.Linear],
    states: list[torch.Tensor],
    keywords: dict[str, Any],
    gradients: list[torch.Tensor],
    tick: Callable[[], None] | None = None,
) -> dict[str, Sensitivity]:
    """Partial traces of the layer's linears, from the states that enter it and the gradients at its output.

    `gradients` are replaced by those at the layer's input, for the layer below. Windows are (1, context, hidden).
    LLVQError if no gradient reaches a linear, or one that is not finite.
    """
    import torch

    sums: dict[str, list[Any]] = {}
    seen: dict[str, torch.Tensor] = {}
    tokens = sum(state.shape[1] for state in states)

    def watch(name: str) -> Callable[..., None]:
        def record(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen[name] = arguments[0].detach().reshape(-1, arguments[0].shape[-1])
            output.register_hook(lambda gradient: _add(sums, name, seen.pop(name), gradient))

        return record

    handles = [module.register_forward_hook(watch(name)) for name, module in linears.items()]
    try:
        for index, state in enumerate(states):
            entering = state.detach().clone().requires_grad_()
            with torch.enable_grad():
                leaving = layer(entering, **keywords)
                leaving = leaving if isinstance(leaving, torch.Tensor) else leaving[0]
                gradients[index] = torch.autograd.grad(leaving, entering, gradients[index])[0]
            if tick:
                tick()
    finally:
        for handle in handles:
            handle.remove()
    missing = [name for name in linears if name not in sums]
    if missing:
        raise LLVQError(f"No gradient reached the linear '{missing[0]}'; its layer is unsupported")
    return {name: Sensitivity(h / tokens, g / tokens) for name, (h, g) in sums.items()}


def _add(sums: dict[str, list[Any]], name: str, inputs: torch.Tensor, gradient: torch.Tensor) -> None:
    """Add sum |g|^2 x x^T and sum |x|^2 g g^T of one window."""
    import torch

    with torch.no_grad():
        g = gradient.reshape(-1, gradient.shape[-1])
        weighted_x = inputs * g.square().sum(1, keepdim=True)
        weighted_g = g * inputs.square().sum(1, keepdim=True)
        new = [(weighted_x.T @ inputs).double().numpy(), (weighted_g.T @ g).double().numpy()]
        old = sums.setdefault(name, [0.0, 0.0])
        sums[name] = [before + more for before, more in zip(old, new, strict=True)]
